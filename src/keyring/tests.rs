//! Tests of the keyring: round trip, tampering of every field, permissions, and the frozen file of format 1.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::ident::RelationName;

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text).unwrap()
}

/// The least Argon2 can do: these tests are about the file.
fn cheap() -> KdfParameters {
    KdfParameters::new(8, 1, 1).unwrap()
}

fn attribute(name: &str) -> AttributeName {
    AttributeName::new(RelationName::new("public", "contacts"), name)
}

fn two_domains() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keyring.json");
    let mut keyring = create_with(&path, &passphrase("correct horse"), cheap()).unwrap();
    keyring.ensure_domain(&DomainName::new("a")).unwrap();
    keyring.ensure_domain(&DomainName::new("b")).unwrap();
    keyring.ensure_attribute(&attribute("email")).unwrap();
    keyring.ensure_attribute(&attribute("phone")).unwrap();
    keyring.save().unwrap();
    (folder, path)
}

fn seal_key(keyring: &Keyring, domain: &str) -> Secret<[u8; 64]> {
    let keys = keyring.domain(&DomainName::new(domain)).unwrap();
    keys.subkey(keys.active(), Label::SEAL).unwrap()
}

#[test]
fn what_was_saved_is_opened() {
    let (_folder, path) = two_domains();
    let one = Keyring::open(&path, &passphrase("correct horse")).unwrap();
    let two = Keyring::open(&path, &passphrase("correct horse")).unwrap();
    assert_eq!(seal_key(&one, "a"), seal_key(&two, "a"));
    assert_ne!(seal_key(&one, "a"), seal_key(&one, "b"));
    assert_eq!(one.domain(&DomainName::new("b")).unwrap().id(), DomainId(2));
    assert_eq!(one.attribute_id(&attribute("phone")), Some(AttributeId(2)));
    assert_eq!(one.attribute_id(&attribute("notes")), None);
    assert_eq!(one.audit_key(), two.audit_key());
}

#[test]
fn numbers_are_given_once() {
    let (_folder, path) = two_domains();
    let mut keyring = Keyring::open(&path, &passphrase("correct horse")).unwrap();
    assert_eq!(
        keyring.ensure_domain(&DomainName::new("a")).unwrap(),
        DomainId(1)
    );
    assert_eq!(
        keyring.ensure_domain(&DomainName::new("c")).unwrap(),
        DomainId(3)
    );
    assert_eq!(
        keyring.ensure_attribute(&attribute("notes")).unwrap(),
        AttributeId(3)
    );
}

#[test]
fn subkeys_of_different_labels_differ() {
    let (_folder, path) = two_domains();
    let keyring = Keyring::open(&path, &passphrase("correct horse")).unwrap();
    let keys = keyring.domain(&DomainName::new("a")).unwrap();
    let version = keys.active();
    let token = keys.subkey(version, Label::TOKEN).unwrap();
    let mask = keys.subkey(version, Label::MASK).unwrap();
    let term = keys.subkey(version, Label::TERM).unwrap();
    assert_ne!(token, mask);
    assert_ne!(token, term);
    assert_ne!(seal_key(&keyring, "a").expose()[..32], token.expose()[..]);
    assert_eq!(
        keys.subkey(KeyVersion(2), Label::TOKEN),
        Err(KeyringFault::NoSuchVersion {
            domain: keys.id(),
            version: KeyVersion(2)
        })
    );
}

#[test]
fn a_wrong_passphrase_is_told_apart_from_tampering() {
    let (_folder, path) = two_domains();
    assert_eq!(
        Keyring::open(&path, &passphrase("wrong horse")).err(),
        Some(KeyringFault::WrongPassphrase)
    );
}

#[test]
fn create_never_overwrites() {
    let (folder, path) = two_domains();
    let before = fs::read(&path).unwrap();
    let fault = create_with(&path, &passphrase("another"), cheap()).err();
    assert_eq!(fault, Some(KeyringFault::Exists(path.clone())));
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        1,
        "nothing left behind"
    );
}

#[test]
fn the_file_is_private_and_stays_so() {
    let (_folder, path) = two_domains();
    let mode = |path: &PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&path), 0o600);
    for open_to in [0o640, 0o604, 0o620, 0o602, 0o610] {
        fs::set_permissions(&path, fs::Permissions::from_mode(open_to)).unwrap();
        assert!(matches!(
            Keyring::open(&path, &passphrase("correct horse")),
            Err(KeyringFault::Permissions { mode, .. }) if mode == open_to
        ));
    }
}

#[test]
fn a_save_over_anothers_save_is_refused() {
    let (_folder, path) = two_domains();
    let mut one = Keyring::open(&path, &passphrase("correct horse")).unwrap();
    let mut two = Keyring::open(&path, &passphrase("correct horse")).unwrap();
    one.ensure_domain(&DomainName::new("of one")).unwrap();
    two.ensure_domain(&DomainName::new("of two")).unwrap();
    one.save().unwrap();
    assert!(matches!(two.save(), Err(KeyringFault::ChangedSince(_))));
    one.ensure_domain(&DomainName::new("again")).unwrap();
    one.save().unwrap();
    let last = Keyring::open(&path, &passphrase("correct horse")).unwrap();
    assert!(last.domain(&DomainName::new("again")).is_some());
    assert!(last.domain(&DomainName::new("of two")).is_none());
}

/// Opens the file after one edit of its JSON.
fn opened_after(edit: impl FnOnce(&mut serde_json::Value)) -> KeyringFault {
    let (_folder, path) = two_domains();
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    edit(&mut json);
    fs::write(&path, json.to_string()).unwrap();
    Keyring::open(&path, &passphrase("correct horse"))
        .expect_err("an altered keyring must not open")
}

#[test]
fn every_altered_field_is_found() {
    use serde_json::json;
    let tampered = KeyringFault::Tampered;
    let swap_ids = opened_after(|j| {
        j["domains"][0]["id"] = json!(2);
        j["domains"][1]["id"] = json!(1);
    });
    assert_eq!(swap_ids, tampered);
    let swap_names = opened_after(|j| {
        j["domains"][0]["name"] = json!("b");
        j["domains"][1]["name"] = json!("a");
    });
    assert_eq!(swap_names, tampered);
    let swap_keys = opened_after(|j| {
        let first = j["domains"][0]["versions"].take();
        j["domains"][0]["versions"] = j["domains"][1]["versions"].take();
        j["domains"][1]["versions"] = first;
    });
    assert_eq!(swap_keys, tampered);
    let state = opened_after(|j| j["domains"][0]["versions"][0]["state"] = json!("readable"));
    assert_eq!(state, tampered);
    let version = opened_after(|j| j["domains"][0]["versions"][0]["version"] = json!(7));
    assert_eq!(version, tampered);
    let swap_attributes = opened_after(|j| {
        j["attributes"][0]["id"] = json!(2);
        j["attributes"][1]["id"] = json!(1);
    });
    assert_eq!(swap_attributes, tampered);
    let counter = opened_after(|j| j["next"]["domain"] = json!(1));
    assert_eq!(counter, tampered);
    let dropped = opened_after(|j| {
        j["attributes"].as_array_mut().unwrap().pop();
    });
    assert_eq!(dropped, tampered);
    // What the passphrase is stretched with, and the id its root is bound to, come before the code over all.
    for field in ["passes", "memory_kib"] {
        let fault = opened_after(|j| j["unlock"]["passphrase"][field] = json!(9));
        assert_eq!(fault, KeyringFault::WrongPassphrase);
    }
    let id = opened_after(|j| j["keyring"] = json!("00".repeat(16)));
    assert_eq!(id, KeyringFault::WrongPassphrase);
}

#[test]
fn what_is_not_a_keyring_is_refused_without_being_quoted() {
    let unknown = opened_after(|j| j["horse"] = serde_json::json!("canary"));
    assert!(matches!(unknown, KeyringFault::Malformed { .. }));
    assert!(!unknown.to_string().contains("canary") && !unknown.to_string().contains("horse"));
    let later = opened_after(|j| {
        j["format"] = serde_json::json!(2);
        j["something_new"] = serde_json::json!(true);
    });
    assert_eq!(later, KeyringFault::FormatUnknown(2));
}

#[test]
fn a_hostile_file_cannot_demand_memory_or_time() {
    for (field, value) in [
        ("memory_kib", u32::MAX),
        ("passes", u32::MAX),
        ("lanes", 0x00ff_ffff),
        ("memory_kib", 0),
        ("passes", 0),
        ("lanes", 0),
    ] {
        let fault = opened_after(|j| j["unlock"]["passphrase"][field] = serde_json::json!(value));
        assert_eq!(fault, KeyringFault::KdfBounds, "{field} = {value}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long");
    let file = fs::File::create(&path).unwrap();
    file.set_permissions(fs::Permissions::from_mode(0o600))
        .unwrap();
    file.set_len(crate::limits::KEYRING_BYTES_MAX + 1).unwrap();
    assert!(matches!(
        Keyring::open(&path, &passphrase("x")),
        Err(KeyringFault::TooLong { .. })
    ));
}

#[test]
fn passphrases_come_from_private_files_and_lose_one_line_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("passphrase");
    let with = |bytes: &[u8], mode: u32| {
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        Passphrase::from_file(&path)
    };
    let bare = cheap();
    let kek = |p: Passphrase| bare.derive(&p).unwrap().authenticate(b"");
    let expected = kek(passphrase("correct horse"));
    for bytes in ["correct horse", "correct horse\n", "correct horse\r\n"] {
        assert_eq!(kek(with(bytes.as_bytes(), 0o600).unwrap()), expected);
    }
    assert_ne!(kek(with(b"correct horse\n\n", 0o400).unwrap()), expected);
    assert_eq!(
        with(b"\n", 0o600).err(),
        Some(KeyringFault::PassphraseEmpty)
    );
    assert!(matches!(
        with(b"x", 0o604),
        Err(KeyringFault::Permissions { .. })
    ));
    assert!(matches!(
        with(b"x", 0o660),
        Err(KeyringFault::Permissions { .. })
    ));
    assert!(matches!(
        with(&[b'x'; 4097], 0o600),
        Err(KeyringFault::TooLong { .. })
    ));
    assert_eq!(
        Passphrase::from_env("PGVEIL_TEST_UNSET_VARIABLE").err(),
        Some(KeyringFault::PassphraseUnset(
            "PGVEIL_TEST_UNSET_VARIABLE".into()
        ))
    );
}

#[test]
fn debug_shows_no_key() {
    let (_folder, path) = two_domains();
    let keyring = Keyring::open(&path, &passphrase("correct horse")).unwrap();
    let key = hex::encode(seal_key(&keyring, "a").expose());
    let shown = format!("{keyring:?} {:?}", keyring.domain(&DomainName::new("a")));
    assert!(!shown.contains(&key[..16]));
    assert!(!format!("{:?}", passphrase("correct horse")).contains("horse"));
}

/// Format 1 as frozen, written by a second implementation (Python's `cryptography`): it must open for ever.
#[test]
fn the_frozen_keyring_opens_to_the_frozen_subkeys() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keyring.json");
    fs::write(&path, include_bytes!("golden.json")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let keyring = Keyring::open(&path, &passphrase("correct horse battery staple")).unwrap();
    let subkeys = |domain: &str, version| {
        let keys = keyring.domain(&DomainName::new(domain)).unwrap();
        let seal = keys.subkey(KeyVersion(version), Label::SEAL)?;
        let token = keys.subkey(KeyVersion(version), Label::TOKEN)?;
        Ok((hex::encode(seal.expose()), hex::encode(token.expose())))
    };
    let frozen = |seal: &str, token: &str| Ok((seal.to_owned(), token.to_owned()));
    assert_eq!(
        subkeys("contact_email", 1),
        frozen(
            "51d8763a005d9f65e0c332ce008a3fe36940394cbfc77425c687be5979d39cda\
             9b403c8ffeead5ddb606d2382984dd417fab53864a98d80d21a57bb5a9198bfe",
            "f151d0533b86034432747a2ede0a1ee951263f426c5ac88c8b529a7648040ad6"
        )
    );
    assert_eq!(
        subkeys("contact_email", 2),
        frozen(
            "f941a4a9436bc6ef7a29f93b3cbd6f7474ca48974b0038d9dc770c768a834346\
             fba02e11cc227a0d9e4867c3bba4235cbc1f7e081d69c389bb6f1c48e13989c4",
            "7a41977232a68e44bacc5720470b7f3995d6d885d7fc1c8aee88f518838fd814"
        )
    );
    assert_eq!(
        subkeys("public.contacts.phone", 1),
        frozen(
            "5270e6adcdfc9e84ff07f05ed34167b6099b7296db9baef2ca360ed9f8f231c3\
             7ec84f9b6c7494fbcfc83159866dfffa97fcf0e9d0c9cf7aadfa564d98b71e5d",
            "4d67fb407515f73a0c49ef553e74afe42cd133a48e8d4e0a768b1d4807ab6cad"
        )
    );
    assert!(matches!(
        subkeys("public.contacts.phone", 2),
        Err(KeyringFault::NoSuchVersion { .. })
    ));
    let email = keyring.domain(&DomainName::new("contact_email")).unwrap();
    assert_eq!(email.active(), KeyVersion(2));
    assert_eq!(
        keyring.attribute_id(&attribute("phone")),
        Some(AttributeId(3))
    );
    assert_eq!(
        hex::encode(keyring.audit_key().expose()),
        "5c72c8bf86927c82b09e9c7a6a91dbc0fdc62ba43455dbe058fa534fbafc3331"
    );
}

/// What this version writes of it is the same file, byte for byte.
#[test]
fn the_frozen_keyring_is_written_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keyring.json");
    fs::write(&path, include_bytes!("golden.json")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let mut keyring = Keyring::open(&path, &passphrase("correct horse battery staple")).unwrap();
    keyring.save().unwrap();
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        include_str!("golden.json")
    );
}

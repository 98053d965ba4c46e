//! Tests of sealed values: RFC 5297 vectors, frozen values, and what must not open (D02, D03).

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::ident::DomainName;
use crate::keyring::{KdfParameters, Keyring, Passphrase, create_with};

/// A keyring with the domains `a` and `b`.
fn keyring() -> (tempfile::TempDir, Keyring) {
    let folder = tempfile::tempdir().unwrap();
    let mut keyring = create_with(
        &folder.path().join("k"),
        &Passphrase::new("p").unwrap(),
        KdfParameters::new(8, 1, 1).unwrap(),
    )
    .unwrap();
    keyring.ensure_domain(&DomainName::new("a")).unwrap();
    keyring.ensure_domain(&DomainName::new("b")).unwrap();
    (folder, keyring)
}

fn keys<'k>(keyring: &'k Keyring, domain: &str) -> &'k DomainKeys {
    keyring.domain(&DomainName::new(domain)).unwrap()
}

const TEXT: Binding = Binding {
    class: TypeClass::Text,
    element: None,
    attribute: Some(AttributeId(7)),
    comparison: Comparison::Bytes,
};

/// RFC 5297, appendices A.1 and A.2 (AES-128 there): the crate's S2V and CTR are the RFC's.
#[test]
fn the_crate_is_rfc_5297() {
    use aes_siv::KeyInit as _;
    use aes_siv::siv::Aes128Siv;
    let bytes = |text: &str| hex::decode(text).unwrap();
    let key: [u8; 32] = bytes("fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")
        .try_into()
        .unwrap();
    let one = Aes128Siv::new(&key.into())
        .encrypt(
            [bytes("101112131415161718191a1b1c1d1e1f2021222324252627")],
            &bytes("112233445566778899aabbccddee"),
        )
        .unwrap();
    assert_eq!(
        hex::encode(one),
        "85632d07c6e8f37f950acd320a2ecc9340c02b9690c4dc04daef7f6afe5c"
    );
    let key: [u8; 32] = bytes("7f7e7d7c7b7a79787776757473727170404142434445464748494a4b4c4d4e4f")
        .try_into()
        .unwrap();
    let two = Aes128Siv::new(&key.into())
        .encrypt(
            [
                bytes("00112233445566778899aabbccddeeffdeaddadadeaddadaffeeddccbbaa99887766554433221100"),
                bytes("102030405060708090a0"),
                bytes("09f911029d74e35bd84156c5635688c0"),
            ],
            b"this is some plaintext to encrypt using SIV-AES",
        )
        .unwrap();
    assert_eq!(
        hex::encode(two),
        "7bdb6e3b432667eb06f4d14bff2fbd0fcb900f2fddbe404326601965c889bf17\
         dba77ceb094fa663b7a3f748ba8af829ea64ad544a272e9c485b62a3fd5c0d"
    );
}

/// The inputs of RFC 5297, appendix A.2, under a 512-bit key (the vector that implementations share).
#[test]
fn the_cipher_is_aes_256_siv() {
    let bytes = |text: &str| hex::decode(text).unwrap();
    let key: [u8; 64] = bytes(
        "7f7e7d7c7b7a797877767574737271706f6e6d6c6b6a69686766656463626160\
         404142434445464748494a4b4c4d4e4f505152535455565758595a5b5b5d5e5f",
    )
    .try_into()
    .unwrap();
    let siv = Siv::new(&key);
    let first =
        bytes("00112233445566778899aabbccddeeffdeaddadadeaddadaffeeddccbbaa99887766554433221100");
    let associated = Associated {
        before: siv.start().then(siv.string(&first)),
        strings: &[&bytes("102030405060708090a0")],
        after: Some(siv.string(&bytes("09f911029d74e35bd84156c5635688c0"))),
    };
    let fewer = Associated {
        after: None,
        ..associated
    };
    let plain = b"this is some plaintext to encrypt using SIV-AES";
    for _ in 0..2 {
        let mut value = plain.to_vec();
        let tag = siv.encrypt(associated, &mut value);
        assert_eq!(
            hex::encode(tag) + &hex::encode(&value),
            "85b8167310038db7dc4692c0281ca35868181b2762f3c24f2efa5fb80cb14351\
             6ce6c434b898a6fd8eb98a418842f51f66fc67de43ac185a66dd72475bbb08"
        );
        let ciphertext = value.clone();
        assert!(siv.decrypt(fewer, &tag, &mut value).is_err());
        assert_eq!(
            value, ciphertext,
            "what is not authentic gives no plain byte"
        );
        siv.decrypt(associated, &tag, &mut value).unwrap();
        assert_eq!(value, plain);
    }
}

/// Bytes of any length, those around a block's often.
fn strings() -> impl Strategy<Value = Vec<u8>> {
    let edges = proptest::sample::select(vec![
        0, 1, 15, 16, 17, 31, 32, 33, 47, 48, 127, 128, 129, 255, 256, 257, 1023, 1024, 1025, 2048,
        3000,
    ]);
    prop_oneof![edges, 0..400usize]
        .prop_flat_map(|bytes| proptest::collection::vec(any::<u8>(), bytes))
}

proptest! {
    /// Byte for byte what the crate `aes-siv` gives, which the vectors of RFC 5297 hold for its part.
    #[test]
    fn the_cipher_is_the_crate_s(
        key in proptest::array::uniform32(any::<u8>()),
        other in proptest::array::uniform32(any::<u8>()),
        associated in proptest::collection::vec(strings(), 0..=8),
        value in strings(),
        bit: proptest::sample::Index,
        cut: proptest::sample::Index,
    ) {
        use aes_siv::KeyInit as _;
        let whole: [u8; 64] = std::array::from_fn(|i| if i < 32 { key[i] } else { other[i - 32] });
        let theirs = aes_siv::siv::Aes256Siv::new(&whole.into())
            .encrypt(&associated, &value)
            .unwrap();
        let siv = Siv::new(&whole);
        // Strings before those of the value, of the value, and one behind them.
        let cut = cut.index(associated.len() + 1);
        let (before, own) = associated.split_at(cut);
        let (last, own) = own.split_last().map_or((None, own), |(last, own)| (Some(last), own));
        let own: Vec<&[u8]> = own.iter().map(Vec::as_slice).collect();
        let state = Associated {
            before: before.iter().fold(siv.start(), |state, string| state.then(siv.string(string))),
            strings: &own,
            after: last.map(|last| siv.string(last)),
        };
        let mut ours = value.clone();
        let mut tag = siv.encrypt(state, &mut ours);
        prop_assert_eq!([&tag, &ours[..]].concat(), theirs);
        let mut opened = ours.clone();
        siv.decrypt(state, &tag, &mut opened).unwrap();
        prop_assert_eq!(&opened, &value);
        let at = bit.index((tag.len() + ours.len()) * 8);
        match at / 8 {
            byte @ 0..16 => tag[byte] ^= 1 << (at % 8),
            byte => ours[byte - 16] ^= 1 << (at % 8),
        }
        prop_assert_eq!(siv.decrypt(state, &tag, &mut ours), Err(SealFault::NotAuthentic));
    }
}

#[test]
fn a_sealed_value_lies_as_the_format_says() {
    let (_folder, keyring) = keyring();
    let sealer = Sealer::new(keys(&keyring, "b"), TEXT).unwrap();
    let sealed = sealer.seal(b"ann@example.com").unwrap();
    assert_eq!(sealed[..8], [0xD5, 0x56, b'v', 1, 0, 0, 0, 2]);
    assert_eq!(sealed[..8], prefix(DomainId(2)));
    assert_eq!(sealed[8..10], [0, 1]);
    assert_eq!(sealed.len(), sealed_bytes(15, Comparison::Bytes));
    assert_eq!(HEAD_BYTES, 26);
    assert!(std::str::from_utf8(&sealed[..3]).is_err());
    let header = Header::parse(&sealed).unwrap();
    assert_eq!(
        (header.domain, header.version),
        (DomainId(2), KeyVersion(1))
    );
    let random = Sealer::new(
        keys(&keyring, "b"),
        Binding {
            comparison: Comparison::Never,
            ..TEXT
        },
    )
    .unwrap();
    assert_eq!(
        random.seal(b"x").unwrap().len(),
        sealed_bytes(1, Comparison::Never)
    );
}

#[test]
fn comparable_values_are_equal_bytes_and_others_are_not() {
    let (_folder, keyring) = keyring();
    let keys = keys(&keyring, "a");
    let comparable = Sealer::new(keys, TEXT).unwrap();
    assert_eq!(
        comparable.seal(b"x").unwrap(),
        comparable.seal(b"x").unwrap()
    );
    assert_ne!(
        comparable.seal(b"x").unwrap(),
        comparable.seal(b"y").unwrap()
    );
    let binding = Binding {
        comparison: Comparison::Never,
        ..TEXT
    };
    let random = Sealer::new(keys, binding).unwrap();
    assert_ne!(random.seal(b"x").unwrap(), random.seal(b"x").unwrap());
}

/// A document, whose equality lies in a term.
const DOCUMENT: Binding = Binding {
    class: TypeClass::Jsonb,
    element: None,
    attribute: Some(AttributeId(7)),
    comparison: Comparison::Heads,
};

#[test]
fn equal_documents_have_one_head_and_are_different_bytes() {
    let (_folder, keyring) = keyring();
    let sealer = Sealer::new(keys(&keyring, "a"), DOCUMENT).unwrap();
    let (one, also_one) = (b"\x01[1.0, \"1.0\"]", b"\x01[1.00, \"1.0\"]");
    let (a, b, c) = (
        sealer.seal(one).unwrap(),
        sealer.seal(one).unwrap(),
        sealer.seal(also_one).unwrap(),
    );
    assert_ne!(a, b);
    assert_eq!(a[..HEAD_BYTES], b[..HEAD_BYTES]);
    assert_eq!(a[..HEAD_BYTES], c[..HEAD_BYTES]);
    assert_eq!(sealer.seal_compared(also_one).unwrap(), a[..HEAD_BYTES]);
    let other = sealer.seal_compared(b"\x01[1.0, \"1.00\"]").unwrap();
    assert_ne!(other, a[..HEAD_BYTES]);
    assert_eq!(sealer.open(&a).unwrap().expose(), one);
    assert_eq!(sealer.open(&c).unwrap().expose(), also_one);
}

/// A term is bound to domain, version, type class and attribute: elsewhere the same value has another.
#[test]
fn a_term_tells_nothing_elsewhere() {
    let (_folder, keyring) = keyring();
    let head = |keyring: &Keyring, domain, binding| {
        let sealer = Sealer::new(keys(keyring, domain), binding).unwrap();
        sealer.seal_compared(b"\x011").unwrap()[HEADER_BYTES..].to_vec()
    };
    let bindings = [
        DOCUMENT,
        Binding {
            attribute: Some(AttributeId(8)),
            ..DOCUMENT
        },
        Binding {
            attribute: None,
            ..DOCUMENT
        },
        Binding {
            attribute: Some(AttributeId(0)),
            ..DOCUMENT
        },
        Binding {
            class: TypeClass::Bytea,
            ..DOCUMENT
        },
    ];
    let mut heads = std::collections::BTreeSet::new();
    for binding in bindings {
        assert!(heads.insert(head(&keyring, "a", binding)), "{binding:?}");
        assert!(heads.insert(head(&keyring, "b", binding)), "{binding:?}");
    }
    let later = TermKey::new(&[7; 32], DomainId(1), KeyVersion(2), &DOCUMENT);
    let first = TermKey::new(&[7; 32], DomainId(1), KeyVersion(1), &DOCUMENT);
    assert_ne!(first.term(b"x"), later.term(b"x"));
}

/// D04: the term of another value, of a value sealed elsewhere, or any other in its place: does not open.
#[test]
fn d04_a_value_with_another_term_does_not_open() {
    let (_folder, keyring) = keyring();
    let sealer = Sealer::new(keys(&keyring, "a"), DOCUMENT).unwrap();
    let sealed = sealer.seal(b"\x011").unwrap();
    for other in [
        sealer.seal_compared(b"\x012").unwrap()[HEADER_BYTES..].to_vec(),
        vec![0; TERM_BYTES],
        sealed[HEADER_BYTES + TERM_BYTES..][..TERM_BYTES].to_vec(),
    ] {
        let mut altered = sealed.clone();
        altered[HEADER_BYTES..HEAD_BYTES].copy_from_slice(&other);
        assert_eq!(sealer.open(&altered).err(), Some(SealFault::NotAuthentic));
    }
    let hidden = Binding {
        comparison: Comparison::Never,
        ..DOCUMENT
    };
    let hidden = Sealer::new(keys(&keyring, "a"), hidden).unwrap();
    assert_eq!(hidden.open(&sealed).err(), Some(SealFault::NotAuthentic));
    assert_eq!(
        sealer
            .open(&hidden.seal(b"a document that is long enough").unwrap())
            .err(),
        Some(SealFault::NotAuthentic)
    );
    assert_eq!(
        hidden.seal_compared(b"\x011").err(),
        Some(SealFault::NotComparable)
    );
}

/// Moved to another domain, attribute, type, kind of column or version: does not open.
#[test]
fn d02_a_moved_value_does_not_open() {
    let (_folder, keyring) = keyring();
    let a = keys(&keyring, "a");
    let sealed = Sealer::new(a, TEXT).unwrap().seal(b"12345678").unwrap();
    let elsewhere = [
        Binding {
            attribute: Some(AttributeId(8)),
            ..TEXT
        },
        Binding {
            attribute: None,
            ..TEXT
        },
        Binding {
            class: TypeClass::Integer,
            ..TEXT
        },
        Binding {
            class: TypeClass::Bytea,
            ..TEXT
        },
        Binding {
            comparison: Comparison::Never,
            ..TEXT
        },
        Binding {
            comparison: Comparison::Heads,
            ..TEXT
        },
    ];
    for binding in elsewhere {
        let fault = Sealer::new(a, binding).unwrap().open(&sealed).err();
        assert!(
            matches!(fault, Some(SealFault::NotAuthentic | SealFault::NotSealed)),
            "{binding:?}: {fault:?}"
        );
    }
    let b = Sealer::new(keys(&keyring, "b"), TEXT).unwrap();
    assert_eq!(
        b.open(&sealed).err(),
        Some(SealFault::OtherDomain {
            found: DomainId(1),
            expected: DomainId(2)
        })
    );
    let mut renamed = sealed.clone();
    renamed[..8].copy_from_slice(&prefix(DomainId(2)));
    assert_eq!(b.open(&renamed).err(), Some(SealFault::NotAuthentic));
    let mut later = sealed;
    later[9] = 2;
    let a = Sealer::new(a, TEXT).unwrap();
    assert_eq!(
        a.open(&later).err(),
        Some(SealFault::NoSuchVersion(KeyVersion(2)))
    );
}

/// In a shared domain a value does open for the other attribute: the leak that THREAT_MODEL.md states.
#[test]
fn d02_attributes_of_one_shared_domain_open_each_others_values() {
    let (_folder, keyring) = keyring();
    let shared = Binding {
        attribute: None,
        ..TEXT
    };
    let one = Sealer::new(keys(&keyring, "a"), shared).unwrap();
    let two = Sealer::new(keys(&keyring, "a"), shared).unwrap();
    assert_eq!(two.open(&one.seal(b"x").unwrap()).unwrap().expose(), b"x");
}

#[test]
fn d03_plain_text_does_not_open() {
    let (_folder, keyring) = keyring();
    let sealer = Sealer::new(keys(&keyring, "a"), TEXT).unwrap();
    for plain in [
        "",
        "ann@example.com",
        "a text that is longer than any head of a sealed value",
    ] {
        assert_eq!(
            sealer.open(plain.as_bytes()).err(),
            Some(SealFault::NotSealed)
        );
    }
    let mut other_format = sealer.seal(b"x").unwrap();
    other_format[3] = 2;
    assert_eq!(
        sealer.open(&other_format).err(),
        Some(SealFault::FormatUnknown(2))
    );
}

#[test]
fn no_fault_and_no_debug_carries_a_value() {
    let (_folder, keyring) = keyring();
    let sealer = Sealer::new(keys(&keyring, "a"), TEXT).unwrap();
    let opened = sealer.open(&sealer.seal(b"canary").unwrap()).unwrap();
    assert!(!format!("{opened:?} {sealer:?}").contains("canary"));
    let fault = sealer
        .open(b"canary, as plain text in a sealed column")
        .err()
        .unwrap();
    assert!(!format!("{fault} {fault:?}").contains("canary"));
}

#[test]
fn threads_share_a_sealer() {
    let (_folder, keyring) = keyring();
    let sealer = Arc::new(Sealer::new(keys(&keyring, "a"), TEXT).unwrap());
    let expected = sealer.seal(b"shared").unwrap();
    std::thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| {
                for _ in 0..50 {
                    assert_eq!(sealer.seal(b"shared").unwrap(), expected);
                    assert_eq!(sealer.open(&expected).unwrap().expose(), b"shared");
                }
            });
        }
    });
}

fn comparisons() -> impl Strategy<Value = Comparison> {
    proptest::sample::select(vec![
        Comparison::Never,
        Comparison::Bytes,
        Comparison::Heads,
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn open_undoes_seal(
        value in proptest::collection::vec(any::<u8>(), 0..300),
        comparison in comparisons(),
        own: bool,
    ) {
        let (_folder, keyring) = keyring();
        let attribute = own.then_some(AttributeId(3));
        let binding = Binding { class: TypeClass::Bytea, attribute, comparison, ..TEXT };
        let sealer = Sealer::new(keys(&keyring, "a"), binding).unwrap();
        let sealed = sealer.seal(&value).unwrap();
        prop_assert_eq!(sealed.len(), sealed_bytes(value.len(), comparison));
        let opened = sealer.open(&sealed).unwrap();
        prop_assert_eq!(opened.expose(), &value);
    }

    /// Every single bit, every truncation, some extensions, of values of every shape.
    #[test]
    fn d03_an_altered_value_does_not_open(
        value in proptest::collection::vec(any::<u8>(), 0..40),
        comparison in comparisons(),
        tail in proptest::collection::vec(any::<u8>(), 1..20),
    ) {
        let (_folder, keyring) = keyring();
        let binding = Binding { comparison, ..TEXT };
        let sealer = Sealer::new(keys(&keyring, "a"), binding).unwrap();
        let sealed = sealer.seal(&value).unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut altered = sealed.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(sealer.open(&altered).is_err(), "bit {bit}");
        }
        for length in 0..sealed.len() {
            prop_assert!(sealer.open(&sealed[..length]).is_err(), "cut to {length}");
        }
        let mut longer = sealed.clone();
        longer.extend_from_slice(&tail);
        prop_assert!(sealer.open(&longer).is_err());
        let mut random = sealed;
        let from = random.len() - 16;
        random[from..].copy_from_slice(&tail.iter().copied().cycle().take(16).collect::<Vec<_>>());
        prop_assert!(sealer.open(&random).is_err());
    }
}

/// The frozen keyring, opened.
fn frozen_keyring() -> (tempfile::TempDir, Keyring) {
    use std::os::unix::fs::OpenOptionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("k");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .unwrap();
    std::io::Write::write_all(&mut file, include_bytes!("../keyring/golden.json")).unwrap();
    let passphrase = Passphrase::new("correct horse battery staple").unwrap();
    let keyring = Keyring::open(&path, &passphrase).unwrap();
    (folder, keyring)
}

/// Format 1 as frozen, sealed by a second implementation (Python's `cryptography`) under the frozen keyring.
#[test]
fn frozen_values_open_and_are_sealed_alike() {
    let (_folder, keyring) = frozen_keyring();
    let sealer = |domain, binding| Sealer::new(keys(&keyring, domain), binding).unwrap();
    let frozen = |text: &str| hex::decode(text).unwrap();

    let phone = sealer(
        "public.contacts.phone",
        Binding {
            attribute: Some(AttributeId(3)),
            ..TEXT
        },
    );
    let sealed =
        frozen("d556760100000002000122156b6474650364481a6dc3b80877ed69d150d809883dca52d055c31d4a");
    assert_eq!(phone.open(&sealed).unwrap().expose(), b"+49 30 1234567");
    assert_eq!(phone.seal(b"+49 30 1234567").unwrap(), sealed);

    let email = sealer(
        "contact_email",
        Binding {
            attribute: None,
            ..TEXT
        },
    );
    let sealed = frozen(
        "d55676010000000100021477a28cffd5e67a366862d9e32d0ebe6ace5fec7f88177a5c8c4975304415",
    );
    assert_eq!(email.seal(b"ann@example.com").unwrap(), sealed);
    let older = frozen(
        "d55676010000000100016040f1b4a0b44d4b5339fdbc0389ca6c722ffbf2aac33118e33d79b0174f86",
    );
    for sealed in [sealed, older] {
        assert_eq!(email.open(&sealed).unwrap().expose(), b"ann@example.com");
    }

    let revenue = sealer(
        "public.contacts.phone",
        Binding {
            class: TypeClass::Integer,
            attribute: Some(AttributeId(3)),
            comparison: Comparison::Never,
            ..TEXT
        },
    );
    let sealed = frozen(
        "d5567601000000020001a0a1a2a3a4a5a6a7a8a9aaabacadaeaf\
         02d20190475fcc7bef0be15c7ea854cc6b69c04025f7d078",
    );
    assert_eq!(
        revenue.open(&sealed).unwrap().expose(),
        &(-42i64).to_be_bytes()
    );
    let nonce: [u8; 16] = std::array::from_fn(|i| 0xa0 + i as u8);
    assert_eq!(
        revenue.seal_with(&(-42i64).to_be_bytes(), &nonce).unwrap(),
        sealed
    );
}

/// The form with an equality term, as frozen by the second implementation.
#[test]
fn frozen_terms_open_and_are_sealed_alike() {
    let (_folder, keyring) = frozen_keyring();
    let sealer = |domain, binding| Sealer::new(keys(&keyring, domain), binding).unwrap();
    let frozen = |text: &str| hex::decode(text).unwrap();
    let nonce: [u8; 16] = std::array::from_fn(|i| 0xa0 + i as u8);
    let documents = [
        (
            sealer(
                "public.contacts.phone",
                Binding {
                    attribute: Some(AttributeId(3)),
                    ..DOCUMENT
                },
            ),
            &b"\x01{\"a\": 1.50}"[..],
            &[
                "d5567601000000020001fe400b11bebf78fcb50c45410b05a359a0a1a2a3a4a5a6a7a8a9aaabacadaeaf\
               51f045cbde3577f9234755bdb53b0f3b2d8e0c2fb27ab4c86ec1449b",
            ][..],
        ),
        (
            sealer(
                "contact_email",
                Binding {
                    attribute: None,
                    ..DOCUMENT
                },
            ),
            b"\x01[1.0, \"1.0\"]",
            &[
                "d5567601000000010002b2ac5b20ea056d37d8e4469dbfea1aa4a0a1a2a3a4a5a6a7a8a9aaabacadaeaf\
                 169e3c67c75fff1afd322e09a03051fa714116e89eaf0249462be8364b",
                "d5567601000000010001e321618da0b03b95c789570cb286c62fa0a1a2a3a4a5a6a7a8a9aaabacadaeaf\
                 fd9d9628cebd796fed5794627be042fec07edb0a21d017ffe93a3320bb",
            ],
        ),
    ];
    for (document, value, texts) in documents {
        let newest = frozen(texts[0]);
        assert_eq!(document.seal_with(value, &nonce).unwrap(), newest);
        assert_eq!(document.seal_compared(value).unwrap(), newest[..HEAD_BYTES]);
        for sealed in texts {
            assert_eq!(document.open(&frozen(sealed)).unwrap().expose(), value);
        }
    }
}

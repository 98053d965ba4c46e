//! Both ends of SCRAM against each other, against the RFC's vectors, and against what is no SCRAM.

use proptest::prelude::*;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::ident::UserName;
use crate::wire::certificate::EndPoint;

/// RFC 7677 section 3: user "user", password "pencil".
const RFC_SALT: &str = "W22ZaJ0SNY7soEsUEjb6gQ==";
const RFC_SERVER_FIRST: &str =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const RFC_CLIENT_FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
const RFC_SERVER_FINAL: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

fn rfc_keys() -> ClientKeys {
    let salt = STANDARD.decode(RFC_SALT).unwrap();
    ClientKeys::of_password(&secret("pencil"), &salt, 4096)
}

/// Server-first to the client's answer, with keys that are known.
fn respond(
    client: ClientExchange,
    server_first: &str,
    keys: ClientKeys,
) -> Result<(ClientFinal, Secret<String>), ScramFault> {
    client.respond(server_first.as_bytes(), |_, _| Ok(keys))
}

fn end_point(name: &str) -> EndPoint {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    EndPoint::of_certificate(made.cert.der()).unwrap()
}

/// Both of our own ends against each other.
fn exchange(verifier: Verifier, keys: ClientKeys) -> Result<ClientKeys, ScramFault> {
    bound_exchange((verifier, keys), Binding::Nothing, None)
}

/// The same, where the client sees one certificate and pgveil has another or the same.
fn bound_exchange(
    (verifier, keys): (Verifier, ClientKeys),
    binding: Binding,
    own: Option<&EndPoint>,
) -> Result<ClientKeys, ScramFault> {
    let mechanism = binding.mechanism();
    let (client, first) = ClientExchange::begin(binding);
    let (server, server_first) = ServerExchange::begin(mechanism, first.as_bytes(), verifier, own)?;
    let (client, last) = respond(client, &server_first, keys)?;
    let (recovered, server_final) = server.finish(last.expose().as_bytes())?;
    client.verify(server_final.as_bytes())?;
    Ok(recovered)
}

#[test]
fn rfc_7677_client() {
    let exchange = ClientExchange {
        binding: Binding::Nothing,
        nonce: "rOprNGfwEbeRWgbNEkqO".to_owned(),
    };
    let bare = "n=user,r=rOprNGfwEbeRWgbNEkqO";
    let (last, client_final) = exchange
        .respond_to(bare, RFC_SERVER_FIRST.as_bytes(), |salt, iterations| {
            Ok(ClientKeys::of_password(&secret("pencil"), salt, iterations))
        })
        .unwrap();
    assert_eq!(client_final.expose(), RFC_CLIENT_FINAL);
    assert_eq!(last.verify(RFC_SERVER_FINAL.as_bytes()), Ok(()));
}

#[test]
fn rfc_7677_client_refuses_another_signature() {
    let exchange = ClientExchange {
        binding: Binding::Nothing,
        nonce: "rOprNGfwEbeRWgbNEkqO".to_owned(),
    };
    let (last, _) = exchange
        .respond_to("n=user,r=x", RFC_SERVER_FIRST.as_bytes(), |_, _| {
            Ok(rfc_keys())
        })
        .unwrap();
    assert_eq!(
        last.verify(RFC_SERVER_FINAL.as_bytes()),
        Err(ScramFault::ServerSignature)
    );
}

#[test]
fn the_key_recovered_from_the_proof_logs_in_again() {
    let verifier = Verifier::new(&secret("pencil"));
    let keys = ClientKeys::of_password(&secret("pencil"), &verifier.salt, verifier.iterations);
    let recovered = exchange(verifier.clone(), keys.clone()).unwrap();
    assert_eq!(recovered.client_key, keys.client_key);
    assert!(exchange(verifier, recovered).is_ok());
}

#[test]
fn a_proof_over_another_nonce_is_none() {
    let verifier = Verifier::new(&secret("pencil"));
    let keys = ClientKeys::of_password(&secret("pencil"), &verifier.salt, verifier.iterations);
    let (_, first) = ClientExchange::begin(Binding::Nothing);
    let (server, server_first) =
        ServerExchange::begin(Mechanism::Unbound, first.as_bytes(), verifier, None).unwrap();
    // What a client that ignores the server's part would sign, with the right password.
    let bare = first.strip_prefix("n,,").unwrap();
    let without_proof = format!("c=biws,{}", bare.strip_prefix("n=,").unwrap());
    let message = format!("{bare},{server_first},{without_proof}");
    let signature = hmac(&hash(keys.client_key.expose()), &[message.as_bytes()]);
    let proof = STANDARD.encode(xor(keys.client_key.expose(), &signature));
    let last = format!("{without_proof},p={proof}");
    let refused = server.finish(last.as_bytes()).err();
    assert_eq!(refused, Some(ScramFault::ClientMessage));
}

#[test]
fn a_stored_verifier_reads_back() {
    let verifier = Verifier::new(&secret("pencil"));
    let stored = verifier.to_stored();
    let read = Verifier::parse(stored.expose()).unwrap();
    assert_eq!(read.to_stored(), stored);
    assert_eq!(read.iterations, 4096);
}

#[test]
fn what_is_no_verifier_is_refused() {
    for stored in [
        "",
        "md5a3556571e93b0d20722ba62be61e8c2d",
        "SCRAM-SHA-256$0:AA==$AA==:AA==",
        "SCRAM-SHA-256$4096:AA==$AA==:AA==",
        "SCRAM-SHA-256$99999999999:AA==$AA==:AA==",
        "secret in the clear",
    ] {
        assert_eq!(
            Verifier::parse(stored).err(),
            Some(ScramFault::NotAVerifier)
        );
    }
}

#[test]
fn n05_a_decoy_is_stable_for_a_name_and_fits_no_password() {
    let key = Secret::new([7; 32]);
    let (anna, bert) = (UserName::new("anna"), UserName::new("bert"));
    let decoy = Verifier::decoy(&key, &anna);
    assert_eq!(decoy.salt, Verifier::decoy(&key, &anna).salt);
    assert_ne!(decoy.salt, Verifier::decoy(&key, &bert).salt);
    assert_eq!(decoy.salt.len(), Verifier::new(&secret("x")).salt.len());
    let keys = ClientKeys::of_password(&secret(""), &decoy.salt, decoy.iterations);
    assert_eq!(exchange(decoy, keys).err(), Some(ScramFault::Proof));
}

#[test]
fn n03_channel_binding_nonces_and_iterations_that_do_not_fit_end_the_exchange() {
    let verifier = Verifier::new(&secret("pencil"));
    for first in [
        "z,,n=,r=abc",
        "n,a=postgres,n=,r=abc",
        "n,,m=x,n=,r=abc",
        "n,,n=,r=",
        "n,,n=,r=a\u{7f}b",
        "n,,n=",
        "n,,",
        "n",
        "",
    ] {
        let fault = begin_unbound(first.as_bytes(), &verifier).err();
        assert_eq!(fault, Some(ScramFault::ClientMessage), "{first}");
    }
    assert!(begin_unbound(b"n,,n=,r=\xff", &verifier).is_err());
    let keys = ClientKeys::of_password(&secret("pencil"), &verifier.salt, verifier.iterations);
    let tampered: [fn(&str) -> String; 6] = [
        |m| m.replacen("c=biws", "c=eSws", 1), // "y,,"
        |m| m.replacen(",r=", ",r=x", 1),
        |m| m.replacen(",p=", ",p=AAAA", 1),
        |m| m[..m.len() - 8].to_owned(),
        |m| m.replacen(",p=", ",q=", 1),
        |_| String::new(),
    ];
    for tamper in tampered {
        let (client, first) = ClientExchange::begin(Binding::Nothing);
        let (server, server_first) = begin_unbound(first.as_bytes(), &verifier).unwrap();
        let (_, last) = respond(client, &server_first, keys.clone()).unwrap();
        assert!(server.finish(tamper(last.expose()).as_bytes()).is_err());
    }
}

fn begin_unbound(
    first: &[u8],
    verifier: &Verifier,
) -> Result<(ServerExchange, String), ScramFault> {
    ServerExchange::begin(Mechanism::Unbound, first, verifier.clone(), None)
}

#[test]
fn n03_a_channel_is_bound_or_the_exchange_ends() {
    let (own, other) = (end_point("localhost"), end_point("localhost"));
    let pair = || {
        let verifier = Verifier::of_password(&secret("pencil"), b"salt", 1);
        let keys = ClientKeys::of_password(&secret("pencil"), b"salt", 1);
        (verifier, keys)
    };
    let bound = bound_exchange(pair(), Binding::EndPoint(own.clone()), Some(&own)).unwrap();
    assert!(
        exchange(pair().0, bound).is_ok(),
        "the key serves on any channel"
    );
    assert!(bound_exchange(pair(), Binding::Nothing, Some(&own)).is_ok());
    assert!(bound_exchange(pair(), Binding::NotOffered, None).is_ok());
    for (binding, own) in [
        (Binding::EndPoint(other), Some(&own)), // somebody stands between
        (Binding::EndPoint(own.clone()), None),
        (Binding::NotOffered, Some(&own)), // somebody took the offer away
    ] {
        let fault = bound_exchange(pair(), binding, own).err();
        assert_eq!(fault, Some(ScramFault::Channel));
    }
    for (mechanism, first) in [
        (Mechanism::Unbound, "p=tls-server-end-point,,n=,r=abc"),
        (Mechanism::Plus, "n,,n=,r=abc"),
        (Mechanism::Plus, "y,,n=,r=abc"),
        (Mechanism::Plus, "p=tls-unique,,n=,r=abc"),
        (Mechanism::Plus, "p=,,n=,r=abc"),
    ] {
        let fault = ServerExchange::begin(mechanism, first.as_bytes(), pair().0, Some(&own)).err();
        assert_eq!(fault, Some(ScramFault::Channel), "{first}");
    }
    assert_eq!(
        Mechanism::by_name(b"SCRAM-SHA-256-PLUS"),
        Some(Mechanism::Plus)
    );
    assert_eq!(Mechanism::by_name(b"SCRAM-SHA-1"), None);
}

#[test]
fn a_server_that_does_not_extend_our_nonce_is_refused() {
    for first in [
        "r=abc,s=AA==,i=1",
        "r=xyz123,s=AA==,i=1",
        "m=1,r=abc1",
        "r=abc1",
        "r=abc1,s=AA==",
        "r=abc1,s=AA==,i=0",
        "r=abc1,s=AA==,i=4000000000",
        "r=abc1,s=A,i=1",
        "",
        "e=other-error",
    ] {
        let (client, _) = ClientExchange::with_nonce(Binding::Nothing, "abc".to_owned());
        let fault = respond(client, first, rfc_keys()).err();
        assert_eq!(fault, Some(ScramFault::ServerMessage), "{first}");
    }
}

#[test]
fn nothing_prints_a_key() {
    let verifier = Verifier::of_password(&secret("pencil"), b"salt", 1);
    assert_eq!(format!("{verifier:?}"), "Verifier");
    assert!(!format!("{:?}", rfc_keys()).contains(char::is_numeric));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn right_passwords_pass_and_others_do_not(
        password in "\\PC{1,24}", other in "[a-z]{25,30}", salt in prop::collection::vec(any::<u8>(), 1..32)
    ) {
        let verifier = Verifier::of_password(&secret(&password), &salt, 2);
        prop_assert!(exchange(verifier.clone(), ClientKeys::of_password(&secret(&password), &salt, 2)).is_ok());
        let wrong = exchange(verifier, ClientKeys::of_password(&secret(&other), &salt, 2));
        prop_assert_eq!(wrong.err(), Some(ScramFault::Proof));
    }

    #[test]
    fn no_message_makes_it_panic(first in prop::collection::vec(any::<u8>(), 0..80), last in "[nyp,=a-z]{0,60}") {
        let verifier = Verifier::of_password(&secret("x"), b"salt", 1);
        let _ = begin_unbound(&first, &verifier);
        let _ = begin_unbound(last.as_bytes(), &verifier);
        let (server, _) = begin_unbound(b"n,,n=,r=abc", &verifier).unwrap();
        let _ = server.finish(last.as_bytes());
        let (client, _) = ClientExchange::begin(Binding::Nothing);
        let _ = client.respond(&first, |_, _| Ok(rfc_keys()));
    }
}

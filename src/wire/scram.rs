//! SCRAM-SHA-256 (RFC 5802, RFC 7677) on both legs: as the server from a stored verifier, recovering the client
//! key from the proof, and as a client that logs in with that key instead of a password.
//!
//! The flow is in the types: [`ServerExchange`] → [`ClientKeys`] → [`ClientExchange`] → [`ClientFinal`]. pgwire
//! checks the client's proof; the client key, which it keeps to itself, is recovered here from the same messages.
//! It knows nothing of sockets, of users' rights, or of where a verifier comes from. No fault carries a message
//! of either side.
//!
//! *Why it is safe.* A verifier does not log in: the proof needs `ClientKey`, of which only the hash `StoredKey`
//! is stored. A `ClientKey` is as good as the password for this one verifier, so it lives in [`Secret`] only.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use pgwire::api::auth::sasl::scram::{
    ScramSecret, ScramServerAuth, ScramServerAuthWaitingForClientFinal, gen_salted_password,
};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroize as _;

use crate::ident::UserName;
use crate::limits::{SCRAM_ITERATIONS_MAX, SCRAM_MESSAGE_BYTES_MAX};
use crate::secret::Secret;

/// The mechanism's name in `AuthenticationSASL` (the only one offered; channel binding is not there yet).
pub const MECHANISM: &str = "SCRAM-SHA-256";

/// The iteration count PostgreSQL gives new verifiers by default, and unknown users get (manual, `scram_iterations`).
pub const ITERATIONS_DEFAULT: u32 = 4096;

/// Bytes of a salt PostgreSQL makes (source: `SCRAM_DEFAULT_SALT_LEN`), and of the salt of an unknown user.
const SALT_BYTES: usize = 16;

/// Why a SCRAM exchange ended; never with what was exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScramFault {
    /// The stored password is not a SCRAM-SHA-256 verifier.
    #[error("the stored password is not a SCRAM-SHA-256 verifier")]
    NotAVerifier,
    /// The client's message is not what RFC 5802 has at that place, or binds to another channel or nonce.
    #[error("the client's SCRAM message is malformed or belongs to another exchange")]
    ClientMessage,
    /// The client's proof does not fit the verifier: a wrong password or an unknown user.
    #[error("the client's SCRAM proof does not hold")]
    Proof,
    /// The server's message is not what RFC 5802 has at that place.
    #[error("the server's SCRAM message is malformed or belongs to another exchange")]
    ServerMessage,
    /// The server could not prove that it knows the verifier.
    #[error("the server's SCRAM signature does not hold")]
    ServerSignature,
}

/// A stored verifier, `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>` as in `pg_authid.rolpassword`.
#[derive(Clone)]
pub struct Verifier {
    iterations: u32,
    salt: Vec<u8>,
    stored_key: [u8; 32],
    server_key: Secret<[u8; 32]>,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier")
    }
}

impl Verifier {
    /// Reads a verifier from its stored form.
    ///
    /// # Errors
    /// [`ScramFault::NotAVerifier`] for anything else, an md5 hash among it.
    pub fn parse(stored: &str) -> Result<Self, ScramFault> {
        Self::parts(stored).ok_or(ScramFault::NotAVerifier)
    }

    fn parts(stored: &str) -> Option<Self> {
        let rest = stored.strip_prefix("SCRAM-SHA-256$")?;
        let (iterations_and_salt, keys) = rest.split_once('$')?;
        let (iterations, salt) = iterations_and_salt.split_once(':')?;
        let (stored_key, server_key) = keys.split_once(':')?;
        let iterations = iterations.parse().ok()?;
        if iterations == 0 || iterations > SCRAM_ITERATIONS_MAX {
            return None;
        }
        Some(Self {
            iterations,
            salt: STANDARD.decode(salt).ok()?,
            stored_key: decode_key(stored_key)?,
            server_key: Secret::new(decode_key(server_key)?),
        })
    }

    /// Makes the verifier PostgreSQL would store for a password (SASLprep, then PBKDF2; RFC 5802 section 3).
    pub fn of_password(password: &Secret<String>, salt: &[u8], iterations: u32) -> Self {
        let mut salted = gen_salted_password(password.expose(), salt, iterations.max(1) as usize);
        let mut client_key = hmac(&salted, &[b"Client Key"]);
        let stored_key = hash(&client_key);
        let server_key = hmac(&salted, &[b"Server Key"]);
        salted.zeroize();
        client_key.zeroize();
        Self {
            iterations: iterations.max(1),
            salt: salt.to_vec(),
            stored_key,
            server_key: Secret::new(server_key),
        }
    }

    /// Makes a new verifier for a password, with a random salt.
    pub fn new(password: &Secret<String>) -> Self {
        let salt: [u8; SALT_BYTES] = rand::random();
        Self::of_password(password, &salt, ITERATIONS_DEFAULT)
    }

    /// The verifier of a user that does not exist or has no usable password: stable for a name, so that nobody
    /// can tell it from a real one by asking twice, and one that no proof fits.
    ///
    /// *Why it is safe.* Its `StoredKey` is a PRF output; a proof would need a preimage of it under SHA-256.
    pub fn decoy(key: &Secret<[u8; 32]>, user: &UserName) -> Self {
        let derive = |label: &[u8]| hmac(key.expose(), &[label, b"\0", user.as_str().as_bytes()]);
        Self {
            iterations: ITERATIONS_DEFAULT,
            salt: derive(b"salt")[..SALT_BYTES].to_vec(),
            stored_key: derive(b"stored key"),
            server_key: Secret::new(derive(b"server key")),
        }
    }

    /// The stored form, for `CREATE ROLE … PASSWORD '…'`: so a plain password never stands in SQL.
    pub fn to_stored(&self) -> Secret<String> {
        Secret::new(format!(
            "SCRAM-SHA-256${}:{}${}:{}",
            self.iterations,
            STANDARD.encode(&self.salt),
            STANDARD.encode(self.stored_key),
            STANDARD.encode(self.server_key.expose())
        ))
    }
}

/// What a verified client leaves: enough to log in as that user to a server with the same verifier.
#[derive(Debug, Clone)]
pub struct ClientKeys {
    client_key: Secret<[u8; 32]>,
    server_key: Secret<[u8; 32]>,
}

impl ClientKeys {
    /// Derives the keys from a password and the salt and iterations of its verifier (RFC 5802 section 3).
    pub fn of_password(password: &Secret<String>, salt: &[u8], iterations: u32) -> Self {
        let mut salted = gen_salted_password(password.expose(), salt, iterations.max(1) as usize);
        let keys = Self {
            client_key: Secret::new(hmac(&salted, &[b"Client Key"])),
            server_key: Secret::new(hmac(&salted, &[b"Server Key"])),
        };
        salted.zeroize();
        keys
    }
}

/// pgveil as the SCRAM server, after client-first: waits for client-final.
pub struct ServerExchange {
    waiting: ScramServerAuthWaitingForClientFinal,
    verifier: Verifier,
    /// `client-first-message-bare "," server-first-message ","`: the head of RFC 5802's AuthMessage.
    auth_message_head: String,
}

impl fmt::Debug for ServerExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerExchange")
    }
}

impl ServerExchange {
    /// Takes client-first and answers server-first.
    ///
    /// The user named in it is ignored, as PostgreSQL does: the startup packet has named the user.
    ///
    /// # Errors
    /// [`ScramFault::ClientMessage`] when it is malformed or asks for channel binding.
    pub fn begin(client_first: &[u8], verifier: Verifier) -> Result<(Self, String), ScramFault> {
        let text = message(client_first).ok_or(ScramFault::ClientMessage)?;
        let bare = text
            .splitn(3, ',')
            .nth(2)
            .ok_or(ScramFault::ClientMessage)?;
        let nonce = bare.split(',').nth(1).and_then(|n| n.strip_prefix("r="));
        if nonce.is_none_or(|n| !printable(n)) {
            return Err(ScramFault::ClientMessage);
        }
        let secret = ScramSecret::Verifier {
            salt: verifier.salt.clone(),
            iterations: verifier.iterations as usize,
            stored_key: verifier.stored_key.to_vec(),
            server_key: verifier.server_key.expose().to_vec(),
        };
        let (server_first, waiting) = ScramServerAuth::new()
            .on_client_first_message_with_secret(client_first, secret)
            .map_err(|_| ScramFault::ClientMessage)?;
        let exchange = Self {
            waiting,
            verifier,
            auth_message_head: format!("{bare},{server_first},"),
        };
        Ok((exchange, server_first))
    }

    /// Takes client-final, checks the proof, and answers the user's keys and server-final.
    ///
    /// # Errors
    /// [`ScramFault::Proof`] when the password is wrong, [`ScramFault::ClientMessage`] for everything else.
    pub fn finish(self, client_final: &[u8]) -> Result<(ClientKeys, String), ScramFault> {
        let text = message(client_final).ok_or(ScramFault::ClientMessage)?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(ScramFault::ClientMessage)?;
        let proof = decode_key(proof).ok_or(ScramFault::ClientMessage)?;
        let verified = self.waiting.on_client_final_message(client_final);
        // ClientKey = ClientProof XOR HMAC(StoredKey, AuthMessage), RFC 5802 section 3.
        let signature = hmac(
            &self.verifier.stored_key,
            &[self.auth_message_head.as_bytes(), without_proof.as_bytes()],
        );
        let client_key = Secret::new(xor(&proof, &signature));
        let holds = hash(client_key.expose()).ct_eq(&self.verifier.stored_key);
        match (verified, bool::from(holds)) {
            (Ok(server_final), true) => Ok((
                ClientKeys {
                    client_key,
                    server_key: self.verifier.server_key,
                },
                server_final,
            )),
            (Err(_), true) => Err(ScramFault::ClientMessage), // proof right, nonce or channel binding not
            (_, false) => Err(ScramFault::Proof),
        }
    }
}

/// pgveil as the SCRAM client, after client-first: waits for server-first.
#[derive(Debug)]
pub struct ClientExchange {
    keys: ClientKeys,
    nonce: String,
}

impl ClientExchange {
    /// Starts an exchange with a fresh nonce and answers client-first.
    ///
    /// The user name in it is empty: PostgreSQL takes the startup packet's (manual, "SASL Authentication").
    pub fn begin(keys: ClientKeys) -> (Self, String) {
        Self::with_nonce(keys, STANDARD.encode(rand::random::<[u8; 18]>()))
    }

    fn with_nonce(keys: ClientKeys, nonce: String) -> (Self, String) {
        let first = format!("n,,n=,r={nonce}");
        (Self { keys, nonce }, first)
    }

    /// Takes server-first and answers client-final with the proof.
    ///
    /// # Errors
    /// [`ScramFault::ServerMessage`] when it is malformed or its nonce does not extend ours.
    pub fn respond(self, server_first: &[u8]) -> Result<(ClientFinal, Secret<String>), ScramFault> {
        let bare = format!("n=,r={}", self.nonce);
        self.respond_to(&bare, server_first)
    }

    fn respond_to(
        self,
        client_first_bare: &str,
        server_first: &[u8],
    ) -> Result<(ClientFinal, Secret<String>), ScramFault> {
        let text = message(server_first).ok_or(ScramFault::ServerMessage)?;
        let nonce = text
            .split(',')
            .next()
            .and_then(|part| part.strip_prefix("r="))
            .filter(|nonce| nonce.len() > self.nonce.len() && nonce.starts_with(&self.nonce))
            .ok_or(ScramFault::ServerMessage)?;
        let without_proof = format!("c=biws,r={nonce}"); // biws: base64 of the GS2 header "n,,"
        let auth_message = format!("{client_first_bare},{text},{without_proof}");
        let stored_key = hash(self.keys.client_key.expose());
        let signature = hmac(&stored_key, &[auth_message.as_bytes()]);
        let proof = Secret::new(xor(self.keys.client_key.expose(), &signature));
        let client_final = format!("{without_proof},p={}", STANDARD.encode(proof.expose()));
        let expected = hmac(self.keys.server_key.expose(), &[auth_message.as_bytes()]);
        Ok((ClientFinal { expected }, Secret::new(client_final)))
    }
}

/// pgveil as the SCRAM client, after client-final: waits for server-final.
#[derive(Debug)]
pub struct ClientFinal {
    expected: [u8; 32],
}

impl ClientFinal {
    /// Checks the server's signature.
    ///
    /// # Errors
    /// [`ScramFault::ServerSignature`] when it does not know the verifier, [`ScramFault::ServerMessage`] when the
    /// message is malformed.
    pub fn verify(self, server_final: &[u8]) -> Result<(), ScramFault> {
        let signature = message(server_final)
            .and_then(|text| text.split(',').next())
            .and_then(|part| part.strip_prefix("v="))
            .and_then(decode_key)
            .ok_or(ScramFault::ServerMessage)?;
        if bool::from(signature.ct_eq(&self.expected)) {
            Ok(())
        } else {
            Err(ScramFault::ServerSignature)
        }
    }
}

/// A SCRAM message as text, within its size.
fn message(bytes: &[u8]) -> Option<&str> {
    if bytes.len() > SCRAM_MESSAGE_BYTES_MAX {
        return None;
    }
    std::str::from_utf8(bytes).ok()
}

/// RFC 5802's `printable`: what a nonce may hold, of any length but none.
fn printable(nonce: &str) -> bool {
    !nonce.is_empty()
        && nonce
            .bytes()
            .all(|b| matches!(b, 0x21..=0x2b | 0x2d..=0x7e))
}

fn decode_key(base64: &str) -> Option<[u8; 32]> {
    STANDARD.decode(base64).ok()?.try_into().ok()
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length (RFC 2104)");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

fn xor(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    std::array::from_fn(|i| left[i] ^ right[i])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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

    /// Both of our own ends against each other.
    fn exchange(verifier: Verifier, keys: ClientKeys) -> Result<ClientKeys, ScramFault> {
        let (client, first) = ClientExchange::begin(keys);
        let (server, server_first) = ServerExchange::begin(first.as_bytes(), verifier)?;
        let (client, last) = client.respond(server_first.as_bytes())?;
        let (recovered, server_final) = server.finish(last.expose().as_bytes())?;
        client.verify(server_final.as_bytes())?;
        Ok(recovered)
    }

    #[test]
    fn rfc_7677_client() {
        let exchange = ClientExchange {
            keys: rfc_keys(),
            nonce: "rOprNGfwEbeRWgbNEkqO".to_owned(),
        };
        let bare = "n=user,r=rOprNGfwEbeRWgbNEkqO";
        let (last, client_final) = exchange
            .respond_to(bare, RFC_SERVER_FIRST.as_bytes())
            .unwrap();
        assert_eq!(client_final.expose(), RFC_CLIENT_FINAL);
        assert_eq!(last.verify(RFC_SERVER_FINAL.as_bytes()), Ok(()));
    }

    #[test]
    fn rfc_7677_client_refuses_another_signature() {
        let exchange = ClientExchange {
            keys: rfc_keys(),
            nonce: "rOprNGfwEbeRWgbNEkqO".to_owned(),
        };
        let (last, _) = exchange
            .respond_to("n=user,r=x", RFC_SERVER_FIRST.as_bytes())
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
            "p=tls-server-end-point,,n=,r=abc",
            "p=,,n=,r=abc",
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
            let fault = ServerExchange::begin(first.as_bytes(), verifier.clone()).err();
            assert_eq!(fault, Some(ScramFault::ClientMessage), "{first}");
        }
        assert!(ServerExchange::begin(b"n,,n=,r=\xff", verifier.clone()).is_err());
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
            let (client, first) = ClientExchange::begin(keys.clone());
            let (server, server_first) =
                ServerExchange::begin(first.as_bytes(), verifier.clone()).unwrap();
            let (_, last) = client.respond(server_first.as_bytes()).unwrap();
            assert!(server.finish(tamper(last.expose()).as_bytes()).is_err());
        }
    }

    #[test]
    fn a_server_that_does_not_extend_our_nonce_is_refused() {
        for first in [
            "r=abc,s=AA==,i=1",
            "r=xyz123,s=AA==,i=1",
            "m=1,r=abc1",
            "",
            "e=other-error",
        ] {
            let (client, _) = ClientExchange::with_nonce(rfc_keys(), "abc".to_owned());
            let fault = client.respond(first.as_bytes()).err();
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
            let _ = ServerExchange::begin(&first, verifier.clone());
            let _ = ServerExchange::begin(last.as_bytes(), verifier.clone());
            let (server, _) = ServerExchange::begin(b"n,,n=,r=abc", verifier).unwrap();
            let _ = server.finish(last.as_bytes());
            let (client, _) = ClientExchange::begin(rfc_keys());
            let _ = client.respond(&first);
        }
    }
}

//! SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677, RFC 5929) on both legs: as the server from a stored
//! verifier, recovering the client key from the proof, and as a client that logs in with that key instead of a
//! password.
//!
//! The flow is in the types: [`ServerExchange`] → [`ClientKeys`] → [`ClientExchange`] → [`ClientFinal`]. It knows
//! nothing of sockets, of users' rights, or of where a verifier comes from. No fault carries a message of either
//! side.
//!
//! *Why it is safe.* A verifier does not log in: the proof needs `ClientKey`, of which only the hash `StoredKey`
//! is stored. A `ClientKey` is as good as the password for this one verifier, so it lives in [`Secret`] only.
//! *Why the key serves on a channel that is bound too.* The proof is over the whole exchange, `c=` included, and
//! asks for nothing but `ClientKey` (RFC 5802 section 3): each leg binds its own channel.

mod client;
mod server;
mod verifier;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroize as _;

pub use client::{Binding, ClientExchange, ClientFinal};
pub use server::ServerExchange;
pub use verifier::{ITERATIONS_DEFAULT, Verifier};

use crate::limits::SCRAM_MESSAGE_BYTES_MAX;
use crate::secret::Secret;

/// A mechanism, by which exchange and channel are tied together or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// `SCRAM-SHA-256`
    Unbound,
    /// `SCRAM-SHA-256-PLUS`: the exchange holds in one TLS channel only
    Plus,
}

impl Mechanism {
    /// Its name in AuthenticationSASL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unbound => "SCRAM-SHA-256",
            Self::Plus => "SCRAM-SHA-256-PLUS",
        }
    }

    /// The mechanism of that name.
    pub fn by_name(name: &[u8]) -> Option<Self> {
        [Self::Unbound, Self::Plus]
            .into_iter()
            .find(|mechanism| mechanism.name().as_bytes() == name)
    }
}

/// The header of client-first that names what the channel is bound by (RFC 5929 section 4).
const BOUND_HEADER: &str = "p=tls-server-end-point,,";

/// Why a SCRAM exchange ended; never with what was exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScramFault {
    /// The stored password is not a SCRAM-SHA-256 verifier.
    #[error("the stored password is not a SCRAM-SHA-256 verifier")]
    NotAVerifier,
    /// The client's message is not what RFC 5802 has at that place, or binds to another nonce.
    #[error("the client's SCRAM message is malformed or belongs to another exchange")]
    ClientMessage,
    /// The client binds another channel than this one, or thinks that there is nothing to bind to: somebody may
    /// stand between.
    #[error("SCRAM channel binding check failed")]
    Channel,
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

/// What a verified client leaves: enough to log in as that user to a server with the same verifier.
#[derive(Debug, Clone)]
pub struct ClientKeys {
    client_key: Secret<[u8; 32]>,
    server_key: Secret<[u8; 32]>,
}

impl ClientKeys {
    /// Derives the keys from a password and the salt and iterations of its verifier (RFC 5802 section 3).
    pub fn of_password(password: &Secret<String>, salt: &[u8], iterations: u32) -> Self {
        let salted = salted_password(password, salt, iterations);
        Self {
            client_key: Secret::new(hmac(salted.expose(), &[b"Client Key"])),
            server_key: Secret::new(hmac(salted.expose(), &[b"Server Key"])),
        }
    }
}

/// `Hi(Normalize(password), salt, i)` of RFC 5802 section 3. A password that SASLprep does not take is used as it
/// is, as PostgreSQL does (`pg_saslprep`).
fn salted_password(password: &Secret<String>, salt: &[u8], iterations: u32) -> Secret<[u8; 32]> {
    let mut prepared = match stringprep::saslprep(password.expose()) {
        Ok(prepared) => prepared.into_owned(),
        Err(_) => password.expose().clone(),
    };
    let mut salted = Secret::new([0; 32]);
    pbkdf2::pbkdf2_hmac::<Sha256>(
        prepared.as_bytes(),
        salt,
        iterations.max(1),
        salted.expose_mut(),
    );
    prepared.zeroize();
    salted
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

/// A nonce of our own: 144 random bits.
fn nonce() -> String {
    STANDARD.encode(rand::random::<[u8; 18]>())
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
mod tests;

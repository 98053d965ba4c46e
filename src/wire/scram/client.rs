//! pgveil as the SCRAM client: logs in upstream with a user's keys.
//!
//! The server is not trusted: its nonce must extend ours, and its signature must hold.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq as _;

use super::{
    BOUND_HEADER, ClientKeys, Mechanism, ScramFault, decode_key, hash, hmac, message, nonce, xor,
};
use crate::limits::SCRAM_ITERATIONS_MAX;
use crate::secret::Secret;
use crate::wire::certificate::EndPoint;

/// What the exchange is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Binding {
    /// there is nothing to bind to: no TLS, or a certificate without a hash
    Nothing,
    /// the server offers no binding although it could: it is told that we would
    NotOffered,
    /// the server's certificate, as we see it
    EndPoint(EndPoint),
}

impl Binding {
    /// By what the server offers and what we see of its certificate.
    pub fn choose(offered: bool, seen: Option<EndPoint>) -> Self {
        match (offered, seen) {
            (_, None) => Self::Nothing,
            (false, Some(_)) => Self::NotOffered,
            (true, Some(end_point)) => Self::EndPoint(end_point),
        }
    }

    /// The mechanism to ask for.
    pub fn mechanism(&self) -> Mechanism {
        match self {
            Self::Nothing | Self::NotOffered => Mechanism::Unbound,
            Self::EndPoint(_) => Mechanism::Plus,
        }
    }

    fn header(&self) -> &'static str {
        match self {
            Self::Nothing => "n,,",
            Self::NotOffered => "y,,",
            Self::EndPoint(_) => BOUND_HEADER,
        }
    }

    /// The value of `c=`.
    fn channel(&self) -> String {
        let bytes = match self {
            Self::Nothing | Self::NotOffered => &[],
            Self::EndPoint(end_point) => end_point.as_bytes(),
        };
        STANDARD.encode([self.header().as_bytes(), bytes].concat())
    }
}

/// pgveil as the SCRAM client, after client-first: waits for server-first.
#[derive(Debug)]
pub struct ClientExchange {
    pub(super) binding: Binding,
    pub(super) nonce: String,
}

impl ClientExchange {
    /// Starts an exchange with a fresh nonce and answers client-first.
    ///
    /// The user name in it is empty: PostgreSQL takes the startup packet's (manual, "SASL Authentication").
    pub fn begin(binding: Binding) -> (Self, String) {
        Self::with_nonce(binding, nonce())
    }

    pub(super) fn with_nonce(binding: Binding, nonce: String) -> (Self, String) {
        let first = format!("{}n=,r={nonce}", binding.header());
        (Self { binding, nonce }, first)
    }

    /// Takes server-first and answers client-final with the proof. `keys` is asked once the salt and the
    /// iterations of the verifier are known.
    ///
    /// # Errors
    /// [`ScramFault::ServerMessage`] when it is malformed or its nonce does not extend ours.
    pub fn respond(
        self,
        server_first: &[u8],
        keys: impl FnOnce(&[u8], u32) -> Result<ClientKeys, ScramFault>,
    ) -> Result<(ClientFinal, Secret<String>), ScramFault> {
        let bare = format!("n=,r={}", self.nonce);
        self.respond_to(&bare, server_first, keys)
    }

    pub(super) fn respond_to(
        self,
        client_first_bare: &str,
        server_first: &[u8],
        keys: impl FnOnce(&[u8], u32) -> Result<ClientKeys, ScramFault>,
    ) -> Result<(ClientFinal, Secret<String>), ScramFault> {
        let text = message(server_first).ok_or(ScramFault::ServerMessage)?;
        let (nonce, salt, iterations) = server_parts(text).ok_or(ScramFault::ServerMessage)?;
        if nonce.len() <= self.nonce.len() || !nonce.starts_with(&self.nonce) {
            return Err(ScramFault::ServerMessage);
        }
        let keys = keys(&salt, iterations)?;
        let without_proof = format!("c={},r={nonce}", self.binding.channel());
        let auth_message = format!("{client_first_bare},{text},{without_proof}");
        let stored_key = hash(keys.client_key.expose());
        let signature = hmac(&stored_key, &[auth_message.as_bytes()]);
        let proof = Secret::new(xor(keys.client_key.expose(), &signature));
        let client_final = format!("{without_proof},p={}", STANDARD.encode(proof.expose()));
        let expected = hmac(keys.server_key.expose(), &[auth_message.as_bytes()]);
        Ok((ClientFinal { expected }, Secret::new(client_final)))
    }
}

/// Nonce, salt and iterations of server-first.
fn server_parts(text: &str) -> Option<(&str, Vec<u8>, u32)> {
    let mut parts = text.split(',');
    let nonce = parts.next()?.strip_prefix("r=")?;
    let salt = STANDARD.decode(parts.next()?.strip_prefix("s=")?).ok()?;
    let iterations: u32 = parts.next()?.strip_prefix("i=")?.parse().ok()?;
    ((1..=SCRAM_ITERATIONS_MAX).contains(&iterations)).then_some((nonce, salt, iterations))
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

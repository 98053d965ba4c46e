//! pgveil as the SCRAM server: client-first in, server-first out, client-final in, the user's keys out.
//!
//! Source: RFC 5802 sections 5 to 7; which faults, and in which order, as `read_client_first_message` and
//! `read_client_final_message` of PostgreSQL have them.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq as _;

use super::{
    BOUND_HEADER, ClientKeys, Mechanism, ScramFault, Verifier, decode_key, hash, hmac, message,
    nonce, printable, xor,
};
use crate::secret::Secret;
use crate::wire::certificate::EndPoint;

/// pgveil as the SCRAM server, after client-first: waits for client-final.
pub struct ServerExchange {
    verifier: Verifier,
    /// what client-final must say of the channel, in base64
    channel: String,
    /// the client's nonce and ours after it
    nonce: String,
    /// `client-first-message-bare "," server-first-message ","`: the head of RFC 5802's AuthMessage
    auth_message_head: String,
}

impl fmt::Debug for ServerExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerExchange")
    }
}

impl ServerExchange {
    /// Takes client-first and answers server-first. With `end_point` the mechanism PLUS was offered.
    ///
    /// The user named in it is ignored, as PostgreSQL does: the startup packet has named the user.
    ///
    /// # Errors
    /// [`ScramFault::Channel`] when the client binds what was not offered, or thinks that nothing was, and
    /// [`ScramFault::ClientMessage`] when the message is malformed.
    pub fn begin(
        mechanism: Mechanism,
        client_first: &[u8],
        verifier: Verifier,
        end_point: Option<&EndPoint>,
    ) -> Result<(Self, String), ScramFault> {
        let text = message(client_first).ok_or(ScramFault::ClientMessage)?;
        let mut parts = text.splitn(3, ',');
        let (Some(flag), Some(""), Some(bare)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(ScramFault::ClientMessage); // an identity to act for (`a=`) is not supported
        };
        let channel = channel(mechanism, flag, end_point)?;
        let client_nonce = client_nonce(bare).ok_or(ScramFault::ClientMessage)?;
        let nonce = format!("{client_nonce}{}", nonce());
        let salt = STANDARD.encode(&verifier.salt);
        let server_first = format!("r={nonce},s={salt},i={}", verifier.iterations);
        let exchange = Self {
            verifier,
            channel,
            nonce,
            auth_message_head: format!("{bare},{server_first},"),
        };
        Ok((exchange, server_first))
    }

    /// Takes client-final, checks the proof, and answers the user's keys and server-final.
    ///
    /// # Errors
    /// [`ScramFault::Channel`] when the client sees another certificate than pgveil's, [`ScramFault::Proof`] when
    /// the password is wrong, [`ScramFault::ClientMessage`] for everything else.
    pub fn finish(self, client_final: &[u8]) -> Result<(ClientKeys, String), ScramFault> {
        let text = message(client_final).ok_or(ScramFault::ClientMessage)?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(ScramFault::ClientMessage)?;
        let proof = decode_key(proof).ok_or(ScramFault::ClientMessage)?;
        let mut parts = without_proof.split(',');
        let channel = parts.next().and_then(|part| part.strip_prefix("c="));
        let nonce = parts.next().and_then(|part| part.strip_prefix("r="));
        let (Some(channel), Some(nonce)) = (channel, nonce) else {
            return Err(ScramFault::ClientMessage);
        };
        if channel != self.channel {
            return Err(ScramFault::Channel);
        }
        if nonce != self.nonce {
            return Err(ScramFault::ClientMessage);
        }
        // ClientKey = ClientProof XOR HMAC(StoredKey, AuthMessage), RFC 5802 section 3.
        let auth_message = [self.auth_message_head.as_bytes(), without_proof.as_bytes()];
        let signature = hmac(&self.verifier.stored_key, &auth_message);
        let client_key = Secret::new(xor(&proof, &signature));
        if !bool::from(hash(client_key.expose()).ct_eq(&self.verifier.stored_key)) {
            return Err(ScramFault::Proof);
        }
        let server_signature = hmac(self.verifier.server_key.expose(), &auth_message);
        let keys = ClientKeys {
            client_key,
            server_key: self.verifier.server_key,
        };
        Ok((keys, format!("v={}", STANDARD.encode(server_signature))))
    }
}

/// What client-final must say of the channel, in base64, by the mechanism and the flag of client-first (RFC 5802
/// section 6).
fn channel(
    mechanism: Mechanism,
    flag: &str,
    end_point: Option<&EndPoint>,
) -> Result<String, ScramFault> {
    match (mechanism, flag, end_point) {
        (Mechanism::Unbound, "n", _) => Ok(STANDARD.encode("n,,")),
        (Mechanism::Unbound, "y", None) => Ok(STANDARD.encode("y,,")),
        // The client would bind, and was told that nothing is offered: somebody took the offer away.
        (Mechanism::Unbound, "y", Some(_)) => Err(ScramFault::Channel),
        (Mechanism::Plus, flag, Some(end_point))
            if BOUND_HEADER.strip_suffix(",,") == Some(flag) =>
        {
            let bound = [BOUND_HEADER.as_bytes(), end_point.as_bytes()].concat();
            Ok(STANDARD.encode(bound))
        }
        (Mechanism::Unbound | Mechanism::Plus, flag, _) => match flag.as_bytes() {
            b"n" | b"y" | [b'p', b'=', ..] => Err(ScramFault::Channel),
            _ => Err(ScramFault::ClientMessage),
        },
    }
}

/// The nonce of client-first-message-bare. Attributes after it are extensions, to be ignored; `m=`, before it,
/// names one that must not be.
fn client_nonce(bare: &str) -> Option<&str> {
    let mut parts = bare.split(',');
    parts.next().filter(|user| user.starts_with("n="))?;
    let nonce = parts.next()?.strip_prefix("r=")?;
    printable(nonce).then_some(nonce)
}

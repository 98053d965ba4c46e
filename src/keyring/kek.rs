//! The key encryption key: wraps and unwraps DEKs, authenticates the keyring's file.
//!
//! Knows nothing of where its bytes come from, nor of what the file says.

use aes_siv::KeyInit as _;
use aes_siv::siv::Aes256Siv;
use hkdf::Hkdf;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use super::DEK_BYTES;
use crate::secret::Secret;

/// A KEK in two independent halves: one wraps, one authenticates the file.
pub(super) struct Kek {
    wrapping: Secret<[u8; 64]>,
    authenticating: Secret<[u8; 32]>,
}

impl Kek {
    /// Takes what the provider gave (at least 256 bits of entropy, or what a passphrase has) and the keyring's
    /// salt already mixed in.
    pub(super) fn new(material: &[u8; 64]) -> Self {
        let hkdf = Hkdf::<Sha256>::new(Some(b"pgveil kek 1"), material);
        let mut wrapping = [0; 64];
        let mut authenticating = [0; 32];
        hkdf.expand(b"pgveil wrap aes-256-siv 1", &mut wrapping)
            .and_then(|()| hkdf.expand(b"pgveil keyring file hmac-sha-256 1", &mut authenticating))
            .expect("at most 64 bytes are asked for, HKDF-SHA-256 gives 8160");
        Self {
            wrapping: Secret::new(wrapping),
            authenticating: Secret::new(authenticating),
        }
    }

    /// Wraps a DEK (RFC 5297, section 1.3.1: deterministic key wrap), bound to what `binding` names.
    pub(super) fn wrap(&self, binding: &[u8], dek: &[u8; DEK_BYTES]) -> Vec<u8> {
        Aes256Siv::new(self.wrapping.expose().into())
            .encrypt([binding], dek)
            .expect("one header, RFC 5297 allows 126, and the buffer is a Vec that grows")
    }

    /// Unwraps a DEK; None when it is not authentic in this place.
    pub(super) fn unwrap(&self, binding: &[u8], wrapped: &[u8]) -> Option<Secret<[u8; DEK_BYTES]>> {
        let plain = Secret::new(
            Aes256Siv::new(self.wrapping.expose().into())
                .decrypt([binding], wrapped)
                .ok()?,
        );
        let dek: [u8; DEK_BYTES] = plain.expose().as_slice().try_into().ok()?;
        Some(Secret::new(dek))
    }

    /// HMAC-SHA-256 over the file's fields.
    pub(super) fn authenticate(&self, fields: &[u8]) -> [u8; 32] {
        self.hmac(fields).finalize().into_bytes().into()
    }

    /// Whether the code belongs to the fields, in constant time.
    pub(super) fn is_authentic(&self, fields: &[u8], code: &[u8; 32]) -> bool {
        self.hmac(fields).verify_slice(code).is_ok()
    }

    fn hmac(&self, fields: &[u8]) -> Hmac<Sha256> {
        let mut hmac = Hmac::<Sha256>::new_from_slice(self.authenticating.expose())
            .expect("HMAC takes a key of any length (RFC 2104)");
        hmac.update(fields);
        hmac
    }
}

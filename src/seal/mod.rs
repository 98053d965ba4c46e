//! Sealed values: a canonical value becomes bytes that only its domain's key opens, and only in its place.
//!
//! Knows canonical bytes, keys and what a value is bound to. Knows nothing of types beyond their class, of
//! policy, of SQL or of the wire.
//!
//! # Why it is safe
//!
//! AES-256-SIV (RFC 5297): `SIV = S2V[k1](format, domain, key version, type class, order term, nonce, attribute?,
//! value)`, `ciphertext = CTR[k2, SIV](value)`. Each piece of associated data is an S2V string of its own, so no
//! two bindings give the same input. Deterministic where a value must be comparable (no nonce): equal values are
//! then equal bytes, which is the one thing that leaks. Elsewhere a random nonce of 128 bits hides equality.
//! A tag that does not hold gives no plain byte.

mod cipher;
mod envelope;

use std::collections::BTreeMap;

use rand::Rng as _;

use crate::ident::{AttributeId, DomainId, KeyVersion};
use crate::keyring::{DomainKeys, KeyringFault, Label, VersionState};
use crate::secret::Secret;
use crate::types::TypeClass;

use cipher::StripedSiv;
use envelope::{FORMAT, HEADER_BYTES, NONCE_BYTES, SIV_BYTES};
pub use envelope::{HEAD_BYTES, Header, prefix, sealed_bytes};

/// What a sealed value is, for one attribute: everything beside the key that it is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding {
    /// the type class of the domain
    pub class: TypeClass,
    /// the attribute's number, where the domain has this attribute only; None in a shared domain
    pub attribute: Option<AttributeId>,
    /// whether the server compares what is stored (`equal`): then equal values are equal bytes
    pub comparable: bool,
}

/// Why a value is not sealed or not opened. Never carries the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealFault {
    /// Not a sealed value at all: plain text, or cut within its head.
    #[error("the stored value is not a sealed value")]
    NotSealed,
    /// A sealed value of a format that this version does not know.
    #[error("the stored value has sealed format {0}, which is not known here")]
    FormatUnknown(u8),
    /// Sealed in another domain.
    #[error("the stored value was sealed in domain {}, not {}", found.0, expected.0)]
    OtherDomain {
        /// the domain its head names
        found: DomainId,
        /// the domain of the attribute
        expected: DomainId,
    },
    /// Sealed under a version that is destroyed or unknown.
    #[error("the stored value was sealed with key version {}, which cannot be used", .0.0)]
    NoSuchVersion(KeyVersion),
    /// The tag does not hold: altered, cut, or moved from another attribute or type.
    #[error("the stored value is not authentic")]
    NotAuthentic,
    /// A thread panicked while it held the key; the key schedule is not trusted afterwards.
    #[error("the sealing key is unusable after a crash of another thread")]
    Unusable,
}

impl From<KeyringFault> for SealFault {
    fn from(fault: KeyringFault) -> Self {
        match fault {
            KeyringFault::NoSuchVersion { version, .. } => Self::NoSuchVersion(version),
            // A subkey's only fault is the version; any other here would be a bug, and nothing may be sealed.
            _ => Self::Unusable,
        }
    }
}

/// Seals and opens the values of one attribute. Keys are scheduled once, here; share it between threads.
#[derive(Debug)]
pub struct Sealer {
    domain: DomainId,
    active: KeyVersion,
    binding: Binding,
    ciphers: BTreeMap<KeyVersion, StripedSiv>,
}

impl Sealer {
    /// Schedules the keys of every version that still opens.
    ///
    /// # Errors
    /// [`SealFault::NoSuchVersion`] when the active version has no key.
    pub fn new(keys: &DomainKeys, binding: Binding) -> Result<Self, SealFault> {
        let mut ciphers = BTreeMap::new();
        for (version, state) in keys.versions() {
            if state != VersionState::Destroyed {
                let key = keys.subkey(version, Label::SEAL)?;
                ciphers.insert(version, StripedSiv::new(key.expose()));
            }
        }
        let active = keys.active();
        if !ciphers.contains_key(&active) {
            return Err(SealFault::NoSuchVersion(active));
        }
        Ok(Self {
            domain: keys.id(),
            active,
            binding,
            ciphers,
        })
    }

    /// The domain whose key it has.
    pub fn domain(&self) -> DomainId {
        self.domain
    }

    /// The version it seals with.
    pub fn version(&self) -> KeyVersion {
        self.active
    }

    /// What its values are bound to.
    pub fn binding(&self) -> Binding {
        self.binding
    }

    /// Seals a canonical value with the active version.
    ///
    /// # Errors
    /// [`SealFault::Unusable`].
    pub fn seal(&self, canonical: &[u8]) -> Result<Vec<u8>, SealFault> {
        let mut nonce = [0; NONCE_BYTES];
        if !self.binding.comparable {
            rand::rng().fill_bytes(&mut nonce);
        }
        self.seal_with(canonical, &nonce)
    }

    /// Seals under a given nonce, which a comparable binding ignores.
    fn seal_with(&self, canonical: &[u8], nonce: &[u8; NONCE_BYTES]) -> Result<Vec<u8>, SealFault> {
        let nonce: &[u8] = if self.binding.comparable { &[] } else { nonce };
        let body = HEADER_BYTES + nonce.len();
        let mut sealed = Vec::with_capacity(body + SIV_BYTES + canonical.len());
        sealed.extend_from_slice(&prefix(self.domain));
        sealed.extend_from_slice(&self.active.0.to_be_bytes());
        sealed.extend_from_slice(nonce);
        sealed.extend_from_slice(&[0; SIV_BYTES]);
        sealed.extend_from_slice(canonical);
        let siv = self.with_associated(self.active, nonce, |cipher, associated| {
            cipher.encrypt(associated, &mut sealed[body + SIV_BYTES..])
        })?;
        sealed[body..body + SIV_BYTES].copy_from_slice(&siv);
        Ok(sealed)
    }

    /// Opens what [`Sealer::seal`] gave, for the same binding.
    ///
    /// # Errors
    /// Any [`SealFault`]; [`SealFault::NotAuthentic`] when the tag does not hold.
    pub fn open(&self, sealed: &[u8]) -> Result<Secret<Vec<u8>>, SealFault> {
        let header = Header::parse(sealed)?;
        if header.domain != self.domain {
            return Err(SealFault::OtherDomain {
                found: header.domain,
                expected: self.domain,
            });
        }
        let nonce_bytes = if self.binding.comparable {
            0
        } else {
            NONCE_BYTES
        };
        let (nonce, rest) = sealed[HEADER_BYTES..]
            .split_at_checked(nonce_bytes)
            .ok_or(SealFault::NotSealed)?;
        let (siv, ciphertext) = rest
            .split_first_chunk::<SIV_BYTES>()
            .ok_or(SealFault::NotSealed)?;
        let mut plain = Secret::new(ciphertext.to_vec());
        self.with_associated(header.version, nonce, |cipher, associated| {
            cipher.decrypt(associated, siv, plain.expose_mut())
        })?;
        Ok(plain)
    }

    /// Runs one operation with the version's cipher and the associated data, in the order the format fixes.
    fn with_associated<T>(
        &self,
        version: KeyVersion,
        nonce: &[u8],
        run: impl FnOnce(&StripedSiv, &[&[u8]]) -> Result<T, SealFault>,
    ) -> Result<T, SealFault> {
        let cipher = self
            .ciphers
            .get(&version)
            .ok_or(SealFault::NoSuchVersion(version))?;
        let domain = self.domain.0.to_be_bytes();
        let version = version.0.to_be_bytes();
        let class = [self.binding.class as u8];
        let attribute = self.binding.attribute.map(|id| id.0.to_be_bytes());
        let order_term: &[u8] = &[];
        let all: [&[u8]; 7] = [
            &[FORMAT],
            &domain,
            &version,
            &class,
            order_term,
            nonce,
            attribute.as_ref().map_or(&[], |id| id.as_slice()),
        ];
        let count = if attribute.is_some() { 7 } else { 6 };
        run(cipher, &all[..count])
    }
}

#[cfg(test)]
mod tests;

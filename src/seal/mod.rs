//! Sealed values: a canonical value becomes bytes that only its domain's key opens, and only in its place.
//!
//! Knows canonical bytes, keys and what a value is bound to. Knows nothing of types beyond their class, of
//! policy, of SQL or of the wire.
//!
//! # Why it is safe
//!
//! AES-256-SIV (RFC 5297): `SIV = S2V[k1](format, domain, key version, type class, term, nonce, attribute?, value)`,
//! `ciphertext = CTR[k2, SIV](value)`. Each piece of associated data is an S2V string of its own, so no two bindings
//! give the same input. Deterministic where equal values must be equal bytes (no nonce): their equality is then the
//! one thing that leaks. Elsewhere a random nonce of 128 bits hides equality. Where PostgreSQL's equality is coarser
//! than identity, a keyed term of the normal form stands beside the nonce: it shows which values PostgreSQL calls
//! equal, and not which of those are the same. The term is associated data: exchanged for another it makes the value
//! not open. A tag that does not hold gives no plain byte.

mod envelope;
mod siv;
mod term;

use std::collections::BTreeMap;

use rand::Rng as _;

use crate::ident::{AttributeId, DomainId, KeyVersion};
use crate::keyring::{DomainKeys, KeyringFault, Label, VersionState};
use crate::secret::Secret;
use crate::types::{self, TypeClass};

use envelope::{FORMAT, HEADER_BYTES, NONCE_BYTES, SIV_BYTES, TERM_BYTES};
pub use envelope::{HEAD_BYTES, Header, prefix, sealed_bytes};
use siv::{Associated, S2v, Siv, StringMac};
use term::TermKey;

/// What the server can compare of sealed values, without a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// nothing: a random nonce hides which are equal
    Never,
    /// equal values are equal bytes
    Bytes,
    /// equal values have equal heads ([`HEAD_BYTES`]) and differ behind them
    Heads,
}

/// What a sealed value is, for one attribute: everything beside the key that it is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding {
    /// the type class of the domain
    pub class: TypeClass,
    /// the class of an array's elements, by which arrays are equal; None of what is no array
    pub element: Option<TypeClass>,
    /// the attribute's number, where the domain has this attribute only; None in a shared domain
    pub attribute: Option<AttributeId>,
    /// how the server compares what is stored
    pub comparison: Comparison,
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
    /// The attribute's values are sealed so that nothing compares with them.
    #[error("the attribute is sealed so that its values cannot be compared")]
    NotComparable,
    /// The keyring gave no key, for a reason that no value has.
    #[error("the sealing key cannot be used")]
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
    keys: BTreeMap<KeyVersion, VersionKeys>,
}

/// The scheduled keys of one version.
#[derive(Debug)]
struct VersionKeys {
    siv: Siv,
    /// S2V after the associated data that stands before the term
    bound: S2v,
    /// of the attribute's number, where it is associated data
    attribute: Option<StringMac>,
    /// where equality lies in a term
    term: Option<TermKey>,
}

impl VersionKeys {
    fn new(keys: &DomainKeys, version: KeyVersion, binding: &Binding) -> Result<Self, SealFault> {
        let siv = Siv::new(keys.subkey(version, Label::SEAL)?.expose());
        let term = match binding.comparison {
            Comparison::Never | Comparison::Bytes => None,
            Comparison::Heads => {
                let key = keys.subkey(version, Label::EQUAL)?;
                Some(TermKey::new(key.expose(), keys.id(), version, binding))
            }
        };
        let bound = siv
            .start()
            .then(siv.string(&[FORMAT]))
            .then(siv.string(&keys.id().0.to_be_bytes()))
            .then(siv.string(&version.0.to_be_bytes()))
            .then(siv.string(&[binding.class as u8]));
        let attribute = binding.attribute.map(|id| siv.string(&id.0.to_be_bytes()));
        Ok(Self {
            siv,
            bound,
            attribute,
            term,
        })
    }

    /// All associated data, in the order the format fixes: the strings are the term and the nonce.
    fn associated<'a>(&self, strings: &'a [&'a [u8]; 2]) -> Associated<'a> {
        Associated {
            before: self.bound,
            strings,
            after: self.attribute,
        }
    }
}

impl Sealer {
    /// Schedules the keys of every version that still opens.
    ///
    /// # Errors
    /// [`SealFault::NoSuchVersion`] when the active version has no key.
    pub fn new(keys: &DomainKeys, binding: Binding) -> Result<Self, SealFault> {
        let mut scheduled = BTreeMap::new();
        for (version, state) in keys.versions() {
            if state != VersionState::Destroyed {
                scheduled.insert(version, VersionKeys::new(keys, version, &binding)?);
            }
        }
        let active = keys.active();
        if !scheduled.contains_key(&active) {
            return Err(SealFault::NoSuchVersion(active));
        }
        Ok(Self {
            domain: keys.id(),
            active,
            binding,
            keys: scheduled,
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
    /// [`SealFault::NotComparable`] where the class has no normal form yet.
    pub fn seal(&self, canonical: &[u8]) -> Result<Vec<u8>, SealFault> {
        let mut nonce = [0; NONCE_BYTES];
        if self.binding.comparison != Comparison::Bytes {
            rand::rng().fill_bytes(&mut nonce);
        }
        self.seal_with(canonical, &nonce)
    }

    /// Seals under a given nonce, which a binding without one ignores.
    fn seal_with(&self, canonical: &[u8], nonce: &[u8; NONCE_BYTES]) -> Result<Vec<u8>, SealFault> {
        let keys = self.version_keys(self.active)?;
        let (term_bytes, nonce_bytes) = envelope::parts(self.binding.comparison);
        let nonce = &nonce[..nonce_bytes];
        let body = HEADER_BYTES + term_bytes + nonce_bytes;
        let mut sealed = Vec::with_capacity(body + SIV_BYTES + canonical.len());
        self.push_header(&mut sealed);
        if let Some(key) = &keys.term {
            sealed.extend_from_slice(&self.term(key, canonical)?);
        }
        sealed.extend_from_slice(nonce);
        sealed.extend_from_slice(&[0; SIV_BYTES]);
        sealed.extend_from_slice(canonical);
        let (head, value) = sealed.split_at_mut(body + SIV_BYTES);
        let term = &head[HEADER_BYTES..HEADER_BYTES + term_bytes];
        let siv = keys.siv.encrypt(keys.associated(&[term, nonce]), value);
        head[body..].copy_from_slice(&siv);
        Ok(sealed)
    }

    /// What a canonical value is compared by with what is stored: the head where equality lies in a term, the sealed
    /// value itself where equal values are equal bytes.
    ///
    /// # Errors
    /// [`SealFault::NotComparable`].
    pub fn seal_compared(&self, canonical: &[u8]) -> Result<Vec<u8>, SealFault> {
        match (
            self.binding.comparison,
            &self.version_keys(self.active)?.term,
        ) {
            (Comparison::Bytes, _) => self.seal(canonical),
            (Comparison::Heads, Some(key)) => {
                let mut head = Vec::with_capacity(HEAD_BYTES);
                self.push_header(&mut head);
                head.extend_from_slice(&self.term(key, canonical)?);
                Ok(head)
            }
            (Comparison::Never | Comparison::Heads, _) => Err(SealFault::NotComparable),
        }
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
        let (term_bytes, nonce_bytes) = envelope::parts(self.binding.comparison);
        let (in_clear, rest) = sealed[HEADER_BYTES..]
            .split_at_checked(term_bytes + nonce_bytes)
            .ok_or(SealFault::NotSealed)?;
        let (siv, ciphertext) = rest
            .split_first_chunk::<SIV_BYTES>()
            .ok_or(SealFault::NotSealed)?;
        let keys = self.version_keys(header.version)?;
        let mut plain = Secret::new(ciphertext.to_vec());
        let (term, nonce) = in_clear.split_at(term_bytes);
        let strings = [term, nonce];
        keys.siv
            .decrypt(keys.associated(&strings), siv, plain.expose_mut())?;
        Ok(plain)
    }

    fn version_keys(&self, version: KeyVersion) -> Result<&VersionKeys, SealFault> {
        let keys = self.keys.get(&version);
        keys.ok_or(SealFault::NoSuchVersion(version))
    }

    fn push_header(&self, sealed: &mut Vec<u8>) {
        sealed.extend_from_slice(&prefix(self.domain));
        sealed.extend_from_slice(&self.active.0.to_be_bytes());
    }

    fn term(&self, key: &TermKey, canonical: &[u8]) -> Result<[u8; TERM_BYTES], SealFault> {
        let normal = types::normal(self.binding.class, self.binding.element, canonical);
        normal
            .map(|normal| key.term(&normal))
            .ok_or(SealFault::NotComparable)
    }
}

#[cfg(test)]
mod tests;

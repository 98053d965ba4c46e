//! One attribute's values: plain, in binary form → what lies in the database, and the test of what lies there.
//!
//! Every value it writes has been read back in memory first: what does not open to itself is never stored.

use crate::ident::{DomainId, KeyVersion};
use crate::keyring::{Keyring, KeyringFault, Label};
use crate::policy::decide::{Store, Treated};
use crate::seal::{Binding, SealFault, Sealer};
use crate::secret::Secret;
use crate::token::{TokenFault, Tokeniser};
use crate::types::{self, LogicalType, ValueFault};

/// Why a value has no stored form. Never carries the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConvertFault {
    /// The value is none that pgveil can carry in its type.
    #[error(transparent)]
    Value(#[from] ValueFault),
    /// The value has no token.
    #[error(transparent)]
    Token(#[from] TokenFault),
    /// The value could not be sealed, or what is stored does not open.
    #[error(transparent)]
    Seal(#[from] SealFault),
    /// What was made of the value does not read back as the value: our bug, and nothing is written.
    #[error("what was made of it does not read back as the same value")]
    NotReversible,
}

/// Why an attribute has no converter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConverterFault {
    /// The keyring has no key for it yet; `apply` makes one.
    #[error("the keyring has no key for {0} yet")]
    NoKey(String),
    /// The key cannot be used.
    #[error(transparent)]
    Seal(#[from] SealFault),
    /// The key cannot be used.
    #[error(transparent)]
    Keyring(#[from] KeyringFault),
}

enum Kind {
    Seal(Sealer),
    Tokenise(Tokeniser),
}

/// Makes and tests the stored values of one attribute.
pub(super) struct Converter {
    logical: LogicalType,
    kind: Kind,
    domain: DomainId,
    version: KeyVersion,
}

impl Converter {
    /// Takes the attribute's keys from the keyring; None for an attribute that is stored plain.
    ///
    /// # Errors
    /// [`ConverterFault`] when the keyring lacks the domain or the attribute's number.
    pub(super) fn new(
        treated: &Treated,
        keyring: &Keyring,
    ) -> Result<Option<Self>, ConverterFault> {
        let missing = || ConverterFault::NoKey(treated.name.to_string());
        let keys = || keyring.domain(&treated.domain).ok_or_else(missing);
        let (kind, keys) = match &treated.store {
            Store::Plain => return Ok(None),
            Store::Encrypt { .. } => {
                let attribute = match treated.domain_is_own {
                    true => Some(keyring.attribute_id(&treated.name).ok_or_else(missing)?),
                    false => None,
                };
                let binding = Binding {
                    class: treated.logical.class(),
                    attribute,
                    comparable: treated.compares_equal(),
                };
                (Kind::Seal(Sealer::new(keys()?, binding)?), keys()?)
            }
            Store::Tokenise(format) => {
                let keys = keys()?;
                let key = keys.subkey(keys.active(), Label::TOKEN)?;
                let tokeniser = Tokeniser::new(key.expose(), &treated.domain, format.clone());
                (Kind::Tokenise(tokeniser), keys)
            }
        };
        Ok(Some(Self {
            logical: treated.logical,
            kind,
            domain: keys.id(),
            version: keys.active(),
        }))
    }

    /// The domain and the key version it writes with.
    pub(super) fn key(&self) -> (DomainId, KeyVersion) {
        (self.domain, self.version)
    }

    /// Whether it seals (else it tokenises).
    pub(super) fn seals(&self) -> bool {
        matches!(self.kind, Kind::Seal(_))
    }

    /// What is stored for a value in PostgreSQL's binary form.
    ///
    /// # Errors
    /// [`ConvertFault`] when the value has no stored form.
    pub(super) fn store(&self, plain: &[u8]) -> Result<Vec<u8>, ConvertFault> {
        self.store_canonical(Secret::new(types::from_binary(self.logical, plain)?))
    }

    /// What is stored for a default's literal.
    ///
    /// # Errors
    /// As [`Converter::store`].
    pub(super) fn store_literal(&self, literal: &str) -> Result<Vec<u8>, ConvertFault> {
        let settings = types::TextSettings::default();
        let canonical = types::from_text(self.logical, literal.as_bytes(), &settings)?;
        self.store_canonical(Secret::new(types::coerce(self.logical, canonical, false)?))
    }

    fn store_canonical(&self, canonical: Secret<Vec<u8>>) -> Result<Vec<u8>, ConvertFault> {
        let stored = match &self.kind {
            Kind::Seal(sealer) => sealer.seal(canonical.expose())?,
            Kind::Tokenise(tokeniser) => {
                let token = tokeniser.tokenise(text(canonical.expose())?)?;
                types::coerce(self.logical, token.into_bytes(), false)?
            }
        };
        match self.read(&stored)? == canonical {
            true => Ok(stored),
            false => Err(ConvertFault::NotReversible),
        }
    }

    /// The canonical value behind a stored one.
    ///
    /// # Errors
    /// [`ConvertFault`] when it does not open, or is no token of this format.
    pub(super) fn read(&self, stored: &[u8]) -> Result<Secret<Vec<u8>>, ConvertFault> {
        match &self.kind {
            Kind::Seal(sealer) => Ok(sealer.open(stored)?),
            Kind::Tokenise(tokeniser) => Ok(Secret::new(
                tokeniser.detokenise(text(stored)?)?.into_bytes(),
            )),
        }
    }
}

/// Tokens are made of text.
fn text(bytes: &[u8]) -> Result<&str, ConvertFault> {
    std::str::from_utf8(bytes).map_err(|_| ConvertFault::Token(TokenFault::Malformed))
}

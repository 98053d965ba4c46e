//! One attribute's values: plain, in binary form → what lies in the database, and the test of what lies there.
//!
//! Every value it writes has been read back in memory first: what does not open to itself is never stored.

use crate::ident::{DomainId, KeyVersion};
use crate::keyring::Keyring;
use crate::policy::decide::{Store, Treated};
use crate::secret::Secret;
use crate::types::{self, LogicalType, ServerVersion, TextSettings, TypeClass, ValueFault};
use crate::values::{AttributeKeys, KeyFault, StoreFault, StoredValue};

/// Why a value has no stored form. Never carries the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConvertFault {
    /// The value is none that pgveil can carry in its type.
    #[error(transparent)]
    Value(#[from] ValueFault),
    /// The value has no token, could not be sealed, or what is stored does not open.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// What was made of the value does not read back as the value: our bug, and nothing is written.
    #[error("what was made of it does not read back as the same value")]
    NotReversible,
}

/// Why an attribute has no converter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{attribute}: {fault}")]
pub struct ConverterFault {
    /// the attribute
    pub attribute: String,
    /// why its keys cannot be used
    pub fault: KeyFault,
}

/// Makes and tests the stored values of one attribute.
pub(super) struct Converter {
    logical: LogicalType,
    seals: bool,
    keys: AttributeKeys,
    domain: DomainId,
    version: KeyVersion,
    server: ServerVersion,
}

impl Converter {
    /// Takes the attribute's keys from the keyring; None for an attribute that is stored plain.
    ///
    /// # Errors
    /// [`ConverterFault`] when the keyring lacks the domain or the attribute's number.
    pub(super) fn new(
        treated: &Treated,
        keyring: &Keyring,
        server: ServerVersion,
    ) -> Result<Option<Self>, ConverterFault> {
        let because = |fault| ConverterFault {
            attribute: treated.name.to_string(),
            fault,
        };
        let seals = match &treated.store {
            Store::Plain => return Ok(None),
            Store::Encrypt { .. } => true,
            Store::Tokenise(_) => false,
        };
        let keys = AttributeKeys::new(keyring, treated).map_err(because)?;
        let domain = keyring
            .domain(&treated.domain)
            .ok_or_else(|| because(KeyFault::NoDomain(treated.domain.clone())))?;
        Ok(Some(Self {
            logical: treated.logical,
            seals,
            keys,
            domain: domain.id(),
            version: domain.active(),
            server,
        }))
    }

    /// The domain and the key version it writes with.
    pub(super) fn key(&self) -> (DomainId, KeyVersion) {
        (self.domain, self.version)
    }

    /// Whether it seals (else it tokenises).
    pub(super) fn seals(&self) -> bool {
        self.seals
    }

    /// The type that holds what is stored on its way into the column.
    pub(super) fn holder_type(&self) -> String {
        match (self.seals, self.logical.class()) {
            (true, _) => "bytea".to_owned(),
            // Texts of any length: a token that is too long for its column has been refused.
            (false, TypeClass::Text) => "text".to_owned(),
            (false, _) => self.logical.sql(),
        }
    }

    /// A stored token as text, read alike under any setting.
    ///
    /// # Errors
    /// [`ValueFault`] when it is no value of the attribute's type.
    pub(super) fn token_text(&self, stored: &[u8]) -> Result<String, ValueFault> {
        let token = types::from_binary(self.logical, stored, self.server)?;
        let text = types::to_text(self.logical, &token, &self.settings())?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// The settings that `settings` pins, and the server's version.
    fn settings(&self) -> TextSettings {
        TextSettings {
            version: self.server,
            ..TextSettings::default()
        }
    }

    /// What is stored for a value in PostgreSQL's binary form.
    ///
    /// # Errors
    /// [`ConvertFault`] when the value has no stored form.
    pub(super) fn store(&self, plain: &[u8]) -> Result<Vec<u8>, ConvertFault> {
        self.store_canonical(Secret::new(types::from_binary(
            self.logical,
            plain,
            self.server,
        )?))
    }

    /// What is stored for a default's literal.
    ///
    /// # Errors
    /// As [`Converter::store`].
    pub(super) fn store_literal(&self, literal: &str) -> Result<Vec<u8>, ConvertFault> {
        let canonical = types::from_text(self.logical, literal.as_bytes(), &self.settings())?;
        let canonical = types::coerce(self.logical, canonical, false, self.server)?;
        self.store_canonical(Secret::new(canonical))
    }

    fn store_canonical(&self, canonical: Secret<Vec<u8>>) -> Result<Vec<u8>, ConvertFault> {
        let stored = match self.keys.store(canonical.expose())? {
            StoredValue::Sealed(sealed) => sealed,
            StoredValue::Token(token) => {
                let token = types::coerce(self.logical, token, false, self.server)?;
                types::to_binary(self.logical, &token, self.server)?
            }
        };
        match self.read(&stored)? == canonical {
            true => Ok(stored),
            false => Err(ConvertFault::NotReversible),
        }
    }

    /// The canonical value behind a stored one, in PostgreSQL's binary form.
    ///
    /// # Errors
    /// [`ConvertFault`] when it does not open, or is no token of this format.
    pub(super) fn read(&self, stored: &[u8]) -> Result<Secret<Vec<u8>>, ConvertFault> {
        if self.seals {
            return Ok(self.keys.read(stored)?);
        }
        let token = types::from_binary(self.logical, stored, self.server)?;
        Ok(self.keys.read(&token)?)
    }
}

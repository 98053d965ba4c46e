//! Turns a result's value into what the role gets: opened, detokenised, masked, tokenised, emptied or as stored.
//!
//! Hot: called for every value of every treated column. No key is scheduled here; the value moves from buffer to
//! buffer, and what is not sent on is overwritten.

use crate::policy::decide::{Show, Store, Treated};
use crate::seal::SealFault;
use crate::secret::Secret;
use crate::statement::plan::ColumnPlan;
use crate::token::TokenFault;
use crate::types::{self, LogicalType, TextSettings, TypeClass, ValueFault};

use super::Vault;
use super::fault::ShowFault;
use super::keys::{AtRest, AttributeKeys};
use super::read::{from_server, unsupported_format};

/// The formats of a column: 0 text, 1 binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Formats {
    /// what the server sent the column in
    pub server: i16,
    /// what the client asked for
    pub client: i16,
}

/// The type a client is shown for a column of the attribute: bytea for a sealed one as it is stored, else its own.
pub fn shown_type(attribute: &Treated, show: &Show) -> LogicalType {
    match (show, &attribute.store) {
        (Show::Stored, Store::Encrypt { .. }) => LogicalType::Bytea,
        (Show::Stored, Store::Plain | Store::Tokenise(_))
        | (
            Show::Plain | Show::Mask(_) | Show::Token(_) | Show::Null | Show::Refuse,
            Store::Plain | Store::Encrypt { .. } | Store::Tokenise(_),
        ) => attribute.logical,
    }
}

impl Vault {
    /// What a role gets of one value of a result column; None is NULL.
    ///
    /// [`ColumnPlan::Pass`] gives the server's bytes, in the server's format.
    ///
    /// # Errors
    /// [`ShowFault`]: with XX001, what is stored was altered; the result must stop there.
    pub fn show(
        &self,
        plan: &ColumnPlan,
        formats: Formats,
        settings: &TextSettings,
        value: Option<&[u8]>,
    ) -> Result<Option<Vec<u8>>, ShowFault> {
        let (attribute, show) = match plan {
            ColumnPlan::Pass => return Ok(value.map(<[u8]>::to_vec)),
            ColumnPlan::Open { attribute, show } => (attribute, show),
        };
        let attribute_name = || attribute.name.clone();
        let keys = match show {
            Show::Refuse => {
                return Err(ShowFault::Refused {
                    attribute: attribute_name(),
                });
            }
            Show::Null => return Ok(None),
            Show::Plain | Show::Mask(_) | Show::Token(_) | Show::Stored => {
                self.keys(attribute).map_err(|fault| ShowFault::Key {
                    attribute: attribute_name(),
                    fault,
                })?
            }
        };
        let Some(bytes) = value else {
            return Ok(None);
        };
        let column = Column {
            attribute,
            keys,
            formats,
            settings,
        };
        column
            .shown(show, bytes)
            .map(Some)
            .map_err(|why| why.of(attribute))
    }
}

/// One column of a result, with all that its values are shown by.
struct Column<'a> {
    attribute: &'a Treated,
    keys: &'a AttributeKeys,
    formats: Formats,
    settings: &'a TextSettings,
}

/// A [`ShowFault`] before its attribute's name is put to it.
enum Why {
    Seal(SealFault),
    Token(TokenFault),
    Mask(crate::mask::MaskFault),
    Value(ValueFault),
}

impl Why {
    fn of(self, treated: &Treated) -> ShowFault {
        let attribute = treated.name.clone();
        match self {
            Self::Seal(fault) => ShowFault::Seal { attribute, fault },
            Self::Token(fault) => ShowFault::Token { attribute, fault },
            Self::Mask(fault) => ShowFault::Mask { attribute, fault },
            Self::Value(fault) => ShowFault::Value { attribute, fault },
        }
    }
}

impl Column<'_> {
    fn shown(&self, show: &Show, bytes: &[u8]) -> Result<Vec<u8>, Why> {
        match show {
            Show::Plain => {
                if matches!(self.keys.at_rest(), AtRest::Plain)
                    && self.formats.server == self.formats.client
                {
                    return Ok(bytes.to_vec());
                }
                self.written(self.canonical(bytes)?)
            }
            Show::Mask(mask) => {
                let canonical = self.canonical(bytes)?;
                let masked = mask
                    .apply(self.attribute.logical, canonical.expose(), self.keys.mask())
                    .map_err(Why::Mask)?;
                self.written(Secret::new(masked))
            }
            Show::Token(format) => {
                let canonical = self.canonical(bytes)?;
                let tokeniser = self.keys.shown(format);
                let tokeniser = tokeniser.ok_or(Why::Mask(crate::mask::MaskFault::Misfit))?;
                let token = tokeniser.tokenise(canonical.expose()).map_err(Why::Token)?;
                self.written(Secret::new(token))
            }
            Show::Stored => self.stored(bytes),
            // Answered before the keys were looked for.
            Show::Null | Show::Refuse => Ok(Vec::new()),
        }
    }

    /// The value itself, in canonical form.
    fn canonical(&self, bytes: &[u8]) -> Result<Secret<Vec<u8>>, Why> {
        match self.keys.at_rest() {
            AtRest::Sealed(sealer) => match self.formats.server {
                0 => sealer.open(&bytea_of_text(bytes)?),
                1 => sealer.open(bytes),
                _ => return Err(Why::Value(unsupported_format())),
            }
            .map_err(Why::Seal),
            AtRest::Tokenised(tokeniser) => {
                let token = self.as_it_lies(bytes)?;
                tokeniser
                    .detokenise(token.expose())
                    .map(Secret::new)
                    .map_err(Why::Token)
            }
            AtRest::Plain => self.as_it_lies(bytes),
        }
    }

    /// What lies in the database in the type's own form, in canonical form.
    fn as_it_lies(&self, bytes: &[u8]) -> Result<Secret<Vec<u8>>, Why> {
        from_server(self.attribute, self.formats.server, bytes, self.settings).map_err(Why::Value)
    }

    /// A canonical value in the client's format.
    fn written(&self, mut canonical: Secret<Vec<u8>>) -> Result<Vec<u8>, Why> {
        let logical = self.attribute.logical;
        match (self.formats.client, logical.class()) {
            (0 | 1, TypeClass::Text) | (1, TypeClass::Bytea) => {
                Ok(std::mem::take(canonical.expose_mut()))
            }
            (0, _) => {
                types::to_text(logical, canonical.expose(), self.settings).map_err(Why::Value)
            }
            (1, _) => types::to_binary(logical, canonical.expose(), self.settings.version)
                .map_err(Why::Value),
            _ => Err(Why::Value(unsupported_format())),
        }
    }

    /// What lies in the database, in the client's format.
    fn stored(&self, bytes: &[u8]) -> Result<Vec<u8>, Why> {
        match (
            self.keys.at_rest(),
            self.formats.server,
            self.formats.client,
        ) {
            (_, server, client) if server == client => Ok(bytes.to_vec()),
            (AtRest::Sealed(_), 0, 1) => bytea_of_text(bytes),
            (AtRest::Sealed(_), 1, 0) => Ok(format!("\\x{}", hex::encode(bytes)).into_bytes()),
            (AtRest::Tokenised(_) | AtRest::Plain, 0 | 1, 0 | 1) => {
                self.written(self.as_it_lies(bytes)?)
            }
            _ => Err(Why::Value(unsupported_format())),
        }
    }
}

/// The bytes of a bytea's text form: hex, or escape where the session has set `bytea_output` so.
fn bytea_of_text(text: &[u8]) -> Result<Vec<u8>, Why> {
    if let Some(digits) = text.strip_prefix(b"\\x") {
        return hex::decode(digits).map_err(|_| Why::Seal(SealFault::NotSealed));
    }
    types::from_text(LogicalType::Bytea, text, &TextSettings::default())
        .map_err(|_| Why::Seal(SealFault::NotSealed))
}

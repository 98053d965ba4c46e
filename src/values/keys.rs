//! The keys of one attribute: from a canonical value to what lies in the database and back.
//!
//! Knows keys and canonical values; knows nothing of literals, parameters or formats.

use crate::catalog::Stored;
use crate::ident::{DomainId, KeyVersion};
use crate::keyring::{DomainKeys, Keyring, Label};
use crate::mask::MaskKey;
use crate::policy::decide::{Show, Store, Treated};
use crate::seal::{Binding, SealFault, Sealer};
use crate::secret::Secret;
use crate::token::{TokenFault, TokenFormat, Tokeniser};

use super::fault::KeyFault;

/// What lies in the database for a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredValue {
    /// a sealed value, physical type bytea
    Sealed(Vec<u8>),
    /// a token in canonical form, physical type as the logical one
    Token(Vec<u8>),
}

/// How the attribute's values lie, with the key for it.
#[derive(Debug)]
pub(super) enum AtRest {
    Plain,
    Sealed(Sealer),
    Tokenised(Box<Tokeniser>),
}

/// The scheduled keys of one attribute.
#[derive(Debug)]
pub struct AttributeKeys {
    at_rest: AtRest,
    /// of the tokens that some role is shown
    shown: Vec<(TokenFormat, Tokeniser)>,
    /// of the masks with a key that some role is shown
    mask: Option<MaskKey>,
}

/// Why a value cannot be stored, or what is stored not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreFault {
    /// it has no token
    #[error(transparent)]
    Token(#[from] TokenFault),
    /// it could not be sealed
    #[error(transparent)]
    Seal(#[from] SealFault),
    /// the attribute is stored plain
    #[error("the attribute is stored plain")]
    Plain,
}

impl AttributeKeys {
    /// The keys that an attribute is to be treated with: the active version of its domain.
    ///
    /// # Errors
    /// [`KeyFault`] when the keyring lacks its domain, its number or a key.
    pub fn new(keyring: &Keyring, treated: &Treated) -> Result<Self, KeyFault> {
        Self::build(keyring, treated, None)
    }

    /// The keys that an attribute was treated with, as the database records it.
    pub(super) fn recorded(
        keyring: &Keyring,
        treated: &Treated,
        stored: &Stored,
    ) -> Result<Self, KeyFault> {
        let record = match (stored, &treated.store) {
            (Stored::Plain | Stored::OnRecord { .. }, Store::Plain) => None,
            (
                Stored::Sealed {
                    domain, version, ..
                },
                Store::Encrypt { .. },
            )
            | (
                Stored::Tokenised {
                    domain, version, ..
                },
                Store::Tokenise(_),
            ) => Some((*domain, *version)),
            (
                Stored::Plain
                | Stored::OnRecord { .. }
                | Stored::Sealed { .. }
                | Stored::Tokenised { .. }
                | Stored::Altered { .. },
                _,
            ) => return Err(KeyFault::NotApplied),
        };
        Self::build(keyring, treated, record)
    }

    fn build(
        keyring: &Keyring,
        treated: &Treated,
        record: Option<(DomainId, KeyVersion)>,
    ) -> Result<Self, KeyFault> {
        let formats = shown_formats(treated);
        let masks_by_key = treated
            .sight
            .values()
            .any(|sight| matches!(&sight.show, Show::Mask(mask) if mask.needs_key()));
        if treated.store == Store::Plain && formats.is_empty() && !masks_by_key {
            return Ok(Self {
                at_rest: AtRest::Plain,
                shown: Vec::new(),
                mask: None,
            });
        }
        let domain = keyring
            .domain(&treated.domain)
            .ok_or_else(|| KeyFault::NoDomain(treated.domain.clone()))?;
        if let Some((recorded, _)) = record
            && recorded != domain.id()
        {
            return Err(KeyFault::OtherDomain {
                recorded,
                keyring: domain.id(),
            });
        }
        let at_rest = match &treated.store {
            Store::Plain => AtRest::Plain,
            Store::Encrypt { .. } => {
                let binding = Binding {
                    class: treated.logical.class(),
                    element: treated.logical.element_class(),
                    attribute: own_number(keyring, treated)?,
                    comparison: treated.comparison(),
                };
                AtRest::Sealed(Sealer::new(domain, binding)?)
            }
            Store::Tokenise(format) => {
                let version = record.map_or(domain.active(), |(_, version)| version);
                AtRest::Tokenised(Box::new(tokeniser(domain, version, treated, format)?))
            }
        };
        let shown = formats
            .into_iter()
            .map(|format| {
                let tokeniser = tokeniser(domain, domain.active(), treated, &format)?;
                Ok((format, tokeniser))
            })
            .collect::<Result<_, KeyFault>>()?;
        let mask = match masks_by_key {
            true => {
                let key = domain.subkey(domain.active(), Label::MASK)?;
                Some(MaskKey::new(key.expose()))
            }
            false => None,
        };
        Ok(Self {
            at_rest,
            shown,
            mask,
        })
    }

    /// What lies in the database for a canonical value of the attribute's type (its modifier already applied).
    ///
    /// # Errors
    /// [`StoreFault`] when the value has no token, or the attribute is stored plain.
    pub fn store(&self, canonical: &[u8]) -> Result<StoredValue, StoreFault> {
        match &self.at_rest {
            AtRest::Sealed(sealer) => Ok(StoredValue::Sealed(sealer.seal(canonical)?)),
            AtRest::Tokenised(tokeniser) => Ok(StoredValue::Token(tokeniser.tokenise(canonical)?)),
            AtRest::Plain => Err(StoreFault::Plain),
        }
    }

    /// What a canonical value is compared by with what lies in the database.
    ///
    /// # Errors
    /// As [`AttributeKeys::store`], and [`SealFault::NotComparable`].
    pub fn compared(&self, canonical: &[u8]) -> Result<StoredValue, StoreFault> {
        match &self.at_rest {
            AtRest::Sealed(sealer) => Ok(StoredValue::Sealed(sealer.seal_compared(canonical)?)),
            AtRest::Tokenised(_) | AtRest::Plain => self.store(canonical),
        }
    }

    /// The canonical value behind what lies in the database: opened, or brought back from its token in canonical form.
    ///
    /// # Errors
    /// [`StoreFault`] when it does not open, is no token, or the attribute is stored plain.
    pub fn read(&self, stored: &[u8]) -> Result<Secret<Vec<u8>>, StoreFault> {
        match &self.at_rest {
            AtRest::Sealed(sealer) => Ok(sealer.open(stored)?),
            AtRest::Tokenised(tokeniser) => Ok(Secret::new(tokeniser.detokenise(stored)?)),
            AtRest::Plain => Err(StoreFault::Plain),
        }
    }

    pub(super) fn at_rest(&self) -> &AtRest {
        &self.at_rest
    }

    /// The key of masks, where some role is shown one that has a key.
    pub(super) fn mask(&self) -> Option<&MaskKey> {
        self.mask.as_ref()
    }

    /// The tokeniser of a format that some role is shown.
    pub(super) fn shown(&self, format: &TokenFormat) -> Option<&Tokeniser> {
        self.shown
            .iter()
            .find(|(shown, _)| shown == format)
            .map(|(_, tokeniser)| tokeniser)
    }
}

/// The token formats that some role is shown, each once.
fn shown_formats(treated: &Treated) -> Vec<TokenFormat> {
    let mut formats: Vec<TokenFormat> = Vec::new();
    for sight in treated.sight.values() {
        if let Show::Token(format) = &sight.show
            && !formats.contains(format)
        {
            formats.push(format.clone());
        }
    }
    formats
}

/// The attribute's number, where it is associated data.
fn own_number(
    keyring: &Keyring,
    treated: &Treated,
) -> Result<Option<crate::ident::AttributeId>, KeyFault> {
    if !treated.domain_is_own {
        return Ok(None);
    }
    let number = keyring.attribute_id(&treated.name);
    number.map(Some).ok_or(KeyFault::NoAttribute)
}

fn tokeniser(
    keys: &DomainKeys,
    version: KeyVersion,
    treated: &Treated,
    format: &TokenFormat,
) -> Result<Tokeniser, KeyFault> {
    let key = keys.subkey(version, Label::TOKEN)?;
    Ok(Tokeniser::new(
        key.expose(),
        &treated.domain,
        format.clone(),
        treated.logical,
    ))
}

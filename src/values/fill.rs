//! Fills what a plan leaves open: literals in the text, parameters at Bind.
//!
//! A sealed literal is written ` E'\\x…'::pg_catalog.bytea `, a token as a string literal, an array as a literal of
//! its text form: whatever `standard_conforming_strings` and `search_path` are, they read alike. Spaces keep them off
//! the words beside them.

use std::sync::Arc;

use crate::ident::quote_literal;
use crate::policy::decide::{Store, Treated};
use crate::secret::Secret;
use crate::statement::plan::{LiteralSlot, ParameterPlan, Piece, Plan, Shape};
use crate::token::{self, TokenFault, TokenFormat};
use crate::types::{self, LogicalType, ServerVersion, TextSettings, oid};

use super::fault::{FillFault, KeyFault};
use super::keys::{AttributeKeys, StoreFault, StoredValue};
use super::read::Reading;
use super::{Ready, Vault};

/// A parameter as the client gave it.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    /// the type it declared in Parse, 0 for none
    pub oid: u32,
    /// whether that type is the domain that the column is declared with; `oid` is then its base type
    pub of_domain: bool,
    /// the format of its Bind: 0 text, 1 binary
    pub format: i16,
    /// the value; None is NULL
    pub value: Option<&'a [u8]>,
    /// the types that it declared of all parameters, as far as it did
    pub declared: &'a [u32],
}

/// The type to declare upstream for a parameter that meets a treated attribute: `bytea` or `bytea[]` where it is
/// sealed, the attribute's type or its array type where it is tokenised.
pub fn parameter_oid(plan: &ParameterPlan) -> u32 {
    let logical = plan.attribute.logical;
    match (&plan.attribute.store, plan.shape) {
        (Store::Encrypt { .. }, Shape::Value) => oid::BYTEA,
        (Store::Encrypt { .. }, Shape::Array) => oid::BYTEA_ARRAY,
        (Store::Plain | Store::Tokenise(_), Shape::Value) => logical.oid(),
        (Store::Plain | Store::Tokenise(_), Shape::Array) => logical.array_oid(),
    }
}

/// The format (0 text, 1 binary) of what [`Vault::fill_parameter`] gives: binary where it is sealed, the client's
/// where it is tokenised.
pub fn parameter_format(plan: &ParameterPlan, client_format: i16) -> i16 {
    match plan.attribute.store {
        Store::Encrypt { .. } => 1,
        Store::Plain | Store::Tokenise(_) => client_format,
    }
}

impl Vault {
    /// The text of a plan with its slots filled.
    ///
    /// # Errors
    /// [`FillFault`] for the first literal that PostgreSQL would not take or that cannot be stored.
    pub fn fill(&self, plan: &Plan, settings: &TextSettings) -> Result<Ready, FillFault> {
        let mut text = String::new();
        for piece in plan.pieces() {
            match piece {
                Piece::Text(verbatim) => text.push_str(verbatim),
                Piece::Slot(slot) => {
                    text.push(' ');
                    text.push_str(&self.literal(slot, settings)?);
                    text.push(' ');
                }
            }
        }
        Ok(Ready::filled(text))
    }

    /// A slot as an SQL literal.
    fn literal(&self, slot: &LiteralSlot, settings: &TextSettings) -> Result<String, FillFault> {
        let filling = Filling::new(self, &slot.attribute, (slot.assigned, slot.token.as_ref()))?;
        let reading = Reading::of_literal(slot, settings);
        let bytes = slot.text.expose().as_bytes();
        match slot.shape {
            Shape::Value => Ok(match filling.value(&reading, bytes)? {
                StoredValue::Sealed(sealed) => {
                    format!("E'\\\\x{}'::pg_catalog.bytea", hex::encode(sealed))
                }
                StoredValue::Token(token) => {
                    let text = filling.written(Form::Text, StoredValue::Token(token))?;
                    // The text form of a token, of whatever type, is UTF-8.
                    let literal = quote_literal(&String::from_utf8_lossy(&text));
                    format!(
                        "{literal}{}",
                        token_cast(slot.attribute.logical, slot.shape)
                    )
                }
            }),
            Shape::Array => {
                let elements = filling.elements(&reading, bytes)?;
                let text = types::array::to_text(&filling.written_each(Form::Text, elements)?);
                // Hexadecimal and text: an array's text form of them is UTF-8.
                let literal = quote_literal(&String::from_utf8_lossy(&text));
                Ok(match slot.attribute.store {
                    Store::Encrypt { .. } => format!("{literal}::pg_catalog.bytea[]"),
                    Store::Plain | Store::Tokenise(_) => {
                        format!(
                            "{literal}{}",
                            token_cast(slot.attribute.logical, slot.shape)
                        )
                    }
                })
            }
        }
    }

    /// A parameter as it goes upstream, of the type [`parameter_oid`] and the format [`parameter_format`] say.
    ///
    /// # Errors
    /// [`FillFault`] when PostgreSQL would not take the value or it cannot be stored.
    pub fn fill_parameter(
        &self,
        plan: &ParameterPlan,
        given: Given<'_>,
        settings: &TextSettings,
    ) -> Result<Option<Vec<u8>>, FillFault> {
        let Some(bytes) = given.value else {
            return Ok(None);
        };
        let filling = Filling::new(self, &plan.attribute, (plan.assigned, plan.token.as_ref()))?;
        let reading = Reading::of_parameter(plan, given, settings);
        let form = match parameter_format(plan, given.format) {
            0 => Form::Text,
            _ => Form::Binary,
        };
        match plan.shape {
            Shape::Value => {
                let stored = filling.value(&reading, bytes)?;
                filling.written(form, stored).map(Some)
            }
            Shape::Array => {
                let elements = filling.elements(&reading, bytes)?;
                let written = filling.written_each(form, elements)?;
                if form == Form::Text {
                    return Ok(Some(types::array::to_text(&written)));
                }
                let element_oid = match plan.attribute.store {
                    Store::Encrypt { .. } => oid::BYTEA,
                    Store::Plain | Store::Tokenise(_) => plan.attribute.logical.oid(),
                };
                types::array::to_binary(element_oid, &written)
                    .map(Some)
                    .map_err(|fault| filling.value_fault(fault))
            }
        }
    }
}

/// How a stored value is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Binary,
}

/// The cast behind a token's literal, so that it is of its type wherever it stands; a text needs none.
fn token_cast(logical: LogicalType, shape: Shape) -> String {
    let array = match shape {
        Shape::Value => "",
        Shape::Array => "[]",
    };
    match logical {
        LogicalType::Int4 => format!("::pg_catalog.int4{array}"),
        LogicalType::Int8 => format!("::pg_catalog.int8{array}"),
        LogicalType::Date => format!("::pg_catalog.date{array}"),
        LogicalType::Uuid => format!("::pg_catalog.uuid{array}"),
        _ => String::new(),
    }
}

/// The elements of an array as they are stored; None is NULL.
struct StoredElements(Vec<Option<StoredValue>>);

/// What is filled in for one attribute.
struct Filling<'v> {
    attribute: &'v Arc<Treated>,
    keys: &'v AttributeKeys,
    assigned: bool,
    /// the format of the tokens that are given in place of values
    token: Option<&'v TokenFormat>,
}

impl<'v> Filling<'v> {
    fn new(
        vault: &'v Vault,
        attribute: &'v Arc<Treated>,
        (assigned, token): (bool, Option<&'v TokenFormat>),
    ) -> Result<Self, FillFault> {
        let keys = vault.keys(attribute).map_err(|fault| FillFault::Key {
            attribute: attribute.name.clone(),
            fault,
        })?;
        Ok(Self {
            attribute,
            keys,
            assigned,
            token,
        })
    }

    fn value(&self, reading: &Reading<'_>, bytes: &[u8]) -> Result<StoredValue, FillFault> {
        let canonical = reading.value(bytes).map_err(|f| self.value_fault(f))?;
        self.stored(canonical)
    }

    fn elements(&self, reading: &Reading<'_>, bytes: &[u8]) -> Result<StoredElements, FillFault> {
        let elements = reading.elements(bytes).map_err(|f| self.value_fault(f))?;
        elements
            .into_iter()
            .map(|element| element.map(|canonical| self.stored(canonical)).transpose())
            .collect::<Result<_, _>>()
            .map(StoredElements)
    }

    fn stored(&self, given: Secret<Vec<u8>>) -> Result<StoredValue, FillFault> {
        let attribute = || self.attribute.name.clone();
        let canonical = match self.token {
            None => given,
            Some(format) => {
                let tokeniser = self.keys.shown(format).ok_or_else(|| FillFault::Key {
                    attribute: attribute(),
                    fault: KeyFault::OtherPolicy,
                })?;
                match tokeniser.detokenise(given.expose()) {
                    Ok(value) => Secret::new(value),
                    // What is no token equals no sealed value, and neither does the empty bytea.
                    Err(_) => return Ok(StoredValue::Sealed(Vec::new())),
                }
            }
        };
        let stored = match self.assigned {
            true => self.keys.store(canonical.expose()),
            false => self.keys.compared(canonical.expose()),
        };
        let stored = match stored {
            Ok(stored) => stored,
            // What has no token equals no token: nobody's token stands in its place.
            Err(StoreFault::Token(
                TokenFault::TooFewDigits { .. }
                | TokenFault::TooFewValues { .. }
                | TokenFault::NotOfFormat(_)
                | TokenFault::TooLong { .. },
            )) if !self.assigned => StoredValue::Token(token::nobodys(self.attribute.logical)),
            Err(StoreFault::Token(fault)) => {
                return Err(FillFault::Token {
                    attribute: attribute(),
                    fault,
                });
            }
            Err(StoreFault::Seal(fault)) => {
                return Err(FillFault::Seal {
                    attribute: attribute(),
                    fault,
                });
            }
            Err(StoreFault::Plain) => {
                return Err(FillFault::StoredPlain {
                    attribute: attribute(),
                });
            }
        };
        if let (StoredValue::Token(token), LogicalType::Varchar(Some(limit))) =
            (&stored, self.attribute.logical)
            && self.assigned
        {
            let characters = String::from_utf8_lossy(token).chars().count();
            if characters > limit as usize {
                return Err(FillFault::TokenTooLong {
                    attribute: attribute(),
                    characters,
                    limit,
                });
            }
        }
        Ok(stored)
    }

    fn written(&self, form: Form, stored: StoredValue) -> Result<Vec<u8>, FillFault> {
        let logical = self.attribute.logical;
        match (form, stored) {
            (Form::Text, StoredValue::Sealed(sealed)) => {
                Ok(format!("\\x{}", hex::encode(sealed)).into_bytes())
            }
            (Form::Binary, StoredValue::Sealed(sealed)) => Ok(sealed),
            // In a form that is read alike under any setting.
            (Form::Text, StoredValue::Token(token)) => {
                types::to_text(logical, &token, &TextSettings::default())
                    .map_err(|fault| self.value_fault(fault))
            }
            (Form::Binary, StoredValue::Token(token)) => {
                types::to_binary(logical, &token, ServerVersion::default())
                    .map_err(|fault| self.value_fault(fault))
            }
        }
    }

    fn written_each(
        &self,
        form: Form,
        elements: StoredElements,
    ) -> Result<Vec<Option<Vec<u8>>>, FillFault> {
        let written = |element: Option<StoredValue>| {
            element.map(|stored| self.written(form, stored)).transpose()
        };
        elements.0.into_iter().map(written).collect()
    }

    fn value_fault(&self, fault: types::ValueFault) -> FillFault {
        FillFault::Value {
            attribute: self.attribute.name.clone(),
            fault,
        }
    }
}

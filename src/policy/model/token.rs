//! Tokens as a policy writes them.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;

use crate::document::shapes::{At, Shorthand};

/// A token: its shape and what of the value is kept.
///
/// FF1 (NIST SP 800-38G rev. 1) needs a million values: what has fewer left to replace (six digits) is refused
/// when it is written (22023). Only `text` and `varchar` hold tokens.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Which characters are replaced, and by what.
    pub format: At<TokenWord>,
    /// Digits kept at the start, of `digits`.
    #[serde(default)]
    pub keep_first: Option<At<u32>>,
    /// Digits kept at the end, of `digits`.
    #[serde(default)]
    pub keep_last: Option<At<u32>>,
    /// The key domain it shares with other columns (in `store` only).
    #[serde(default)]
    pub domain: Option<At<String>>,
}

impl Shorthand for Token {
    const MARK: &'static str = "$short:format";

    fn word_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<TokenWord>()
    }
}

/// The shape of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenWord {
    /// Digits become other digits; all other characters stay in place. At least six digits must be left to
    /// replace: with `keep_first: 3`, nine digits in all.
    Digits,
    /// The local part of an e-mail becomes a longer code; the domain part is kept.
    Email,
    /// Letters and digits become others. Not enforced by this version yet.
    Alphanumeric,
    /// A UUID becomes another. Not enforced by this version yet.
    Uuid,
    /// An integer becomes another. Not enforced by this version yet.
    Integer,
    /// A date becomes another, from the year 1 to 9999. Not enforced by this version yet.
    Date,
    /// A card number becomes another with a right Luhn digit. Not enforced by this version yet.
    BankCard,
    /// A Chinese identity number becomes another with a right check digit. Not enforced by this version yet.
    IdNumber,
}

//! Tokens as a policy writes them.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;

use crate::document::shapes::{At, Shorthand};

/// A token: its shape and what of the value is kept.
///
/// A token is of the same type as the value. FF1 (NIST SP 800-38G rev. 1) needs a million values: what has fewer left
/// to replace (six digits) is refused when it is written (22023).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Which characters are replaced, and by what.
    pub format: At<TokenWord>,
    /// Digits kept at the start, of `digits` and `bank_card`; letters and digits, of `alphanumeric`.
    #[serde(default)]
    pub keep_first: Option<At<u32>>,
    /// The same at the end.
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
    /// On text: digits become other digits; all other characters stay in place. At least six digits must be left to
    /// replace: with `keep_first: 3`, nine digits in all.
    Digits,
    /// On text: the local part of an e-mail becomes a longer code; the domain part is kept.
    Email,
    /// On text: letters and digits become others of their kind (digits, capital letters, small letters); all other
    /// characters stay in place.
    Alphanumeric,
    /// On `uuid`: another of the same version and variant.
    Uuid,
    /// On `int4` and `int8`: another of the same type and sign. The lowest value of the type has no token.
    Integer,
    /// On `date`: another, from the year 1 to 9999; other dates have no token.
    Date,
    /// On text: digits become others so that the Luhn sum stays: a right card number has a right token, a wrong one a
    /// wrong one. With `keep_first: 6` the issuer is kept. At least seven digits must be left to replace.
    BankCard,
    /// On text: a Chinese identity number of 18 or 15 characters becomes another of the same region with its check
    /// digit; birthdays are from 1900 to 2099. Any other text has no token.
    IdNumber,
}

//! Masks as a policy writes them.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::document::shapes::At;

/// One way from a value to what a role may see of it. Masks count characters, not bytes.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mask {
    /// `***`, whatever the value. Leaks only whether it is NULL.
    Redact,
    /// Keeps some characters, hides the rest. Leaks the length. Example: `{ partial: { last: 4 } }`.
    Partial(Partial),
    /// `a***@example.com`. Leaks the first character and the domain part.
    Email,
    /// Keeps the last four digits; every other digit becomes `*`, all other characters stay. Leaks those digits,
    /// how many there are, and whatever is no digit. Example: `+** (**) ****-5678`.
    Phone,
    /// Keeps the first letter of each word, or the family name of a Chinese name: `A*** L***`, `王**`. Leaks them,
    /// how many words there are, and a Chinese name's length.
    Name,
    /// Always this text. Example: `{ constant: "hidden" }`.
    Constant(#[schemars(with = "Scalar")] At<String>),
    /// A coarser value of the same type. Example: `{ generalise: year }`. Leaks the coarser value.
    Generalise(At<Generalise>),
    /// A keyed hash. Not enforced by this version yet.
    Hash,
    /// A number or date near the value, always the same for the same value. Not enforced by this version yet.
    Noise,
    /// An invented name, company or address, always the same for the same value. Not enforced by this version
    /// yet.
    Fake,
    /// Replaces what a regular expression finds; where it finds nothing: `***`. Has no SQL form, so that a column
    /// stored plain is shown and nothing else. Example: `{ regex: { pattern: "[0-9]", with: "#" } }`. Leaks
    /// whatever the pattern does not find.
    Regex(At<Regex>),
    /// The last four characters of a Chinese identity number of 18 or 15 characters: `**************0021`; any
    /// other text: `***`. Leaks them: the sex and the check digit; region and birthday are hidden.
    IdNumber,
    /// The last four digits of a card number of 12 to 19 digits, grouped by blanks or hyphens or not:
    /// `**** **** **** 6467`; any other text: `***`. Leaks them, how many digits there are, and the grouping.
    BankCard,
}

/// Which characters a `partial` mask keeps. All are hidden when `first` and `last` together reach the length.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Partial {
    /// Characters kept at the start; 0 when left out.
    #[serde(default)]
    pub first: Option<At<u32>>,
    /// Characters kept at the end; 0 when left out.
    #[serde(default)]
    pub last: Option<At<u32>>,
    /// The one character that stands for a hidden one; `*` when left out.
    #[serde(default)]
    pub with: Option<At<String>>,
}

/// How coarse a generalised value is.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Generalise {
    /// 1 January of its year.
    Year,
    /// The first day of its month.
    Month,
    /// 1 January of the first year of its decade.
    Decade,
    /// The lower bound of the bucket a number falls into, by the bucket's width. Example:
    /// `{ generalise: { bucket: 1000 } }`.
    Bucket(#[schemars(with = "Scalar")] At<String>),
}

/// What a `regex` mask replaces.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Regex {
    /// The regular expression, of the Rust crate `regex`: neither look-around nor back-references.
    pub pattern: String,
    /// What stands in place of what it finds. `$1` and `${name}` are what the pattern's groups found, `$$` is a
    /// dollar sign.
    pub with: String,
    /// What a text is shown as in which nothing is found; `redact` when left out.
    #[serde(default)]
    pub unmatched: Option<Unmatched>,
}

/// What becomes of a text in which a `regex` mask finds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unmatched {
    /// Nothing of it: `***`.
    Redact,
    /// The text as it is.
    Keep,
}

/// Text that may look like a number.
#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "it only describes itself to the schema")]
enum Scalar {
    Text(String),
    Number(f64),
}

//! Masks as a policy writes them.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;

use crate::document::shapes::{At, Short, Shorthand};

/// One way from a value to what a role may see of it. Masks count characters, not bytes.
///
/// What is said of text holds for `text`, `varchar`, `char(n)`, `bpchar` and `citext`, and what is said of a
/// `varchar(n)` for a `char(n)`: it is masked without the spaces that pad it, and padded again. Of an enum only
/// `constant` is a mask, with one of its labels.
///
/// `hash`, `noise`, `fake` and `regex` are put on in the result only: of a column stored plain that a role is shown
/// so, it may select the column itself and nothing else, unless `compare` says more. The first three have a key, that
/// of the column's domain; `pgveil apply` makes it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(transform = super::masks_may_stand_alone)]
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
    /// Always this text, which must be a value of the column's type: of an enum one of its labels. Example:
    /// `{ constant: "hidden" }`.
    Constant(#[schemars(with = "Scalar")] At<String>),
    /// A coarser value of the same type. Example: `{ generalise: year }`. Leaks the coarser value.
    Generalise(At<Generalise>),
    /// A keyed hash, always the same for the same value (of a `citext` as it is written): 32 hexadecimal digits on
    /// text, of which a `varchar(n)` holds at least 16; a UUID on `uuid`, 32 bytes on `bytea`. Leaks which values
    /// are equal.
    Hash,
    /// A number or moment near the value, always the same for the same value, of the same type. `noise` alone is
    /// 10 percent of a number, 30 days of a date or timestamp. Example: `{ noise: { percent: 5 } }`. Leaks the
    /// value to within the noise, and which values are equal.
    Noise(At<Noise>),
    /// An invented name, company, address, telephone number or e-mail, always the same for the same value; two
    /// values may be shown alike. `fake` alone is a name. Example: `{ fake: company }`. Leaks which values are
    /// equal, and whether they hold Chinese characters.
    Fake(Short<Fake>),
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

/// How far a `noise` mask moves a value, either way: one of the two.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Noise {
    /// So many percent of a number, 1 to 100, and at least by one unit of its last digit; the sign stays.
    #[serde(default)]
    pub percent: Option<At<u32>>,
    /// So many days, 1 to 36525.
    #[serde(default)]
    pub days: Option<At<u32>>,
}

/// What a `fake` mask invents.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fake {
    /// Of which kind; a name when left out.
    #[serde(default)]
    pub kind: Option<FakeKind>,
    /// In which language; when left out, Chinese for a value with a Chinese character in it, else English.
    #[serde(default)]
    pub language: Option<FakeLanguage>,
}

impl Shorthand for Fake {
    const MARK: &'static str = "$short:kind";

    fn word_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<FakeKind>()
    }
}

/// What can be invented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FakeKind {
    /// A person's name: `Harriet Coverdale`, `沈思远`.
    Name,
    /// A company's name.
    Company,
    /// A postal address in one line.
    Address,
    /// A telephone number that is nobody's; a `varchar(n)` must hold 17 characters.
    Phone,
    /// An e-mail at example.com, .net or .org; a `varchar(n)` must hold 40 characters.
    Email,
}

/// The languages that are spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FakeLanguage {
    /// English, whatever the value.
    English,
    /// Chinese in simplified characters, whatever the value.
    Chinese,
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

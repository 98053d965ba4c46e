//! PostgreSQL values: text and binary form ↔ canonical form.
//!
//! The canonical form is what is sealed: PostgreSQL's binary send format, except that all integers are
//! 8 bytes and that jsonb is the text PostgreSQL would print. It knows nothing of keys, policy or columns.
//!
//! [`from_text`], [`from_binary`] and [`from_wire`] do what the type's input functions do *without* a type
//! modifier, as PostgreSQL does for a literal or a parameter: `numeric(10,2)` keeps a third digit there, so that
//! `c = 1.005` finds nothing instead of 1.01. [`coerce`] applies the modifier, as PostgreSQL does on assignment
//! and in a cast.

mod boolean;
mod bytea;
mod datetime;
mod decimal;
mod integer;
mod json;
mod json_lex;
mod logical;
mod normal;
mod numeric;
mod text;
mod uuid;
mod wire;

pub mod array;

pub use normal::{has_normal_form, normal};
pub use wire::from_wire;

use crate::ident::SqlState;
use datetime::Zoned;

/// A type as a client sees it, with its modifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogicalType {
    /// `text`
    Text,
    /// `varchar` or `varchar(n)`, n in characters
    Varchar(Option<u32>),
    /// `int4`
    Int4,
    /// `int8`
    Int8,
    /// `numeric(precision, scale)`; a numeric without a scale is not supported yet
    Numeric {
        /// digits in all, 1..=1000
        precision: u16,
        /// digits after the point, 0..=precision
        scale: u16,
    },
    /// `bool`
    Bool,
    /// `date`
    Date,
    /// `timestamp(p)`; None is 6
    Timestamp(Option<u8>),
    /// `timestamptz(p)`; None is 6
    Timestamptz(Option<u8>),
    /// `uuid`
    Uuid,
    /// `bytea`
    Bytea,
    /// `jsonb`
    Jsonb,
}

/// What the types of one key domain have in common: one canonical form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum TypeClass {
    /// text, varchar: UTF-8 bytes
    Text = 1,
    /// int4, int8: 8 bytes big-endian
    Integer = 2,
    /// numeric(p,s): the send format, at least `s` digits after the point, more only where the value has them
    Numeric = 3,
    /// bool: one byte
    Bool = 4,
    /// date: days since 2000-01-01, i32 big-endian
    Date = 5,
    /// timestamp: microseconds since 2000-01-01, i64 big-endian
    Timestamp = 6,
    /// timestamptz: microseconds since 2000-01-01 UTC, i64 big-endian
    Timestamptz = 7,
    /// uuid: 16 bytes
    Uuid = 8,
    /// bytea: as is
    Bytea = 9,
    /// jsonb: version byte 1 and the text PostgreSQL would print
    Jsonb = 10,
}

/// How PostgreSQL's `=` of a type stands to identity of its canonical form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Equality {
    /// values are equal exactly where their canonical forms are the same bytes
    Identity,
    /// equal values can have different canonical forms: only a term over a normalised form can follow
    NeedsTerm,
    /// the type has no `=`
    None,
}

/// A value that PostgreSQL would not take, or that pgveil cannot: never with the value in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ValueFault {
    /// What PostgreSQL would report.
    pub sqlstate: SqlState,
    /// The message, without the value.
    pub message: String,
}

impl ValueFault {
    /// A fault from a SQLSTATE and a message that holds no value.
    fn new(sqlstate: SqlState, message: impl Into<String>) -> Self {
        Self {
            sqlstate,
            message: message.into(),
        }
    }

    /// 22P02 as PostgreSQL words it, without the value.
    fn syntax(type_name: &str) -> Self {
        Self::new(
            SqlState::INVALID_TEXT_REPRESENTATION,
            format!("invalid input syntax for type {type_name}"),
        )
    }

    /// A canonical form that this module did not make: what was opened is not what was sealed.
    fn not_canonical(type_name: &str) -> Self {
        Self::new(
            SqlState::DATA_CORRUPTED,
            format!("a stored value is not a value of type {type_name}"),
        )
    }
}

/// The settings of a session that decide how values look as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextSettings {
    /// `DateStyle` as reported, for example `ISO, MDY`.
    pub date_style: String,
    /// `TimeZone` as reported, for example `Europe/Berlin`.
    pub time_zone: String,
}

impl Default for TextSettings {
    fn default() -> Self {
        Self {
            date_style: "ISO, MDY".to_owned(),
            time_zone: "UTC".to_owned(),
        }
    }
}

/// Reads a value's text form, as the type's input function without a type modifier.
///
/// # Errors
/// PostgreSQL's SQLSTATE for what PostgreSQL refuses; 0A000 for a form that pgveil does not read.
pub fn from_text(
    target: LogicalType,
    bytes: &[u8],
    settings: &TextSettings,
) -> Result<Vec<u8>, ValueFault> {
    let text = text::checked(bytes)?;
    match target.class() {
        TypeClass::Text => Ok(bytes.to_vec()),
        TypeClass::Integer => integer::parse(text, integer::Width::of(target)),
        TypeClass::Numeric => numeric::parse(text, target.numeric_scale()),
        TypeClass::Bool => boolean::parse(text),
        TypeClass::Date => datetime::parse_date(text, settings),
        TypeClass::Timestamp => datetime::parse_timestamp(text, Zoned::Without, settings),
        TypeClass::Timestamptz => datetime::parse_timestamp(text, Zoned::With, settings),
        TypeClass::Uuid => uuid::parse(text),
        TypeClass::Bytea => bytea::parse(bytes),
        TypeClass::Jsonb => json::parse(text),
    }
}

/// Reads a value's binary form, as the type's receive function without a type modifier.
///
/// # Errors
/// PostgreSQL's SQLSTATE for what PostgreSQL refuses (08P01 too short, 22P03 malformed, 22003 or 22008 out of range).
pub fn from_binary(target: LogicalType, bytes: &[u8]) -> Result<Vec<u8>, ValueFault> {
    match target.class() {
        TypeClass::Text => text::checked(bytes).map(|text| text.as_bytes().to_vec()),
        TypeClass::Integer => integer::receive(bytes, integer::Width::of(target)),
        TypeClass::Numeric => numeric::receive(bytes, target.numeric_scale()),
        TypeClass::Bool => boolean::receive(bytes),
        TypeClass::Date => datetime::receive_date(bytes),
        TypeClass::Timestamp => datetime::receive_timestamp(bytes, Zoned::Without),
        TypeClass::Timestamptz => datetime::receive_timestamp(bytes, Zoned::With),
        TypeClass::Uuid => exact::<16>(bytes).map(|id| id.to_vec()),
        TypeClass::Bytea => Ok(bytes.to_vec()),
        TypeClass::Jsonb => json::receive(bytes),
    }
}

/// Writes a canonical value as PostgreSQL would print it under these settings (`bytea_output` is hex).
///
/// # Errors
/// XX001 when the bytes are not a canonical form of the type; 0A000 when the time zone is not known to pgveil.
pub fn to_text(
    source: LogicalType,
    canonical: &[u8],
    settings: &TextSettings,
) -> Result<Vec<u8>, ValueFault> {
    match source.class() {
        TypeClass::Text => Ok(canonical.to_vec()),
        TypeClass::Integer => integer::show(canonical, integer::Width::of(source)),
        TypeClass::Numeric => numeric::show(canonical),
        TypeClass::Bool => boolean::show(canonical),
        TypeClass::Date => datetime::show_date(canonical, settings),
        TypeClass::Timestamp => datetime::show_timestamp(canonical, Zoned::Without, settings),
        TypeClass::Timestamptz => datetime::show_timestamp(canonical, Zoned::With, settings),
        TypeClass::Uuid => uuid::show(canonical),
        TypeClass::Bytea => Ok(bytea::show(canonical)),
        TypeClass::Jsonb => json::show(canonical),
    }
}

/// Writes a canonical value in PostgreSQL's send format of the logical type.
///
/// # Errors
/// XX001 when the bytes are not a canonical form of the type.
pub fn to_binary(source: LogicalType, canonical: &[u8]) -> Result<Vec<u8>, ValueFault> {
    match source.class() {
        TypeClass::Text | TypeClass::Bytea => Ok(canonical.to_vec()),
        TypeClass::Integer => integer::send(canonical, integer::Width::of(source)),
        TypeClass::Numeric => numeric::send(canonical),
        TypeClass::Bool => boolean::send(canonical),
        TypeClass::Date => datetime::send_date(canonical),
        TypeClass::Timestamp => datetime::send_timestamp(canonical, Zoned::Without),
        TypeClass::Timestamptz => datetime::send_timestamp(canonical, Zoned::With),
        TypeClass::Uuid => stored::<16>(canonical, "uuid").map(|id| id.to_vec()),
        TypeClass::Jsonb => json::send(canonical),
    }
}

/// Applies the type's modifier and range to a canonical value: what happens on assignment, and in a cast.
///
/// Idempotent. What is written must have gone through it; what is only compared must not.
///
/// # Errors
/// 22001 for a text too long (an explicit cast cuts it instead), 22003 for a number out of range, 0A000 for a
/// timestamp that rounding carries out of range, XX001 when the bytes are not canonical.
pub fn coerce(
    target: LogicalType,
    canonical: Vec<u8>,
    explicit_cast: bool,
) -> Result<Vec<u8>, ValueFault> {
    match target {
        LogicalType::Varchar(Some(limit)) => text::limit(canonical, limit, explicit_cast),
        LogicalType::Int4 => integer::narrow(canonical),
        LogicalType::Numeric { precision, scale } => numeric::coerce(&canonical, precision, scale),
        LogicalType::Timestamp(Some(digits)) => datetime::round(&canonical, digits, Zoned::Without),
        LogicalType::Timestamptz(Some(digits)) => datetime::round(&canonical, digits, Zoned::With),
        LogicalType::Text
        | LogicalType::Varchar(None)
        | LogicalType::Int8
        | LogicalType::Bool
        | LogicalType::Date
        | LogicalType::Timestamp(None)
        | LogicalType::Timestamptz(None)
        | LogicalType::Uuid
        | LogicalType::Bytea
        | LogicalType::Jsonb => Ok(canonical),
    }
}

/// The first N bytes of a client's binary value, and the others; a value is judged before what is left over.
///
/// # Errors
/// 08P01 when there are fewer.
fn front<const N: usize>(bytes: &[u8]) -> Result<([u8; N], &[u8]), ValueFault> {
    let (front, rest) = bytes.split_first_chunk::<N>().ok_or_else(short_message)?;
    Ok((*front, rest))
}

/// Whether a receive function has read everything.
///
/// # Errors
/// 22P03 when it has not.
fn nothing_left(rest: &[u8]) -> Result<(), ValueFault> {
    if rest.is_empty() {
        Ok(())
    } else {
        Err(left_over())
    }
}

/// A client's binary value of exactly N bytes.
fn exact<const N: usize>(bytes: &[u8]) -> Result<[u8; N], ValueFault> {
    let (value, rest) = front(bytes)?;
    nothing_left(rest).map(|()| value)
}

/// A canonical value of exactly N bytes.
fn stored<const N: usize>(bytes: &[u8], type_name: &str) -> Result<[u8; N], ValueFault> {
    <[u8; N]>::try_from(bytes).map_err(|_| ValueFault::not_canonical(type_name))
}

/// What PostgreSQL says when a receive function wants more than the parameter has.
fn short_message() -> ValueFault {
    ValueFault::new(
        SqlState::PROTOCOL_VIOLATION,
        "insufficient data left in message",
    )
}

/// What PostgreSQL says when a receive function left bytes of the parameter unread.
fn left_over() -> ValueFault {
    ValueFault::new(
        SqlState::INVALID_BINARY_REPRESENTATION,
        "incorrect binary data format in bind parameter",
    )
}

/// White space as C's `isspace` has it, which PostgreSQL's input functions skip.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

/// The text without `isspace` characters at its ends.
fn trim_spaces(text: &str) -> &str {
    text.trim_matches(|c: char| u8::try_from(c).is_ok_and(is_space))
}

#[cfg(test)]
mod tests;

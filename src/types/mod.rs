//! PostgreSQL values: text and binary form ↔ canonical form.
//!
//! The canonical form is what is sealed: PostgreSQL's binary send format, except that all integers and floats are
//! 8 bytes, that jsonb is the text PostgreSQL would print, that a network address has no mark of inet or cidr, and
//! that an array holds its elements' canonical forms. It knows nothing of keys, policy or columns.
//!
//! Which texts are values, and what is printed, hangs on the server's version ([`ServerVersion`]); the canonical form never does.
//!
//! [`from_text`], [`from_binary`] and [`from_wire`] do what the type's input functions do *without* a type
//! modifier, as PostgreSQL does for a literal or a parameter: `numeric(10,2)` keeps a third digit there, so that
//! `c = 1.005` finds nothing instead of 1.01. [`coerce`] applies the modifier, as PostgreSQL does on assignment
//! and in a cast.

mod boolean;
mod bytea;
mod character;
mod datetime;
mod decimal;
mod float;
mod integer;
mod json;
mod json_lex;
mod jsonb;
mod list;
mod logical;
mod macaddr;
mod named;
mod names;
mod network;
mod normal;
mod numeric;
mod settings;
mod text;
mod uuid;
mod version;
mod wire;

pub mod array;
pub mod oid;

pub use datetime::{DateStyle, IntervalFields, SessionZone};
pub use logical::{Equality, LogicalType, TypeClass};
pub use named::{ArrayType, NamedType};
pub use normal::{has_normal_form, normal};
pub use settings::{IntervalStyle, TextSettings};
pub use version::ServerVersion;
pub use wire::{Declared, Target, from_wire};

use crate::ident::SqlState;
use datetime::{Zoned, interval};

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

    /// A stored value that the server's version does not know: it would print as another one, or as none.
    fn unknown_to_version(what: &str) -> Self {
        Self::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("{what} is not known to this version of PostgreSQL"),
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

/// Reads a value's text form, as the type's input function without a type modifier; only an interval's fields say
/// what a number without a unit is, as PostgreSQL has it for a literal.
///
/// # Errors
/// PostgreSQL's SQLSTATE for what PostgreSQL refuses; 0A000 for a form that pgveil does not read.
pub fn from_text(
    target: LogicalType,
    bytes: &[u8],
    settings: &TextSettings,
) -> Result<Vec<u8>, ValueFault> {
    if let LogicalType::Array(array) = target {
        return list::parse(array, bytes, settings);
    }
    let text = text::checked(bytes)?;
    match target {
        LogicalType::Text | LogicalType::Varchar(_) | LogicalType::Citext(_) => Ok(bytes.to_vec()),
        LogicalType::Char(limit) => Ok(character::canonical(bytes.to_vec(), limit)),
        LogicalType::Enum(named) => named.label(text).map(|label| label.as_bytes().to_vec()),
        LogicalType::Int2 | LogicalType::Int4 | LogicalType::Int8 => {
            integer::parse(text, integer::Width::of(target), settings.version)
        }
        LogicalType::Float4 => float::parse(text, float::Width::Single),
        LogicalType::Float8 => float::parse(text, float::Width::Double),
        LogicalType::Numeric { .. } | LogicalType::NumericAny => {
            numeric::parse(text, target.display_scale(), settings.version)
        }
        LogicalType::Bool => boolean::parse(text),
        LogicalType::Date => datetime::parse_date(text, settings),
        LogicalType::Time(_) => datetime::parse_time(text, settings),
        LogicalType::Timetz(_) => datetime::parse_timetz(text, settings),
        LogicalType::Timestamp(_) => datetime::parse_timestamp(text, Zoned::Without, settings),
        LogicalType::Timestamptz(_) => datetime::parse_timestamp(text, Zoned::With, settings),
        LogicalType::Interval(fields) => interval::parse(text, fields, settings),
        LogicalType::Inet => network::parse(text, network::Kind::Inet),
        LogicalType::Cidr => network::parse(text, network::Kind::Cidr),
        LogicalType::Macaddr => macaddr::parse(text),
        LogicalType::Uuid => uuid::parse(text),
        LogicalType::Bytea => bytea::parse(bytes),
        LogicalType::Json => json::parse(text),
        LogicalType::Jsonb => jsonb::parse(text),
        // Answered above.
        LogicalType::Array(_) => Err(ValueFault::not_canonical("array")),
    }
}

/// Reads a value's binary form, as the type's receive function without a type modifier.
///
/// # Errors
/// PostgreSQL's SQLSTATE for what PostgreSQL refuses (08P01 too short, 22P03 malformed, 22003 or 22008 out of range).
pub fn from_binary(
    target: LogicalType,
    bytes: &[u8],
    version: ServerVersion,
) -> Result<Vec<u8>, ValueFault> {
    let as_text = || text::checked(bytes).map(|text| text.as_bytes().to_vec());
    match target {
        LogicalType::Text | LogicalType::Varchar(_) | LogicalType::Citext(_) => as_text(),
        LogicalType::Char(limit) => as_text().map(|text| character::canonical(text, limit)),
        LogicalType::Enum(named) => named
            .label(text::checked(bytes)?)
            .map(|label| label.as_bytes().to_vec()),
        LogicalType::Int2 | LogicalType::Int4 | LogicalType::Int8 => {
            integer::receive(bytes, integer::Width::of(target))
        }
        LogicalType::Float4 => float::receive(bytes, float::Width::Single),
        LogicalType::Float8 => float::receive(bytes, float::Width::Double),
        LogicalType::Numeric { .. } | LogicalType::NumericAny => {
            numeric::receive(bytes, target.display_scale(), version)
        }
        LogicalType::Bool => boolean::receive(bytes),
        LogicalType::Date => datetime::receive_date(bytes),
        LogicalType::Time(_) => datetime::receive_time(bytes),
        LogicalType::Timetz(_) => datetime::receive_timetz(bytes),
        LogicalType::Timestamp(_) => datetime::receive_timestamp(bytes, Zoned::Without),
        LogicalType::Timestamptz(_) => datetime::receive_timestamp(bytes, Zoned::With),
        LogicalType::Interval(_) => interval::receive(bytes, version),
        LogicalType::Inet => network::receive(bytes, network::Kind::Inet),
        LogicalType::Cidr => network::receive(bytes, network::Kind::Cidr),
        LogicalType::Macaddr => exact::<6>(bytes).map(|address| address.to_vec()),
        LogicalType::Uuid => exact::<16>(bytes).map(|id| id.to_vec()),
        LogicalType::Bytea => Ok(bytes.to_vec()),
        LogicalType::Json => json::parse(text::checked(bytes)?),
        LogicalType::Jsonb => jsonb::receive(bytes),
        LogicalType::Array(array) => list::receive(array, bytes, version),
    }
}

/// Writes a canonical value as PostgreSQL would print it under these settings.
///
/// # Errors
/// XX001 when the bytes are not a canonical form of the type; 0A000 when the time zone is not known to pgveil, and for
/// a value that the server's version does not have.
pub fn to_text(
    source: LogicalType,
    canonical: &[u8],
    settings: &TextSettings,
) -> Result<Vec<u8>, ValueFault> {
    match source {
        LogicalType::Text | LogicalType::Varchar(_) | LogicalType::Citext(_) => {
            Ok(canonical.to_vec())
        }
        LogicalType::Char(limit) => character::padded(canonical, limit),
        LogicalType::Enum(named) => named.stored(canonical),
        LogicalType::Int2 | LogicalType::Int4 | LogicalType::Int8 => {
            integer::show(canonical, integer::Width::of(source))
        }
        LogicalType::Float4 => float::show(canonical, float::Width::Single, settings),
        LogicalType::Float8 => float::show(canonical, float::Width::Double, settings),
        LogicalType::Numeric { .. } | LogicalType::NumericAny => {
            numeric::show(canonical, settings.version)
        }
        LogicalType::Bool => boolean::show(canonical),
        LogicalType::Date => datetime::show_date(canonical, settings),
        LogicalType::Time(_) => datetime::show_time(canonical),
        LogicalType::Timetz(_) => datetime::show_timetz(canonical),
        LogicalType::Timestamp(_) => datetime::show_timestamp(canonical, Zoned::Without, settings),
        LogicalType::Timestamptz(_) => datetime::show_timestamp(canonical, Zoned::With, settings),
        LogicalType::Interval(_) => interval::show(canonical, settings),
        LogicalType::Inet => network::show(canonical, network::Kind::Inet),
        LogicalType::Cidr => network::show(canonical, network::Kind::Cidr),
        LogicalType::Macaddr => macaddr::show(canonical),
        LogicalType::Uuid => uuid::show(canonical),
        LogicalType::Bytea => Ok(bytea::show(canonical, settings)),
        LogicalType::Json => json::stored(canonical),
        LogicalType::Jsonb => jsonb::show(canonical),
        LogicalType::Array(array) => list::show(array, canonical, settings),
    }
}

/// Writes a canonical value in PostgreSQL's send format of the logical type.
///
/// # Errors
/// XX001 when the bytes are not a canonical form of the type; 0A000 for a value that the server's version does not have.
pub fn to_binary(
    source: LogicalType,
    canonical: &[u8],
    version: ServerVersion,
) -> Result<Vec<u8>, ValueFault> {
    match source {
        LogicalType::Text
        | LogicalType::Varchar(_)
        | LogicalType::Citext(_)
        | LogicalType::Bytea => Ok(canonical.to_vec()),
        LogicalType::Char(limit) => character::padded(canonical, limit),
        LogicalType::Enum(named) => named.stored(canonical),
        LogicalType::Int2 | LogicalType::Int4 | LogicalType::Int8 => {
            integer::send(canonical, integer::Width::of(source))
        }
        LogicalType::Float4 => float::send(canonical, float::Width::Single),
        LogicalType::Float8 => float::send(canonical, float::Width::Double),
        LogicalType::Numeric { .. } | LogicalType::NumericAny => numeric::send(canonical, version),
        LogicalType::Bool => boolean::send(canonical),
        LogicalType::Date => datetime::send_date(canonical),
        LogicalType::Time(_) => datetime::send_time(canonical),
        LogicalType::Timetz(_) => datetime::send_timetz(canonical),
        LogicalType::Timestamp(_) => datetime::send_timestamp(canonical, Zoned::Without),
        LogicalType::Timestamptz(_) => datetime::send_timestamp(canonical, Zoned::With),
        LogicalType::Interval(_) => interval::send(canonical, version),
        LogicalType::Inet => network::send(canonical, network::Kind::Inet),
        LogicalType::Cidr => network::send(canonical, network::Kind::Cidr),
        LogicalType::Macaddr => stored::<6>(canonical, "macaddr").map(|address| address.to_vec()),
        LogicalType::Uuid => stored::<16>(canonical, "uuid").map(|id| id.to_vec()),
        LogicalType::Json => json::stored(canonical),
        LogicalType::Jsonb => jsonb::send(canonical),
        LogicalType::Array(array) => list::send(array, canonical, version),
    }
}

/// Applies the type's modifier and range to a canonical value: what happens on assignment, and in a cast.
///
/// Idempotent. What is written must have gone through it; what is only compared must not.
///
/// # Errors
/// 22001 for a text too long (an explicit cast cuts it instead), 22003 for a number out of range, 0A000 for a
/// timestamp that rounding carries out of range (22008 for an interval from 17 on), XX001 when the bytes are not canonical.
pub fn coerce(
    target: LogicalType,
    canonical: Vec<u8>,
    explicit_cast: bool,
    version: ServerVersion,
) -> Result<Vec<u8>, ValueFault> {
    match target {
        LogicalType::Varchar(Some(limit)) => text::limit(canonical, limit, explicit_cast),
        LogicalType::Char(limit) => character::coerce(canonical, limit, explicit_cast),
        LogicalType::Int2 | LogicalType::Int4 => {
            integer::narrow(canonical, integer::Width::of(target))
        }
        LogicalType::Float4 => float::narrow(canonical),
        LogicalType::Numeric { precision, scale } => numeric::coerce(&canonical, precision, scale),
        LogicalType::Time(Some(digits)) => datetime::round_time(canonical, digits),
        LogicalType::Timetz(Some(digits)) => datetime::round_timetz(canonical, digits),
        LogicalType::Timestamp(Some(digits)) => datetime::round(&canonical, digits, Zoned::Without),
        LogicalType::Timestamptz(Some(digits)) => datetime::round(&canonical, digits, Zoned::With),
        LogicalType::Interval(fields) => interval::coerce(canonical, fields, version),
        LogicalType::Cidr => network::as_cidr(canonical),
        LogicalType::Array(array) => list::coerce(array, canonical, explicit_cast, version),
        LogicalType::Text
        | LogicalType::Varchar(None)
        | LogicalType::Citext(_)
        | LogicalType::Enum(_)
        | LogicalType::Int8
        | LogicalType::Float8
        | LogicalType::NumericAny
        | LogicalType::Bool
        | LogicalType::Date
        | LogicalType::Time(None)
        | LogicalType::Timetz(None)
        | LogicalType::Timestamp(None)
        | LogicalType::Timestamptz(None)
        | LogicalType::Inet
        | LogicalType::Macaddr
        | LogicalType::Uuid
        | LogicalType::Bytea
        | LogicalType::Json
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

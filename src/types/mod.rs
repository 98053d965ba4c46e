//! PostgreSQL values: text and binary form ↔ canonical form.
//!
//! The canonical form is what is sealed: PostgreSQL's binary send format, except that all integers are
//! 8 bytes. It knows nothing of keys, policy or columns.

use crate::ident::SqlState;

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
    /// numeric(p,s): the send format
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

/// A value that PostgreSQL would not take, or that pgveil cannot: never with the value in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ValueFault {
    /// What PostgreSQL would report.
    pub sqlstate: SqlState,
    /// The message, without the value.
    pub message: String,
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

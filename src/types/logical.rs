//! Logical types: what a client is shown, and the class whose canonical form the values have.
//!
//! It knows nothing of values, OIDs or SQL.

use super::datetime::IntervalFields;
use super::named::{ArrayType, NamedType};

/// A type as a client sees it, with its modifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogicalType {
    /// `text`
    Text,
    /// `varchar` or `varchar(n)`, n in characters
    Varchar(Option<u32>),
    /// `char(n)`, n in characters; None is `bpchar` without a length
    Char(Option<u32>),
    /// `citext`, of the extension of that name
    Citext(&'static NamedType),
    /// an enum type
    Enum(&'static NamedType),
    /// `int2`
    Int2,
    /// `int4`
    Int4,
    /// `int8`
    Int8,
    /// `float4`
    Float4,
    /// `float8`
    Float8,
    /// `numeric(precision, scale)`
    Numeric {
        /// digits in all, 1..=1000
        precision: u16,
        /// digits after the point, -1000..=1000 (outside 0..=precision since PostgreSQL 15)
        scale: i16,
    },
    /// `numeric` without a modifier
    NumericAny,
    /// `bool`
    Bool,
    /// `date`
    Date,
    /// `time(p)`; None is 6
    Time(Option<u8>),
    /// `timetz(p)`; None is 6
    Timetz(Option<u8>),
    /// `timestamp(p)`; None is 6
    Timestamp(Option<u8>),
    /// `timestamptz(p)`; None is 6
    Timestamptz(Option<u8>),
    /// `interval`, with the fields and the precision it keeps
    Interval(IntervalFields),
    /// `inet`
    Inet,
    /// `cidr`
    Cidr,
    /// `macaddr`
    Macaddr,
    /// `uuid`
    Uuid,
    /// `bytea`
    Bytea,
    /// `json`
    Json,
    /// `jsonb`
    Jsonb,
    /// an array of one dimension, of any of the others
    Array(&'static ArrayType),
}

/// What the types of one key domain have in common: one canonical form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum TypeClass {
    /// text, varchar: UTF-8 bytes
    Text = 1,
    /// int2, int4, int8: 8 bytes big-endian
    Integer = 2,
    /// numeric: the send format; with a scale at least so many digits after the point, more only where the value
    /// has them; without one as many as were written
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
    /// char(n): UTF-8 bytes, without the spaces that pad it to n
    Char = 11,
    /// citext: UTF-8 bytes as written
    Citext = 12,
    /// float4, float8: the bits of a float8, big-endian
    Float = 13,
    /// time: microseconds since midnight, i64 big-endian
    Time = 14,
    /// timetz: microseconds since midnight, i64 big-endian, and seconds west of UTC, i32
    Timetz = 15,
    /// interval: microseconds i64, days i32, months i32, big-endian
    Interval = 16,
    /// inet, cidr: family, bits of the network, 4 or 16 bytes of the address
    Network = 17,
    /// macaddr: 6 bytes
    Macaddr = 18,
    /// json: UTF-8 bytes as written
    Json = 19,
    /// an enum: its label
    Enum = 20,
    /// an array: empty, or the lower bound i32 and for each element its length i32 (-1: NULL) and canonical form
    Array = 21,
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

impl LogicalType {
    /// The class whose canonical form the type's values have.
    pub fn class(self) -> TypeClass {
        match self {
            Self::Text | Self::Varchar(_) => TypeClass::Text,
            Self::Char(_) => TypeClass::Char,
            Self::Citext(_) => TypeClass::Citext,
            Self::Enum(_) => TypeClass::Enum,
            Self::Int2 | Self::Int4 | Self::Int8 => TypeClass::Integer,
            Self::Float4 | Self::Float8 => TypeClass::Float,
            Self::Numeric { .. } | Self::NumericAny => TypeClass::Numeric,
            Self::Bool => TypeClass::Bool,
            Self::Date => TypeClass::Date,
            Self::Time(_) => TypeClass::Time,
            Self::Timetz(_) => TypeClass::Timetz,
            Self::Timestamp(_) => TypeClass::Timestamp,
            Self::Timestamptz(_) => TypeClass::Timestamptz,
            Self::Interval(_) => TypeClass::Interval,
            Self::Inet | Self::Cidr => TypeClass::Network,
            Self::Macaddr => TypeClass::Macaddr,
            Self::Uuid => TypeClass::Uuid,
            Self::Bytea => TypeClass::Bytea,
            Self::Json => TypeClass::Json,
            Self::Jsonb => TypeClass::Jsonb,
            Self::Array(_) => TypeClass::Array,
        }
    }

    /// The class of an array's elements; None of what is no array.
    pub fn element_class(self) -> Option<TypeClass> {
        match self {
            Self::Array(array) => Some(array.element.class()),
            _ => None,
        }
    }

    /// How PostgreSQL's `=` of the type stands to identity of the canonical form.
    ///
    /// Two timetz are equal only with the same zone (date.c, timetz_cmp_internal), so identity follows. Equality of
    /// arrays is that of their elements, bounds included (arrayfuncs.c, array_eq).
    pub fn equality(self) -> Equality {
        match self {
            Self::Text
            | Self::Varchar(_)
            | Self::Char(Some(_))
            | Self::Enum(_)
            | Self::Int2
            | Self::Int4
            | Self::Int8
            | Self::Numeric { .. }
            | Self::Bool
            | Self::Date
            | Self::Time(_)
            | Self::Timetz(_)
            | Self::Timestamp(_)
            | Self::Timestamptz(_)
            | Self::Inet
            | Self::Cidr
            | Self::Macaddr
            | Self::Uuid
            | Self::Bytea => Equality::Identity,
            Self::Char(None)
            | Self::Citext(_)
            | Self::Float4
            | Self::Float8
            | Self::NumericAny
            | Self::Interval(_)
            | Self::Jsonb => Equality::NeedsTerm,
            Self::Json => Equality::None,
            Self::Array(array) => array.element.equality(),
        }
    }

    /// The type for whose text a number without a unit is in seconds: only the fields of an interval's type say more,
    /// and those only of a literal.
    pub fn without_fields(self) -> Self {
        match self {
            Self::Interval(_) => Self::Interval(IntervalFields::ALL),
            other => other,
        }
    }

    /// Digits after the point that a numeric always has; None for one that keeps what was written.
    pub(super) fn display_scale(self) -> Option<u16> {
        match self {
            Self::Numeric { scale, .. } => Some(u16::try_from(scale).unwrap_or(0)),
            _ => None,
        }
    }
}

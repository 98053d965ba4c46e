//! How a logical type is named on the wire and in SQL: OIDs, type modifiers, lengths.
//!
//! Numbers are those of `pg_type` in PostgreSQL 15. It knows nothing of values.

use super::datetime::IntervalFields;
use super::{LogicalType, oid};

/// Bytes of the length word that `varchar`, `char` and `numeric` count in their type modifier (VARHDRSZ).
const MODIFIER_OFFSET: i32 = 4;

/// Digits a numeric's precision and scale may have (NUMERIC_MAX_PRECISION, NUMERIC_MAX_SCALE).
const NUMERIC_DIGITS_MAX: i32 = 1000;

/// Array types of `pg_catalog` whose values may be sealed or meet a treated attribute, and their elements'.
const ARRAYS: &[(u32, u32)] = &[
    (199, oid::JSON),
    (651, oid::CIDR),
    (1000, oid::BOOL),
    (oid::BYTEA_ARRAY, oid::BYTEA),
    (1003, oid::NAME),
    (1005, oid::INT2),
    (1007, oid::INT4),
    (1009, oid::TEXT),
    (1014, oid::BPCHAR),
    (1015, oid::VARCHAR),
    (1016, oid::INT8),
    (1021, oid::FLOAT4),
    (1022, oid::FLOAT8),
    (1040, oid::MACADDR),
    (1041, oid::INET),
    (1115, oid::TIMESTAMP),
    (1182, oid::DATE),
    (1183, oid::TIME),
    (1185, oid::TIMESTAMPTZ),
    (1187, oid::INTERVAL),
    (1231, oid::NUMERIC),
    (1270, oid::TIMETZ),
    (2951, oid::UUID),
    (3807, oid::JSONB),
];

impl LogicalType {
    /// The type of `pg_catalog` behind an OID and a type modifier (-1: none), arrays left out; None for what pgveil
    /// does not treat or only a database knows.
    pub fn from_oid(oid: u32, typmod: i32) -> Option<Self> {
        Some(match oid {
            oid::TEXT => Self::Text,
            oid::VARCHAR => Self::Varchar(characters_of(typmod)?),
            oid::BPCHAR => Self::Char(characters_of(typmod)?),
            oid::INT2 => Self::Int2,
            oid::INT4 => Self::Int4,
            oid::INT8 => Self::Int8,
            oid::FLOAT4 => Self::Float4,
            oid::FLOAT8 => Self::Float8,
            oid::NUMERIC => numeric_of(typmod)?,
            oid::BOOL => Self::Bool,
            oid::DATE => Self::Date,
            oid::TIME => Self::Time(fraction_digits_of(typmod)?),
            oid::TIMETZ => Self::Timetz(fraction_digits_of(typmod)?),
            oid::TIMESTAMP => Self::Timestamp(fraction_digits_of(typmod)?),
            oid::TIMESTAMPTZ => Self::Timestamptz(fraction_digits_of(typmod)?),
            oid::INTERVAL => Self::Interval(IntervalFields::of_typmod(typmod)?),
            oid::INET => Self::Inet,
            oid::CIDR => Self::Cidr,
            oid::MACADDR => Self::Macaddr,
            oid::UUID => Self::Uuid,
            oid::BYTEA => Self::Bytea,
            oid::JSON => Self::Json,
            oid::JSONB => Self::Jsonb,
            _ => return None,
        })
    }

    /// The type's OID.
    pub fn oid(self) -> u32 {
        match self {
            Self::Text => oid::TEXT,
            Self::Varchar(_) => oid::VARCHAR,
            Self::Char(_) => oid::BPCHAR,
            Self::Citext(named) | Self::Enum(named) => named.oid,
            Self::Int2 => oid::INT2,
            Self::Int4 => oid::INT4,
            Self::Int8 => oid::INT8,
            Self::Float4 => oid::FLOAT4,
            Self::Float8 => oid::FLOAT8,
            Self::Numeric { .. } | Self::NumericAny => oid::NUMERIC,
            Self::Bool => oid::BOOL,
            Self::Date => oid::DATE,
            Self::Time(_) => oid::TIME,
            Self::Timetz(_) => oid::TIMETZ,
            Self::Timestamp(_) => oid::TIMESTAMP,
            Self::Timestamptz(_) => oid::TIMESTAMPTZ,
            Self::Interval(_) => oid::INTERVAL,
            Self::Inet => oid::INET,
            Self::Cidr => oid::CIDR,
            Self::Macaddr => oid::MACADDR,
            Self::Uuid => oid::UUID,
            Self::Bytea => oid::BYTEA,
            Self::Json => oid::JSON,
            Self::Jsonb => oid::JSONB,
            Self::Array(array) => array.oid,
        }
    }

    /// The OID of the type's array type; of an array, which has none, its own.
    pub fn array_oid(self) -> u32 {
        match self {
            Self::Citext(named) | Self::Enum(named) => named.array_oid,
            Self::Array(array) => array.oid,
            _ => {
                let oid = self.oid();
                let row = ARRAYS.iter().find(|(_, element)| *element == oid);
                row.map_or(0, |(array, _)| *array)
            }
        }
    }

    /// The OID of the elements of an array type of `pg_catalog`.
    pub fn element_oid_of(array_oid: u32) -> Option<u32> {
        let row = ARRAYS.iter().find(|(array, _)| *array == array_oid);
        row.map(|(_, element)| *element)
    }

    /// The type modifier, as `atttypmod` and RowDescription have it; -1 for none.
    pub fn typmod(self) -> i32 {
        match self {
            Self::Varchar(Some(limit)) | Self::Char(Some(limit)) => {
                i32::try_from(limit).map_or(-1, |limit| limit.saturating_add(MODIFIER_OFFSET))
            }
            Self::Numeric { precision, scale } => {
                ((i32::from(precision) << 16) | (i32::from(scale) & 0x7ff)) + MODIFIER_OFFSET
            }
            Self::Time(Some(digits))
            | Self::Timetz(Some(digits))
            | Self::Timestamp(Some(digits))
            | Self::Timestamptz(Some(digits)) => i32::from(digits),
            Self::Interval(fields) => fields.typmod(),
            // An array over a domain has no modifier: the domain has it.
            Self::Array(array) if array.element_oid != array.element.oid() => -1,
            Self::Array(array) => array.element.typmod(),
            Self::Text
            | Self::Varchar(None)
            | Self::Char(None)
            | Self::Citext(_)
            | Self::Enum(_)
            | Self::Int2
            | Self::Int4
            | Self::Int8
            | Self::Float4
            | Self::Float8
            | Self::NumericAny
            | Self::Bool
            | Self::Date
            | Self::Time(None)
            | Self::Timetz(None)
            | Self::Timestamp(None)
            | Self::Timestamptz(None)
            | Self::Inet
            | Self::Cidr
            | Self::Macaddr
            | Self::Uuid
            | Self::Bytea
            | Self::Json
            | Self::Jsonb => -1,
        }
    }

    /// The type's length in bytes as `pg_type.typlen` has it; -1 for a variable one.
    pub fn typlen(self) -> i16 {
        match self {
            Self::Bool => 1,
            Self::Int2 => 2,
            Self::Int4 | Self::Float4 | Self::Date | Self::Enum(_) => 4,
            Self::Macaddr => 6,
            Self::Int8
            | Self::Float8
            | Self::Time(_)
            | Self::Timestamp(_)
            | Self::Timestamptz(_) => 8,
            Self::Timetz(_) => 12,
            Self::Interval(_) | Self::Uuid => 16,
            Self::Text
            | Self::Varchar(_)
            | Self::Char(_)
            | Self::Citext(_)
            | Self::Numeric { .. }
            | Self::NumericAny
            | Self::Inet
            | Self::Cidr
            | Self::Bytea
            | Self::Json
            | Self::Jsonb
            | Self::Array(_) => -1,
        }
    }

    /// The type as SQL, in the words of PostgreSQL's `format_type`; with its schema where only a database knows it.
    pub fn sql(self) -> String {
        let fraction = |name: &str, digits: Option<u8>, zone: &str| match digits {
            None => format!("{name} {zone} time zone"),
            Some(digits) => format!("{name}({digits}) {zone} time zone"),
        };
        match self {
            Self::Text => "text".to_owned(),
            Self::Varchar(None) => "character varying".to_owned(),
            Self::Varchar(Some(limit)) => format!("character varying({limit})"),
            Self::Char(None) => "bpchar".to_owned(),
            Self::Char(Some(limit)) => format!("character({limit})"),
            Self::Citext(named) | Self::Enum(named) => named.sql.clone(),
            Self::Int2 => "smallint".to_owned(),
            Self::Int4 => "integer".to_owned(),
            Self::Int8 => "bigint".to_owned(),
            Self::Float4 => "real".to_owned(),
            Self::Float8 => "double precision".to_owned(),
            Self::Numeric { precision, scale } => format!("numeric({precision},{scale})"),
            Self::NumericAny => "numeric".to_owned(),
            Self::Bool => "boolean".to_owned(),
            Self::Date => "date".to_owned(),
            Self::Time(digits) => fraction("time", digits, "without"),
            Self::Timetz(digits) => fraction("time", digits, "with"),
            Self::Timestamp(digits) => fraction("timestamp", digits, "without"),
            Self::Timestamptz(digits) => fraction("timestamp", digits, "with"),
            Self::Interval(fields) => fields.sql(),
            Self::Inet => "inet".to_owned(),
            Self::Cidr => "cidr".to_owned(),
            Self::Macaddr => "macaddr".to_owned(),
            Self::Uuid => "uuid".to_owned(),
            Self::Bytea => "bytea".to_owned(),
            Self::Json => "json".to_owned(),
            Self::Jsonb => "jsonb".to_owned(),
            Self::Array(array) => format!("{}[]", array.element.sql()),
        }
    }
}

/// Splits numeric's modifier: precision above, an 11-bit signed scale below (PostgreSQL 15, numeric.c).
fn numeric_of(typmod: i32) -> Option<LogicalType> {
    if typmod < MODIFIER_OFFSET {
        return (typmod == -1).then_some(LogicalType::NumericAny);
    }
    let packed = typmod - MODIFIER_OFFSET;
    let precision = packed >> 16;
    let scale = ((packed & 0x7ff) ^ 1024) - 1024;
    let fits = (1..=NUMERIC_DIGITS_MAX).contains(&precision)
        && (-NUMERIC_DIGITS_MAX..=NUMERIC_DIGITS_MAX).contains(&scale);
    fits.then_some(())?;
    Some(LogicalType::Numeric {
        precision: u16::try_from(precision).ok()?,
        scale: i16::try_from(scale).ok()?,
    })
}

/// The modifier of varchar and char: characters and four; none is any number of them.
fn characters_of(typmod: i32) -> Option<Option<u32>> {
    if typmod < 0 {
        return Some(None);
    }
    let characters = u32::try_from(typmod - MODIFIER_OFFSET).ok()?;
    (characters > 0).then_some(Some(characters))
}

/// A time's or timestamp's modifier: digits of the seconds' fraction, 0 to 6.
fn fraction_digits_of(typmod: i32) -> Option<Option<u8>> {
    match typmod {
        ..0 => Some(None),
        0..=6 => u8::try_from(typmod).ok().map(Some),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oids_and_modifiers_go_there_and_back() {
        let numeric = |precision, scale| LogicalType::Numeric { precision, scale };
        let plain = [
            16, 17, 20, 21, 23, 25, 114, 650, 700, 701, 829, 869, 1042, 1043, 1082, 1083, 1114,
            1184, 1186, 1266, 1700, 2950, 3802,
        ];
        for oid in plain {
            let logical = LogicalType::from_oid(oid, -1).expect("a treated type");
            assert_eq!((logical.oid(), logical.typmod()), (oid, -1));
            assert_eq!(LogicalType::element_oid_of(logical.array_oid()), Some(oid));
        }
        for logical in [
            LogicalType::Varchar(Some(1)),
            LogicalType::Varchar(Some(10_485_760)),
            LogicalType::Char(Some(3)),
            numeric(12, 2),
            numeric(1000, 1000),
            numeric(3, -2),
            numeric(2, 5),
            numeric(1000, -1000),
            LogicalType::Time(Some(0)),
            LogicalType::Timetz(Some(3)),
            LogicalType::Timestamp(Some(0)),
            LogicalType::Timestamptz(Some(6)),
        ] {
            assert_eq!(
                LogicalType::from_oid(logical.oid(), logical.typmod()),
                Some(logical)
            );
        }
    }

    #[test]
    fn what_is_not_treated_has_no_logical_type() {
        assert_eq!(LogicalType::from_oid(1700, 9), None);
        assert_eq!(LogicalType::from_oid(1043, 3), None);
        assert_eq!(LogicalType::from_oid(1114, 7), None);
        assert_eq!(LogicalType::from_oid(603, -1), None);
        assert_eq!(LogicalType::from_oid(1007, -1), None);
    }
}

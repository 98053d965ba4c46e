//! How a logical type is named on the wire and in SQL: OIDs, type modifiers, lengths.
//!
//! Numbers are those of `pg_type` in PostgreSQL 15. It knows nothing of values.

use super::{Equality, LogicalType, TypeClass};

/// Bytes of the length word that `varchar` and `numeric` count in their type modifier (VARHDRSZ).
const MODIFIER_OFFSET: i32 = 4;

impl LogicalType {
    /// The type behind an OID and a type modifier (-1: none); None for what pgveil does not treat.
    ///
    /// `numeric` without a scale, with a negative scale or with a scale above its precision is not treated yet.
    pub fn from_oid(oid: u32, typmod: i32) -> Option<Self> {
        Some(match oid {
            25 => Self::Text,
            1043 if typmod < 0 => Self::Varchar(None),
            1043 => Self::Varchar(Some(
                u32::try_from(typmod - MODIFIER_OFFSET)
                    .ok()
                    .filter(|n| *n > 0)?,
            )),
            23 => Self::Int4,
            20 => Self::Int8,
            1700 => numeric_of(typmod)?,
            16 => Self::Bool,
            1082 => Self::Date,
            1114 => Self::Timestamp(fraction_digits_of(typmod)?),
            1184 => Self::Timestamptz(fraction_digits_of(typmod)?),
            2950 => Self::Uuid,
            17 => Self::Bytea,
            3802 => Self::Jsonb,
            _ => return None,
        })
    }

    /// The type's OID.
    pub fn oid(self) -> u32 {
        match self {
            Self::Text => 25,
            Self::Varchar(_) => 1043,
            Self::Int4 => 23,
            Self::Int8 => 20,
            Self::Numeric { .. } => 1700,
            Self::Bool => 16,
            Self::Date => 1082,
            Self::Timestamp(_) => 1114,
            Self::Timestamptz(_) => 1184,
            Self::Uuid => 2950,
            Self::Bytea => 17,
            Self::Jsonb => 3802,
        }
    }

    /// The OID of the type's array type.
    pub fn array_oid(self) -> u32 {
        match self {
            Self::Text => 1009,
            Self::Varchar(_) => 1015,
            Self::Int4 => 1007,
            Self::Int8 => 1016,
            Self::Numeric { .. } => 1231,
            Self::Bool => 1000,
            Self::Date => 1182,
            Self::Timestamp(_) => 1115,
            Self::Timestamptz(_) => 1185,
            Self::Uuid => 2951,
            Self::Bytea => 1001,
            Self::Jsonb => 3807,
        }
    }

    /// The type modifier, as `atttypmod` and RowDescription have it; -1 for none.
    pub fn typmod(self) -> i32 {
        match self {
            Self::Varchar(Some(limit)) => {
                i32::try_from(limit).map_or(-1, |limit| limit.saturating_add(MODIFIER_OFFSET))
            }
            Self::Numeric { precision, scale } => {
                ((i32::from(precision) << 16) | i32::from(scale)) + MODIFIER_OFFSET
            }
            Self::Timestamp(Some(digits)) | Self::Timestamptz(Some(digits)) => i32::from(digits),
            Self::Text
            | Self::Varchar(None)
            | Self::Int4
            | Self::Int8
            | Self::Bool
            | Self::Date
            | Self::Timestamp(None)
            | Self::Timestamptz(None)
            | Self::Uuid
            | Self::Bytea
            | Self::Jsonb => -1,
        }
    }

    /// The type's length in bytes as `pg_type.typlen` has it; -1 for a variable one.
    pub fn typlen(self) -> i16 {
        match self {
            Self::Bool => 1,
            Self::Int4 | Self::Date => 4,
            Self::Int8 | Self::Timestamp(_) | Self::Timestamptz(_) => 8,
            Self::Uuid => 16,
            Self::Text | Self::Varchar(_) | Self::Numeric { .. } | Self::Bytea | Self::Jsonb => -1,
        }
    }

    /// The class whose canonical form the type's values have.
    pub fn class(self) -> TypeClass {
        match self {
            Self::Text | Self::Varchar(_) => TypeClass::Text,
            Self::Int4 | Self::Int8 => TypeClass::Integer,
            Self::Numeric { .. } => TypeClass::Numeric,
            Self::Bool => TypeClass::Bool,
            Self::Date => TypeClass::Date,
            Self::Timestamp(_) => TypeClass::Timestamp,
            Self::Timestamptz(_) => TypeClass::Timestamptz,
            Self::Uuid => TypeClass::Uuid,
            Self::Bytea => TypeClass::Bytea,
            Self::Jsonb => TypeClass::Jsonb,
        }
    }

    /// How PostgreSQL's `=` of the type stands to identity of the canonical form.
    pub fn equality(self) -> Equality {
        match self {
            Self::Text
            | Self::Varchar(_)
            | Self::Int4
            | Self::Int8
            | Self::Numeric { .. }
            | Self::Bool
            | Self::Date
            | Self::Timestamp(_)
            | Self::Timestamptz(_)
            | Self::Uuid
            | Self::Bytea => Equality::Identity,
            Self::Jsonb => Equality::NeedsTerm,
        }
    }

    /// The type as SQL, in the words of PostgreSQL's `format_type`.
    pub fn sql(self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Varchar(None) => "character varying".to_owned(),
            Self::Varchar(Some(limit)) => format!("character varying({limit})"),
            Self::Int4 => "integer".to_owned(),
            Self::Int8 => "bigint".to_owned(),
            Self::Numeric { precision, scale } => format!("numeric({precision},{scale})"),
            Self::Bool => "boolean".to_owned(),
            Self::Date => "date".to_owned(),
            Self::Timestamp(None) => "timestamp without time zone".to_owned(),
            Self::Timestamp(Some(digits)) => format!("timestamp({digits}) without time zone"),
            Self::Timestamptz(None) => "timestamp with time zone".to_owned(),
            Self::Timestamptz(Some(digits)) => format!("timestamp({digits}) with time zone"),
            Self::Uuid => "uuid".to_owned(),
            Self::Bytea => "bytea".to_owned(),
            Self::Jsonb => "jsonb".to_owned(),
        }
    }

    /// Digits after the point that a numeric always has; 0 for every other type.
    pub(super) fn numeric_scale(self) -> u16 {
        match self {
            Self::Numeric { scale, .. } => scale,
            _ => 0,
        }
    }
}

/// Splits numeric's modifier: precision above, an 11-bit signed scale below (PostgreSQL 15, numeric.c).
fn numeric_of(typmod: i32) -> Option<LogicalType> {
    let packed = typmod.checked_sub(MODIFIER_OFFSET).filter(|m| *m >= 0)?;
    let precision = u16::try_from(packed >> 16).ok()?;
    let scale = u16::try_from(packed & 0x7ff).ok()?;
    // A set sign bit reads as a scale of 1024 or more here, which exceeds every precision.
    (1..=1000).contains(&precision).then_some(())?;
    (scale <= precision).then_some(LogicalType::Numeric { precision, scale })
}

/// A timestamp's modifier: digits of the seconds' fraction, 0 to 6.
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
        for logical in [
            LogicalType::Text,
            LogicalType::Varchar(None),
            LogicalType::Varchar(Some(1)),
            LogicalType::Varchar(Some(10_485_760)),
            LogicalType::Int4,
            LogicalType::Int8,
            LogicalType::Numeric {
                precision: 12,
                scale: 2,
            },
            LogicalType::Numeric {
                precision: 1000,
                scale: 1000,
            },
            LogicalType::Bool,
            LogicalType::Date,
            LogicalType::Timestamp(None),
            LogicalType::Timestamp(Some(0)),
            LogicalType::Timestamptz(Some(6)),
            LogicalType::Uuid,
            LogicalType::Bytea,
            LogicalType::Jsonb,
        ] {
            assert_eq!(
                LogicalType::from_oid(logical.oid(), logical.typmod()),
                Some(logical)
            );
        }
    }

    #[test]
    fn what_is_not_treated_has_no_logical_type() {
        assert_eq!(LogicalType::from_oid(1700, -1), None);
        assert_eq!(
            LogicalType::from_oid(1700, ((3 << 16) | (0x7ff & -2)) + 4),
            None
        );
        assert_eq!(LogicalType::from_oid(1700, ((2 << 16) | 5) + 4), None);
        assert_eq!(LogicalType::from_oid(1043, 3), None);
        assert_eq!(LogicalType::from_oid(1114, 7), None);
        assert_eq!(LogicalType::from_oid(701, -1), None);
    }
}

//! Parameters: from the type and the format a client declares to the target's canonical form.
//!
//! Only conversions that PostgreSQL would make itself, in a comparison and in an assignment alike, and that
//! give the same value in both. It knows nothing of Bind messages.

use super::integer::Width;
use super::{
    ArrayType, LogicalType, TextSettings, TypeClass, ValueFault, from_binary, from_text, oid,
    to_text,
};
use super::{datetime, datetime::Zoned, float, integer, jsonb, list, numeric};
use crate::ident::SqlState;

/// Bytes of a `name` without its end (NAMEDATALEN - 1).
const NAME_BYTES_MAX: usize = 63;

/// What a parameter meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// the type its value is read as
    pub logical: LogicalType,
    /// whether it is assigned, or only compared
    pub assigned: bool,
}

/// What a client declared of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Declared {
    /// the type's OID; 0 or [`oid::UNKNOWN`] for none
    pub oid: u32,
    /// 0 text, 1 binary
    pub format: i16,
}

/// Reads a parameter of the declared type (none: the target's own) in the given format.
///
/// No type modifier is applied and an int8 is not narrowed: [`super::coerce`] does both for what is written.
///
/// # Errors
/// As [`from_text`] and [`from_binary`] of the declared type; 22023 for an unknown format; 42804 (assigned) or 42883
/// (compared) for a declared type outside the target's class; 0A000 for one that PostgreSQL would convert and pgveil
/// does not. A date beyond a timestamp's range is 22008 even where it is only compared (PostgreSQL finds it unequal).
pub fn from_wire(
    declared: Declared,
    bytes: &[u8],
    target: Target,
    settings: &TextSettings,
) -> Result<Vec<u8>, ValueFault> {
    let Declared { oid, format } = declared;
    let Target { logical, assigned } = target;
    let read = |source: LogicalType| read_as(source, format, bytes, settings);
    match (oid, logical.class()) {
        (0 | oid::UNKNOWN, _) => read(logical),
        (oid::TEXT | oid::VARCHAR, TypeClass::Text) => read(LogicalType::Text),
        (oid::BPCHAR, class)
            if class == TypeClass::Text || (class == TypeClass::Citext && assigned) =>
        {
            read(LogicalType::Text).map(without_padding)
        }
        (oid::NAME, class) if class == TypeClass::Text || (is_text(class) && assigned) => {
            read(LogicalType::Text).and_then(|name| as_name(name, format))
        }
        // A varchar is compared as char(n), a text is not: the spaces at its end count (varchar.c, texteq).
        (oid::VARCHAR, TypeClass::Char) => read(logical),
        (oid::TEXT, TypeClass::Char) => {
            read(LogicalType::Text).and_then(|text| as_text(text, target))
        }
        (oid::TEXT | oid::VARCHAR, TypeClass::Citext) if assigned => read(LogicalType::Text),
        (oid::INT8 | oid::INT4 | oid::INT2, TypeClass::Integer) => read(integer_of(oid)),
        (oid::INT8 | oid::INT4 | oid::INT2, TypeClass::Numeric) => {
            numeric::from_integer(&read(integer_of(oid))?, logical.display_scale())
        }
        (
            oid::INT8 | oid::INT2 | oid::INT4 | oid::FLOAT4 | oid::FLOAT8 | oid::NUMERIC,
            TypeClass::Float,
        ) => float_of(oid, logical, read, settings),
        (oid::DATE, TypeClass::Timestamp) => {
            datetime::timestamp_of_date(&read(LogicalType::Date)?, Zoned::Without, settings)
        }
        (oid::DATE, TypeClass::Timestamptz) => {
            datetime::timestamp_of_date(&read(LogicalType::Date)?, Zoned::With, settings)
        }
        (oid::TIMESTAMP, TypeClass::Timestamptz) => {
            datetime::with_session_zone(&read(LogicalType::Timestamp(None))?, settings)
        }
        (oid::INET, TypeClass::Network) => read(LogicalType::Inet),
        (oid::CIDR, TypeClass::Network) => read(LogicalType::Cidr),
        // json's binary form is its text.
        (oid::JSON, TypeClass::Jsonb) if assigned => jsonb::parse(super::text::checked(bytes)?),
        (oid::JSONB, TypeClass::Json) if assigned => jsonb::show(&read(LogicalType::Jsonb)?),
        (oid, _) if oid == logical.oid() => read(logical),
        (_, class) if is_text(class) && assigned => {
            written(declared, bytes, settings)?.ok_or_else(|| not_converted(logical))
        }
        (oid, TypeClass::Array) => match (logical, LogicalType::element_oid_of(oid)) {
            (LogicalType::Array(array), Some(element))
                if assigned || is_text_array(array.element) =>
            {
                list::from_wire(
                    array,
                    Declared {
                        oid: element,
                        format,
                    },
                    bytes,
                    (assigned, settings),
                )
            }
            _ => Err(mismatch(target)),
        },
        (oid, class) if converted_by_postgresql(oid, class) => Err(not_converted(logical)),
        _ => Err(mismatch(target)),
    }
}

fn integer_of(oid: u32) -> LogicalType {
    match oid {
        oid::INT8 => LogicalType::Int8,
        oid::INT4 => LogicalType::Int4,
        _ => LogicalType::Int2,
    }
}

fn is_text_array(element: LogicalType) -> bool {
    element.class() == TypeClass::Text
}

fn is_text(class: TypeClass) -> bool {
    matches!(class, TypeClass::Text | TypeClass::Char | TypeClass::Citext)
}

fn read_as(
    source: LogicalType,
    format: i16,
    bytes: &[u8],
    settings: &TextSettings,
) -> Result<Vec<u8>, ValueFault> {
    match format {
        0 => from_text(source, bytes, settings),
        1 => from_binary(source, bytes, settings.version),
        _ => Err(unknown_format()),
    }
}

/// What PostgreSQL makes of a value that is assigned to a text: any type's output (`find_coercion_pathway`), save that a
/// bool is a whole word and an inet has its mask (their casts to text). None for a type that is not known.
fn written(
    declared: Declared,
    bytes: &[u8],
    settings: &TextSettings,
) -> Result<Option<Vec<u8>>, ValueFault> {
    let Declared { oid, format } = declared;
    if let Some(element_oid) = LogicalType::element_oid_of(oid)
        && let Some(element) = LogicalType::from_oid(element_oid, -1)
    {
        let array = ArrayType {
            oid,
            element_oid,
            element,
        };
        let read = match format {
            0 => list::parse(&array, bytes, settings),
            1 => list::receive(&array, bytes, settings.version),
            _ => Err(unknown_format()),
        };
        return list::show(&array, &read?, settings).map(Some);
    }
    let Some(source) = LogicalType::from_oid(oid, -1) else {
        return Ok(None);
    };
    let canonical = read_as(source, format, bytes, settings)?;
    let mut text = to_text(source, &canonical, settings)?;
    match source {
        LogicalType::Bool if text == b"t" => text = b"true".to_vec(),
        LogicalType::Bool => text = b"false".to_vec(),
        LogicalType::Inet if !text.contains(&b'/') => {
            let mask: &[u8] = match text.contains(&b':') {
                true => b"/128",
                false => b"/32",
            };
            text.extend_from_slice(mask);
        }
        _ => {}
    }
    Ok(Some(text))
}

/// What PostgreSQL would convert, and pgveil does not.
fn not_converted(logical: LogicalType) -> ValueFault {
    let name = logical.sql();
    ValueFault::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        format!(
            "a parameter of this type is not converted to {name}: declare it as {name} or leave its type open"
        ),
    )
}

/// What PostgreSQL says of a type that does not go with the column's.
fn mismatch(target: Target) -> ValueFault {
    let sqlstate = match target.assigned {
        true => SqlState::DATATYPE_MISMATCH,
        false => SqlState::UNDEFINED_FUNCTION,
    };
    let name = target.logical.sql();
    ValueFault::new(
        sqlstate,
        format!("the parameter's type does not go with {name}"),
    )
}

fn unknown_format() -> ValueFault {
    ValueFault::new(SqlState::INVALID_PARAMETER_VALUE, "unsupported format code")
}

/// Types that PostgreSQL compares with the class by a cast or an operator across types.
fn converted_by_postgresql(declared_oid: u32, class: TypeClass) -> bool {
    match class {
        TypeClass::Integer => matches!(declared_oid, oid::FLOAT4 | oid::FLOAT8 | oid::NUMERIC),
        TypeClass::Numeric => matches!(declared_oid, oid::FLOAT4 | oid::FLOAT8),
        TypeClass::Char => declared_oid == oid::NAME,
        TypeClass::Citext => matches!(
            declared_oid,
            oid::NAME | oid::TEXT | oid::BPCHAR | oid::VARCHAR
        ),
        TypeClass::Date | TypeClass::Timestamp | TypeClass::Timestamptz => {
            matches!(declared_oid, oid::DATE | oid::TIMESTAMP | oid::TIMESTAMPTZ)
        }
        TypeClass::Time | TypeClass::Timetz | TypeClass::Interval => {
            matches!(
                declared_oid,
                oid::TIME | oid::TIMESTAMP | oid::TIMESTAMPTZ | oid::INTERVAL | oid::TIMETZ
            )
        }
        TypeClass::Macaddr => declared_oid == oid::MACADDR8,
        TypeClass::Text
        | TypeClass::Enum
        | TypeClass::Float
        | TypeClass::Bool
        | TypeClass::Network
        | TypeClass::Uuid
        | TypeClass::Bytea
        | TypeClass::Json
        | TypeClass::Jsonb
        | TypeClass::Array => false,
    }
}

/// A number of another type as a float: floats keep their bits, others are read from their text.
fn float_of(
    oid: u32,
    logical: LogicalType,
    read: impl Fn(LogicalType) -> Result<Vec<u8>, ValueFault>,
    settings: &TextSettings,
) -> Result<Vec<u8>, ValueFault> {
    let number = match oid {
        700 => return read(LogicalType::Float4),
        701 => return read(LogicalType::Float8),
        1700 => numeric::show(&read(LogicalType::NumericAny)?, settings.version)?,
        21 => integer::show(&read(LogicalType::Int2)?, Width::Int2)?,
        23 => integer::show(&read(LogicalType::Int4)?, Width::Int4)?,
        _ => integer::show(&read(LogicalType::Int8)?, Width::Int8)?,
    };
    let width = match logical {
        LogicalType::Float4 => float::Width::Single,
        _ => float::Width::Double,
    };
    float::parse(super::text::checked(&number)?, width)
}

/// A text that meets a char. Compared with `bpchar` without a length by a term, which knows no spaces at the end, it
/// would be equal to what it differs from.
fn as_text(text: Vec<u8>, target: Target) -> Result<Vec<u8>, ValueFault> {
    let Target { logical, assigned } = target;
    if !assigned && logical == LogicalType::Char(None) && text.ends_with(b" ") {
        return Err(ValueFault::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "a text with spaces at its end is not compared with bpchar: declare it as bpchar or leave its type open",
        ));
    }
    Ok(text)
}

/// char(n) becomes text without the spaces at its end.
fn without_padding(mut text: Vec<u8>) -> Vec<u8> {
    while text.last() == Some(&b' ') {
        text.pop();
    }
    text
}

/// name: text input cuts to 63 bytes at a character, binary input refuses (name.c).
fn as_name(mut name: Vec<u8>, format: i16) -> Result<Vec<u8>, ValueFault> {
    if name.len() > NAME_BYTES_MAX {
        if format == 1 {
            return Err(ValueFault::new(
                SqlState::NAME_TOO_LONG,
                "identifier too long",
            ));
        }
        let boundary = |cut: &usize| name.get(*cut).is_none_or(|byte| byte & 0xc0 != 0x80);
        let cut = (0..=NAME_BYTES_MAX).rev().find(boundary).unwrap_or(0);
        name.truncate(cut);
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(
        oid: u32,
        format: i16,
        bytes: &[u8],
        target: LogicalType,
    ) -> Result<Vec<u8>, &'static str> {
        let target = Target {
            logical: target,
            assigned: true,
        };
        let declared = Declared { oid, format };
        from_wire(declared, bytes, target, &TextSettings::default())
            .map_err(|fault| fault.sqlstate.0)
    }

    #[test]
    fn declared_types_meet_in_one_canonical_form() {
        let seven = Ok(7_i64.to_be_bytes().to_vec());
        for target in [LogicalType::Int4, LogicalType::Int8] {
            assert_eq!(wire(21, 1, &[0, 7], target), seven);
            assert_eq!(wire(23, 1, &[0, 0, 0, 7], target), seven);
            assert_eq!(wire(20, 1, &[0, 0, 0, 0, 0, 0, 0, 7], target), seven);
            assert_eq!(wire(0, 0, b"7", target), seven);
        }
        assert_eq!(wire(21, 0, b"40000", LogicalType::Int8), Err("22003"));
        assert_eq!(wire(0, 1, &[0; 8], LogicalType::Int4), Err("22P03"));
        let money = LogicalType::Numeric {
            precision: 9,
            scale: 2,
        };
        assert_eq!(wire(21, 1, &[0, 7], money), wire(1700, 0, b"7.0", money));
        assert_eq!(
            wire(1042, 0, b"ab  ", LogicalType::Text),
            Ok(b"ab".to_vec())
        );
        assert_eq!(
            wire(1043, 0, b"ab  ", LogicalType::Text),
            Ok(b"ab  ".to_vec())
        );
    }

    /// Spaces at a text's end count where it meets a char; a term knows none.
    #[test]
    fn a_text_meets_bpchar_only_without_spaces_at_its_end() {
        let compared = |oid, bytes: &[u8], logical| {
            let (declared, target) = (
                Declared { oid, format: 0 },
                Target {
                    logical,
                    assigned: false,
                },
            );
            from_wire(declared, bytes, target, &TextSettings::default()).map_err(|f| f.sqlstate.0)
        };
        let bpchar = LogicalType::Char(None);
        assert_eq!(compared(25, b"ab ", bpchar), Err("0A000"));
        assert_eq!(compared(25, b"ab", bpchar), Ok(b"ab".to_vec()));
        assert_eq!(compared(1042, b"ab ", bpchar), Ok(b"ab ".to_vec()));
        let char4 = LogicalType::Char(Some(4));
        assert_eq!(compared(25, b"ab ", char4), Ok(b"ab ".to_vec()));
        assert_eq!(wire(25, 0, b"ab ", bpchar), Ok(b"ab ".to_vec()));
    }

    /// A citext beside a text is compared as a text, by which letters' case counts.
    #[test]
    fn a_text_does_not_meet_citext() {
        let citext = crate::types::NamedType {
            oid: 70_000,
            array_oid: 70_001,
            sql: "public.citext".to_owned(),
            labels: Vec::new(),
        };
        let logical = LogicalType::Citext(citext.keep().expect("few types"));
        let compared = |oid| {
            let declared = Declared { oid, format: 0 };
            let target = Target {
                logical,
                assigned: false,
            };
            from_wire(declared, b"Anna", target, &TextSettings::default()).map_err(|f| f.sqlstate.0)
        };
        for oid in [19, 25, 1042, 1043] {
            assert_eq!(compared(oid), Err("0A000"), "{oid}");
        }
        for oid in [0, 705, 70_000] {
            assert_eq!(compared(oid), Ok(b"Anna".to_vec()), "{oid}");
        }
        assert_eq!(wire(25, 0, b"Anna", logical), Ok(b"Anna".to_vec()));
    }

    #[test]
    fn other_types_are_a_mismatch_or_not_supported() {
        assert_eq!(wire(25, 0, b"7", LogicalType::Int4), Err("42804"));
        assert_eq!(wire(1700, 0, b"7", LogicalType::Int4), Err("0A000"));
        assert_eq!(
            wire(1114, 0, b"2024-01-01", LogicalType::Date),
            Err("0A000")
        );
        assert_eq!(wire(25, 0, b"7", LogicalType::Uuid), Err("42804"));
        // A type that only a database knows is converted by its own output.
        assert_eq!(wire(70_000, 0, b"7", LogicalType::Text), Err("0A000"));
        assert_eq!(wire(25, 2, b"a", LogicalType::Text), Err("22023"));
        assert_eq!(wire(19, 1, &[b'a'; 64], LogicalType::Text), Err("42622"));
        assert_eq!(
            wire(19, 0, &[b'a'; 64], LogicalType::Text),
            Ok(vec![b'a'; 63])
        );
        let cut = wire(19, 0, "é".repeat(32).as_bytes(), LogicalType::Text);
        assert_eq!(cut, Ok("é".repeat(31).into_bytes()));
    }
}

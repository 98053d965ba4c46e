//! The normal form of a value: one for all values that PostgreSQL's `=` calls equal, another for every other value.
//!
//! Where it is not the canonical form itself, equality is decided over a term of it. It is only ever compared, never
//! shown: what a client gets back is the canonical form, with every digit it was written with. Knows no key.

use std::borrow::Cow;

use super::{LogicalType, TypeClass, list};

/// Whether [`normal`] knows the type's class.
pub fn has_normal_form(logical: LogicalType) -> bool {
    normal(logical.class(), logical.element_class(), &[]).is_some()
}

/// The normal form of a canonical value of the class, of an array with its elements' class; None where this version
/// knows none.
pub fn normal(
    class: TypeClass,
    element: Option<TypeClass>,
    canonical: &[u8],
) -> Option<Cow<'_, [u8]>> {
    match class {
        TypeClass::Jsonb => Some(Cow::Owned(document(canonical))),
        TypeClass::Char => Some(Cow::Owned(without_padding(canonical))),
        TypeClass::Numeric => Some(Cow::Owned(without_scale(canonical))),
        TypeClass::Float => Some(Cow::Owned(one_zero_and_one_nan(canonical))),
        TypeClass::Interval => Some(Cow::Owned(length_of(canonical))),
        TypeClass::Array => array(element?, canonical).map(Cow::Owned),
        // lower() of a database whose LC_CTYPE is C (citext.c, citext_eq): no policy binds it where it is another.
        TypeClass::Citext => Some(Cow::Owned(canonical.to_ascii_lowercase())),
        // No `=` at all.
        TypeClass::Json => None,
        // Equality is identity.
        TypeClass::Text
        | TypeClass::Integer
        | TypeClass::Bool
        | TypeClass::Date
        | TypeClass::Timestamp
        | TypeClass::Timestamptz
        | TypeClass::Uuid
        | TypeClass::Time
        | TypeClass::Timetz
        | TypeClass::Network
        | TypeClass::Macaddr
        | TypeClass::Enum
        | TypeClass::Bytea => Some(Cow::Borrowed(canonical)),
    }
}

/// An array: equal are those of equal bounds whose elements are equal, a NULL to a NULL (arrayfuncs.c, array_eq). So its
/// normal form is that of an array of its elements' normal forms.
fn array(element: TypeClass, canonical: &[u8]) -> Option<Vec<u8>> {
    // A class without a normal form has none in an empty array either.
    normal(element, None, &[])?;
    let one = |value: &[u8]| normal(element, None, value).map_or_else(Vec::new, Cow::into_owned);
    let elements = list::with_each(canonical, one);
    Some(elements.unwrap_or_else(|_| canonical.to_vec()))
}

/// char: spaces at the end do not count (varchar.c, bpchareq).
fn without_padding(canonical: &[u8]) -> Vec<u8> {
    let kept = canonical.iter().rposition(|byte| *byte != b' ');
    canonical[..kept.map_or(0, |last| last + 1)].to_vec()
}

/// numeric: the scale, the fourth word of the send format, says only how a value is shown.
fn without_scale(canonical: &[u8]) -> Vec<u8> {
    let mut normal = canonical.to_vec();
    if let Some(scale) = normal.get_mut(6..8) {
        scale.fill(0);
    }
    normal
}

/// float: -0.0 equals 0.0, and a NaN every other one (float.h, float8_eq).
fn one_zero_and_one_nan(canonical: &[u8]) -> Vec<u8> {
    let Ok(bits) = <[u8; 8]>::try_from(canonical) else {
        return canonical.to_vec();
    };
    let value = f64::from_be_bytes(bits);
    let normal = match value {
        0.0 => 0.0,
        _ if value.is_nan() => f64::NAN,
        _ => value,
    };
    normal.to_be_bytes().to_vec()
}

/// interval: months of 30 days and days of 24 hours, in microseconds (timestamp.c, interval_cmp_value).
fn length_of(canonical: &[u8]) -> Vec<u8> {
    const DAY_US: i128 = 86_400_000_000;
    let Some((time, rest)) = canonical.split_first_chunk::<8>() else {
        return canonical.to_vec();
    };
    let (Some((days, rest)), Some(months)) =
        (rest.split_first_chunk::<4>(), rest.last_chunk::<4>())
    else {
        return canonical.to_vec();
    };
    let months = if rest.len() == 4 { months } else { &[0; 4] };
    let days = i128::from(i32::from_be_bytes(*days)) + 30 * i128::from(i32::from_be_bytes(*months));
    let length = days * DAY_US + i128::from(i64::from_be_bytes(*time));
    length.to_be_bytes().to_vec()
}

/// A jsonb document with each number without its trailing zeros. Its keys are in order already, its texts are escaped
/// in one way; texts are equal by their bytes, for a default collation is deterministic (jsonb_util.c).
fn document(canonical: &[u8]) -> Vec<u8> {
    let mut normal = Vec::with_capacity(canonical.len());
    let mut rest = canonical;
    while let Some((&first, behind)) = rest.split_first() {
        let run = match first {
            b'"' => 1 + text_bytes(behind),
            b'-' | b'0'..=b'9' => number_bytes(rest),
            _ => 1,
        };
        let (run, behind) = rest.split_at(run.min(rest.len()));
        normal.extend_from_slice(match first {
            b'-' | b'0'..=b'9' => without_trailing_zeros(run),
            _ => run,
        });
        rest = behind;
    }
    normal
}

/// Bytes of a text behind its opening quote, the closing one with them.
fn text_bytes(bytes: &[u8]) -> usize {
    let mut escaped = false;
    let end = bytes.iter().position(|&byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    });
    end.map_or(bytes.len(), |end| end + 1)
}

/// Bytes of a number, as jsonb prints it: sign, digits, a point; no exponent.
fn number_bytes(bytes: &[u8]) -> usize {
    let in_number = |byte: &u8| matches!(byte, b'-' | b'.' | b'0'..=b'9');
    bytes.iter().take_while(|byte| in_number(byte)).count()
}

/// `1.50` → `1.5`, `1.00` → `1`; what has no point stays.
fn without_trailing_zeros(number: &[u8]) -> &[u8] {
    if !number.contains(&b'.') {
        return number;
    }
    let kept = number.iter().rposition(|&digit| digit != b'0');
    match kept {
        Some(point) if number[point] == b'.' => &number[..point],
        Some(last) => &number[..=last],
        None => number,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{LogicalType, TextSettings, from_text};

    fn normal_text(text: &str) -> String {
        let canonical = from_text(
            LogicalType::Jsonb,
            text.as_bytes(),
            &TextSettings::default(),
        );
        let canonical = canonical.unwrap();
        let normal = normal(TypeClass::Jsonb, None, &canonical).unwrap();
        String::from_utf8(normal.into_owned()).unwrap()
    }

    #[test]
    fn numbers_of_documents_lose_their_trailing_zeros() {
        for (text, expected) in [
            ("1.0", "\u{1}1"),
            ("-1.500", "\u{1}-1.5"),
            ("-0.00", "\u{1}0"),
            ("100", "\u{1}100"),
            ("1e2", "\u{1}100"),
            ("0.010", "\u{1}0.01"),
            (
                r#"{"1.0": "2.50", "a\"1.0": [1.0, "\\", 2.0]}"#,
                "\u{1}{\"1.0\": \"2.50\", \"a\\\"1.0\": [1, \"\\\\\", 2]}",
            ),
        ] {
            assert_eq!(normal_text(text), expected, "{text}");
        }
    }

    #[test]
    fn values_that_are_equal_have_one_normal_form() {
        use crate::types::IntervalFields;
        let interval = LogicalType::Interval(IntervalFields::ALL);
        for (logical, texts, other) in [
            (LogicalType::Float8, ["0", "-0.0", "0e5"], "1"),
            (LogicalType::Float4, ["NaN", "-nan", " nan"], "Infinity"),
            (LogicalType::NumericAny, ["100", "1e2", "100.00"], "1"),
            (LogicalType::Char(None), ["a", "a ", "a   "], " a"),
            (interval, ["1 month", "30 days", "29 days 24:00"], "1 day"),
        ] {
            let normal = |text: &str| {
                let canonical = from_text(logical, text.as_bytes(), &TextSettings::default());
                let canonical = canonical.unwrap();
                normal(logical.class(), None, &canonical)
                    .unwrap()
                    .into_owned()
            };
            let [first, second, third] = texts.map(normal);
            assert_eq!(first, second, "{logical:?}");
            assert_eq!(first, third, "{logical:?}");
            assert_ne!(first, normal(other), "{logical:?}");
        }
    }

    #[test]
    fn a_citext_is_folded_by_its_letters_of_ascii() {
        let normal = normal(TypeClass::Citext, None, "ÄBC[ z".as_bytes());
        assert_eq!(normal.as_deref(), Some("Äbc[ z".as_bytes()));
    }

    #[test]
    fn where_equality_is_identity_the_canonical_form_is_normal() {
        let normal = normal(TypeClass::Bytea, None, b"1.0");
        assert!(matches!(normal, Some(Cow::Borrowed(b"1.0"))));
    }

    /// What a term is made of stays: another form would find no value that is stored.
    #[test]
    fn frozen_normal_forms_of_arrays() {
        use crate::types::ArrayType;
        let array = |element: LogicalType| ArrayType {
            oid: 1,
            element_oid: element.oid(),
            element,
        };
        let of = |element: LogicalType, text: &str| {
            let logical = LogicalType::Array(array(element).keep().unwrap());
            let canonical = from_text(logical, text.as_bytes(), &TextSettings::default()).unwrap();
            let normal = normal(logical.class(), logical.element_class(), &canonical);
            normal.map(hex::encode)
        };
        let number = |text| of(LogicalType::NumericAny, text).unwrap();
        assert_eq!(
            number("{1.50,NULL}"),
            "00000001 0000000c 000200000000000000011388 ffffffff".replace(' ', "")
        );
        assert_eq!(number("{1.5,NULL}"), number("{1.500,NULL}"));
        assert_eq!(number("{}"), "");
        assert_ne!(number("{1,NULL}"), number("{1}"));
        assert_ne!(number("[2:2]={1}"), number("{1}"));
        let float = |text| of(LogicalType::Float8, text).unwrap();
        assert_eq!(float("[0:1]={-0,NaN}"), float("[0:1]={0,nan}"));
        assert_eq!(float("[0:0]={-0}"), "00000000000000080000000000000000");
        assert_eq!(of(LogicalType::Json, "{}"), None);
    }
}

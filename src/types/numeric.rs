//! numeric: canonical as PostgreSQL's send format with no zero group at either end.
//!
//! Of a numeric(p,s), a value that fits its scale is kept with exactly that many digits after the point, so that equal
//! values are equal bytes; one that does not fit (only compared, never stored) is kept with as few as it needs, so
//! that it equals nothing stored. Without a scale (None here) every value is kept with the digits it was written with.

use super::decimal::{DISPLAY_SCALE_MAX, Decimal, in_range, literal};
use super::{ValueFault, integer, is_space, left_over, short_message};
use crate::ident::SqlState;

/// Sign words of the send format.
const POSITIVE: u16 = 0x0000;
const NEGATIVE: u16 = 0x4000;
const NOT_A_NUMBER: u16 = 0xc000;
const INFINITE: u16 = 0xd000;
const MINUS_INFINITE: u16 = 0xf000;

/// The scale that PostgreSQL sends with an infinity: bits of the infinity's own mark.
const INFINITE_SCALE: u8 = 0x20;

/// What a numeric can be.
enum Number {
    Finite(Decimal),
    /// NaN or an infinity, by its sign word
    Special(u16),
}

/// Reads a literal as `numeric` without a modifier.
///
/// # Errors
/// 22P02 for a malformed one, 22003 for one beyond numeric's own range.
pub(super) fn parse(text: &str, scale: Option<u16>) -> Result<Vec<u8>, ValueFault> {
    let start = text.trim_start_matches(|c: char| u8::try_from(c).is_ok_and(is_space));
    if let Some((sign, rest)) = special_word(start) {
        return if rest.bytes().all(is_space) {
            Ok(special(sign))
        } else {
            Err(ValueFault::syntax("numeric"))
        };
    }
    let (decimal, rest) = literal(start)?;
    if !rest.bytes().all(is_space) {
        return Err(ValueFault::syntax("numeric"));
    }
    in_range(&decimal)?;
    decimal.canonical(scale)
}

/// Prints a literal as `numeric` without a modifier would: what jsonb does with its numbers.
///
/// # Errors
/// As [`parse`].
pub(super) fn reprint(literal_text: &str) -> Result<String, ValueFault> {
    let (decimal, rest) = literal(literal_text)?;
    if !rest.is_empty() {
        return Err(ValueFault::syntax("numeric"));
    }
    in_range(&decimal)?;
    Ok(decimal.text())
}

/// Reads the send format, whose digits a client need not have normalised.
///
/// # Errors
/// 08P01 for too few bytes, 22P03 for a malformed header or digit.
pub(super) fn receive(bytes: &[u8], scale: Option<u16>) -> Result<Vec<u8>, ValueFault> {
    match decode(bytes)? {
        Number::Special(sign) => Ok(special(sign)),
        Number::Finite(decimal) => decimal.canonical(scale),
    }
}

/// An integer as numeric, as the implicit cast makes it.
pub(super) fn from_integer(canonical: &[u8], scale: Option<u16>) -> Result<Vec<u8>, ValueFault> {
    let value = integer::value(canonical, integer::Width::Int8)?;
    let (decimal, _) = literal(&value.to_string())?;
    decimal.canonical(scale)
}

/// Prints a canonical value.
///
/// # Errors
/// XX001 when it is no numeric.
pub(super) fn show(canonical: &[u8]) -> Result<Vec<u8>, ValueFault> {
    Ok(match stored(canonical)? {
        Number::Finite(decimal) => decimal.text(),
        Number::Special(INFINITE) => "Infinity".to_owned(),
        Number::Special(MINUS_INFINITE) => "-Infinity".to_owned(),
        Number::Special(_) => "NaN".to_owned(),
    }
    .into_bytes())
}

/// Writes the send format, which the canonical form is but for an infinity.
///
/// # Errors
/// XX001 when it is no numeric.
pub(super) fn send(canonical: &[u8]) -> Result<Vec<u8>, ValueFault> {
    let number = stored(canonical)?;
    let mut sent = canonical.to_vec();
    if let (Number::Special(INFINITE | MINUS_INFINITE), Some(scale)) = (number, sent.last_mut()) {
        *scale = INFINITE_SCALE;
    }
    Ok(sent)
}

/// Applies numeric(p,s): rounds, then checks the digits before the point.
///
/// # Errors
/// 22003 for too many digits or an infinity; NaN passes.
pub(super) fn coerce(canonical: &[u8], precision: u16, scale: i16) -> Result<Vec<u8>, ValueFault> {
    match stored(canonical)? {
        Number::Special(NOT_A_NUMBER) => Ok(special(NOT_A_NUMBER)),
        Number::Special(_) => Err(field_overflow(precision, scale)),
        Number::Finite(decimal) => {
            let rounded = decimal.round(i64::from(scale));
            let digits_max = i64::from(precision) - i64::from(scale);
            if !rounded.digits.is_empty() && rounded.point > digits_max {
                return Err(field_overflow(precision, scale));
            }
            rounded.encode()
        }
    }
}

/// The words for what is no finite number, in any case, and what follows them (numeric.c, numeric_in).
fn special_word(text: &str) -> Option<(u16, &str)> {
    const WORDS: [(&str, u16); 7] = [
        ("nan", NOT_A_NUMBER),
        ("infinity", INFINITE),
        ("+infinity", INFINITE),
        ("-infinity", MINUS_INFINITE),
        ("inf", INFINITE),
        ("+inf", INFINITE),
        ("-inf", MINUS_INFINITE),
    ];
    WORDS.iter().find_map(|(word, sign)| {
        let (head, rest) = text.split_at_checked(word.len())?;
        head.eq_ignore_ascii_case(word).then_some((*sign, rest))
    })
}

fn stored(canonical: &[u8]) -> Result<Number, ValueFault> {
    decode(canonical).map_err(|_| ValueFault::not_canonical("numeric"))
}

/// Reads the send format (numeric.c, numeric_recv).
fn decode(bytes: &[u8]) -> Result<Number, ValueFault> {
    let malformed = |part: &str| {
        ValueFault::new(
            SqlState::INVALID_BINARY_REPRESENTATION,
            format!("invalid {part} in external \"numeric\" value"),
        )
    };
    let (words, odd) = bytes.as_chunks::<2>();
    let mut words = words.iter().map(|word| u16::from_be_bytes(*word));
    let mut next = || words.next().ok_or_else(short_message);
    let count = next()?;
    let weight = i16::from_be_bytes(next()?.to_be_bytes());
    let sign = next()?;
    if !matches!(
        sign,
        POSITIVE | NEGATIVE | NOT_A_NUMBER | INFINITE | MINUS_INFINITE
    ) {
        return Err(malformed("sign"));
    }
    let scale = i64::from(next()?);
    if scale > DISPLAY_SCALE_MAX {
        return Err(malformed("scale"));
    }
    let mut digits = Vec::with_capacity(usize::from(count) * 4);
    for _ in 0..count {
        let group = next()?;
        if group > 9999 {
            return Err(malformed("digit"));
        }
        digits.extend([1000, 100, 10, 1].map(|unit| (group / unit % 10) as u8));
    }
    if words.next().is_some() || !odd.is_empty() {
        return Err(left_over());
    }
    if !matches!(sign, POSITIVE | NEGATIVE) {
        return Ok(Number::Special(sign));
    }
    let point = (i64::from(weight) + 1) * 4;
    let decimal = Decimal::new(sign == NEGATIVE, digits, point, scale);
    Ok(Number::Finite(decimal.truncate_to_display()))
}

/// The send format of NaN or an infinity: no digits, no scale.
fn special(sign: u16) -> Vec<u8> {
    let [high, low] = sign.to_be_bytes();
    vec![0, 0, 0, 0, high, low, 0, 0]
}

fn field_overflow(precision: u16, scale: i16) -> ValueFault {
    ValueFault::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        format!("numeric field overflow: numeric({precision},{scale}) is too small for the value"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text → numeric(p,s) → text.
    fn cast(text: &str, precision: u16, scale: i16) -> Result<String, &'static str> {
        parse(text, u16::try_from(scale).ok())
            .and_then(|bytes| coerce(&bytes, precision, scale))
            .and_then(|bytes| show(&bytes))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .map_err(|fault| fault.sqlstate.0)
    }

    #[test]
    fn rounding_is_half_away_from_zero_and_range_is_checked_after_it() {
        for (text, shown) in [
            ("1", "1.00"),
            ("-0", "0.00"),
            ("1.005", "1.01"),
            ("-1.005", "-1.01"),
            ("1.00499999", "1.00"),
            ("999.994", "999.99"),
            ("-.001", "0.00"),
            (" 1.5e1 ", "15.00"),
            ("1e 2", "100.00"),
            ("0.000000001e9", "1.00"),
            ("NaN", "NaN"),
            ("0e1000000", "0.00"),
            ("1e-1000000", "22003"),
            ("999.995", "22003"),
            ("1000", "22003"),
            ("infinity", "22003"),
            ("1e1000000", "22003"),
            ("1e99999999999999999999", "22003"),
            ("", "22P02"),
            (".", "22P02"),
            ("1..2", "22P02"),
            ("1.2.3", "22P02"),
            ("1e", "22P02"),
            ("1_000", "22P02"),
            ("0x1", "22P02"),
            ("NaNs", "22P02"),
            ("- 1", "22P02"),
        ] {
            let found = cast(text, 5, 2).unwrap_or_else(str::to_owned);
            assert_eq!(found, shown, "{text}");
        }
    }

    #[test]
    fn a_value_beyond_the_scale_equals_nothing_stored_and_one_within_it_does() {
        let stored = parse("1.5", Some(2)).and_then(|bytes| coerce(&bytes, 5, 2));
        assert_eq!(parse("1.500000", Some(2)), stored);
        assert_eq!(parse("15e-1", Some(2)), stored);
        assert_ne!(parse("1.501", Some(2)), stored);
        assert_eq!(
            from_integer(&3_i64.to_be_bytes(), Some(2)),
            parse("3.00", Some(2))
        );
    }

    #[test]
    fn digits_from_clients_are_normalised() {
        // 0000 0001 5000 0000, weight 1, scale 2
        let loose = [0, 4, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0x13, 0x88, 0, 0];
        assert_eq!(receive(&loose, Some(2)), parse("1.5", Some(2)));
        // digits hidden by the scale are cut, not rounded: 1.5 shown with scale 0
        let hidden = [0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 0x13, 0x88];
        assert_eq!(receive(&hidden, Some(0)), parse("1", Some(0)));
        let negative_zero = [0, 0, 0, 9, 0x40, 0, 0, 0];
        assert_eq!(receive(&negative_zero, Some(2)), parse("0", Some(2)));
    }
}

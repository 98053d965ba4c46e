//! numeric: canonical as PostgreSQL's send format with no zero group at either end.
//!
//! Of a numeric(p,s), a value that fits its scale is kept with exactly that many digits after the point, so that equal
//! values are equal bytes; one that does not fit (only compared, never stored) is kept with as few as it needs, so
//! that it equals nothing stored. Without a scale (None here) every value is kept with the digits it was written with.

use std::borrow::Cow;

use super::decimal::{DISPLAY_SCALE_MAX, Decimal, in_range, literal, of_base};
use super::{ServerVersion, ValueFault, integer, is_space, left_over, short_message};
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
pub(super) fn parse(
    text: &str,
    scale: Option<u16>,
    version: ServerVersion,
) -> Result<Vec<u8>, ValueFault> {
    let start = text.trim_start_matches(|c: char| u8::try_from(c).is_ok_and(is_space));
    if let Some((sign, rest)) = special_word(start)
        && (sign == NOT_A_NUMBER || version.has_infinite_numerics())
    {
        return if rest.bytes().all(is_space) {
            Ok(special(sign))
        } else {
            Err(ValueFault::syntax("numeric"))
        };
    }
    let joined = match version.reads_other_bases() {
        true => joined(start),
        false => Cow::Borrowed(start),
    };
    let (decimal, rest) = match in_other_base(start) {
        Some(read) if version.reads_other_bases() => read?,
        _ => literal(&joined, version)?,
    };
    if !rest.bytes().all(is_space) {
        return Err(ValueFault::syntax("numeric"));
    }
    in_range(&decimal)?;
    decimal.canonical(scale)
}

/// The text without the underscores between two digits; any other is junk.
fn joined(text: &str) -> Cow<'_, str> {
    if !text.contains('_') {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let is_digit = |at: Option<usize>| {
        at.and_then(|at| bytes.get(at))
            .is_some_and(u8::is_ascii_digit)
    };
    let kept = text.char_indices().filter(|(at, c)| {
        *c != '_' || !is_digit(at.checked_sub(1)) || !is_digit(at.checked_add(1))
    });
    Cow::Owned(kept.map(|(_, c)| c).collect())
}

/// A whole number in hexadecimal, octal or binary digits, and what follows (numeric.c, numeric_in of 16); None for a
/// decimal one.
fn in_other_base(text: &str) -> Option<Result<(Decimal, &str), ValueFault>> {
    let (base, unsigned) = integer::base_of(text.strip_prefix(['+', '-']).unwrap_or(text));
    if base == 10 {
        return None;
    }
    let (digits, rest) = integer::digits_of_base(unsigned, base);
    if digits.is_empty() {
        return Some(Err(ValueFault::syntax("numeric")));
    }
    let read = of_base(text.starts_with('-'), &digits, base);
    Some(read.map(|decimal| (decimal, rest)))
}

/// Prints a literal as `numeric` without a modifier would: what jsonb does with its numbers.
///
/// # Errors
/// As [`parse`].
pub(super) fn reprint(literal_text: &str) -> Result<String, ValueFault> {
    let (decimal, rest) = literal(literal_text, ServerVersion::default())?;
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
pub(super) fn receive(
    bytes: &[u8],
    scale: Option<u16>,
    version: ServerVersion,
) -> Result<Vec<u8>, ValueFault> {
    match decode(bytes, version.has_infinite_numerics())? {
        Number::Special(sign) => Ok(special(sign)),
        Number::Finite(decimal) => decimal.canonical(scale),
    }
}

/// An integer as numeric, as the implicit cast makes it.
pub(super) fn from_integer(canonical: &[u8], scale: Option<u16>) -> Result<Vec<u8>, ValueFault> {
    let value = integer::value(canonical, integer::Width::Int8)?;
    let (decimal, _) = literal(&value.to_string(), ServerVersion::default())?;
    decimal.canonical(scale)
}

/// Prints a canonical value.
///
/// # Errors
/// XX001 when it is no numeric, 0A000 for an infinity under a version that has none.
pub(super) fn show(canonical: &[u8], version: ServerVersion) -> Result<Vec<u8>, ValueFault> {
    Ok(match known(canonical, version)? {
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
/// As [`show`].
pub(super) fn send(canonical: &[u8], version: ServerVersion) -> Result<Vec<u8>, ValueFault> {
    let number = known(canonical, version)?;
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
    decode(canonical, true).map_err(|_| ValueFault::not_canonical("numeric"))
}

/// A stored number that the version has.
fn known(canonical: &[u8], version: ServerVersion) -> Result<Number, ValueFault> {
    match stored(canonical)? {
        Number::Special(INFINITE | MINUS_INFINITE) if !version.has_infinite_numerics() => {
            Err(ValueFault::unknown_to_version("an infinite numeric"))
        }
        number => Ok(number),
    }
}

/// Reads the send format (numeric.c, numeric_recv).
fn decode(bytes: &[u8], has_infinities: bool) -> Result<Number, ValueFault> {
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
    match sign {
        POSITIVE | NEGATIVE | NOT_A_NUMBER => {}
        INFINITE | MINUS_INFINITE if has_infinities => {}
        _ => return Err(malformed("sign")),
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
    let point = (i64::from(weight) + 1) * 4;
    // 13 cuts the digits of NaN too, and where that leaves none it is 0 (numeric.c, trunc_var).
    let is_cut_away = !has_infinities && point + scale <= 0;
    if !matches!(sign, POSITIVE | NEGATIVE) && !is_cut_away {
        return Ok(Number::Special(sign));
    }
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
        parse(text, u16::try_from(scale).ok(), ServerVersion::default())
            .and_then(|bytes| coerce(&bytes, precision, scale))
            .and_then(|bytes| show(&bytes, ServerVersion::default()))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .map_err(|fault| fault.sqlstate.0)
    }

    fn read(text: &str, scale: u16) -> Result<Vec<u8>, ValueFault> {
        parse(text, Some(scale), ServerVersion::default())
    }

    /// Text → numeric → text, under a version.
    fn under(major: u32, text: &str) -> Result<String, &'static str> {
        let version = ServerVersion::numbered(major * 10_000);
        parse(text, None, version)
            .and_then(|bytes| show(&bytes, version))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .map_err(|fault| fault.sqlstate.0)
    }

    #[test]
    fn later_versions_read_other_bases_and_underscores() {
        for (text, shown) in [
            ("0x1F", "31"),
            ("-0X_ff_ff ", "-65535"),
            ("0o17", "15"),
            ("0b101", "5"),
            ("0x0", "0"),
            ("0xFFFFFFFFFFFFFFFFFFFF", "1208925819614629174706175"),
            ("1_000.000_1e1_0", "10000001000000"),
            ("1e10", "10000000000"),
        ] {
            assert_eq!(under(16, text).as_deref(), Ok(shown), "{text}");
        }
        for text in [
            "0x", "0xg", "0x1.5", "1_", "_1", "1__0", "1_.5", "1._5", "1e_5", "1e 5", "0b2",
        ] {
            assert_eq!(under(16, text), Err("22P02"), "{text}");
        }
        assert_eq!(under(15, "1e 5").as_deref(), Ok("100000"));
        let large = |digits: usize| under(16, &format!("0x{}", "f".repeat(digits)));
        assert_eq!(large(108_852).map(|text| text.len()), Ok(131_071));
        assert_eq!(large(108_853), Err("22003"));
        assert_eq!(large(1_000_000), Err("22003"));
    }

    #[test]
    fn an_infinity_is_read_and_shown_only_where_the_version_has_it() {
        let of = |major: u32| ServerVersion::numbered(major * 10_000);
        let stored = parse("-Infinity", None, of(14)).expect("a numeric of 14");
        let sent = send(&stored, of(14)).expect("a numeric of 14");
        assert_eq!(receive(&sent, None, of(14)), Ok(stored.clone()));
        let sqlstate = |read: Result<Vec<u8>, ValueFault>| read.map_err(|fault| fault.sqlstate.0);
        assert_eq!(sqlstate(parse("-Infinity", None, of(13))), Err("22P02"));
        assert_eq!(sqlstate(receive(&sent, None, of(13))), Err("22P03"));
        assert_eq!(sqlstate(show(&stored, of(13))), Err("0A000"));
        assert_eq!(sqlstate(send(&stored, of(13))), Err("0A000"));
        assert!(parse("NaN", None, of(13)).is_ok());
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
        let stored = read("1.5", 2).and_then(|bytes| coerce(&bytes, 5, 2));
        assert_eq!(read("1.500000", 2), stored);
        assert_eq!(read("15e-1", 2), stored);
        assert_ne!(read("1.501", 2), stored);
        assert_eq!(from_integer(&3_i64.to_be_bytes(), Some(2)), read("3.00", 2));
    }

    #[test]
    fn digits_from_clients_are_normalised() {
        // 0000 0001 5000 0000, weight 1, scale 2
        let loose = [0, 4, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0x13, 0x88, 0, 0];
        assert_eq!(
            receive(&loose, Some(2), ServerVersion::default()),
            read("1.5", 2)
        );
        // digits hidden by the scale are cut, not rounded: 1.5 shown with scale 0
        let hidden = [0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 0x13, 0x88];
        assert_eq!(
            receive(&hidden, Some(0), ServerVersion::default()),
            read("1", 0)
        );
        let negative_zero = [0, 0, 0, 9, 0x40, 0, 0, 0];
        assert_eq!(
            receive(&negative_zero, Some(2), ServerVersion::default()),
            read("0", 2)
        );
    }
}

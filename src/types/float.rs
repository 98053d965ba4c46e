//! float4 and float8: one class, canonical as the bits of a float8, so that -0.0 and a NaN's bits read back as they
//! were and comparisons across widths hold.
//!
//! Text is read as glibc's `strtod` reads it and printed as PostgreSQL prints it (float.c, float8in_internal and
//! float8out_internal; d2s.c): the shortest digits strictly nearer to the value than to its neighbours, or, where
//! `extra_float_digits` is 0 or less, a fixed number of them. Hexadecimal input is refused.

use super::{TextSettings, ValueFault, exact, is_space, stored};
use crate::ident::SqlState;

/// Digits that every float8 needs at most.
const DIGITS_MAX: usize = 17;

/// How wide a float type is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    /// `float4`
    Single,
    /// `float8`
    Double,
}

impl Width {
    fn name(self) -> &'static str {
        match self {
            Self::Single => "real",
            Self::Double => "double precision",
        }
    }

    /// Decimal digits that any text keeps (FLT_DIG, DBL_DIG).
    fn digits(self) -> i32 {
        match self {
            Self::Single => 6,
            Self::Double => 15,
        }
    }

    /// Bits of a midpoint between two neighbours, the first and the last always set.
    fn midpoint_bits(self) -> u32 {
        match self {
            Self::Single => 25,
            Self::Double => 54,
        }
    }

    fn read(self, text: &str) -> Option<f64> {
        match self {
            Self::Single => text.parse::<f32>().ok().map(f64::from),
            Self::Double => text.parse().ok(),
        }
    }

    fn out_of_range(self) -> ValueFault {
        ValueFault::new(
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            format!("value is out of range for type {}", self.name()),
        )
    }
}

/// Reads a number or one of the words for what is none.
///
/// # Errors
/// 22P02 for a malformed one, 22003 for one that becomes infinite or zero, 0A000 for hexadecimal.
pub(super) fn parse(text: &str, width: Width) -> Result<Vec<u8>, ValueFault> {
    let start = text.trim_start_matches(|c: char| u8::try_from(c).is_ok_and(is_space));
    let (value, rest) = front(start, width)?;
    if rest.bytes().all(is_space) {
        Ok(canonical(value))
    } else {
        Err(ValueFault::syntax(width.name()))
    }
}

/// The number at the front of a text, and what follows it.
fn front(text: &str, width: Width) -> Result<(f64, &str), ValueFault> {
    let syntax = || ValueFault::syntax(width.name());
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let signed = |size: f64| if text.starts_with('-') { -size } else { size };
    for (word, value) in [
        ("infinity", f64::INFINITY),
        ("inf", f64::INFINITY),
        ("nan", f64::NAN),
    ] {
        if let Some((head, rest)) = unsigned.split_at_checked(word.len())
            && head.eq_ignore_ascii_case(word)
        {
            if word == "nan" && rest.starts_with('(') {
                return Err(unsupported());
            }
            return Ok((signed(value), rest));
        }
    }
    if let Some(rest) = hexadecimal_end(unsigned) {
        return match rest.bytes().all(is_space) {
            true => Err(unsupported()),
            false => Err(syntax()),
        };
    }
    let length = number_length(unsigned).ok_or_else(syntax)?;
    let (number, rest) = text.split_at(text.len() - unsigned.len() + length);
    let value = width.read(number).ok_or_else(syntax)?;
    let mantissa = number.split(['e', 'E']).next().unwrap_or_default();
    let vanished = value == 0.0 && mantissa.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
    if value.is_infinite() || vanished {
        return Err(width.out_of_range());
    }
    Ok((value, rest))
}

/// What follows a hexadecimal float; None where the text begins with none.
fn hexadecimal_end(text: &str) -> Option<&str> {
    let digits = text.strip_prefix("0x").or(text.strip_prefix("0X"))?;
    if !digits
        .trim_start_matches('.')
        .starts_with(|c: char| c.is_ascii_hexdigit())
    {
        return None;
    }
    let rest = digits.trim_start_matches(|c: char| c.is_ascii_hexdigit() || c == '.');
    let Some(exponent) = rest.strip_prefix(['p', 'P']) else {
        return Some(rest);
    };
    let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    let after = unsigned.trim_start_matches(|c: char| c.is_ascii_digit());
    Some(if after.len() < unsigned.len() {
        after
    } else {
        rest
    })
}

/// Bytes of digits, a point, and an exponent that has digits; None without a digit before it.
pub(super) fn number_length(text: &str) -> Option<usize> {
    let digits = |from: usize| {
        let rest = text.get(from..).unwrap_or_default();
        rest.bytes().take_while(u8::is_ascii_digit).count()
    };
    let whole = digits(0);
    let mut length = whole;
    if text.as_bytes().get(length) == Some(&b'.') {
        length += 1 + digits(length + 1);
    }
    if whole == 0 && length < 2 {
        return None;
    }
    if matches!(text.as_bytes().get(length), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.as_bytes().get(length + 1), Some(b'+' | b'-')));
        let exponent = digits(length + 1 + sign);
        if exponent > 0 {
            length += 1 + sign + exponent;
        }
    }
    Some(length)
}

fn unsupported() -> ValueFault {
    ValueFault::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        "hexadecimal floats are not read here: write decimal digits",
    )
}

/// Reads the send format of the width.
///
/// # Errors
/// 08P01 for too few bytes, 22P03 for too many.
pub(super) fn receive(bytes: &[u8], width: Width) -> Result<Vec<u8>, ValueFault> {
    Ok(match width {
        Width::Single => widened(u32::from_be_bytes(exact(bytes)?))
            .to_be_bytes()
            .to_vec(),
        Width::Double => exact::<8>(bytes)?.to_vec(),
    })
}

/// Lets a float into a float4, as the assignment cast from float8 does.
///
/// # Errors
/// 22003 when it becomes infinite or zero.
pub(super) fn narrow(canonical: Vec<u8>) -> Result<Vec<u8>, ValueFault> {
    let value = f64::from_bits(bits(&canonical, Width::Double)?);
    if value.is_nan() {
        // Bits that a float4 has not are lost.
        return Ok(widened(narrowed(value.to_bits())).to_be_bytes().to_vec());
    }
    let single = value as f32;
    if (single.is_infinite() && value.is_finite()) || (single == 0.0 && value != 0.0) {
        return Err(Width::Single.out_of_range());
    }
    Ok(self::canonical(f64::from(single)))
}

/// Prints the value.
///
/// # Errors
/// XX001 when the bytes are no float of the width.
pub(super) fn show(
    canonical: &[u8],
    width: Width,
    settings: &TextSettings,
) -> Result<Vec<u8>, ValueFault> {
    let value = f64::from_bits(bits(canonical, width)?);
    let text = if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
    } else if settings.extra_float_digits > 0 {
        let (digits, exponent) = shortest(value.abs(), width);
        laid_out(value.is_sign_negative(), &digits, exponent, width.digits())
    } else {
        let most = (width.digits() + settings.extra_float_digits).max(1);
        let (digits, exponent) = rounded(value.abs(), usize::try_from(most).unwrap_or(1));
        laid_out(value.is_sign_negative(), &digits, exponent, most)
    };
    Ok(text.into_bytes())
}

/// Writes the send format of the width.
///
/// # Errors
/// XX001 when the bytes are no float of the width.
pub(super) fn send(canonical: &[u8], width: Width) -> Result<Vec<u8>, ValueFault> {
    let bits = bits(canonical, width)?;
    Ok(match width {
        Width::Single => narrowed(bits).to_be_bytes().to_vec(),
        Width::Double => bits.to_be_bytes().to_vec(),
    })
}

fn canonical(value: f64) -> Vec<u8> {
    value.to_bits().to_be_bytes().to_vec()
}

fn bits(canonical: &[u8], width: Width) -> Result<u64, ValueFault> {
    let bits = u64::from_be_bytes(stored(canonical, width.name())?);
    match width {
        Width::Single if widened(narrowed(bits)) != bits => {
            Err(ValueFault::not_canonical(width.name()))
        }
        _ => Ok(bits),
    }
}

/// A float4's bits as a float8's; a NaN keeps its sign and payload, which a conversion need not.
fn widened(bits: u32) -> u64 {
    let value = f32::from_bits(bits);
    if value.is_nan() {
        let sign = u64::from(bits >> 31) << 63;
        return sign | (0x7ff << 52) | (u64::from(bits & 0x7f_ffff) << 29);
    }
    f64::from(value).to_bits()
}

/// The other way round; a NaN stays one although its last bits go.
fn narrowed(bits: u64) -> u32 {
    let value = f64::from_bits(bits);
    if value.is_nan() {
        let sign = ((bits >> 63) as u32) << 31;
        let payload = ((bits >> 29) & 0x7f_ffff) as u32;
        return sign | (0xff << 23) | if payload == 0 { 1 << 22 } else { payload };
    }
    (value as f32).to_bits()
}

/// Significant digits without zeros at the end, and the decimal exponent of the first.
fn shortest(value: f64, width: Width) -> (String, i32) {
    let text = match width {
        Width::Single => format!("{:e}", value as f32),
        Width::Double => format!("{value:e}"),
    };
    let (mut digits, mut exponent) = taken_apart(&text);
    // What lies halfway between two neighbours reads back only by rounding to even: PostgreSQL takes one digit more.
    // Of two as short and as near, PostgreSQL takes the even one.
    let even = rounded(value, digits.len());
    if even.0 != digits && reads_back(&even, value, width) {
        (digits, exponent) = even;
    }
    let mut more = digits.len();
    while is_midpoint(&digits, exponent, width) && more < DIGITS_MAX {
        more += 1;
        (digits, exponent) = rounded(value, more);
    }
    (digits, exponent)
}

fn reads_back((digits, exponent): &(String, i32), value: f64, width: Width) -> bool {
    let (first, rest) = digits.split_at(1);
    width.read(&format!("{first}.{rest}e{exponent}")) == Some(value)
}

/// So many digits, correctly rounded, without the zeros at the end.
fn rounded(value: f64, digits: usize) -> (String, i32) {
    let (digits, exponent) = taken_apart(&format!("{value:.*e}", digits.saturating_sub(1)));
    let kept = digits.trim_end_matches('0');
    (
        if kept.is_empty() { "0" } else { kept }.to_owned(),
        exponent,
    )
}

/// `d.ddde-x` as digits and exponent.
fn taken_apart(text: &str) -> (String, i32) {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let digits = mantissa.chars().filter(char::is_ascii_digit).collect();
    (digits, exponent.parse().unwrap_or(0))
}

/// Whether the digits are exactly an odd number of [`Width::midpoint_bits`] bits times a power of two.
fn is_midpoint(digits: &str, exponent: i32, width: Width) -> bool {
    let Ok(mut odd) = digits.parse::<u128>() else {
        return false;
    };
    let last = exponent - i32::try_from(digits.len()).unwrap_or(i32::MAX) + 1;
    if odd == 0 {
        return false;
    }
    for _ in 0..last.unsigned_abs() {
        let next = match last {
            0.. => odd
                .checked_mul(5)
                .filter(|odd| odd >> odd.trailing_zeros() < 1 << 60),
            _ => (odd % 5 == 0).then_some(odd / 5),
        };
        match next {
            Some(next) => odd = next >> next.trailing_zeros(),
            None => return false,
        }
    }
    odd >>= odd.trailing_zeros();
    128 - odd.leading_zeros() == width.midpoint_bits()
}

/// `%g`'s layout: scientific where the exponent is below -4 or at least `most`.
fn laid_out(negative: bool, digits: &str, exponent: i32, most: i32) -> String {
    let mut text = String::from(if negative { "-" } else { "" });
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or(0));
    if !(-4..most).contains(&exponent) {
        let (first, rest) = digits.split_at(1);
        text.push_str(first);
        if !rest.is_empty() {
            text.push('.');
            text.push_str(rest);
        }
        let sign = if exponent < 0 { '-' } else { '+' };
        text.push_str(&format!("e{sign}{:02}", exponent.unsigned_abs()));
    } else if exponent < 0 {
        text.push_str("0.");
        text.push_str(&zeros(-exponent - 1));
        text.push_str(digits);
    } else if count <= exponent + 1 {
        text.push_str(digits);
        text.push_str(&zeros(exponent + 1 - count));
    } else {
        let (whole, fraction) = digits.split_at(usize::try_from(exponent + 1).unwrap_or(0));
        text.push_str(whole);
        text.push('.');
        text.push_str(fraction);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, width: Width, extra_float_digits: i32) -> String {
        let settings = TextSettings {
            extra_float_digits,
            ..TextSettings::default()
        };
        parse(text, width)
            .and_then(|bytes| show(&bytes, width, &settings))
            .map_or_else(
                |fault| fault.sqlstate.0.to_owned(),
                |bytes| String::from_utf8_lossy(&bytes).into_owned(),
            )
    }

    #[test]
    fn numbers_are_printed_as_postgresql_prints_them() {
        for (text, double, single, fixed) in [
            ("0", "0", "0", "0"),
            ("-0.0", "-0", "-0", "-0"),
            ("0.1", "0.1", "0.1", "0.1"),
            ("1e23", "9.999999999999999e+22", "1e+23", "1e+23"),
            (
                "123456789.125",
                "123456789.125",
                "1.2345679e+08",
                "123456789.125",
            ),
            ("1e15", "1e+15", "1e+15", "1e+15"),
            (
                "999999999999999",
                "999999999999999",
                "1e+15",
                "999999999999999",
            ),
            ("0.0001", "0.0001", "0.0001", "0.0001"),
            ("0.00001", "1e-05", "1e-05", "1e-05"),
            ("0.30000000000000004", "0.30000000000000004", "0.3", "0.3"),
            (" nan ", "NaN", "NaN", "NaN"),
            ("-Infinity", "-Infinity", "-Infinity", "-Infinity"),
            ("1e400", "22003", "22003", "22003"),
            ("1e-400", "22003", "22003", "22003"),
            ("1e", "22P02", "22P02", "22P02"),
            ("", "22P02", "22P02", "22P02"),
            (".", "22P02", "22P02", "22P02"),
            ("0x1", "0A000", "0A000", "0A000"),
        ] {
            assert_eq!(shown(text, Width::Double, 1), double, "{text}");
            assert_eq!(shown(text, Width::Single, 3), single, "{text}");
            assert_eq!(shown(text, Width::Double, 0), fixed, "{text}");
        }
        assert_eq!(shown("123456", Width::Double, -14), "1e+05");
    }

    #[test]
    fn the_bits_of_nan_and_zero_read_back() {
        for bits in [0x7fc0_0001_u32, 0xffa0_0000, 0x8000_0000, 1, 0x7f80_0000] {
            let sent = bits.to_be_bytes();
            let canonical = receive(&sent, Width::Single).expect("four bytes");
            assert_eq!(send(&canonical, Width::Single), Ok(sent.to_vec()));
            assert_eq!(narrow(canonical.clone()), Ok(canonical));
        }
        let wide = parse("0.1", Width::Double).expect("a number");
        assert!(send(&wide, Width::Single).is_err());
        assert_eq!(narrow(wide), parse("0.1", Width::Single));
    }
}

//! int2, int4, int8: one class, canonical as 8 bytes big-endian, so that joins across widths hold.
//!
//! Up to PostgreSQL 15 text input is decimal digits only; 16 reads other bases and underscores, and looks for junk
//! before it looks for the range of all but the last digit.

use super::{LogicalType, ServerVersion, ValueFault, exact, is_space, stored};
use crate::ident::SqlState;

/// How wide an integer type is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    /// `int2`
    Int2,
    /// `int4`
    Int4,
    /// `int8`
    Int8,
}

impl Width {
    /// The width of a logical type; int8 for whatever is no narrower integer.
    pub(super) fn of(logical: LogicalType) -> Self {
        match logical {
            LogicalType::Int2 => Self::Int2,
            LogicalType::Int4 => Self::Int4,
            _ => Self::Int8,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Int2 => "smallint",
            Self::Int4 => "integer",
            Self::Int8 => "bigint",
        }
    }

    fn holds(self, value: i64) -> bool {
        match self {
            Self::Int2 => i16::try_from(value).is_ok(),
            Self::Int4 => i32::try_from(value).is_ok(),
            Self::Int8 => true,
        }
    }

    /// The size of the smallest value.
    fn most(self) -> u64 {
        match self {
            Self::Int2 => i16::MIN.unsigned_abs().into(),
            Self::Int4 => i32::MIN.unsigned_abs().into(),
            Self::Int8 => i64::MIN.unsigned_abs(),
        }
    }

    fn out_of_range(self) -> ValueFault {
        ValueFault::new(
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            format!("value is out of range for type {}", self.name()),
        )
    }
}

/// Reads digits with an optional sign, white space around.
///
/// # Errors
/// 22003 as soon as the digits exceed the width, even when junk follows (as PostgreSQL does), 22P02 for the rest.
pub(super) fn parse(
    text: &str,
    width: Width,
    version: ServerVersion,
) -> Result<Vec<u8>, ValueFault> {
    if version.reads_other_bases() {
        parse_any_base(text, width)
    } else {
        parse_decimal(text, width)
    }
}

/// The base that a number's first characters name, and its digits (numutils.c, numeric.c).
pub(super) fn base_of(unsigned: &str) -> (u32, &str) {
    let (mark, digits) = unsigned.split_at_checked(2).unwrap_or((unsigned, ""));
    match mark {
        "0x" | "0X" => (16, digits),
        "0o" | "0O" => (8, digits),
        "0b" | "0B" => (2, digits),
        _ => (10, unsigned),
    }
}

/// Digits at the front, each but the first decimal one with an underscore before it or none, and what follows.
pub(super) fn digits_of_base(text: &str, base: u32) -> (Vec<u32>, &str) {
    let mut digits = Vec::new();
    let mut rest = text;
    loop {
        let leads = digits.is_empty() && base == 10;
        let after = rest.strip_prefix('_').filter(|_| !leads).unwrap_or(rest);
        let Some(digit) = after.chars().next().and_then(|c| c.to_digit(base)) else {
            return (digits, rest);
        };
        digits.push(digit);
        rest = after.get(1..).unwrap_or_default();
    }
}

/// As PostgreSQL 16 reads it (numutils.c, pg_strtoint32_safe).
fn parse_any_base(text: &str, width: Width) -> Result<Vec<u8>, ValueFault> {
    let start = text.trim_start_matches(|c: char| u8::try_from(c).is_ok_and(is_space));
    let negative = start.starts_with('-');
    let (base, unsigned) = base_of(start.strip_prefix(['+', '-']).unwrap_or(start));
    let (digits, rest) = digits_of_base(unsigned, base);
    let base = u64::from(base);
    let most = width.most();
    let mut size = 0_u64;
    for digit in &digits {
        if size > most / base {
            return Err(width.out_of_range());
        }
        // At most 2^63 + 15.
        size = size * base + u64::from(*digit);
    }
    if digits.is_empty() || !rest.bytes().all(is_space) {
        return Err(ValueFault::syntax(width.name()));
    }
    let value = match negative {
        true => 0_i64.checked_sub_unsigned(size),
        false => i64::try_from(size).ok(),
    };
    value
        .filter(|value| width.holds(*value))
        .map(canonical)
        .ok_or_else(|| width.out_of_range())
}

/// As PostgreSQL 15 reads it.
fn parse_decimal(text: &str, width: Width) -> Result<Vec<u8>, ValueFault> {
    let syntax = || ValueFault::syntax(width.name());
    let mut rest = text.bytes().skip_while(|byte| is_space(*byte)).peekable();
    let negative = rest.next_if(|byte| matches!(byte, b'+' | b'-')) == Some(b'-');
    let mut value = 0_i64;
    let mut digits = 0_usize;
    while let Some(digit) = rest.next_if(u8::is_ascii_digit) {
        let digit = i64::from(digit - b'0');
        // Downwards, since the negative range is the wider one.
        value = value
            .checked_mul(10)
            .and_then(|value| value.checked_sub(digit))
            .filter(|value| width.holds(*value))
            .ok_or_else(|| width.out_of_range())?;
        digits += 1;
    }
    if digits == 0 || !rest.all(is_space) {
        return Err(syntax());
    }
    let value = if negative {
        Some(value)
    } else {
        value.checked_neg()
    };
    value
        .filter(|value| width.holds(*value))
        .map(canonical)
        .ok_or_else(|| width.out_of_range())
}

/// Reads the send format of the width.
///
/// # Errors
/// 08P01 for too few bytes, 22P03 for too many.
pub(super) fn receive(bytes: &[u8], width: Width) -> Result<Vec<u8>, ValueFault> {
    let value = match width {
        Width::Int2 => i64::from(i16::from_be_bytes(exact(bytes)?)),
        Width::Int4 => i64::from(i32::from_be_bytes(exact(bytes)?)),
        Width::Int8 => i64::from_be_bytes(exact(bytes)?),
    };
    Ok(canonical(value))
}

/// The value of a canonical form.
///
/// # Errors
/// XX001 when it is not 8 bytes, or too large for the width.
pub(super) fn value(canonical: &[u8], width: Width) -> Result<i64, ValueFault> {
    Some(i64::from_be_bytes(stored(canonical, width.name())?))
        .filter(|value| width.holds(*value))
        .ok_or_else(|| ValueFault::not_canonical(width.name()))
}

/// Prints the digits.
pub(super) fn show(canonical: &[u8], width: Width) -> Result<Vec<u8>, ValueFault> {
    value(canonical, width).map(|value| value.to_string().into_bytes())
}

/// Writes the send format of the width.
pub(super) fn send(canonical: &[u8], width: Width) -> Result<Vec<u8>, ValueFault> {
    let value = value(canonical, width)?;
    match width {
        Width::Int8 => Ok(value.to_be_bytes().to_vec()),
        Width::Int4 => narrowed::<i32>(value, width).map(|value| value.to_be_bytes().to_vec()),
        Width::Int2 => narrowed::<i16>(value, width).map(|value| value.to_be_bytes().to_vec()),
    }
}

/// Lets an integer into a narrower type, as the assignment cast from int8 does.
///
/// # Errors
/// 22003 when it does not fit.
pub(super) fn narrow(canonical: Vec<u8>, width: Width) -> Result<Vec<u8>, ValueFault> {
    if width.holds(value(&canonical, Width::Int8)?) {
        Ok(canonical)
    } else {
        Err(ValueFault::new(
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            format!("{} out of range", width.name()),
        ))
    }
}

fn canonical(value: i64) -> Vec<u8> {
    value.to_be_bytes().to_vec()
}

fn narrowed<T: TryFrom<i64>>(value: i64, width: Width) -> Result<T, ValueFault> {
    T::try_from(value).map_err(|_| ValueFault::not_canonical(width.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int4(text: &str) -> Result<i64, &'static str> {
        int4_in(15, text)
    }

    fn int4_in(major: u32, text: &str) -> Result<i64, &'static str> {
        parse(text, Width::Int4, ServerVersion::numbered(major * 10_000))
            .map_err(|fault| fault.sqlstate.0)
            .and_then(|bytes| value(&bytes, Width::Int8).map_err(|fault| fault.sqlstate.0))
    }

    #[test]
    fn digits_signs_and_spaces() {
        assert_eq!(int4(" \t\n\r\x0b\x0c-2147483648 "), Ok(-2_147_483_648));
        assert_eq!(int4("+0002147483647"), Ok(2_147_483_647));
        assert_eq!(int4("-0"), Ok(0));
        for text in ["2147483648", "-2147483649", "99999999999999999999x"] {
            assert_eq!(int4(text), Err("22003"), "{text}");
        }
        for text in [
            "", " ", "+", "- 1", "1 2", "1_000", "0x10", "1.0", "1e3", "١",
        ] {
            assert_eq!(int4(text), Err("22P02"), "{text}");
        }
        for major in [15, 16] {
            let version = ServerVersion::numbered(major * 10_000);
            let int8 = |text| parse(text, Width::Int8, version);
            assert!(int8("-9223372036854775808").is_ok());
            assert!(int8("9223372036854775808").is_err());
        }
    }

    #[test]
    fn later_versions_read_other_bases_and_underscores() {
        for (text, value) in [
            ("0x1F", Ok(31)),
            (" -0X_7fff_FFFF ", Ok(-0x7fff_ffff)),
            ("-0x80000000", Ok(-0x8000_0000)),
            ("0x80000000", Err("22003")),
            ("0o17", Ok(15)),
            ("+0b1_01", Ok(5)),
            ("1_000", Ok(1000)),
            ("007", Ok(7)),
            ("2147483648", Err("22003")),
            ("2147483649x", Err("22P02")),
            ("21474836480x", Err("22003")),
            ("_1", Err("22P02")),
            ("1_", Err("22P02")),
            ("1__0", Err("22P02")),
            ("0x", Err("22P02")),
            ("0xg", Err("22P02")),
            ("0b2", Err("22P02")),
            ("- 1", Err("22P02")),
            ("", Err("22P02")),
        ] {
            assert_eq!(int4_in(16, text), value, "{text}");
        }
        assert_eq!(int4_in(15, "2147483649x"), Err("22003"));
    }

    #[test]
    fn widths_share_one_canonical_form() {
        let wide = receive(&7_i64.to_be_bytes(), Width::Int8);
        assert_eq!(receive(&7_i32.to_be_bytes(), Width::Int4), wide);
        assert_eq!(receive(&7_i16.to_be_bytes(), Width::Int2), wide);
        assert_eq!(
            receive(&[0; 3], Width::Int4).map_err(|f| f.sqlstate.0),
            Err("08P01")
        );
        assert_eq!(
            receive(&[0; 5], Width::Int4).map_err(|f| f.sqlstate.0),
            Err("22P03")
        );
        assert_eq!(
            narrow(canonical(1 << 40), Width::Int4).map_err(|f| f.sqlstate.0),
            Err("22003")
        );
        assert_eq!(
            send(&canonical(1 << 40), Width::Int4).map_err(|f| f.sqlstate.0),
            Err("XX001")
        );
    }
}

//! `generalise: { bucket: width }`: a number becomes the lower bound of its bucket, floor(x / width) × width.
//!
//! With a width of 1000, `1234` becomes `1000` and `-1` becomes `-1000`. The width is positive; on integers it is
//! an integer, on `numeric(p,s)` it has at most s digits after the point. A bound below what the type can hold
//! becomes the lowest value of the type; NaN stays.
//!
//! For int4, int8 and numeric(p,s). What is left: the bucket that the value lies in.

use super::decimal::written;
use super::{MaskFault, sql};
use crate::types::{self, LogicalType, TextSettings};

pub(super) fn apply(width: &str, ty: LogicalType, canonical: &[u8]) -> Result<Vec<u8>, MaskFault> {
    let width = unscaled_width(width, ty).map_err(|_| MaskFault::Misfit)?;
    match ty {
        LogicalType::Int4 => integer(width, i32::MIN.into(), canonical),
        LogicalType::Int8 => integer(width, i64::MIN, canonical),
        LogicalType::Numeric { precision, scale } => {
            let scale = places(precision, scale).ok_or(MaskFault::Misfit)?;
            let text = types::to_text(ty, canonical, &TextSettings::default())
                .map_err(|_| MaskFault::Malformed)?;
            if text == b"NaN" {
                return Ok(canonical.to_vec());
            }
            let floored = decimal(width, precision.into(), scale, &text)?;
            types::from_text(ty, &floored, &TextSettings::default())
                .map_err(|_| MaskFault::Malformed)
        }
        _ => Err(MaskFault::Misfit),
    }
}

fn integer(width: i64, lowest: i64, canonical: &[u8]) -> Result<Vec<u8>, MaskFault> {
    let bytes = canonical.try_into().map_err(|_| MaskFault::Malformed)?;
    let value = i64::from_be_bytes(bytes);
    let floored = value
        .checked_sub(value.rem_euclid(width))
        .map_or(lowest, |bound| bound.max(lowest));
    Ok(floored.to_be_bytes().to_vec())
}

/// The bound of a decimal text with `scale` digits after the point, `precision` in all; the width is in units of
/// the last digit.
fn decimal(width: i64, precision: usize, scale: usize, text: &[u8]) -> Result<Vec<u8>, MaskFault> {
    let negative = text.first() == Some(&b'-');
    let mut digits: Vec<u8> = Vec::with_capacity(text.len() + 1);
    for &byte in text {
        match byte {
            b'0'..=b'9' => digits.push(byte - b'0'),
            b'-' | b'.' => {}
            _ => return Err(MaskFault::Malformed),
        }
    }
    let width = i128::from(width);
    let rest = digits
        .iter()
        .fold(0, |rest, &digit| (rest * 10 + i128::from(digit)) % width);
    // Towards minus infinity: a negative number's magnitude grows.
    let change = match (negative, rest) {
        (_, 0) => 0,
        (false, rest) => -rest,
        (true, rest) => width - rest,
    };
    add(&mut digits, change);
    let first = digits.iter().position(|&d| d != 0).unwrap_or(digits.len());
    let significant = &digits[first..];
    if significant.len() > precision {
        return Ok(written(negative, &vec![9; precision], scale));
    }
    Ok(written(
        negative && !significant.is_empty(),
        significant,
        scale,
    ))
}

/// Adds to a number in decimal digits, most significant first. The sum is not negative.
fn add(digits: &mut Vec<u8>, change: i128) {
    let mut carry = change;
    for digit in digits.iter_mut().rev() {
        let sum = i128::from(*digit) + carry;
        *digit = sum.rem_euclid(10) as u8;
        carry = sum.div_euclid(10);
    }
    while carry > 0 {
        digits.insert(0, (carry % 10) as u8);
        carry /= 10;
    }
}

pub(super) fn sql(width: &str, ty: LogicalType, column: &str) -> Option<String> {
    let lowest = match ty {
        LogicalType::Int4 => i32::MIN.to_string(),
        LogicalType::Int8 => i64::MIN.to_string(),
        LogicalType::Numeric { precision, scale } => {
            let nines = vec![9; precision.into()];
            String::from_utf8(written(true, &nines, places(precision, scale)?)).ok()?
        }
        _ => return None,
    };
    unscaled_width(width, ty).ok()?;
    // In numeric, where mod() is exact and nothing overflows.
    let value = format!("({column})::pg_catalog.numeric");
    let width = format!("'{width}'::pg_catalog.numeric");
    let rest = format!("pg_catalog.mod({value}, {width})");
    let bound = sql::infix(&value, "-", &rest);
    let below = sql::infix(&bound, "-", &width);
    let negative = sql::infix(&rest, "<", "'0'::pg_catalog.numeric");
    Some(format!(
        "CASE WHEN ({column}) IS NULL THEN NULL ELSE GREATEST('{lowest}'::pg_catalog.numeric, CASE WHEN {negative} THEN {below} ELSE {bound} END) END"
    ))
}

pub(super) fn fits(width: &str, ty: LogicalType) -> Result<(), String> {
    unscaled_width(width, ty).map(drop)
}

/// Digits after the point, where they are among those of the precision.
fn places(precision: u16, scale: i16) -> Option<usize> {
    let scale = u16::try_from(scale)
        .ok()
        .filter(|scale| *scale <= precision)?;
    Some(scale.into())
}

/// The width in units of the type's last digit.
fn unscaled_width(width: &str, ty: LogicalType) -> Result<i64, String> {
    let scale = match ty {
        LogicalType::Int4 | LogicalType::Int8 => 0,
        LogicalType::Numeric { precision, scale } if places(precision, scale).is_some() => {
            usize::try_from(scale).unwrap_or(0)
        }
        _ => {
            return Err(format!(
                "the mask `generalise` by bucket is for int4, int8 and numeric(p,s) with s from 0 to p; this attribute is {}",
                sql::type_name(ty)
            ));
        }
    };
    let (whole, fraction) = width.split_once('.').unwrap_or((width, ""));
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || width.ends_with('.') || !all_digits(whole) || !all_digits(fraction) {
        return Err("a bucket's width is a positive decimal number such as 1000 or 0.5".to_owned());
    }
    if fraction.len() > scale {
        return Err(format!(
            "the bucket's width has more digits after the point than {}",
            sql::type_name(ty)
        ));
    }
    let digits = format!("{whole}{fraction}{}", "0".repeat(scale - fraction.len()));
    match digits.parse() {
        Ok(0) => Err("a bucket's width is more than 0".to_owned()),
        Ok(unscaled) => Ok(unscaled),
        Err(_) => Err(
            "a bucket's width, counted in the type's last digit, is at most 9223372036854775807"
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_go_down_to_their_bucket() {
        let floor = |width, text: &str| {
            String::from_utf8(decimal(width, 5, 2, text.as_bytes()).expect("a decimal"))
                .expect("ASCII")
        };
        assert_eq!(floor(50, "123.74"), "123.50");
        assert_eq!(floor(50, "-123.74"), "-124.00");
        assert_eq!(floor(100_000, "0.01"), "0.00");
        assert_eq!(floor(100_000, "-0.01"), "-999.99");
        assert_eq!(floor(1, "0.00"), "0.00");
    }

    #[test]
    fn integers_stop_at_the_lowest() {
        let floor = |width, value: i64| {
            let bytes = integer(width, i64::MIN, &value.to_be_bytes()).expect("an integer");
            i64::from_be_bytes(bytes.try_into().expect("eight bytes"))
        };
        assert_eq!(floor(1000, 1234), 1000);
        assert_eq!(floor(1000, -1), -1000);
        assert_eq!(floor(1000, i64::MIN), i64::MIN);
    }

    #[test]
    fn a_width_must_suit_the_type() {
        let money = LogicalType::Numeric {
            precision: 10,
            scale: 2,
        };
        assert_eq!(unscaled_width("0.5", money), Ok(50));
        for (width, ty) in [
            ("0", LogicalType::Int4),
            ("-1", LogicalType::Int4),
            ("0.5", LogicalType::Int4),
            ("0.005", money),
            ("1e3", money),
            ("9223372036854775808", LogicalType::Int8),
            ("1", LogicalType::Text),
        ] {
            assert!(fits(width, ty).is_err());
        }
    }
}

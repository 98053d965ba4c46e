//! A finite number as decimal digits: reading a literal, rounding, the groups of the send format, printing.
//!
//! It knows nothing of precision, infinities or NaN.

use super::{ServerVersion, ValueFault, is_space};
use crate::ident::SqlState;
use num_bigint::BigUint;

/// Digits after the point that a numeric can show (NUMERIC_DSCALE_MAX).
pub(super) const DISPLAY_SCALE_MAX: i64 = 0x3fff;
/// Exponents beyond this are out of range whatever they follow (PostgreSQL: INT_MAX / 2; up to 15 this one too).
const EXPONENT_MAX: i64 = (i32::MAX / 2) as i64;

/// Bits of the largest whole part, 131,072 digits, and of a digit in another base that begins it.
const WHOLE_BITS_MAX: usize = 435_412 + 3;

/// A finite number: 0.d₁d₂d₃… × 10^point, with neither a leading nor a trailing zero digit.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Decimal {
    pub(super) negative: bool,
    /// 0 to 9 each; empty for zero
    pub(super) digits: Vec<u8>,
    /// decimal digits before the point; negative for a small fraction; 0 for zero
    pub(super) point: i64,
    /// digits shown after the point
    pub(super) display_scale: i64,
}

impl Decimal {
    pub(super) fn new(
        negative: bool,
        mut digits: Vec<u8>,
        mut point: i64,
        display_scale: i64,
    ) -> Self {
        let leading = digits.iter().take_while(|digit| **digit == 0).count();
        digits.drain(..leading);
        point = point.saturating_sub_unsigned(leading as u64);
        while digits.last() == Some(&0) {
            digits.pop();
        }
        if digits.is_empty() {
            point = 0;
        }
        Self {
            negative: negative && !digits.is_empty(),
            digits,
            point,
            display_scale,
        }
    }

    /// Digits after the point that the value needs.
    fn scale_needed(&self) -> i64 {
        (self.digits.len() as i64).saturating_sub(self.point).max(0)
    }

    /// Rounds half away from zero, to tens and hundreds where the scale is negative (numeric.c, round_var).
    pub(super) fn round(mut self, scale: i64) -> Self {
        let keep = self.point.saturating_add(scale);
        if keep < 0 {
            return Self::new(false, Vec::new(), 0, scale.max(0));
        }
        let keep = usize::try_from(keep).unwrap_or(usize::MAX);
        let up = self.digits.get(keep).is_some_and(|digit| *digit >= 5);
        self.digits.truncate(keep);
        if up {
            while self.digits.last() == Some(&9) {
                self.digits.pop();
            }
            match self.digits.last_mut() {
                Some(last) => *last += 1,
                None => {
                    self.digits.push(1);
                    self.point = self.point.saturating_add(1);
                }
            }
        }
        Self::new(self.negative, self.digits, self.point, scale.max(0))
    }

    /// Cuts digits beyond the shown scale, as numeric_recv does.
    pub(super) fn truncate_to_display(mut self) -> Self {
        let keep = self.point.saturating_add(self.display_scale).max(0);
        self.digits
            .truncate(usize::try_from(keep).unwrap_or(usize::MAX));
        Self::new(self.negative, self.digits, self.point, self.display_scale)
    }

    /// The send format with the fewest digits after the point that keep the value, but at least `scale`; without a
    /// scale with the digits that are shown.
    pub(super) fn canonical(mut self, scale: Option<u16>) -> Result<Vec<u8>, ValueFault> {
        if let Some(scale) = scale {
            self.display_scale = self.scale_needed().max(i64::from(scale));
        }
        self.encode()
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, ValueFault> {
        let (weight, groups) = self.groups();
        let count = u16::try_from(groups.len()).map_err(|_| overflow())?;
        let weight = i16::try_from(weight).map_err(|_| overflow())?;
        let scale = u16::try_from(self.display_scale).map_err(|_| overflow())?;
        let sign = if self.negative { 0x4000_u16 } else { 0 };
        let mut sent = Vec::with_capacity(8 + 2 * groups.len());
        sent.extend_from_slice(&count.to_be_bytes());
        sent.extend_from_slice(&weight.to_be_bytes());
        sent.extend_from_slice(&sign.to_be_bytes());
        sent.extend_from_slice(&scale.to_be_bytes());
        for group in groups {
            sent.extend_from_slice(&group.to_be_bytes());
        }
        Ok(sent)
    }

    /// The weight of the first base-10,000 digit, and all of them.
    fn groups(&self) -> (i64, Vec<u16>) {
        if self.digits.is_empty() {
            return (0, Vec::new());
        }
        let before = self.point.saturating_sub(1);
        let padding = 3 - before.rem_euclid(4);
        let padded: Vec<u8> = (0..padding)
            .map(|_| 0)
            .chain(self.digits.iter().copied())
            .collect();
        let groups = padded
            .chunks(4)
            .map(|chunk| {
                (0..4).fold(0_u16, |group, i| {
                    group * 10 + u16::from(chunk.get(i).copied().unwrap_or(0))
                })
            })
            .collect();
        (before.div_euclid(4), groups)
    }

    pub(super) fn text(&self) -> String {
        let mut shown = String::new();
        if self.negative {
            shown.push('-');
        }
        if self.point <= 0 {
            shown.push('0');
        }
        let digit_at = |position: i64| {
            let digit = usize::try_from(position)
                .ok()
                .and_then(|position| self.digits.get(position))
                .copied()
                .unwrap_or(0);
            char::from(b'0' + digit.min(9))
        };
        shown.extend((0..self.point).map(digit_at));
        if self.display_scale > 0 {
            shown.push('.');
            let end = self.point.saturating_add(self.display_scale);
            shown.extend((self.point..end).map(digit_at));
        }
        shown
    }
}

/// Reads sign, digits, point and exponent; gives back what follows (numeric.c, set_var_from_str).
pub(super) fn literal(text: &str, version: ServerVersion) -> Result<(Decimal, &str), ValueFault> {
    let syntax = || ValueFault::syntax("numeric");
    let negative = text.starts_with('-');
    let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (before, after) = split_digits(rest);
    let mut digits = before.as_bytes().to_vec();
    let mut scale = 0_i64;
    rest = after;
    if let Some(fraction) = rest.strip_prefix('.') {
        let (fraction, after) = split_digits(fraction);
        digits.extend_from_slice(fraction.as_bytes());
        scale = fraction.len() as i64;
        rest = after;
    }
    if digits.is_empty() || rest.starts_with('.') {
        return Err(syntax());
    }
    let mut point = before.len() as i64;
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        // Up to 15 the exponent is what C's strtol reads, which skips spaces.
        let strict = version.reads_other_bases();
        if strict && exponent.starts_with(|c: char| c.is_whitespace()) {
            return Err(syntax());
        }
        let (exponent, after) = exponent_of(exponent).ok_or_else(syntax)?;
        if exponent.abs() > EXPONENT_MAX || (exponent.abs() == EXPONENT_MAX && !strict) {
            return Err(overflow());
        }
        point += exponent;
        scale = (scale - exponent).max(0);
        rest = after;
    }
    for digit in &mut digits {
        *digit -= b'0';
    }
    Ok((Decimal::new(negative, digits, point, scale), rest))
}

/// Reads what C's `strtol` reads: spaces, a sign, digits; as large as they come, the value saturates.
fn exponent_of(text: &str) -> Option<(i64, &str)> {
    let text = text.trim_start_matches(|c: char| u8::try_from(c).is_ok_and(is_space));
    let negative = text.starts_with('-');
    let (digits, after) = split_digits(text.strip_prefix(['+', '-']).unwrap_or(text));
    if digits.is_empty() {
        return None;
    }
    let size = digits.parse::<i64>().unwrap_or(i64::MAX);
    Some((if negative { -size } else { size }, after))
}

fn split_digits(text: &str) -> (&str, &str) {
    let end = text
        .bytes()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}

/// A whole number from its digits in another base.
///
/// # Errors
/// 22003 for more digits than a numeric has, before they are counted out.
pub(super) fn of_base(negative: bool, digits: &[u32], base: u32) -> Result<Decimal, ValueFault> {
    let zeros = digits.iter().take_while(|digit| **digit == 0).count();
    let digits: Vec<u8> = digits[zeros..].iter().map(|digit| *digit as u8).collect();
    let bits = digits.len().saturating_mul(base.ilog2() as usize);
    if bits > WHOLE_BITS_MAX {
        return Err(overflow());
    }
    let decimal = match BigUint::from_radix_be(&digits, base) {
        Some(number) => number.to_radix_be(10),
        None => Vec::new(),
    };
    let point = decimal.len() as i64;
    Ok(Decimal::new(negative, decimal, point, 0))
}

/// The range of numeric itself (numeric.c, make_result).
pub(super) fn in_range(decimal: &Decimal) -> Result<(), ValueFault> {
    let weight = decimal.point.saturating_sub(1).div_euclid(4);
    if decimal.display_scale > DISPLAY_SCALE_MAX
        || (!decimal.digits.is_empty() && i16::try_from(weight).is_err())
    {
        return Err(overflow());
    }
    Ok(())
}

/// 22003 for what no numeric can hold.
pub(super) fn overflow() -> ValueFault {
    ValueFault::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        "value overflows numeric format",
    )
}

//! `noise`: a number or a moment near the value, always the same for the same value of one key domain.
//!
//! `noise: { percent: 10 }` moves a number by up to a tenth of it either way, and by up to one unit of its last
//! digit where that is more, so that small numbers move too; the sign stays. `noise: { days: 30 }` moves a date or
//! timestamp by up to thirty days either way. `noise` alone is 10 percent, or 30 days. Every place in between is as
//! likely; the result is of the same type and within its range. NaN and the infinities stay. It has no SQL form: a
//! key in a statement would show in EXPLAIN and in the server's log.
//!
//! For int4, int8 and numeric; date, timestamp and timestamptz. What is left: the value to within the noise, and
//! which values are equal; sums and means over many rows stay about right.

use super::decimal::{Decimal, written};
use super::keyed::{Draws, MaskKey};
use super::{MaskFault, sql};
use crate::types::{self, LogicalType, TextSettings};

/// How far a value is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Noise {
    /// 10 percent of a number, 30 days of a moment
    Default,
    /// this part of a number
    Percent(u32),
    /// so many days
    Days(u32),
}

/// The part of a number that `noise` alone moves it by.
const PERCENT: u32 = 10;
/// The days that `noise` alone moves a moment by.
const DAYS: u32 = 30;
/// The most that a number is moved by: its sign stays.
const PERCENT_MAX: u32 = 100;
/// The most days that a moment is moved by: a century.
const DAYS_MAX: u32 = 36_525;

/// The earliest and the latest date, in days since 2000-01-01 (PostgreSQL: DATETIME_MIN_JULIAN, DATE_END_JULIAN - 1).
const DATES: [i64; 2] = [-2_451_545, 2_145_031_948];
/// The earliest and the latest timestamp, in microseconds since 2000-01-01 (PostgreSQL: END_TIMESTAMP - 1).
const TIMESTAMPS: [i64; 2] = [-211_813_488_000_000_000, 9_223_371_331_199_999_999];
/// Microseconds of a day.
const DAY_US: i64 = 86_400_000_000;

/// Leading digits of a number that are moved by arithmetic; the others are drawn. 10^30 moved by 100 percent stays
/// within 128 bits, and nobody tells numbers apart that are alike in thirty digits.
const HEAD_DIGITS: usize = 30;

/// What the key is used for.
const USE: &str = "noise";

pub(super) fn apply(
    noise: Noise,
    key: &MaskKey,
    ty: LogicalType,
    canonical: &[u8],
) -> Result<Vec<u8>, MaskFault> {
    let mut draws = key.draws(USE, canonical);
    match ty {
        LogicalType::Int4 | LogicalType::Int8 => {
            let value = i64::from_be_bytes(exact(canonical)?);
            let range = match ty {
                LogicalType::Int4 => [i32::MIN.into(), i32::MAX.into()],
                _ => [i64::MIN, i64::MAX],
            };
            let moved = integer(noise.percent()?, value, &mut draws);
            let within = moved.clamp(range[0].into(), range[1].into());
            Ok((within as i64).to_be_bytes().to_vec())
        }
        LogicalType::Numeric { precision, .. } => number(
            noise.percent()?,
            ty,
            precision.into(),
            canonical,
            &mut draws,
        ),
        LogicalType::Date => {
            let day = i32::from_be_bytes(exact(canonical)?);
            if matches!(day, i32::MIN | i32::MAX) {
                return Ok(canonical.to_vec());
            }
            let moved = i64::from(day) + within(noise.days()?.into(), &mut draws);
            // The range of dates lies within i32.
            let day = moved.clamp(DATES[0], DATES[1]) as i32;
            Ok(day.to_be_bytes().to_vec())
        }
        LogicalType::Timestamp(digits) | LogicalType::Timestamptz(digits) => {
            let moment = i64::from_be_bytes(exact(canonical)?);
            if matches!(moment, i64::MIN | i64::MAX) {
                return Ok(canonical.to_vec());
            }
            let by = within(i64::from(noise.days()?) * DAY_US, &mut draws);
            let moved = moment
                .saturating_add(by)
                .clamp(TIMESTAMPS[0], TIMESTAMPS[1]);
            let unit = 10i64.pow(6 - u32::from(digits.unwrap_or(6).min(6)));
            Ok((moved - moved.rem_euclid(unit)).to_be_bytes().to_vec())
        }
        _ => Err(MaskFault::Misfit),
    }
}

fn exact<const N: usize>(canonical: &[u8]) -> Result<[u8; N], MaskFault> {
    canonical.try_into().map_err(|_| MaskFault::Malformed)
}

/// A number between -width and width.
fn within(width: i64, draws: &mut Draws<'_>) -> i64 {
    // 2 × width + 1 places, less than 2^65.
    let place = draws.below(2 * u128::from(width.unsigned_abs()) + 1);
    (place as i128 - i128::from(width)) as i64
}

/// A magnitude moved by up to so many percent of it, and by up to 1 where that is more.
fn magnitude(percent: u32, value: u128, draws: &mut Draws<'_>) -> u128 {
    let width = (value * u128::from(percent) / 100).max(1);
    (value + draws.below(2 * width + 1)).saturating_sub(width)
}

fn integer(percent: u32, value: i64, draws: &mut Draws<'_>) -> i128 {
    let moved = magnitude(percent, value.unsigned_abs().into(), draws) as i128;
    if value < 0 { -moved } else { moved }
}

fn number(
    percent: u32,
    ty: LogicalType,
    precision: usize,
    canonical: &[u8],
    draws: &mut Draws<'_>,
) -> Result<Vec<u8>, MaskFault> {
    let settings = TextSettings::default();
    let text = types::to_text(ty, canonical, &settings).map_err(|_| MaskFault::Malformed)?;
    let Some(Decimal {
        negative,
        digits,
        scale,
    }) = Decimal::read(&text)
    else {
        // NaN, or an infinity.
        return Ok(canonical.to_vec());
    };
    let zeros = digits.iter().take_while(|&&digit| digit == 0).count();
    let significant = &digits[zeros..];
    let (head, tail) = significant.split_at(significant.len().min(HEAD_DIGITS));
    let head = head.iter().fold(0, |head, &d| head * 10 + u128::from(d));
    let moved = magnitude(percent, head, draws).to_string();
    let mut moved: Vec<u8> = moved.bytes().map(|digit| digit - b'0').collect();
    moved.extend(tail.iter().map(|_| draws.below(10) as u8));
    if moved.len() > precision {
        moved = vec![9; precision];
    }
    let text = written(negative, &moved, scale);
    types::from_text(ty, &text, &settings).map_err(|_| MaskFault::Malformed)
}

impl Noise {
    fn percent(self) -> Result<u32, MaskFault> {
        match self {
            Self::Default => Ok(PERCENT),
            Self::Percent(percent) => Ok(percent),
            Self::Days(_) => Err(MaskFault::Misfit),
        }
    }

    fn days(self) -> Result<u32, MaskFault> {
        match self {
            Self::Default => Ok(DAYS),
            Self::Days(days) => Ok(days),
            Self::Percent(_) => Err(MaskFault::Misfit),
        }
    }
}

pub(super) fn fits(noise: Noise, ty: LogicalType) -> Result<(), String> {
    match noise {
        Noise::Percent(percent) if !(1..=PERCENT_MAX).contains(&percent) => {
            return Err(format!(
                "the mask `noise` moves by 1 to {PERCENT_MAX} percent"
            ));
        }
        Noise::Days(days) if !(1..=DAYS_MAX).contains(&days) => {
            return Err(format!("the mask `noise` moves by 1 to {DAYS_MAX} days"));
        }
        Noise::Default | Noise::Percent(_) | Noise::Days(_) => {}
    }
    let fitting = match ty {
        LogicalType::Int4 | LogicalType::Int8 | LogicalType::Numeric { .. } => noise.percent(),
        LogicalType::Date | LogicalType::Timestamp(_) | LogicalType::Timestamptz(_) => noise.days(),
        _ => Err(MaskFault::Misfit),
    };
    fitting.map(drop).map_err(|_| {
        format!(
            "the mask `noise` moves numbers by `percent`, dates and timestamps by `days`; this attribute is {}",
            sql::type_name(ty)
        )
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> MaskKey {
        MaskKey::new(&[7; 32])
    }

    fn integer_of(ty: LogicalType, noise: Noise, value: i64) -> i64 {
        let masked = apply(noise, &key(), ty, &value.to_be_bytes()).expect("a number");
        i64::from_be_bytes(masked.try_into().expect("eight bytes"))
    }

    fn numeric_of(precision: u16, scale: i16, percent: u32, text: &str) -> String {
        let ty = LogicalType::Numeric { precision, scale };
        let settings = TextSettings::default();
        let canonical = types::from_text(ty, text.as_bytes(), &settings).expect("a number");
        let masked = apply(Noise::Percent(percent), &key(), ty, &canonical).expect("a number");
        assert_eq!(
            types::coerce(ty, masked.clone(), false, TextSettings::default().version).as_ref(),
            Ok(&masked)
        );
        String::from_utf8(types::to_text(ty, &masked, &settings).expect("a number")).expect("ASCII")
    }

    proptest! {
        #[test]
        fn a_number_stays_near_of_its_sign_and_within_its_type(value: i64, percent in 1u32..=100) {
            let moved = integer_of(LogicalType::Int8, Noise::Percent(percent), value);
            let width = (u128::from(value.unsigned_abs()) * u128::from(percent) / 100).max(1);
            prop_assert!(u128::from(value.abs_diff(moved)) <= width);
            prop_assert!(moved == 0 || (moved < 0) == (value < 0));
            let narrow = value as i32;
            let moved = integer_of(LogicalType::Int4, Noise::Percent(percent), narrow.into());
            prop_assert!(i32::try_from(moved).is_ok());
        }

        #[test]
        fn a_numeric_stays_near_too(unscaled in -9_999_999_999i64..=9_999_999_999, percent in 1u32..=100) {
            let text = format!("{unscaled}e-2");
            let moved = numeric_of(10, 2, percent, &text);
            let moved: i64 = moved.replace('.', "").parse().expect("a number");
            let width = (unscaled.abs() * i64::from(percent) / 100).max(1);
            prop_assert!((moved - unscaled).abs() <= width, "{unscaled} {moved}");
            prop_assert!(moved == 0 || (moved < 0) == (unscaled < 0));
        }

        #[test]
        fn a_date_stays_near(day in -2_451_545i32..=2_145_031_948, days in 1u32..=36_525) {
            let masked = apply(Noise::Days(days), &key(), LogicalType::Date, &day.to_be_bytes()).expect("a date");
            let moved = i32::from_be_bytes(masked.try_into().expect("four bytes"));
            prop_assert!(day.abs_diff(moved) <= days);
            prop_assert!((-2_451_545..=2_145_031_948).contains(&moved));
        }

        #[test]
        fn a_moment_stays_near_and_of_its_precision(moment in TIMESTAMPS[0]..=TIMESTAMPS[1], digits in 0u8..=6) {
            let ty = LogicalType::Timestamptz(Some(digits));
            let masked = apply(Noise::Default, &key(), ty, &moment.to_be_bytes()).expect("a moment");
            prop_assert_eq!(types::coerce(ty, masked.clone(), false, TextSettings::default().version), Ok(masked.clone()));
            let moved = i64::from_be_bytes(masked.try_into().expect("eight bytes"));
            prop_assert!(moment.abs_diff(moved) <= 30 * DAY_US.unsigned_abs() + 1_000_000);
        }
    }

    #[test]
    fn small_numbers_and_long_ones_move_too() {
        let moves = |values: &[i64]| {
            values
                .iter()
                .filter(|&&v| integer_of(LogicalType::Int4, Noise::Default, v) != v)
                .count()
        };
        // Two places of three for a width of 1.
        assert!((5..=10).contains(&moves(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9])));
        let long = "9".repeat(500);
        let moved = numeric_of(1000, 0, 10, &long);
        assert!(moved.len().abs_diff(long.len()) <= 1);
        assert_ne!(moved[40..100], long[40..100]);
        assert_eq!(numeric_of(3, 0, 100, "NaN"), "NaN");
        assert!(numeric_of(3, 2, 100, "9.99").len() == 4);
    }

    #[test]
    fn the_ends_of_time_stay() {
        for (ty, end) in [
            (LogicalType::Date, i32::MAX.to_be_bytes().to_vec()),
            (LogicalType::Date, i32::MIN.to_be_bytes().to_vec()),
            (
                LogicalType::Timestamp(None),
                i64::MAX.to_be_bytes().to_vec(),
            ),
            (
                LogicalType::Timestamp(None),
                i64::MIN.to_be_bytes().to_vec(),
            ),
        ] {
            assert_eq!(apply(Noise::Default, &key(), ty, &end), Ok(end));
        }
    }

    #[test]
    fn what_does_not_go_with_the_type_is_a_fault() {
        let money = LogicalType::Numeric {
            precision: 10,
            scale: 2,
        };
        for (noise, ty) in [
            (Noise::Default, LogicalType::Text),
            (Noise::Days(1), LogicalType::Int4),
            (Noise::Percent(1), LogicalType::Date),
            (Noise::Percent(0), money),
            (Noise::Percent(101), money),
            (Noise::Days(0), LogicalType::Date),
        ] {
            assert!(fits(noise, ty).is_err(), "{noise:?}");
        }
        assert!(
            fits(Noise::Default, money).is_ok() && fits(Noise::Default, LogicalType::Date).is_ok()
        );
    }
}

//! The fields and the precision that an interval type keeps, as its type modifier has them.

use super::{Parts, YEAR_MONTHS};
use crate::types::datetime::calendar::SECOND_US;

/// Bits of the fields in a type modifier (datetime.h).
pub(super) const MONTH: u16 = 1 << 1;
pub(super) const YEAR: u16 = 1 << 2;
pub(super) const DAY: u16 = 1 << 3;
pub(super) const HOUR: u16 = 1 << 10;
pub(super) const MINUTE: u16 = 1 << 11;
pub(super) const SECOND: u16 = 1 << 12;
const FULL_RANGE: u16 = 0x7fff;
const FULL_PRECISION: u16 = 0xffff;

/// The fields and the precision of an interval type: `interval`, `interval(3)`, `interval day to second(3)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IntervalFields {
    range: u16,
    precision: u16,
}

/// What may be written between `interval` and the precision.
const RANGES: &[(u16, &str)] = &[
    (FULL_RANGE, ""),
    (YEAR, " year"),
    (MONTH, " month"),
    (DAY, " day"),
    (HOUR, " hour"),
    (MINUTE, " minute"),
    (SECOND, " second"),
    (YEAR | MONTH, " year to month"),
    (DAY | HOUR, " day to hour"),
    (DAY | HOUR | MINUTE, " day to minute"),
    (DAY | HOUR | MINUTE | SECOND, " day to second"),
    (HOUR | MINUTE, " hour to minute"),
    (HOUR | MINUTE | SECOND, " hour to second"),
    (MINUTE | SECOND, " minute to second"),
];

impl IntervalFields {
    /// All fields, full precision: `interval` without a modifier.
    pub const ALL: Self = Self {
        range: FULL_RANGE,
        precision: FULL_PRECISION,
    };

    /// The fields of a type modifier; None for one that is none.
    pub fn of_typmod(typmod: i32) -> Option<Self> {
        if typmod < 0 {
            return Some(Self::ALL);
        }
        let range = u16::try_from(typmod >> 16).ok()?;
        let precision = u16::try_from(typmod & 0xffff).ok()?;
        let known = RANGES.iter().any(|(fields, _)| *fields == range);
        (known && (precision <= 6 || precision == FULL_PRECISION))
            .then_some(Self { range, precision })
    }

    /// The type modifier; -1 for none.
    pub fn typmod(self) -> i32 {
        if self == Self::ALL {
            return -1;
        }
        (i32::from(self.range) << 16) | i32::from(self.precision)
    }

    /// The type as SQL.
    pub(in crate::types) fn sql(self) -> String {
        let range = RANGES.iter().find(|(fields, _)| *fields == self.range);
        let range = range.map_or("", |(_, words)| words);
        match self.precision {
            FULL_PRECISION => format!("interval{range}"),
            digits => format!("interval{range}({digits})"),
        }
    }

    pub(super) fn range(self) -> u16 {
        self.range
    }

    /// Cuts to the last field and rounds; None out of range.
    pub(super) fn apply(self, mut parts: Parts) -> Option<Parts> {
        let last = match self.range {
            FULL_RANGE => SECOND,
            range => 1 << (15 - range.leading_zeros()),
        };
        let last = if self.range == YEAR | MONTH {
            MONTH
        } else {
            last
        };
        if last == YEAR {
            parts.months -= parts.months % YEAR_MONTHS as i32;
        }
        if matches!(last, YEAR | MONTH) {
            parts.days = 0;
        }
        parts.time_us -= match last {
            YEAR | MONTH | DAY => parts.time_us,
            HOUR => parts.time_us % (3600 * SECOND_US),
            MINUTE => parts.time_us % (60 * SECOND_US),
            _ => 0,
        };
        if self.precision != FULL_PRECISION {
            let unit = 10_i64.pow(6_u32.saturating_sub(self.precision.into()));
            let size = parts.time_us.checked_abs()?.checked_add(unit / 2)? / unit * unit;
            parts.time_us = if parts.time_us < 0 { -size } else { size };
        }
        Some(parts)
    }
}

//! What the numbers of an interval add up to: microseconds, days, months and years, checked at each step.
//!
//! PostgreSQL 15's and later (datetime.c, AdjustMicroseconds and what stands beside it). `seconds` has the sums of older
//! versions.

use super::decode::Unit;
use super::{Parts, YEAR_MONTHS};
use crate::types::ValueFault;
use crate::types::datetime::calendar::{DAY_US, SECOND_US, out_of_range};
use crate::types::datetime::decode::Refusal;
use crate::types::datetime::number::long_prefix_checked;

pub(super) const MINUTE_US: i64 = 60 * SECOND_US;
pub(super) const HOUR_US: i64 = 60 * MINUTE_US;
/// Days of a month, where a fraction of one is spread (DAYS_PER_MONTH).
pub(super) const MONTH_DAYS: f64 = 30.0;
/// ISO 8601's numbers beyond this are refused: up to it a double has every integer.
const ISO_NUMBER_MAX: f64 = 1.0e15;

/// A time of the day as it is written, of any hour.
#[derive(Clone, Copy)]
pub(super) struct Clock {
    pub(super) hour: i64,
    pub(super) minute: i64,
    pub(super) second: i64,
    pub(super) microsecond: i64,
}

impl Clock {
    /// Its microseconds; None when they are too many.
    fn microseconds(self) -> Option<i64> {
        let rest = self.minute * MINUTE_US + self.second * SECOND_US + self.microsecond;
        self.hour.checked_mul(HOUR_US)?.checked_add(rest)
    }
}

/// How a version adds up what it reads.
pub(super) trait Sums: Default {
    /// Whether a minus before the first field makes each number negative as it is read, or each sum at the end.
    const NEGATIVE_AS_READ: bool;

    /// A number at the front, and what follows it.
    ///
    /// # Errors
    /// Overflow when it is too large.
    fn whole(text: &str) -> Result<(i64, &str), Refusal>;

    /// Whether a number of ISO 8601's form is small enough.
    fn takes(number: f64) -> bool;

    /// Whether a time is small enough.
    fn takes_time(clock: Clock) -> bool;

    /// Puts a time in the place of what was added up of one.
    fn set_time(&mut self, clock: Clock, minus: bool);

    /// Adds so many units, a fraction spread over what is finer; None out of range, or of no interval's unit.
    fn add(&mut self, unit: Unit, value: i64, fraction: f64) -> Option<()>;

    /// Adds ISO 8601's `hhmmss`.
    fn add_run_together(&mut self, digits: i64, fraction: f64) -> Option<()>;

    /// Ends the reading of fields; `negative` says that every sum is.
    fn settle(&mut self, negative: bool);

    /// `ago`; None when a sum has no opposite.
    fn negate(&mut self) -> Option<()>;

    /// The interval.
    ///
    /// # Errors
    /// 22008 for more months than fit.
    fn parts(self) -> Result<Parts, ValueFault>;
}

/// The sums.
#[derive(Clone, Copy, Default)]
pub(super) struct Microseconds {
    time_us: i64,
    days: i32,
    months: i32,
    years: i32,
}

impl Sums for Microseconds {
    const NEGATIVE_AS_READ: bool = true;

    fn whole(text: &str) -> Result<(i64, &str), Refusal> {
        long_prefix_checked(text)
    }

    fn takes(number: f64) -> bool {
        number.abs() <= ISO_NUMBER_MAX
    }

    fn takes_time(clock: Clock) -> bool {
        clock.microseconds().is_some()
    }

    fn set_time(&mut self, clock: Clock, minus: bool) {
        let time_us = clock.microseconds().unwrap_or(i64::MAX);
        self.time_us = if minus { -time_us } else { time_us };
    }

    fn add(&mut self, unit: Unit, value: i64, fraction: f64) -> Option<()> {
        match unit {
            Unit::Microsecond => self.add_time(value, fraction, 1),
            Unit::Millisecond => self.add_time(value, fraction, 1000),
            Unit::Second => self.add_time(value, fraction, SECOND_US),
            Unit::Minute => self.add_time(value, fraction, MINUTE_US),
            Unit::Hour => self.add_time(value, fraction, HOUR_US),
            Unit::Day => {
                self.add_days(value, 1)?;
                self.add_fraction_of_time(fraction, DAY_US)
            }
            Unit::Week => {
                self.add_days(value, 7)?;
                self.add_fraction_of_days(fraction, 7.0)
            }
            Unit::Month => {
                let value = i32::try_from(value).ok()?;
                self.months = self.months.checked_add(value)?;
                self.add_fraction_of_days(fraction, MONTH_DAYS)
            }
            Unit::Year => self.add_years(value, fraction, 1),
            Unit::Decade => self.add_years(value, fraction, 10),
            Unit::Century => self.add_years(value, fraction, 100),
            Unit::Millennium => self.add_years(value, fraction, 1000),
            Unit::Other => None,
        }
    }

    fn add_run_together(&mut self, digits: i64, fraction: f64) -> Option<()> {
        let seconds = digits / 10_000 * 3600 + digits / 100 % 100 * 60 + digits % 100;
        self.add_time(seconds, 0.0, SECOND_US)?;
        self.add_fraction_of_time(fraction, 1)
    }

    fn settle(&mut self, _: bool) {}

    fn negate(&mut self) -> Option<()> {
        *self = Self {
            time_us: self.time_us.checked_neg()?,
            days: self.days.checked_neg()?,
            months: self.months.checked_neg()?,
            years: self.years.checked_neg()?,
        };
        Some(())
    }

    fn parts(self) -> Result<Parts, ValueFault> {
        let months = i64::from(self.years) * YEAR_MONTHS + i64::from(self.months);
        Ok(Parts {
            time_us: self.time_us,
            days: self.days,
            months: i32::try_from(months).map_err(|_| out_of_range("interval"))?,
        })
    }
}

impl Microseconds {
    fn add_time(&mut self, value: i64, fraction: f64, scale: i64) -> Option<()> {
        self.time_us = self.time_us.checked_add(value.checked_mul(scale)?)?;
        self.add_fraction_of_time(fraction, scale)
    }

    fn add_days(&mut self, value: i64, scale: i32) -> Option<()> {
        let days = i32::try_from(value).ok()?.checked_mul(scale)?;
        self.days = self.days.checked_add(days)?;
        Some(())
    }

    fn add_years(&mut self, value: i64, fraction: f64, scale: i32) -> Option<()> {
        let years = i32::try_from(value).ok()?.checked_mul(scale)?;
        self.years = self.years.checked_add(years)?;
        // At most 12,000: the cast is exact.
        let months = (fraction * f64::from(scale) * 12.0).round_ties_even() as i32;
        self.months = self.months.checked_add(months)?;
        Some(())
    }

    fn add_fraction_of_days(&mut self, fraction: f64, scale: f64) -> Option<()> {
        let days = fraction * scale;
        self.days = self.days.checked_add(days.trunc() as i32)?;
        self.add_fraction_of_time(days - days.trunc(), DAY_US)
    }

    fn add_fraction_of_time(&mut self, fraction: f64, scale: i64) -> Option<()> {
        let exact = fraction * scale as f64;
        let mut time_us = exact.trunc() as i64;
        let rest = exact - exact.trunc();
        if rest > 0.5 {
            time_us += 1;
        } else if rest < -0.5 {
            time_us -= 1;
        }
        self.time_us = self.time_us.checked_add(time_us)?;
        Some(())
    }
}

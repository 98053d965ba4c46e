//! What the numbers of an interval add up to before PostgreSQL 15: a `struct pg_tm`, each of its fields an int.
//!
//! PostgreSQL 13's and 14's to the letter (datetime.c, DecodeInterval; timestamp.c, tm2interval), the one thing left
//! out that nobody can want: where a field silently wraps round, the interval is refused with 0A000.

use super::decode::Unit;
use super::sums::{Clock, HOUR_US, MONTH_DAYS, Sums};
use super::{Parts, YEAR_MONTHS};
use crate::ident::SqlState;
use crate::types::datetime::calendar::{DAY_SECONDS, SECOND_US, out_of_range};
use crate::types::datetime::decode::Refusal;
use crate::types::datetime::number::int_prefix;
use crate::types::{IntervalStyle, ValueFault};

/// Whether an interval has a text there: hours are an int, and the smallest int has no size that is printed right.
///
/// # Errors
/// 22008 for more hours, 0A000 for what is printed wrong.
pub(super) fn printed(parts: Parts, style: IntervalStyle) -> Result<(), ValueFault> {
    let sized = matches!(
        style,
        IntervalStyle::PostgresVerbose | IntervalStyle::SqlStandard
    );
    match i32::try_from(parts.time_us / HOUR_US) {
        Err(_) => Err(out_of_range("interval")),
        Ok(hours) if hours == i32::MIN || (sized && parts.days == i32::MIN) => {
            Err(ValueFault::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "this version of PostgreSQL prints such an interval as another one",
            ))
        }
        Ok(_) => Ok(()),
    }
}

/// One field. What is added to it may not fit, which is remembered.
#[derive(Clone, Copy, Default)]
struct Int {
    value: i32,
    wrapped: bool,
}

impl Int {
    fn set(&mut self, value: i64) {
        // What wraps is what C's int keeps.
        self.value = value as i32;
        self.wrapped |= i32::try_from(value).is_err();
    }

    fn add(&mut self, more: i64) {
        self.set(i64::from(self.value).saturating_add(more));
    }

    /// Adds as C adds a double to an int: the sum is cut.
    fn add_real(&mut self, more: f64) {
        let sum = f64::from(self.value) + more;
        // A double beyond the range becomes an end of it, which is one too far.
        self.set(sum.trunc() as i64);
    }

    fn negate(&mut self) {
        self.set(-i64::from(self.value));
    }
}

/// The sums.
#[derive(Clone, Copy, Default)]
pub(super) struct Seconds {
    year: Int,
    month: Int,
    day: Int,
    hour: Int,
    minute: Int,
    second: Int,
    microsecond: Int,
}

impl Sums for Seconds {
    const NEGATIVE_AS_READ: bool = false;

    fn whole(text: &str) -> Result<(i64, &str), Refusal> {
        int_prefix(text)
    }

    fn takes(number: f64) -> bool {
        (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&number)
    }

    fn takes_time(_: Clock) -> bool {
        true
    }

    fn set_time(&mut self, clock: Clock, minus: bool) {
        let sign = if minus { -1 } else { 1 };
        self.hour.set(sign * clock.hour);
        self.minute.set(sign * clock.minute);
        self.second.set(sign * clock.second);
        self.microsecond.set(sign * clock.microsecond);
    }

    fn add(&mut self, unit: Unit, value: i64, fraction: f64) -> Option<()> {
        match unit {
            Unit::Microsecond => {
                let exact = value as f64 + fraction;
                self.microsecond.add_real(exact.round_ties_even());
            }
            Unit::Millisecond => {
                self.second.add(value / 1000);
                let exact = ((value % 1000) as f64 + fraction) * 1000.0;
                self.microsecond.add_real(exact.round_ties_even());
            }
            Unit::Second => {
                self.second.add(value);
                self.add_fraction_of_seconds(fraction, 1.0);
            }
            Unit::Minute => {
                self.minute.add(value);
                self.add_fraction_of_seconds(fraction, 60.0);
            }
            Unit::Hour => {
                self.hour.add(value);
                self.add_fraction_of_seconds(fraction, 3600.0);
            }
            Unit::Day => {
                self.day.add(value);
                self.add_fraction_of_seconds(fraction, DAY_SECONDS as f64);
            }
            Unit::Week => {
                self.day.add(value * 7);
                self.add_fraction_of_days(fraction, 7.0);
            }
            Unit::Month => {
                self.month.add(i32::try_from(value).ok()?.into());
                self.add_fraction_of_days(fraction, MONTH_DAYS);
            }
            Unit::Year => self.add_years(value, fraction, 1),
            Unit::Decade => self.add_years(value, fraction, 10),
            Unit::Century => self.add_years(value, fraction, 100),
            Unit::Millennium => self.add_years(value, fraction, 1000),
            Unit::Other => return None,
        }
        Some(())
    }

    fn add_run_together(&mut self, digits: i64, fraction: f64) -> Option<()> {
        self.hour.add(digits / 10_000);
        self.minute.add(digits / 100 % 100);
        self.second.add(digits % 100);
        self.add_fraction_of_seconds(fraction, 1.0);
        Some(())
    }

    fn settle(&mut self, negative: bool) {
        let whole = i64::from(self.microsecond.value) / SECOND_US;
        self.microsecond.add(-whole * SECOND_US);
        self.second.add(whole);
        if negative {
            for field in self.fields().into_iter().filter(|field| field.value > 0) {
                field.negate();
            }
        }
    }

    fn negate(&mut self) -> Option<()> {
        self.fields().into_iter().for_each(Int::negate);
        Some(())
    }

    fn parts(mut self) -> Result<Parts, ValueFault> {
        let wrapped = self.fields().iter().any(|field| field.wrapped);
        let wide = |field: Int| i64::from(field.value);
        let months = wide(self.year) * YEAR_MONTHS + wide(self.month);
        let months = i32::try_from(months).map_err(|_| out_of_range("interval"))?;
        if wrapped {
            return Err(ValueFault::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "a field of the interval leaves its range, which this version of PostgreSQL does not notice",
            ));
        }
        let minutes = wide(self.hour) * 60 + wide(self.minute);
        Ok(Parts {
            time_us: (minutes * 60 + wide(self.second)) * SECOND_US + wide(self.microsecond),
            days: self.day.value,
            months,
        })
    }
}

impl Seconds {
    fn fields(&mut self) -> [&mut Int; 7] {
        [
            &mut self.year,
            &mut self.month,
            &mut self.day,
            &mut self.hour,
            &mut self.minute,
            &mut self.second,
            &mut self.microsecond,
        ]
    }

    fn add_years(&mut self, value: i64, fraction: f64, scale: i64) {
        self.year.add(value * scale);
        self.month.add_real(fraction * 12.0 * scale as f64);
    }

    fn add_fraction_of_days(&mut self, fraction: f64, scale: f64) {
        let days = fraction * scale;
        self.day.add(days.trunc() as i64);
        self.add_fraction_of_seconds(days - days.trunc(), DAY_SECONDS as f64);
    }

    fn add_fraction_of_seconds(&mut self, fraction: f64, scale: f64) {
        let seconds = fraction * scale;
        self.second.add(seconds.trunc() as i64);
        let microseconds = (seconds - seconds.trunc()) * SECOND_US as f64;
        self.microsecond.add_real(microseconds.round_ties_even());
    }
}

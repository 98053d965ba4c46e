//! The proleptic Gregorian calendar around 2000-01-01, and the ranges of date and timestamp.
//!
//! Year 0 is 1 BC, year -1 is 2 BC. Days and microseconds are counted from 2000-01-01, as PostgreSQL counts them.

use crate::ident::SqlState;
use crate::types::ValueFault;

/// Microseconds of a second.
pub(super) const SECOND_US: i64 = 1_000_000;
/// Seconds of a day.
pub(super) const DAY_SECONDS: i64 = 86_400;
/// Microseconds of a day.
pub(super) const DAY_US: i64 = DAY_SECONDS * SECOND_US;
/// Days from 1970-01-01 to 2000-01-01.
pub(super) const UNIX_TO_EPOCH_DAYS: i64 = 10_957;
/// Days of 400 years, after which the calendar and its weekdays repeat.
pub(super) const CYCLE_DAYS: i64 = 146_097;

/// The first date: 4714-11-24 BC, Julian day 0.
const DATE_FIRST: i64 = -2_451_545;
/// One past the last date, 5874897-12-31.
const DATE_END: i64 = 2_147_483_494 - 2_451_545;
/// The first timestamp: 4714-11-24 BC.
const TIMESTAMP_FIRST: i64 = -211_813_488_000_000_000;
/// One past the last timestamp: 294277-01-01.
const TIMESTAMP_END: i64 = 9_223_371_331_200_000_000;

/// Whether days are a finite date.
pub(super) fn is_date(days: i64) -> bool {
    (DATE_FIRST..DATE_END).contains(&days)
}

/// Whether microseconds are a finite timestamp.
pub(super) fn is_timestamp(microseconds: i64) -> bool {
    (TIMESTAMP_FIRST..TIMESTAMP_END).contains(&microseconds)
}

/// 22008 for a date or timestamp out of its range.
pub(super) fn out_of_range(type_name: &str) -> ValueFault {
    ValueFault::new(
        SqlState::DATETIME_FIELD_OVERFLOW,
        format!("{type_name} out of range"),
    )
}

/// A day of the calendar.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Day {
    pub(super) year: i64,
    /// 1 to 12
    pub(super) month: i64,
    /// 1 to 31
    pub(super) day: i64,
}

/// Days from 2000-01-01 to a day whose month is 1 to 12 (any year, any day number).
pub(super) fn days_of(day: Day) -> i64 {
    // Years counted from March, so that the leap day ends them.
    let year = if day.month <= 2 {
        day.year - 1
    } else {
        day.year
    };
    let cycle = year.div_euclid(400);
    let year_of_cycle = year.rem_euclid(400);
    let month = (day.month + 9) % 12;
    let day_of_year = (153 * month + 2) / 5 + day.day - 1;
    let day_of_cycle = year_of_cycle * 365 + year_of_cycle / 4 - year_of_cycle / 100 + day_of_year;
    // 0000-03-01 is 730,425 days before 2000-01-01.
    cycle * CYCLE_DAYS + day_of_cycle - 730_425
}

/// The day of the calendar so many days after 2000-01-01.
pub(super) fn day_of(days: i64) -> Day {
    let shifted = days + 730_425;
    let cycle = shifted.div_euclid(CYCLE_DAYS);
    let day_of_cycle = shifted.rem_euclid(CYCLE_DAYS);
    let year_of_cycle =
        (day_of_cycle - day_of_cycle / 1460 + day_of_cycle / 36_524 - day_of_cycle / 146_096) / 365;
    let day_of_year =
        day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = cycle * 400 + year_of_cycle + i64::from(month <= 2);
    Day { year, month, day }
}

/// Days of a month, 1 to 12.
pub(super) fn month_length(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The day of the week, 0 for Sunday.
pub(super) fn weekday(days: i64) -> i64 {
    // 2000-01-01 was a Saturday.
    (days + 6).rem_euclid(7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_calendar_agree() {
        let at = |year, month, day| days_of(Day { year, month, day });
        assert_eq!(at(2000, 1, 1), 0);
        assert_eq!(at(1970, 1, 1), -UNIX_TO_EPOCH_DAYS);
        assert_eq!(at(-4713, 11, 24), DATE_FIRST);
        assert_eq!(at(5_874_898, 1, 1), DATE_END);
        assert_eq!(at(-4713, 11, 24) * DAY_US, TIMESTAMP_FIRST);
        assert_eq!(at(294_277, 1, 1) * DAY_US, TIMESTAMP_END);
        assert_eq!(weekday(at(2024, 2, 29)), 4);
        for days in (DATE_FIRST..DATE_END).step_by(9_973).chain(-900..900) {
            assert!(days_of(day_of(days)) == days, "{days}");
        }
        assert_eq!(month_length(1900, 2), 28);
        assert_eq!(month_length(0, 2), 29);
    }
}

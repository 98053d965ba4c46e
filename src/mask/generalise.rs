//! `generalise: year | month | decade`: a date or time becomes the first moment of its year, month or decade.
//!
//! `1984-07-09` becomes `1984-01-01`, `1984-07-01` or `1980-01-01`. A `timestamptz` is cut in UTC, whatever the
//! session's time zone is, so that both forms and all sessions give the same moment. `infinity` and `-infinity`
//! stay. What would lie before the earliest date that PostgreSQL has (24 November 4714 BC) becomes that date.
//!
//! For date, timestamp and timestamptz. What is left: the unit that the value lies in.

use super::{Generalise, MaskFault, sql};
use crate::types::LogicalType;

/// Days of 400 years of the Gregorian calendar, after which it repeats.
const CYCLE_DAYS: i64 = 146_097;

/// The earliest date (24 November 4714 BC) in days since 2000-01-01 (PostgreSQL: DATETIME_MIN_JULIAN).
const EARLIEST_DAYS: i64 = -2_451_545;

/// Microseconds of a day.
const DAY_US: i64 = 86_400_000_000;

/// Days before each month of a year that is no leap year.
const BEFORE_MONTH: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];

pub(super) fn apply(
    unit: &Generalise,
    ty: LogicalType,
    canonical: &[u8],
) -> Result<Vec<u8>, MaskFault> {
    match ty {
        LogicalType::Date => {
            let bytes = canonical.try_into().map_err(|_| MaskFault::Malformed)?;
            let days = match i32::from_be_bytes(bytes) {
                infinite @ (i32::MIN | i32::MAX) => infinite,
                days => {
                    i32::try_from(floor(unit, days.into())?).map_err(|_| MaskFault::Malformed)?
                }
            };
            Ok(days.to_be_bytes().to_vec())
        }
        LogicalType::Timestamp(_) | LogicalType::Timestamptz(_) => {
            let bytes = canonical.try_into().map_err(|_| MaskFault::Malformed)?;
            let us = match i64::from_be_bytes(bytes) {
                infinite @ (i64::MIN | i64::MAX) => infinite,
                us => floor(unit, us.div_euclid(DAY_US))?
                    .checked_mul(DAY_US)
                    .ok_or(MaskFault::Malformed)?,
            };
            Ok(us.to_be_bytes().to_vec())
        }
        _ => Err(MaskFault::Misfit),
    }
}

/// The first day of the unit a day lies in, both in days since 2000-01-01.
fn floor(unit: &Generalise, days: i64) -> Result<i64, MaskFault> {
    let day = days.rem_euclid(CYCLE_DAYS);
    let mut year = day / 365;
    if before_year(year) > day {
        year -= 1;
    }
    let first = match unit {
        Generalise::Year => before_year(year),
        Generalise::Decade => before_year(year - year % 10),
        Generalise::Month => {
            let day_of_year = day - before_year(year);
            let leap = before_year(year + 1) - before_year(year) - 365;
            let first = BEFORE_MONTH
                .iter()
                .enumerate()
                .map(|(month, before)| before + if month > 1 { leap } else { 0 })
                .take_while(|&before| before <= day_of_year)
                .last()
                .unwrap_or(0);
            before_year(year) + first
        }
        Generalise::Bucket(_) => return Err(MaskFault::Misfit),
    };
    Ok((days - day + first).max(EARLIEST_DAYS))
}

/// Days between 2000-01-01 and 1 January of the year 2000 + `year`, for 0 ≤ year ≤ 400.
fn before_year(year: i64) -> i64 {
    365 * year + (year + 3) / 4 - (year + 99) / 100 + (year + 399) / 400
}

pub(super) fn sql(unit: &Generalise, ty: LogicalType, column: &str) -> Option<String> {
    let (field, whole_from) = match unit {
        Generalise::Year => ("year", "4713-01-01"),
        Generalise::Month => ("month", "4714-12-01"),
        Generalise::Decade => ("decade", "4711-01-01"),
        Generalise::Bucket(_) => return None,
    };
    let floored = match ty {
        LogicalType::Date => date_sql(field, column),
        LogicalType::Timestamp(_) => format!(
            "CASE WHEN {} THEN '4714-11-24 00:00:00 BC'::pg_catalog.timestamp ELSE {} END",
            sql::infix(
                &format!("({column})"),
                "<",
                &format!("'{whole_from} 00:00:00 BC'::pg_catalog.timestamp")
            ),
            format_args!("pg_catalog.date_trunc('{field}'::pg_catalog.text, {column})"),
        ),
        LogicalType::Timestamptz(_) => {
            let in_utc = |value: &str| {
                format!("pg_catalog.timezone('00:00:00'::pg_catalog.interval, {value})")
            };
            let truncated = format!(
                "pg_catalog.date_trunc('{field}'::pg_catalog.text, {})",
                in_utc(column)
            );
            format!(
                "CASE WHEN {} THEN '4714-11-24 00:00:00+00 BC'::pg_catalog.timestamptz ELSE {} END",
                sql::infix(
                    &format!("({column})"),
                    "<",
                    &format!("'{whole_from} 00:00:00+00 BC'::pg_catalog.timestamptz")
                ),
                in_utc(&truncated),
            )
        }
        _ => return None,
    };
    Some(format!(
        "CASE WHEN pg_catalog.isfinite({column}) THEN {floored} ELSE {column} END"
    ))
}

/// Dates reach further than timestamps, which date_trunc works on: so a date is moved by whole cycles of 400
/// years into 2000–2399, cut there, and moved back.
fn date_sql(field: &str, column: &str) -> String {
    let epoch = "'2000-01-01'::pg_catalog.date";
    let cycle = CYCLE_DAYS.to_string();
    let days = sql::infix(&format!("({column})"), "-", epoch);
    let rest = sql::infix(&days, "%", &cycle);
    let day = sql::infix(&sql::infix(&rest, "+", &cycle), "%", &cycle);
    let moved = sql::infix(epoch, "+", &day);
    let first = sql::infix(
        &format!(
            "(pg_catalog.date_trunc('{field}'::pg_catalog.text, {moved}::pg_catalog.timestamp))::pg_catalog.date"
        ),
        "-",
        epoch,
    );
    let floored = sql::infix(&sql::infix(&days, "-", &day), "+", &first);
    sql::infix(epoch, "+", &format!("GREATEST({EARLIEST_DAYS}, {floored})"))
}

pub(super) fn fits(unit: &Generalise, ty: LogicalType) -> Result<(), String> {
    match (unit, ty) {
        (
            Generalise::Year | Generalise::Month | Generalise::Decade,
            LogicalType::Date | LogicalType::Timestamp(_) | LogicalType::Timestamptz(_),
        ) => Ok(()),
        _ => Err(format!(
            "the mask `generalise` by year, month or decade is for date, timestamp and timestamptz; this attribute is {}",
            sql::type_name(ty)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(unit: Generalise, days: i32) -> i32 {
        let bytes = apply(&unit, LogicalType::Date, &days.to_be_bytes()).expect("a date");
        i32::from_be_bytes(bytes.try_into().expect("four bytes"))
    }

    #[test]
    fn a_date_becomes_the_first_of_its_unit() {
        // 2024-12-31 is day 9131; 2024-12-01, 2024-01-01 and 2020-01-01 follow from it.
        assert_eq!(day(Generalise::Month, 9131), 9131 - 30);
        assert_eq!(day(Generalise::Year, 9131), 9131 - 365);
        assert_eq!(day(Generalise::Decade, 9131), 7305);
        // 1999-12-31
        assert_eq!(day(Generalise::Year, -1), -365);
        assert_eq!(day(Generalise::Month, 59), 31); // 2000-02-29
        assert_eq!(day(Generalise::Month, 60), 60); // 2000-03-01
    }

    #[test]
    fn the_ends_of_time_stay() {
        assert_eq!(day(Generalise::Year, i32::MAX), i32::MAX);
        assert_eq!(day(Generalise::Year, i32::MIN), i32::MIN);
        assert_eq!(day(Generalise::Decade, -2_451_545), -2_451_545);
    }

    #[test]
    fn every_year_of_a_cycle_begins_where_its_days_say() {
        for year in 0..400 {
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            assert_eq!(
                before_year(year + 1) - before_year(year),
                if leap { 366 } else { 365 }
            );
        }
        assert_eq!(before_year(400), CYCLE_DAYS);
    }
}

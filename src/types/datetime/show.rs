//! Dates and timestamps as text, in the four styles of `DateStyle`.
//!
//! As PostgreSQL prints them (datetime.c, EncodeDateOnly and EncodeDateTime).

use super::calendar::{DAY_SECONDS, Day, SECOND_US, day_of, weekday};
use super::style::{DateStyle, Form, Order};

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/// Characters of a zone's abbreviation that are printed (MAXTZLEN).
const ABBREVIATION_CHARACTERS_MAX: usize = 10;

/// A zone's offset at the moment that is shown.
pub(super) struct Offset {
    /// seconds east of UTC
    pub(super) seconds: i64,
    pub(super) abbreviation: String,
}

/// A date, in days since 2000-01-01.
pub(super) fn date(days: i64, style: DateStyle) -> String {
    let day = day_of(days);
    let (year, era) = year_and_era(day.year);
    let Day { month, day, .. } = day;
    let text = match (style.form, style.order) {
        (Form::Iso, _) => format!("{year:04}-{month:02}-{day:02}"),
        (Form::Sql, Order::Dmy) => format!("{day:02}/{month:02}/{year:04}"),
        (Form::Sql, _) => format!("{month:02}/{day:02}/{year:04}"),
        (Form::German, _) => format!("{day:02}.{month:02}.{year:04}"),
        (Form::Postgres, Order::Dmy) => format!("{day:02}-{month:02}-{year:04}"),
        (Form::Postgres, _) => format!("{month:02}-{day:02}-{year:04}"),
    };
    text + era
}

/// A local timestamp, in seconds since 2000-01-01 and microseconds; the zone, where there is one, behind it.
pub(super) fn timestamp(
    second: i64,
    microsecond: i64,
    zone: Option<Offset>,
    style: DateStyle,
) -> String {
    let days = second.div_euclid(DAY_SECONDS);
    let time = time(second.rem_euclid(DAY_SECONDS), microsecond);
    let (year, era) = year_and_era(day_of(days).year);
    let zone = zone.map_or_else(String::new, |zone| match style.form {
        Form::Iso => numeric(zone.seconds),
        Form::Sql | Form::German | Form::Postgres => {
            let shown = zone.abbreviation.chars();
            let shown: String = shown.take(ABBREVIATION_CHARACTERS_MAX).collect();
            format!(" {shown}")
        }
    });
    if style.form == Form::Postgres {
        let Day { month, day, .. } = day_of(days);
        let name = |names: &[&'static str], position: i64| {
            usize::try_from(position)
                .ok()
                .and_then(|position| names.get(position).copied())
                .unwrap_or_default()
        };
        let month = name(&MONTHS, month - 1);
        let weekday = name(&WEEKDAYS, weekday(days));
        let day_and_month = if style.order == Order::Dmy {
            format!("{day:02} {month}")
        } else {
            format!("{month} {day:02}")
        };
        return format!("{weekday} {day_and_month} {time} {year:04}{zone}{era}");
    }
    let date = date(days, style);
    let date = date.strip_suffix(era).unwrap_or(&date);
    format!("{date} {time}{zone}{era}")
}

/// The year as it is written, and what stands at the end of the text for it.
fn year_and_era(year: i64) -> (i64, &'static str) {
    if year > 0 {
        (year, "")
    } else {
        (1 - year, " BC")
    }
}

/// `hh:mm:ss`, and the fraction without the zeros at its end.
pub(super) fn time(second: i64, microsecond: i64) -> String {
    let (hour, minute) = (second / 3600, second / 60 % 60);
    let mut shown = format!("{hour:02}:{minute:02}:{:02}", second % 60);
    let microsecond = microsecond.clamp(0, SECOND_US - 1);
    if microsecond != 0 {
        shown.push_str(format!(".{microsecond:06}").trim_end_matches('0'));
    }
    shown
}

/// `+hh`, `+hh:mm` or `+hh:mm:ss`.
pub(super) fn numeric(seconds: i64) -> String {
    let sign = if seconds < 0 { '-' } else { '+' };
    let size = seconds.abs();
    let (hour, minute, second) = (size / 3600, size / 60 % 60, size % 60);
    if second != 0 {
        format!("{sign}{hour:02}:{minute:02}:{second:02}")
    } else if minute != 0 {
        format!("{sign}{hour:02}:{minute:02}")
    } else {
        format!("{sign}{hour:02}")
    }
}

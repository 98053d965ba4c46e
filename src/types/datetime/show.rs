//! Dates and timestamps as text, in the four styles of `DateStyle`.
//!
//! As PostgreSQL prints them (datetime.c, EncodeDateOnly and EncodeDateTime).

use super::calendar::{DAY_SECONDS, Day, SECOND_US, day_of, weekday};
use super::style::{Form, Order, Style};

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
pub(super) fn date(days: i64, style: Style) -> String {
    let day = day_of(days);
    let (year, era) = year_and_era(day.year);
    let Day { month, day, .. } = day;
    let (year, month, day) = ((year, 4), (month, 2), (day, 2));
    let (between, parts) = match (style.form, style.order) {
        (Form::Iso, _) => ('-', [year, month, day]),
        (Form::Sql, Order::Dmy) => ('/', [day, month, year]),
        (Form::Sql, _) => ('/', [month, day, year]),
        (Form::German, _) => ('.', [day, month, year]),
        (Form::Postgres, Order::Dmy) => ('-', [day, month, year]),
        (Form::Postgres, _) => ('-', [month, day, year]),
    };
    let mut text = String::with_capacity("2000-01-01 00:00:00.000000+00 BC".len());
    push_joined(&mut text, between, parts);
    text.push_str(era);
    text
}

/// Numbers of at least so many digits each. Every value of a long result comes by here, and `format!` takes longer than
/// opening the value did.
fn push_joined<const N: usize>(text: &mut String, between: char, parts: [(i64, usize); N]) {
    for (index, (number, digits)) in parts.into_iter().enumerate() {
        if index > 0 {
            text.push(between);
        }
        let mut buffer = [b'0'; 20];
        let mut rest = number.unsigned_abs();
        let mut start = buffer.len();
        while rest > 0 || buffer.len() - start < digits {
            start -= 1;
            buffer[start] = b"0123456789"[usize::try_from(rest % 10).unwrap_or_default()];
            rest /= 10;
        }
        text.extend(buffer[start..].iter().map(|&digit| char::from(digit)));
    }
}

/// A local timestamp, in seconds since 2000-01-01 and microseconds; the zone, where there is one, behind it.
pub(super) fn timestamp(
    second: i64,
    microsecond: i64,
    zone: Option<Offset>,
    style: Style,
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
    let mut text = date(days, style);
    text.truncate(text.len() - era.len());
    text.push(' ');
    for part in [time.as_str(), zone.as_str(), era] {
        text.push_str(part);
    }
    text
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
    let mut shown = String::with_capacity("00:00:00.000000".len());
    push_joined(&mut shown, ':', [(hour, 2), (minute, 2), (second % 60, 2)]);
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

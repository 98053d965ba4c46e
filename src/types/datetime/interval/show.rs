//! Intervals as text, in the four styles of `IntervalStyle`.
//!
//! As PostgreSQL prints them (datetime.c, EncodeInterval).

use super::{Parts, YEAR_MONTHS};
use crate::types::IntervalStyle;
use crate::types::datetime::calendar::SECOND_US;

/// An interval, taken apart; each part has its own sign.
struct Fields {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    microsecond: i64,
}

impl Fields {
    fn of(parts: Parts) -> Self {
        let months = i64::from(parts.months);
        let seconds = parts.time_us / SECOND_US;
        Self {
            year: months / YEAR_MONTHS,
            month: months % YEAR_MONTHS,
            day: i64::from(parts.days),
            hour: seconds / 3600,
            minute: seconds / 60 % 60,
            second: seconds % 60,
            microsecond: parts.time_us % SECOND_US,
        }
    }

    fn time(&self) -> [i64; 4] {
        [self.hour, self.minute, self.second, self.microsecond]
    }

    fn has_time(&self) -> bool {
        self.time().iter().any(|part| *part != 0)
    }

    fn time_is_negative(&self) -> bool {
        self.time().iter().any(|part| *part < 0)
    }

    /// `h:mm:ss.f` without a sign, the hour of at least so many digits.
    fn clock(&self, hour_digits: usize) -> String {
        let (hour, minute) = (self.hour.unsigned_abs(), self.minute.unsigned_abs());
        format!("{hour:0hour_digits$}:{minute:02}:{}", self.seconds(2))
    }

    /// Seconds without a sign, of at least so many digits, and their fraction without the zeros at its end.
    fn seconds(&self, digits: usize) -> String {
        let mut text = format!("{:0digits$}", self.second.unsigned_abs());
        if self.microsecond != 0 {
            let fraction = format!(".{:06}", self.microsecond.unsigned_abs());
            text.push_str(fraction.trim_end_matches('0'));
        }
        text
    }
}

/// The interval in a style.
pub(super) fn text(parts: Parts, style: IntervalStyle) -> String {
    let fields = Fields::of(parts);
    match style {
        IntervalStyle::SqlStandard => sql_standard(&fields),
        IntervalStyle::Iso8601 => iso_8601(&fields),
        IntervalStyle::Postgres | IntervalStyle::Unknown => postgres(&fields),
        IntervalStyle::PostgresVerbose => verbose(&fields),
    }
}

fn sql_standard(fields: &Fields) -> String {
    let date = [fields.year, fields.month, fields.day];
    let all = || date.into_iter().chain(fields.time());
    let negative = all().any(|part| part < 0);
    let positive = all().any(|part| part > 0);
    let has_months = fields.year != 0 || fields.month != 0;
    let has_days_or_time = fields.day != 0 || fields.has_time();
    if !negative && !positive {
        return "0".to_owned();
    }
    let (year, month) = (fields.year.unsigned_abs(), fields.month.unsigned_abs());
    let day = fields.day.unsigned_abs();
    if (negative && positive) || (has_months && has_days_or_time) {
        let sign = |minus: bool| if minus { '-' } else { '+' };
        return format!(
            "{}{year}-{month} {}{day} {}{}",
            sign(fields.year < 0 || fields.month < 0),
            sign(fields.day < 0),
            sign(fields.time_is_negative()),
            fields.clock(1)
        );
    }
    let minus = if negative { "-" } else { "" };
    if has_months {
        format!("{minus}{year}-{month}")
    } else if fields.day != 0 {
        format!("{minus}{day} {}", fields.clock(1))
    } else {
        format!("{minus}{}", fields.clock(1))
    }
}

fn iso_8601(fields: &Fields) -> String {
    let mut text = String::from("P");
    let mut part = |value: i64, mark: char| {
        if value != 0 {
            text.push_str(&format!("{value}{mark}"));
        }
    };
    part(fields.year, 'Y');
    part(fields.month, 'M');
    part(fields.day, 'D');
    if fields.has_time() {
        text.push('T');
        let mut part = |value: i64, mark: char| {
            if value != 0 {
                text.push_str(&format!("{value}{mark}"));
            }
        };
        part(fields.hour, 'H');
        part(fields.minute, 'M');
        if fields.second != 0 || fields.microsecond != 0 {
            let minus = fields.second < 0 || fields.microsecond < 0;
            text.push_str(if minus { "-" } else { "" });
            text.push_str(&fields.seconds(1));
            text.push('S');
        }
    }
    if text.len() == 1 {
        text.push_str("T0S");
    }
    text
}

fn postgres(fields: &Fields) -> String {
    let mut text = String::new();
    // The sign of a part is written where the part before it was negative.
    let mut before_is_negative = false;
    for (value, unit) in [
        (fields.year, "year"),
        (fields.month, "mon"),
        (fields.day, "day"),
    ] {
        if value == 0 {
            continue;
        }
        let space = if text.is_empty() { "" } else { " " };
        let plus = if before_is_negative && value > 0 {
            "+"
        } else {
            ""
        };
        let plural = if value == 1 { "" } else { "s" };
        text.push_str(&format!("{space}{plus}{value} {unit}{plural}"));
        before_is_negative = value < 0;
    }
    if text.is_empty() || fields.has_time() {
        let space = if text.is_empty() { "" } else { " " };
        let sign = match (fields.time_is_negative(), before_is_negative) {
            (true, _) => "-",
            (false, true) => "+",
            (false, false) => "",
        };
        text.push_str(&format!("{space}{sign}{}", fields.clock(2)));
    }
    text
}

fn verbose(fields: &Fields) -> String {
    let mut text = String::from("@");
    // The first part that is not zero says whether it is `ago`; the others are written against it.
    let mut ago = None;
    for (value, unit) in [
        (fields.year, "year"),
        (fields.month, "mon"),
        (fields.day, "day"),
        (fields.hour, "hour"),
        (fields.minute, "min"),
    ] {
        if value == 0 {
            continue;
        }
        let shown = if *ago.get_or_insert(value < 0) {
            -value
        } else {
            value
        };
        let plural = if shown == 1 { "" } else { "s" };
        text.push_str(&format!(" {shown} {unit}{plural}"));
    }
    if fields.second != 0 || fields.microsecond != 0 {
        let negative = fields.second < 0 || (fields.second == 0 && fields.microsecond < 0);
        let minus = *ago.get_or_insert(negative) != negative;
        let plural = fields.second.abs() != 1 || fields.microsecond != 0;
        text.push_str(if minus { " -" } else { " " });
        text.push_str(&fields.seconds(1));
        text.push_str(if plural { " secs" } else { " sec" });
    }
    match ago {
        None => text.push_str(" 0"),
        Some(true) => text.push_str(" ago"),
        Some(false) => {}
    }
    text
}

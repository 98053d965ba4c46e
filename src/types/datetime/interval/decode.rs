//! What the fields of interval input mean, units and numbers from right to left.
//!
//! PostgreSQL 15's DecodeInterval to the letter (datetime.c).

use super::IntervalFields;
use super::fields::{DAY, HOUR, MINUTE, MONTH, SECOND, YEAR};
use crate::types::IntervalStyle;
use crate::types::datetime::calendar::{DAY_US, SECOND_US};
use crate::types::datetime::decode::Refusal;
use crate::types::datetime::lex::{Field, Kind};
use crate::types::datetime::number::{fraction_us, int_prefix, long_prefix_checked};

const MINUTE_US: i64 = 60 * SECOND_US;
const HOUR_US: i64 = 60 * MINUTE_US;
/// Days of a month, where a fraction of one is spread (DAYS_PER_MONTH).
const MONTH_DAYS: f64 = 30.0;
/// Characters of a word that count (TOKMAXLEN).
const WORD_BYTES_MAX: usize = 10;

/// What is added up while fields are read.
#[derive(Clone, Copy, Default)]
pub(super) struct Span {
    pub(super) time_us: i64,
    pub(super) days: i32,
    pub(super) months: i32,
    pub(super) years: i32,
}

/// A unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Microsecond,
    Millisecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
    Decade,
    Century,
    Millennium,
    /// one that no interval is written in
    Other,
}

/// Which units have been read, as bits.
type Units = u32;
const MICROSECONDS: Units = 1;
const MILLISECONDS: Units = 1 << 1;
const SECONDS: Units = 1 << 2;
const MINUTES: Units = 1 << 3;
const HOURS: Units = 1 << 4;
const ALL_SECONDS: Units = MICROSECONDS | MILLISECONDS | SECONDS;
const TIME: Units = ALL_SECONDS | MINUTES | HOURS;

impl Unit {
    /// The bit of the unit.
    fn bit(self) -> Units {
        match self {
            Self::Microsecond => MICROSECONDS,
            Self::Millisecond => MILLISECONDS,
            Self::Second => SECONDS,
            Self::Minute => MINUTES,
            Self::Hour => HOURS,
            other => 1 << (5 + other as Units),
        }
    }

    /// The unit of a number without one, by the fields of the type.
    fn of_fields(range: u16) -> Self {
        const YEAR_MONTH: u16 = YEAR | MONTH;
        const DAY_HOUR: u16 = DAY | HOUR;
        const HOUR_MINUTE: u16 = HOUR | MINUTE;
        const DAY_MINUTE: u16 = DAY | HOUR | MINUTE;
        match range {
            YEAR => Self::Year,
            MONTH | YEAR_MONTH => Self::Month,
            DAY => Self::Day,
            HOUR | DAY_HOUR => Self::Hour,
            MINUTE | HOUR_MINUTE | DAY_MINUTE => Self::Minute,
            _ => Self::Second,
        }
    }
}

/// What a word says.
enum Word {
    Unit(Unit),
    Ago,
}

fn look_up(word: &str) -> Option<Word> {
    let word = word.get(..WORD_BYTES_MAX).unwrap_or(word);
    Some(Word::Unit(match word {
        "ago" => return Some(Word::Ago),
        "c" | "cent" | "centuries" | "century" => Unit::Century,
        "d" | "day" | "days" => Unit::Day,
        "dec" | "decade" | "decades" | "decs" => Unit::Decade,
        "h" | "hour" | "hours" | "hr" | "hrs" => Unit::Hour,
        "m" | "min" | "mins" | "minute" | "minutes" => Unit::Minute,
        "microsecon" | "us" | "usec" | "usecond" | "useconds" | "usecs" => Unit::Microsecond,
        "mil" | "millennia" | "millennium" | "mils" => Unit::Millennium,
        "millisecon" | "ms" | "msec" | "msecond" | "mseconds" | "msecs" => Unit::Millisecond,
        "mon" | "mons" | "month" | "months" => Unit::Month,
        "s" | "sec" | "second" | "seconds" | "secs" => Unit::Second,
        "w" | "week" | "weeks" => Unit::Week,
        "y" | "year" | "years" | "yr" | "yrs" => Unit::Year,
        "qtr" | "quarter" | "timezone" | "timezone_h" | "timezone_m" => Unit::Other,
        _ => return None,
    }))
}

/// Reads the fields.
pub(super) fn decode(
    fields: &[Field],
    kept: IntervalFields,
    style: IntervalStyle,
) -> Result<Span, Refusal> {
    let is_signed = |field: &Field| field.text.starts_with(['-', '+']);
    let negative = style == IntervalStyle::SqlStandard
        && fields.first().is_some_and(|f| f.text.starts_with('-'))
        && !fields.iter().skip(1).any(is_signed);
    let mut reader = Reader {
        span: Span::default(),
        unit: None,
        negative,
        kept,
    };
    let (mut seen, mut before) = (0, false);
    for field in fields.iter().rev() {
        let read = match field.kind {
            Kind::Time => reader.time(&field.text, false)?,
            Kind::Zone => match reader.signed_time(&field.text)? {
                Some(read) => read,
                None => reader.number(&field.text)?,
            },
            Kind::Date | Kind::Number => reader.number(&field.text)?,
            Kind::Word => {
                match look_up(&field.text).ok_or(Refusal::Format)? {
                    Word::Unit(unit) => reader.unit = Some(unit),
                    Word::Ago => {
                        before = true;
                        reader.unit = Some(Unit::Other);
                    }
                }
                0
            }
        };
        if read & seen != 0 {
            return Err(Refusal::Format);
        }
        seen |= read;
    }
    if seen == 0 {
        return Err(Refusal::Format);
    }
    if before {
        reader.span.negated()
    } else {
        Some(reader.span)
    }
    .ok_or(Refusal::Overflow)
}

struct Reader {
    span: Span,
    /// the unit of the next number to the left
    unit: Option<Unit>,
    /// the first field's minus is for all
    negative: bool,
    kept: IntervalFields,
}

impl Reader {
    /// `hh:mm`, `hh:mm:ss`, `mm:ss.f` (DecodeTimeForInterval).
    fn time(&mut self, text: &str, minus: bool) -> Result<Units, Refusal> {
        let mut time_us = time_of(text, self.kept)?;
        if minus || (self.negative && time_us > 0) {
            time_us = -time_us;
        }
        self.span.time_us = time_us;
        self.unit = Some(Unit::Day);
        Ok(TIME)
    }

    /// A time with a sign; None for what is a number with one.
    fn signed_time(&mut self, text: &str) -> Result<Option<Units>, Refusal> {
        let unsigned = text.get(1..).unwrap_or_default();
        if !unsigned.contains(':') || time_of(unsigned, self.kept).is_err() {
            return Ok(None);
        }
        self.time(unsigned, text.starts_with('-')).map(Some)
    }

    fn number(&mut self, text: &str) -> Result<Units, Refusal> {
        let mut unit = *self.unit.get_or_insert(Unit::of_fields(self.kept.range()));
        let (mut value, rest) = long_prefix_checked(text)?;
        let minus = text.starts_with('-');
        let mut fraction = 0.0;
        if let Some(months) = rest.strip_prefix('-') {
            let (months, rest) = int_prefix(months)?;
            if !(0..12).contains(&months) {
                return Err(Refusal::Overflow);
            }
            if !rest.is_empty() {
                return Err(Refusal::Format);
            }
            unit = Unit::Month;
            self.unit = Some(unit);
            let months = if minus { -months } else { months };
            let years = value.checked_mul(12).ok_or(Refusal::Overflow)?;
            value = years.checked_add(months).ok_or(Refusal::Overflow)?;
        } else if rest.starts_with('.') {
            fraction = fraction_of(rest)?;
            if minus {
                fraction = -fraction;
            }
        } else if !rest.is_empty() {
            return Err(Refusal::Format);
        }
        if self.negative {
            value = if value > 0 { -value } else { value };
            fraction = if fraction > 0.0 { -fraction } else { fraction };
        }
        self.span.add(unit, value, fraction).ok_or(match unit {
            Unit::Other => Refusal::Format,
            _ => Refusal::Overflow,
        })?;
        if unit == Unit::Hour {
            self.unit = Some(Unit::Day);
        }
        Ok(match unit {
            Unit::Second if fraction != 0.0 => ALL_SECONDS,
            unit => unit.bit(),
        })
    }
}

/// A fraction as the double that C reads; `.` alone is none.
pub(super) fn fraction_of(text: &str) -> Result<f64, Refusal> {
    let digits = text.get(1..).unwrap_or_default();
    if digits.is_empty() {
        return Ok(0.0);
    }
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(Refusal::Format);
    }
    text.parse().map_err(|_| Refusal::Format)
}

fn time_of(text: &str, kept: IntervalFields) -> Result<i64, Refusal> {
    let small = |value: i64| i32::try_from(value).map_err(|_| Refusal::Overflow);
    let (mut hour, rest) = long_prefix_checked(text)?;
    let rest = rest.strip_prefix(':').ok_or(Refusal::Format)?;
    let (mut minute, rest) = int_prefix(rest)?;
    let (mut second, mut microsecond) = (0, 0);
    if rest.is_empty() {
        if kept.range() == MINUTE | SECOND {
            small(hour)?;
            (hour, minute, second) = (0, hour, minute);
        }
    } else if rest.starts_with('.') {
        microsecond = fraction_us(rest)?;
        small(hour)?;
        (hour, minute, second) = (0, hour, minute);
    } else if let Some(rest) = rest.strip_prefix(':') {
        let rest = {
            let (read, rest) = int_prefix(rest)?;
            second = read;
            rest
        };
        if rest.starts_with('.') {
            microsecond = fraction_us(rest)?;
        } else if !rest.is_empty() {
            return Err(Refusal::Format);
        }
    } else {
        return Err(Refusal::Format);
    }
    if hour < 0 || !(0..=59).contains(&minute) || !(0..=60).contains(&second) {
        return Err(Refusal::Overflow);
    }
    let hours = hour.checked_mul(HOUR_US).ok_or(Refusal::Overflow)?;
    hours
        .checked_add(minute * MINUTE_US + second * SECOND_US + microsecond)
        .ok_or(Refusal::Overflow)
}

impl Span {
    fn negated(self) -> Option<Self> {
        Some(Self {
            time_us: self.time_us.checked_neg()?,
            days: self.days.checked_neg()?,
            months: self.months.checked_neg()?,
            years: self.years.checked_neg()?,
        })
    }

    /// Adds so many units, a fraction spread over what is finer; None out of range, or of no interval's unit.
    pub(super) fn add(&mut self, unit: Unit, value: i64, fraction: f64) -> Option<()> {
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

    pub(super) fn add_time(&mut self, value: i64, fraction: f64, scale: i64) -> Option<()> {
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

    pub(super) fn add_fraction_of_time(&mut self, fraction: f64, scale: i64) -> Option<()> {
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

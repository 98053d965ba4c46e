//! What the fields of interval input mean, units and numbers from right to left.
//!
//! PostgreSQL's DecodeInterval to the letter (datetime.c); how a version adds up what it reads is [`Sums`].

use super::IntervalFields;
use super::fields::{DAY, HOUR, MINUTE, MONTH, SECOND, YEAR};
use super::sums::{Clock, Sums};
use crate::types::datetime::decode::Refusal;
use crate::types::datetime::lex::{Field, Kind};
use crate::types::datetime::number::{fraction_us, int_prefix};
use crate::types::datetime::words::{self, core_word};
use crate::types::{IntervalStyle, ServerVersion};

/// Characters of a word that count (TOKMAXLEN).
const WORD_BYTES_MAX: usize = 10;

/// What a text says.
pub(super) enum Decoded<S> {
    Sum(S),
    Infinity,
    MinusInfinity,
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
/// What an infinity leaves no room for; weeks and decades it does (datetime.h, DTK_DATE_M and DTK_TIME_M).
const ALL_OF_A_MOMENT: Units = TIME | bit_of(Unit::Day) | bit_of(Unit::Month) | bit_of(Unit::Year);

/// The bit of a unit that is no part of a time.
const fn bit_of(unit: Unit) -> Units {
    1 << (5 + unit as Units)
}

impl Unit {
    /// The bit of the unit.
    fn bit(self) -> Units {
        match self {
            Self::Microsecond => MICROSECONDS,
            Self::Millisecond => MILLISECONDS,
            Self::Second => SECONDS,
            Self::Minute => MINUTES,
            Self::Hour => HOURS,
            other => bit_of(other),
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
    Infinity,
    MinusInfinity,
    Filler,
}

fn look_up(word: &str, version: ServerVersion) -> Option<Word> {
    let found = look_up_unit(word);
    if found.is_some() || !version.has_strict_intervals() {
        return found;
    }
    // What a date knows is looked up after the units from 17 on.
    match word {
        "infinity" | "+infinity" => Some(Word::Infinity),
        "-infinity" => Some(Word::MinusInfinity),
        "j" | "jd" | "julian" | "mm" | "dow" | "doy" | "isodow" | "isoyear" => {
            Some(Word::Unit(Unit::Other))
        }
        word => (core_word(word) == Some(words::Word::Filler)).then_some(Word::Filler),
    }
}

fn look_up_unit(word: &str) -> Option<Word> {
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
pub(super) fn decode<S: Sums>(
    fields: &[Field],
    kept: IntervalFields,
    style: IntervalStyle,
    version: ServerVersion,
) -> Result<Decoded<S>, Refusal> {
    let is_signed = |field: &Field| field.text.starts_with(['-', '+']);
    let negative = style == IntervalStyle::SqlStandard
        && fields.first().is_some_and(|f| f.text.starts_with('-'))
        && !fields.iter().skip(1).any(is_signed);
    let mut reader = Reader {
        sum: S::default(),
        unit: None,
        unit_waits: false,
        before: false,
        infinity: None,
        negative: negative && S::NEGATIVE_AS_READ,
        kept,
        version,
    };
    let mut seen = 0;
    for (position, field) in fields.iter().enumerate().rev() {
        let read = match field.kind {
            Kind::Time => reader.time(&field.text)?,
            Kind::Zone => match reader.signed_time(&field.text) {
                Some(read) => read,
                None => reader.number(&field.text)?,
            },
            Kind::Date | Kind::Number => reader.number(&field.text)?,
            Kind::Word => reader.word(&field.text, position + 1 == fields.len())?,
        };
        if read & seen != 0 {
            return Err(Refusal::Format);
        }
        seen |= read;
    }
    if seen == 0 || (reader.unit_waits && version.has_strict_intervals()) {
        return Err(Refusal::Format);
    }
    reader.sum.settle(negative);
    if reader.before {
        reader.sum.negate().ok_or(Refusal::Overflow)?;
    }
    Ok(match reader.infinity {
        None => Decoded::Sum(reader.sum),
        Some(true) => Decoded::MinusInfinity,
        Some(false) => Decoded::Infinity,
    })
}

struct Reader<S> {
    sum: S,
    /// the unit of the next number to the left
    unit: Option<Unit>,
    /// a unit was read whose number was not
    unit_waits: bool,
    /// `ago` was read
    before: bool,
    /// an infinity was read, the negative one (true) or the other
    infinity: Option<bool>,
    /// the first field's minus is for all
    negative: bool,
    kept: IntervalFields,
    version: ServerVersion,
}

impl<S: Sums> Reader<S> {
    /// A unit, `ago`, or an infinity; `last` says that nothing stands behind it.
    fn word(&mut self, text: &str, last: bool) -> Result<Units, Refusal> {
        let strict = self.version.has_strict_intervals();
        if strict && self.unit_waits {
            return Err(Refusal::Format);
        }
        let word = look_up(text, self.version).ok_or(Refusal::Format)?;
        let read = match word {
            Word::Unit(unit) => {
                self.unit = Some(unit);
                self.unit_waits = true;
                return Ok(0);
            }
            Word::Filler => {
                self.unit = None;
                return Ok(0);
            }
            Word::Ago => {
                self.before = true;
                0
            }
            Word::Infinity | Word::MinusInfinity => {
                self.infinity = Some(matches!(word, Word::MinusInfinity));
                ALL_OF_A_MOMENT
            }
        };
        if strict && !last {
            return Err(Refusal::Format);
        }
        self.unit = Some(Unit::Other);
        Ok(read)
    }

    /// `hh:mm`, `hh:mm:ss`, `mm:ss.f` (DecodeTimeForInterval).
    fn time(&mut self, text: &str) -> Result<Units, Refusal> {
        let clock = self.clock(text)?;
        if !S::takes_time(clock) {
            return Err(Refusal::Overflow);
        }
        Ok(self.set_time(clock, false))
    }

    fn set_time(&mut self, clock: Clock, minus: bool) -> Units {
        self.sum.set_time(clock, minus || self.negative);
        self.unit = Some(Unit::Day);
        self.unit_waits = false;
        TIME
    }

    /// A time with a sign; None for what is a number with one.
    fn signed_time(&mut self, text: &str) -> Option<Units> {
        let unsigned = text.get(1..).filter(|rest| rest.contains(':'))?;
        let clock = self.clock(unsigned).ok().filter(|c| S::takes_time(*c))?;
        Some(self.set_time(clock, text.starts_with('-')))
    }

    fn number(&mut self, text: &str) -> Result<Units, Refusal> {
        let mut unit = *self.unit.get_or_insert(Unit::of_fields(self.kept.range()));
        let (mut value, rest) = S::whole(text)?;
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
            fraction = fraction_of(rest, self.version)?;
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
        self.sum.add(unit, value, fraction).ok_or(match unit {
            Unit::Other => Refusal::Format,
            _ => Refusal::Overflow,
        })?;
        self.unit_waits = false;
        if unit == Unit::Hour {
            self.unit = Some(Unit::Day);
        }
        Ok(match unit {
            Unit::Second if fraction != 0.0 => ALL_SECONDS,
            unit => unit.bit(),
        })
    }

    fn clock(&self, text: &str) -> Result<Clock, Refusal> {
        let small = |value: i64| i32::try_from(value).map_err(|_| Refusal::Overflow);
        let (mut hour, rest) = S::whole(text)?;
        let rest = rest.strip_prefix(':').ok_or(Refusal::Format)?;
        let (mut minute, rest) = int_prefix(rest)?;
        let (mut second, mut microsecond) = (0, 0);
        if rest.is_empty() {
            if self.kept.range() == MINUTE | SECOND {
                small(hour)?;
                (hour, minute, second) = (0, hour, minute);
            }
        } else if rest.starts_with('.') {
            microsecond = fraction_us(rest, self.version)?;
            small(hour)?;
            (hour, minute, second) = (0, hour, minute);
        } else if let Some(rest) = rest.strip_prefix(':') {
            let (read, rest) = int_prefix(rest)?;
            second = read;
            if rest.starts_with('.') {
                microsecond = fraction_us(rest, self.version)?;
            } else if !rest.is_empty() {
                return Err(Refusal::Format);
            }
        } else {
            return Err(Refusal::Format);
        }
        if hour < 0 || !(0..=59).contains(&minute) || !(0..=60).contains(&second) {
            return Err(Refusal::Overflow);
        }
        Ok(Clock {
            hour,
            minute,
            second,
            microsecond,
        })
    }
}

/// A fraction as the double that C reads; `.` alone is none, from 15 on.
fn fraction_of(text: &str, version: ServerVersion) -> Result<f64, Refusal> {
    let digits = text.get(1..).unwrap_or_default();
    if digits.is_empty() && version.reads_a_lone_point() {
        return Ok(0.0);
    }
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(Refusal::Format);
    }
    text.parse().map_err(|_| Refusal::Format)
}

//! What the fields of date and time input mean.
//!
//! The reading is PostgreSQL 15's to the letter (datetime.c, DecodeDateTime and what it calls), oddities
//! included, because a date read otherwise is a wrong date. Refused with 0A000: what needs a clock, Julian days,
//! labelled fields, and abbreviations that a server setting defines.

use super::calendar::{DAY_US, Day, SECOND_US, day_of, days_of, month_length};
use super::lex::{Field, Kind};
use super::number::{atoi, fraction_us, int_prefix, is_time_of_day, offset};
use super::style::Order;
use super::words::{Word, look_up};
use super::zone::{Found, Zone};

/// Why a text is no date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// 22007
    Format,
    /// 22008
    Overflow,
    /// 22009
    Displacement,
    /// 22023: a time zone that does not exist
    ZoneName,
    /// 0A000, with what to write instead
    Unsupported(&'static str),
}

/// What a text says.
pub(super) enum Decoded {
    /// `epoch`
    Epoch,
    /// `infinity`
    Infinity,
    /// `-infinity`
    MinusInfinity,
    /// A day and a time, read in a zone.
    Local(Local),
}

/// A day, a time of the day, and what was said of the zone.
pub(super) struct Local {
    pub(super) day: Day,
    /// microseconds; can exceed a day
    pub(super) time_us: i64,
    pub(super) zone: ZoneSaid,
}

/// What a text says of its zone.
pub(super) enum ZoneSaid {
    /// Nothing: the session's.
    Nothing,
    /// Seconds east of UTC.
    Offset(i64),
    /// A zone by name.
    Named(Zone),
}

/// Which parts have been read, as bits.
type Parts = u16;
const YEAR: Parts = 1;
const MONTH: Parts = 1 << 1;
const DAY: Parts = 1 << 2;
const DATE: Parts = YEAR | MONTH | DAY;
const DAY_OF_YEAR: Parts = 1 << 3;
const TIME: Parts = 1 << 4;
const ZONE: Parts = 1 << 5;
const WEEKDAY: Parts = 1 << 6;
const AFTERNOON: Parts = 1 << 7;
const ERA: Parts = 1 << 8;
const RESERVED: Parts = 1 << 9;

/// Reads the fields, numbers of an ambiguous date in the given order.
pub(super) fn decode(fields: &[Field], order: Order) -> Result<Decoded, Refusal> {
    let mut reader = Reader::new(order);
    for (position, field) in fields.iter().enumerate() {
        let next = fields.get(position + 1).map(|field| field.kind);
        let read = match field.kind {
            Kind::Date => reader.date_or_zone(&field.text)?,
            Kind::Time => reader.time(&field.text)?,
            Kind::Zone => {
                reader.zone = ZoneSaid::Offset(offset(&field.text)?);
                ZONE
            }
            Kind::Number => reader.number(&field.text)?,
            Kind::Word => reader.word(&field.text, next)?,
        };
        if read & reader.seen != 0 {
            return Err(Refusal::Format);
        }
        reader.seen |= read;
    }
    reader.finish()
}

struct Reader {
    order: Order,
    seen: Parts,
    year: i64,
    month: i64,
    day: i64,
    day_of_year: i64,
    hour: i64,
    minute: i64,
    second: i64,
    microsecond: i64,
    zone: ZoneSaid,
    /// a year of one or two digits
    short_year: bool,
    /// a month by its name was a field of its own
    month_named: bool,
    /// `t` was read and its time was not
    time_follows: bool,
    afternoon: Option<bool>,
    before_christ: bool,
    /// epoch or an infinity
    special: Option<Word>,
}

impl Reader {
    fn new(order: Order) -> Self {
        Self {
            order,
            seen: 0,
            year: 0,
            month: 0,
            day: 0,
            day_of_year: 0,
            hour: 0,
            minute: 0,
            second: 0,
            microsecond: 0,
            zone: ZoneSaid::Nothing,
            short_year: false,
            month_named: false,
            time_follows: false,
            afternoon: None,
            before_christ: false,
            special: None,
        }
    }

    /// A date; once month and day are known, a run-together time with a zone, or a zone's name.
    fn date_or_zone(&mut self, text: &str) -> Result<Parts, Refusal> {
        if !self.time_follows && self.seen & (MONTH | DAY) != (MONTH | DAY) {
            return self.date(text);
        }
        if self.time_follows || text.starts_with(|c: char| c.is_ascii_digit()) {
            self.time_follows = false;
            if self.seen & TIME != 0 {
                return Err(Refusal::Format);
            }
            let (time, _) = text.split_once('-').ok_or(Refusal::Format)?;
            let zone = text.get(time.len()..).unwrap_or_default();
            self.zone = ZoneSaid::Offset(offset(zone)?);
            return Ok(self.run_together(time, self.seen)? | ZONE);
        }
        self.named_zone(text, Refusal::ZoneName)
    }

    fn named_zone(&mut self, name: &str, otherwise: Refusal) -> Result<Parts, Refusal> {
        match Zone::find(name) {
            Found::Zone(zone) => {
                self.zone = ZoneSaid::Named(zone);
                Ok(ZONE)
            }
            Found::Unknown => Err(Refusal::Unsupported(
                "this time zone is not known here: write the offset, as in +02",
            )),
            Found::Nothing => Err(otherwise),
        }
    }

    /// A date of several parts with marks between them (DecodeDate).
    fn date(&mut self, text: &str) -> Result<Parts, Refusal> {
        let mut parts = split_date(text)?;
        let mut seen = self.seen;
        let mut read = 0;
        let mut named = false;
        for part in &mut parts {
            if !part.starts_with(|c: char| c.is_ascii_alphabetic()) {
                continue;
            }
            match look_up_core(part)? {
                Word::Filler => continue,
                Word::Month(month) => self.month = month,
                _ => return Err(Refusal::Format),
            }
            named = true;
            if seen & MONTH != 0 {
                return Err(Refusal::Format);
            }
            seen |= MONTH;
            read |= MONTH;
            *part = "";
        }
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            let mask = self.single(part, named, seen)?;
            if seen & mask != 0 {
                return Err(Refusal::Format);
            }
            seen |= mask;
            read |= mask;
        }
        if seen & !(DAY_OF_YEAR | ZONE) == DATE {
            Ok(read)
        } else {
            Err(Refusal::Format)
        }
    }

    /// `hh:mm`, `hh:mm:ss`, `hh:mm:ss.f`, and `mm:ss.f` (DecodeTime).
    fn time(&mut self, text: &str) -> Result<Parts, Refusal> {
        self.time_follows = false;
        let (hour, rest) = int_prefix(text)?;
        let rest = rest.strip_prefix(':').ok_or(Refusal::Format)?;
        let (minute, rest) = int_prefix(rest)?;
        (self.hour, self.minute, self.second) = (hour, minute, 0);
        self.microsecond = 0;
        if rest.starts_with('.') {
            self.microsecond = fraction_us(rest)?;
            (self.hour, self.minute, self.second) = (0, hour, minute);
        } else if let Some(rest) = rest.strip_prefix(':') {
            let (second, rest) = int_prefix(rest)?;
            self.second = second;
            if rest.starts_with('.') {
                self.microsecond = fraction_us(rest)?;
            } else if !rest.is_empty() {
                return Err(Refusal::Format);
            }
        } else if !rest.is_empty() {
            return Err(Refusal::Format);
        }
        if is_time_of_day(self.hour, self.minute, self.second, self.microsecond) {
            Ok(TIME)
        } else {
            Err(Refusal::Overflow)
        }
    }

    /// A number: a part of the date, a whole date run together, or a time.
    fn number(&mut self, text: &str) -> Result<Parts, Refusal> {
        if self.time_follows {
            let (_, rest) = int_prefix(text)?;
            if !rest.is_empty() && !rest.starts_with('.') {
                return Err(Refusal::Format);
            }
            let read = self.run_together(text, self.seen | DATE)?;
            self.time_follows = false;
            self.special = None;
            return if read == TIME {
                Ok(read)
            } else {
                Err(Refusal::Format)
            };
        }
        match text.find('.') {
            Some(_) if self.seen & DATE == 0 => self.date(text),
            Some(mark) if mark > 2 => self.run_together(text, self.seen),
            _ if text.len() >= 6 && (self.seen & DATE == 0 || self.seen & TIME == 0) => {
                self.run_together(text, self.seen)
            }
            _ => self.single(text, self.month_named, self.seen),
        }
    }

    /// One number; what it is follows from what is known already (DecodeNumber).
    fn single(&mut self, text: &str, month_named: bool, seen: Parts) -> Result<Parts, Refusal> {
        let (value, rest) = int_prefix(text)?;
        if rest.len() == text.len() {
            return Err(Refusal::Format);
        }
        if rest.starts_with('.') {
            if text.len() - rest.len() > 2 {
                return self.run_together(text, seen | DATE);
            }
            self.microsecond = fraction_us(rest)?;
        } else if !rest.is_empty() {
            return Err(Refusal::Format);
        }
        let length = text.len();
        if length == 3 && seen & DATE == YEAR && (1..=366).contains(&value) {
            self.day_of_year = value;
            return Ok(DAY_OF_YEAR | MONTH | DAY);
        }
        let year_like = length >= 3 || self.order == Order::Ymd;
        let part = match (seen & DATE, month_named) {
            (0, _) | (MONTH, true) if year_like => YEAR,
            (0, _) if self.order == Order::Dmy => DAY,
            (0, _) | (YEAR, _) | (DAY, _) => MONTH,
            (MONTH, _) => DAY,
            (YEAR_AND_MONTH, true) if length >= 3 && self.short_year => {
                // The first number was the day after all.
                self.day = self.year;
                self.year = value;
                self.short_year = false;
                return Ok(DAY);
            }
            (YEAR_AND_MONTH, _) => DAY,
            (MONTH_AND_DAY, _) => YEAR,
            (DATE, _) => return self.run_together(text, seen),
            _ => return Err(Refusal::Format),
        };
        match part {
            YEAR => {
                self.year = value;
                self.short_year = length <= 2;
            }
            MONTH => self.month = value,
            _ => self.day = value,
        }
        Ok(part)
    }

    /// `yyyymmdd`, `yymmdd`, `hhmmss` or `hhmm`, and times with a fraction (DecodeNumberField).
    fn run_together(&mut self, text: &str, seen: Parts) -> Result<Parts, Refusal> {
        let mut digits = text;
        if let Some(mark) = text.find('.') {
            let (whole, fraction) = text.split_at(mark);
            self.microsecond = fraction_us(fraction)?;
            digits = whole;
        } else if seen & DATE != DATE && digits.len() >= 6 {
            let (year, month_day) = digits.split_at(digits.len() - 4);
            let (month, day) = month_day.split_at(2);
            (self.year, self.month, self.day) = (atoi(year), atoi(month), atoi(day));
            if year.len() == 2 {
                self.short_year = true;
            }
            return Ok(DATE);
        }
        if seen & TIME != 0 || !matches!(digits.len(), 4 | 6) {
            return Err(Refusal::Format);
        }
        let (hour, rest) = digits.split_at(2);
        let (minute, second) = rest.split_at(2);
        (self.hour, self.minute, self.second) = (atoi(hour), atoi(minute), atoi(second));
        Ok(TIME)
    }

    fn word(&mut self, text: &str, next: Option<Kind>) -> Result<Parts, Refusal> {
        let Some(word) = look_up(text) else {
            return self.named_zone(text, Refusal::Format);
        };
        Ok(match word {
            Word::Month(month) => return Ok(self.named_month(month)),
            Word::Weekday => WEEKDAY,
            Word::Afternoon(afternoon) => {
                self.afternoon = Some(afternoon);
                AFTERNOON
            }
            Word::BeforeChrist(before) => {
                self.before_christ = before;
                ERA
            }
            Word::Filler => 0,
            Word::TimeFollows => {
                let sensible = matches!(next, Some(Kind::Number | Kind::Time | Kind::Date));
                if self.seen & DATE != DATE || !sensible {
                    return Err(Refusal::Format);
                }
                self.time_follows = true;
                0
            }
            Word::Epoch | Word::Infinity | Word::MinusInfinity => {
                self.special = Some(word);
                RESERVED
            }
            Word::MidnightUtc => {
                self.special = None;
                (self.hour, self.minute, self.second) = (0, 0, 0);
                self.zone = ZoneSaid::Offset(0);
                TIME | ZONE
            }
            Word::Utc => {
                self.zone = ZoneSaid::Offset(0);
                ZONE
            }
            Word::Clock | Word::Label | Word::Abbreviation => return Err(unsupported(word)),
        })
    }

    /// A month's name: a number that was taken for the month becomes the day.
    fn named_month(&mut self, month: i64) -> Parts {
        let taken = self.seen & MONTH != 0
            && !self.month_named
            && self.seen & DAY == 0
            && (1..=31).contains(&self.month);
        let read = if taken {
            self.day = self.month;
            DAY
        } else {
            MONTH
        };
        self.month_named = true;
        self.month = month;
        read
    }

    /// Checks what only the whole can tell (ValidateDate and the end of DecodeDateTime).
    fn finish(mut self) -> Result<Decoded, Refusal> {
        self.settle_date()?;
        if let Some(afternoon) = self.afternoon {
            match self.hour {
                13.. => return Err(Refusal::Overflow),
                12 if !afternoon => self.hour = 0,
                ..12 if afternoon => self.hour += 12,
                _ => {}
            }
        }
        match self.special {
            Some(Word::Epoch) => return Ok(Decoded::Epoch),
            Some(Word::Infinity) => return Ok(Decoded::Infinity),
            Some(_) => return Ok(Decoded::MinusInfinity),
            None => {}
        }
        if self.seen & DATE != DATE {
            return Err(Refusal::Format);
        }
        let minutes = self.hour * 60 + self.minute;
        Ok(Decoded::Local(Local {
            day: Day {
                year: self.year,
                month: self.month,
                day: self.day,
            },
            time_us: (minutes * 60 + self.second) * SECOND_US + self.microsecond,
            zone: self.zone,
        }))
    }

    fn settle_date(&mut self) -> Result<(), Refusal> {
        if self.seen & YEAR != 0 {
            if self.before_christ || !self.short_year {
                if self.year <= 0 {
                    return Err(Refusal::Overflow);
                }
                if self.before_christ {
                    self.year = 1 - self.year;
                }
            } else {
                self.year += match self.year {
                    ..0 => return Err(Refusal::Overflow),
                    0..70 => 2000,
                    70..100 => 1900,
                    _ => 0,
                };
            }
        }
        if self.seen & DAY_OF_YEAR != 0 {
            let first = days_of(Day {
                year: self.year,
                month: 1,
                day: 1,
            });
            let Day { year, month, day } = day_of(first + self.day_of_year - 1);
            (self.year, self.month, self.day) = (year, month, day);
        }
        let month_wrong = self.seen & MONTH != 0 && !(1..=12).contains(&self.month);
        let day_wrong = self.seen & DAY != 0 && !(1..=31).contains(&self.day);
        let length = || month_length(self.year, self.month);
        if month_wrong || day_wrong || (self.seen & DATE == DATE && self.day > length()) {
            return Err(Refusal::Overflow);
        }
        Ok(())
    }
}

const YEAR_AND_MONTH: Parts = YEAR | MONTH;
const MONTH_AND_DAY: Parts = MONTH | DAY;

/// A time of more than a day is possible (run together, it is not checked), but not more than this.
const _: () = assert!(99 * 3600 * SECOND_US < 5 * DAY_US);

/// Splits at every mark; a mark is whatever byte ends a run of digits or letters, even a letter (DecodeDate).
fn split_date(text: &str) -> Result<Vec<&str>, Refusal> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        rest = rest.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
        let digits = rest.starts_with(|c: char| c.is_ascii_digit());
        let end = rest
            .find(|c: char| {
                if digits {
                    !c.is_ascii_digit()
                } else {
                    !c.is_ascii_alphabetic()
                }
            })
            .unwrap_or(rest.len());
        if end == 0 {
            return Err(Refusal::Format);
        }
        let (part, after) = rest.split_at(end);
        parts.push(part);
        rest = after.get(1..).unwrap_or_default();
    }
    Ok(parts)
}

/// A word inside a date: no abbreviation of a zone is looked for there.
fn look_up_core(word: &str) -> Result<Word, Refusal> {
    super::words::core_word(word).ok_or(Refusal::Format)
}

fn unsupported(word: Word) -> Refusal {
    Refusal::Unsupported(match word {
        Word::Clock => {
            "now, today, tomorrow and yesterday are not read here: send the date or the moment itself"
        }
        Word::Abbreviation => {
            "time zone abbreviations other than UTC, GMT and Z are not read here: write the offset, as in +02, or the zone's name"
        }
        _ => "Julian days and labelled fields are not read here: write the date as 2024-01-31",
    })
}

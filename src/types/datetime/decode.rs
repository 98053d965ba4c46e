//! What the fields of date and time input mean.
//!
//! The reading is PostgreSQL's to the letter (datetime.c, DecodeDateTime and what it calls), oddities
//! included, because a date read otherwise is a wrong date. Refused with 0A000: what needs a clock, Julian days,
//! labelled fields, and abbreviations that a server setting defines.

use super::calendar::{Day, SECOND_US};
use super::lex::{Field, Kind};
use super::number::{fraction_us, int_prefix, is_time_of_day, offset};
use super::style::Order;
use super::words::{Word, look_up};
use super::zone::{Found, Zone};
use crate::types::ServerVersion;

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
pub(super) type Parts = u16;
pub(super) const YEAR: Parts = 1;
pub(super) const MONTH: Parts = 1 << 1;
pub(super) const DAY: Parts = 1 << 2;
pub(super) const DATE: Parts = YEAR | MONTH | DAY;
pub(super) const DAY_OF_YEAR: Parts = 1 << 3;
pub(super) const TIME: Parts = 1 << 4;
pub(super) const ZONE: Parts = 1 << 5;
const WEEKDAY: Parts = 1 << 6;
pub(super) const AFTERNOON: Parts = 1 << 7;
pub(super) const ERA: Parts = 1 << 8;
const RESERVED: Parts = 1 << 9;

/// Reads the fields, numbers of an ambiguous date in the given order.
pub(super) fn decode(
    fields: &[Field],
    order: Order,
    version: ServerVersion,
) -> Result<Decoded, Refusal> {
    let mut reader = Reader::new(order, version);
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

/// What has been read so far.
pub(super) struct Reader {
    pub(super) version: ServerVersion,
    pub(super) order: Order,
    pub(super) seen: Parts,
    pub(super) year: i64,
    pub(super) month: i64,
    pub(super) day: i64,
    pub(super) day_of_year: i64,
    pub(super) hour: i64,
    pub(super) minute: i64,
    pub(super) second: i64,
    pub(super) microsecond: i64,
    pub(super) zone: ZoneSaid,
    /// a year of one or two digits
    pub(super) short_year: bool,
    /// a month by its name was a field of its own
    pub(super) month_named: bool,
    /// `t` was read and its time was not
    pub(super) time_follows: bool,
    pub(super) afternoon: Option<bool>,
    pub(super) before_christ: bool,
    /// epoch or an infinity
    pub(super) special: Option<Word>,
}

impl Reader {
    pub(super) fn new(order: Order, version: ServerVersion) -> Self {
        Self {
            version,
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
            // Whatever it is, it is one zone too many.
            Found::Unknown if self.seen & ZONE != 0 => Err(Refusal::Format),
            Found::Unknown => Err(Refusal::Unsupported(
                "this time zone is not known here: write the offset, as in +02",
            )),
            Found::Nothing => Err(otherwise),
        }
    }

    /// A time of a day.
    fn time(&mut self, text: &str) -> Result<Parts, Refusal> {
        let read = self.clock(text)?;
        if is_time_of_day(self.hour, self.minute, self.second, self.microsecond) {
            Ok(read)
        } else {
            Err(Refusal::Overflow)
        }
    }

    /// `hh:mm`, `hh:mm:ss`, `hh:mm:ss.f`, and `mm:ss.f`, of any hour (DecodeTime).
    pub(super) fn clock(&mut self, text: &str) -> Result<Parts, Refusal> {
        self.time_follows = false;
        let (hour, rest) = int_prefix(text)?;
        let rest = rest.strip_prefix(':').ok_or(Refusal::Format)?;
        let (minute, rest) = int_prefix(rest)?;
        (self.hour, self.minute, self.second) = (hour, minute, 0);
        self.microsecond = 0;
        if rest.starts_with('.') {
            self.microsecond = fraction_us(rest, self.version)?;
            (self.hour, self.minute, self.second) = (0, hour, minute);
        } else if let Some(rest) = rest.strip_prefix(':') {
            let (second, rest) = int_prefix(rest)?;
            self.second = second;
            if rest.starts_with('.') {
                self.microsecond = fraction_us(rest, self.version)?;
            } else if !rest.is_empty() {
                return Err(Refusal::Format);
            }
        } else if !rest.is_empty() {
            return Err(Refusal::Format);
        }
        if self.hour < 0 || !(0..=59).contains(&self.minute) || !(0..=60).contains(&self.second) {
            return Err(Refusal::Overflow);
        }
        Ok(TIME)
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

    fn word(&mut self, text: &str, next: Option<Kind>) -> Result<Parts, Refusal> {
        let Some(word) = look_up(text, self.version) else {
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
                if self.seen & DATE != DATE || !self.may_announce(next) {
                    return Err(Refusal::Format);
                }
                self.time_follows = true;
                0
            }
            Word::Epoch | Word::Infinity | Word::MinusInfinity => {
                self.special = Some(word);
                match self.version.has_strict_moments() {
                    true => DATE | TIME | ZONE,
                    false => RESERVED,
                }
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

    /// Whether `t` may stand before such a field; from 16 on the fields in between are read first.
    pub(super) fn may_announce(&self, next: Option<Kind>) -> bool {
        match self.version.has_strict_moments() {
            true => !self.time_follows,
            false => matches!(next, Some(Kind::Number | Kind::Time | Kind::Date)),
        }
    }

    /// Whether a `t` had nothing to announce, which up to 15 nobody asks.
    pub(super) fn announced_nothing(&self) -> bool {
        self.version.has_strict_moments() && self.time_follows
    }

    /// Brings an hour of `am` or `pm` to that of the day.
    pub(super) fn settle_afternoon(&mut self) -> Result<(), Refusal> {
        if let Some(afternoon) = self.afternoon {
            match self.hour {
                13.. => return Err(Refusal::Overflow),
                12 if !afternoon => self.hour = 0,
                ..12 if afternoon => self.hour += 12,
                _ => {}
            }
        }
        Ok(())
    }

    /// Checks what only the whole can tell (ValidateDate and the end of DecodeDateTime).
    fn finish(mut self) -> Result<Decoded, Refusal> {
        if self.announced_nothing() {
            return Err(Refusal::Format);
        }
        if self.special.is_none() || !self.version.has_strict_moments() {
            self.settle_date()?;
            self.settle_afternoon()?;
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
}

pub(super) fn unsupported(word: Word) -> Refusal {
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

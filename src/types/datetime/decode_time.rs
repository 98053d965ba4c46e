//! What the fields of a time without a date mean.
//!
//! PostgreSQL's DecodeTimeOnly to the letter (datetime.c): a date may stand before the time, for a zone's sake.

use super::calendar::{Day, SECOND_US};
use super::decode::{
    AFTERNOON, DATE, ERA, Parts, Reader, Refusal, TIME, ZONE, ZoneSaid, unsupported,
};
use super::lex::{Field, Kind};
use super::number::{int_prefix, is_time_of_day, offset};
use super::style::Order;
use super::words::{Word, look_up};
use super::zone::{Found, Zone};
use crate::types::ServerVersion;

/// A time of the day, what was said of the zone, and the date, where one was written.
pub(super) struct Clock {
    /// microseconds, 0 to a whole day
    pub(super) time_us: i64,
    pub(super) zone: ZoneSaid,
    pub(super) day: Option<Day>,
}

/// Reads the fields of a time.
pub(super) fn decode_time(
    fields: &[Field],
    order: Order,
    version: ServerVersion,
) -> Result<Clock, Refusal> {
    let mut reader = Reader::new(order, version);
    for (position, field) in fields.iter().enumerate() {
        let read = match field.kind {
            Kind::Date => reader.date_or_zone_of_time(position, fields)?,
            Kind::Time => reader.clock(&field.text)?,
            Kind::Zone => {
                reader.zone = ZoneSaid::Offset(offset(&field.text)?);
                ZONE
            }
            Kind::Number => reader.number_of_time(position, fields)?,
            Kind::Word => reader.word_of_time(position, fields)?,
        };
        if read & reader.seen != 0 {
            return Err(Refusal::Format);
        }
        reader.seen |= read;
    }
    reader.finish_time()
}

impl Reader {
    fn date_or_zone_of_time(&mut self, at: usize, fields: &[Field]) -> Result<Parts, Refusal> {
        let text = &fields[at].text;
        let kind_of = |field: Option<&Field>| field.map(|field| field.kind);
        if at == 0
            && fields.len() >= 2
            && (kind_of(fields.last()) == Some(Kind::Date)
                || kind_of(fields.get(1)) == Some(Kind::Time))
        {
            return self.date(text);
        }
        if !text.starts_with(|c: char| c.is_ascii_digit()) {
            return self.zone_of_time(text, Refusal::ZoneName);
        }
        if self.seen & TIME == TIME {
            return Err(Refusal::Format);
        }
        let (time, _) = text.split_once('-').ok_or(Refusal::Format)?;
        let zone = text.get(time.len()..).unwrap_or_default();
        self.zone = ZoneSaid::Offset(offset(zone)?);
        Ok(self.run_together(time, self.seen | DATE)? | ZONE)
    }

    fn zone_of_time(&mut self, name: &str, otherwise: Refusal) -> Result<Parts, Refusal> {
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

    fn number_of_time(&mut self, at: usize, fields: &[Field]) -> Result<Parts, Refusal> {
        let text = &fields[at].text;
        if self.time_follows {
            let (_, rest) = int_prefix(text)?;
            if !rest.is_empty() && !rest.starts_with('.') {
                return Err(Refusal::Format);
            }
            self.time_follows = false;
            let read = self.run_together(text, self.seen | DATE)?;
            return (read == TIME).then_some(read).ok_or(Refusal::Format);
        }
        let date_ends = fields.last().is_some_and(|field| field.kind == Kind::Date);
        match text.find('.') {
            Some(_) if at == 0 && fields.len() >= 2 && date_ends => self.date(text),
            Some(mark) if mark > 2 => self.run_together(text, self.seen | DATE),
            Some(_) => Err(Refusal::Format),
            None if text.len() > 4 => self.run_together(text, self.seen | DATE),
            None => self.single(text, false, self.seen | DATE),
        }
    }

    fn word_of_time(&mut self, at: usize, fields: &[Field]) -> Result<Parts, Refusal> {
        let text = &fields[at].text;
        let Some(word) = look_up(text, self.version) else {
            return self.zone_of_time(text, Refusal::Format);
        };
        Ok(match word {
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
                let next = fields.get(at + 1).map(|field| field.kind);
                if !self.may_announce(next) {
                    return Err(Refusal::Format);
                }
                self.time_follows = true;
                0
            }
            Word::MidnightUtc => {
                (self.hour, self.minute, self.second) = (0, 0, 0);
                self.zone = ZoneSaid::Offset(0);
                TIME | ZONE
            }
            Word::Utc => {
                self.zone = ZoneSaid::Offset(0);
                ZONE
            }
            Word::Month(_) | Word::Weekday | Word::Epoch | Word::Infinity | Word::MinusInfinity => {
                return Err(Refusal::Format);
            }
            Word::Clock if text == "now" => return Err(unsupported(word)),
            Word::Clock => return Err(Refusal::Format),
            Word::Label | Word::Abbreviation => return Err(unsupported(word)),
        })
    }

    fn finish_time(mut self) -> Result<Clock, Refusal> {
        if self.announced_nothing() {
            return Err(Refusal::Format);
        }
        self.settle_date()?;
        self.settle_afternoon()?;
        if !is_time_of_day(self.hour, self.minute, self.second, self.microsecond) {
            return Err(Refusal::Overflow);
        }
        if self.seen & TIME != TIME {
            return Err(Refusal::Format);
        }
        // A zone whose offset changes needs the whole date; the session's does not have to be asked where there is none.
        let has_date = self.seen & DATE == DATE;
        let lacks_date = match &self.zone {
            ZoneSaid::Named(zone) => !has_date && zone.fixed().is_none(),
            ZoneSaid::Nothing => !has_date && self.seen & DATE != 0,
            ZoneSaid::Offset(_) => false,
        };
        if lacks_date {
            return Err(Refusal::Format);
        }
        let minutes = self.hour * 60 + self.minute;
        Ok(Clock {
            time_us: (minutes * 60 + self.second) * SECOND_US + self.microsecond,
            zone: self.zone,
            day: has_date.then_some(Day {
                year: self.year,
                month: self.month,
                day: self.day,
            }),
        })
    }
}

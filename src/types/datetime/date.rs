//! The date inside date and time input: which number is the year, which the month, which the day.

use super::calendar::{Day, day_of, days_of, month_length};
use super::decode::{DATE, DAY, DAY_OF_YEAR, MONTH, Parts, Reader, Refusal, TIME, YEAR, ZONE};
use super::number::{atoi, fraction_us, int_prefix};
use super::style::Order;
use super::words::{Word, core_word};

const YEAR_AND_MONTH: Parts = YEAR | MONTH;
const MONTH_AND_DAY: Parts = MONTH | DAY;

impl Reader {
    /// A date of several parts with marks between them (DecodeDate).
    pub(super) fn date(&mut self, text: &str) -> Result<Parts, Refusal> {
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

    /// One number; what it is follows from what is known already (DecodeNumber).
    pub(super) fn single(
        &mut self,
        text: &str,
        month_named: bool,
        seen: Parts,
    ) -> Result<Parts, Refusal> {
        let (value, rest) = int_prefix(text)?;
        if rest.len() == text.len() {
            return Err(Refusal::Format);
        }
        if rest.starts_with('.') {
            if text.len() - rest.len() > 2 {
                return self.run_together(text, seen | DATE);
            }
            self.microsecond = fraction_us(rest, self.version)?;
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
    pub(super) fn run_together(&mut self, text: &str, seen: Parts) -> Result<Parts, Refusal> {
        let is_digit = |c: char| c.is_ascii_digit() || c == '.';
        if self.version.has_strict_digits() && !text.chars().all(is_digit) {
            return Err(Refusal::Format);
        }
        let mut digits = text;
        if let Some(mark) = text.find('.') {
            let (whole, fraction) = text.split_at(mark);
            // DecodeNumberField of 14 takes a lone point too.
            self.microsecond = match fraction {
                "." => 0,
                fraction => fraction_us(fraction, self.version)?,
            };
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

    /// A month's name: a number that was taken for the month becomes the day.
    pub(super) fn named_month(&mut self, month: i64) -> Parts {
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

    /// Brings the year into its era and century, and checks the day (ValidateDate).
    pub(super) fn settle_date(&mut self) -> Result<(), Refusal> {
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
    core_word(word).ok_or(Refusal::Format)
}

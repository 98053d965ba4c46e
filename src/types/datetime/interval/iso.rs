//! ISO 8601's intervals: with designators, `P1Y2M3DT4H5M6S`, and the alternative forms, `P0001-02-03T04:05:06`.
//!
//! PostgreSQL's DecodeISO8601Interval to the letter (datetime.c).

use super::decode::Unit;
use super::sums::Sums;
use crate::types::datetime::decode::Refusal;
use crate::types::float::number_length;

/// A number, taken apart, and how many digits stand before its point.
struct Number {
    whole: i64,
    fraction: f64,
    digits: usize,
}

/// Reads a text that begins with `P`.
pub(super) fn decode<S: Sums>(text: &str) -> Result<S, Refusal> {
    let mut reader = Reader {
        rest: text
            .strip_prefix('P')
            .filter(|rest| !rest.is_empty())
            .ok_or(Refusal::Format)?,
        sum: S::default(),
    };
    let (mut in_date, mut has_field) = (true, false);
    while !reader.rest.is_empty() {
        if let Some(rest) = reader.rest.strip_prefix('T') {
            reader.rest = rest;
            (in_date, has_field) = (false, false);
            continue;
        }
        let number = reader.number()?;
        let mark = reader.mark();
        if in_date {
            match mark {
                Some('Y') => reader.add(Unit::Year, &number)?,
                Some('M') => reader.add(Unit::Month, &number)?,
                Some('W') => reader.add(Unit::Week, &number)?,
                Some('D') => reader.add(Unit::Day, &number)?,
                Some('T' | '-') | None => {
                    reader.date(mark, &number, has_field)?;
                    (in_date, has_field) = (false, false);
                    continue;
                }
                Some(_) => return Err(Refusal::Format),
            }
        } else {
            match mark {
                Some('H') => reader.add(Unit::Hour, &number)?,
                Some('M') => reader.add(Unit::Minute, &number)?,
                Some('S') => reader.add(Unit::Second, &number)?,
                Some(':') | None => {
                    reader.time(mark, &number, has_field)?;
                    return Ok(reader.sum);
                }
                Some(_) => return Err(Refusal::Format),
            }
        }
        has_field = true;
    }
    Ok(reader.sum)
}

struct Reader<'t, S> {
    rest: &'t str,
    sum: S,
}

impl<S: Sums> Reader<'_, S> {
    /// What C's `strtod` reads, taken apart.
    fn number(&mut self) -> Result<Number, Refusal> {
        let text = self.rest;
        if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '.')) {
            return Err(Refusal::Format);
        }
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        if unsigned.starts_with("0x") || unsigned.starts_with("0X") {
            return Err(Refusal::Unsupported(
                "hexadecimal numbers are not read here: write decimal digits",
            ));
        }
        let word = unsigned.get(..3).unwrap_or_default();
        if word.eq_ignore_ascii_case("inf") || word.eq_ignore_ascii_case("nan") {
            return Err(Refusal::Overflow);
        }
        let length = number_length(unsigned).ok_or(Refusal::Format)?;
        let (number, rest) = text.split_at(text.len() - unsigned.len() + length);
        self.rest = rest;
        let value: f64 = number.parse().map_err(|_| Refusal::Format)?;
        let mantissa = number.split(['e', 'E']).next().unwrap_or_default();
        let vanished = value == 0.0 && mantissa.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
        if value.is_infinite() || vanished {
            return Err(Refusal::Format);
        }
        if !S::takes(value) {
            return Err(Refusal::Overflow);
        }
        Ok(Number {
            whole: value.trunc() as i64,
            fraction: value - value.trunc(),
            digits: unsigned.bytes().take_while(u8::is_ascii_digit).count(),
        })
    }

    fn mark(&mut self) -> Option<char> {
        let mark = self.rest.chars().next();
        self.rest = self
            .rest
            .get(mark.map_or(0, char::len_utf8)..)
            .unwrap_or_default();
        mark
    }

    fn add(&mut self, unit: Unit, number: &Number) -> Result<(), Refusal> {
        self.sum
            .add(unit, number.whole, number.fraction)
            .ok_or(Refusal::Overflow)
    }

    /// `yyyymmdd`, `yyyy`, `yyyy-mm`, `yyyy-mm-dd`, up to a `T` or the end.
    fn date(
        &mut self,
        mark: Option<char>,
        number: &Number,
        has_field: bool,
    ) -> Result<(), Refusal> {
        if mark != Some('-') && number.digits == 8 && !has_field {
            let whole = number.whole;
            let parts = [
                (Unit::Year, whole / 10_000, 0.0),
                (Unit::Month, whole / 100 % 100, 0.0),
                (Unit::Day, whole % 100, number.fraction),
            ];
            for (unit, value, fraction) in parts {
                let added = self.sum.add(unit, value, fraction);
                added.ok_or(Refusal::Overflow)?;
            }
            return Ok(());
        }
        if has_field {
            return Err(Refusal::Format);
        }
        self.add(Unit::Year, number)?;
        if mark != Some('-') {
            return Ok(());
        }
        for (unit, is_last) in [(Unit::Month, false), (Unit::Day, true)] {
            let number = self.number()?;
            self.add(unit, &number)?;
            match self.mark() {
                None | Some('T') => return Ok(()),
                Some('-') if !is_last => {}
                Some(_) => return Err(Refusal::Format),
            }
        }
        Ok(())
    }

    /// `hhmmss`, `hh`, `hh:mm`, `hh:mm:ss`, to the end.
    fn time(
        &mut self,
        mark: Option<char>,
        number: &Number,
        has_field: bool,
    ) -> Result<(), Refusal> {
        if mark.is_none() && number.digits == 6 && !has_field {
            let added = self.sum.add_run_together(number.whole, number.fraction);
            return added.ok_or(Refusal::Overflow);
        }
        if has_field {
            return Err(Refusal::Format);
        }
        self.add(Unit::Hour, number)?;
        if mark.is_none() {
            return Ok(());
        }
        for (unit, is_last) in [(Unit::Minute, false), (Unit::Second, true)] {
            let number = self.number()?;
            self.add(unit, &number)?;
            match self.mark() {
                None => return Ok(()),
                Some(':') if !is_last => {}
                Some(_) => return Err(Refusal::Format),
            }
        }
        Ok(())
    }
}

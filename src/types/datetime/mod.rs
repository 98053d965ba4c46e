//! Dates and times. Here date, timestamp and timestamptz: days or microseconds since 2000-01-01, with both infinities.
//!
//! Without a clock: what means "now" is refused. Text follows `DateStyle` and `TimeZone`.

mod calendar;
mod date;
mod decode;
mod decode_time;
mod lex;
mod number;
mod show;
mod style;
mod time;
mod words;
mod zone;

pub(super) mod interval;

pub use interval::IntervalFields;
pub use style::DateStyle;
pub(super) use time::{
    parse_time, parse_timetz, receive_time, receive_timetz, round_time, round_timetz, send_time,
    send_timetz, show_time, show_timetz,
};
pub use zone::SessionZone;

use calendar::{DAY_SECONDS, DAY_US, Day, SECOND_US, UNIX_TO_EPOCH_DAYS, days_of};
use decode::{Decoded, Local, Refusal, ZoneSaid};

use super::{TextSettings, ValueFault, front, nothing_left, stored};
use crate::ident::SqlState;

/// Bytes of PostgreSQL's work buffers for the fields of a text (MAXDATELEN + 1; MAXDATELEN + MAXDATEFIELDS).
const DATE_BUFFER_BYTES: usize = 129;
const TIMESTAMP_BUFFER_BYTES: usize = 153;
/// Years whose days are counted; any other is far out of range (the last date is in 5874897).
const YEARS_COUNTED: std::ops::RangeInclusive<i64> = -4713..=5_874_897;

/// timestamp or timestamptz.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Zoned {
    /// `timestamp`: a zone in the text is read and ignored
    Without,
    /// `timestamptz`
    With,
}

impl Zoned {
    fn name(self) -> &'static str {
        match self {
            Self::Without => "timestamp",
            Self::With => "timestamp with time zone",
        }
    }
}

/// Reads a date.
///
/// # Errors
/// 22007, 22008, 22009, 22023 as PostgreSQL; 0A000 for a form that is not read here.
pub(super) fn parse_date(text: &str, settings: &TextSettings) -> Result<Vec<u8>, ValueFault> {
    let days = match read(text, DATE_BUFFER_BYTES, "date", settings)? {
        Decoded::Infinity => i32::MAX,
        Decoded::MinusInfinity => i32::MIN,
        Decoded::Epoch => date_of(-UNIX_TO_EPOCH_DAYS)?,
        Decoded::Local(local) => date_of(local_days(local.day, "date")?)?,
    };
    Ok(days.to_be_bytes().to_vec())
}

/// Reads a timestamp, full precision.
///
/// # Errors
/// As [`parse_date`].
pub(super) fn parse_timestamp(
    text: &str,
    zoned: Zoned,
    settings: &TextSettings,
) -> Result<Vec<u8>, ValueFault> {
    let moment = match read(text, TIMESTAMP_BUFFER_BYTES, zoned.name(), settings)? {
        Decoded::Infinity => i64::MAX,
        Decoded::MinusInfinity => i64::MIN,
        Decoded::Epoch => -UNIX_TO_EPOCH_DAYS * DAY_US,
        Decoded::Local(local) => moment_of(local, zoned, settings)?,
    };
    Ok(moment.to_be_bytes().to_vec())
}

fn moment_of(local: Local, zoned: Zoned, settings: &TextSettings) -> Result<i64, ValueFault> {
    let days = local_days(local.day, zoned.name())?;
    // At most 2^31 days: 2^31 × 86,400 seconds are far from the end of an i64, microseconds are not.
    let second = days * DAY_SECONDS + local.time_us.div_euclid(SECOND_US);
    let east = match (zoned, local.zone) {
        (Zoned::Without, _) => 0,
        (Zoned::With, ZoneSaid::Offset(seconds)) => seconds,
        (Zoned::With, ZoneSaid::Named(zone)) => zone.offset_of_local(second),
        (Zoned::With, ZoneSaid::Nothing) => settings.time_zone.zone()?.offset_of_local(second),
    };
    (second - east)
        .checked_mul(SECOND_US)
        .and_then(|moment| moment.checked_add(local.time_us.rem_euclid(SECOND_US)))
        .filter(|moment| calendar::is_timestamp(*moment))
        .ok_or_else(|| calendar::out_of_range(zoned.name()))
}

fn read(
    text: &str,
    buffer_bytes: usize,
    type_name: &str,
    settings: &TextSettings,
) -> Result<Decoded, ValueFault> {
    let order = settings.date_style.style()?.order;
    lex::fields(text, buffer_bytes)
        .ok_or(Refusal::Format)
        .and_then(|fields| decode::decode(&fields, order, settings.version))
        .map_err(|refusal| refused(refusal, type_name))
}

fn refused(refusal: Refusal, type_name: &str) -> ValueFault {
    let fault = |sqlstate, message: String| ValueFault::new(sqlstate, message);
    match refusal {
        Refusal::Format => fault(
            SqlState::INVALID_DATETIME_FORMAT,
            format!("invalid input syntax for type {type_name}"),
        ),
        Refusal::Overflow => fault(
            SqlState::DATETIME_FIELD_OVERFLOW,
            format!("date/time field value out of range for type {type_name}"),
        ),
        Refusal::Displacement => fault(
            SqlState::INVALID_TIME_ZONE_DISPLACEMENT,
            "time zone displacement out of range".to_owned(),
        ),
        Refusal::ZoneName => fault(
            SqlState::INVALID_PARAMETER_VALUE,
            "time zone not recognized".to_owned(),
        ),
        Refusal::Unsupported(hint) => fault(SqlState::FEATURE_NOT_SUPPORTED, hint.to_owned()),
    }
}

fn local_days(day: Day, type_name: &str) -> Result<i64, ValueFault> {
    if YEARS_COUNTED.contains(&day.year) {
        Ok(days_of(day))
    } else {
        Err(calendar::out_of_range(type_name))
    }
}

fn date_of(days: i64) -> Result<i32, ValueFault> {
    i32::try_from(days)
        .ok()
        .filter(|_| calendar::is_date(days))
        .ok_or_else(|| calendar::out_of_range("date"))
}

/// Reads date's send format.
///
/// # Errors
/// 22008 out of range, 08P01 and 22P03 for another length.
pub(super) fn receive_date(bytes: &[u8]) -> Result<Vec<u8>, ValueFault> {
    let (front, rest) = front(bytes)?;
    let days = i32::from_be_bytes(front);
    if is_infinite_date(days) || calendar::is_date(days.into()) {
        nothing_left(rest).map(|()| front.to_vec())
    } else {
        Err(calendar::out_of_range("date"))
    }
}

/// Reads the send format of both timestamps.
///
/// # Errors
/// As [`receive_date`].
pub(super) fn receive_timestamp(bytes: &[u8], zoned: Zoned) -> Result<Vec<u8>, ValueFault> {
    let (front, rest) = front(bytes)?;
    let moment = i64::from_be_bytes(front);
    if is_infinite(moment) || calendar::is_timestamp(moment) {
        nothing_left(rest).map(|()| front.to_vec())
    } else {
        Err(calendar::out_of_range(zoned.name()))
    }
}

/// Prints a date.
pub(super) fn show_date(canonical: &[u8], settings: &TextSettings) -> Result<Vec<u8>, ValueFault> {
    let days = stored_date(canonical)?;
    let style = settings.date_style.style()?;
    Ok(match days {
        i32::MAX => "infinity".to_owned(),
        i32::MIN => "-infinity".to_owned(),
        _ => show::date(days.into(), style),
    }
    .into_bytes())
}

/// Prints a timestamp, in the session's zone where it has one.
pub(super) fn show_timestamp(
    canonical: &[u8],
    zoned: Zoned,
    settings: &TextSettings,
) -> Result<Vec<u8>, ValueFault> {
    let moment = stored_timestamp(canonical, zoned)?;
    let style = settings.date_style.style()?;
    if is_infinite(moment) {
        let word = if moment > 0 { "infinity" } else { "-infinity" };
        return Ok(word.as_bytes().to_vec());
    }
    let second = moment.div_euclid(SECOND_US);
    let microsecond = moment.rem_euclid(SECOND_US);
    let text = match zoned {
        Zoned::Without => show::timestamp(second, microsecond, None, style),
        Zoned::With => {
            let (seconds, abbreviation) = settings.time_zone.zone()?.offset_at(second);
            let offset = show::Offset {
                seconds,
                abbreviation,
            };
            show::timestamp(second + seconds, microsecond, Some(offset), style)
        }
    };
    Ok(text.into_bytes())
}

/// Writes date's send format.
pub(super) fn send_date(canonical: &[u8]) -> Result<Vec<u8>, ValueFault> {
    stored_date(canonical).map(|days| days.to_be_bytes().to_vec())
}

/// Writes the send format of both timestamps.
pub(super) fn send_timestamp(canonical: &[u8], zoned: Zoned) -> Result<Vec<u8>, ValueFault> {
    stored_timestamp(canonical, zoned).map(|moment| moment.to_be_bytes().to_vec())
}

/// Rounds to so many digits of the second, half away from 2000-01-01 (timestamp.c, AdjustTimestampForTypmod).
///
/// # Errors
/// 0A000 when that leaves the range, which PostgreSQL allows though it then refuses to receive what it sent.
pub(super) fn round(canonical: &[u8], digits: u8, zoned: Zoned) -> Result<Vec<u8>, ValueFault> {
    let moment = stored_timestamp(canonical, zoned)?;
    let unit = 10_i64.pow(6_u32.saturating_sub(digits.into()));
    if is_infinite(moment) || unit == 1 {
        return Ok(canonical.to_vec());
    }
    let size = (moment.abs() + unit / 2) / unit * unit;
    let rounded = if moment < 0 { -size } else { size };
    if calendar::is_timestamp(rounded) {
        Ok(rounded.to_be_bytes().to_vec())
    } else {
        Err(ValueFault::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!(
                "rounding leaves the range of {}: round the value before sending it",
                zoned.name()
            ),
        ))
    }
}

/// A date as the first moment of its day, as the implicit cast makes it; in the session's zone for timestamptz.
///
/// # Errors
/// 22008 out of range, XX001 when the bytes are no date.
pub(super) fn timestamp_of_date(
    canonical: &[u8],
    zoned: Zoned,
    settings: &TextSettings,
) -> Result<Vec<u8>, ValueFault> {
    let days = stored_date(canonical)?;
    let moment = match days {
        i32::MAX => i64::MAX,
        i32::MIN => i64::MIN,
        _ => in_zone(i64::from(days) * DAY_SECONDS, 0, zoned, settings)?,
    };
    Ok(moment.to_be_bytes().to_vec())
}

/// A timestamp read as local time of the session's zone, as the implicit cast to timestamptz does.
///
/// # Errors
/// As [`timestamp_of_date`].
pub(super) fn with_session_zone(
    canonical: &[u8],
    settings: &TextSettings,
) -> Result<Vec<u8>, ValueFault> {
    let moment = stored_timestamp(canonical, Zoned::Without)?;
    if is_infinite(moment) {
        return Ok(canonical.to_vec());
    }
    let (second, microsecond) = (moment.div_euclid(SECOND_US), moment.rem_euclid(SECOND_US));
    in_zone(second, microsecond, Zoned::With, settings).map(|moment| moment.to_be_bytes().to_vec())
}

fn in_zone(
    second: i64,
    microsecond: i64,
    zoned: Zoned,
    settings: &TextSettings,
) -> Result<i64, ValueFault> {
    let east = match zoned {
        Zoned::Without => 0,
        Zoned::With => settings.time_zone.zone()?.offset_of_local(second),
    };
    (second - east)
        .checked_mul(SECOND_US)
        .and_then(|moment| moment.checked_add(microsecond))
        .filter(|moment| calendar::is_timestamp(*moment))
        .ok_or_else(|| calendar::out_of_range(zoned.name()))
}

fn is_infinite_date(days: i32) -> bool {
    matches!(days, i32::MIN | i32::MAX)
}

fn is_infinite(moment: i64) -> bool {
    matches!(moment, i64::MIN | i64::MAX)
}

fn stored_date(canonical: &[u8]) -> Result<i32, ValueFault> {
    Some(i32::from_be_bytes(stored(canonical, "date")?))
        .filter(|days| is_infinite_date(*days) || calendar::is_date(i64::from(*days)))
        .ok_or_else(|| ValueFault::not_canonical("date"))
}

fn stored_timestamp(canonical: &[u8], zoned: Zoned) -> Result<i64, ValueFault> {
    Some(i64::from_be_bytes(stored(canonical, zoned.name())?))
        .filter(|moment| is_infinite(*moment) || calendar::is_timestamp(*moment))
        .ok_or_else(|| ValueFault::not_canonical(zoned.name()))
}

#[cfg(test)]
mod tests;

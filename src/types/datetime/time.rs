//! time and timetz: microseconds since midnight, and with a zone seconds west of UTC, as PostgreSQL sends it.

use super::calendar::{DAY_US, SECOND_US};
use super::decode_time::{Clock, decode_time};
use super::zone::Zone;
use super::{DATE_BUFFER_BYTES, ZoneSaid, calendar, lex, refused, show};
use crate::ident::SqlState;
use crate::types::{TextSettings, ValueFault, front, nothing_left, stored};

/// Seconds that a zone is less than from UTC, either way (TZDISP_LIMIT).
const ZONE_END_SECONDS: i32 = 16 * 3600;

/// Reads a time; a zone in the text is read and ignored.
///
/// # Errors
/// 22007, 22008, 22009, 22023 as PostgreSQL; 0A000 for a form that is not read here.
pub(in crate::types) fn parse_time(
    text: &str,
    settings: &TextSettings,
) -> Result<Vec<u8>, ValueFault> {
    let clock = read(text, "time", settings)?;
    Ok(clock.time_us.to_be_bytes().to_vec())
}

/// Reads a time with a zone.
///
/// # Errors
/// As [`parse_time`]; 0A000 too where the session's zone had to be asked for today's offset.
pub(in crate::types) fn parse_timetz(
    text: &str,
    settings: &TextSettings,
) -> Result<Vec<u8>, ValueFault> {
    let name = "time with time zone";
    let clock = read(text, name, settings)?;
    let second = |days: i64| days * calendar::DAY_SECONDS + clock.time_us.div_euclid(SECOND_US);
    // A date beyond the calendar counts as one in UTC (datetime.c, DetermineTimeZoneOffset).
    let offset = |zone: &Zone, day| {
        super::local_days(day, name).map_or(0, |days| zone.offset_of_local(second(days)))
    };
    let east = match (&clock.zone, clock.day) {
        (ZoneSaid::Offset(seconds), _) => *seconds,
        (ZoneSaid::Named(zone), Some(day)) => offset(zone, day),
        // One that is the same at every moment: others were refused.
        (ZoneSaid::Named(zone), None) => zone.fixed().unwrap_or(0),
        (ZoneSaid::Nothing, Some(day)) => offset(settings.time_zone.zone()?, day),
        (ZoneSaid::Nothing, None) => {
            let zone = settings.time_zone.zone()?;
            zone.fixed().ok_or_else(|| {
                ValueFault::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    "a time without its zone is not read here, for today decides its offset: write the offset, as in +02",
                )
            })?
        }
    };
    match i32::try_from(-east).ok().filter(|west| is_zone(*west)) {
        Some(west) => Ok(joined(clock.time_us, west)),
        // PostgreSQL takes such a zone by its rule, and does not take back what it sends of it.
        None => Err(ValueFault::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "a zone that is 16 hours or more from UTC is not read here",
        )),
    }
}

fn read(text: &str, type_name: &str, settings: &TextSettings) -> Result<Clock, ValueFault> {
    let order = settings.date_style.style()?.order;
    lex::fields(text, DATE_BUFFER_BYTES)
        .ok_or(super::Refusal::Format)
        .and_then(|fields| decode_time(&fields, order, settings.version))
        .map_err(|refusal| refused(refusal, type_name))
}

fn joined(time_us: i64, west: i32) -> Vec<u8> {
    [&time_us.to_be_bytes()[..], &west.to_be_bytes()].concat()
}

fn is_time(time_us: i64) -> bool {
    (0..=DAY_US).contains(&time_us)
}

/// Reads time's send format.
///
/// # Errors
/// 22008 out of range, 08P01 and 22P03 for another length.
pub(in crate::types) fn receive_time(bytes: &[u8]) -> Result<Vec<u8>, ValueFault> {
    let (time, rest) = front::<8>(bytes)?;
    if !is_time(i64::from_be_bytes(time)) {
        return Err(calendar::out_of_range("time"));
    }
    nothing_left(rest).map(|()| time.to_vec())
}

/// Reads timetz's send format.
///
/// # Errors
/// As [`receive_time`], and 22009 for a zone too far from UTC.
pub(in crate::types) fn receive_timetz(bytes: &[u8]) -> Result<Vec<u8>, ValueFault> {
    let (time, rest) = front::<8>(bytes)?;
    let time = i64::from_be_bytes(time);
    if !is_time(time) {
        return Err(calendar::out_of_range("time"));
    }
    let (west, rest) = front::<4>(rest)?;
    let west = i32::from_be_bytes(west);
    if !is_zone(west) {
        return Err(ValueFault::new(
            SqlState::INVALID_TIME_ZONE_DISPLACEMENT,
            "time zone displacement out of range",
        ));
    }
    nothing_left(rest).map(|()| joined(time, west))
}

fn is_zone(west: i32) -> bool {
    west > -ZONE_END_SECONDS && west < ZONE_END_SECONDS
}

/// Prints a time.
///
/// # Errors
/// XX001 when it is none.
pub(in crate::types) fn show_time(canonical: &[u8]) -> Result<Vec<u8>, ValueFault> {
    stored_time(canonical).map(|time| time_text(time).into_bytes())
}

/// Prints a time with its zone.
///
/// # Errors
/// XX001 when it is none.
pub(in crate::types) fn show_timetz(canonical: &[u8]) -> Result<Vec<u8>, ValueFault> {
    let (time, west) = stored_timetz(canonical)?;
    Ok((time_text(time) + &show::numeric(-i64::from(west))).into_bytes())
}

fn time_text(time_us: i64) -> String {
    show::time(time_us.div_euclid(SECOND_US), time_us.rem_euclid(SECOND_US))
}

/// Writes time's send format.
///
/// # Errors
/// XX001 when it is none.
pub(in crate::types) fn send_time(canonical: &[u8]) -> Result<Vec<u8>, ValueFault> {
    stored_time(canonical).map(|_| canonical.to_vec())
}

/// Writes timetz's send format.
///
/// # Errors
/// XX001 when it is none.
pub(in crate::types) fn send_timetz(canonical: &[u8]) -> Result<Vec<u8>, ValueFault> {
    stored_timetz(canonical).map(|_| canonical.to_vec())
}

/// Rounds to so many digits of the second, half up (date.c, AdjustTimeForTypmod).
///
/// # Errors
/// XX001 when the bytes are no time.
pub(in crate::types) fn round_time(canonical: Vec<u8>, digits: u8) -> Result<Vec<u8>, ValueFault> {
    stored_time(&canonical).map(|time| rounded(time, digits).to_be_bytes().to_vec())
}

/// As [`round_time`], the zone kept.
///
/// # Errors
/// XX001 when the bytes are no time.
pub(in crate::types) fn round_timetz(
    canonical: Vec<u8>,
    digits: u8,
) -> Result<Vec<u8>, ValueFault> {
    stored_timetz(&canonical).map(|(time, west)| joined(rounded(time, digits), west))
}

fn rounded(time_us: i64, digits: u8) -> i64 {
    let unit = 10_i64.pow(6_u32.saturating_sub(digits.into()));
    (time_us + unit / 2) / unit * unit
}

fn stored_time(canonical: &[u8]) -> Result<i64, ValueFault> {
    Some(i64::from_be_bytes(stored(canonical, "time")?))
        .filter(|time| is_time(*time))
        .ok_or_else(|| ValueFault::not_canonical("time"))
}

fn stored_timetz(canonical: &[u8]) -> Result<(i64, i32), ValueFault> {
    let not_canonical = || ValueFault::not_canonical("time with time zone");
    let (time, west) = canonical
        .split_first_chunk::<8>()
        .ok_or_else(not_canonical)?;
    let time = i64::from_be_bytes(*time);
    let west = i32::from_be_bytes(<[u8; 4]>::try_from(west).map_err(|_| not_canonical())?);
    (is_time(time) && is_zone(west))
        .then_some((time, west))
        .ok_or_else(not_canonical)
}

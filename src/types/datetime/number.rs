//! The numbers inside date and time input, read as the C functions read them that PostgreSQL calls.

use super::calendar::{DAY_US, SECOND_US};
use super::decode::Refusal;
use crate::types::ServerVersion;

/// Hours that an offset from UTC may have (MAX_TZDISP_HOUR).
const OFFSET_HOURS_MAX: i64 = 15;

/// Reads an int at the front, as `strtol` does; without digits it is 0 and nothing is consumed.
///
/// # Errors
/// Overflow beyond 32 bits.
pub(super) fn int_prefix(text: &str) -> Result<(i64, &str), Refusal> {
    let (value, rest) = long_prefix(text);
    if i32::try_from(value).is_ok() {
        Ok((value, rest))
    } else {
        Err(Refusal::Overflow)
    }
}

/// Reads a long at the front, as `strtol` does; without digits it is 0 and nothing is consumed.
///
/// # Errors
/// Overflow beyond 64 bits.
pub(super) fn long_prefix_checked(text: &str) -> Result<(i64, &str), Refusal> {
    let (value, rest) = long_prefix(text);
    let digits = text.get(..text.len() - rest.len()).unwrap_or_default();
    // What saturated is no longer what is written.
    if digits.is_empty() || digits.parse() == Ok(value) {
        Ok((value, rest))
    } else {
        Err(Refusal::Overflow)
    }
}

/// Reads an int at the front as glibc's `atoi` does: the low 32 bits of a saturated long.
pub(super) fn atoi(text: &str) -> i64 {
    i64::from(long_prefix(text).0 as i32)
}

fn long_prefix(text: &str) -> (i64, &str) {
    let negative = text.starts_with('-');
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let end = unsigned
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(unsigned.len());
    let (digits, rest) = unsigned.split_at(end);
    if digits.is_empty() {
        return (0, text);
    }
    let value = digits.bytes().fold(0_i64, |value, digit| {
        let digit = i64::from(digit - b'0');
        value
            .saturating_mul(10)
            .saturating_add(if negative { -digit } else { digit })
    });
    (value, rest)
}

/// Microseconds of `.123`, rounded half to even from the double, as `rint` does; `.` alone is none, from 15 on.
///
/// # Errors
/// Format when something follows the digits.
pub(super) fn fraction_us(text: &str, version: ServerVersion) -> Result<i64, Refusal> {
    let digits = text.strip_prefix('.').ok_or(Refusal::Format)?;
    if digits.is_empty() {
        return version
            .reads_a_lone_point()
            .then_some(0)
            .ok_or(Refusal::Format);
    }
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(Refusal::Format);
    }
    let fraction: f64 = text.parse().map_err(|_| Refusal::Format)?;
    // 0 to 1,000,000: the cast is exact.
    Ok((fraction * 1e6).round_ties_even() as i64)
}

/// Whether hour, minute, second and microsecond are a time of a day, 24:00:00 and a second 60 included.
pub(super) fn is_time_of_day(hour: i64, minute: i64, second: i64, microsecond: i64) -> bool {
    (0..=24).contains(&hour)
        && (0..=59).contains(&minute)
        && (0..=60).contains(&second)
        && ((hour * 60 + minute) * 60 + second) * SECOND_US + microsecond <= DAY_US
}

/// Seconds east of UTC from `+hh`, `+hhmm`, `+hh:mm` or `+hh:mm:ss` (DecodeTimezone).
///
/// # Errors
/// Displacement when a part is too large, Format for the rest.
pub(super) fn offset(text: &str) -> Result<i64, Refusal> {
    let part = |text| int_prefix(text).map_err(|_| Refusal::Displacement);
    let unsigned = text.strip_prefix(['+', '-']).ok_or(Refusal::Format)?;
    let (mut hour, mut rest) = part(unsigned)?;
    let mut minute = 0;
    let mut second = 0;
    if let Some(after) = rest.strip_prefix(':') {
        (minute, rest) = part(after)?;
        if let Some(after) = rest.strip_prefix(':') {
            (second, rest) = part(after)?;
        }
    } else if rest.is_empty() && text.len() > 3 {
        (hour, minute) = (hour / 100, hour % 100);
    }
    if !(0..=OFFSET_HOURS_MAX).contains(&hour)
        || !(0..60).contains(&minute)
        || !(0..60).contains(&second)
    {
        return Err(Refusal::Displacement);
    }
    if !rest.is_empty() {
        return Err(Refusal::Format);
    }
    let seconds = (hour * 60 + minute) * 60 + second;
    Ok(if text.starts_with('-') {
        -seconds
    } else {
        seconds
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets() {
        assert_eq!(offset("+02"), Ok(7200));
        assert_eq!(offset("-0330"), Ok(-12_600));
        assert_eq!(offset("+5:45"), Ok(20_700));
        assert_eq!(offset("-00:00:30"), Ok(-30));
        assert_eq!(offset("+16"), Err(Refusal::Displacement));
        assert_eq!(offset("+99999999999"), Err(Refusal::Displacement));
        assert_eq!(offset("+05x"), Err(Refusal::Format));
        assert_eq!(offset("05"), Err(Refusal::Format));
    }

    #[test]
    fn fractions_and_integers() {
        let of = |major: u32| ServerVersion::numbered(major * 10_000);
        assert_eq!(fraction_us(".123456", of(15)), Ok(123_456));
        assert_eq!(fraction_us(".9999999", of(14)), Ok(1_000_000));
        assert_eq!(fraction_us(".", of(15)), Ok(0));
        assert_eq!(fraction_us(".", of(14)), Err(Refusal::Format));
        assert_eq!(fraction_us(".1.2", of(15)), Err(Refusal::Format));
        assert_eq!(int_prefix("2147483648"), Err(Refusal::Overflow));
        assert_eq!(int_prefix("x"), Ok((0, "x")));
        assert_eq!(atoi("4294967297"), 1);
        assert_eq!(atoi("99999999999999999999"), -1);
    }
}

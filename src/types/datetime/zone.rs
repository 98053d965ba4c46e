//! Time zones: names and POSIX rules to offsets, from the tz database that is compiled in.
//!
//! The server reads its own tz database; where the two are of different releases they can differ for the
//! moments that a release changed. It knows nothing of abbreviations such as `EST`, which a server setting defines.

use std::sync::LazyLock;

use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};

use super::calendar::{CYCLE_DAYS, DAY_SECONDS, Day, UNIX_TO_EPOCH_DAYS, day_of};
use crate::ident::SqlState;
use crate::types::ValueFault;

static DATABASE: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// The last second, counted from 1970, whose offset the database is asked for; later ones are moved back by whole
/// cycles of 400 years, after which every rule repeats. 9999-01-01, a year within jiff's range.
const ASKED_SECOND_MAX: i64 = 253_370_764_800;
/// Seconds of 400 years.
const CYCLE_SECONDS: i64 = CYCLE_DAYS * DAY_SECONDS;

/// A time zone.
#[derive(Clone)]
pub(super) struct Zone(TimeZone);

/// What a name can turn out to be.
pub(super) enum Found {
    /// A zone.
    Zone(Zone),
    /// Perhaps a zone for PostgreSQL, but not here.
    Unknown,
    /// No zone for PostgreSQL either.
    Nothing,
}

impl Zone {
    /// The session's zone, as `TimeZone` is reported.
    ///
    /// # Errors
    /// 0A000 when the compiled-in database does not have it.
    pub(super) fn of_session(setting: &str) -> Result<Self, ValueFault> {
        match Self::find(setting) {
            Found::Zone(zone) => Ok(zone),
            Found::Unknown | Found::Nothing => Err(ValueFault::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "the session's TimeZone is not known here: set a name of the tz database, or UTC",
            )),
        }
    }

    /// Looks a name up in any case, then reads it as a POSIX rule (offsets count west, as in `<-03>3`).
    pub(super) fn find(name: &str) -> Found {
        if name.eq_ignore_ascii_case("utc") {
            return Found::Zone(Self(TimeZone::UTC));
        }
        if let Ok(zone) = DATABASE.get(name) {
            return Found::Zone(Self(zone));
        }
        if !may_be_rule(name) {
            return Found::Nothing;
        }
        match TimeZone::posix(&name.to_ascii_uppercase()) {
            Ok(zone) => Found::Zone(Self(zone)),
            Err(_) => Found::Unknown,
        }
    }

    /// Seconds east of UTC, and the abbreviation, at a moment in seconds since 2000-01-01 UTC.
    pub(super) fn offset_at(&self, second: i64) -> (i64, String) {
        let unix = within_cycles(second.saturating_add(UNIX_TO_EPOCH_DAYS * DAY_SECONDS));
        match jiff::Timestamp::from_second(unix) {
            Ok(moment) => {
                let info = self.0.to_offset_info(moment);
                let offset = i64::from(info.offset().seconds());
                (offset, info.abbreviation().to_owned())
            }
            Err(_) => (0, "UTC".to_owned()),
        }
    }

    /// Seconds east of UTC at a local time in seconds since 2000-01-01, local.
    ///
    /// A time that a clock skipped is read as before the change; one that it showed twice as after it
    /// (datetime.c, DetermineTimeZoneOffset).
    pub(super) fn offset_of_local(&self, second: i64) -> i64 {
        let shift = UNIX_TO_EPOCH_DAYS * DAY_SECONDS;
        let second = within_cycles(second.saturating_add(shift)) - shift;
        let Some(local) = civil(second) else {
            return 0;
        };
        let offset = match self.0.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset,
            AmbiguousOffset::Gap { before, .. } => before,
            AmbiguousOffset::Fold { after, .. } => after,
        };
        i64::from(offset.seconds())
    }
}

/// Whether PostgreSQL's reader of POSIX rules would get as far as an offset: a name, then a digit.
fn may_be_rule(name: &str) -> bool {
    if name.starts_with("posix/") || name.starts_with("right/") {
        return true;
    }
    let after = match name.strip_prefix('<') {
        Some(rest) => rest.split_once('>').map(|(_, after)| after),
        None => Some(name.trim_start_matches(|c: char| !(c.is_ascii_digit() || "+-,".contains(c))))
            .filter(|after| after.len() < name.len()),
    };
    after.is_some_and(|after| {
        after
            .trim_start_matches(['+', '-'])
            .starts_with(|c: char| c.is_ascii_digit())
    })
}

fn within_cycles(unix: i64) -> i64 {
    let over = unix.saturating_sub(ASKED_SECOND_MAX).max(0);
    let cycles = (over + CYCLE_SECONDS - 1) / CYCLE_SECONDS;
    unix - cycles * CYCLE_SECONDS
}

/// A local time in jiff's words; None outside its years.
fn civil(second: i64) -> Option<jiff::civil::DateTime> {
    let Day { year, month, day } = day_of(second.div_euclid(DAY_SECONDS));
    let time = second.rem_euclid(DAY_SECONDS);
    jiff::civil::DateTime::new(
        i16::try_from(year).ok()?,
        i8::try_from(month).ok()?,
        i8::try_from(day).ok()?,
        i8::try_from(time / 3600).ok()?,
        i8::try_from(time / 60 % 60).ok()?,
        i8::try_from(time % 60).ok()?,
        0,
    )
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> Zone {
        match Zone::find(name) {
            Found::Zone(zone) => zone,
            Found::Unknown | Found::Nothing => panic!("{name}"),
        }
    }

    #[test]
    fn skipped_and_repeated_times_are_read_as_postgresql_does() {
        let berlin = zone("europe/BERLIN");
        let days = |year, month, day| super::super::calendar::days_of(Day { year, month, day });
        let at = |days: i64, hour: i64| days * DAY_SECONDS + hour * 3600 + 1800;
        assert_eq!(berlin.offset_of_local(at(days(2024, 3, 31), 2)), 3600);
        assert_eq!(berlin.offset_of_local(at(days(2024, 10, 27), 2)), 3600);
        assert_eq!(berlin.offset_of_local(at(days(2024, 7, 1), 2)), 7200);
        assert_eq!(berlin.offset_of_local(at(days(12_024, 7, 1), 2)), 7200);
        assert_eq!(
            berlin.offset_at(at(days(2024, 7, 1), 2)),
            (7200, "CEST".to_owned())
        );
    }

    #[test]
    fn posix_offsets_count_west() {
        assert_eq!(zone("<-03>3").offset_at(0), (-10_800, "-03".to_owned()));
        assert_eq!(zone("<+05>-5").offset_at(0), (18_000, "+05".to_owned()));
        assert!(matches!(Zone::find("nowhere"), Found::Nothing));
        assert!(matches!(Zone::find("Mars/Olympus"), Found::Nothing));
        assert!(matches!(Zone::find("x9"), Found::Unknown | Found::Zone(_)));
    }
}

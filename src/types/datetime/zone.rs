//! Time zones: names and POSIX rules to offsets, from the tz database that is compiled in.
//!
//! The server reads its own tz database; where the two are of different releases they can differ for the
//! moments that a release changed. It knows nothing of abbreviations such as `EST`, which a server setting defines.

use std::fmt;
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

/// Hours that a POSIX rule may be from UTC (localtime.c: a week, less one).
const RULE_HOURS_MAX: i64 = 167;

/// A time zone.
#[derive(Clone)]
pub(super) enum Zone {
    /// One of the database, or a POSIX rule with summer time.
    Rules(TimeZone),
    /// A POSIX rule without summer time.
    Fixed {
        /// seconds east of UTC
        seconds: i64,
        abbreviation: String,
    },
}

/// `TimeZone` as the server reports it, for example `Europe/Berlin`: looked up once, and not for every value.
#[derive(Clone)]
pub struct SessionZone {
    setting: Box<str>,
    /// None where the compiled-in database does not have it
    zone: Option<Zone>,
}

impl SessionZone {
    /// The setting of that text.
    pub fn of(setting: &str) -> Self {
        let zone = match Zone::find(setting) {
            Found::Zone(zone) => Some(zone),
            Found::Unknown | Found::Nothing => None,
        };
        Self {
            setting: setting.into(),
            zone,
        }
    }

    /// The zone it names.
    ///
    /// # Errors
    /// 0A000 when the compiled-in database does not have it.
    pub(super) fn zone(&self) -> Result<&Zone, ValueFault> {
        self.zone.as_ref().ok_or_else(|| {
            ValueFault::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "the session's TimeZone is not known here: set a name of the tz database, or UTC",
            )
        })
    }
}

impl PartialEq for SessionZone {
    fn eq(&self, other: &Self) -> bool {
        self.setting == other.setting
    }
}

impl Eq for SessionZone {}

impl fmt::Debug for SessionZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionZone({})", self.setting)
    }
}

impl fmt::Display for SessionZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.setting)
    }
}

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
    /// Looks a name up in any case, then reads it as a POSIX rule (offsets count west, as in `<-03>3`).
    pub(super) fn find(name: &str) -> Found {
        if name.eq_ignore_ascii_case("utc") {
            return Found::Zone(Self::Rules(TimeZone::UTC));
        }
        if let Ok(zone) = DATABASE.get(name) {
            return Found::Zone(Self::Rules(zone));
        }
        if name.starts_with("posix/") || name.starts_with("right/") {
            return Found::Unknown;
        }
        let name = name.to_ascii_uppercase();
        match rule(&name) {
            None => Found::Nothing,
            Some((abbreviation, west, "")) => Found::Zone(Self::Fixed {
                seconds: -west,
                abbreviation: abbreviation.to_owned(),
            }),
            Some((_, _, summer)) if !may_be_summer(summer) => Found::Nothing,
            Some(_) => {
                TimeZone::posix(&name).map_or(Found::Unknown, |zone| Found::Zone(Self::Rules(zone)))
            }
        }
    }

    /// Seconds east of UTC, where they were and will be the same at every moment.
    pub(super) fn fixed(&self) -> Option<i64> {
        let rules = match self {
            Self::Rules(rules) => rules,
            Self::Fixed { seconds, .. } => return Some(*seconds),
        };
        let first = rules.to_offset(jiff::Timestamp::MIN);
        let last = jiff::Timestamp::from_second(ASKED_SECOND_MAX).ok()?;
        // The latest transition of a zone with summer time is enough to tell; the others have a few hundred at most.
        let mut transitions = rules.preceding(last);
        transitions
            .all(|transition| transition.offset() == first)
            .then(|| i64::from(first.seconds()))
    }

    /// Seconds east of UTC, and the abbreviation, at a moment in seconds since 2000-01-01 UTC.
    pub(super) fn offset_at(&self, second: i64) -> (i64, String) {
        let rules = match self {
            Self::Rules(rules) => rules,
            Self::Fixed {
                seconds,
                abbreviation,
            } => return (*seconds, abbreviation.clone()),
        };
        let unix = within_cycles(second.saturating_add(UNIX_TO_EPOCH_DAYS * DAY_SECONDS));
        match jiff::Timestamp::from_second(unix) {
            Ok(moment) => {
                let info = rules.to_offset_info(moment);
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
        let rules = match self {
            Self::Rules(rules) => rules,
            Self::Fixed { seconds, .. } => return *seconds,
        };
        let shift = UNIX_TO_EPOCH_DAYS * DAY_SECONDS;
        let second = within_cycles(second.saturating_add(shift)) - shift;
        let Some(local) = civil(second) else {
            return 0;
        };
        let offset = match rules.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset,
            AmbiguousOffset::Gap { before, .. } => before,
            AmbiguousOffset::Fold { after, .. } => after,
        };
        i64::from(offset.seconds())
    }
}

/// Reads the start of a POSIX rule: the abbreviation, seconds west of UTC, and what follows (localtime.c, tzparse).
fn rule(name: &str) -> Option<(&str, i64, &str)> {
    let (abbreviation, rest) = abbreviation(name)?;
    let (west, rest) = offset(rest)?;
    Some((abbreviation, west, rest))
}

/// Whether the rest of a rule can be summer time: a name, perhaps an offset, perhaps when it begins and ends.
fn may_be_summer(text: &str) -> bool {
    let Some((_, rest)) = abbreviation(text) else {
        return false;
    };
    let rest = if rest.is_empty() || rest.starts_with(',') {
        Some(rest)
    } else {
        offset(rest).map(|(_, rest)| rest)
    };
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(','))
}

/// Reads an abbreviation, in angle brackets or up to what cannot be part of one.
fn abbreviation(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = match text.strip_prefix('<') {
        Some(quoted) => quoted.split_once('>')?,
        None => text.split_at(text.find(ends_a_name).unwrap_or(text.len())),
    };
    (!name.is_empty()).then_some((name, rest))
}

/// Reads `h`, `h:mm` or `h:mm:ss` with a sign or without, in seconds.
fn offset(text: &str) -> Option<(i64, &str)> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (hours, mut rest) = part(unsigned, RULE_HOURS_MAX)?;
    let mut seconds = hours * 3600;
    if let Some(after) = rest.strip_prefix(':') {
        let (minutes, after) = part(after, 59)?;
        seconds += minutes * 60;
        rest = after;
        if let Some(after) = rest.strip_prefix(':') {
            let (more, after) = part(after, 60)?;
            seconds += more;
            rest = after;
        }
    }
    let west = if text.starts_with('-') {
        -seconds
    } else {
        seconds
    };
    Some((west, rest))
}

fn ends_a_name(character: char) -> bool {
    character.is_ascii_digit() || matches!(character, '+' | '-' | ',')
}

/// Reads digits up to a limit.
fn part(text: &str, most: i64) -> Option<(i64, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let value = digits.parse().ok().filter(|value| *value <= most)?;
    Some((value, rest))
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
        assert_eq!(zone("utc+3:30").offset_at(0), (-12_600, "UTC".to_owned()));
        assert!(matches!(Zone::find("x168"), Found::Nothing));
        assert!(matches!(Zone::find("x-+2"), Found::Nothing));
        assert!(matches!(Zone::find("x2-3"), Found::Nothing));
        assert!(matches!(Zone::find("x2y"), Found::Unknown));
    }
}

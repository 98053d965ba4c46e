//! interval: microseconds, days and months, as PostgreSQL sends them.
//!
//! Text follows `IntervalStyle`; what a number without a unit is follows the fields of the type (timestamp.c, interval_in,
//! AdjustIntervalForTypmod). An infinity, which 17 has and no version before it, is all three parts at one end of their
//! range, as `interval_send` of 17 writes it: longer, or shorter, than any other, and equal to none. To a version before
//! 17 those parts are a number; there they are refused either way.

mod decode;
mod fields;
mod iso;
mod seconds;
mod show;
mod sums;

pub use fields::IntervalFields;

use decode::Decoded;
use seconds::Seconds;
use sums::{Microseconds, Sums};

use super::decode::Refusal;
use super::{calendar, lex, refused};
use crate::ident::SqlState;
use crate::types::{IntervalStyle, ServerVersion, TextSettings, ValueFault, exact, stored};

/// Bytes of PostgreSQL's work buffer for the fields of a text.
const BUFFER_BYTES: usize = 256;
/// Months of a year.
const YEAR_MONTHS: i64 = 12;

/// Reads an interval.
///
/// # Errors
/// 22007 for what is none, 22015 for a field out of range, 22008 for more months than fit.
pub(in crate::types) fn parse(
    text: &str,
    fields: IntervalFields,
    settings: &TextSettings,
) -> Result<Vec<u8>, ValueFault> {
    if settings.version.adds_intervals_in_microseconds() {
        parse_with::<Microseconds>(text, fields, settings)
    } else {
        parse_with::<Seconds>(text, fields, settings)
    }
}

fn parse_with<S: Sums>(
    text: &str,
    fields: IntervalFields,
    settings: &TextSettings,
) -> Result<Vec<u8>, ValueFault> {
    let (style, version) = (known(settings)?, settings.version);
    let decoded: Decoded<S> = lex::fields(text, BUFFER_BYTES)
        .ok_or(Refusal::Format)
        .and_then(|read| decode::decode(&read, fields, style, version))
        .or_else(|refusal| match refusal {
            Refusal::Format => iso::decode(text).map(Decoded::Sum),
            other => Err(other),
        })
        .map_err(|refusal| match refusal {
            Refusal::Overflow => ValueFault::new(
                SqlState::INTERVAL_FIELD_OVERFLOW,
                "interval field value out of range",
            ),
            other => refused(other, "interval"),
        })?;
    match decoded {
        Decoded::Infinity => Ok(Parts::INFINITY),
        Decoded::MinusInfinity => Ok(Parts::MINUS_INFINITY),
        Decoded::Sum(sum) => sum.parts()?.known_to(version),
    }
    .map(Parts::canonical)
}

/// Reads an interval's binary form.
///
/// # Errors
/// 08P01 and 22P03 for another length, 0A000 for an infinite one under a version that has none.
pub(in crate::types) fn receive(
    bytes: &[u8],
    version: ServerVersion,
) -> Result<Vec<u8>, ValueFault> {
    let bytes = exact::<16>(bytes)?;
    Parts::read(&bytes)?.known_to(version).map(Parts::canonical)
}

/// Writes an interval's binary form.
///
/// # Errors
/// XX001 when it is none, 0A000 for an infinite one under a version that has none.
pub(in crate::types) fn send(
    canonical: &[u8],
    version: ServerVersion,
) -> Result<Vec<u8>, ValueFault> {
    Parts::read(canonical)?
        .known_to(version)
        .map(Parts::canonical)
}

fn known(settings: &TextSettings) -> Result<IntervalStyle, ValueFault> {
    match settings.interval_style {
        IntervalStyle::Unknown => Err(ValueFault::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "the session's IntervalStyle is not known here",
        )),
        style => Ok(style),
    }
}

/// What an interval is.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Parts {
    time_us: i64,
    days: i32,
    months: i32,
}

impl Parts {
    const INFINITY: Self = Self {
        time_us: i64::MAX,
        days: i32::MAX,
        months: i32::MAX,
    };
    const MINUS_INFINITY: Self = Self {
        time_us: i64::MIN,
        days: i32::MIN,
        months: i32::MIN,
    };

    fn read(canonical: &[u8]) -> Result<Self, ValueFault> {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = stored::<16>(canonical, "interval")?;
        Ok(Self {
            time_us: i64::from_be_bytes([a, b, c, d, e, f, g, h]),
            days: i32::from_be_bytes([i, j, k, l]),
            months: i32::from_be_bytes([m, n, o, p]),
        })
    }

    /// Whether all three parts stand at one end of their range.
    fn is_infinite(self) -> bool {
        self == Self::INFINITY || self == Self::MINUS_INFINITY
    }

    /// The same, where the version prints it as what it is.
    fn known_to(self, version: ServerVersion) -> Result<Self, ValueFault> {
        if self.is_infinite() && !version.has_infinite_intervals() {
            return Err(ValueFault::unknown_to_version("an infinite interval"));
        }
        Ok(self)
    }

    fn canonical(self) -> Vec<u8> {
        let (time, days, months) = (
            self.time_us.to_be_bytes(),
            self.days.to_be_bytes(),
            self.months.to_be_bytes(),
        );
        [&time[..], &days, &months].concat()
    }
}

/// Cuts what is finer than the last field, and rounds the seconds; an infinity stays one.
///
/// # Errors
/// Where rounding leaves the range 22008, and 0A000 under a version that does not notice.
pub(in crate::types) fn coerce(
    canonical: Vec<u8>,
    fields: IntervalFields,
    version: ServerVersion,
) -> Result<Vec<u8>, ValueFault> {
    let parts = Parts::read(&canonical)?;
    if parts.is_infinite() {
        return Ok(canonical);
    }
    fields.apply(parts).map(Parts::canonical).ok_or_else(|| {
        if version.has_infinite_intervals() {
            return calendar::out_of_range("interval");
        }
        ValueFault::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "rounding leaves the range of interval: round the value before sending it",
        )
    })
}

/// Prints an interval.
///
/// # Errors
/// XX001 when it is none, 0A000 for an infinite one under a version that has none.
pub(in crate::types) fn show(
    canonical: &[u8],
    settings: &TextSettings,
) -> Result<Vec<u8>, ValueFault> {
    let style = known(settings)?;
    let parts = Parts::read(canonical)?.known_to(settings.version)?;
    if !settings.version.adds_intervals_in_microseconds() {
        seconds::printed(parts, style)?;
    }
    Ok(match parts {
        Parts::INFINITY => "infinity".to_owned(),
        Parts::MINUS_INFINITY => "-infinity".to_owned(),
        parts => show::text(parts, style),
    }
    .into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, style: IntervalStyle) -> String {
        let settings = TextSettings {
            interval_style: style,
            ..TextSettings::default()
        };
        parse(text, IntervalFields::ALL, &settings)
            .and_then(|bytes| show(&bytes, &settings))
            .map_or_else(
                |fault| fault.sqlstate.0.to_owned(),
                |text| String::from_utf8_lossy(&text).into_owned(),
            )
    }

    #[test]
    fn every_style_prints_as_postgresql_does() {
        let text = "1 year 2 months -3 days 04:05:06.7";
        for (style, expected) in [
            (IntervalStyle::Postgres, "1 year 2 mons -3 days +04:05:06.7"),
            (
                IntervalStyle::PostgresVerbose,
                "@ 1 year 2 mons -3 days 4 hours 5 mins 6.7 secs",
            ),
            (IntervalStyle::SqlStandard, "+1-2 -3 +4:05:06.7"),
            (IntervalStyle::Iso8601, "P1Y2M-3DT4H5M6.7S"),
            (IntervalStyle::Unknown, "0A000"),
        ] {
            assert_eq!(shown(text, style), expected);
        }
        for (text, expected) in [
            ("0", "00:00:00"),
            ("1", "00:00:01"),
            ("1.5 years", "1 year 6 mons"),
            ("2 weeks ago", "-14 days"),
            ("1-2", "1 year 2 mons"),
            ("P1Y2M3DT4H5M6S", "1 year 2 mons 3 days 04:05:06"),
            ("-1 1:00:00", "-1 days +01:00:00"),
            ("", "22007"),
            ("1 parsec", "22007"),
            ("9999999999999 days", "22015"),
            ("178956971 years", "22008"),
        ] {
            assert_eq!(shown(text, IntervalStyle::Postgres), expected, "{text}");
        }
        assert_eq!(
            shown("-1 1:00:00", IntervalStyle::SqlStandard),
            "-1 1:00:00"
        );
    }

    fn under(major: u32, style: IntervalStyle) -> TextSettings {
        TextSettings {
            version: ServerVersion::numbered(major * 10_000),
            interval_style: style,
            ..TextSettings::default()
        }
    }

    #[test]
    fn an_infinity_is_read_and_shown_only_where_the_version_has_it() {
        let ends = |time: i64, days: i32, months: i32| {
            let (time, days, months) =
                (time.to_be_bytes(), days.to_be_bytes(), months.to_be_bytes());
            [&time[..], &days, &months].concat()
        };
        let refused = Err(SqlState::FEATURE_NOT_SUPPORTED);
        for (text, canonical) in [
            ("infinity", ends(i64::MAX, i32::MAX, i32::MAX)),
            ("-infinity", ends(i64::MIN, i32::MIN, i32::MIN)),
        ] {
            for style in [
                IntervalStyle::Postgres,
                IntervalStyle::PostgresVerbose,
                IntervalStyle::SqlStandard,
                IntervalStyle::Iso8601,
            ] {
                let settings = under(17, style);
                let read = parse(text, IntervalFields::ALL, &settings);
                assert_eq!(read.as_ref(), Ok(&canonical));
                assert_eq!(show(&canonical, &settings), Ok(text.as_bytes().to_vec()));
                let shown = show(&canonical, &under(16, style));
                assert_eq!(shown.map_err(|fault| fault.sqlstate), refused);
            }
            let fields = IntervalFields::of_typmod((1 << 18) | 0xffff).expect("a modifier");
            for major in [16, 17] {
                let version = under(major, IntervalStyle::Postgres).version;
                let kept = coerce(canonical.clone(), fields, version);
                assert_eq!(kept.as_ref(), Ok(&canonical));
                let (received, sent) = (receive(&canonical, version), send(&canonical, version));
                assert_eq!(received, sent);
                let same = if major == 17 {
                    Ok(canonical.clone())
                } else {
                    refused.clone()
                };
                assert_eq!(sent.map_err(|fault| fault.sqlstate), same);
            }
        }
        let version = ServerVersion::default();
        assert!(receive(&ends(i64::MAX, i32::MAX, i32::MAX - 1), version).is_ok());
        assert!(receive(&ends(i64::MAX, i32::MIN, i32::MAX), version).is_ok());
        let largest = "178956970 years 7 mons 2147483647 days 2562047788:00:54.775807";
        let read = parse(
            largest,
            IntervalFields::ALL,
            &under(16, IntervalStyle::Postgres),
        );
        assert_eq!(read.map_err(|fault| fault.sqlstate), refused);
    }

    #[test]
    fn each_version_adds_up_and_orders_as_it_does() {
        for (major, text, expected) in [
            (14, "1.05 years", "1 year"),
            (15, "1.05 years", "1 year 1 mon"),
            (14, "1.5 us", "00:00:00.000002"),
            (15, "1.5 us", "00:00:00.000001"),
            (14, "1.", "22007"),
            (15, "1.", "00:00:01"),
            (14, "2147483647 weeks", "0A000"),
            (15, "2147483647 weeks", "22015"),
            (14, "PT2147483648S", "22015"),
            (16, "day 1", "00:00:01"),
            (17, "day 1", "22007"),
            (16, "ago 1 day", "-1 days"),
            (17, "ago 1 day", "22007"),
            (16, "infinity", "22007"),
            (17, "infinity ago", "22007"),
            (17, "at 1 day", "1 day"),
        ] {
            let settings = under(major, IntervalStyle::Postgres);
            let shown = parse(text, IntervalFields::ALL, &settings)
                .and_then(|bytes| show(&bytes, &settings))
                .map_or_else(
                    |fault| fault.sqlstate.0.to_owned(),
                    |text| String::from_utf8_lossy(&text).into_owned(),
                );
            assert_eq!(shown, expected, "{major}: {text}");
        }
    }

    #[test]
    fn fields_cut_and_precision_rounds() {
        let fields = |typmod| IntervalFields::of_typmod(typmod).expect("a modifier");
        let settings = TextSettings::default();
        for (typmod, text, expected) in [
            ((1 << 26) | 0xffff, "1:59:59", "01:00:00"),
            ((1 << 26) | 0xffff, "5", "05:00:00"),
            ((1 << 18) | 0xffff, "1 year 11 months", "1 year"),
            ((0x7fff << 16) | 1, "1.25", "00:00:01.3"),
        ] {
            let read = parse(text, fields(typmod), &settings).expect("an interval");
            let cut = coerce(read, fields(typmod), settings.version).expect("in range");
            assert_eq!(show(&cut, &settings), Ok(expected.as_bytes().to_vec()));
            assert_eq!(fields(typmod).typmod(), typmod);
        }
    }
}

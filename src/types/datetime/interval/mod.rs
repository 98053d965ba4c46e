//! interval: microseconds, days and months, as PostgreSQL sends them.
//!
//! Text follows `IntervalStyle`; what a number without a unit is follows the fields of the type. As PostgreSQL 15 has
//! it (timestamp.c, interval_in, AdjustIntervalForTypmod).

mod decode;
mod fields;
mod iso;
mod show;

pub use fields::IntervalFields;

use super::decode::Refusal;
use super::{lex, refused};
use crate::ident::SqlState;
use crate::types::{IntervalStyle, TextSettings, ValueFault, exact, stored};

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
    let style = known(settings)?;
    let span = lex::fields(text, BUFFER_BYTES)
        .ok_or(Refusal::Format)
        .and_then(|read| decode::decode(&read, fields, style))
        .or_else(|refusal| match refusal {
            Refusal::Format => iso::decode(text),
            other => Err(other),
        })
        .map_err(|refusal| match refusal {
            Refusal::Overflow => ValueFault::new(
                SqlState::INTERVAL_FIELD_OVERFLOW,
                "interval field value out of range",
            ),
            other => refused(other, "interval"),
        })?;
    let months = i64::from(span.years) * YEAR_MONTHS + i64::from(span.months);
    let months = i32::try_from(months).map_err(|_| super::calendar::out_of_range("interval"))?;
    let parts = Parts {
        time_us: span.time_us,
        days: span.days,
        months,
    };
    parts.finite().map(Parts::canonical)
}

/// Reads an interval's binary form.
///
/// # Errors
/// 08P01 and 22P03 for another length, 0A000 for an infinite one.
pub(in crate::types) fn receive(bytes: &[u8]) -> Result<Vec<u8>, ValueFault> {
    let bytes = exact::<16>(bytes)?;
    Parts::read(&bytes)?.finite().map(Parts::canonical)
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
#[derive(Clone, Copy)]
struct Parts {
    time_us: i64,
    days: i32,
    months: i32,
}

impl Parts {
    fn read(canonical: &[u8]) -> Result<Self, ValueFault> {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = stored::<16>(canonical, "interval")?;
        Ok(Self {
            time_us: i64::from_be_bytes([a, b, c, d, e, f, g, h]),
            days: i32::from_be_bytes([i, j, k, l]),
            months: i32::from_be_bytes([m, n, o, p]),
        })
    }

    /// Not with all three parts at one end of their range: PostgreSQL 17 calls that infinite and prints it so, and 15
    /// and 16 print a number.
    fn finite(self) -> Result<Self, ValueFault> {
        match (self.time_us, self.days, self.months) {
            (i64::MAX, i32::MAX, i32::MAX) | (i64::MIN, i32::MIN, i32::MIN) => {
                Err(ValueFault::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    "an infinite interval is not supported in a treated column",
                ))
            }
            _ => Ok(self),
        }
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

/// Cuts what is finer than the last field, and rounds the seconds.
///
/// # Errors
/// 0A000 where rounding leaves the range, which PostgreSQL 15 does not notice.
pub(in crate::types) fn coerce(
    canonical: Vec<u8>,
    fields: IntervalFields,
) -> Result<Vec<u8>, ValueFault> {
    let parts = Parts::read(&canonical)?;
    fields.apply(parts).map(Parts::canonical).ok_or_else(|| {
        ValueFault::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "rounding leaves the range of interval: round the value before sending it",
        )
    })
}

/// Prints an interval.
///
/// # Errors
/// XX001 when it is none.
pub(in crate::types) fn show(
    canonical: &[u8],
    settings: &TextSettings,
) -> Result<Vec<u8>, ValueFault> {
    let parts = Parts::read(canonical)?;
    Ok(show::text(parts, known(settings)?).into_bytes())
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

    #[test]
    fn what_is_infinite_to_some_versions_is_refused() {
        let ends = |time: i64, days: i32, months: i32| {
            let (time, days, months) =
                (time.to_be_bytes(), days.to_be_bytes(), months.to_be_bytes());
            receive(&[&time[..], &days, &months].concat()).map_err(|fault| fault.sqlstate)
        };
        let refused = Err(SqlState::FEATURE_NOT_SUPPORTED);
        assert_eq!(ends(i64::MAX, i32::MAX, i32::MAX), refused);
        assert_eq!(ends(i64::MIN, i32::MIN, i32::MIN), refused);
        assert!(ends(i64::MAX, i32::MAX, i32::MAX - 1).is_ok());
        assert!(ends(i64::MAX, i32::MIN, i32::MAX).is_ok());
        let largest = "178956970 years 7 mons 2147483647 days 2562047788:00:54.775807";
        let read = parse(largest, IntervalFields::ALL, &TextSettings::default());
        assert_eq!(read.map_err(|fault| fault.sqlstate), refused);
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
            let cut = coerce(read, fields(typmod)).expect("in range");
            assert_eq!(show(&cut, &settings), Ok(expected.as_bytes().to_vec()));
            assert_eq!(fields(typmod).typmod(), typmod);
        }
    }
}

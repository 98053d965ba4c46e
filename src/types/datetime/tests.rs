//! Tables for date and time input and output.

use super::Zoned::{With, Without};
use super::*;

fn settings(date_style: &str, time_zone: &str) -> TextSettings {
    TextSettings {
        date_style: DateStyle::of(date_style),
        time_zone: SessionZone::of(time_zone),
        ..TextSettings::default()
    }
}

fn shown(result: Result<Vec<u8>, ValueFault>) -> String {
    match result {
        Ok(text) => String::from_utf8_lossy(&text).into_owned(),
        Err(fault) => fault.sqlstate.0.to_owned(),
    }
}

fn date(text: &str, style: &str) -> String {
    let settings = settings(style, "UTC");
    shown(parse_date(text, &settings).and_then(|days| show_date(&days, &settings)))
}

fn moment(text: &str, zoned: Zoned, style: &str, zone: &str) -> String {
    let settings = settings(style, zone);
    shown(
        parse_timestamp(text, zoned, &settings)
            .and_then(|moment| show_timestamp(&moment, zoned, &settings)),
    )
}

#[test]
fn dates_are_read_in_the_order_of_the_style() {
    for (text, style, expected) in [
        ("2024-01-31", "ISO, MDY", "2024-01-31"),
        ("20240131", "ISO, MDY", "2024-01-31"),
        ("1/31/2024", "ISO, MDY", "2024-01-31"),
        ("31/1/2024", "ISO, MDY", "22008"),
        ("31/1/2024", "ISO, DMY", "2024-01-31"),
        ("31.1.2024", "German, DMY", "31.01.2024"),
        ("24-1-31", "ISO, YMD", "2024-01-31"),
        ("January 31, 2024", "SQL, MDY", "01/31/2024"),
        ("31-Jan-2024", "SQL, DMY", "31/01/2024"),
        ("31 jan 99", "Postgres, DMY", "31-01-1999"),
        ("Jan-31-2024 BC", "Postgres, MDY", "01-31-2024 BC"),
        ("0044-03-15 bc", "ISO, MDY", "0044-03-15 BC"),
        ("2024.031", "ISO, MDY", "2024-01-31"),
        ("99999-01-01", "ISO, MDY", "99999-01-01"),
        ("5874897-12-31", "ISO, MDY", "5874897-12-31"),
        ("5874898-01-01", "ISO, MDY", "22008"),
        ("4714-11-24 BC", "ISO, MDY", "4714-11-24 BC"),
        ("4714-11-23 BC", "ISO, MDY", "22008"),
        ("infinity", "SQL, MDY", "infinity"),
        ("-Infinity", "ISO, MDY", "-infinity"),
        ("epoch", "ISO, MDY", "1970-01-01"),
        ("2023-02-29", "ISO, MDY", "22008"),
        ("2023-13-01", "ISO, MDY", "22008"),
        ("0000-01-01", "ISO, MDY", "22008"),
        ("10:00", "ISO, MDY", "22007"),
        ("", "ISO, MDY", "22007"),
        ("yesterday", "ISO, MDY", "0A000"),
        ("hello", "ISO, MDY", "22007"),
        ("J2451187", "ISO, MDY", "0A000"),
        ("2024-01-31", "Klingon, MDY", "0A000"),
    ] {
        assert_eq!(date(text, style), expected, "{text} {style}");
    }
}

/// Text, type, DateStyle, TimeZone, and what is shown or the SQLSTATE.
#[rustfmt::skip]
const MOMENTS: &[(&str, Zoned, &str, &str, &str)] = &[
    ("2024-01-31T10:00:00.123456Z", With, "ISO, MDY", "UTC", "2024-01-31 10:00:00.123456+00"),
    ("2024-01-31 10:00+02", With, "ISO, MDY", "Europe/Berlin", "2024-01-31 09:00:00+01"),
    ("2024-01-31 10:00+02", Without, "ISO, MDY", "Europe/Berlin", "2024-01-31 10:00:00"),
    ("2024-07-01 10:00", With, "SQL, DMY", "Europe/Berlin", "01/07/2024 10:00:00 CEST"),
    ("2024-07-01 10:00", With, "German, DMY", "Europe/Berlin", "01.07.2024 10:00:00 CEST"),
    ("2024-07-01 10:00:00.5", With, "Postgres, MDY", "America/New_York", "Mon Jul 01 10:00:00.5 2024 EDT"),
    ("2024-07-01 10:00", Without, "Postgres, DMY", "UTC", "Mon 01 Jul 10:00:00 2024"),
    ("2024-07-01 10:00 america/new_york", With, "ISO, MDY", "Asia/Kolkata", "2024-07-01 19:30:00+05:30"),
    ("2024-07-01 10:00 pm", Without, "ISO, MDY", "UTC", "2024-07-01 22:00:00"),
    ("1880-01-01 00:00", With, "ISO, MDY", "America/New_York", "1880-01-01 00:00:00-04:56:02"),
    ("20240701T101112", Without, "ISO, MDY", "UTC", "2024-07-01 10:11:12"),
    ("2024-07-01 24:00", Without, "ISO, MDY", "UTC", "2024-07-02 00:00:00"),
    ("2024-07-01 25:00", Without, "ISO, MDY", "UTC", "22008"),
    ("2024-07-01 10:00 est", With, "ISO, MDY", "UTC", "0A000"),
    ("2024-07-01 10:00 mars/olympus", With, "ISO, MDY", "UTC", "22023"),
    ("2024-07-01 10:00 +16", With, "ISO, MDY", "UTC", "22009"),
    ("now", With, "ISO, MDY", "UTC", "0A000"),
    ("infinity", With, "ISO, MDY", "Nowhere", "infinity"),
    ("2024-07-01", With, "ISO, MDY", "Nowhere", "0A000"),
    ("294276-12-31 23:59:59.999999", Without, "ISO, MDY", "UTC", "294276-12-31 23:59:59.999999"),
    ("294277-01-01", Without, "ISO, MDY", "UTC", "22008"),
];

#[test]
fn timestamps_are_read_and_shown() {
    for (text, zoned, style, zone, expected) in MOMENTS {
        assert_eq!(
            moment(text, *zoned, style, zone),
            *expected,
            "{text} {style} {zone}"
        );
    }
}

#[test]
fn rounding_is_half_away_from_the_epoch() {
    let settings = settings("ISO, MDY", "UTC");
    for (text, digits, expected) in [
        ("2024-01-01 00:00:00.5", 0, "2024-01-01 00:00:01"),
        ("1999-12-31 23:59:58.5", 0, "1999-12-31 23:59:58"),
        ("2024-01-01 00:00:00.123456", 3, "2024-01-01 00:00:00.123"),
        ("infinity", 0, "infinity"),
        ("294276-12-31 23:59:59.9", 0, "0A000"),
    ] {
        let rounded = parse_timestamp(text, Zoned::Without, &settings)
            .and_then(|moment| round(&moment, digits, Zoned::Without))
            .and_then(|moment| show_timestamp(&moment, Zoned::Without, &settings));
        assert_eq!(shown(rounded), expected, "{text}");
    }
}

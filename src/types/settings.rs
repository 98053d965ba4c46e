//! The settings of a session that decide how values are read and printed as text.

use super::{DateStyle, ServerVersion, SessionZone};

/// The settings, as the server has them for the session, and its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextSettings {
    /// `server_version`
    pub version: ServerVersion,
    /// `DateStyle`
    pub date_style: DateStyle,
    /// `TimeZone`
    pub time_zone: SessionZone,
    /// `IntervalStyle`
    pub interval_style: IntervalStyle,
    /// `extra_float_digits`: above 0 the shortest digits that read back, else 15 (of a float4 6) and so many more
    pub extra_float_digits: i32,
    /// whether `bytea_output` is `escape`, and not `hex`
    pub bytea_escaped: bool,
}

impl Default for TextSettings {
    fn default() -> Self {
        Self {
            version: ServerVersion::default(),
            date_style: DateStyle::of("ISO, MDY"),
            time_zone: SessionZone::of("UTC"),
            interval_style: IntervalStyle::Postgres,
            extra_float_digits: 1,
            bytea_escaped: false,
        }
    }
}

/// `IntervalStyle`: how intervals are written; `sql_standard` reads a leading minus for all fields too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntervalStyle {
    /// `1 year 2 mons 3 days 04:05:06`
    Postgres,
    /// `@ 1 year 2 mons 3 days 4 hours 5 mins 6 secs`
    PostgresVerbose,
    /// `+1-2 +3 +4:05:06`
    SqlStandard,
    /// `P1Y2M3DT4H5M6S`
    Iso8601,
    /// one that pgveil does not know
    Unknown,
}

impl IntervalStyle {
    /// The style of that name, as it is reported.
    pub fn of(name: &str) -> Self {
        match name {
            "postgres" => Self::Postgres,
            "postgres_verbose" => Self::PostgresVerbose,
            "sql_standard" => Self::SqlStandard,
            "iso_8601" => Self::Iso8601,
            _ => Self::Unknown,
        }
    }
}

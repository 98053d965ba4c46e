//! The server's major version, and what hangs on it: which texts are values, and which values it knows.
//!
//! The canonical form never does: one value is sealed as the same bytes under every version, so that an upgrade of
//! the server finds what was stored. What an older server cannot express is refused when it is opened there.

/// The major version of the PostgreSQL that holds the database, from 13 on.
///
/// Asked by what it does, so that no other file compares numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerVersion(u32);

impl Default for ServerVersion {
    /// What stands until a server has said its own.
    fn default() -> Self {
        Self(15)
    }
}

impl ServerVersion {
    /// The version in a report of `server_version`, for example `16.4 (Debian 16.4-1)` or `17beta1`.
    pub fn reported(text: &str) -> Option<Self> {
        let end = text.find(|c: char| !c.is_ascii_digit());
        let major = text.get(..end.unwrap_or(text.len()))?;
        major.parse().ok().map(Self)
    }

    /// The version in a `server_version_num`, for example 160004.
    pub fn numbered(number: u32) -> Self {
        Self(number / 10_000)
    }

    /// `numeric` has infinities (14).
    pub(super) fn has_infinite_numerics(self) -> bool {
        self.0 >= 14
    }

    /// An interval is added up in microseconds, in 64 bits and with checks (15), and not in seconds, in 32 bits.
    pub(super) fn adds_intervals_in_microseconds(self) -> bool {
        self.0 >= 15
    }

    /// A fraction of a second may be a point without a digit (15).
    pub(super) fn reads_a_lone_point(self) -> bool {
        self.0 >= 15
    }

    /// Numbers may be written as `0x1F`, `0o17`, `0b11` and `1_000`; an exponent has no spaces before it (16).
    pub(super) fn reads_other_bases(self) -> bool {
        self.0 >= 16
    }

    /// `epoch` and `infinity` stand alone, `+infinity` is one, and what `t` announces must follow (16).
    pub(super) fn has_strict_moments(self) -> bool {
        self.0 >= 16
    }

    /// `interval` has infinities (17).
    pub(super) fn has_infinite_intervals(self) -> bool {
        self.0 >= 17
    }

    /// A unit stands behind its number, and `ago` at the end (17).
    pub(super) fn has_strict_intervals(self) -> bool {
        self.0 >= 17
    }

    /// A time run together is of digits alone (18), where older versions take letters for 0.
    pub(super) fn has_strict_digits(self) -> bool {
        self.0 >= 18
    }

    /// An array's element is read before what stands behind it; its bounds are checked against the range of int4 (17).
    pub(super) fn reads_arrays_in_order(self) -> bool {
        self.0 >= 17
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_what_stands_before_anything_else() {
        for (text, major) in [
            ("13.23", 13),
            ("16.4 (Debian 16.4-1.pgdg120+1)", 16),
            ("17beta1", 17),
            ("18devel", 18),
        ] {
            assert_eq!(ServerVersion::reported(text), Some(ServerVersion(major)));
        }
        assert_eq!(ServerVersion::reported("devel"), None);
        assert_eq!(ServerVersion::reported(""), None);
        assert_eq!(ServerVersion::numbered(160_004), ServerVersion(16));
    }
}

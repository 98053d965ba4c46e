//! text and varchar: valid UTF-8 without the character zero; varchar(n) counts characters.
//!
//! The server's encoding is UTF8 wherever this runs; it knows nothing of collations.

use super::ValueFault;
use crate::ident::SqlState;

/// The bytes as text, as a UTF8 server takes them.
///
/// # Errors
/// 22021 for a zero byte or invalid UTF-8.
pub(super) fn checked(bytes: &[u8]) -> Result<&str, ValueFault> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !bytes.contains(&0) => Ok(text),
        _ => Err(ValueFault::new(
            SqlState::CHARACTER_NOT_IN_REPERTOIRE,
            "invalid byte sequence for encoding \"UTF8\"",
        )),
    }
}

/// Brings a text to at most `limit` characters: an explicit cast cuts, an assignment drops spaces only.
///
/// # Errors
/// 22001 when an assignment would lose more than spaces; XX001 when the text is not UTF-8.
pub(super) fn limit(
    mut canonical: Vec<u8>,
    limit: u32,
    explicit_cast: bool,
) -> Result<Vec<u8>, ValueFault> {
    let text = std::str::from_utf8(&canonical)
        .map_err(|_| ValueFault::not_canonical("character varying"))?;
    let Some((cut, _)) = usize::try_from(limit)
        .ok()
        .and_then(|limit| text.char_indices().nth(limit))
    else {
        return Ok(canonical);
    };
    if !explicit_cast && canonical.iter().skip(cut).any(|byte| *byte != b' ') {
        return Err(ValueFault::new(
            SqlState::STRING_DATA_RIGHT_TRUNCATION,
            format!("value too long for type character varying({limit})"),
        ));
    }
    canonical.truncate(cut);
    Ok(canonical)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignment_drops_only_spaces_and_a_cast_cuts() {
        let vec = |s: &str| s.as_bytes().to_vec();
        assert_eq!(limit(vec("ab  "), 3, false), Ok(vec("ab ")));
        assert_eq!(
            limit(vec("ab c"), 3, false).map_err(|f| f.sqlstate),
            Err(SqlState::STRING_DATA_RIGHT_TRUNCATION)
        );
        assert!(limit(vec("ab\t\t"), 3, false).is_err());
        assert_eq!(limit(vec("王小明先生"), 3, true), Ok(vec("王小明")));
        assert_eq!(limit(vec("王小明"), 3, false), Ok(vec("王小明")));
    }

    #[test]
    fn zero_and_malformed_bytes_are_refused() {
        for bytes in [
            &b"a\0b"[..],
            b"\xff",
            b"\xc0\x80",
            b"\xed\xa0\x80",
            b"\xf4\x90\x80\x80",
        ] {
            assert_eq!(
                checked(bytes).map_err(|f| f.sqlstate),
                Err(SqlState::CHARACTER_NOT_IN_REPERTOIRE)
            );
        }
    }
}

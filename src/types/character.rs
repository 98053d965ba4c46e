//! char(n): canonical as the text without the spaces that pad it; they come back when it is shown.
//!
//! `bpchar` without a length keeps its spaces: no modifier would bring them back.

use super::{ValueFault, text};
use crate::ident::SqlState;

/// A text as it is canonical: where there is a length, without the spaces at its end, which do not count in a
/// comparison (varchar.c, bpchareq).
pub(super) fn canonical(mut text: Vec<u8>, limit: Option<u32>) -> Vec<u8> {
    if limit.is_some() {
        let kept = text.iter().rposition(|byte| *byte != b' ');
        text.truncate(kept.map_or(0, |last| last + 1));
    }
    text
}

/// Brings a text to at most `limit` characters: an explicit cast cuts, an assignment drops spaces only.
///
/// # Errors
/// 22001 when an assignment would lose more than spaces; XX001 when the text is not UTF-8.
pub(super) fn coerce(
    text: Vec<u8>,
    limit: Option<u32>,
    explicit_cast: bool,
) -> Result<Vec<u8>, ValueFault> {
    let Some(most) = limit else {
        return Ok(text);
    };
    let cut = text::limit(text, most, explicit_cast).map_err(|fault| match fault.sqlstate {
        SqlState::STRING_DATA_RIGHT_TRUNCATION => ValueFault::new(
            fault.sqlstate,
            format!("value too long for type character({most})"),
        ),
        _ => fault,
    })?;
    Ok(canonical(cut, limit))
}

/// The text padded to its length.
///
/// # Errors
/// XX001 when it is not UTF-8.
pub(super) fn padded(canonical: &[u8], limit: Option<u32>) -> Result<Vec<u8>, ValueFault> {
    let text =
        std::str::from_utf8(canonical).map_err(|_| ValueFault::not_canonical("character"))?;
    let missing = limit.map_or(0, |limit| {
        usize::try_from(limit)
            .unwrap_or(usize::MAX)
            .saturating_sub(text.chars().count())
    });
    let mut shown = Vec::with_capacity(canonical.len() + missing);
    shown.extend_from_slice(canonical);
    shown.resize(canonical.len() + missing, b' ');
    Ok(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_at_the_end_do_not_count_and_come_back() {
        let of = |text: &str| canonical(text.as_bytes().to_vec(), Some(4));
        assert_eq!(of("ab  "), of("ab"));
        assert_eq!(padded(&of("é "), Some(4)), Ok("é   ".as_bytes().to_vec()));
        assert_eq!(canonical(b"ab ".to_vec(), None), b"ab ".to_vec());
        let long = |explicit| coerce(b"abcde".to_vec(), Some(4), explicit);
        assert_eq!(long(true), Ok(b"abcd".to_vec()));
        assert_eq!(long(false).map_err(|f| f.sqlstate.0), Err("22001"));
        assert_eq!(coerce(b"ab c".to_vec(), Some(3), true), Ok(b"ab".to_vec()));
    }
}

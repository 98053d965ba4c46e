//! A statement's shape as a number: what stays when every constant is taken out.
//!
//! Texts that differ in constants, parameters, comments, white space, the case of words, or the length of a list of
//! constants have one fingerprint, so that records of one shape can be found and counted. No constant enters the
//! digest: from a short digest a short secret could be guessed. Knows no names and no types.

use sha2::{Digest as _, Sha256};

use super::lex::{Token, TokenKind, lex};
use super::same_places;

/// Stands between two tokens: no token holds it (PostgreSQL takes no NUL in a text).
const SEPARATOR: u8 = 0;

/// The first 8 bytes of SHA-256 over the shape. None where the text is no sequence of tokens, or where its tokens
/// depend on `standard_conforming_strings`: a constant could be taken for something else.
pub fn fingerprint(text: &str) -> Option<u64> {
    of_tokens(text, &lex(text, true).ok()?)
}

/// The same of a text that was cut into these tokens, `standard_conforming_strings` being on.
pub(super) fn of_tokens(text: &str, tokens: &[Token]) -> Option<u64> {
    // Without a backslash there is one reading only.
    if text.contains('\\') && !same_places(tokens, &lex(text, false).ok()?) {
        return None;
    }
    let mut shape = Vec::with_capacity(text.len() + tokens.len());
    let mut last = Last::Other;
    for token in tokens {
        let piece = piece(text, token);
        last = match (last, &piece) {
            // One more item of a list of constants.
            (Last::CommaBehindConstant, Piece::Constant) => Last::Constant,
            (Last::Constant, Piece::Written(",")) => Last::CommaBehindConstant,
            (before, piece) => {
                if matches!(before, Last::CommaBehindConstant) {
                    enter(&mut shape, b",");
                }
                enter(&mut shape, piece.as_bytes());
                match piece {
                    Piece::Constant => Last::Constant,
                    Piece::Written(_) => Last::Other,
                }
            }
        };
    }
    let digest: [u8; 32] = Sha256::digest(&shape).into();
    digest.first_chunk().map(|head| u64::from_be_bytes(*head))
}

/// What of a token enters the digest.
enum Piece<'a> {
    /// a constant or a parameter
    Constant,
    /// anything else, by its text
    Written(&'a str),
}

impl Piece<'_> {
    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Constant => b"?",
            Self::Written(text) => text.as_bytes(),
        }
    }
}

fn piece<'a>(text: &'a str, token: &'a Token) -> Piece<'a> {
    let written = &text[token.start..token.end];
    match &token.kind {
        TokenKind::Text(_) | TokenKind::OtherText | TokenKind::Number | TokenKind::Parameter(_) => {
            Piece::Constant
        }
        // What was taken out of a text for the record.
        TokenKind::Symbol if written == "?" => Piece::Constant,
        TokenKind::Symbol => Piece::Written(written),
        TokenKind::Word { quoted: true, .. } => Piece::Written(written),
        TokenKind::Word { name, .. } => Piece::Written(name.as_str()),
    }
}

/// What stands before a token, as far as a list of constants (which counts as one constant) goes.
#[derive(Clone, Copy)]
enum Last {
    Constant,
    CommaBehindConstant,
    Other,
}

fn enter(shape: &mut Vec<u8>, piece: &[u8]) {
    shape.extend_from_slice(piece);
    shape.push(SEPARATOR);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_shape_has_one_fingerprint() {
        let shape = fingerprint("SELECT a FROM t WHERE b = 'x' AND c IN (1, 2, 3)");
        assert!(shape.is_some());
        for same in [
            "select A from T where B = 'other' and C in (4)",
            "SELECT a FROM t WHERE b = $1 AND c IN ($2, $3)",
            "SELECT a  FROM t /* why */ WHERE b='x' AND c IN (1) -- end",
            "SELECT a FROM t WHERE b = ? AND c IN (?,?)",
        ] {
            assert_eq!(fingerprint(same), shape, "{same}");
        }
        for other in [
            "SELECT a FROM t WHERE b = 'x' AND d IN (1, 2, 3)",
            "SELECT a FROM \"T\" WHERE b = 'x' AND c IN (1, 2, 3)",
            "SELECT a FROM t WHERE b = 'x'",
            "SELECT a FROM t WHERE b <> 'x' AND c IN (1, 2, 3)",
        ] {
            assert_ne!(fingerprint(other), shape, "{other}");
        }
        assert_ne!(fingerprint("SELECT ab"), fingerprint("SELECT a b"));
        assert_ne!(fingerprint("SELECT 1, a"), fingerprint("SELECT 1 a"));
        assert_eq!(fingerprint("SELECT 1, a"), fingerprint("SELECT 1, 2, a"));
    }

    #[test]
    fn a_text_that_may_be_read_in_two_ways_has_none() {
        assert_eq!(fingerprint("SELECT '\\' OR secret = ' x'"), None);
        assert_eq!(fingerprint("SELECT 'unterminated"), None);
        assert!(fingerprint("SELECT '\\d', a").is_some());
    }
}

//! json: canonical as the text that was written, which PostgreSQL only checks.

use super::json_lex::{Escapes, Lexer, Token, malformed};
use super::{ValueFault, text};
use crate::ident::SqlState;
use crate::limits::JSONB_NESTING_MAX;

/// What may follow.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expect {
    Value,
    /// a value, or the end of the array that has just begun
    ValueOrEnd,
    Key,
    /// a key, or the end of the object that has just begun
    KeyOrEnd,
    /// a comma or the end of what is open
    More,
}

/// Checks a document.
///
/// # Errors
/// 22P02 for what is no JSON, 54001 too deep.
pub(super) fn parse(document: &str) -> Result<Vec<u8>, ValueFault> {
    let mut lexer = Lexer::new(document, Escapes::Keep);
    // What is open: true for an object.
    let mut open: Vec<bool> = Vec::new();
    let mut expect = Expect::Value;
    loop {
        let token = lexer.next()?;
        expect = match (token, expect) {
            (Token::End, Expect::More) if open.is_empty() => {
                return Ok(document.as_bytes().to_vec());
            }
            (Token::ObjectStart | Token::ArrayStart, Expect::Value | Expect::ValueOrEnd)
                if open.len() > JSONB_NESTING_MAX =>
            {
                return Err(ValueFault::new(
                    SqlState::STATEMENT_TOO_COMPLEX,
                    "a json document is nested too deeply",
                ));
            }
            (Token::ObjectStart, Expect::Value | Expect::ValueOrEnd) => {
                open.push(true);
                Expect::KeyOrEnd
            }
            (Token::ArrayStart, Expect::Value | Expect::ValueOrEnd) => {
                open.push(false);
                Expect::ValueOrEnd
            }
            (Token::ObjectEnd, Expect::KeyOrEnd) | (Token::ArrayEnd, Expect::ValueOrEnd) => {
                open.pop();
                Expect::More
            }
            (Token::ObjectEnd, Expect::More) if open.last() == Some(&true) => {
                open.pop();
                Expect::More
            }
            (Token::ArrayEnd, Expect::More) if open.last() == Some(&false) => {
                open.pop();
                Expect::More
            }
            (Token::Comma, Expect::More) => match open.last() {
                Some(true) => Expect::Key,
                Some(false) => Expect::Value,
                None => return Err(malformed()),
            },
            (Token::Text(_), Expect::Key | Expect::KeyOrEnd) => {
                if lexer.next()? != Token::Colon {
                    return Err(malformed());
                }
                Expect::Value
            }
            (
                Token::Text(_) | Token::Number(_) | Token::True | Token::False | Token::Null,
                Expect::Value | Expect::ValueOrEnd,
            ) => Expect::More,
            _ => return Err(malformed()),
        };
    }
}

/// The text of a canonical value.
///
/// # Errors
/// XX001 when it is no text.
pub(super) fn stored(canonical: &[u8]) -> Result<Vec<u8>, ValueFault> {
    text::checked(canonical).map_err(|_| ValueFault::not_canonical("json"))?;
    Ok(canonical.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_kept_as_written() {
        for document in [
            "{ }",
            " [1,2.50,{\"a\":null,\"a\":1}]",
            "\"\\u0000\\ud83d\"",
            "1e999999",
        ] {
            assert_eq!(parse(document), Ok(document.as_bytes().to_vec()));
        }
        for document in [
            "",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "{1:2}",
            "1 2",
            "[1}",
            "]",
            "\"\\x\"",
        ] {
            assert_eq!(
                parse(document).map_err(|f| f.sqlstate.0),
                Err("22P02"),
                "{document}"
            );
        }
        let deep = "[".repeat(100_000);
        assert_eq!(parse(&deep).map_err(|f| f.sqlstate.0), Err("54001"));
    }
}

//! jsonb: canonical as version byte 1 and the text PostgreSQL prints, which is its send format.
//!
//! Keys stand by length, then by bytes, the last of equal ones wins; numbers are printed as numeric prints them.

use super::json_lex::{Escapes, Lexer, Token, malformed};
use super::{ValueFault, numeric, short_message, text};
use crate::ident::SqlState;
use crate::limits::{JSONB_BYTES_MAX, JSONB_NESTING_MAX};

/// The version of jsonb's send format.
const VERSION: u8 = 1;

/// A value inside a document.
enum Node {
    Object(Vec<(String, Node)>),
    Array(Vec<Node>),
    Text(String),
    /// a number as it is printed
    Number(String),
    Word(&'static str),
}

/// Reads a document.
///
/// # Errors
/// 22P02 for what is no JSON, 22P05 for `\u0000`, 22003 for a number beyond numeric, 54001 too deep, 54000 too long.
pub(super) fn parse(text: &str) -> Result<Vec<u8>, ValueFault> {
    let mut lexer = Lexer::new(text, Escapes::Resolve);
    let token = lexer.next()?;
    let mut parser = Parser {
        lexer,
        token,
        number_bytes: 0,
    };
    let root = parser.value(0)?;
    if parser.token != Token::End {
        return Err(malformed());
    }
    let mut printed = String::with_capacity(text.len() + 1);
    printed.push(char::from(VERSION));
    print(&root, &mut printed);
    if printed.len() > JSONB_BYTES_MAX {
        return Err(too_long());
    }
    Ok(printed.into_bytes())
}

/// Reads the send format.
///
/// # Errors
/// XX000 for another version (as PostgreSQL), 08P01 for no version, and as [`parse`].
pub(super) fn receive(bytes: &[u8]) -> Result<Vec<u8>, ValueFault> {
    match bytes {
        [] => Err(short_message()),
        [VERSION, document @ ..] => parse(text::checked(document)?),
        _ => Err(ValueFault::new(
            SqlState::INTERNAL_ERROR,
            "unsupported jsonb version number",
        )),
    }
}

/// Prints the document.
///
/// # Errors
/// XX001 when the version byte is not there.
pub(super) fn show(canonical: &[u8]) -> Result<Vec<u8>, ValueFault> {
    match canonical {
        [VERSION, document @ ..] => Ok(document.to_vec()),
        _ => Err(ValueFault::not_canonical("jsonb")),
    }
}

/// Writes the send format, which the canonical form is.
///
/// # Errors
/// XX001 when the version byte is not there.
pub(super) fn send(canonical: &[u8]) -> Result<Vec<u8>, ValueFault> {
    show(canonical).map(|_| canonical.to_vec())
}

struct Parser<'t> {
    lexer: Lexer<'t>,
    /// the token that was read but not used
    token: Token<'t>,
    /// bytes of all numbers, printed: `1e131071` is short only as input
    number_bytes: usize,
}

impl<'t> Parser<'t> {
    fn take(&mut self) -> Result<Token<'t>, ValueFault> {
        let next = self.lexer.next()?;
        Ok(std::mem::replace(&mut self.token, next))
    }

    fn expect(&mut self, token: &Token<'t>) -> Result<(), ValueFault> {
        if self.token != *token {
            return Err(malformed());
        }
        self.take().map(|_| ())
    }

    fn value(&mut self, depth: usize) -> Result<Node, ValueFault> {
        if depth > JSONB_NESTING_MAX {
            return Err(ValueFault::new(
                SqlState::STATEMENT_TOO_COMPLEX,
                "a jsonb document is nested too deeply",
            ));
        }
        match self.token {
            Token::ObjectStart => self.object(depth),
            Token::ArrayStart => self.array(depth),
            Token::ObjectEnd
            | Token::ArrayEnd
            | Token::Comma
            | Token::Colon
            | Token::Text(_)
            | Token::Number(_)
            | Token::True
            | Token::False
            | Token::Null
            | Token::End => self.scalar(),
        }
    }

    /// The token after the scalar is read first, so that its fault comes before the scalar's, as in PostgreSQL.
    fn scalar(&mut self) -> Result<Node, ValueFault> {
        if matches!(
            self.token,
            Token::ObjectEnd | Token::ArrayEnd | Token::Comma | Token::Colon | Token::End
        ) {
            return Err(malformed());
        }
        Ok(match self.take()? {
            Token::Text(text) => Node::Text(text),
            Token::Number(literal) => self.number(literal)?,
            Token::True => Node::Word("true"),
            Token::False => Node::Word("false"),
            _ => Node::Word("null"),
        })
    }

    fn number(&mut self, literal: &str) -> Result<Node, ValueFault> {
        let printed = numeric::reprint(literal)?;
        self.number_bytes = self.number_bytes.saturating_add(printed.len());
        if self.number_bytes > JSONB_BYTES_MAX {
            return Err(too_long());
        }
        Ok(Node::Number(printed))
    }

    fn object(&mut self, depth: usize) -> Result<Node, ValueFault> {
        self.take()?;
        let mut members = Vec::new();
        if self.token != Token::ObjectEnd {
            loop {
                if !matches!(self.token, Token::Text(_)) {
                    return Err(malformed());
                }
                let Token::Text(key) = self.take()? else {
                    return Err(malformed());
                };
                self.expect(&Token::Colon)?;
                members.push((key, self.value(depth + 1)?));
                if self.token != Token::Comma {
                    break;
                }
                self.take()?;
            }
        }
        self.expect(&Token::ObjectEnd)?;
        Ok(Node::Object(in_order(members)))
    }

    fn array(&mut self, depth: usize) -> Result<Node, ValueFault> {
        self.take()?;
        let mut elements = Vec::new();
        if self.token != Token::ArrayEnd {
            loop {
                elements.push(self.value(depth + 1)?);
                if self.token != Token::Comma {
                    break;
                }
                self.take()?;
            }
        }
        self.expect(&Token::ArrayEnd)?;
        Ok(Node::Array(elements))
    }
}

/// jsonb's order of keys: shorter first, then by bytes; of equal keys the last one stays.
fn in_order(mut members: Vec<(String, Node)>) -> Vec<(String, Node)> {
    members.reverse();
    members.sort_by(|(a, _), (b, _)| (a.len(), a.as_bytes()).cmp(&(b.len(), b.as_bytes())));
    members.dedup_by(|(later, _), (first, _)| later == first);
    members
}

fn print(node: &Node, printed: &mut String) {
    match node {
        Node::Object(members) => {
            printed.push('{');
            for (position, (key, value)) in members.iter().enumerate() {
                if position > 0 {
                    printed.push_str(", ");
                }
                print_text(key, printed);
                printed.push_str(": ");
                print(value, printed);
            }
            printed.push('}');
        }
        Node::Array(elements) => {
            printed.push('[');
            for (position, element) in elements.iter().enumerate() {
                if position > 0 {
                    printed.push_str(", ");
                }
                print(element, printed);
            }
            printed.push(']');
        }
        Node::Text(text) => print_text(text, printed),
        Node::Number(number) => printed.push_str(number),
        Node::Word(word) => printed.push_str(word),
    }
}

/// Quotes a string as `escape_json` does: no escape for `/` or for anything beyond ASCII.
fn print_text(text: &str, printed: &mut String) {
    printed.push('"');
    for character in text.chars() {
        match character {
            '"' => printed.push_str("\\\""),
            '\\' => printed.push_str("\\\\"),
            '\u{8}' => printed.push_str("\\b"),
            '\u{c}' => printed.push_str("\\f"),
            '\n' => printed.push_str("\\n"),
            '\r' => printed.push_str("\\r"),
            '\t' => printed.push_str("\\t"),
            '\0'..' ' => printed.push_str(&format!("\\u{:04x}", u32::from(character))),
            _ => printed.push(character),
        }
    }
    printed.push('"');
}

fn too_long() -> ValueFault {
    ValueFault::new(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        "a jsonb document exceeds the maximum size",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jsonb(text: &str) -> Result<String, &'static str> {
        parse(text)
            .and_then(|bytes| show(&bytes))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .map_err(|fault| fault.sqlstate.0)
    }

    #[test]
    fn documents_are_printed_as_postgresql_prints_them() {
        for (text, printed) in [
            (" {} ", "{}"),
            ("[ ]", "[]"),
            (
                "{\"bb\":1,\"a\":2,\"c\":3}",
                "{\"a\": 2, \"c\": 3, \"bb\": 1}",
            ),
            ("{\"a\":1,\"b\":0,\"a\":2}", "{\"a\": 2, \"b\": 0}"),
            ("[1,-0,1e3,1.50,-0.0,1E-2]", "[1, 0, 1000, 1.50, 0.0, 0.01]"),
            (
                "\"\\u00e9\\ud83d\\ude00\\/\\u0001\\n\"",
                "\"é😀/\\u0001\\n\"",
            ),
            ("null", "null"),
            ("[true,false]", "[true, false]"),
        ] {
            assert_eq!(jsonb(text).as_deref(), Ok(printed), "{text}");
        }
    }

    #[test]
    fn what_postgresql_refuses_is_refused() {
        for (text, sqlstate) in [
            ("", "22P02"),
            ("{", "22P02"),
            ("{a:1}", "22P02"),
            ("{\"a\" 1}", "22P02"),
            ("[1,]", "22P02"),
            ("01", "22P02"),
            ("1.", "22P02"),
            ("+1", "22P02"),
            (".5", "22P02"),
            ("1x", "22P02"),
            ("nul", "22P02"),
            ("\"a\nb\"", "22P02"),
            ("\"\\x\"", "22P02"),
            ("\"\\ud83d\"", "22P02"),
            ("\"\\ude00\"", "22P02"),
            ("\"\\u0000\"", "22P05"),
            ("1e200000", "22003"),
            ("[1e200000", "22003"),
            ("[1e200000 x", "22P02"),
            ("1 2", "22P02"),
        ] {
            assert_eq!(jsonb(text), Err(sqlstate), "{text}");
        }
        assert_eq!(jsonb(&"[".repeat(100_000)), Err("54001"));
    }
}

//! What stands in quotes: string constants and identifiers (manual, 4.1.1, 4.1.2).
//!
//! Knows where a quoted token ends; what a backslash in it means, `escape` knows.

use super::{LexFault, Lexer, TokenKind, fold, is_space};

impl Lexer<'_> {
    /// The body of a quoted string, from its opening quote, with the pieces that a line break joins to it.
    pub(super) fn string(&mut self, escapes: bool) -> Result<String, LexFault> {
        let start = self.at;
        let mut bytes = Vec::new();
        loop {
            self.at += 1;
            self.string_piece(start, escapes, &mut bytes)?;
            if !self.continues()? {
                break;
            }
        }
        String::from_utf8(bytes).or_else(|_| self.fault(start, "a string that is not UTF-8"))
    }

    fn string_piece(
        &mut self,
        start: usize,
        escapes: bool,
        bytes: &mut Vec<u8>,
    ) -> Result<(), LexFault> {
        loop {
            if self.at >= self.bytes.len() {
                return self.fault(start, "an unterminated string");
            }
            match self.peek(0) {
                b'\'' if self.peek(1) == b'\'' => {
                    bytes.push(b'\'');
                    self.at += 2;
                }
                b'\'' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' if escapes => {
                    self.at += 1;
                    self.escape(start, bytes)?;
                }
                // A backslash that is none of an escape's, and all up to the next of the two.
                _ => {
                    let rest = &self.bytes[self.at..];
                    let plain = memchr::memchr2_iter(b'\'', b'\\', rest).find(|&at| at > 0);
                    let plain = plain.unwrap_or(rest.len());
                    bytes.extend_from_slice(&rest[..plain]);
                    self.at += plain;
                }
            }
        }
    }

    /// Whether white space with a line break and another quote follow: then the string goes on there.
    fn continues(&mut self) -> Result<bool, LexFault> {
        let mut at = self.at;
        let mut line_break = false;
        loop {
            match self.bytes.get(at).copied() {
                Some(b'\n' | b'\r') => {
                    line_break = true;
                    at += 1;
                }
                Some(b) if is_space(b) => at += 1,
                Some(b'-') if self.bytes.get(at + 1) == Some(&b'-') => {
                    while at < self.bytes.len() && !matches!(self.bytes[at], b'\n' | b'\r') {
                        at += 1;
                    }
                }
                Some(b'\'') if line_break => {
                    self.at = at;
                    return Ok(true);
                }
                _ => return Ok(false),
            }
        }
    }

    /// `U&'…'` and `U&"…"` with the default escape character.
    pub(super) fn unicode(&mut self) -> Result<TokenKind, LexFault> {
        let start = self.at;
        self.at += 2;
        if self.peek(0) == b'"' {
            let raw = self.quoted_identifier()?;
            let name = self.unicode_escapes(start, &raw)?;
            return Ok(TokenKind::Word {
                name: fold(&name, true),
                quoted: true,
            });
        }
        if !self.plain_backslash {
            return self.fault(start, "U&'' while standard_conforming_strings is off");
        }
        let raw = self.string(false)?;
        self.unicode_escapes(start, &raw).map(TokenKind::Text)
    }

    /// `"…"`, without its quotes.
    pub(super) fn quoted_identifier(&mut self) -> Result<String, LexFault> {
        let start = self.at;
        self.at += 1;
        let mut name = String::new();
        loop {
            let rest = &self.text[self.at..];
            let Some(quote) = rest.find('"') else {
                return self.fault(start, "an unterminated quoted identifier");
            };
            name.push_str(&rest[..quote]);
            self.at += quote + 1;
            if self.peek(0) != b'"' {
                break;
            }
            name.push('"');
            self.at += 1;
        }
        if name.is_empty() {
            self.fault(start, "a zero-length identifier")
        } else {
            Ok(name)
        }
    }
}

//! Cuts JSON into tokens as PostgreSQL does (common/jsonapi.c), strings already unescaped.

use super::ValueFault;
use crate::ident::SqlState;

/// A token of JSON.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Token<'t> {
    ObjectStart,
    ObjectEnd,
    ArrayStart,
    ArrayEnd,
    Comma,
    Colon,
    Text(String),
    Number(&'t str),
    True,
    False,
    Null,
    End,
}

/// What becomes of a string's escapes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Escapes {
    /// they are replaced by what they stand for, as jsonb has them
    Resolve,
    /// only their form is checked, as json has them; the token's text is not the string's
    Keep,
}

/// Takes tokens off the front of a text.
pub(super) struct Lexer<'t> {
    rest: &'t str,
    escapes: Escapes,
}

impl<'t> Lexer<'t> {
    pub(super) fn new(text: &'t str, escapes: Escapes) -> Self {
        Self {
            rest: text,
            escapes,
        }
    }

    /// The next token.
    ///
    /// # Errors
    /// 22P02 for what is no JSON, 22P05 for `\u0000`.
    pub(super) fn next(&mut self) -> Result<Token<'t>, ValueFault> {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
        let Some(first) = self.rest.bytes().next() else {
            return Ok(Token::End);
        };
        let mark = match first {
            b'{' => Token::ObjectStart,
            b'}' => Token::ObjectEnd,
            b'[' => Token::ArrayStart,
            b']' => Token::ArrayEnd,
            b',' => Token::Comma,
            b':' => Token::Colon,
            b'"' => return self.string(),
            b'-' | b'0'..=b'9' => return self.number(),
            _ => return self.word(),
        };
        self.skip(1);
        Ok(mark)
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    fn word(&mut self) -> Result<Token<'t>, ValueFault> {
        let end = word_end(self.rest);
        let (word, after) = self.rest.split_at(end);
        self.rest = after;
        match word {
            "true" => Ok(Token::True),
            "false" => Ok(Token::False),
            "null" => Ok(Token::Null),
            _ => Err(malformed()),
        }
    }

    fn number(&mut self) -> Result<Token<'t>, ValueFault> {
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let from = |at: usize| self.rest.get(at..).unwrap_or_default();
        let mut end = usize::from(self.rest.starts_with('-'));
        let whole = digits(from(end));
        if whole == 0 || (whole > 1 && from(end).starts_with('0')) {
            return Err(malformed());
        }
        end += whole;
        if from(end).starts_with('.') {
            let fraction = digits(from(end + 1));
            if fraction == 0 {
                return Err(malformed());
            }
            end += 1 + fraction;
        }
        if from(end).starts_with(['e', 'E']) {
            end += 1;
            end += usize::from(from(end).starts_with(['+', '-']));
            let exponent = digits(from(end));
            if exponent == 0 {
                return Err(malformed());
            }
            end += exponent;
        }
        if word_end(from(end)) > 0 {
            return Err(malformed());
        }
        let (number, after) = self.rest.split_at(end);
        self.rest = after;
        Ok(Token::Number(number))
    }

    fn string(&mut self) -> Result<Token<'t>, ValueFault> {
        self.skip(1);
        let mut value = String::new();
        loop {
            let end = self
                .rest
                .bytes()
                .position(|byte| byte == b'"' || byte == b'\\' || byte < b' ')
                .ok_or_else(malformed)?;
            let (plain, after) = self.rest.split_at(end);
            value.push_str(plain);
            self.rest = after;
            match self.rest.bytes().next() {
                Some(b'"') => {
                    self.skip(1);
                    return Ok(Token::Text(value));
                }
                Some(b'\\') => value.push(self.escape()?),
                _ => return Err(malformed()),
            }
        }
    }

    /// Reads an escape; a high surrogate and its low one together.
    fn escape(&mut self) -> Result<char, ValueFault> {
        let kind = self.rest.as_bytes().get(1).copied();
        self.skip(2);
        Ok(match kind {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.code_point(),
            _ => return Err(malformed()),
        })
    }

    fn code_point(&mut self) -> Result<char, ValueFault> {
        let unit = self.unit()?;
        if self.escapes == Escapes::Keep {
            return Ok(char::REPLACEMENT_CHARACTER);
        }
        let code = match unit {
            0 => {
                return Err(ValueFault::new(
                    SqlState::UNTRANSLATABLE_CHARACTER,
                    "unsupported Unicode escape sequence: \\u0000 cannot be converted to text",
                ));
            }
            0xd800..0xdc00 => {
                if !self.rest.starts_with("\\u") {
                    return Err(malformed());
                }
                self.skip(2);
                let low = self.unit()?;
                if !(0xdc00..0xe000).contains(&low) {
                    return Err(malformed());
                }
                0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00)
            }
            _ => unit,
        };
        char::from_u32(code).ok_or_else(malformed)
    }

    fn unit(&mut self) -> Result<u32, ValueFault> {
        let digits = self
            .rest
            .get(..4)
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .ok_or_else(malformed)?;
        let unit = u32::from_str_radix(digits, 16).map_err(|_| malformed())?;
        self.skip(4);
        Ok(unit)
    }
}

/// Bytes at the front that PostgreSQL takes for one word.
fn word_end(text: &str) -> usize {
    text.bytes()
        .take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_' || !byte.is_ascii())
        .count()
}

/// 22P02.
pub(super) fn malformed() -> ValueFault {
    ValueFault::syntax("json")
}

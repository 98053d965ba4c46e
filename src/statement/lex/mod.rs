//! PostgreSQL's lexical rules (manual, 4.1; `scan.l`): text → tokens with byte spans.
//!
//! Follows `standard_conforming_strings` either way and assumes UTF-8. Knows no grammar and no names: it
//! must only never disagree with the server about where a token begins, ends, and what it says.

mod escape;
mod quoted;

use compact_str::CompactString;

/// Bytes of an identifier that PostgreSQL keeps (`NAMEDATALEN - 1`).
const IDENTIFIER_BYTES_MAX: usize = 63;

/// What a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// An identifier or keyword, folded and truncated as the server does it.
    Word {
        /// the name as the server would look it up; most are short enough to lie here
        name: CompactString,
        /// `"…"` or `U&"…"`: never a keyword
        quoted: bool,
    },
    /// A string constant of any of the forms `'…'`, `E'…'`, `U&'…'`, `$$…$$`, escapes resolved.
    Text(String),
    /// `B'…'`, `X'…'`, `N'…'`: constants of a type of their own, never adapted to an attribute.
    OtherText,
    /// A numeric constant as written.
    Number,
    /// `$n`
    Parameter(u16),
    /// An operator or punctuation.
    Symbol,
}

/// A token and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    /// what it is
    pub kind: TokenKind,
    /// byte offset of its first byte
    pub start: usize,
    /// byte offset behind its last byte
    pub end: usize,
}

/// A text the server's lexer would refuse as well, or one this lexer will not vouch for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LexFault {
    /// byte offset
    pub position: usize,
    /// what was met
    pub what: &'static str,
}

/// Cuts a statement text into tokens; comments and white space are left out.
///
/// # Errors
/// [`LexFault`] for what is unterminated, not UTF-8 after escapes, or ambiguous between server versions.
pub(super) fn lex(text: &str, standard_conforming_strings: bool) -> Result<Vec<Token>, LexFault> {
    let mut lexer = Lexer {
        text,
        bytes: text.as_bytes(),
        at: 0,
        plain_backslash: standard_conforming_strings,
    };
    let mut tokens = Vec::with_capacity(text.len() / 4);
    while lexer.skip_blank()? {
        let start = lexer.at;
        let kind = lexer.token()?;
        tokens.push(Token {
            kind,
            start,
            end: lexer.at,
        });
    }
    without_uescape(tokens, text)
}

/// `U&'…' UESCAPE 'c'` is refused rather than decoded: no driver and no ORM writes it.
fn without_uescape(tokens: Vec<Token>, text: &str) -> Result<Vec<Token>, LexFault> {
    let is_uescape =
        |t: &Token| matches!(&t.kind, TokenKind::Word { name, quoted: false } if name == "uescape");
    let is_escaped = |t: &Token| {
        matches!(
            text.as_bytes().get(t.start..t.start + 2),
            Some(b"u&" | b"U&")
        )
    };
    match tokens
        .windows(2)
        .find(|pair| is_uescape(&pair[1]) && is_escaped(&pair[0]))
    {
        Some(pair) => Err(LexFault {
            position: pair[1].start,
            what: "UESCAPE",
        }),
        None => Ok(tokens),
    }
}

/// Folds an identifier as the server does: ASCII letters to lower case unless quoted, cut to 63 bytes.
pub(super) fn fold(raw: &str, quoted: bool) -> CompactString {
    let mut name = CompactString::from(raw);
    if !quoted {
        name.make_ascii_lowercase();
    }
    if name.len() > IDENTIFIER_BYTES_MAX {
        let mut cut = IDENTIFIER_BYTES_MAX;
        while !name.is_char_boundary(cut) {
            cut -= 1;
        }
        name.truncate(cut);
    }
    name
}

/// What a byte may be part of: sets of the bits below.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut at = 0;
    while at < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "at is below 256")]
        let b = at as u8;
        classes[at] = match b {
            b' ' | b'\t' | b'\n' | b'\r' | 0x0c | 0x0b => SPACE,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. => IDENT_START | IDENT_PART,
            b'0'..=b'9' | b'$' => IDENT_PART,
            b'~' | b'!' | b'@' | b'#' | b'^' | b'&' | b'|' | b'`' | b'?' | b'+' | b'-' | b'*'
            | b'/' | b'%' | b'<' | b'>' | b'=' => OPERATOR,
            _ => 0,
        };
        at += 1;
    }
    classes
};

const SPACE: u8 = 1;
const IDENT_START: u8 = 2;
const IDENT_PART: u8 = 4;
const OPERATOR: u8 = 8;

fn is_a(b: u8, class: u8) -> bool {
    CLASSES[usize::from(b)] & class != 0
}

fn is_space(b: u8) -> bool {
    is_a(b, SPACE)
}

fn is_ident_start(b: u8) -> bool {
    is_a(b, IDENT_START)
}

fn is_ident_part(b: u8) -> bool {
    is_a(b, IDENT_PART)
}

fn is_operator(b: u8) -> bool {
    is_a(b, OPERATOR)
}

struct Lexer<'t> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
    plain_backslash: bool,
}

impl Lexer<'_> {
    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn fault<T>(&self, position: usize, what: &'static str) -> Result<T, LexFault> {
        Err(LexFault { position, what })
    }

    /// Skips white space and comments; false at the end of the text.
    fn skip_blank(&mut self) -> Result<bool, LexFault> {
        loop {
            match self.peek(0) {
                b if is_space(b) => self.at += 1,
                b'-' if self.peek(1) == b'-' => self.skip_line(),
                b'/' if self.peek(1) == b'*' => self.skip_comment()?,
                0 if self.at < self.bytes.len() => return self.fault(self.at, "a NUL byte"),
                _ => return Ok(self.at < self.bytes.len()),
            }
        }
    }

    fn skip_line(&mut self) {
        while self.at < self.bytes.len() && !matches!(self.peek(0), b'\n' | b'\r') {
            self.at += 1;
        }
    }

    fn skip_comment(&mut self) -> Result<(), LexFault> {
        let start = self.at;
        let mut depth = 0usize;
        loop {
            match (self.peek(0), self.peek(1)) {
                (b'/', b'*') => {
                    depth += 1;
                    self.at += 2;
                }
                (b'*', b'/') => {
                    depth -= 1;
                    self.at += 2;
                    if depth == 0 {
                        return Ok(());
                    }
                }
                _ if self.at >= self.bytes.len() => {
                    return self.fault(start, "an unterminated comment");
                }
                _ => self.at += 1,
            }
        }
    }

    fn token(&mut self) -> Result<TokenKind, LexFault> {
        let next = self.peek(1);
        match self.peek(0) {
            b'\'' => self.string(!self.plain_backslash).map(TokenKind::Text),
            b'e' | b'E' if next == b'\'' => {
                self.at += 1;
                self.string(true).map(TokenKind::Text)
            }
            // The server reads N'…' as the keyword NCHAR and a string like any other.
            b'n' | b'N' if next == b'\'' => {
                self.at += 1;
                self.string(!self.plain_backslash)
                    .map(|_| TokenKind::OtherText)
            }
            b'b' | b'B' | b'x' | b'X' if next == b'\'' => {
                let start = self.at;
                self.at += 1;
                match self.string(false)?.contains('\'') {
                    true => self.fault(start, "a quote in a bit string"),
                    false => Ok(TokenKind::OtherText),
                }
            }
            b'u' | b'U' if next == b'&' && matches!(self.peek(2), b'\'' | b'"') => self.unicode(),
            b'"' => self.quoted_identifier().map(|name| TokenKind::Word {
                name: fold(&name, true),
                quoted: true,
            }),
            b'$' => self.dollar(),
            b if is_ident_start(b) => Ok(self.word()),
            b if b.is_ascii_digit() || (b == b'.' && next.is_ascii_digit()) => self.number(),
            b',' | b'(' | b')' | b'[' | b']' | b';' => {
                self.at += 1;
                Ok(TokenKind::Symbol)
            }
            b'.' => {
                self.at += if next == b'.' { 2 } else { 1 };
                Ok(TokenKind::Symbol)
            }
            b':' => {
                self.at += if matches!(next, b':' | b'=') { 2 } else { 1 };
                Ok(TokenKind::Symbol)
            }
            b if is_operator(b) => {
                self.operator();
                Ok(TokenKind::Symbol)
            }
            _ => self.fault(self.at, "a character that begins no token"),
        }
    }

    fn word(&mut self) -> TokenKind {
        let start = self.at;
        let length = self.bytes[start..].iter().position(|&b| !is_ident_part(b));
        self.at = length.map_or(self.bytes.len(), |length| start + length);
        TokenKind::Word {
            name: fold(&self.text[start..self.at], false),
            quoted: false,
        }
    }

    /// `$n` or a dollar-quoted string.
    fn dollar(&mut self) -> Result<TokenKind, LexFault> {
        let start = self.at;
        if self.peek(1).is_ascii_digit() {
            self.at += 1;
            while self.peek(0).is_ascii_digit() {
                self.at += 1;
            }
            if is_ident_start(self.peek(0)) {
                return self.fault(start, "letters right behind a parameter");
            }
            return match self.text[start + 1..self.at].parse::<u16>() {
                Ok(number) if number > 0 => Ok(TokenKind::Parameter(number)),
                _ => self.fault(start, "a parameter number out of range"),
            };
        }
        let mut tag_end = start + 1;
        if is_ident_start(self.peek(1)) {
            while self
                .bytes
                .get(tag_end)
                .is_some_and(|&b| is_ident_part(b) && b != b'$')
            {
                tag_end += 1;
            }
        }
        if self.bytes.get(tag_end) != Some(&b'$') {
            return self.fault(start, "a lone dollar sign");
        }
        let tag = &self.text[start..=tag_end];
        let body = tag_end + 1;
        match self.text[body..].find(tag) {
            Some(length) => {
                self.at = body + length + tag.len();
                Ok(TokenKind::Text(self.text[body..body + length].to_owned()))
            }
            None => self.fault(start, "an unterminated dollar-quoted string"),
        }
    }

    fn digits(&mut self) {
        while self.peek(0).is_ascii_digit() {
            self.at += 1;
        }
    }

    fn number(&mut self) -> Result<TokenKind, LexFault> {
        let start = self.at;
        self.digits();
        if self.peek(0) == b'.' && self.peek(1) != b'.' {
            self.at += 1;
            self.digits();
        }
        if matches!(self.peek(0), b'e' | b'E') {
            let sign = usize::from(matches!(self.peek(1), b'+' | b'-'));
            if self.peek(1 + sign).is_ascii_digit() {
                self.at += 1 + sign;
                self.digits();
            }
        }
        // PostgreSQL 15 refuses letters here, 14 begins a new token, 16 has 0x and 1_000: vouch for none.
        if is_ident_start(self.peek(0)) {
            return self.fault(start, "letters right behind a number");
        }
        Ok(TokenKind::Number)
    }

    /// The longest run of operator characters that holds no comment start, less trailing `+` and `-` where
    /// no character of `~!@#^&|` + "`" + `?%` makes them part of it (manual, 4.1.3).
    fn operator(&mut self) {
        let start = self.at;
        let mut end = start;
        while self.bytes.get(end).is_some_and(|&b| is_operator(b)) {
            let pair = (self.bytes[end], self.bytes.get(end + 1).copied());
            if end > start && matches!(pair, (b'-', Some(b'-')) | (b'/', Some(b'*'))) {
                break;
            }
            end += 1;
        }
        if !self.bytes[start..end]
            .iter()
            .any(|b| b"~!@#^&|`?%".contains(b))
        {
            while end - start > 1 && matches!(self.bytes[end - 1], b'+' | b'-') {
                end -= 1;
            }
        }
        self.at = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<TokenKind> {
        lex(text, true)
            .unwrap()
            .into_iter()
            .map(|t| t.kind)
            .collect()
    }

    fn texts(text: &str, conforming: bool) -> Vec<String> {
        lex(text, conforming)
            .unwrap()
            .into_iter()
            .map(|t| text[t.start..t.end].to_owned())
            .collect()
    }

    fn word(name: &str) -> TokenKind {
        TokenKind::Word {
            name: name.into(),
            quoted: false,
        }
    }

    #[test]
    fn words_fold_as_the_server_folds_them() {
        assert_eq!(kinds("SeLeCt É$1"), [word("select"), word("É$1")]);
        assert_eq!(
            kinds("\"Sel\"\"ect\""),
            [TokenKind::Word {
                name: "Sel\"ect".into(),
                quoted: true
            }]
        );
        assert_eq!(
            kinds("U&\"c\\006Fntacts\""),
            [TokenKind::Word {
                name: "contacts".into(),
                quoted: true
            }]
        );
        let long = "é".repeat(40);
        assert_eq!(kinds(&long), [word(&"é".repeat(31))]);
    }

    #[test]
    fn strings_are_decoded() {
        let text = |s: &str| TokenKind::Text(s.into());
        assert_eq!(kinds("'a''b'"), [text("a'b")]);
        assert_eq!(kinds(r"'a\'"), [text(r"a\")]);
        assert_eq!(
            kinds(r"E'a\'b\x41\101\u00e9\U0001F600\n'"),
            [text("a'bAA\u{e9}\u{1f600}\n")]
        );
        assert_eq!(kinds(r"E'\ud83d\ude00'"), [text("\u{1f600}")]);
        assert_eq!(kinds("'a'\n 'b' 'c'"), [text("ab"), text("c")]);
        assert_eq!(kinds("'a' -- x\n 'b'"), [text("ab")]);
        assert_eq!(kinds("$a$ it's $b$ $a$"), [text(" it's $b$ ")]);
        assert_eq!(kinds("$$x$$"), [text("x")]);
        assert_eq!(kinds(r"U&'d\0061t\+000061'"), [text("data")]);
        assert_eq!(
            kinds("x'1F' b'01' n'a'"),
            [
                TokenKind::OtherText,
                TokenKind::OtherText,
                TokenKind::OtherText
            ]
        );
    }

    #[test]
    fn s03_backslashes_follow_standard_conforming_strings() {
        assert_eq!(
            texts(r"'\' OR 1=1 --'", true),
            [r"'\'", "OR", "1", "=", "1"]
        );
        assert_eq!(texts(r"'\' OR 1=1 --'", false), [r"'\' OR 1=1 --'"]);
        // N'…' is the keyword NCHAR and a string like any other.
        assert_eq!(texts(r"N'\'', notes --'", false), [r"N'\''", ",", "notes"]);
        assert_eq!(texts(r"N'\', notes --'", true), [r"N'\'", ",", "notes"]);
    }

    #[test]
    fn operators_never_swallow_comments() {
        assert_eq!(texts("a=--b\n1", true), ["a", "=", "1"]);
        assert_eq!(texts("a+/* x /* y */ z */b", true), ["a", "+", "b"]);
        assert_eq!(texts("a=-1", true), ["a", "=", "-", "1"]);
        assert_eq!(texts("a@-1", true), ["a", "@-", "1"]);
        assert_eq!(
            texts("a->>'b'::text", true),
            ["a", "->>", "'b'", "::", "text"]
        );
        assert_eq!(texts("x[1:2]", true), ["x", "[", "1", ":", "2", "]"]);
        assert_eq!(
            texts("1.5e3 .5 1..2", true),
            ["1.5e3", ".5", "1", "..", "2"]
        );
    }

    #[test]
    fn s03_uescape_is_a_keyword_only_behind_an_escaped_token() {
        assert!(lex("SELECT 1 AS uescape", true).is_ok());
        assert!(lex("SELECT U&\"a\" /* x */ uescape '!'", true).is_err());
    }

    #[test]
    fn s03_what_is_doubtful_is_a_fault() {
        for text in [
            "'a",
            "\"a",
            "/* /* */",
            "$1x",
            "1a",
            "$a$ x",
            "U&'\\00zz'",
            "\"\"",
            "U&'x' UESCAPE '!'",
            "X'1F''a'",
            r"E'\xff'",
            "a\0b",
            r"E'\u0000'",
        ] {
            assert!(lex(text, true).is_err(), "{text}");
        }
    }
}

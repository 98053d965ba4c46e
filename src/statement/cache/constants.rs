//! Which constants of a text count by their form alone: those at places where the analysis does not ask what they say.
//!
//! It goes by tokens, and need not know the grammar: what it takes for such a place and is none is found out by the
//! second analysis, with other constants. But it must not take in what names something: there are more names than two.

use crate::statement::lex::{Token, TokenKind};

/// What of a constant counts: the analysis goes by the type that PostgreSQL gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Form {
    Text,
    /// an integer that is an `int4`
    Int4,
    /// … an `int8`
    Int8,
    /// … a `numeric`
    Large,
    /// a number with a point or an exponent
    Decimal,
}

/// A constant that counts by its form alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Constant {
    /// its token
    pub(super) index: usize,
    pub(super) form: Form,
}

/// The parentheses a token stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inside {
    /// a row of VALUES
    Row,
    /// the list of an IN
    List,
    Other,
}

/// Symbols right before a constant that is compared or assigned.
const COMPARISONS: &[&str] = &["=", "<>", "!=", "<", ">", "<=", ">="];

/// Words right before a constant that is compared, and those before one that only counts rows.
const WORDS_BEFORE: &[&str] = &["like", "ilike", "between", "limit", "offset"];

/// Words right behind a constant that end its expression, or go on with it by AND and OR.
const ENDS: &[&str] = &[
    "and",
    "or",
    "order",
    "group",
    "having",
    "limit",
    "offset",
    "returning",
    "where",
    "for",
    "union",
    "intersect",
    "except",
    "then",
];

/// Words before the parenthesis of a list of constants, or of one by itself: Django compares `UPPER(a) LIKE UPPER('x')`.
const LISTS: &[&str] = &["in", "upper", "lower"];

/// Types that a constant may be cast to: none of their values names anything, as one of `regclass` does.
const CASTS: &[&str] = &[
    "text",
    "varchar",
    "date",
    "timestamp",
    "timestamptz",
    "time",
    "interval",
    "smallint",
    "int",
    "integer",
    "bigint",
    "int2",
    "int4",
    "int8",
    "numeric",
    "bool",
    "boolean",
    "uuid",
];

/// Words that may stand in a list of constants.
const IN_LISTS: &[&str] = &["null", "true", "false", "default"];

/// The constants at places where the analysis does not ask what they say.
pub(super) fn constants(text: &str, tokens: &[Token]) -> Vec<Constant> {
    let tokens = Tokens { text, tokens };
    let mut found = Vec::new();
    let mut around: Vec<Inside> = Vec::new();
    // What the parenthesis right before the token closed.
    let mut closed = None;
    for (index, token) in tokens.tokens.iter().enumerate() {
        let before = index.checked_sub(1);
        let closed_before = closed.take();
        match &token.kind {
            TokenKind::Symbol => match tokens.written(token) {
                "(" => around.push(match (tokens.word(before), tokens.symbol(before)) {
                    (Some(word), _) if LISTS.contains(&word) => Inside::List,
                    (Some("values"), _) => Inside::Row,
                    (_, Some(",")) if closed_before == Some(Inside::Row) => Inside::Row,
                    _ => Inside::Other,
                }),
                ")" => closed = around.pop(),
                // One more row may follow.
                "," => closed = closed_before,
                _ => {}
            },
            TokenKind::Word { .. } => {
                if !tokens.may_be_listed(index)
                    && let Some(inside) = around.last_mut()
                {
                    *inside = Inside::Other;
                }
            }
            TokenKind::Text(_) | TokenKind::Number => {
                let listed = matches!(around.last(), Some(Inside::Row | Inside::List));
                if let Some(form) = form(&token.kind, tokens.written(token))
                    && ((listed && tokens.is_item(index)) || tokens.is_compared(index))
                {
                    found.push(Constant { index, form });
                }
            }
            TokenKind::OtherText | TokenKind::Parameter(_) => {}
        }
    }
    found
}

/// A text's tokens, as one asks for them by their place.
struct Tokens<'t> {
    text: &'t str,
    tokens: &'t [Token],
}

impl<'t> Tokens<'t> {
    fn written(&self, token: &Token) -> &'t str {
        &self.text[token.start..token.end]
    }

    fn at(&self, at: Option<usize>) -> Option<&'t Token> {
        self.tokens.get(at?)
    }

    /// The unquoted word there.
    fn word(&self, at: Option<usize>) -> Option<&'t str> {
        match &self.at(at)?.kind {
            TokenKind::Word {
                name,
                quoted: false,
            } => Some(name.as_str()),
            _ => None,
        }
    }

    fn symbol(&self, at: Option<usize>) -> Option<&'t str> {
        let token = self.at(at)?;
        (token.kind == TokenKind::Symbol).then(|| self.written(token))
    }

    /// The place right behind a constant, and behind what it is cast to.
    fn behind(&self, constant: usize) -> usize {
        match (
            self.symbol(Some(constant + 1)),
            self.word(Some(constant + 2)),
        ) {
            (Some("::"), Some(word)) if CASTS.contains(&word) => constant + 3,
            _ => constant + 1,
        }
    }

    /// Whether a list of constants stays one with this word in it.
    fn may_be_listed(&self, word: usize) -> bool {
        let is_cast = self.symbol(word.checked_sub(1)) == Some("::");
        let among = if is_cast { CASTS } else { IN_LISTS };
        self.word(Some(word))
            .is_some_and(|name| among.contains(&name))
    }

    /// Whether a constant is an item of a list, by itself.
    fn is_item(&self, constant: usize) -> bool {
        let behind = Some(self.behind(constant));
        matches!(self.symbol(constant.checked_sub(1)), Some("(" | ","))
            && matches!(self.symbol(behind), Some(")" | ","))
    }

    /// Whether a constant is one side of a comparison, by itself, or counts rows.
    fn is_compared(&self, constant: usize) -> bool {
        let before = constant.checked_sub(1);
        let behind = self.behind(constant);
        let ends = behind == self.tokens.len()
            || matches!(self.symbol(Some(behind)), Some(")" | "," | ";"))
            || self
                .word(Some(behind))
                .is_some_and(|word| ENDS.contains(&word));
        ends && (self
            .symbol(before)
            .is_some_and(|s| COMPARISONS.contains(&s))
            || self
                .word(before)
                .is_some_and(|word| WORDS_BEFORE.contains(&word))
            || self.is_and_of_between(before))
    }

    /// Whether the token there is the AND behind BETWEEN and a constant.
    fn is_and_of_between(&self, and: Option<usize>) -> bool {
        let back = |count: usize| and.and_then(|and| and.checked_sub(count));
        let is_first = |at: &usize| {
            let constant = self.at(Some(*at)).map(|token| &token.kind);
            matches!(constant, Some(TokenKind::Text(_) | TokenKind::Number))
                && self.word(at.checked_sub(1)) == Some("between")
                && Some(self.behind(*at)) == and
        };
        self.word(and) == Some("and") && [back(1), back(3)].iter().flatten().any(is_first)
    }
}

/// None where more than the form counts: a number that is not written as PostgreSQL would print it is another text.
fn form(kind: &TokenKind, written: &str) -> Option<Form> {
    Some(match kind {
        TokenKind::Number if !written.bytes().all(|b| b.is_ascii_digit()) => Form::Decimal,
        TokenKind::Number if written.len() > 1 && written.starts_with('0') => return None,
        TokenKind::Number if written.parse::<i32>().is_ok() => Form::Int4,
        TokenKind::Number if written.parse::<i64>().is_ok() => Form::Int8,
        TokenKind::Number => Form::Large,
        _ => Form::Text,
    })
}

/// The text with another constant of the same form in the place of each of these.
pub(super) fn with_others(text: &str, tokens: &[Token], constants: &[Constant]) -> String {
    let mut other = String::with_capacity(text.len());
    let mut at = 0;
    for constant in constants {
        let token = &tokens[constant.index];
        let written = &text[token.start..token.end];
        other.push_str(&text[at..token.start]);
        match constant.form {
            Form::Text if written == "'a'" => other.push_str("'b'"),
            Form::Text => other.push_str("'a'"),
            Form::Int4 | Form::Int8 | Form::Large | Form::Decimal => {
                let (head, last) = written.split_at(written.len() - 1);
                other.push_str(head);
                other.push(match last {
                    "1" => '2',
                    // `1.`
                    "." => '.',
                    _ => '1',
                });
            }
        }
        at = token.end;
    }
    other.push_str(&text[at..]);
    other
}

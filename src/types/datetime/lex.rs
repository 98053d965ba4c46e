//! Cuts date and time input into fields: dates, times, numbers, zones and words.
//!
//! The cuts are those of PostgreSQL (datetime.c, ParseDateTime), since what a text means hangs on them. It does
//! not know what the fields mean, but for the words that stop a date with a name in it.

use super::words;

/// Fields that PostgreSQL takes from one text (MAXDATEFIELDS).
const FIELDS_MAX: usize = 25;

/// What a field looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `2024-01-31`, `31-jan-2024`, `america/new_york`
    Date,
    /// `10:00:00.5`
    Time,
    /// `20240131`, `0.5`
    Number,
    /// `+02:00`
    Zone,
    /// `january`, `-infinity`
    Word,
}

/// A piece of the text, in lower case.
#[derive(Clone)]
pub(super) struct Field {
    pub(super) kind: Kind,
    pub(super) text: String,
}

/// Cuts the text; None when it cannot be a date, or needs more than `space` bytes in PostgreSQL's work buffer.
pub(super) fn fields(text: &str, space: usize) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    let mut used = 0_usize;
    let mut cursor = Cursor {
        rest: text.as_bytes(),
    };
    while let Some(first) = cursor.peek() {
        if crate::types::is_space(first) {
            cursor.rest = cursor.rest.get(1..)?;
            continue;
        }
        if fields.len() >= FIELDS_MAX {
            return None;
        }
        let mut taken = String::new();
        let kind = match first {
            b'0'..=b'9' => cursor.number_time_or_date(&mut taken),
            b'a'..=b'z' | b'A'..=b'Z' => cursor.word_or_date(&mut taken),
            b'.' => {
                cursor.one(&mut taken);
                cursor.run(&mut taken, |c| c.is_ascii_digit());
                Kind::Number
            }
            b'+' | b'-' => cursor.signed(&mut taken)?,
            _ if first.is_ascii_punctuation() => {
                cursor.rest = cursor.rest.get(1..)?;
                continue;
            }
            _ => return None,
        };
        // Every byte needs room for itself and an end.
        if used + taken.len() >= space {
            return None;
        }
        used += taken.len() + 1;
        fields.push(Field { kind, text: taken });
    }
    Some(fields)
}

struct Cursor<'t> {
    rest: &'t [u8],
}

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    fn peek_is(&self, test: impl Fn(u8) -> bool) -> bool {
        self.peek().is_some_and(test)
    }

    fn one(&mut self, taken: &mut String) {
        if let [first, after @ ..] = self.rest {
            taken.push(char::from(first.to_ascii_lowercase()));
            self.rest = after;
        }
    }

    fn run(&mut self, taken: &mut String, test: impl Fn(u8) -> bool) {
        while self.peek_is(&test) {
            self.one(taken);
        }
    }

    fn number_time_or_date(&mut self, taken: &mut String) -> Kind {
        self.run(taken, |c| c.is_ascii_digit());
        match self.peek() {
            Some(b':') => {
                self.run(taken, |c| c.is_ascii_digit() || matches!(c, b':' | b'.'));
                Kind::Time
            }
            Some(mark @ (b'-' | b'/' | b'.')) => {
                self.one(taken);
                if !self.peek_is(|c| c.is_ascii_digit()) {
                    self.run(taken, |c| c.is_ascii_alphanumeric() || c == mark);
                    return Kind::Date;
                }
                self.run(taken, |c| c.is_ascii_digit());
                // Only the same mark again makes it a date of three fields.
                if self.peek() == Some(mark) {
                    self.run(taken, |c| c.is_ascii_digit() || c == mark);
                    Kind::Date
                } else if mark == b'.' {
                    Kind::Number
                } else {
                    Kind::Date
                }
            }
            _ => Kind::Number,
        }
    }

    fn word_or_date(&mut self, taken: &mut String) -> Kind {
        self.run(taken, |c| c.is_ascii_alphabetic());
        let continues = match self.peek() {
            Some(b'-' | b'/' | b'.') => true,
            Some(b'+' | b'0'..=b'9') => words::core_word(taken).is_none(),
            _ => false,
        };
        if !continues {
            return Kind::Word;
        }
        self.run(taken, |c| {
            c.is_ascii_alphanumeric() || matches!(c, b'+' | b'-' | b'/' | b'_' | b'.' | b':')
        });
        Kind::Date
    }

    fn signed(&mut self, taken: &mut String) -> Option<Kind> {
        self.one(taken);
        while self.peek_is(crate::types::is_space) {
            self.rest = self.rest.get(1..)?;
        }
        match self.peek()? {
            b'0'..=b'9' => {
                self.run(taken, |c| {
                    c.is_ascii_digit() || matches!(c, b':' | b'.' | b'-')
                });
                Some(Kind::Zone)
            }
            b'a'..=b'z' | b'A'..=b'Z' => {
                self.run(taken, |c| c.is_ascii_alphabetic());
                Some(Kind::Word)
            }
            _ => None,
        }
    }
}

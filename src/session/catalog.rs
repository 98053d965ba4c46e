//! What a session's own statements change in the catalog: a text is analysed under what the ones before it left.
//!
//! A text that changes the catalog is known by the words it begins with. The next one waits until it is answered,
//! and, once its transaction has ended, until the catalog is read again. What it changed in a transaction that is
//! still open nobody else can read; there, statements on treated attributes are refused after a change that could
//! reach one without naming it. Functions that change the catalog are not seen here: the server announces them.

use std::sync::Arc;

use super::Veil;
use super::run::Session;
use super::settle::Text;
use super::texts::refusal;
use crate::ident::SqlState;
use crate::statement::plan::Refusal;

/// What a text may change in the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum Change {
    /// nothing
    #[default]
    Nothing,
    /// tables, views, indexes and sequences that it names: it was analysed with their names
    Named,
    /// anything
    Anything,
}

/// The session's changes that the catalog in use does not have.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// of the transaction that is open
    open: Change,
    /// the transaction has ended: the catalog is to be read again
    due: bool,
}

impl Changes {
    /// A statement of a text has completed.
    pub fn completed(&mut self, change: Change) {
        self.open = self.open.max(change);
    }

    /// The server is ready for the next; `idle` when no transaction is open.
    pub fn ready(&mut self, idle: bool) {
        if idle {
            self.due |= std::mem::take(&mut self.open) > Change::Nothing;
        }
    }
}

impl<V: Veil> Session<V> {
    /// Whether the catalog has to be read again before the next message of the client is taken.
    pub fn awaits_catalog(&self) -> bool {
        self.changes.due
    }

    /// The catalog was read again; a view of it was given, if it differs ([`Session::renew`]).
    pub fn catalog_read(&mut self) {
        self.changes.due = false;
    }

    /// A text is sent for execution: what it may change is heard.
    pub(super) fn sends(&mut self, text: &Arc<Text>) {
        self.settings.hear_float_digits(text.as_str());
        text.change(|name| self.veil.is_relation(name));
        self.window.run(text);
    }

    /// Whether a text must wait: what was sent may change the catalog, and the server has yet to say.
    pub(super) fn catalog_awaited(&self) -> bool {
        let changing = || self.changes.open > Change::Nothing || self.window.changes_catalog();
        self.pending.ready_awaited() && changing()
    }

    /// Whether a plan can be relied on in the transaction that is open.
    ///
    /// # Errors
    /// A refusal after a change that may have reached a treated attribute without naming it.
    pub(super) fn catalog_standing(&self) -> Result<(), Refusal> {
        let open = self.window.open_change().max(self.changes.open);
        match open {
            Change::Nothing | Change::Named => Ok(()),
            Change::Anything => Err(refusal(
                SqlState::FEATURE_NOT_SUPPORTED,
                "this transaction has changed the catalog in a way that may concern protected columns",
                "COMMIT first, then send the statement again.",
            )),
        }
    }
}

/// What a text may change. `is_relation` says whether a permanent relation has that name.
pub(super) fn change_of(text: &str, is_relation: impl Fn(&str) -> bool) -> Change {
    // A comment hides which word is first; a semicolon in a literal only shows more than there is.
    let bytes = text.as_bytes();
    let commented = memchr::memchr2_iter(b'-', b'/', bytes)
        .any(|at| matches!(bytes.get(at..at + 2), Some(b"--" | b"/*")));
    let mut change = Change::Nothing;
    let mut rest = text;
    while change < Change::Anything {
        let Some(at) = rest.find(is_word) else {
            break;
        };
        rest = &rest[at..];
        change = change.max(change_at(rest, &is_relation));
        let separator = match commented {
            true => rest.find(|c| !is_word(c)),
            false => rest.find(';'),
        };
        match separator {
            Some(end) => rest = &rest[end..],
            None => break,
        }
    }
    change
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c| !is_word(c)).filter(|word| !word.is_empty())
}

/// What the statement that begins here may change.
fn change_at(text: &str, is_relation: &impl Fn(&str) -> bool) -> Change {
    let mut words = words(text);
    let first = words.next().unwrap_or_default();
    let is = |word: &str, among: &[&str]| among.iter().any(|w| word.eq_ignore_ascii_case(w));
    if is(first, &["do", "import", "reassign"]) {
        return Change::Anything;
    }
    if !is(first, &["create", "alter", "drop"]) {
        return Change::Nothing;
    }
    let mut temporary = false;
    while let Some(word) = words.next() {
        if is(word, &["temp", "temporary"]) {
            temporary = true;
        } else if is(word, OBJECTS) {
            let mut name = words.skip_while(|w| is(w, &["if", "not", "exists", "only"]));
            let hides_nothing = temporary && !name.next().is_none_or(is_relation);
            return match hides_nothing {
                true => Change::Nothing,
                false => Change::Named,
            };
        } else if is(word, ELSEWHERE) {
            return Change::Nothing;
        } else if !is(word, MODIFIERS) {
            break;
        }
    }
    Change::Anything
}

/// Objects whose names stand in the statement.
const OBJECTS: &[&str] = &["table", "view", "index", "sequence", "statistics"];

/// What may stand before them.
const MODIFIERS: &[&str] = &[
    "or",
    "replace",
    "global",
    "local",
    "unlogged",
    "unique",
    "materialized",
    "recursive",
];

/// Objects that no analysis looks at.
const ELSEWHERE: &[&str] = &[
    "role",
    "user",
    "group",
    "database",
    "tablespace",
    "system",
    "publication",
    "subscription",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn change(text: &str) -> Change {
        change_of(text, |name| name == "plain")
    }

    #[test]
    fn changes_are_known_by_the_first_words() {
        for text in [
            "CREATE TABLE t (a int)",
            "drop view if exists v",
            "select 1; CREATE UNIQUE INDEX i ON t (a)",
            "ALTER TABLE t RENAME TO u",
            "CREATE TEMP TABLE plain (a int)",
            "CREATE TEMPORARY TABLE IF NOT EXISTS \"plain\" (a int)",
            "/* a comment */ CREATE TABLE t ()",
            "-- a comment\nCREATE TABLE t ()",
        ] {
            assert_eq!(change(text), Change::Named, "{text}");
        }
        for text in [
            "ALTER SCHEMA public RENAME TO other",
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "DO $$ BEGIN END $$",
            "CREATE FOREIGN TABLE t () SERVER s",
            "DROP OWNED BY somebody",
            "BEGIN; CREATE EXTENSION x; COMMIT",
        ] {
            assert_eq!(change(text), Change::Anything, "{text}");
        }
        for text in [
            "",
            "SELECT 'create table'",
            "INSERT INTO t VALUES (1)",
            "CREATE ROLE r",
            "CREATE TEMP TABLE x AS SELECT * FROM plain",
            "COMMENT ON TABLE t IS 'x'",
            "BEGIN",
        ] {
            assert_eq!(change(text), Change::Nothing, "{text}");
        }
    }

    #[test]
    fn a_change_is_due_when_its_transaction_has_ended() {
        let mut changes = Changes::default();
        changes.completed(Change::Named);
        changes.ready(false);
        assert!(!changes.due);
        changes.completed(Change::Nothing);
        changes.ready(true);
        assert!(changes.due && changes.open == Change::Nothing);
    }
}

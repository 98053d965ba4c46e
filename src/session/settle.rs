//! Whether a text can be read yet: the settings that decide how the server will lex it, and how values look.
//!
//! `standard_conforming_strings` and `client_encoding` may change by SET, set_config, UPDATE pg_settings, or
//! any function; the server reports them only before ReadyForQuery. Texts of ASCII without a backslash lex
//! the same whatever the settings are. It knows nothing of what a text means.

use std::sync::{Arc, OnceLock};

use super::catalog::{Change, change_of};
use crate::limits::UNSETTLED_TEXTS_MAX;
use crate::statement::{self, ClientEncoding};
use crate::types::{DateStyle, IntervalStyle, ServerVersion, SessionZone, TextSettings};

/// How the server lexes a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lexing {
    /// `standard_conforming_strings`
    pub standard_conforming_strings: bool,
    /// `client_encoding`
    pub client_encoding: ClientEncoding,
}

/// The reported settings that pgveil must know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// how texts are lexed
    pub lexing: Lexing,
    /// how values look as text
    pub text: TextSettings,
    /// whether floats are printed with the shortest digits for certain: nothing reports `extra_float_digits`
    pub floats_are_shortest: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lexing: Lexing {
                standard_conforming_strings: true,
                client_encoding: ClientEncoding::Utf8,
            },
            text: TextSettings::default(),
            floats_are_shortest: true,
        }
    }
}

impl Settings {
    /// Takes a ParameterStatus of the server over; what pgveil need not know is left.
    pub fn report(&mut self, name: &[u8], value: &[u8]) {
        let text = || String::from_utf8_lossy(value).into_owned();
        match name {
            b"standard_conforming_strings" => {
                self.lexing.standard_conforming_strings = value == b"on";
            }
            b"client_encoding" => self.lexing.client_encoding = ClientEncoding::named(value),
            b"DateStyle" => self.text.date_style = DateStyle::of(&text()),
            b"TimeZone" => self.text.time_zone = SessionZone::of(&text()),
            b"server_version" => {
                self.text.version = ServerVersion::reported(&text()).unwrap_or(self.text.version);
            }
            b"IntervalStyle" => self.text.interval_style = IntervalStyle::of(&text()),
            _ => {}
        }
    }
}

/// The setting that says how many digits a float is printed with.
const FLOAT_DIGITS: &str = "extra_float_digits";

impl Settings {
    /// Hears what a text, or an option of the login, says of `extra_float_digits`: only a plain SET to more than 0
    /// leaves floats as they are.
    pub fn hear_float_digits(&mut self, text: &str) {
        if !stands_in(text, FLOAT_DIGITS) {
            return;
        }
        let lower = text.to_ascii_lowercase();
        let mut rest = lower.as_str();
        while let Some(at) = rest.find(FLOAT_DIGITS) {
            rest = &rest[at + FLOAT_DIGITS.len()..];
            let value = rest.trim_start();
            let value = value
                .strip_prefix('=')
                .or_else(|| value.strip_prefix("to "));
            let value = value
                .unwrap_or_default()
                .trim_start()
                .trim_start_matches('\'');
            self.floats_are_shortest &= value.starts_with(|c: char| matches!(c, '1'..='9'));
        }
    }
}

/// Whether a word of ASCII with an underscore stands in a text, in whatever case. Nearly always it does not: nothing is
/// copied for it.
fn stands_in(text: &str, word: &str) -> bool {
    let (text, word) = (text.as_bytes(), word.as_bytes());
    let ahead = word.iter().position(|&b| b == b'_').unwrap_or_default();
    memchr::memchr_iter(b'_', text)
        .filter_map(|at| text.get(at.checked_sub(ahead)?..)?.get(..word.len()))
        .any(|part| part.eq_ignore_ascii_case(word))
}

/// A client's text, with what is found out about it once. It has no `Debug`: it may hold values.
pub struct Text {
    text: Arc<str>,
    steady: OnceLock<bool>,
    fingerprint: OnceLock<Option<u64>>,
    change: OnceLock<Change>,
}

impl Text {
    pub(super) fn new(text: &str) -> Arc<Self> {
        Arc::new(Self {
            text: text.into(),
            steady: OnceLock::new(),
            fingerprint: OnceLock::new(),
            change: OnceLock::new(),
        })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The text, shared.
    pub(super) fn shared(&self) -> Arc<str> {
        Arc::clone(&self.text)
    }

    /// Its shape, without any constant.
    pub(super) fn fingerprint(&self) -> Option<u64> {
        *self
            .fingerprint
            .get_or_init(|| statement::fingerprint(&self.text))
    }

    /// Its shape was found on the way.
    pub(super) fn hear_fingerprint(&self, found: Option<u64>) {
        if found.is_some() {
            // It may be known already, and is the same then.
            let _ = self.fingerprint.set(found);
        }
    }

    /// What it may change in the catalog; `is_relation` says whether a permanent relation has a name.
    pub(super) fn change(&self, is_relation: impl Fn(&str) -> bool) -> Change {
        *self
            .change
            .get_or_init(|| change_of(&self.text, is_relation))
    }

    /// What was found of that when it was sent.
    fn known_change(&self) -> Change {
        self.change.get().copied().unwrap_or_default()
    }

    /// Whether no word in it speaks of changing settings.
    fn is_steady(&self) -> bool {
        *self.steady.get_or_init(|| !speaks_of_settings(&self.text))
    }
}

/// Whether the server's lexer may read the text differently under other settings.
pub(super) fn is_sensitive(text: &[u8]) -> bool {
    text.iter()
        .fold(false, |found, &b| found | (b >= 0x80) | (b == b'\\'))
}

/// Words that may change a setting wherever they stand.
const ANYWHERE: &[&str] = &[
    "set_config",
    "pg_settings",
    "discard",
    "reset",
    "datestyle",
    "intervalstyle",
    "timezone",
    "client_encoding",
    "standard_conforming_strings",
    "names",
    "pg_reload_conf",
];

/// Words that may change a setting at the head of a statement.
const FIRST: &[&str] = &[
    "set", "do", "call", "execute", "commit", "rollback", "end", "abort", "prepare", "alter",
];

fn speaks_of_settings(text: &str) -> bool {
    let mut first = true;
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b >= 0x80;
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if !is_word(bytes[at]) {
            first |= bytes[at] == b';';
            at += 1;
            continue;
        }
        let end = bytes[at..]
            .iter()
            .position(|&b| !is_word(b))
            .map_or(bytes.len(), |n| at + n);
        let word = &bytes[at..end];
        let among = |list: &[&str]| list.iter().any(|w| word.eq_ignore_ascii_case(w.as_bytes()));
        if among(ANYWHERE) || (first && among(FIRST)) {
            return true;
        }
        first = false;
        at = end;
    }
    // A leading comment hides which word is first.
    text.trim_start().starts_with("--") || text.trim_start().starts_with("/*")
}

/// Whether no statement of the text can run code of anybody's that changes a setting.
fn is_inert(text: &str) -> bool {
    let text = text.trim().trim_end_matches(';');
    let word = text.split_ascii_whitespace().next().unwrap_or_default();
    !text.contains(';')
        && ["begin", "start", "savepoint", "release"]
            .iter()
            .any(|w| word.eq_ignore_ascii_case(w))
}

/// What may be said of the settings when the next text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// They are as reported.
    Settled,
    /// They may be about to change, and the report will come.
    Awaited,
    /// They may have changed since the last Sync, and nothing reports it before the next.
    Open,
}

/// The texts that run since the settings were last certain.
#[derive(Default)]
pub(super) struct Window {
    /// of pipelines that have ended: a ReadyForQuery will follow them
    ended: Run,
    /// of the pipeline that is not yet ended
    open: Run,
}

impl Window {
    /// A text is sent for execution.
    pub fn run(&mut self, text: &Arc<Text>) {
        self.open.push(text);
    }

    /// Whether a text whose ReadyForQuery is due may change the catalog.
    pub fn changes_catalog(&self) -> bool {
        self.ended.change > Change::Nothing
    }

    /// What the texts of the pipeline that is not yet ended may change in the catalog.
    pub fn open_change(&self) -> Change {
        self.open.change
    }

    /// A Sync or a Query is sent: a ReadyForQuery will follow what has run until here.
    pub fn close(&mut self) {
        let open = std::mem::take(&mut self.open);
        self.ended.append(open);
    }

    /// A ReadyForQuery came, and no other is awaited.
    pub fn settle(&mut self) {
        self.ended = Run::default();
    }

    /// For a text that lexes differently under other settings.
    pub fn for_lexing(&self, ready_awaited: bool) -> Standing {
        self.standing(ready_awaited, Run::is_inert)
    }

    /// For a plan, whose values depend on DateStyle, TimeZone and client_encoding.
    pub fn for_values(&self, ready_awaited: bool) -> Standing {
        self.standing(ready_awaited, Run::is_steady)
    }

    fn standing(&self, ready_awaited: bool, is_harmless: impl Fn(&Run) -> bool) -> Standing {
        if ready_awaited && !is_harmless(&self.ended) {
            Standing::Awaited
        } else if !is_harmless(&self.open) {
            Standing::Open
        } else {
            Standing::Settled
        }
    }
}

/// Texts that ran one after another. Whether they speak of settings is found out when it is asked, because mostly
/// nobody asks; a batch may have any number of them, so that the oldest are found out about and forgotten.
#[derive(Default)]
struct Run {
    texts: Vec<Arc<Text>>,
    /// a forgotten text spoke of settings
    forgot_unsteady: bool,
    /// a forgotten text may have run code of anybody's
    forgot_lively: bool,
    /// what they all may change in the catalog
    change: Change,
}

impl Run {
    fn push(&mut self, text: &Arc<Text>) {
        self.change = self.change.max(text.known_change());
        // A statement that is executed again and again.
        if self
            .texts
            .last()
            .is_some_and(|last| Arc::ptr_eq(last, text))
        {
            return;
        }
        if self.texts.len() >= UNSETTLED_TEXTS_MAX {
            self.forgot_unsteady = !self.is_steady();
            self.forgot_lively = !self.is_inert();
            self.texts.clear();
        }
        self.texts.push(Arc::clone(text));
    }

    fn append(&mut self, later: Self) {
        self.forgot_unsteady |= later.forgot_unsteady;
        self.forgot_lively |= later.forgot_lively;
        self.change = self.change.max(later.change);
        later.texts.iter().for_each(|text| self.push(text));
    }

    fn is_steady(&self) -> bool {
        !self.forgot_unsteady && self.texts.iter().all(|text| text.is_steady())
    }

    fn is_inert(&self) -> bool {
        !self.forgot_lively && self.texts.iter().all(|text| is_inert(text.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s03_words_that_change_settings_are_heard() {
        for text in [
            "SET standard_conforming_strings = off",
            "select 1; set client_encoding to latin1",
            "SELECT set_config('a', 'b', false)",
            "UPDATE pg_settings SET setting = 'off'",
            "DO $$ begin end $$",
            "/* x */ SET datestyle = german",
            "ROLLBACK",
        ] {
            assert!(speaks_of_settings(text), "{text}");
        }
        for text in [
            "UPDATE t SET a = 1",
            "INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING",
            "SELECT offset_value FROM t",
        ] {
            assert!(!speaks_of_settings(text), "{text}");
        }
    }

    #[test]
    fn s03_a_sensitive_text_waits_for_the_report_of_whatever_ran() {
        let mut window = Window::default();
        window.run(&Text::new("SELECT f()"));
        assert_eq!(window.for_lexing(false), Standing::Open);
        assert_eq!(window.for_values(false), Standing::Settled);
        window.close();
        assert_eq!(window.for_lexing(true), Standing::Awaited);
        window.settle();
        assert_eq!(window.for_lexing(false), Standing::Settled);
        window.run(&Text::new("BEGIN"));
        assert_eq!(window.for_lexing(false), Standing::Settled);
    }

    #[test]
    fn a_batch_of_any_length_stays_settled() {
        let mut window = Window::default();
        for _ in 0..=2 * UNSETTLED_TEXTS_MAX {
            window.run(&Text::new("INSERT INTO t VALUES ($1)"));
            assert_eq!(window.for_values(false), Standing::Settled);
        }
        assert!(window.open.texts.len() <= UNSETTLED_TEXTS_MAX);
        window.close();
        assert_eq!(window.for_values(true), Standing::Settled);
    }

    #[test]
    fn s03_what_a_long_batch_forgets_still_counts() {
        let mut window = Window::default();
        window.run(&Text::new("SET datestyle = german"));
        for _ in 0..=2 * UNSETTLED_TEXTS_MAX {
            window.run(&Text::new("BEGIN"));
        }
        assert_eq!(window.for_values(false), Standing::Open);
        assert_eq!(window.for_lexing(false), Standing::Open);
        window.close();
        assert_eq!(window.for_values(true), Standing::Awaited);
        assert_eq!(window.for_lexing(true), Standing::Awaited);
        window.settle();
        assert_eq!(window.for_values(false), Standing::Settled);
        assert_eq!(window.for_lexing(false), Standing::Settled);
    }

    #[test]
    fn float_digits_are_heard_wherever_they_stand() {
        for (text, are_shortest) in [
            ("SELECT 1", true),
            ("", true),
            ("_", true),
            ("SELECT extra_float", true),
            ("SET extra_float_digits = 3", true),
            ("SET Extra_Float_Digits TO '2'", true),
            ("SET extra_float_digits = 0", false),
            ("SET EXTRA_FLOAT_DIGITS = 0", false),
            (
                "a_b; SELECT set_config('extra_float_digits', '1', false)",
                false,
            ),
            ("SET é_extra_float_digits = -15", false),
            ("extra_float_digits", false),
        ] {
            let mut settings = Settings::default();
            settings.hear_float_digits(text);
            assert_eq!(settings.floats_are_shortest, are_shortest, "{text}");
        }
    }

    #[test]
    fn reports_are_taken_over() {
        let mut settings = Settings::default();
        settings.report(b"standard_conforming_strings", b"off");
        settings.report(b"client_encoding", b"LATIN1");
        settings.report(b"TimeZone", b"Asia/Shanghai");
        settings.report(b"server_version", b"17.10 (Debian 17.10-1)");
        assert_eq!(settings.text.version, ServerVersion::numbered(170_010));
        // One that is not understood leaves the last one.
        settings.report(b"server_version", b"devel");
        assert_eq!(settings.text.version, ServerVersion::numbered(170_010));
        assert!(!settings.lexing.standard_conforming_strings);
        assert_eq!(settings.lexing.client_encoding, ClientEncoding::SingleByte);
        assert_eq!(settings.text.time_zone, SessionZone::of("Asia/Shanghai"));
        assert!(is_sensitive("é".as_bytes()) && is_sensitive(b"'\\'") && !is_sensitive(b"a'b"));
    }
}

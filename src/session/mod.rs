//! One client connection, without I/O: frames in, frames and effects out.
//!
//! ```text
//! client ──► run (what each message becomes) ──────────────► upstream
//!             │ settle: may the text be read yet?
//!             │ prepared: what a name means
//!             │ pending: which reply is due ──┐
//! client ◄── replies (the reply due, checked) ◄───────────── upstream
//!             │ rows: the net, types shown, values opened
//!             │ report: what an error may say
//! ```
//!
//! A session knows no socket and no key: it asks a [`Veil`] what becomes of texts and values. Order of
//! replies, skipping until Sync and the state of the transaction are PostgreSQL's own, always: a refused
//! message is replaced by one that fails in its place, and the server's error by pgveil's.

pub mod farewell;
pub mod login;

mod catalog;
mod descriptions;
mod ends;
mod event;
mod extended;
mod failures;
mod pending;
mod prepared;
mod replies;
mod report;
mod rows;
mod run;
mod settle;
mod texts;

#[cfg(test)]
pub(crate) mod tests;

use crate::ident::{RelationName, SqlState};
use crate::policy::decide::Treated;
use crate::statement::plan::{ColumnPlan, Outcome, ParameterPlan, Plan, Refusal};
use crate::types::TextSettings;

pub use event::{BoundParameter, Ending, Event, StatementEnd, Subject};
pub use run::{Allowed, End, Session};
pub use settle::{Lexing, Settings, Text};

/// What a session asks of policy, catalog and keys: one role's view of one database, fixed at one version.
pub trait Veil {
    /// Differs whenever the same text could become something else.
    fn version(&self) -> u64;

    /// What becomes of a text, and its fingerprint if that was found on the way.
    fn analyse(&self, text: &str, lexing: Lexing) -> (Outcome, Option<u64>);

    /// The text without any literal, for the record of a refusal.
    fn redact(&self, text: &str) -> String;

    /// The text to send for a plan, its slots filled.
    ///
    /// # Errors
    /// A refusal where a literal is no value of its attribute.
    fn fill(&self, plan: &Plan, settings: &TextSettings) -> Result<String, Refusal>;

    /// What a parameter becomes.
    ///
    /// # Errors
    /// A refusal where it is no value of its attribute.
    fn fill_parameter(
        &self,
        plan: &ParameterPlan,
        given: Given<'_>,
        settings: &TextSettings,
    ) -> Result<Filled, Refusal>;

    /// The types of a parameter, of those that the client declared.
    fn parameter_types(&self, plan: &ParameterPlan, declared: &[u32]) -> ParameterTypes;

    /// The type a column that is opened is shown as.
    fn column_type(&self, attribute: &Treated) -> ShownType;

    /// What the client gets of a stored value; None is NULL.
    ///
    /// # Errors
    /// When the value does not open, or is no value of its type.
    fn show(
        &self,
        column: &ColumnPlan,
        formats: Formats,
        settings: &TextSettings,
        stored: &[u8],
    ) -> Result<Option<Vec<u8>>, ShowFault>;

    /// Whether a bare column may only pass where a plan opens it: it is sealed, tokenised, or not shown plain.
    fn guards(&self, relation_oid: u32, attnum: i16) -> bool;

    /// Whether the role sees every treated attribute of these relations plain.
    fn sees_plain(&self, relations: &[RelationName]) -> bool;

    /// Whether the role sees every treated attribute of the database plain.
    fn sees_everything(&self) -> bool;

    /// Whether a permanent relation of the database has that name, in letters of either case.
    fn is_relation(&self, name: &str) -> bool;

    /// Whether a text names anything that leads to a treated attribute.
    fn mentions(&self, text: &str, lexing: Lexing) -> bool;
}

/// A parameter as the client gave it.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    /// the type it declared, 0 for none
    pub oid: u32,
    /// 0 text, 1 binary
    pub format: i16,
    /// the value
    pub value: &'a [u8],
    /// the types it declared of all parameters, as far as it did
    pub declared: &'a [u32],
}

/// A parameter as it is sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Filled {
    /// 0 text, 1 binary
    pub format: i16,
    /// the value
    pub value: Vec<u8>,
}

/// The types of a parameter that meets a treated attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParameterTypes {
    /// what is declared to the server in place of the client's type; None leaves that
    pub declared: Option<u32>,
    /// what the client is told when it declared none
    pub shown: u32,
}

/// A type as RowDescription carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShownType {
    /// `pg_type.oid`
    pub oid: u32,
    /// `pg_type.typlen`
    pub typlen: i16,
    /// the type modifier, -1 for none
    pub typmod: i32,
}

/// The format a value lies in, and the one the client asked for (0 text, 1 binary).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Formats {
    /// as the server sends it
    pub stored: i16,
    /// as the client wants it
    pub shown: i16,
}

impl Formats {
    /// The same with another format of what is stored.
    fn of_stored(self, stored: i16) -> Self {
        Self { stored, ..self }
    }
}

/// A stored value that cannot be shown. Never carries the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ShowFault {
    /// XX001 where it does not open
    pub sqlstate: SqlState,
    /// which attribute, and what is wrong
    pub message: String,
}

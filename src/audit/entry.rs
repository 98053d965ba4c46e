//! A record as it stands in a file, and what the first record of a file says of the file.
//!
//! Knows the keys of the JSON and their order. Knows nothing of the chain but that `prev` comes last.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::files::Ended;
use super::record::{Outcome, Parameter, Record, Treatment};
use super::writer::Entry;

/// A record as it stands in the file.
#[derive(Serialize)]
pub(super) struct Line<'r> {
    seq: u64,
    time: String,
    session: u64,
    client: &'r str,
    user: Option<&'r str>,
    role: Option<&'r str>,
    database: Option<&'r str>,
    application: &'r str,
    kind: &'static str,
    statement: Option<&'r str>,
    parameters: &'r [Parameter],
    fingerprint: Option<String>,
    relations: Vec<String>,
    treatment: Option<Treatment>,
    rows: Option<u64>,
    opened: Option<u64>,
    outcome: Outcome,
    sqlstate: Option<&'r str>,
    duration_us: Option<u64>,
    upstream_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    begin: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<&'r FileHead>,
    prev: String,
}

/// What the first record of a file says of the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct FileHead {
    /// of the files, the chain and the anchors
    pub(super) format: u32,
    pub(super) index: u64,
    pub(super) keyring: String,
    pub(super) run: String,
    pub(super) part: u64,
    /// how far the files before it are whole, since the last one that says so
    pub(super) ended: Vec<Ended>,
    pub(super) version: String,
}

impl<'r> Line<'r> {
    /// The line of a record from the queue.
    pub(super) fn of(entry: &'r Entry, seq: u64, prev: &[u8; 32]) -> Self {
        let mut line = Self::new(&entry.record, entry.time, seq, prev);
        line.begin = entry.begin;
        line
    }

    /// The line of any record.
    pub(super) fn new(record: &'r Record, time: Timestamp, seq: u64, prev: &[u8; 32]) -> Self {
        let who = &record.who;
        Self {
            seq,
            time: format!("{time:.6}"),
            session: who.session,
            client: &who.client,
            user: who.user.as_ref().map(|name| name.as_str()),
            role: who.role.as_ref().map(|name| name.as_str()),
            database: who.database.as_ref().map(|name| name.as_str()),
            application: &who.application,
            kind: record.kind.as_str(),
            statement: record.statement.as_deref(),
            parameters: &record.parameters,
            fingerprint: record.fingerprint.map(|f| format!("{f:016x}")),
            relations: record.relations.iter().map(ToString::to_string).collect(),
            treatment: record.treatment,
            rows: record.rows,
            opened: record.opened,
            outcome: record.outcome,
            sqlstate: record.sqlstate.as_deref(),
            duration_us: record.duration_us,
            upstream_us: record.upstream_us,
            begin: None,
            file: None,
            prev: hex::encode(prev),
        }
    }
}

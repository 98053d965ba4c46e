//! One audit record: who did what, and what became of it.
//!
//! Knows what is recorded. Knows nothing of files and keys. In JSON the keys stand in this order:
//! `seq, time, session, client, user, role, database, application, kind, statement, parameters, fingerprint,
//! relations, treatment, rows, opened, outcome, sqlstate, duration_us, upstream_us`, then `begin` (in `end` records:
//! the seq of their `begin`), `file` (in the first record of a file), and `prev, hash`.

use std::sync::Arc;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::ident::{DatabaseName, RelationName, RoleName, UserName};
use crate::limits::{AUDIT_APPLICATION_BYTES_MAX, AUDIT_RELATIONS_MAX, AUDIT_STATEMENT_BYTES_MAX};

/// Who acts. The same for all records of a session, but for `application`, which a client may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// the session's number in this instance; 0 for the instance itself
    pub session: u64,
    /// the client's address, `host:port` or a socket's path
    pub client: String,
    /// the login
    pub user: Option<UserName>,
    /// the policy's role
    pub role: Option<RoleName>,
    /// the database
    pub database: Option<DatabaseName>,
    /// `application_name`, as the client says it: no evidence of anything
    pub application: String,
}

impl Who {
    /// The instance itself: start, reload, keys.
    pub fn instance() -> Arc<Self> {
        Arc::new(Self {
            session: 0,
            client: String::new(),
            user: None,
            role: None,
            database: None,
            application: "pgveil".to_owned(),
        })
    }
}

/// What a record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// a statement, by its command (`SELECT`, …)
    Statement(&'static str),
    /// a login, tried or done
    Login,
    /// the end of a session
    Logout,
    /// a CancelRequest
    Cancel,
    /// policy, certificates or keyring read again
    Reload,
    /// a change of keys
    Keys,
    /// `apply` or `revert` on a relation
    Apply,
    /// an instance starts or ends
    Instance,
    /// the first record of a file; written by the writer only
    File,
}

impl Kind {
    /// Its word in the record.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Statement(command) => command,
            Self::Login => "login",
            Self::Logout => "logout",
            Self::Cancel => "cancel",
            Self::Reload => "reload",
            Self::Keys => "keys",
            Self::Apply => "apply",
            Self::Instance => "instance",
            Self::File => "file",
        }
    }
}

/// What pgveil did with a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Treatment {
    /// the client's own bytes went upstream
    Untouched,
    /// sent as its plan says
    Rewritten,
    /// not sent
    Refused,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// about to be sent; a second record tells how it ended
    Begun,
    /// completed
    Done,
    /// the server reported an error
    Failed,
    /// pgveil refused it
    Refused,
    /// cancelled by a client
    Cancelled,
    /// a connection ended before the answer
    Lost,
}

/// A parameter of an Execute. Its value is never recorded, treated or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Parameter {
    /// n of `$n`, from 1
    pub number: u16,
    /// the type's OID as the client declared it, 0 for none
    #[serde(rename = "type")]
    pub type_oid: u32,
    /// whether it meets a treated attribute
    pub treated: bool,
}

/// What is handed to the writer.
#[derive(Debug, Clone)]
pub struct Record {
    /// who acts
    pub who: Arc<Who>,
    /// what it is about
    pub kind: Kind,
    /// the text, with the literals that meet treated attributes removed; with all literals removed when it was
    /// refused or not parsed
    pub statement: Option<Arc<str>>,
    /// the parameters, in order
    pub parameters: Vec<Parameter>,
    /// a digest of the statement's shape
    pub fingerprint: Option<u64>,
    /// the relations it names, as far as they are known
    pub relations: Vec<RelationName>,
    /// what pgveil did with it
    pub treatment: Option<Treatment>,
    /// rows returned or changed
    pub rows: Option<u64>,
    /// sealed values opened
    pub opened: Option<u64>,
    /// how it ended
    pub outcome: Outcome,
    /// the SQLSTATE, where there is one
    pub sqlstate: Option<String>,
    /// microseconds from the client's message to the end of the answer
    pub duration_us: Option<u64>,
    /// microseconds of that the server took
    pub upstream_us: Option<u64>,
}

impl Record {
    /// A record with everything else empty.
    pub fn new(who: Arc<Who>, kind: Kind, outcome: Outcome) -> Self {
        Self {
            who,
            kind,
            statement: None,
            parameters: Vec::new(),
            fingerprint: None,
            relations: Vec::new(),
            treatment: None,
            rows: None,
            opened: None,
            outcome,
            sqlstate: None,
            duration_us: None,
            upstream_us: None,
        }
    }

    /// Cuts what a client can make long. A cut statement says so, and has the digest of the whole.
    pub(super) fn bound(&mut self) {
        if let Some(text) = &self.statement
            && text.len() > AUDIT_STATEMENT_BYTES_MAX
        {
            let head = cut(text, AUDIT_STATEMENT_BYTES_MAX);
            let digest = hex::encode(Sha256::digest(text.as_bytes()));
            let bytes = text.len();
            self.statement =
                Some(format!("{head} … [cut; {bytes} bytes in all, SHA-256 {digest}]").into());
        }
        if self.who.application.len() > AUDIT_APPLICATION_BYTES_MAX {
            let who = Arc::make_mut(&mut self.who);
            who.application = cut(&who.application, AUDIT_APPLICATION_BYTES_MAX).to_owned();
        }
        self.relations.truncate(AUDIT_RELATIONS_MAX);
    }

    /// KiB it takes while it waits, at least one.
    pub(super) fn queued_kib(&self) -> u32 {
        let text = self.statement.as_ref().map_or(0, |text| text.len());
        let parameters = self.parameters.len() * size_of::<Parameter>();
        // Bounded by `bound`: the sum is far below u32::MAX.
        let bytes = text + parameters + self.relations.len() * 128;
        u32::try_from(bytes / 1024 + 1).unwrap_or(u32::MAX)
    }
}

/// The longest start of a text that has at most so many bytes.
fn cut(text: &str, bytes_max: usize) -> &str {
    let end = (0..=bytes_max.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or(0)]
}

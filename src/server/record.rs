//! A session's events → audit records and metrics.
//!
//! What is recorded holds no value: texts come with the literals of treated attributes already taken out. Knows
//! no socket.

use std::collections::HashMap;
use std::sync::Arc;

use crate::audit::{self, Recorder, Treatment, Who};
use crate::ident::RoleName;
use crate::metrics::{Kind, Metrics, Outcome, Path, Reason, StatementCounters};
use crate::server::drive::{Record, Unrecorded};
use crate::session::{Ending, Event, StatementEnd, Subject};

/// Puts one session's events on record.
pub struct SessionRecord {
    recorder: Recorder,
    metrics: Metrics,
    who: Arc<Who>,
    statements: StatementCounters,
    /// the seq of the `begin` of statements that have not ended, by their number in the session and index
    begun: HashMap<(u64, usize), u64, foldhash::fast::RandomState>,
}

impl SessionRecord {
    /// For one session.
    pub fn new(recorder: Recorder, metrics: Metrics, who: Arc<Who>, role: RoleName) -> Self {
        Self {
            recorder,
            statements: metrics.statements(&role),
            metrics,
            who,
            begun: HashMap::default(),
        }
    }

    fn entry(&self, subject: &Subject, outcome: audit::Outcome) -> audit::Record {
        let kind = audit::Kind::Statement(command(subject.kind()));
        let mut record = audit::Record::new(Arc::clone(&self.who), kind, outcome);
        record.statement = Some(subject.shared_statement());
        record.relations = subject.relations().to_vec();
        record.fingerprint = subject.fingerprint();
        let parameters = subject.parameters().map(|bound| audit::Parameter {
            number: bound.number,
            type_oid: bound.type_oid,
            treated: bound.treated,
        });
        record.parameters = parameters.collect();
        record.treatment = Some(if subject.plan().is_some() {
            Treatment::Rewritten
        } else {
            Treatment::Untouched
        });
        record
    }

    async fn begin(&mut self, subject: Subject) -> Result<(), Unrecorded> {
        let record = self.entry(&subject, audit::Outcome::Begun);
        let seq = self.recorder.begin(record).await.map_err(|_| Unrecorded)?;
        self.begun.insert((subject.number, subject.index()), seq);
        Ok(())
    }

    async fn end(&mut self, end: StatementEnd) -> Result<(), Unrecorded> {
        let StatementEnd {
            subject,
            ending,
            rows,
            opened,
            sqlstate,
            reason,
            duration,
            added,
            upstream,
        } = end;
        let cancelled = sqlstate.as_ref().is_some_and(|s| s == b"57014");
        let mut record = self.entry(&subject, audit_outcome(ending, cancelled));
        let path = match (ending, subject.plan()) {
            (Ending::Refused, _) => Path::Refused,
            (_, Some(_)) => Path::Rewritten,
            (_, None) => Path::Untouched,
        };
        if ending == Ending::Refused {
            record.treatment = Some(Treatment::Refused);
        }
        record.rows = Some(rows);
        record.opened = Some(opened);
        record.sqlstate = sqlstate.map(|s| String::from_utf8_lossy(&s).into_owned());
        record.duration_us = u64::try_from(duration.as_micros()).ok();
        record.upstream_us = upstream.and_then(|time| u64::try_from(time.as_micros()).ok());
        self.metrics.times(duration, added, upstream);
        self.statements.count(
            Kind::of_command(subject.kind()),
            path,
            metric_outcome(ending, cancelled),
        );
        if let Some(reason) = reason {
            self.metrics.refusal(Reason::of_word(reason));
        }
        let begun = self.begun.remove(&(subject.number, subject.index()));
        let recorded = match begun {
            Some(seq) => self.recorder.end(seq, record).await,
            None => {
                self.recorder.check().map_err(|_| Unrecorded)?;
                self.recorder.record(record).await
            }
        };
        recorded.map_err(|_| Unrecorded)
    }
}

impl Record for SessionRecord {
    async fn record(&mut self, event: Event) -> Result<(), Unrecorded> {
        match event {
            Event::Begin(subject) => self.begin(subject).await,
            Event::End(end) => self.end(end).await,
        }
    }
}

fn audit_outcome(ending: Ending, cancelled: bool) -> audit::Outcome {
    match ending {
        Ending::Done | Ending::Suspended => audit::Outcome::Done,
        Ending::Failed if cancelled => audit::Outcome::Cancelled,
        Ending::Failed | Ending::Skipped | Ending::Stopped => audit::Outcome::Failed,
        Ending::Refused => audit::Outcome::Refused,
        Ending::Lost => audit::Outcome::Lost,
    }
}

fn metric_outcome(ending: Ending, cancelled: bool) -> Outcome {
    match ending {
        Ending::Done | Ending::Suspended => Outcome::Done,
        Ending::Failed if cancelled => Outcome::Cancelled,
        Ending::Failed | Ending::Skipped | Ending::Stopped => Outcome::Failed,
        Ending::Refused => Outcome::Refused,
        Ending::Lost => Outcome::Lost,
    }
}

/// The command as a word of a closed set: whatever a client writes, no text of its own becomes a kind.
fn command(word: &str) -> &'static str {
    const WORDS: &[&str] = &[
        "SELECT",
        "INSERT",
        "UPDATE",
        "DELETE",
        "WITH",
        "VALUES",
        "TABLE",
        "MERGE",
        "COPY",
        "BEGIN",
        "START",
        "COMMIT",
        "END",
        "ROLLBACK",
        "ABORT",
        "SAVEPOINT",
        "RELEASE",
        "SET",
        "RESET",
        "SHOW",
        "DISCARD",
        "PREPARE",
        "EXECUTE",
        "DEALLOCATE",
        "DECLARE",
        "FETCH",
        "MOVE",
        "CLOSE",
        "LISTEN",
        "UNLISTEN",
        "NOTIFY",
        "CREATE",
        "ALTER",
        "DROP",
        "TRUNCATE",
        "GRANT",
        "REVOKE",
        "COMMENT",
        "LOCK",
        "VACUUM",
        "ANALYZE",
        "CLUSTER",
        "REINDEX",
        "REFRESH",
        "EXPLAIN",
        "DO",
        "CALL",
        "CHECKPOINT",
        "LOAD",
        "SECURITY",
        "IMPORT",
        "REASSIGN",
    ];
    WORDS
        .iter()
        .copied()
        .find(|known| known.eq_ignore_ascii_case(word))
        .unwrap_or("OTHER")
}

//! What a session tells of its statements: when one on treated attributes begins, and how each ends.
//!
//! The audit makes its records of these. They never hold a literal that meets a treated attribute.

use std::sync::Arc;
use std::time::Duration;

use super::prepared::Portal;
use super::settle::Text;
use crate::ident::RelationName;
use crate::statement;
use crate::statement::plan::Plan;

/// One statement, or one Execute of a prepared one.
#[derive(Clone)]
pub struct Subject {
    /// counts up within the session; joins a beginning with its end
    pub number: u64,
    text: Shown,
    index: usize,
    portal: Option<Arc<Portal>>,
}

/// A parameter of an Execute, without its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoundParameter {
    /// n of `$n`, from 1
    pub number: u16,
    /// the type the client declared, 0 for none
    pub type_oid: u32,
    /// whether it meets a treated attribute
    pub treated: bool,
}

#[derive(Clone)]
enum Shown {
    /// met nothing treated
    Untouched(Arc<Text>),
    /// met treated attributes
    Planned(Arc<Text>, Arc<Plan>),
    /// every literal was taken out
    Redacted(Arc<str>),
}

impl Subject {
    pub(super) fn new(number: u64, text: &Arc<Text>, plan: Option<&Arc<Plan>>) -> Self {
        let text = match plan {
            None => Shown::Untouched(Arc::clone(text)),
            Some(plan) => Shown::Planned(Arc::clone(text), Arc::clone(plan)),
        };
        Self {
            number,
            text,
            index: 0,
            portal: None,
        }
    }

    /// The same, run with the parameters that were bound to a portal.
    pub(super) fn bound(self, portal: &Arc<Portal>) -> Self {
        Self {
            portal: Some(Arc::clone(portal)),
            ..self
        }
    }

    pub(super) fn redacted(number: u64, text: String) -> Self {
        Self {
            number,
            text: Shown::Redacted(text.into()),
            index: 0,
            portal: None,
        }
    }

    /// The same text's statement of that index.
    pub(super) fn at(&self, index: usize) -> Self {
        Self {
            index,
            ..self.clone()
        }
    }

    /// The text, without the literals that met treated attributes.
    pub fn statement(&self) -> &str {
        match &self.text {
            Shown::Untouched(text) => text.as_str(),
            Shown::Planned(_, plan) => plan.audit_text(),
            Shown::Redacted(text) => text,
        }
    }

    /// The same, shared.
    pub fn shared_statement(&self) -> Arc<str> {
        match &self.text {
            Shown::Untouched(text) => text.shared(),
            Shown::Planned(_, plan) => Arc::from(plan.audit_text()),
            Shown::Redacted(text) => Arc::clone(text),
        }
    }

    /// The shape of the text, without any constant; None where it cannot be told safely.
    pub fn fingerprint(&self) -> Option<u64> {
        match &self.text {
            Shown::Untouched(text) | Shown::Planned(text, _) => text.fingerprint(),
            // A text that could not be read is shown as a lone `?`: that is no shape.
            Shown::Redacted(text) if &**text == "?" => None,
            Shown::Redacted(text) => statement::fingerprint(text),
        }
    }

    /// The parameters it runs with, in order; none in a simple query.
    pub fn parameters(&self) -> impl Iterator<Item = BoundParameter> + '_ {
        let portal = self.portal.as_deref();
        let count = portal.map_or(0, |portal| portal.parameter_count);
        (1..=u16::try_from(count).unwrap_or(u16::MAX)).map(move |number| {
            let declared = portal.map_or(&[][..], |portal| &portal.statement.declared);
            let met = self.plan().map_or(&[][..], |plan| plan.parameters());
            BoundParameter {
                number,
                type_oid: declared.get(usize::from(number) - 1).copied().unwrap_or(0),
                treated: met.iter().any(|parameter| parameter.number == number),
            }
        })
    }

    /// Which statement of the text it is, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// What the analysis says of it; None when it met nothing treated, or was refused.
    pub fn plan(&self) -> Option<&Arc<Plan>> {
        match &self.text {
            Shown::Planned(_, plan) => Some(plan),
            Shown::Untouched(_) | Shown::Redacted(_) => None,
        }
    }

    /// The relations with treated attributes that it names.
    pub fn relations(&self) -> &[RelationName] {
        self.plan()
            .and_then(|p| p.statements().get(self.index))
            .map_or(&[], |s| &s.relations)
    }

    /// What kind it is, for example `SELECT`, as far as the text alone tells; `OTHER` where it does not.
    pub fn kind(&self) -> &str {
        if let Some(statement) = self.plan().and_then(|p| p.statements().get(self.index)) {
            return statement.kind;
        }
        let text = self.statement().trim_start();
        let end = text
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(text.len());
        match &text[..end] {
            "" => "OTHER",
            word => word,
        }
    }
}

/// How a statement ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// the server completed it
    Done,
    /// its portal reached the row limit and may go on
    Suspended,
    /// the server reported an error
    Failed,
    /// pgveil refused it; nothing of it was sent
    Refused,
    /// an earlier statement of the same text or pipeline failed, and the server skipped it
    Skipped,
    /// pgveil stopped its result and ended the session
    Stopped,
    /// the connection ended before its answer
    Lost,
}

/// Something the audit must know.
pub enum Event {
    /// A statement on treated attributes is about to be sent: recorded before its bytes leave.
    Begin(Subject),
    /// A statement has ended.
    End(StatementEnd),
}

/// How a statement ended, and with what.
pub struct StatementEnd {
    /// which
    pub subject: Subject,
    /// how
    pub ending: Ending,
    /// rows returned or changed
    pub rows: u64,
    /// values opened or detokenised
    pub opened: u64,
    /// the SQLSTATE, of the server or of pgveil
    pub sqlstate: Option<[u8; 5]>,
    /// for refusals: the reason, as metrics label it
    pub reason: Option<&'static str>,
    /// from the client's message to this end
    pub duration: Duration,
    /// from the client's message until it was handed to the server; None when it never was, and for all but the
    /// first statement of a text
    pub added: Option<Duration>,
    /// of the duration, what the server took: from when it had the message, and had answered what came before
    pub upstream: Option<Duration>,
}

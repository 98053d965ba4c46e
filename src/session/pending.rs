//! The replies that are due, in order: one entry for each message that was sent and will be answered.
//!
//! Knows the order only; what a reply means to its entry is in `replies`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::event::{Ending, Event, StatementEnd, Subject};
use super::prepared::{Portal, Statement};
use super::rows::RowMap;
use super::settle::Text;
use crate::ident::SqlState;
use crate::statement::plan::{Plan, Refusal};

/// A reply that is due.
pub(super) enum Expected {
    /// results of a simple query, then ReadyForQuery of that pipeline
    Query(Exchange, u64),
    /// ParseComplete
    Parse(Box<[u8]>, Arc<Statement>),
    /// BindComplete; None for a portal of a statement that pgveil has not seen
    Bind(Box<[u8]>, Option<Arc<Portal>>),
    /// ParameterDescription, then RowDescription or NoData
    DescribeStatement(Option<Arc<Statement>>),
    /// RowDescription or NoData; not the client's own when injected
    DescribePortal {
        /// None for a portal that pgveil has not seen
        portal: Option<Arc<Portal>>,
        /// asked by pgveil for the net
        injected: bool,
    },
    /// results of a portal
    Execute(Exchange),
    /// CloseComplete of a statement
    CloseStatement(Box<[u8]>),
    /// CloseComplete of a portal
    ClosePortal(Box<[u8]>),
    /// ReadyForQuery of that pipeline
    Sync(u64),
    /// FunctionCallResponse, then ReadyForQuery of that pipeline
    Call(u64),
    /// the error that stands for a refused message of the extended protocol
    Refused(OwnError),
}

/// An error of pgveil's own, to stand in place of the server's.
pub(super) struct OwnError {
    pub sqlstate: SqlState,
    pub message: String,
    pub hint: String,
    /// characters from 1
    pub position: Option<usize>,
}

impl OwnError {
    pub fn new(refusal: &Refusal, text: &str) -> Self {
        let position = refusal
            .position
            .and_then(|at| text.get(..at))
            .map(|before| before.chars().count() + 1);
        Self {
            sqlstate: refusal.sqlstate,
            message: refusal.message.clone(),
            hint: refusal.hint.clone(),
            position,
        }
    }
}

/// A text or portal that runs, and what has come of it so far.
pub(super) struct Exchange {
    pub subject: Subject,
    pub started: Instant,
    /// when it was handed to the server; None while it waits in a buffer
    pub handed: Option<Instant>,
    /// when the server had answered what came before it
    pub preceded: Option<Instant>,
    /// the client's text
    pub text: Arc<Text>,
    /// None when it passes untouched
    pub plan: Option<Arc<Plan>>,
    /// what was sent in place of the text, with a plan
    pub sent: Option<Arc<str>>,
    /// which statement of the text replies now
    pub index: usize,
    pub rows: u64,
    pub opened: u64,
    /// how rows become what the client sees; None when they pass
    pub row: Option<Arc<RowMap>>,
    /// pgveil's own error, when the message was replaced by one that fails
    pub refused: Option<OwnError>,
    /// its error has come
    pub failed: bool,
}

impl Exchange {
    pub fn new(subject: Subject, text: &Arc<Text>, now: Instant) -> Self {
        Self {
            subject,
            started: now,
            handed: None,
            preceded: None,
            text: Arc::clone(text),
            plan: None,
            sent: None,
            index: 0,
            rows: 0,
            opened: 0,
            row: None,
            refused: None,
            failed: false,
        }
    }

    /// How many statements the plan has; 1 without one.
    fn statements(&self) -> usize {
        self.plan
            .as_ref()
            .map_or(1, |p| p.statements().len().max(1))
    }

    /// Whether every statement of the plan has replied.
    pub fn is_complete(&self) -> bool {
        self.plan.is_some() && self.index >= self.statements()
    }

    /// The end of the statement that replies now.
    pub fn end(&mut self, ending: Ending, now: Instant) -> StatementEnd {
        let handed = self.handed.filter(|_| ending != Ending::Skipped);
        let began = handed.map(|handed| self.preceded.map_or(handed, |before| before.max(handed)));
        let added = handed.filter(|_| self.index == 0);
        StatementEnd {
            subject: self.subject.at(self.index),
            ending,
            rows: std::mem::take(&mut self.rows),
            opened: std::mem::take(&mut self.opened),
            sqlstate: None,
            reason: None,
            duration: now.saturating_duration_since(self.started),
            added: added.map(|handed| handed.saturating_duration_since(self.started)),
            upstream: began.map(|began| now.saturating_duration_since(began)),
        }
    }

    /// The ends of it all: `first` for the statement that replies now, `others` for those after it.
    pub fn end_all(
        &mut self,
        (first, others): (Ending, Ending),
        sqlstate: Option<[u8; 5]>,
        now: Instant,
        events: &mut Vec<Event>,
    ) {
        if self.failed || self.refused.is_some() {
            return;
        }
        self.failed = true;
        if self.is_complete() {
            return;
        }
        let mut end = self.end(first, now);
        end.sqlstate = sqlstate;
        events.push(Event::End(end));
        for index in self.index + 1..self.statements() {
            self.index = index;
            let end = self.end(others, now);
            events.push(Event::End(StatementEnd {
                duration: Duration::ZERO,
                ..end
            }));
        }
    }
}

/// The queue of them.
#[derive(Default)]
pub(super) struct Pending {
    queue: VecDeque<Expected>,
    /// how many ReadyForQuery are due
    readies: usize,
    /// how many at the back are not yet handed to the server
    waiting: usize,
}

impl Pending {
    pub fn push(&mut self, expected: Expected) {
        self.readies += usize::from(ends_in_ready(&expected));
        self.waiting += 1;
        self.queue.push_back(expected);
    }

    pub fn head(&mut self) -> Option<&mut Expected> {
        self.queue.front_mut()
    }

    pub fn pop(&mut self) -> Option<Expected> {
        let popped = self.queue.pop_front();
        self.readies -= usize::from(popped.as_ref().is_some_and(ends_in_ready));
        popped
    }

    /// The server has the bytes of all that was pushed until now.
    pub fn hand_over(&mut self, now: Instant) {
        let waiting = std::mem::take(&mut self.waiting);
        for expected in self.queue.iter_mut().rev().take(waiting) {
            if let Expected::Query(exchange, _) | Expected::Execute(exchange) = expected {
                exchange.handed = Some(now);
            }
        }
    }

    /// Takes the last entry away unless it is a Sync.
    pub fn pop_back_unless_sync(&mut self) -> Option<Expected> {
        let popped = self.queue.pop_back_if(|e| !matches!(e, Expected::Sync(_)));
        self.readies -= usize::from(popped.as_ref().is_some_and(ends_in_ready));
        self.waiting = self.waiting.saturating_sub(usize::from(popped.is_some()));
        popped
    }

    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub fn len(&self) -> usize {
        self.queue.len()
    }

    pub fn ready_awaited(&self) -> bool {
        self.readies > 0
    }

    /// Syncs sent after the head's COPY began are swallowed by it: no ReadyForQuery answers them.
    pub fn drop_syncs_behind_head(&mut self) {
        while matches!(self.queue.get(1), Some(Expected::Sync(_))) {
            self.queue.remove(1);
            self.readies -= 1;
        }
    }
}

fn ends_in_ready(expected: &Expected) -> bool {
    matches!(
        expected,
        Expected::Query(..) | Expected::Sync(_) | Expected::Call(_)
    )
}

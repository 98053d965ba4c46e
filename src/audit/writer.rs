//! The writer thread: takes records from the queue, has them written in batches, answers those who wait.
//!
//! Knows who waits and what is due. How a record lies in a file is `series`' matter.
//!
//! **Invariant:** a record is acknowledged only after the file took it. When a batch fails, its `begin`s are
//! refused, and everything else of it is tried again until the disk takes it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::queue::{Received, Receiver};
use super::record::Record;
use super::series::Series;
use super::{AuditFault, State, Sync};
use crate::limits::{AUDIT_ANCHOR_MS, AUDIT_BATCH_MAX, AUDIT_RETRY_MS, AUDIT_SYNC_MS};
use crate::metrics::Alarm;

/// A record on its way, with the room it takes in the queue.
pub(super) struct Entry {
    pub(super) time: Timestamp,
    pub(super) begin: Option<u64>,
    pub(super) record: Record,
    pub(super) ack: Option<oneshot::Sender<Result<u64, AuditFault>>>,
    pub(super) _room: OwnedSemaphorePermit,
}

/// What recorders send.
pub(super) enum Message {
    /// a record
    Entry(Box<Entry>),
    /// write everything, sign the head, end
    Close(oneshot::Sender<Result<(), AuditFault>>),
}

/// What the writer does after a batch.
enum Then {
    /// waits for the next
    Wait,
    /// ends, and tells who asked
    Close(Option<oneshot::Sender<Result<(), AuditFault>>>),
}

/// The writer's state.
pub(super) struct Writer {
    series: Series,
    sync: Sync,
    state: Arc<State>,
    /// taken from the queue, not yet written
    pending: Vec<Entry>,
    retry_at: Option<Instant>,
    sync_at: Option<Instant>,
    anchor_at: Option<Instant>,
}

fn after(ms: u64) -> Instant {
    Instant::now() + Duration::from_millis(ms)
}

impl Writer {
    /// A writer of a series.
    pub(super) fn new(series: Series, sync: Sync, state: Arc<State>) -> Self {
        Self {
            series,
            sync,
            state,
            pending: Vec::new(),
            retry_at: None,
            sync_at: None,
            anchor_at: None,
        }
    }

    /// Serves the queue until it is closed or every recorder is gone.
    pub(super) fn run(mut self, queue: &Receiver<Message>) {
        loop {
            let due = [self.retry_at, self.sync_at, self.anchor_at]
                .into_iter()
                .flatten()
                .min();
            let then = match queue.receive(due) {
                Received::Messages(messages) => self.gather(messages),
                Received::Due => Then::Wait,
                Received::Disconnected => Then::Close(None),
            };
            self.write_pending();
            self.keep_due();
            if let Then::Close(ack) = then {
                let closed = self.close();
                // The directory is free before anybody is told so.
                drop(self);
                if let Some(ack) = ack {
                    // Who asked may be gone.
                    let _ = ack.send(closed);
                }
                return;
            }
        }
    }

    /// Takes what has come, and writes all but the last batch of it.
    fn gather(&mut self, messages: Vec<Message>) -> Then {
        for message in messages {
            if self.pending.len() >= AUDIT_BATCH_MAX && self.retry_at.is_none() {
                self.write_pending();
            }
            match message {
                Message::Entry(entry) => self.pending.push(*entry),
                Message::Close(ack) => return Then::Close(Some(ack)),
            }
        }
        Then::Wait
    }

    /// Writes what is pending as one batch, unless the disk is failing and its retry is not due yet.
    fn write_pending(&mut self) {
        if self.retry_at.is_some_and(|at| Instant::now() < at) {
            self.refuse_waiting(io::ErrorKind::Other);
            return;
        }
        if self.pending.is_empty() && self.retry_at.is_none() {
            return;
        }
        match self.write_batch() {
            Ok(first) => {
                self.recovered();
                for (seq, entry) in (first..).zip(self.pending.drain(..)) {
                    self.state.lag(-1);
                    if let Some(ack) = entry.ack {
                        // A session that is gone needs no answer; its record stays.
                        let _ = ack.send(Ok(seq));
                    }
                }
            }
            Err(error) => self.fails(&error),
        }
    }

    fn write_batch(&mut self) -> io::Result<u64> {
        if self.series.is_file_due() {
            self.series.sync()?;
            self.sign_head();
            self.series.end_file();
        }
        let first = self.series.append(&self.pending)?;
        self.anchor_at.get_or_insert_with(|| after(AUDIT_ANCHOR_MS));
        match self.sync {
            // When it fails, what nobody waits for is written again, to the next file: twice is better than not at
            // all.
            Sync::Always => self.series.sync()?,
            Sync::Interval => {
                self.sync_at.get_or_insert_with(|| after(AUDIT_SYNC_MS));
            }
        }
        Ok(first)
    }

    /// Does what has come due: syncs, signs.
    fn keep_due(&mut self) {
        let now = Instant::now();
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let signs = is_due(self.anchor_at);
        if !signs && !is_due(self.sync_at) {
            return;
        }
        self.sync_at = None;
        match self.series.sync() {
            Ok(()) if signs => self.sign_head(),
            Ok(()) => {}
            Err(error) => {
                self.anchor_at = Some(after(AUDIT_ANCHOR_MS));
                self.fails(&error);
            }
        }
    }

    /// Signs the head. Where that fails no statement is stopped, the records are there; it is tried again.
    fn sign_head(&mut self) {
        self.anchor_at = None;
        if let Err(fault) = self.series.sign_head() {
            tracing::error!(%fault, "the audit's head is not signed");
            self.alarm();
            self.anchor_at = Some(after(AUDIT_ANCHOR_MS));
        }
    }

    fn alarm(&self) {
        if let Some(metrics) = &self.state.metrics {
            metrics.alarm(Alarm::Audit);
        }
    }

    /// The disk took nothing: `begin`s are refused from now on, the rest waits.
    fn fails(&mut self, error: &io::Error) {
        self.retry_at = Some(after(AUDIT_RETRY_MS));
        if !self.state.failing.swap(true, Ordering::AcqRel) {
            tracing::error!(%error, "the audit cannot be written; statements on treated attributes are refused");
            self.alarm();
        }
        self.refuse_waiting(error.kind());
    }

    fn recovered(&mut self) {
        self.retry_at = None;
        if self.state.failing.swap(false, Ordering::AcqRel) {
            tracing::info!("the audit is written again");
        }
    }

    /// Refuses the pending records somebody waits for: their statements are not sent.
    fn refuse_waiting(&mut self, kind: io::ErrorKind) {
        let (waiting, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition(|entry| entry.ack.is_some());
        self.pending = kept;
        for entry in waiting {
            self.state.lag(-1);
            if let Some(ack) = entry.ack {
                let _ = ack.send(Err(AuditFault::Failing(kind)));
            }
        }
    }

    /// Writes and signs the end.
    fn close(&mut self) -> Result<(), AuditFault> {
        self.retry_at = None;
        self.write_pending();
        if !self.pending.is_empty() {
            return Err(AuditFault::Failing(io::ErrorKind::Other));
        }
        self.series
            .sync()
            .map_err(|error| AuditFault::Failing(error.kind()))?;
        self.series.sign_head()
    }
}

//! The writer: takes records from the queue, has them written in batches, answers those who wait.
//!
//! It has a thread of its own, for what lingers, for syncs, and for disks that are slow. A session that waits for its
//! record writes it on its own thread, and what stands before it in the queue: to wake a thread and to be woken by it
//! costs several times what the write does. Who finds the writer taken leaves the record to whoever has it, and who had
//! it looks into the queue again.
//!
//! Knows who waits and what is due. How a record lies in a file is `series`' matter.
//!
//! **Invariant:** a record is acknowledged only after the file took it. When a batch fails, its `begin`s are
//! refused, and everything else of it is tried again until the disk takes it.

use std::io;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, TryLockError};
use std::time::{Duration, Instant};

use super::batch::Batch;
use super::queue::{Receiver, Sender, Waited};
use super::series::{Checkpoint, Made, Series};
use super::{AuditFault, State, Sync};
use crate::limits::{
    AUDIT_ANCHOR_MS, AUDIT_AT_ONCE_MAX, AUDIT_BATCH_MAX, AUDIT_PASSES_MAX, AUDIT_QUICK_MS,
    AUDIT_RETRY_MS, AUDIT_SLOW_MS, AUDIT_SYNC_MS,
};
use crate::metrics::Alarm;

/// A writer as its thread and the sessions share it; None once it is closed.
pub(super) type Shared = Arc<Mutex<Option<Writer>>>;

/// The writer's state.
pub(super) struct Writer {
    series: Series,
    sync: Sync,
    state: Arc<State>,
    /// taken from the queue, not yet written
    pending: Batch,
    retry_at: Option<Instant>,
    sync_at: Option<Instant>,
    anchor_at: Option<Instant>,
    /// until then the disk counts as slow: sessions leave their records to the writer's thread
    slow_until: Option<Instant>,
}

fn after(ms: u64) -> Instant {
    Instant::now() + Duration::from_millis(ms)
}

/// Does something with the writer. None when it is closed, or when a thread that had it panicked and left it who knows
/// how: nothing is recorded then any more, and the end of the queue tells the sessions.
fn with<T>(shared: &Shared, act: impl FnOnce(&mut Writer) -> T) -> Option<T> {
    shared.lock().ok()?.as_mut().map(act)
}

impl Writer {
    /// A writer of a series.
    pub(super) fn new(series: Series, sync: Sync, state: Arc<State>) -> Self {
        Self {
            series,
            sync,
            state,
            pending: Batch::default(),
            retry_at: None,
            sync_at: None,
            anchor_at: None,
            slow_until: None,
        }
    }

    /// The writer's thread: serves the queue until it is closed or every recorder is gone.
    pub(super) fn run(shared: &Shared, queue: &Receiver) {
        let mut due = None;
        loop {
            let waited = queue.wait(due);
            let mut passes = AUDIT_PASSES_MAX;
            let (checkpoint, closing) = loop {
                let Some((checkpoint, closing)) = with(shared, |writer| {
                    let closing = queue.take(&mut writer.pending);
                    writer.write_pending();
                    (writer.checkpoint(), closing)
                }) else {
                    return;
                };
                passes -= 1;
                // Nobody is to wait for a sync because the writer was just taken.
                if closing.is_some() || passes == 0 || !queue.is_hurried() {
                    break (checkpoint, closing);
                }
            };
            if closing.is_some() || waited == Waited::Disconnected {
                let writer = shared.lock().ok().and_then(|mut writer| writer.take());
                let closed = writer.map(Self::close);
                if let (Some(ack), Some(closed)) = (closing, closed) {
                    // Who asked may be gone.
                    let _ = ack.send(closed);
                }
                return;
            }
            let made = checkpoint.map(Checkpoint::make);
            let next = with(shared, |writer| {
                if let Some(made) = made {
                    writer.checkpointed(made);
                }
                writer.due()
            });
            let Some(next) = next else { return };
            due = next;
        }
    }

    /// Sees to it that what somebody waits for is written: here, where the writer is free and quick, else by whoever has
    /// it, or by its thread.
    pub(super) fn attend(shared: &Shared, queue: &Sender) {
        while queue.is_hurried() {
            let mut taken = match shared.try_lock() {
                Ok(taken) => taken,
                // Who has it looks again.
                Err(TryLockError::WouldBlock) => return,
                Err(TryLockError::Poisoned(_)) => return queue.call(),
            };
            let quick = |writer: &&mut Self| writer.is_quick() && queue.len() <= AUDIT_AT_ONCE_MAX;
            let Some(writer) = taken.as_mut().filter(quick) else {
                return queue.call();
            };
            if writer.write_at_once(queue) {
                queue.call();
            }
        }
    }

    /// Writes what is queued on a session's thread. True when the writer's thread must hear of it: something is due
    /// earlier than it knows.
    fn write_at_once(&mut self, queue: &Sender) -> bool {
        let due = self.due();
        let began = Instant::now();
        queue.take(&mut self.pending);
        self.write_pending();
        if began.elapsed() > Duration::from_millis(AUDIT_QUICK_MS) {
            self.slow_until = Some(after(AUDIT_SLOW_MS));
        }
        let earlier = |now: Instant| due.is_none_or(|due| now < due);
        self.due().is_some_and(earlier)
    }

    /// Whether a write is likely to be a matter of microseconds.
    fn is_quick(&self) -> bool {
        self.sync == Sync::Interval
            && self.retry_at.is_none()
            && self.slow_until.is_none_or(|until| until <= Instant::now())
            && !self.series.is_file_due()
    }

    /// When the thread must look after something although nothing comes.
    fn due(&self) -> Option<Instant> {
        let due = [self.retry_at, self.sync_at, self.anchor_at];
        due.into_iter().flatten().min()
    }

    /// Writes what is pending, unless the disk is failing and its retry is not due yet.
    fn write_pending(&mut self) {
        if self.retry_at.is_some_and(|at| Instant::now() < at) {
            self.refuse_waiting(0, io::ErrorKind::Other);
            return;
        }
        if self.pending.is_empty() && self.retry_at.is_none() {
            return;
        }
        let mut written = 0;
        loop {
            let which = written..self.pending.len().min(written + AUDIT_BATCH_MAX);
            match self.write_batch(which.clone()) {
                Ok(first) => {
                    self.recovered();
                    written = which.end;
                    let count = which.len();
                    let kib = self.pending.written(which, first);
                    self.state.leave(count, kib);
                }
                Err(error) => return self.fails(written, &error),
            }
            if written == self.pending.len() {
                return self.pending.clear();
            }
        }
    }

    fn write_batch(&mut self, which: Range<usize>) -> io::Result<u64> {
        if self.series.is_file_due() {
            self.series.sync()?;
            self.anchor_at = None;
            let signed = self.series.sign_head();
            self.signed(signed);
            self.series.end_file();
        }
        let first = self.series.append(self.pending.iter(which))?;
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

    /// What is to be forced to the disk now, and signed.
    fn checkpoint(&self) -> Option<Checkpoint> {
        let now = Instant::now();
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let signs = is_due(self.anchor_at);
        (signs || is_due(self.sync_at)).then(|| self.series.checkpoint(signs))
    }

    /// Takes over what became of a checkpoint, while which more may have been written.
    fn checkpointed(&mut self, made: Made) {
        let more = self.series.is_behind(&made);
        self.sync_at = more.then(|| after(AUDIT_SYNC_MS));
        match &made.synced {
            Ok(()) => {
                if let Some(signed) = made.signed {
                    self.anchor_at = more.then(|| after(AUDIT_ANCHOR_MS));
                    self.signed(signed);
                }
            }
            Err(error) => {
                self.series.end_file_of(&made);
                self.anchor_at = Some(after(AUDIT_ANCHOR_MS));
                self.fails(0, error);
            }
        }
    }

    /// Where a head could not be signed no statement is stopped, the records are there; it is tried again.
    fn signed(&mut self, signed: Result<(), AuditFault>) {
        if let Err(fault) = signed {
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

    /// The disk took nothing but the first so many: `begin`s are refused from now on, the rest waits.
    fn fails(&mut self, written: usize, error: &io::Error) {
        self.retry_at = Some(after(AUDIT_RETRY_MS));
        if !self.state.failing.swap(true, Ordering::AcqRel) {
            tracing::error!(%error, "the audit cannot be written; statements on treated attributes are refused");
            self.alarm();
        }
        self.refuse_waiting(written, error.kind());
    }

    fn recovered(&mut self) {
        self.retry_at = None;
        if self.state.failing.swap(false, Ordering::AcqRel) {
            tracing::info!("the audit is written again");
        }
    }

    /// Refuses the pending records somebody waits for: their statements are not sent. The first so many are written.
    fn refuse_waiting(&mut self, written: usize, kind: io::ErrorKind) {
        let fault = AuditFault::Failing(kind);
        let (count, kib) = self.pending.refuse(written, &fault);
        self.state.leave(count, kib);
    }

    /// Writes and signs the end. The directory is free when this returns.
    fn close(mut self) -> Result<(), AuditFault> {
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

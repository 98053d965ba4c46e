//! The audit: every statement, login and change of keys on record, in files whose chain shows any later change.
//!
//! Sessions hand records to a [`Recorder`]; one writer, with a thread of its own, puts them into the file. A statement on
//! a treated attribute gets two records: `begin` is written before the statement is sent, on the session's own thread
//! while the disk is quick; `end` names it. Nothing is dropped: a full queue makes sessions wait, a disk that takes
//! nothing makes [`Recorder::begin`] fail, and the statement is refused.
//!
//! Knows records, files and the chain's keys. Knows no policy and no plain value of a treated attribute: statement
//! texts come with such literals removed, and parameters are recorded by number and type only.
//!
//! # What is kept where
//!
//! * `audit-<index>-<day>.jsonl` in the audit directory: JSON Lines, one record each ([`record`] has the keys);
//! * `anchors-<index>.jsonl` in a second directory: signed heads ([`anchor`]), so that a cut tail is missed;
//! * `lock` in the audit directory: one writer at a time.

pub mod anchor;
mod batch;
pub mod chain;
mod entry;
pub mod files;
mod line;
mod medium;
mod queue;
pub mod record;
pub mod search;
mod series;
pub mod verify;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use tokio::sync::{Semaphore, oneshot};

use crate::keyring::Keyring;
use crate::limits::{AUDIT_FILE_BYTES, AUDIT_QUEUE_KIB};
use crate::metrics::Metrics;

use batch::Ack;
pub use record::{Kind, Outcome, Parameter, Record, Treatment, Who};
use series::Series;
use writer::Writer;

/// Why the audit cannot be written or read. Names files, never what is in them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuditFault {
    /// The file system said no.
    #[error("cannot {doing} {}: {kind}", path.display())]
    Io {
        /// what was tried
        doing: &'static str,
        /// on which file
        path: PathBuf,
        /// what the system answered
        kind: io::ErrorKind,
    },
    /// Another instance writes there.
    #[error("{} is in use by another instance", .0.display())]
    Locked(PathBuf),
    /// The last file does not end in a record, though its last line is complete.
    #[error("{} does not end in an audit record; run `pgveil audit verify`, then move it away", .0.display())]
    Unreadable(PathBuf),
    /// The anchors may not lie where the records lie.
    #[error("the anchors must lie outside the audit directory {}", .0.display())]
    AnchorsInside(PathBuf),
    /// The writer cannot write at the moment; it keeps trying.
    #[error("the audit cannot be written: {0}")]
    Failing(io::ErrorKind),
    /// The writer has ended.
    #[error("the audit is closed")]
    Closed,
    /// The system gave no random bytes.
    #[error("the system gave no random bytes")]
    NoRandomness,
}

pub(crate) fn io_fault(doing: &'static str, path: &Path, error: &io::Error) -> AuditFault {
    AuditFault::Io {
        doing,
        path: path.to_owned(),
        kind: error.kind(),
    }
}

/// When what was written is forced to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// every [`AUDIT_SYNC_MS`](crate::limits::AUDIT_SYNC_MS): a crash of pgveil loses nothing that was acknowledged, one
    /// of the machine at most that much
    Interval,
    /// before a `begin` is answered: nothing acknowledged is lost
    Always,
}

/// Where and how the audit is written.
#[derive(Debug, Clone)]
pub struct Settings {
    /// the audit directory; created when it is not there
    pub directory: PathBuf,
    /// the anchors' directory; [`Settings::new`] has `<directory>.anchors`
    pub anchors: PathBuf,
    /// when it is forced to the disk
    pub sync: Sync,
    /// bytes after which a new file is begun
    pub file_bytes: u64,
}

impl Settings {
    /// The settings of a directory, everything else as it is by default.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        let directory = directory.into();
        let mut anchors = directory.clone().into_os_string();
        anchors.push(".anchors");
        Self {
            anchors: anchors.into(),
            directory,
            sync: Sync::Interval,
            file_bytes: AUDIT_FILE_BYTES,
        }
    }
}

/// Hands records to the writer. Cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    queue: queue::Sender,
    writer: writer::Shared,
    state: Arc<State>,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Recorder")
    }
}

/// What the writer and its recorders share.
#[derive(Debug)]
pub(crate) struct State {
    failing: AtomicBool,
    /// KiB of records that may wait
    room: Semaphore,
    metrics: Option<Metrics>,
}

impl State {
    fn lag(&self, change: i64) {
        if let Some(metrics) = &self.metrics {
            metrics.audit_lag(change);
        }
    }

    /// So many records wait no more; the KiB they took are free.
    fn leave(&self, count: usize, kib: usize) {
        self.room.add_permits(kib);
        self.lag(-i64::try_from(count).unwrap_or(i64::MAX));
    }
}

impl Recorder {
    /// Locks the directory, begins a file that continues the chain of the last one, and starts the writer.
    ///
    /// The chain's first key comes from the keyring and a random run id. The recorder keeps neither it nor the
    /// keyring: once a record is written, its key is gone from this process.
    ///
    /// # Errors
    /// Any [`AuditFault`]; nothing runs then.
    pub fn start(
        settings: Settings,
        keyring: &Keyring,
        metrics: Option<Metrics>,
    ) -> Result<Self, AuditFault> {
        Self::start_on(settings, keyring, metrics, medium::on_disk())
    }

    fn start_on(
        settings: Settings,
        keyring: &Keyring,
        metrics: Option<Metrics>,
        medium: medium::Opener,
    ) -> Result<Self, AuditFault> {
        let state = Arc::new(State {
            failing: AtomicBool::new(false),
            room: Semaphore::new(AUDIT_QUEUE_KIB as usize),
            metrics,
        });
        let (queue, incoming) = queue::queue();
        let sync = settings.sync;
        let series = Series::start(settings, keyring, medium)?;
        let writer = Writer::new(series, sync, Arc::clone(&state));
        let writer = Arc::new(Mutex::new(Some(writer)));
        let shared = Arc::clone(&writer);
        std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || Writer::run(&shared, &incoming))
            .map_err(|error| io_fault("start the writer for", Path::new("audit"), &error))?;
        Ok(Self {
            queue,
            writer,
            state,
        })
    }

    /// Whether the writer takes records now. Ask before a statement is sent that gets no `begin`.
    ///
    /// # Errors
    /// [`AuditFault::Failing`] (58030 for the client).
    pub fn check(&self) -> Result<(), AuditFault> {
        if self.state.failing.load(Ordering::Acquire) {
            return Err(AuditFault::Failing(io::ErrorKind::Other));
        }
        Ok(())
    }

    /// Records that a statement on treated attributes is about to be sent. Send it only when this has given its
    /// number: then the record is written (and, with [`Sync::Always`], on the disk).
    ///
    /// # Errors
    /// [`AuditFault::Failing`] or [`AuditFault::Closed`]: refuse the statement with 58030.
    pub async fn begin(&self, mut record: Record) -> Result<u64, AuditFault> {
        record.outcome = Outcome::Begun;
        self.written(record).await
    }

    /// As [`Recorder::record`], but waits until the record is written; gives its number. For changes of keys,
    /// `apply` and the like, which must not happen unrecorded.
    ///
    /// # Errors
    /// [`AuditFault::Failing`], [`AuditFault::Closed`].
    pub async fn written(&self, record: Record) -> Result<u64, AuditFault> {
        self.check()?;
        let (ack, answer) = oneshot::channel();
        self.send(record, None, Some(ack)).await?;
        Writer::attend(&self.writer, &self.queue);
        answer.await.map_err(|_| AuditFault::Closed)?
    }

    /// Records how the statement of a `begin` ended. Waits for room in the queue, not for the disk; the writer
    /// keeps the record until the disk takes it.
    ///
    /// # Errors
    /// [`AuditFault::Closed`].
    pub async fn end(&self, begin: u64, record: Record) -> Result<(), AuditFault> {
        self.send(record, Some(begin), None).await
    }

    /// Records what happened: a statement on nothing treated, a refusal, a login. Waits for room in the queue, not
    /// for the disk: it is in the file some [`AUDIT_LINGER_MS`](crate::limits::AUDIT_LINGER_MS) later.
    ///
    /// # Errors
    /// [`AuditFault::Closed`].
    pub async fn record(&self, record: Record) -> Result<(), AuditFault> {
        self.send(record, None, None).await
    }

    /// Writes what is queued, signs the head, and ends the writer. Later records find it closed.
    ///
    /// # Errors
    /// [`AuditFault::Failing`] when something queued could not be written.
    pub async fn close(&self) -> Result<(), AuditFault> {
        let (closing, answer) = oneshot::channel();
        self.queue.close(closing).map_err(|_| AuditFault::Closed)?;
        answer.await.map_err(|_| AuditFault::Closed)?
    }

    /// Hands a record over as soon as there is room for it.
    async fn send(
        &self,
        mut record: Record,
        begin: Option<u64>,
        ack: Option<Ack>,
    ) -> Result<(), AuditFault> {
        let time = Timestamp::now();
        record.bound();
        let kib = record.queued_kib().min(AUDIT_QUEUE_KIB);
        let room = self.state.room.acquire_many(kib).await;
        // Given back by whoever writes it.
        room.map_err(|_| AuditFault::Closed)?.forget();
        self.state.lag(1);
        let sent = entry::written(&record, time, begin, |bytes| {
            self.queue.send(bytes, kib, ack)
        });
        sent.map_err(|_| {
            self.state.leave(1, kib as usize);
            AuditFault::Closed
        })
    }
}

#[cfg(test)]
mod tests;

//! The writer thread: takes records from the queue, chains them, writes them in batches, signs heads.
//!
//! Knows files and the chain. Knows nothing of sessions.
//!
//! **Invariant:** a record is acknowledged only after the file took it. A batch that fails is taken back whole (file
//! and chain), its `begin`s are refused, and everything else of it is tried again until the disk takes it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use jiff::{Timestamp, tz::TimeZone};
use rand::TryRng as _;
use rand::rngs::SysRng;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::anchor::{self, Anchor};
use super::chain::{Chain, RunKeys};
use super::files::{self, DirectoryLock, Ended};
use super::line::{self, CodeKey};
use super::record::{Kind, Outcome, Parameter, Record, Treatment, Who};
use super::{AuditFault, Settings, State, Sync, io_fault};
use crate::keyring::Keyring;
use crate::limits::{
    AUDIT_ANCHOR_MS, AUDIT_BATCH_MAX, AUDIT_FILE_RECORDS_MAX, AUDIT_QUEUE_KIB, AUDIT_RETRY_MS,
    AUDIT_SYNC_MS,
};
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
    Entry(Entry),
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

/// What an audit file is written on; a file, or in tests one that fails.
pub(super) trait Medium: Send {
    /// Appends all of it.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Cuts it to a length.
    fn truncate(&mut self, bytes: u64) -> io::Result<()>;
    /// Forces it to the disk; an error when nobody could find it there (it was unlinked).
    fn sync(&mut self) -> io::Result<()>;
}

/// Creates a medium by its path.
pub(super) type Opener = Box<dyn Fn(&Path) -> io::Result<Box<dyn Medium>> + Send>;

impl Medium for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn truncate(&mut self, bytes: u64) -> io::Result<()> {
        self.set_len(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()?;
        if self.metadata()?.nlink() == 0 {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(())
    }
}

/// Creates ordinary files, mode 0600.
pub(super) fn on_disk() -> Opener {
    Box::new(|path| {
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        Ok(Box::new(file))
    })
}

/// A record as it stands in the file.
#[derive(Serialize)]
struct Line<'r> {
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
    file: Option<&'r FileHead>,
    prev: String,
}

/// What the first record of a file says of the file.
#[derive(Debug, Clone, Serialize, serde::Deserialize)]
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

/// The file that is being written.
struct Current {
    medium: Box<dyn Medium>,
    index: u64,
    part: u64,
    day: String,
    chain: Chain,
    /// bytes of whole records
    bytes: u64,
}

/// The writer's state.
pub(super) struct Writer {
    settings: Settings,
    state: Arc<State>,
    open: Opener,
    keyring: String,
    run: String,
    keys: RunKeys,
    current: Option<Current>,
    /// the last file's number
    index: u64,
    /// the last record's
    seq: u64,
    head: [u8; 32],
    /// files that no first record has told the end of yet
    ended: Vec<Ended>,
    /// taken from the queue, not yet written
    pending: Vec<Entry>,
    retry_at: Option<Instant>,
    sync_at: Option<Instant>,
    anchor_at: Option<Instant>,
    /// held while the writer lives
    _lock: DirectoryLock,
}

fn day(time: Timestamp) -> String {
    time.to_zoned(TimeZone::UTC).strftime("%Y%m%d").to_string()
}

fn after(ms: u64) -> Instant {
    Instant::now() + Duration::from_millis(ms)
}

impl Writer {
    /// Locks the directory and begins a file.
    pub(super) fn start(
        settings: Settings,
        keyring: &Keyring,
        (state, open): (Arc<State>, Opener),
    ) -> Result<Self, AuditFault> {
        if settings.anchors.starts_with(&settings.directory) {
            return Err(AuditFault::AnchorsInside(settings.directory));
        }
        files::make_private(&settings.directory)?;
        files::make_private(&settings.anchors)?;
        let lock = files::lock(&settings.directory)?;
        let tail = files::tail(&settings.directory)?;
        let mut run = [0; 16];
        SysRng
            .try_fill_bytes(&mut run)
            .map_err(|_| AuditFault::NoRandomness)?;
        let mut writer = Self {
            state,
            open,
            keyring: keyring.id(),
            run: hex::encode(run),
            keys: RunKeys::new(&keyring.audit_key(), &run),
            current: None,
            index: tail.index,
            seq: tail.seq,
            head: tail.head,
            ended: tail.ended,
            pending: Vec::new(),
            retry_at: None,
            sync_at: None,
            anchor_at: None,
            _lock: lock,
            settings,
        };
        writer
            .begin_file(Timestamp::now())
            .map_err(|error| io_fault("begin a file in", &writer.settings.directory, &error))?;
        writer
            .sync()
            .map_err(|error| io_fault("sync a file in", &writer.settings.directory, &error))?;
        writer.sign_head()?;
        Ok(writer)
    }

    /// Serves the queue until it is closed or every recorder is gone.
    pub(super) fn run(mut self, queue: &Receiver<Message>) {
        loop {
            let due = [self.retry_at, self.sync_at, self.anchor_at]
                .into_iter()
                .flatten()
                .min();
            let message = match due {
                Some(due) => queue.recv_timeout(due.saturating_duration_since(Instant::now())),
                None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            let then = match message {
                Ok(Message::Entry(entry)) => {
                    self.pending.push(entry);
                    self.gather(queue)
                }
                Ok(Message::Close(ack)) => Then::Close(Some(ack)),
                Err(RecvTimeoutError::Timeout) => Then::Wait,
                Err(RecvTimeoutError::Disconnected) => Then::Close(None),
            };
            self.write_pending();
            self.keep_due();
            if let Then::Close(ack) = then {
                let closed = self.close();
                if let Some(ack) = ack {
                    // The directory is free before anybody is told so. Who asked may be gone.
                    drop(self);
                    let _ = ack.send(closed);
                }
                return;
            }
        }
    }

    /// Takes what else is queued, up to a batch.
    fn gather(&mut self, queue: &Receiver<Message>) -> Then {
        while self.pending.len() < AUDIT_BATCH_MAX {
            match queue.try_recv() {
                Ok(Message::Entry(entry)) => self.pending.push(entry),
                Ok(Message::Close(ack)) => return Then::Close(Some(ack)),
                Err(_) => break,
            }
        }
        Then::Wait
    }

    /// Writes what is pending as one batch, unless a retry is not due yet.
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

    /// Writes all pending records, and syncs where that is asked for; gives the first one's seq.
    fn write_batch(&mut self) -> io::Result<u64> {
        self.rotate_if_due()?;
        let first = self.seq + 1;
        if self.pending.is_empty() {
            return Ok(first);
        }
        let Some(mut current) = self.current.take() else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let (chain, seq, head) = (current.chain.clone(), self.seq, self.head);
        let mut text = Vec::new();
        for entry in &self.pending {
            self.seq += 1;
            let line = Line::of(entry, self.seq, &self.head);
            self.head = line::append(&mut text, &line, CodeKey::Hash, |body| {
                current.chain.next(body)
            });
        }
        if let Err(error) = current.medium.append(&text) {
            (self.seq, self.head) = (seq, head);
            current.chain = chain;
            self.take_back(current);
            return Err(error);
        }
        current.bytes += text.len() as u64;
        self.current = Some(current);
        match self.settings.sync {
            Sync::Always => {
                if let Err(error) = self.sync() {
                    // It may or may not be on the disk. It stays in the chain, in a file that ends here, and what
                    // nobody waits for is written again: twice is better than not at all.
                    self.end_file();
                    return Err(error);
                }
            }
            Sync::Interval => {
                self.sync_at.get_or_insert_with(|| after(AUDIT_SYNC_MS));
            }
        }
        self.anchor_at.get_or_insert_with(|| after(AUDIT_ANCHOR_MS));
        Ok(first)
    }

    /// Cuts half-written records off. Where that fails the file ends here, torn, and the next one says so.
    fn take_back(&mut self, mut current: Current) {
        let cut = current.medium.truncate(current.bytes).is_ok();
        self.current = Some(current);
        if !cut {
            self.end_file();
        }
    }

    /// Ends the file where it is whole; the next record begins another.
    fn end_file(&mut self) {
        if let Some(Current { index, bytes, .. }) = self.current.take() {
            self.ended.push(Ended { index, bytes });
        }
    }

    /// Begins a new file where there is none, at a size, and at midnight UTC.
    fn rotate_if_due(&mut self) -> io::Result<()> {
        let now = Timestamp::now();
        if let Some(current) = &self.current {
            let full = current.bytes >= self.settings.file_bytes
                || current.chain.position() >= AUDIT_FILE_RECORDS_MAX - u64::from(AUDIT_QUEUE_KIB);
            if !full && current.day == day(now) {
                return Ok(());
            }
            self.sync()?;
            self.sign_head_or_alarm();
            self.end_file();
        }
        self.begin_file(now)
    }

    /// Begins a file: its first record names run and place, and continues the chain.
    fn begin_file(&mut self, now: Timestamp) -> io::Result<()> {
        let keys = self.keys.clone();
        let part = self.keys.part();
        let mut chain = self.keys.next_file();
        let day = day(now);
        let head = FileHead {
            format: 1,
            index: self.index + 1,
            keyring: self.keyring.clone(),
            run: self.run.clone(),
            part,
            ended: self.ended.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let record = Record::new(Who::instance(), Kind::File, Outcome::Done);
        let mut line = Line::new(&record, now, self.seq + 1, &self.head);
        line.file = Some(&head);
        let mut text = Vec::new();
        let hash = line::append(&mut text, &line, CodeKey::Hash, |body| chain.next(body));
        let path = self.settings.directory.join(files::name(head.index, &day));
        let begun = (self.open)(&path).and_then(|mut medium| {
            medium.append(&text)?;
            files::sync_directory(&self.settings.directory)?;
            Ok(medium)
        });
        let medium = begun.inspect_err(|_| {
            self.keys = keys;
            if std::fs::remove_file(&path).is_err() && path.exists() {
                self.index = head.index;
                self.ended.push(Ended {
                    index: head.index,
                    bytes: 0,
                });
            }
        })?;
        self.ended.clear();
        self.index = head.index;
        self.seq += 1;
        self.head = hash;
        self.current = Some(Current {
            medium,
            index: head.index,
            part,
            day,
            chain,
            bytes: text.len() as u64,
        });
        self.sync_at.get_or_insert_with(|| after(AUDIT_SYNC_MS));
        self.anchor_at.get_or_insert_with(|| after(AUDIT_ANCHOR_MS));
        Ok(())
    }

    /// Does what has come due: syncs, signs.
    fn keep_due(&mut self) {
        let now = Instant::now();
        if self.sync_at.is_some_and(|at| at <= now)
            && let Err(error) = self.sync()
        {
            self.end_file();
            self.fails(&error);
        }
        if self.anchor_at.is_some_and(|at| at <= now) && self.retry_at.is_none() {
            if self.sync().is_ok() {
                self.sign_head_or_alarm();
            } else {
                self.anchor_at = Some(after(AUDIT_ANCHOR_MS));
            }
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_at = None;
        self.current
            .as_mut()
            .map_or(Ok(()), |current| current.medium.sync())
    }

    /// Signs the head. What it names must be synced.
    fn sign_head(&mut self) -> Result<(), AuditFault> {
        self.anchor_at = None;
        let Some(current) = &self.current else {
            return Ok(());
        };
        let anchor = Anchor {
            file: current.index,
            run: self.run.clone(),
            part: current.part,
            position: current.chain.position(),
            seq: self.seq,
            head: hex::encode(self.head),
            time: format!("{:.6}", Timestamp::now()),
        };
        anchor::write(&self.settings.anchors, &anchor, &current.chain)
    }

    /// An anchor that cannot be written stops no statement: the records are there. It is tried again.
    fn sign_head_or_alarm(&mut self) {
        if let Err(fault) = self.sign_head() {
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
        self.sync()
            .map_err(|error| io_fault("sync", &self.settings.directory, &error))?;
        self.sign_head()
    }
}

impl<'r> Line<'r> {
    fn of(entry: &'r Entry, seq: u64, prev: &[u8; 32]) -> Self {
        let mut line = Self::new(&entry.record, entry.time, seq, prev);
        line.begin = entry.begin;
        line
    }

    fn new(record: &'r Record, time: Timestamp, seq: u64, prev: &[u8; 32]) -> Self {
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

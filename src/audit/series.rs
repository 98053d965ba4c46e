//! The series of audit files of one run: the file being written, its chain, and how one file follows another.
//!
//! Knows files and the chain. Knows nothing of the queue, nor of who waits.
//!
//! **Invariant:** a batch is in the file whole, with the chain moved on, or neither.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use jiff::{Timestamp, Zoned, tz::TimeZone};
use rand::TryRng as _;
use rand::rngs::SysRng;

use super::anchor::{self, Anchor};
use super::chain::{Chain, RunKeys};
use super::entry::{self, FileHead};
use super::files::{self, DirectoryLock, Ended};
use super::line::{self, CodeKey};
use super::medium::{Medium, Opener};
use super::record::{Kind, Outcome, Record, Who};
use super::{AuditFault, Settings, io_fault};
use crate::keyring::Keyring;
use crate::limits::{AUDIT_FILE_RECORDS_MAX, AUDIT_QUEUE_KIB, AUDIT_SPARE_BYTES_MAX};

/// The file that is being written.
struct Current {
    medium: Arc<dyn Medium>,
    index: u64,
    part: u64,
    /// the day it is named after (UTC)
    day: Range<Timestamp>,
    chain: Chain,
    /// bytes of whole records
    bytes: u64,
}

/// The files of one run.
pub(super) struct Series {
    settings: Settings,
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
    /// room for a batch as it is written
    text: Vec<u8>,
    /// files that no first record has told the end of yet
    ended: Vec<Ended>,
    /// held while the series is written
    _lock: DirectoryLock,
}

/// The day of a moment, from midnight to midnight.
fn day(time: &Zoned) -> Range<Timestamp> {
    let last = Timestamp::MAX;
    let begins = time.start_of_day().map_or(last, |day| day.timestamp());
    let ends = time.tomorrow().and_then(|next| next.start_of_day());
    begins..ends.map_or(last, |day| day.timestamp())
}

impl Series {
    /// Locks the directory and begins a file that continues the last record there; its head is signed.
    ///
    /// # Errors
    /// Any [`AuditFault`].
    pub(super) fn start(
        settings: Settings,
        keyring: &Keyring,
        open: Opener,
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
        let mut series = Self {
            open,
            keyring: keyring.id(),
            run: hex::encode(run),
            keys: RunKeys::new(&keyring.audit_key(), &run),
            current: None,
            index: tail.index,
            seq: tail.seq,
            head: tail.head,
            text: Vec::new(),
            ended: tail.ended,
            _lock: lock,
            settings,
        };
        series
            .begin_file(Timestamp::now())
            .and_then(|()| series.sync())
            .map_err(|error| io_fault("begin a file in", &series.settings.directory, &error))?;
        series.sign_head()?;
        Ok(series)
    }

    /// Whether the file has come to its size, its number of records or its midnight (UTC).
    pub(super) fn is_file_due(&self) -> bool {
        self.current.as_ref().is_some_and(|current| {
            current.bytes >= self.settings.file_bytes
                // A batch is at most what the queue has room for, 1 KiB or more a record.
                || current.chain.position() >= AUDIT_FILE_RECORDS_MAX - u64::from(AUDIT_QUEUE_KIB)
                || !current.day.contains(&Timestamp::now())
        })
    }

    /// Ends the file where it is whole; the next record begins another.
    pub(super) fn end_file(&mut self) {
        if let Some(Current { index, bytes, .. }) = self.current.take() {
            self.ended.push(Ended { index, bytes });
        }
    }

    /// Writes records as one batch; gives the first one's seq.
    ///
    /// # Errors
    /// What the disk says. Then nothing of the batch is in the series.
    pub(super) fn append<'r>(
        &mut self,
        records: impl Iterator<Item = &'r [u8]>,
    ) -> io::Result<u64> {
        if self.current.is_none() {
            self.begin_file(Timestamp::now())?;
        }
        let Some(current) = &mut self.current else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let first = self.seq + 1;
        // The old key lives on here until the batch is in the file, and no longer.
        let before = (current.chain.clone(), self.seq, self.head);
        let text = &mut self.text;
        text.clear();
        for members in records {
            self.seq += 1;
            let start = text.len();
            entry::begin(text, self.seq, members);
            entry::end(text, &self.head);
            let chain = &mut current.chain;
            self.head = line::close(text, start, CodeKey::Hash, |body| chain.next(body));
        }
        if text.is_empty() {
            return Ok(first);
        }
        let written = current.medium.append(text);
        let bytes = text.len() as u64;
        if text.capacity() > AUDIT_SPARE_BYTES_MAX {
            *text = Vec::new();
        }
        if let Err(error) = written {
            (current.chain, self.seq, self.head) = before;
            // Half-written records are cut off. Where even that fails, the file ends here, torn, and the next one
            // says so.
            if current.medium.truncate(current.bytes).is_err() {
                self.end_file();
            }
            return Err(error);
        }
        current.bytes += bytes;
        Ok(first)
    }

    /// Begins a file: its first record names run and place, and continues the chain.
    fn begin_file(&mut self, now: Timestamp) -> io::Result<()> {
        let keys = self.keys.clone();
        let (part, index) = (self.keys.part(), self.index + 1);
        let today = now.to_zoned(TimeZone::UTC);
        let mut chain = self.keys.next_file();
        let head = FileHead {
            format: 1,
            index,
            keyring: self.keyring.clone(),
            run: self.run.clone(),
            part,
            ended: self.ended.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let record = Record::new(Who::instance(), Kind::File, Outcome::Done);
        let mut text = Vec::new();
        entry::begin(
            &mut text,
            self.seq + 1,
            &entry::of_file(&record, now, &head),
        );
        entry::end(&mut text, &self.head);
        let hash = line::close(&mut text, 0, CodeKey::Hash, |body| chain.next(body));
        let path = self
            .settings
            .directory
            .join(files::name(index, &today.strftime("%Y%m%d").to_string()));
        let begun = (self.open)(&path).and_then(|medium| {
            medium.append(&text)?;
            files::sync_directory(&self.settings.directory)?;
            Ok(medium)
        });
        let medium = begun.inspect_err(|_| {
            self.keys = keys;
            if std::fs::remove_file(&path).is_err() && path.exists() {
                self.index = index;
                self.ended.push(Ended { index, bytes: 0 });
            }
        })?;
        self.ended.clear();
        self.index = index;
        self.seq += 1;
        self.head = hash;
        self.current = Some(Current {
            medium,
            index,
            part,
            day: day(&today),
            chain,
            bytes: text.len() as u64,
        });
        Ok(())
    }

    /// Forces what is written to the disk. On an error the file ends here: what it has of it nobody knows.
    ///
    /// # Errors
    /// What the disk says.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        let current = self.current.as_ref();
        let synced = current.map_or(Ok(()), |current| current.medium.sync());
        synced.inspect_err(|_| self.end_file())
    }

    /// Signs the head. What it names must be synced.
    ///
    /// # Errors
    /// [`AuditFault::Io`].
    pub(super) fn sign_head(&self) -> Result<(), AuditFault> {
        let anchor = self.current.as_ref().map(|current| self.anchor(current));
        anchor.map_or(Ok(()), |anchor| anchor.write())
    }

    fn anchor(&self, current: &Current) -> anchor::Ready {
        let anchor = Anchor {
            file: current.index,
            run: self.run.clone(),
            part: current.part,
            position: current.chain.position(),
            seq: self.seq,
            head: hex::encode(self.head),
            time: format!("{:.6}", Timestamp::now()),
        };
        anchor.sign(&self.settings.anchors, &current.chain)
    }

    /// What is written until now, to be forced to the disk, and signed if asked, while the series is written on.
    pub(super) fn checkpoint(&self, signs: bool) -> Checkpoint {
        Checkpoint {
            seq: self.seq,
            file: self.current.as_ref().map(|current| OfFile {
                medium: Arc::clone(&current.medium),
                index: current.index,
                anchor: signs.then(|| self.anchor(current)),
            }),
        }
    }

    /// Whether more was written since that checkpoint.
    pub(super) fn is_behind(&self, made: &Made) -> bool {
        self.seq > made.seq
    }

    /// Ends the file of a checkpoint that failed, if it is still written.
    pub(super) fn end_file_of(&mut self, made: &Made) {
        if self.current.as_ref().map(|current| current.index) == made.index {
            self.end_file();
        }
    }
}

/// How far the series was written at one moment.
pub(super) struct Checkpoint {
    seq: u64,
    file: Option<OfFile>,
}

struct OfFile {
    medium: Arc<dyn Medium>,
    index: u64,
    anchor: Option<anchor::Ready>,
}

/// What became of a checkpoint.
pub(super) struct Made {
    seq: u64,
    index: Option<u64>,
    /// whether it was forced to the disk
    pub(super) synced: io::Result<()>,
    /// whether its head was signed; None where that was not asked for
    pub(super) signed: Option<Result<(), AuditFault>>,
}

impl Checkpoint {
    /// Forces it to the disk, and then signs its head.
    pub(super) fn make(self) -> Made {
        let file = self.file.as_ref();
        let synced = file.map_or(Ok(()), |file| file.medium.sync());
        let anchor = file.and_then(|file| file.anchor.as_ref());
        let signed = anchor.filter(|_| synced.is_ok()).map(anchor::Ready::write);
        Made {
            seq: self.seq,
            index: file.map(|file| file.index),
            synced,
            signed,
        }
    }
}

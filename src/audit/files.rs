//! The audit directory: its lock, its files in order, and where the last one ends.
//!
//! Knows names and bytes. Knows no keys.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::line::{self, CodeKey};
use super::{AuditFault, io_fault};
use crate::limits::AUDIT_LINE_BYTES_MAX;

/// One file of the series.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AuditFile {
    /// its number; files are in order of it
    pub index: u64,
    /// where it lies
    pub path: PathBuf,
}

/// The name of a file: its number, and the day it was begun (UTC).
pub(super) fn name(index: u64, day: &str) -> String {
    format!("audit-{index:08}-{day}.jsonl")
}

fn index_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    let middle = name.strip_prefix("audit-")?.strip_suffix(".jsonl")?;
    middle.split_once('-')?.0.parse().ok()
}

/// The audit files of a directory, in order.
///
/// # Errors
/// [`AuditFault::Io`].
pub fn list(directory: &Path) -> Result<Vec<AuditFile>, AuditFault> {
    let mut files = Vec::new();
    let fault = |error: io::Error| io_fault("list", directory, &error);
    for entry in std::fs::read_dir(directory).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        if let Some(index) = index_of(&path) {
            files.push(AuditFile { index, path });
        }
    }
    files.sort();
    Ok(files)
}

/// Makes a directory that only its owner uses, unless it is there.
pub(super) fn make_private(directory: &Path) -> Result<(), AuditFault> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| io_fault("create", directory, &error))
}

/// Holds a directory for one writer while it lives.
#[derive(Debug)]
pub(super) struct DirectoryLock(#[expect(dead_code, reason = "closing it unlocks")] File);

/// Locks the directory.
///
/// # Errors
/// [`AuditFault::Locked`] when another instance has it; [`AuditFault::Io`].
pub(super) fn lock(directory: &Path) -> Result<DirectoryLock, AuditFault> {
    let path = directory.join("lock");
    let fault = |error: io::Error| io_fault("lock", &path, &error);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(fault)?;
    match file.try_lock() {
        Ok(()) => Ok(DirectoryLock(file)),
        Err(TryLockError::WouldBlock) => Err(AuditFault::Locked(directory.to_owned())),
        Err(TryLockError::Error(error)) => Err(fault(error)),
    }
}

/// Makes a new file's name durable.
pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Where the records of a directory end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tail {
    /// the highest file number, 0 when there is none
    pub(super) index: u64,
    /// the seq of the last record, 0 when there is none
    pub(super) seq: u64,
    /// its hash, zeros when there is none
    pub(super) head: [u8; 32],
    /// the file it is in, and those after it that have no record: how far each is whole
    pub(super) ended: Vec<Ended>,
}

/// How far a file that is written no more is whole. What follows is half a record, left by a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ended {
    /// the file's number
    pub(super) index: u64,
    /// bytes of whole records
    pub(super) bytes: u64,
}

/// Finds the last record. It is not verified: whoever altered it is found by `verify`, in the next file too.
///
/// # Errors
/// [`AuditFault::Unreadable`] when the last whole line is no record; [`AuditFault::Io`].
pub(super) fn tail(directory: &Path) -> Result<Tail, AuditFault> {
    let files = list(directory)?;
    let mut tail = Tail {
        index: files.last().map_or(0, |file| file.index),
        seq: 0,
        head: [0; 32],
        ended: Vec::new(),
    };
    for file in files.iter().rev() {
        let (last, bytes) =
            last_line(&file.path).map_err(|error| io_fault("read", &file.path, &error))?;
        let index = file.index;
        tail.ended.insert(0, Ended { index, bytes });
        if last.is_empty() {
            continue;
        }
        let split = line::split(&last, CodeKey::Hash);
        let (Some((_, head)), Some(seq)) = (split, line::seq(&last)) else {
            return Err(AuditFault::Unreadable(file.path.clone()));
        };
        (tail.seq, tail.head) = (seq, head);
        break;
    }
    Ok(tail)
}

/// The last whole line of a file, without its end (empty when there is none), and the bytes up to its end.
fn last_line(path: &Path) -> io::Result<(Vec<u8>, u64)> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut window = 64 * 1024;
    loop {
        let from = length.saturating_sub(window);
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        (&mut file).take(length - from).read_to_end(&mut bytes)?;
        let end = bytes.iter().rposition(|b| *b == b'\n');
        let start = end.and_then(|end| bytes[..end].iter().rposition(|b| *b == b'\n'));
        match (start, end) {
            (Some(start), Some(end)) => {
                return Ok((bytes[start + 1..end].to_vec(), from + end as u64 + 1));
            }
            (None, Some(end)) if from == 0 => return Ok((bytes[..end].to_vec(), end as u64 + 1)),
            (None, None) if from == 0 => return Ok((Vec::new(), 0)),
            // Two lines of the greatest length and a torn third are in any window longer than this.
            _ if window > 3 * AUDIT_LINE_BYTES_MAX => {
                return Err(io::Error::from(io::ErrorKind::InvalidData));
            }
            _ => window *= 2,
        }
    }
}

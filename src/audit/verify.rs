//! `audit verify`: walks the chain from file to file and finds the first record that is not as it was written.
//!
//! Knows the chain, the files and the anchors. Needs the keyring. Changes nothing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::anchor::{self, Signed};
use super::chain::{Chain, RunKeys};
use super::entry::FileHead;
use super::files::{self, AuditFile};
use super::line::{self, CodeKey};
use super::{AuditFault, Settings, io_fault};
use crate::keyring::Keyring;
use crate::secret::Secret;

/// What is wrong with the first record that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Defect {
    /// The line is no record.
    Malformed,
    /// The first line of a file does not say which run wrote it, or says another keyring.
    Head,
    /// Its hash does not hold: edited, moved, put in, or one before it is gone.
    Altered,
    /// It does not continue the record before it: what was between is gone.
    Gap,
    /// The file breaks off in the middle of a record, and a later file says it did not.
    Broken,
    /// An anchor signed another record in this place.
    NotAnchored,
}

impl Defect {
    /// In a few words.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Malformed => "is not an audit record",
            Self::Head => "does not begin its file as this keyring's audit does",
            Self::Altered => {
                "is not what was written here (edited, moved, or one before it is gone)"
            }
            Self::Gap => "does not continue the record before it (what was between is gone)",
            Self::Broken => "breaks off, though it was whole when the next file was begun",
            Self::NotAnchored => "is not what was signed in this place",
        }
    }
}

/// The first record that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bad {
    /// its file
    pub file: PathBuf,
    /// its line, from 1
    pub line: u64,
    /// the seq it says it has
    pub seq: Option<u64>,
    /// what is wrong
    pub defect: Defect,
}

/// A file that ends in half a record: a crash while writing, or (in the last file) a writer at work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    /// the file
    pub file: PathBuf,
    /// bytes of the half record
    pub bytes: u64,
}

/// What verifying found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// files walked
    pub files: u64,
    /// records that hold
    pub records: u64,
    /// the first record's seq
    pub first_seq: Option<u64>,
    /// the last good record's seq
    pub last_seq: Option<u64>,
    /// the first bad record; nothing behind it was looked at
    pub bad: Option<Bad>,
    /// records up to this seq were signed and are not there: the tail was cut
    pub missing_tail: Option<u64>,
    /// records before the first that are not there; archived, or removed
    pub missing_head: Option<u64>,
    /// anchors that this keyring did not sign
    pub foreign_anchors: u64,
    /// the last signed seq that was met and holds
    pub anchored_seq: Option<u64>,
    /// half records: no sign of tampering
    pub torn: Vec<Torn>,
}

impl Verdict {
    /// Whether everything is as it was written. Records that are missing at the start count as archived only when
    /// the caller says so.
    pub fn is_intact(&self, archived: bool) -> bool {
        self.bad.is_none()
            && self.missing_tail.is_none()
            && self.foreign_anchors == 0
            && (archived || self.missing_head.is_none())
    }
}

/// Verifies a directory against its anchors. Records written meanwhile are looked at too.
///
/// # Errors
/// [`AuditFault::Io`] when something cannot be read; what is wrong with the records is in the [`Verdict`].
pub fn verify(settings: &Settings, keyring: &Keyring) -> Result<Verdict, AuditFault> {
    // Anchors first: a head that is signed while the files are read must not look like a missing tail.
    let (anchors, bad_lines) = if settings.anchors.exists() {
        anchor::read(&settings.anchors)?
    } else {
        (BTreeMap::new(), 0)
    };
    let mut walk = Walk {
        audit_key: keyring.audit_key(),
        keyring: keyring.id(),
        anchors,
        verdict: Verdict {
            foreign_anchors: bad_lines,
            ..Verdict::default()
        },
        head: None,
        seq: 0,
    };
    let files = files::list(&settings.directory)?;
    for (at, file) in files.iter().enumerate() {
        let whole = whole_bytes(file, &files[at + 1..])?;
        walk.file(file, whole)?;
        if walk.verdict.bad.is_some() {
            break;
        }
    }
    walk.settle_anchors();
    Ok(walk.verdict)
}

/// How many bytes of a file are whole, as the first record of a later file says (which is verified after this
/// one); None where none says so, then every line must hold.
fn whole_bytes(file: &AuditFile, later: &[AuditFile]) -> Result<Option<u64>, AuditFault> {
    for next in later {
        let (mut reader, mut text) = (open(next)?, Vec::new());
        let read = line::read(&mut reader, &mut text)
            .map_err(|error| io_fault("read", &next.path, &error))?;
        if !matches!(read, line::Read::Line) {
            // A crash in its first record: a later one tells of both.
            continue;
        }
        return Ok(head_of(&text).and_then(|head| {
            let of_file = head.ended.iter().find(|ended| ended.index == file.index);
            of_file.map(|ended| ended.bytes)
        }));
    }
    Ok(None)
}

fn open(file: &AuditFile) -> Result<BufReader<File>, AuditFault> {
    File::open(&file.path)
        .map(|opened| BufReader::with_capacity(64 * 1024, opened))
        .map_err(|error| io_fault("open", &file.path, &error))
}

/// A record's own words, as far as verifying needs them.
#[derive(Deserialize)]
struct First {
    file: FileHead,
}

fn head_of(text: &[u8]) -> Option<FileHead> {
    let First { file } = serde_json::from_slice(text).ok()?;
    Some(file)
}

/// The state between two files.
struct Walk {
    audit_key: Secret<[u8; 32]>,
    keyring: String,
    /// those not met yet
    anchors: BTreeMap<u64, Vec<Signed>>,
    verdict: Verdict,
    /// the last record's hash
    head: Option<[u8; 32]>,
    /// the last record's seq
    seq: u64,
}

impl Walk {
    fn bad(&mut self, file: &AuditFile, line: u64, text: Option<&[u8]>, defect: Defect) {
        self.verdict.bad = Some(Bad {
            file: file.path.clone(),
            line,
            seq: text.and_then(line::seq),
            defect,
        });
    }

    /// Walks one file, as far as it is whole.
    fn file(&mut self, file: &AuditFile, whole: Option<u64>) -> Result<(), AuditFault> {
        self.verdict.files += 1;
        let fault = |error: io::Error| io_fault("read", &file.path, &error);
        let length = std::fs::metadata(&file.path).map_err(fault)?.len();
        let (mut reader, mut text) = (open(file)?, Vec::new());
        let (mut chain, mut number, mut bytes) = (None, 0, 0);
        loop {
            if whole.is_some_and(|whole| bytes >= whole) {
                break;
            }
            match line::read(&mut reader, &mut text).map_err(fault)? {
                line::Read::Line => {}
                line::Read::End if whole.is_none() => break,
                line::Read::Torn if whole.is_none() => {
                    let bytes = text.len() as u64;
                    let file = file.path.clone();
                    self.verdict.torn.push(Torn { file, bytes });
                    return Ok(());
                }
                line::Read::TooLong => {
                    self.bad(file, number + 1, Some(&text), Defect::Malformed);
                    return Ok(());
                }
                line::Read::End | line::Read::Torn => {
                    self.bad(file, number + 1, Some(&text), Defect::Broken);
                    return Ok(());
                }
            }
            number += 1;
            bytes += text.len() as u64 + 1;
            if let Err(defect) = self.record(file, &mut chain, &text) {
                self.bad(file, number, Some(&text), defect);
                return Ok(());
            }
        }
        if whole.is_some_and(|whole| length > whole) {
            let bytes = length - bytes;
            let file = file.path.clone();
            self.verdict.torn.push(Torn { file, bytes });
        }
        Ok(())
    }

    /// Checks one record against the chain, which the first one of a file begins.
    fn record(
        &mut self,
        file: &AuditFile,
        chain: &mut Option<Chain>,
        text: &[u8],
    ) -> Result<(), Defect> {
        let (body, hash) = line::split(text, CodeKey::Hash).ok_or(Defect::Malformed)?;
        let seq = line::seq(body).ok_or(Defect::Malformed)?;
        let chain = match chain {
            Some(chain) => chain,
            None => chain.insert(self.begin(file, text)?),
        };
        if !chain.holds(body, &hash) {
            return Err(Defect::Altered);
        }
        // The hash holds, so the line is what a writer wrote here; what is left to ask is what came before it.
        let prev = body
            .strip_suffix(b"\"")
            .and_then(|rest| rest.len().checked_sub(64).map(|at| &rest[at..]))
            .ok_or(Defect::Malformed)?;
        match self.head {
            Some(head) if hex::encode(head).as_bytes() != prev || seq != self.seq + 1 => {
                return Err(Defect::Gap);
            }
            Some(_) => {}
            None => {
                self.verdict.first_seq = Some(seq);
                self.verdict.missing_head = (seq > 1).then(|| seq - 1);
            }
        }
        self.head = Some(hash);
        self.seq = seq;
        self.anchored(file.index, chain, &hash)?;
        self.verdict.last_seq = Some(seq);
        self.verdict.records += 1;
        Ok(())
    }

    /// The chain that a file's first record names.
    fn begin(&self, file: &AuditFile, text: &[u8]) -> Result<Chain, Defect> {
        let head = head_of(text).ok_or(Defect::Head)?;
        if head.format != 1 || head.index != file.index || head.keyring != self.keyring {
            return Err(Defect::Head);
        }
        self.chain(&head.run, head.part).ok_or(Defect::Head)
    }

    fn chain(&self, run: &str, part: u64) -> Option<Chain> {
        let run: [u8; 16] = hex::decode(run).ok()?.try_into().ok()?;
        RunKeys::new(&self.audit_key, &run).file(part)
    }

    /// Checks the anchors of this very place.
    fn anchored(&mut self, index: u64, chain: &Chain, hash: &[u8; 32]) -> Result<(), Defect> {
        let Some(of_file) = self.anchors.get_mut(&index) else {
            return Ok(());
        };
        let here = of_file.partition_point(|signed| signed.anchor.position <= chain.position());
        for signed in of_file.drain(..here) {
            if !signed.is_authentic(chain) {
                self.verdict.foreign_anchors += 1;
            } else if signed.anchor.head == hex::encode(hash) && signed.anchor.seq == self.seq {
                self.verdict.anchored_seq = Some(self.seq);
            } else {
                return Err(Defect::NotAnchored);
            }
        }
        Ok(())
    }

    /// What is left of the anchors signed records that were not met.
    fn settle_anchors(&mut self) {
        if self.verdict.bad.is_some() {
            // What is behind the bad record was not looked at.
            return;
        }
        let left = std::mem::take(&mut self.anchors);
        for signed in left.into_values().flatten() {
            let anchor = &signed.anchor;
            if self
                .verdict
                .first_seq
                .is_some_and(|first| anchor.seq < first)
            {
                // Archived with its file, or removed: `missing_head` says so.
                continue;
            }
            let chain = self
                .chain(&anchor.run, anchor.part)
                .and_then(|chain| chain.at(anchor.position));
            if chain.is_some_and(|chain| signed.is_authentic(&chain)) {
                self.verdict.missing_tail = self.verdict.missing_tail.max(Some(anchor.seq));
            } else {
                self.verdict.foreign_anchors += 1;
            }
        }
    }
}

/// Whether the directory can be an audit's: it exists and has a file of the series.
pub fn is_audit(directory: &Path) -> bool {
    files::list(directory).is_ok_and(|files| !files.is_empty())
}

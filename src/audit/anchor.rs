//! Anchors: signed heads of the chain, kept outside the audit directory, so that a cut tail is missed.
//!
//! Knows where the chain stood and when. Knows nothing of records.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::chain::Chain;
use super::line::{self, CodeKey};
use super::{AuditFault, io_fault};

/// A head of the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// the audit file's index
    pub file: u64,
    /// the run that wrote it, hexadecimal
    pub run: String,
    /// the file's number in the run
    pub part: u64,
    /// records of the file up to here
    pub position: u64,
    /// the seq of the last of them
    pub seq: u64,
    /// its hash, hexadecimal
    pub head: String,
    /// when
    pub time: String,
}

/// An anchor as read, with what it needs to be checked.
#[derive(Debug, Clone)]
pub(super) struct Signed {
    pub(super) anchor: Anchor,
    body: Vec<u8>,
    signature: [u8; 32],
}

impl Signed {
    /// Whether the chain signed it; the chain must stand at its position.
    pub(super) fn is_authentic(&self, chain: &Chain) -> bool {
        chain.position() == self.anchor.position && chain.signed_anchor(&self.body, &self.signature)
    }
}

fn path(directory: &Path, file: u64) -> PathBuf {
    directory.join(format!("anchors-{file:08}.jsonl"))
}

/// A signed anchor that is not yet written.
pub(super) struct Ready {
    path: PathBuf,
    line: Vec<u8>,
}

impl Anchor {
    /// Signs it with the chain, which must stand at its position.
    pub(super) fn sign(&self, directory: &Path, chain: &Chain) -> Ready {
        let mut line = Vec::new();
        line::append(&mut line, self, CodeKey::Signature, |body| {
            chain.sign_anchor(body)
        });
        Ready {
            path: path(directory, self.file),
            line,
        }
    }
}

impl Ready {
    /// Appends it to the anchors, and forces it to the disk.
    ///
    /// # Errors
    /// [`AuditFault::Io`].
    pub(super) fn write(&self) -> Result<(), AuditFault> {
        OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.path)
            .and_then(|mut file| {
                file.write_all(&self.line)?;
                file.sync_data()
            })
            .map_err(|error| io_fault("write", &self.path, &error))
    }
}

/// Reads all anchors of a directory, by file, in order of position. The second value is how many lines are no
/// anchors; a torn last line is none of them.
///
/// # Errors
/// [`AuditFault::Io`].
pub(super) fn read(directory: &Path) -> Result<(BTreeMap<u64, Vec<Signed>>, u64), AuditFault> {
    let mut anchors: BTreeMap<u64, Vec<Signed>> = BTreeMap::new();
    let mut bad = 0;
    let entries =
        std::fs::read_dir(directory).map_err(|error| io_fault("list", directory, &error))?;
    for entry in entries {
        let path = entry
            .map_err(|error| io_fault("list", directory, &error))?
            .path();
        let named = path.file_name().and_then(|name| name.to_str());
        if !named.is_some_and(|name| name.starts_with("anchors-") && name.ends_with(".jsonl")) {
            continue;
        }
        let fault = |error: std::io::Error| io_fault("read", &path, &error);
        let mut reader = BufReader::new(File::open(&path).map_err(fault)?);
        let mut text = Vec::new();
        loop {
            match line::read(&mut reader, &mut text).map_err(fault)? {
                line::Read::Line => match parse(&text) {
                    Some(signed) => anchors.entry(signed.anchor.file).or_default().push(signed),
                    None => bad += 1,
                },
                line::Read::TooLong => bad += 1,
                line::Read::Torn | line::Read::End => break,
            }
        }
    }
    for of_file in anchors.values_mut() {
        of_file.sort_by_key(|signed| signed.anchor.position);
    }
    Ok((anchors, bad))
}

fn parse(text: &[u8]) -> Option<Signed> {
    let (body, signature) = line::split(text, CodeKey::Signature)?;
    let mut json = body.to_vec();
    json.push(b'}');
    Some(Signed {
        anchor: serde_json::from_slice(&json).ok()?,
        body: body.to_vec(),
        signature,
    })
}

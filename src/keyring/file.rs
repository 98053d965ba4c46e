//! The keyring's file on disk: private, read bounded, created once, replaced atomically.
//!
//! Knows the file system. What the file says is `model`'s.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::model::{self, FORMAT, Model, written};
use super::{Keyring, KeyringFault, Passphrase};
use crate::limits::KEYRING_BYTES_MAX;

/// Who may read a private file.
#[derive(Clone, Copy)]
pub(super) enum Readers {
    /// its owner alone
    Owner,
    /// its owner; its group too where root owns it
    OwnerOrRootsGroup,
}

/// An I/O fault with its file's name.
pub(super) fn io(doing: &'static str, path: &Path, error: &std::io::Error) -> KeyringFault {
    KeyringFault::Io {
        doing,
        path: path.to_owned(),
        kind: error.kind(),
    }
}

/// The path with symbolic links followed, so that replacing the file does not replace a link.
pub(super) fn resolve(path: &Path) -> Result<PathBuf, KeyringFault> {
    path.canonicalize()
        .map_err(|error| io("find", path, &error))
}

/// Opens a file that must be private. Its mode is asked of the open file, not of the path.
pub(super) fn open_private(path: &Path, readers: Readers) -> Result<File, KeyringFault> {
    let file = File::open(path).map_err(|error| io("open", path, &error))?;
    let metadata = file
        .metadata()
        .map_err(|error| io("inspect", path, &error))?;
    let mode = metadata.mode() & 0o7777;
    let forbidden = match readers {
        Readers::OwnerOrRootsGroup if metadata.uid() == 0 => 0o037,
        Readers::Owner | Readers::OwnerOrRootsGroup => 0o077,
    };
    if mode & forbidden != 0 {
        return Err(KeyringFault::Permissions {
            path: path.to_owned(),
            mode,
        });
    }
    Ok(file)
}

/// Reads the file's JSON, bounded.
fn read(path: &Path) -> Result<Model, KeyringFault> {
    let file = open_private(path, Readers::Owner)?;
    let mut json = Vec::new();
    file.take(KEYRING_BYTES_MAX + 1)
        .read_to_end(&mut json)
        .map_err(|error| io("read", path, &error))?;
    if json.len() as u64 > KEYRING_BYTES_MAX {
        return Err(KeyringFault::TooLong {
            path: path.to_owned(),
            bytes_max: KEYRING_BYTES_MAX,
        });
    }
    // The format is asked first, so that a later format is not called malformed.
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let malformed = |error: serde_json::Error| KeyringFault::Malformed {
        path: path.to_owned(),
        line: error.line(),
        column: error.column(),
    };
    let Format { format } = serde_json::from_slice(&json).map_err(malformed)?;
    if format != FORMAT {
        return Err(KeyringFault::FormatUnknown(format));
    }
    serde_json::from_slice(&json).map_err(malformed)
}

/// Reads, unlocks and authenticates.
pub(super) fn open(path: PathBuf, passphrase: &Passphrase) -> Result<Keyring, KeyringFault> {
    model::unlock(read(&path)?, path, passphrase)
}

/// Writes a new file beside `path`, synced, mode 0600; returns its name.
fn write_beside(path: &Path, json: &[u8]) -> Result<PathBuf, KeyringFault> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(
        ".{}.new",
        hex::encode(super::random::<8>()?.expose())
    ));
    let beside = path.with_file_name(name);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)
        .map_err(|error| io("create", &beside, &error))?;
    let written = file.write_all(json).and_then(|()| file.sync_all());
    written.map_err(|error| {
        let _ = std::fs::remove_file(&beside);
        io("write", &beside, &error)
    })?;
    Ok(beside)
}

/// Makes a rename durable.
fn sync_directory(path: &Path) -> Result<(), KeyringFault> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| io("sync", directory, &error))
}

/// Creates the file; a hard link puts it in place, because that fails where a name exists already.
pub(super) fn create(path: &Path, keyring: &Keyring) -> Result<[u8; 32], KeyringFault> {
    let (json, mac) = written(keyring);
    let beside = write_beside(path, &json)?;
    let linked = std::fs::hard_link(&beside, path);
    let _ = std::fs::remove_file(&beside);
    match linked {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(KeyringFault::Exists(path.to_owned()));
        }
        Err(error) => return Err(io("create", path, &error)),
    }
    sync_directory(path)?;
    Ok(mac)
}

/// Replaces the file atomically, unless another process has replaced it since.
pub(super) fn replace(keyring: &Keyring) -> Result<[u8; 32], KeyringFault> {
    let path = keyring.path.as_path();
    let current = open_private(path, Readers::Owner)?;
    // Whoever waited here for another's save then finds another code by the path, and gives up.
    current.lock().map_err(|error| io("lock", path, &error))?;
    if read(path)?.code()? != keyring.mac {
        return Err(KeyringFault::ChangedSince(path.to_owned()));
    }
    let (json, mac) = written(keyring);
    let beside = write_beside(path, &json)?;
    std::fs::rename(&beside, path).map_err(|error| {
        let _ = std::fs::remove_file(&beside);
        io("replace", path, &error)
    })?;
    sync_directory(path)?;
    Ok(mac)
}

//! What an audit file is written on: a file, or in tests one that fails.
//!
//! Knows bytes and the file system. Only one thread at a time appends and truncates; another may sync meanwhile.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;

/// What an audit file is written on.
pub(super) trait Medium: Send + Sync {
    /// Appends all of it.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;
    /// Cuts it to a length.
    fn truncate(&self, bytes: u64) -> io::Result<()>;
    /// Forces it to the disk; an error when nobody could find it there (it was unlinked).
    fn sync(&self) -> io::Result<()>;
}

/// Creates a medium by its path.
pub(super) type Opener = Box<dyn Fn(&Path) -> io::Result<Arc<dyn Medium>> + Send>;

impl Medium for File {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut file = self;
        file.write_all(bytes)
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.set_len(bytes)
    }

    fn sync(&self) -> io::Result<()> {
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
        Ok(Arc::new(file))
    })
}

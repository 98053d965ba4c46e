//! The temporary folder of a private cluster, and the unprivileged user it is handed to.
//!
//! Knows /tmp and /etc/passwd; knows nothing of PostgreSQL but that it refuses to run as root.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rand::RngExt;

use super::cluster::{ClusterFault, io_fault};

/// The unprivileged user a root process runs the server as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// The command with an environment of its own: no `PG…` variable of the caller's, C locale, UTC.
pub(super) fn as_owner(mut command: Command, owner: Option<Owner>, folder: &Path) -> Command {
    command
        .current_dir(folder)
        .env("LC_ALL", "C")
        .env("TZ", "UTC");
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|n| n.starts_with("PG")) {
            command.env_remove(name);
        }
    }
    if let Some(owner) = owner {
        command.uid(owner.uid).gid(owner.gid);
    }
    command
}

/// The temporary folder while the cluster is being made; removed when that fails.
pub(super) struct Folder {
    path: PathBuf,
    made_by_root: bool,
    kept: bool,
}

impl Folder {
    /// A new folder in `/tmp` that only its owner can enter.
    pub(super) fn create() -> Result<Self, ClusterFault> {
        // The socket's path may have 107 bytes at most, and an unprivileged user must reach it.
        let parent = Path::new("/tmp");
        let name = format!("pgveil-{:016x}", rand::rng().random::<u64>());
        let path = parent.join(name);
        let doing = format!("creating {}", path.display());
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(io_fault(&doing))?;
        let made_by_root = fs::metadata(&path).map_err(io_fault(doing))?.uid() == 0;
        Ok(Self {
            path,
            made_by_root,
            kept: false,
        })
    }

    /// Whether this process has root's rights.
    pub(super) fn made_by_root(&self) -> bool {
        self.made_by_root
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the folder to an unprivileged user, when root made it.
    pub(super) fn hand_over(&self) -> Result<Option<Owner>, ClusterFault> {
        if !self.made_by_root {
            return Ok(None);
        }
        let passwd = fs::read_to_string("/etc/passwd").map_err(io_fault("reading /etc/passwd"))?;
        let owner = ["postgres", "nobody"]
            .iter()
            .find_map(|name| owner_in(&passwd, name))
            .ok_or(ClusterFault::NoUnprivilegedUser)?;
        chown(&self.path, Some(owner.uid), Some(owner.gid))
            .map_err(io_fault("handing the cluster's folder to its user"))?;
        Ok(Some(owner))
    }

    /// Takes the folder over: from now on its user removes it.
    pub(super) fn keep(mut self) -> PathBuf {
        self.kept = true;
        std::mem::take(&mut self.path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.kept {
            // A failed start is reported already; there is no one left to tell of this.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// The user of that name in the text of `/etc/passwd` (passwd(5)), unless it is root by another name.
fn owner_in(passwd: &str, name: &str) -> Option<Owner> {
    let fields: Vec<&str> = passwd
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.first() == Some(&name))?;
    let uid = fields.get(2)?.parse().ok()?;
    let gid = fields.get(3)?.parse().ok()?;
    (uid != 0).then_some(Owner { uid, gid })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_read_from_passwd_and_is_never_root() {
        let passwd =
            "root:x:0:0::/root:/bin/sh\ntoor:x:0:0::/:/bin/sh\npostgres:x:101:104:,:/var:/bin/sh\n";
        assert_eq!(
            owner_in(passwd, "postgres"),
            Some(Owner { uid: 101, gid: 104 })
        );
        assert_eq!(owner_in(passwd, "toor"), None);
        assert_eq!(owner_in(passwd, "nobody"), None);
    }
}

//! Finds PostgreSQL's server programs, and on Debian installs them when they are missing.
//!
//! Knows where distributions put `initdb` and `postgres`; knows nothing of clusters. It never starts a
//! cluster of the distribution's own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use thiserror::Error;

/// The environment variable that names the folder of the server programs, and the only place searched when set.
pub const FOLDER_VARIABLE: &str = "PGVEIL_PG_BIN";

/// Debian's switch for the cluster that the server package would otherwise make on installation.
const CREATE_CLUSTER_CONF: &str = "/etc/postgresql-common/createcluster.conf";

/// Why there are no server programs to run.
#[derive(Debug, Error)]
pub enum ServerFault {
    /// None were found and none could be installed.
    #[error("no PostgreSQL server programs (initdb, postgres) were found; {hint}")]
    Missing {
        /// the one command to run, or what to set
        hint: String,
    },
    /// The package manager failed.
    #[error("installing PostgreSQL failed at `{command}`: {detail}")]
    Install {
        /// the command that failed
        command: String,
        /// the last lines it printed
        detail: String,
    },
    /// A file or program of the machine could not be used.
    #[error("{doing}: {source}")]
    Io {
        /// what was being done
        doing: String,
        /// the cause
        #[source]
        source: io::Error,
    },
}

/// The folder that holds `initdb` and `postgres`, or None.
///
/// Sought in `$PGVEIL_PG_BIN` (alone, when set), PATH, `pg_config --bindir`, then the folders of Debian
/// (`/usr/lib/postgresql/N/bin`), of RHEL (`/usr/pgsql-N/bin`) and of Homebrew, the newest first.
pub fn find() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os(FOLDER_VARIABLE) {
        return Some(PathBuf::from(folder)).filter(|f| has_programs(f));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(folder_of_pg_config())
        .chain(versioned("/usr/lib/postgresql", "", "bin"))
        .chain(versioned("/usr", "pgsql-", "bin"))
        .chain(versioned("/opt/homebrew/opt", "postgresql@", "bin"))
        .find(|folder| has_programs(folder))
}

/// As [`find`]; when there is nothing and this is Debian with root's rights, installs the package first.
///
/// `progress` is told what is about to be done, in words for a person.
///
/// # Errors
/// [`ServerFault::Missing`] names the one command that a person can run.
pub fn find_or_install(is_root: bool, progress: &dyn Fn(&str)) -> Result<PathBuf, ServerFault> {
    if let Some(folder) = find() {
        return Ok(folder);
    }
    if std::env::var_os(FOLDER_VARIABLE).is_some() {
        return Err(missing(format!(
            "{FOLDER_VARIABLE} is set, and the folder it names does not hold them"
        )));
    }
    if !Path::new("/usr/bin/apt-get").exists() {
        return Err(missing(format!(
            "run: {}",
            install_command(Path::new("/usr/bin"))
        )));
    }
    if !is_root {
        return Err(missing("run: sudo apt-get install postgresql".to_owned()));
    }
    progress("installing the package postgresql (its own cluster is not created)");
    install_on_debian()?;
    find().ok_or_else(|| {
        missing("the package postgresql was installed without them; set PGVEIL_PG_BIN".to_owned())
    })
}

fn missing(hint: String) -> ServerFault {
    ServerFault::Missing { hint }
}

/// The command of the machine's own package manager, found by its program in `programs`.
fn install_command(programs: &Path) -> &'static str {
    const MANAGERS: &[(&str, &str)] = &[
        ("dnf", "sudo dnf install postgresql-server"),
        ("yum", "sudo yum install postgresql-server"),
        ("zypper", "sudo zypper install postgresql-server"),
        ("pacman", "sudo pacman -S postgresql"),
        ("brew", "brew install postgresql"),
    ];
    MANAGERS
        .iter()
        .find(|(program, _)| programs.join(program).exists())
        .map_or(
            "the installer of your system for the PostgreSQL server, or set PGVEIL_PG_BIN",
            |(_, command)| command,
        )
}

fn has_programs(folder: &Path) -> bool {
    folder.join("initdb").is_file() && folder.join("postgres").is_file()
}

fn folder_of_pg_config() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    let folder = String::from_utf8(output.stdout).ok()?;
    Some(PathBuf::from(folder.trim())).filter(|_| output.status.success())
}

/// Folders `parent/<prefix><number>/<leaf>`, the highest number first.
fn versioned(parent: &str, prefix: &str, leaf: &str) -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let version = name.to_str()?.strip_prefix(prefix)?.parse().ok()?;
            Some((version, entry.path().join(leaf)))
        })
        .collect();
    found.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    found.into_iter().map(|(_, folder)| folder).collect()
}

/// Installs `postgresql`, with the creation of the distribution's own cluster switched off meanwhile.
fn install_on_debian() -> Result<(), ServerFault> {
    if apt(&[
        "install",
        "-y",
        "--no-install-recommends",
        "postgresql-common",
    ])
    .is_err()
    {
        apt(&["update"])?;
        apt(&[
            "install",
            "-y",
            "--no-install-recommends",
            "postgresql-common",
        ])?;
    }
    let before = fs::read_to_string(CREATE_CLUSTER_CONF).map_err(at(CREATE_CLUSTER_CONF))?;
    let switched_off = format!("{before}\ncreate_main_cluster = false\n");
    fs::write(CREATE_CLUSTER_CONF, switched_off).map_err(at(CREATE_CLUSTER_CONF))?;
    let installed = apt(&["install", "-y", "--no-install-recommends", "postgresql"]);
    fs::write(CREATE_CLUSTER_CONF, before).map_err(at(CREATE_CLUSTER_CONF))?;
    installed
}

fn at(path: &'static str) -> impl Fn(io::Error) -> ServerFault {
    move |source| ServerFault::Io {
        doing: path.to_owned(),
        source,
    }
}

fn apt(arguments: &[&str]) -> Result<(), ServerFault> {
    let output = Command::new("apt-get")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .output()
        .map_err(at("apt-get"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(ServerFault::Install {
        command: format!("apt-get {}", arguments.join(" ")),
        detail: last_lines(&String::from_utf8_lossy(&output.stderr)),
    })
}

/// The last lines of what a program printed, for a person who must find out why it failed.
pub(super) fn last_lines(text: &str) -> String {
    const LINES_SHOWN_MAX: usize = 8;
    let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(LINES_SHOWN_MAX)..].join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_comes_first_as_a_number() {
        let parent = tempfile::tempdir().unwrap();
        for name in ["9", "15", "16", "other"] {
            fs::create_dir(parent.path().join(name)).unwrap();
        }
        let found = versioned(parent.path().to_str().unwrap(), "", "bin");
        let names: Vec<_> = found
            .iter()
            .map(|f| f.strip_prefix(parent.path()).unwrap().to_str().unwrap())
            .collect();
        assert_eq!(names, ["16/bin", "15/bin", "9/bin"]);
    }

    #[test]
    fn a_folder_counts_only_with_both_programs() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("initdb"), "").unwrap();
        assert!(!has_programs(folder.path()));
        fs::write(folder.path().join("postgres"), "").unwrap();
        assert!(has_programs(folder.path()));
    }

    #[test]
    fn the_hint_is_one_command_of_the_machines_own_manager() {
        let programs = tempfile::tempdir().unwrap();
        fs::write(programs.path().join("dnf"), "").unwrap();
        assert_eq!(
            install_command(programs.path()),
            "sudo dnf install postgresql-server"
        );
    }
}

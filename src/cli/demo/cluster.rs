//! A private PostgreSQL cluster: its own temporary folder, a free port on loopback, gone when dropped.
//!
//! Used by `pgveil demo` and by the tests. Knows nothing of pgveil's own parts. PostgreSQL refuses to run as
//! root; then the cluster belongs to an unprivileged user of the machine.
//!
//! The server is the child of a small shell that waits for its own standard input to end. That input is a
//! pipe whose only writer is [`Cluster`]: however this process ends (return, panic, signal, `kill -9`),
//! the shell stops the server by its process id and removes the folder.

use std::fs;
use std::io::{self, Write};
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use rand::distr::{Alphanumeric, SampleString};
use thiserror::Error;

use super::folder::{Folder, Owner, as_owner};
use super::server_programs::{ServerFault, find_or_install, last_lines};

/// The superuser of a private cluster.
pub const SUPERUSER: &str = "postgres";

/// How long a server may take to accept connections; a slow disk under load needs several seconds.
const START_WAIT_MAX: Duration = Duration::from_secs(60);

/// How often `postmaster.pid` is looked at meanwhile.
const START_POLL: Duration = Duration::from_millis(20);

/// Other programs may take a port between its choice and its use; then another is tried.
const PORT_ATTEMPTS_MAX: usize = 5;

/// Characters of a random password: 24 of 62 symbols are 142 bits.
const PASSWORD_CHARACTERS: usize = 24;

/// Why a private cluster could not be started.
#[derive(Debug, Error)]
pub enum ClusterFault {
    /// There are no server programs.
    #[error(transparent)]
    Server(#[from] ServerFault),
    /// A file or program of the machine could not be used.
    #[error("{doing}: {source}")]
    Io {
        /// what was being done
        doing: String,
        /// the cause
        #[source]
        source: io::Error,
    },
    /// Started as root, and there is no unprivileged user to run the server as.
    #[error("PostgreSQL does not run as root, and /etc/passwd has neither `postgres` nor `nobody`")]
    NoUnprivilegedUser,
    /// `initdb` or `postgres` failed.
    #[error("{program} failed: {detail}")]
    Program {
        /// the program
        program: &'static str,
        /// the last lines it printed
        detail: String,
    },
}

/// What a private cluster is started with.
#[derive(Debug, Clone, Default)]
pub struct ClusterOptions {
    /// Whether writes reach the disk before a commit returns; off is faster, and right for what is thrown away.
    pub durable: bool,
    /// Settings of `postgresql.conf`, name and value; the value is quoted here.
    pub settings: Vec<(String, String)>,
}

/// A running private cluster. Dropping it stops the server and removes every file of it.
#[derive(Debug)]
pub struct Cluster {
    folder: PathBuf,
    programs: PathBuf,
    port: u16,
    password: String,
    owner: Option<Owner>,
    guard: Child,
    lifeline: Option<ChildStdin>,
}

/// The shell that owns the server. Arguments: postgres, data folder, whole folder, log file.
///
/// The end of its input stops the server and removes the folder; a line `keep` stops the server only.
const GUARD: &str = r#"trap '' INT TERM HUP
"$1" -D "$2" >"$4" 2>&1 </dev/null &
server=$!
read -r word
kill -QUIT "$server" 2>/dev/null
wait "$server"
[ "$word" = keep ] || rm -rf "$3""#;

impl Cluster {
    /// Makes and starts a cluster, with SCRAM-SHA-256 for every connection.
    ///
    /// `progress` is told what is about to be done, in words for a person.
    ///
    /// # Errors
    /// As [`ClusterFault`] lists; nothing is left behind then.
    pub fn start(options: &ClusterOptions, progress: &dyn Fn(&str)) -> Result<Self, ClusterFault> {
        let folder = Folder::create()?;
        let programs = find_or_install(folder.made_by_root(), progress)?;
        let owner = folder.hand_over()?;
        let password = random_password();
        let place = Place {
            folder: folder.path(),
            programs: &programs,
            owner,
        };
        progress("making a private PostgreSQL cluster");
        place.initdb(&password)?;
        let mut attempt = 1;
        loop {
            let port = free_port()?;
            place.configure(port, options)?;
            match place.launch() {
                Ok((guard, lifeline)) => {
                    let folder = folder.keep();
                    return Ok(Self {
                        folder,
                        programs,
                        port,
                        password,
                        owner,
                        guard,
                        lifeline: Some(lifeline),
                    });
                }
                Err(_) if attempt < PORT_ATTEMPTS_MAX && !is_free(port) => attempt += 1,
                Err(fault) => return Err(fault),
            }
        }
    }

    /// The TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The password of [`SUPERUSER`].
    pub fn superuser_password(&self) -> &str {
        &self.password
    }

    /// A connection string for [`SUPERUSER`] to a database, straight to the server.
    pub fn superuser_url(&self, database: &str) -> String {
        self.url(SUPERUSER, &self.password, database)
    }

    /// A connection string for a login to a database, straight to the server.
    pub fn url(&self, user: &str, password: &str, database: &str) -> String {
        format!(
            "postgresql://{user}:{password}@127.0.0.1:{}/{database}",
            self.port
        )
    }

    /// The data directory.
    pub fn data_directory(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The folder of the Unix socket.
    pub fn socket_directory(&self) -> &Path {
        &self.folder
    }

    /// What the server logged, from its start.
    pub fn log_file(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    /// A program that stands beside the server's own, for example `pg_dump`.
    pub fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// A command that runs as the user who owns the cluster's files.
    pub fn command(&self, program: &str) -> Command {
        as_owner(
            Command::new(self.program(program)),
            self.owner,
            &self.folder,
        )
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        // Nothing can be done about a guard that cannot be waited for; the folder is the guard's to remove.
        let _ = self.guard.wait();
    }
}

/// A random password of letters and digits, so that it needs no quoting in a connection string or in SQL.
pub fn random_password() -> String {
    Alphanumeric.sample_string(&mut rand::rng(), PASSWORD_CHARACTERS)
}

/// A TCP port on 127.0.0.1 that nothing listens on at this moment.
///
/// # Errors
/// [`ClusterFault::Io`] when loopback cannot be bound.
pub fn free_port() -> Result<u16, ClusterFault> {
    let bound = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
    Ok(bound.map_err(io_fault("binding 127.0.0.1"))?.port())
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

pub(super) fn io_fault(doing: impl Into<String>) -> impl FnOnce(io::Error) -> ClusterFault {
    let doing = doing.into();
    move |source| ClusterFault::Io { doing, source }
}

/// Where a cluster is being made, and by whom.
struct Place<'a> {
    folder: &'a Path,
    programs: &'a Path,
    owner: Option<Owner>,
}

impl Place<'_> {
    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn initdb(&self, password: &str) -> Result<(), ClusterFault> {
        let password_file = self.folder.join("superuser");
        fs::write(&password_file, password)
            .map_err(io_fault("writing the superuser's password"))?;
        if let Some(owner) = self.owner {
            chown(&password_file, Some(owner.uid), Some(owner.gid))
                .map_err(io_fault("handing over the superuser's password"))?;
        }
        let mut command = as_owner(
            Command::new(self.programs.join("initdb")),
            self.owner,
            self.folder,
        );
        let output = command
            .args([
                "--no-sync",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
            ])
            .args(["--username", SUPERUSER, "--pwfile"])
            .arg(&password_file)
            .arg("--pgdata")
            .arg(self.data())
            .stdin(Stdio::null())
            .output()
            .map_err(io_fault("running initdb"))?;
        // It must not outlive initdb; the folder's own end takes it otherwise.
        let _ = fs::remove_file(&password_file);
        if output.status.success() {
            return Ok(());
        }
        let mut printed = String::from_utf8_lossy(&output.stdout).into_owned();
        printed.push_str(&String::from_utf8_lossy(&output.stderr));
        Err(ClusterFault::Program {
            program: "initdb",
            detail: last_lines(&printed),
        })
    }

    /// Writes `postgresql.auto.conf`, which the server reads last.
    fn configure(&self, port: u16, options: &ClusterOptions) -> Result<(), ClusterFault> {
        let on_off = |on: bool| if on { "on" } else { "off" };
        let mut settings = vec![
            ("listen_addresses", "127.0.0.1".to_owned()),
            ("port", port.to_string()),
            ("unix_socket_directories", self.folder.display().to_string()),
            ("password_encryption", "scram-sha-256".to_owned()),
            ("timezone", "UTC".to_owned()),
            ("max_connections", "200".to_owned()),
            ("shared_buffers", "64MB".to_owned()),
            ("fsync", on_off(options.durable).to_owned()),
            ("synchronous_commit", on_off(options.durable).to_owned()),
            ("full_page_writes", on_off(options.durable).to_owned()),
        ];
        let asked = options.settings.iter();
        settings.extend(asked.map(|(name, value)| (name.as_str(), value.clone())));
        let text: String = settings
            .iter()
            .map(|(name, value)| format!("{name} = '{}'\n", value.replace('\'', "''")))
            .collect();
        fs::write(self.data().join("postgresql.auto.conf"), text)
            .map_err(io_fault("writing the cluster's settings"))
    }

    /// Starts the guard, which starts the server, and waits until it accepts connections.
    fn launch(&self) -> Result<(Child, ChildStdin), ClusterFault> {
        let log = self.folder.join("server.log");
        let mut command = as_owner(Command::new("/bin/sh"), self.owner, self.folder);
        let mut guard = command
            .args(["-c", GUARD, "pgveil-cluster"])
            .arg(self.programs.join("postgres"))
            .args([self.data(), self.folder.to_owned(), log.clone()])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(io_fault("starting the server"))?;
        let mut lifeline = guard
            .stdin
            .take()
            .ok_or_else(|| io_fault("starting the server")(io::ErrorKind::BrokenPipe.into()))?;
        if self.wait_until_ready(&log) {
            return Ok((guard, lifeline));
        }
        let printed = fs::read_to_string(&log).unwrap_or_default();
        // The fault below says what matters; a guard that is gone already can take no word.
        let _ = lifeline.write_all(b"keep\n");
        let _ = guard.wait();
        Err(ClusterFault::Program {
            program: "postgres",
            detail: last_lines(&printed),
        })
    }

    /// Whether the server accepts connections: the eighth line of `postmaster.pid` says so, as `pg_ctl` reads it.
    fn wait_until_ready(&self, log: &Path) -> bool {
        let pid_file = self.data().join("postmaster.pid");
        let deadline = Instant::now() + START_WAIT_MAX;
        while Instant::now() < deadline {
            let state = fs::read_to_string(&pid_file).unwrap_or_default();
            if state.lines().nth(7).is_some_and(|s| s.trim() == "ready") {
                return true;
            }
            let said = fs::read_to_string(log).unwrap_or_default();
            if said.contains("FATAL:") {
                return false;
            }
            std::thread::sleep(START_POLL);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_starts_and_leaves_nothing_behind() {
        let cluster = Cluster::start(&ClusterOptions::default(), &|_| ()).unwrap();
        let folder = cluster.socket_directory().to_owned();
        let pid = fs::read_to_string(cluster.data_directory().join("postmaster.pid")).unwrap();
        let process = Path::new("/proc").join(pid.lines().next().unwrap());
        assert!(std::net::TcpStream::connect(cluster.address()).is_ok());
        assert!(process.exists());
        drop(cluster);
        assert!(!folder.exists());
        assert!(!process.exists());
    }

    #[test]
    fn a_setting_the_server_refuses_is_told_and_nothing_is_left() {
        let before = folders();
        let options = ClusterOptions {
            settings: vec![("wal_level".to_owned(), "no such level".to_owned())],
            ..ClusterOptions::default()
        };
        let fault = Cluster::start(&options, &|_| ()).unwrap_err();
        assert!(fault.to_string().contains("wal_level"), "{fault}");
        assert!(
            folders() <= before + 1,
            "the other test of this file may run meanwhile"
        );
    }

    fn folders() -> usize {
        let entries = fs::read_dir("/tmp").unwrap().flatten();
        entries
            .filter(|e| e.file_name().to_string_lossy().starts_with("pgveil-"))
            .count()
    }
}

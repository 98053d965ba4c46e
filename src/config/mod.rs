//! The configuration, `pgveil.toml`: where it is sought, what it says, and what the environment overrides.
//!
//! Knows which file a policy is in, and nothing of policies. Every key is documented in `written`; the keys of a
//! later version are refused as such. Holds no secret: passwords and passphrases are read when they are needed.

mod secrets;
mod settle;
mod written;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

pub use secrets::read_private_file;

use crate::document::tree::Document;
use crate::document::{Fault, read};
use crate::ident::UserName;
use crate::pattern::Pattern;

/// The prefix of environment variables that override a value; those without `__` are not taken for one.
const OVERRIDE_PREFIX: &str = "PGVEIL_";

/// A configuration without a fault of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// the file it came from
    pub file: PathBuf,
    /// where clients connect to
    pub listen: Listen,
    /// where PostgreSQL is
    pub upstream: Upstream,
    /// which policy holds where, in the order of the file
    pub databases: Vec<Database>,
    /// the keyring; there whenever a database has a policy
    pub keyring: Option<Keyring>,
    /// where the audit goes
    pub audit: Audit,
    /// the HTTP side's address; None: not served
    pub http: Option<SocketAddr>,
    /// what is logged
    pub log: Log,
}

/// Where clients connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// address and port; port 0 lets the system choose
    pub address: SocketAddr,
    /// the directory of a Unix socket for the same port
    pub socket_directory: Option<PathBuf>,
    /// TLS towards clients; without it the address is loopback
    pub tls: Option<ListenTls>,
    /// client connections at one time
    pub sessions_max: u32,
    /// from the connection's first byte to the end of its login
    pub login_timeout: Duration,
    /// what open transactions have to end in after SIGTERM
    pub drain_timeout: Duration,
    /// how long a client may be silent before it is asked whether it is still there
    pub keepalive: Duration,
    /// threads that serve clients
    pub threads: usize,
}

/// TLS towards clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenTls {
    /// the certificate chain, PEM
    pub certificate: PathBuf,
    /// its private key, PEM
    pub key: PathBuf,
    /// who signs clients' certificates, PEM; None: clients are asked for none
    pub client_ca: Option<PathBuf>,
    /// what a client's certificate is good for
    pub client_cert: ClientCert,
    /// whether a connection without TLS is refused
    pub require: bool,
}

/// What a client's certificate is good for. In every case a policy's roles may match its subject.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientCert {
    /// a client may show one
    #[default]
    Optional,
    /// a client that shows none is refused
    Required,
    /// a client whose certificate has the login's name as its CN is asked for no password
    InsteadOfPassword,
}

/// Where PostgreSQL is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// a name or an address, without brackets; or, as an absolute path, the directory of a Unix socket
    pub host: String,
    /// the port
    pub port: u16,
    /// how the server proves itself
    pub tls: TlsMode,
    /// who signs its certificate, PEM; None: the system's authorities
    pub ca: Option<PathBuf>,
    /// how a client's password is checked, and what logs it in
    pub method: Method,
    /// the logins that pgveil itself knows the secrets of
    pub auth_file: Option<PathBuf>,
    /// how long a connection to it may be silent before the server is asked whether it is still there
    pub keepalive: Duration,
    /// how long what was sent to it may stay untaken; None leaves it to the system
    pub tcp_user_timeout: Option<Duration>,
    /// who reads the catalog and the verifiers
    pub control: Login,
    /// who applies a policy
    pub owner: Login,
}

/// A login pgveil itself uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// its name
    pub user: UserName,
    /// the file with its password; None: the server asks for none
    pub password_file: Option<PathBuf>,
}

/// How a client's password is checked, and what logs it in to the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// by the verifier that PostgreSQL stores, read over the control connection
    #[default]
    Verifier,
    /// by `upstream.auth_file`
    AuthFile,
    /// by the server: the client is asked for its password in the clear, under TLS only
    CleartextTls,
}

/// TLS towards PostgreSQL, as libpq's `sslmode` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TlsMode {
    /// no TLS
    Disable,
    /// TLS when the server has it, unverified: protects from nobody who is on the wire
    Prefer,
    /// TLS, unverified
    Require,
    /// TLS, the certificate's signature verified
    VerifyCa,
    /// TLS, signature and host name verified
    VerifyFull,
}

/// One `[[database]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// which databases
    pub name: Pattern,
    /// the policy's file; None: they pass untreated
    pub policy: Option<PathBuf>,
}

/// Where the keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyring {
    /// the keyring's file
    pub file: PathBuf,
    /// what unlocks it
    pub unlock: Unlock,
}

/// What unlocks the keyring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unlock {
    /// the passphrase is in this file
    PassphraseFile(PathBuf),
    /// the passphrase is in this environment variable
    PassphraseEnv(String),
}

/// Where the audit goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// the directory
    pub directory: PathBuf,
    /// when records are forced to disk
    pub sync: AuditSync,
}

/// When audit records are forced to disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditSync {
    /// every 100 ms
    #[default]
    Interval,
    /// each record
    Always,
}

/// What is logged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Log {
    /// from which level on
    pub level: LogLevel,
    /// for a person or a machine
    pub format: LogFormat,
}

/// From which level on something is logged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// what failed
    Error,
    /// what may fail soon
    Warn,
    /// what happened
    #[default]
    Info,
    /// what was decided
    Debug,
    /// everything but values
    Trace,
}

impl LogLevel {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// for a person
    #[default]
    Text,
    /// one JSON object a line
    Json,
}

impl Config {
    /// Seeks, reads and checks the configuration, environment included. `explicit` is what `--config` named.
    ///
    /// # Errors
    /// Every fault that could be found.
    pub fn find(explicit: Option<&Path>) -> Result<Self, Vec<Fault>> {
        let named = std::env::var_os("PGVEIL_CONFIG").map(PathBuf::from);
        let file = locate(explicit, named.as_deref()).map_err(|fault| vec![fault])?;
        // What is no Unicode can be no word of ours.
        let environment = std::env::vars_os()
            .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
        Self::open(&file, environment)
    }

    /// Reads and checks one file under an environment.
    ///
    /// # Errors
    /// Every fault that could be found.
    pub fn open(
        file: &Path,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Vec<Fault>> {
        let name = file.display().to_string();
        let text = std::fs::read_to_string(file).map_err(|error| {
            let message = format!("cannot be read: {}", error.kind());
            vec![Fault::of_file(&name, message)]
        })?;
        Self::parse(file, &text, environment)
    }

    /// Checks a text under an environment. Touches no file.
    ///
    /// # Errors
    /// Every fault that could be found.
    pub fn parse(
        file: &Path,
        text: &str,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Vec<Fault>> {
        let mut document = Document::from_toml(&file.display().to_string(), text)?;
        for (name, value) in overrides(environment) {
            let path = name[OVERRIDE_PREFIX.len()..].to_lowercase();
            let keys: Vec<&str> = path.split("__").collect();
            document
                .set(&keys, &value, &format!("${name}"))
                .map_err(|fault| vec![fault])?;
        }
        let written: written::File = read::read(&document)?;
        settle::settle(file, &written, &document)
    }

    /// The entry for a database; None: a login to it is refused (3D000).
    pub fn database(&self, name: &str) -> Option<&Database> {
        self.databases
            .iter()
            .find(|database| database.name.matches(name))
    }

    /// The database the verifiers, which are the cluster's, are read from: the first with a policy that is named
    /// in full, else the first named in full.
    pub fn verifier_database(&self) -> Option<&str> {
        let named = |d: &'_ &Database| d.name.literal().is_some();
        self.databases
            .iter()
            .filter(named)
            .find(|d| d.policy.is_some())
            .or_else(|| self.databases.iter().find(named))
            .and_then(|d| d.name.literal())
    }
}

/// The overrides among the environment's variables, in an order of their own so that faults are stable.
fn overrides(environment: impl IntoIterator<Item = (String, String)>) -> Vec<(String, String)> {
    let mut overrides: Vec<_> = environment
        .into_iter()
        .filter(|(name, _)| name.starts_with(OVERRIDE_PREFIX) && name.contains("__"))
        .collect();
    overrides.sort();
    overrides
}

/// Where the configuration is: `--config`, `$PGVEIL_CONFIG`, `./pgveil.toml`, `/etc/pgveil/pgveil.toml`.
fn locate(explicit: Option<&Path>, named: Option<&Path>) -> Result<PathBuf, Fault> {
    if let Some(file) = explicit.or(named) {
        return Ok(file.to_owned());
    }
    let places = ["pgveil.toml", "/etc/pgveil/pgveil.toml"];
    places
        .iter()
        .map(PathBuf::from)
        .find(|file| file.exists())
        .ok_or_else(|| {
            Fault::of_file(
                "pgveil.toml",
                "there is no configuration here nor in /etc/pgveil",
            )
            .with_help("name one with --config or $PGVEIL_CONFIG")
        })
}

#[cfg(test)]
mod tests;

//! The configuration as it is written: one struct a TOML table. The doc comments document every key.
//!
//! Words of later versions are here, so that they are refused as such and not as unknown.

use serde::Deserialize;

use crate::document::shapes::At;

/// `pgveil.toml`. A relative path is relative to the file. `PGVEIL_LISTEN__ADDRESS` and the like (two
/// underscores between the levels, a number for an element of a list) override a value.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    /// Where clients connect to.
    pub listen: Listen,
    /// Where PostgreSQL is.
    pub upstream: Upstream,
    /// `[[database]]`: which policy holds in which database; the first whose name matches.
    pub database: At<Vec<Database>>,
    /// Where the keys are; needed as soon as a database has a policy.
    #[serde(default)]
    pub keyring: Option<Keyring>,
    /// Where the audit goes.
    #[serde(default)]
    pub audit: Audit,
    /// `/metrics`, `/healthz` and `/readyz`; not served when left out.
    #[serde(default)]
    pub http: Option<Http>,
    /// What is logged, to stderr.
    #[serde(default)]
    pub log: Log,
}

/// `[listen]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listen {
    /// Address and port, for example `127.0.0.1:6432` or `[::1]:6432`. Without TLS only loopback.
    pub address: At<String>,
    /// A directory in which a Unix socket for the same port is made, `.s.PGSQL.6432`, open to all users of the machine.
    /// Clients there are in no network, and without TLS.
    #[serde(default)]
    pub socket_directory: Option<At<String>>,
    /// TLS towards clients.
    #[serde(default)]
    pub tls: Option<ListenTls>,
    /// Client connections at one time; 1000 when left out.
    #[serde(default)]
    pub sessions_max: Option<At<u32>>,
    /// From the connection's first byte to the end of its login; `10s` when left out.
    #[serde(default)]
    pub login_timeout: Option<At<String>>,
    /// What open transactions have to end in after SIGTERM before they are ended; `10s` when left out.
    #[serde(default)]
    pub drain_timeout: Option<At<String>>,
    /// How long a client may be silent before TCP asks whether it is still there; `60s` when left out. One that
    /// answers nothing for as long again is gone.
    #[serde(default)]
    pub keepalive: Option<At<String>>,
    /// Threads that serve clients; half of the processors when left out, at least one. A thread that has much to do each
    /// time it is woken costs less for each statement; where nothing else runs on the machine, more serve more.
    #[serde(default)]
    pub threads: Option<At<u16>>,
}

/// `listen.tls`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListenTls {
    /// The certificate chain, PEM.
    pub certificate: At<String>,
    /// Its private key, PEM.
    pub key: At<String>,
    /// Who signs clients' certificates, PEM. With it clients are asked for one, and roles may match its subject
    /// (`client_cert`).
    #[serde(default)]
    pub client_ca: Option<At<String>>,
    /// `optional` (when left out): who shows none comes in by its password alone. `required`: who shows none is
    /// refused. `instead_of_password`: a client whose certificate has the login's name as its CN is asked for no
    /// password; what logs it in stands in `upstream.auth_file`.
    #[serde(default)]
    pub client_cert: Option<At<super::ClientCert>>,
    /// Whether a connection without TLS is refused; true when left out, false on loopback only.
    #[serde(default)]
    pub require: Option<At<bool>>,
}

/// `[upstream]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Upstream {
    /// Host and port, for example `db.internal:5432`; or the directory of a Unix socket, `/var/run/postgresql` or
    /// `/var/run/postgresql:5433` (port 5432 when left out).
    pub address: At<String>,
    /// TLS towards PostgreSQL.
    #[serde(default)]
    pub tls: Option<UpstreamTls>,
    /// How long a connection to PostgreSQL may be silent before TCP asks whether the server is still there; `30s`
    /// when left out. One that answers nothing for as long again is gone, and the client is told 08006.
    #[serde(default)]
    pub keepalive: Option<At<String>>,
    /// How long what was sent to PostgreSQL may stay untaken before the connection is given up, as libpq has it. It
    /// notices a server that vanished in the middle of a statement, and also ends a session whose statement waits
    /// that long while more is sent (a COPY behind a lock). Left to the system when left out (about 15 minutes).
    #[serde(default)]
    pub tcp_user_timeout: Option<At<String>>,
    /// The login that reads the catalog and the verifiers (`pgveil setup` makes it).
    pub control: Login,
    /// The login that applies a policy: the owner of the tables. `control` when left out.
    #[serde(default)]
    pub owner: Option<Login>,
    /// How a client's password is checked, and what logs it in. `verifier` (when left out): by the verifier that
    /// PostgreSQL stores; the client's own proof logs it in. `auth_file`: by the logins of `auth_file`.
    /// `cleartext_tls`: the client is asked for its password in the clear, only under TLS, and PostgreSQL checks it.
    #[serde(default)]
    pub login: At<super::Method>,
    /// A file with lines `"user" "secret"`, as pgbouncer has them, closed to others (0600): the secret is a password,
    /// a SCRAM-SHA-256 verifier or an md5 hash as PostgreSQL stores them.
    #[serde(default)]
    pub auth_file: Option<At<String>>,
    /// How upstream connections are shared out.
    #[serde(default)]
    pub pool: Option<Pool>,
}

/// `upstream.tls`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UpstreamTls {
    /// `disable`, `prefer`, `require`, `verify-ca` or `verify-full`, as libpq has them. `verify-full` when left
    /// out, on loopback `disable`.
    #[serde(default)]
    pub mode: Option<super::TlsMode>,
    /// Who signs the server's certificate, PEM; the system's authorities when left out.
    #[serde(default)]
    pub ca: Option<At<String>>,
}

/// `upstream.control`, `upstream.owner`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Login {
    /// The login's name.
    pub user: At<String>,
    /// A file that holds its password and nothing else, closed to others (0600).
    #[serde(default)]
    pub password_file: Option<At<String>>,
}

/// `upstream.pool`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pool {
    /// `session`: one upstream connection a client.
    #[serde(default)]
    pub mode: Option<At<PoolMode>>,
    /// Upstream connections. Of a later version.
    #[serde(default)]
    pub size: Option<At<u32>>,
}

/// `upstream.pool.mode`
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PoolMode {
    /// One upstream connection a client.
    Session,
    /// Of a later version.
    Transaction,
}

/// `[[database]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Database {
    /// The database's name; `*` and `?` stand for other characters.
    pub name: At<String>,
    /// The policy's file, or `none`: it passes untreated.
    pub policy: At<String>,
}

/// `[keyring]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Keyring {
    /// The file that `pgveil keys init` made.
    pub file: At<String>,
    /// What unlocks it: exactly one.
    pub unlock: At<Unlock>,
}

/// `keyring.unlock`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Unlock {
    /// A file that holds the passphrase and nothing else, closed to others (0600).
    #[serde(default)]
    pub passphrase_file: Option<At<String>>,
    /// The environment variable that holds the passphrase.
    #[serde(default)]
    pub passphrase_env: Option<At<String>>,
    /// Of a later version.
    #[serde(default)]
    pub pkcs11: Option<At<Later>>,
    /// Of a later version.
    #[serde(default)]
    pub aws_kms: Option<At<Later>>,
    /// Of a later version.
    #[serde(default)]
    pub vault_transit: Option<At<Later>>,
}

/// Whatever a later version will have here.
#[derive(Debug)]
pub(super) struct Later;

impl<'de> Deserialize<'de> for Later {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Ok(Self)
    }
}

/// `[audit]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Audit {
    /// The directory of the audit files; `audit` when left out.
    #[serde(default)]
    pub directory: Option<At<String>>,
    /// When records are forced to disk: `interval` (every 100 ms, when left out) or `always` (each).
    #[serde(default)]
    pub sync: super::AuditSync,
}

/// `[http]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Http {
    /// Address and port, for example `127.0.0.1:9643`.
    pub address: At<String>,
}

/// `[log]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Log {
    /// `error`, `warn`, `info` (when left out), `debug` or `trace`. No level shows values.
    #[serde(default)]
    pub level: super::LogLevel,
    /// `text` (when left out) or `json`.
    #[serde(default)]
    pub format: super::LogFormat,
}

//! The configuration as written → [`Config`]: defaults, paths, and what may not be.
//!
//! Touches no file.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::written::{self, PoolMode};
use super::{
    Audit, ClientCert, Config, Database, Keyring, Listen, ListenTls, Log, Login, Method, TlsMode,
    Unlock, Upstream,
};
use crate::document::duration::{DURATION_HELP, duration};
use crate::document::shapes::At;
use crate::document::tree::Document;
use crate::document::{Fault, Position};
use crate::ident::UserName;
use crate::limits::UPSTREAM_KEEPALIVE_S;
use crate::pattern::Pattern;

const SESSIONS_MAX_DEFAULT: u32 = 1000;
const UPSTREAM_PORT_DEFAULT: u16 = 5432;
const LOGIN_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
const DRAIN_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
const LISTEN_KEEPALIVE_DEFAULT: Duration = Duration::from_secs(60);
const UPSTREAM_KEEPALIVE_DEFAULT: Duration = Duration::from_secs(UPSTREAM_KEEPALIVE_S);

/// Half of the processors: the others are for the server, or for what else the machine does.
fn threads_default() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    (processors / 2).max(1)
}

/// Checks what was written. None of the parts is lost to a fault in another.
pub(super) fn settle(
    file: &Path,
    written: &written::File,
    document: &Document,
) -> Result<Config, Vec<Fault>> {
    let mut settler = Settler {
        directory: file.parent().unwrap_or(Path::new("")).to_owned(),
        document,
        faults: Vec::new(),
    };
    let listen = settler.listen(&written.listen);
    let upstream = settler.upstream(&written.upstream);
    settler.logins(written);
    let databases = settler.databases(&written.database);
    let keyring = written.keyring.as_ref().map(|k| settler.keyring(k));
    if keyring.is_none() && databases.iter().any(|d| d.policy.is_some()) {
        let help = "write `[keyring]`, and make the file with `pgveil keys init`";
        settler.fault(
            written.database.at,
            "a policy needs a keyring, and none is named",
            help,
        );
    }
    let http = written
        .http
        .as_ref()
        .map(|http| settler.socket(&http.address));
    let directory = written.audit.directory.as_ref();
    let audit = Audit {
        directory: directory.map_or_else(|| settler.path("audit"), |d| settler.path(&d.value)),
        sync: written.audit.sync,
    };
    let mut faults = settler.faults;
    faults.sort_by_key(|f| (f.line, f.column));
    match (listen, upstream, keyring, http) {
        (
            Some(listen),
            Some(upstream),
            keyring @ (None | Some(Some(_))),
            http @ (None | Some(Some(_))),
        ) if faults.is_empty() => Ok(Config {
            file: file.to_owned(),
            listen,
            upstream,
            databases,
            keyring: keyring.flatten(),
            audit,
            http: http.flatten(),
            log: Log {
                level: written.log.level,
                format: written.log.format,
            },
        }),
        _ => Err(faults),
    }
}

struct Settler<'a> {
    directory: PathBuf,
    document: &'a Document,
    faults: Vec<Fault>,
}

impl Settler<'_> {
    /// What a way to log in needs of the other side of the configuration.
    fn logins(&mut self, written: &written::File) {
        let tls = written.listen.tls.as_ref();
        let client_cert = tls.and_then(|tls| tls.client_cert.as_ref());
        if let (Some(word), None) = (client_cert, &written.upstream.auth_file)
            && word.value == ClientCert::InsteadOfPassword
        {
            let help =
                "write `upstream.auth_file`, with a line `\"user\" \"password\"` for each of them";
            self.fault(
                word.at,
                "a certificate logs nobody in to PostgreSQL by itself",
                help,
            );
        }
        if written.upstream.login.value == Method::CleartextTls && tls.is_none() {
            self.fault(
                written.upstream.login.at,
                "passwords in the clear are asked for under TLS only, and there is no `listen.tls`",
                "give `listen.tls` a certificate and key",
            );
        }
    }

    fn fault(&mut self, at: Position, message: impl Into<String>, help: &str) {
        let mut fault = self.document.fault(at, message);
        fault.help = (!help.is_empty()).then(|| help.to_owned());
        self.faults.push(fault);
    }

    fn later(&mut self, at: Position, word: &str) {
        let message = format!("`{word}` is not supported by this version yet");
        self.fault(at, message, "leave it out");
    }

    fn path(&self, written: &str) -> PathBuf {
        self.directory.join(written)
    }

    fn socket(&mut self, written: &At<String>) -> Option<SocketAddr> {
        let address = written.value.parse().ok();
        if address.is_none() {
            let help = "expected for example `127.0.0.1:6432` or `[::1]:6432`";
            self.fault(
                written.at,
                format!("`{}` is no address and port", written.value),
                help,
            );
        }
        address
    }

    fn listen(&mut self, written: &written::Listen) -> Option<Listen> {
        let tls = written.tls.as_ref().map(|tls| self.listen_tls(tls));
        let sessions_max = match &written.sessions_max {
            Some(sessions) if sessions.value == 0 => {
                self.fault(sessions.at, "`sessions_max` must be at least 1", "");
                0
            }
            sessions => sessions.as_ref().map_or(SESSIONS_MAX_DEFAULT, |s| s.value),
        };
        let threads = match &written.threads {
            Some(threads) if threads.value == 0 => {
                self.fault(threads.at, "`threads` must be at least 1", "");
                None
            }
            threads => threads.as_ref().map(|t| usize::from(t.value)),
        };
        let login_timeout = self.duration(written.login_timeout.as_ref(), LOGIN_TIMEOUT_DEFAULT);
        let drain_timeout = self.duration(written.drain_timeout.as_ref(), DRAIN_TIMEOUT_DEFAULT);
        let keepalive = self.duration(written.keepalive.as_ref(), LISTEN_KEEPALIVE_DEFAULT);
        let address = self.socket(&written.address)?;
        let closed = tls.as_ref().is_some_and(|tls| tls.require);
        if !closed && !address.ip().to_canonical().is_loopback() {
            self.fault(
                written.address.at,
                "without TLS only loopback may be listened on: passwords and plain values would cross the network",
                "give `listen.tls` a certificate and key, and leave `require` true",
            );
        }
        Some(Listen {
            address,
            socket_directory: written
                .socket_directory
                .as_ref()
                .map(|path| self.path(&path.value)),
            tls,
            sessions_max,
            login_timeout,
            drain_timeout,
            keepalive,
            threads: threads.unwrap_or_else(threads_default),
        })
    }

    fn listen_tls(&mut self, written: &written::ListenTls) -> ListenTls {
        if let (Some(word), None) = (&written.client_cert, &written.client_ca) {
            let help = "write `client_ca`, who signs the certificates";
            self.fault(word.at, "no client's certificate can be verified", help);
        }
        ListenTls {
            certificate: self.path(&written.certificate.value),
            key: self.path(&written.key.value),
            client_ca: written.client_ca.as_ref().map(|ca| self.path(&ca.value)),
            client_cert: written
                .client_cert
                .as_ref()
                .map_or_else(ClientCert::default, |word| word.value),
            require: written.require.as_ref().is_none_or(|r| r.value),
        }
    }

    fn upstream(&mut self, written: &written::Upstream) -> Option<Upstream> {
        if written.login.value == Method::AuthFile && written.auth_file.is_none() {
            let help = "write `auth_file = \"users.txt\"`, with lines `\"user\" \"secret\"`";
            self.fault(written.login.at, "there is no `upstream.auth_file`", help);
        }
        if let Some(pool) = &written.pool {
            self.pool(pool);
        }
        let control = self.login(&written.control);
        let owner = written.owner.as_ref().map(|login| self.login(login));
        let keepalive = self.duration(written.keepalive.as_ref(), UPSTREAM_KEEPALIVE_DEFAULT);
        let user_timeout = written.tcp_user_timeout.as_ref();
        let tcp_user_timeout = user_timeout.map(|t| self.duration(Some(t), keepalive));
        let (host, port) = self.host(&written.address)?;
        let socket = host.starts_with('/');
        let loopback = socket
            || host == "localhost"
            || host
                .parse::<IpAddr>()
                .is_ok_and(|ip| ip.to_canonical().is_loopback());
        let tls = written.tls.as_ref();
        if socket && !matches!(tls.and_then(|tls| tls.mode), None | Some(TlsMode::Disable)) {
            let help = "leave `tls` out: nobody reads along at a Unix socket";
            self.fault(
                written.address.at,
                "PostgreSQL has no TLS at a Unix socket",
                help,
            );
        }
        let default = if loopback {
            TlsMode::Disable
        } else {
            TlsMode::VerifyFull
        };
        Some(Upstream {
            tls: tls.and_then(|tls| tls.mode).unwrap_or(default),
            ca: tls
                .and_then(|tls| tls.ca.as_ref())
                .map(|ca| self.path(&ca.value)),
            method: written.login.value,
            auth_file: written
                .auth_file
                .as_ref()
                .map(|file| self.path(&file.value)),
            owner: owner.unwrap_or_else(|| control.clone()),
            control,
            host,
            port,
            keepalive,
            tcp_user_timeout,
        })
    }

    fn pool(&mut self, written: &written::Pool) {
        match &written.mode {
            None => {}
            Some(mode) => match mode.value {
                PoolMode::Session => {}
                PoolMode::Transaction => self.later(mode.at, "transaction"),
            },
        }
        if let Some(size) = &written.size {
            self.later(size.at, "size");
        }
    }

    fn login(&mut self, written: &written::Login) -> Login {
        Login {
            user: UserName::new(written.user.value.clone()),
            password_file: written
                .password_file
                .as_ref()
                .map(|file| self.path(&file.value)),
        }
    }

    fn host(&mut self, written: &At<String>) -> Option<(String, u16)> {
        let text = written.value.as_str();
        if text.starts_with('/') {
            let with_port = text.rsplit_once(':').and_then(|(directory, port)| {
                let port: u16 = port.parse().ok()?;
                (port > 0).then(|| (directory.to_owned(), port))
            });
            return Some(with_port.unwrap_or((text.to_owned(), UPSTREAM_PORT_DEFAULT)));
        }
        let split = text.rsplit_once(':').and_then(|(host, port)| {
            let bracketed = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
            // An IPv6 address without brackets: where its port begins cannot be told.
            let host = bracketed.or((!host.contains([':', '/', '['])).then_some(host))?;
            let port: u16 = port.parse().ok()?;
            (!host.is_empty() && port > 0).then(|| (host.to_owned(), port))
        });
        if split.is_none() {
            let help = "expected for example `db.internal:5432` or `[::1]:5432`";
            self.fault(written.at, format!("`{text}` is no host and port"), help);
        }
        split
    }

    fn databases(&mut self, written: &At<Vec<written::Database>>) -> Vec<Database> {
        let databases: Vec<Database> = written
            .value
            .iter()
            .map(|database| Database {
                name: Pattern::new(database.name.value.clone()),
                policy: (database.policy.value != "none")
                    .then(|| self.path(&database.policy.value)),
            })
            .collect();
        if !databases.iter().any(|d| d.name.literal().is_some()) {
            let help = "logins are checked there; add for example `name = \"postgres\"`, `policy = \"none\"`";
            self.fault(
                written.at,
                "at least one database must be named in full",
                help,
            );
        }
        databases
    }

    fn keyring(&mut self, written: &written::Keyring) -> Option<Keyring> {
        let written::Unlock {
            passphrase_file,
            passphrase_env,
            pkcs11,
            aws_kms,
            vault_transit,
        } = &written.unlock.value;
        let later = [
            ("pkcs11", pkcs11),
            ("aws_kms", aws_kms),
            ("vault_transit", vault_transit),
        ];
        for (word, given) in later {
            if let Some(given) = given {
                self.later(given.at, word);
            }
        }
        let unlock = match (passphrase_file, passphrase_env) {
            (Some(file), None) => Unlock::PassphraseFile(self.path(&file.value)),
            (None, Some(name)) => Unlock::PassphraseEnv(name.value.clone()),
            (None, None) | (Some(_), Some(_)) => {
                let message = "exactly one thing unlocks the keyring";
                let help = "write `passphrase_file` or `passphrase_env`";
                self.fault(written.unlock.at, message, help);
                return None;
            }
        };
        Some(Keyring {
            file: self.path(&written.file.value),
            unlock,
        })
    }

    fn duration(&mut self, written: Option<&At<String>>, default: Duration) -> Duration {
        let Some(written) = written else {
            return default;
        };
        let duration = duration(&written.value);
        if duration.is_none() {
            self.fault(
                written.at,
                format!("`{}` is no duration above zero", written.value),
                DURATION_HELP,
            );
        }
        duration.unwrap_or(default)
    }
}

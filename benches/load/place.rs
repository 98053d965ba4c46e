//! What is measured against each other: a PostgreSQL, a pgbouncer in session mode before it, and two pgveils, one with
//! nothing to protect and one with sealed tables. Everything is on loopback and ends with the bench.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pgveil::cli::demo::cluster::{Cluster, free_port};
use tempfile::TempDir;

use super::client::Door;
use super::crm;
use crate::support;
use crate::support::pgveil::Pgveil;

/// The login that owns the tables and sees everything, and the one that sees masks; and the password of both.
pub const OWNER: &str = "bench";
/// The one that sees masks.
pub const SUPPORT: &str = "support";
/// The password of both.
pub const PASSWORD: &str = "bench";

/// The database whose tables are plain, and the one whose tables are sealed.
pub const PLAIN: &str = "crm_plain";
/// The one whose tables are sealed.
pub const SEALED: &str = "crm_sealed";

/// Everything that runs.
pub struct Place {
    /// PostgreSQL
    pub cluster: Cluster,
    /// pgbouncer in session mode
    pub bouncer: Bouncer,
    /// pgveil before the plain database
    pub untouched: Pgveil,
    /// pgveil before the sealed database
    pub sealed: Pgveil,
}

/// A way to a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// PostgreSQL itself
    Direct,
    /// through pgbouncer
    Bouncer,
    /// through the pgveil with nothing to protect
    Untouched,
    /// through the pgveil with sealed tables, as a login that sees everything
    Sealed,
    /// the same as a login that sees masks
    Masked,
}

impl Way {
    /// A name for reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Bouncer => "pgbouncer",
            Self::Untouched => "pgveil untouched",
            Self::Sealed => "pgveil sealed",
            Self::Masked => "pgveil masked",
        }
    }
}

impl Place {
    /// Starts it all.
    pub async fn start() -> Self {
        let settings = [("max_connections", "2400"), ("shared_buffers", "256MB")];
        let cluster = support::start(&settings);
        let superuser = support::connect(&cluster.superuser_url("postgres")).await;
        let roles = format!(
            "CREATE ROLE {OWNER} LOGIN PASSWORD '{PASSWORD}'; CREATE ROLE {SUPPORT} LOGIN PASSWORD '{PASSWORD}'"
        );
        superuser.batch_execute(&roles).await.expect("roles");
        for database in [PLAIN, SEALED] {
            let create = format!("CREATE DATABASE {database} OWNER {OWNER}");
            superuser.batch_execute(&create).await.expect("a database");
            let owner = support::connect(&cluster.url(OWNER, PASSWORD, database)).await;
            let schema = crm::SCHEMA.replace("{rows}", &crm::CONTACTS.to_string());
            owner.batch_execute(&schema).await.expect("the CRM");
            let grant = format!("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {SUPPORT}");
            owner.batch_execute(&grant).await.expect("a grant");
        }
        let bouncer = Bouncer::start(&cluster);
        let untouched = serve(&cluster, PLAIN, crm::UNTOUCHED).await;
        let sealed = serve(&cluster, SEALED, crm::SEALED).await;
        for database in [PLAIN, SEALED] {
            let superuser = support::connect(&cluster.superuser_url(database)).await;
            superuser
                .batch_execute("VACUUM ANALYZE")
                .await
                .expect("VACUUM");
        }
        superuser
            .batch_execute("CHECKPOINT")
            .await
            .expect("CHECKPOINT");
        Self {
            cluster,
            bouncer,
            untouched,
            sealed,
        }
    }

    /// Where clients go by this way.
    pub fn door(&self, way: Way) -> Door<'static> {
        let (port, user, database) = match way {
            Way::Direct => (self.cluster.port(), OWNER, PLAIN),
            Way::Bouncer => (self.bouncer.port, OWNER, PLAIN),
            Way::Untouched => (self.untouched.port(), OWNER, PLAIN),
            Way::Sealed => (self.sealed.port(), OWNER, SEALED),
            Way::Masked => (self.sealed.port(), SUPPORT, SEALED),
        };
        Door {
            port,
            user,
            password: PASSWORD,
            database,
        }
    }

    /// The proxy's process by this way.
    pub fn process(&self, way: Way) -> Option<u32> {
        match way {
            Way::Direct => None,
            Way::Bouncer => Some(self.bouncer.process.id()),
            Way::Untouched => Some(self.untouched.pid()),
            Way::Sealed | Way::Masked => Some(self.sealed.pid()),
        }
    }
}

async fn serve(cluster: &Cluster, database: &str, policy: &str) -> Pgveil {
    let mut pgveil = Pgveil::prepare(cluster, database, policy).await;
    pgveil.set("PGVEIL_LOG__LEVEL", "info");
    pgveil.set("PGVEIL_LISTEN__SESSIONS_MAX", "1100");
    pgveil.apply();
    pgveil.serve();
    pgveil
}

/// A pgbouncer, ended with the value.
pub struct Bouncer {
    port: u16,
    process: Child,
    _folder: TempDir,
}

/// How long it may take to listen.
const START_WAIT_MAX: Duration = Duration::from_secs(10);

impl Bouncer {
    fn start(cluster: &Cluster) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(folder.path(), mode).expect("a folder that others read");
        let port = free_port().expect("a port");
        let users = folder.path().join("users");
        let list = format!("\"{OWNER}\" \"{PASSWORD}\"\n\"{SUPPORT}\" \"{PASSWORD}\"\n");
        fs::write(&users, list).expect("a file");
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             auth_type = scram-sha-256\nauth_file = {}\npool_mode = session\ndefault_pool_size = 1100\n\
             max_client_conn = 1100\nunix_socket_dir =\n",
            cluster.port(),
            users.display()
        );
        let ini = folder.path().join("pgbouncer.ini");
        fs::write(&ini, settings).expect("a file");
        let mut command = Command::new("pgbouncer");
        if rustix::process::geteuid().is_root() {
            // It refuses to run as root.
            command.args(["-u", "postgres"]);
        }
        let log = fs::File::create(folder.path().join("log")).expect("a log");
        let quiet = log.try_clone().expect("a log");
        command.arg(&ini).stdout(quiet).stderr(log);
        let process = command.stdin(Stdio::null()).spawn().expect("pgbouncer");
        let deadline = Instant::now() + START_WAIT_MAX;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let said = || fs::read_to_string(folder.path().join("log"));
            assert!(Instant::now() < deadline, "pgbouncer: {:?}", said());
            std::thread::sleep(Duration::from_millis(20));
        }
        Self {
            port,
            process,
            _folder: folder,
        }
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

//! The demo's own pgveil files: configuration, policy, passphrase, keyring, audit, in a folder that goes with the demo.
//!
//! The same files a DBA would write; every subcommand can be tried on them while the demo runs.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use super::cluster::{Cluster, ClusterFault, SUPERUSER, free_port, io_fault, random_password};
use super::crm::{DATABASE, POLICY};
use super::folder::Folder;

/// The login of the control connection.
pub const CONTROL: &str = "pgveil";

/// The folder with pgveil's files. Dropping it removes them.
pub struct State {
    folder: Folder,
    control_password: String,
    listen: SocketAddr,
    http: SocketAddr,
}

impl State {
    /// Writes everything but the keyring and the audit, which pgveil makes itself.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn write(cluster: &Cluster) -> Result<Self, ClusterFault> {
        let state = Self {
            folder: Folder::create()?,
            control_password: random_password(),
            listen: SocketAddr::from(([127, 0, 0, 1], free_port()?)),
            http: SocketAddr::from(([127, 0, 0, 1], free_port()?)),
        };
        state.put("control.password", &state.control_password)?;
        state.put("owner.password", cluster.superuser_password())?;
        state.put("passphrase", &random_password())?;
        state.put("crm.yaml", POLICY)?;
        state.put("pgveil.toml", &state.configuration(cluster))?;
        Ok(state)
    }

    fn configuration(&self, cluster: &Cluster) -> String {
        format!(
            r#"[listen]
address = "{}"
[upstream]
address = "{}"
control = {{ user = "{CONTROL}", password_file = "control.password" }}
owner = {{ user = "{SUPERUSER}", password_file = "owner.password" }}
[[database]]
name = "{DATABASE}"
policy = "crm.yaml"
[keyring]
file = "keyring.json"
unlock = {{ passphrase_file = "passphrase" }}
[audit]
directory = "audit"
[http]
address = "{}"
[log]
level = "warn"
"#,
            self.listen,
            cluster.address(),
            self.http
        )
    }

    /// Where the configuration is.
    pub fn config_file(&self) -> PathBuf {
        self.folder.path().join("pgveil.toml")
    }

    /// Where pgveil writes its record.
    pub fn audit_directory(&self) -> PathBuf {
        self.folder.path().join("audit")
    }

    /// What else can be tried meanwhile, for a person.
    pub fn hint(&self) -> String {
        let config = self.config_file();
        format!("Try: pgveil audit verify --config {}", config.display())
    }

    /// The password of [`CONTROL`].
    pub fn control_password(&self) -> &str {
        &self.control_password
    }

    /// The address of the metrics page.
    pub fn metrics_url(&self) -> String {
        format!("http://{}/metrics", self.http)
    }

    /// A connection string through pgveil.
    pub fn url(&self, user: &str, password: &str) -> String {
        format!("postgresql://{user}:{password}@{}/{DATABASE}", self.listen)
    }

    fn put(&self, name: &str, text: &str) -> Result<(), ClusterFault> {
        let mut options = OpenOptions::new();
        let file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(self.folder.path().join(name));
        file.and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(io_fault(format!("writing {name}")))
    }
}

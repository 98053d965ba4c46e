//! The built program as a process of its own, before a private cluster: set up, applied, serving.
//!
//! Everything goes through the command line, as a DBA would do it.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use ::pgveil::cli::demo::cluster::{Cluster, SUPERUSER, free_port};
use tempfile::TempDir;

/// A pgveil that serves one database of a cluster. Dropping it ends the process and removes its files.
pub struct Pgveil {
    folder: TempDir,
    process: Option<Child>,
    port: u16,
    http_port: u16,
    environment: Vec<(String, String)>,
}

/// How long the program may take until it listens; debug builds on a loaded machine are slow.
const START_WAIT_MAX: Duration = Duration::from_secs(60);

impl Pgveil {
    /// Sets the database up, brings it to the policy, and serves it.
    pub async fn start(cluster: &Cluster, database: &str, policy: &str) -> Self {
        let mut pgveil = Self::prepare(cluster, database, policy).await;
        pgveil.apply();
        pgveil.serve();
        pgveil
    }

    /// Configuration, keyring and `pgveil setup`, and no more.
    pub async fn prepare(cluster: &Cluster, database: &str, policy: &str) -> Self {
        let pgveil = Self {
            folder: tempfile::tempdir().expect("a folder"),
            process: None,
            port: free_port().expect("a port"),
            http_port: free_port().expect("a port"),
            environment: Vec::new(),
        };
        let control = super::fresh_name("control");
        pgveil.write("control.password", "control password");
        pgveil.write("owner.password", cluster.superuser_password());
        pgveil.write("passphrase", "correct horse battery staple");
        pgveil.write("policy.yaml", policy);
        pgveil.write(
            "pgveil.toml",
            &pgveil.configuration(cluster, database, &control),
        );
        let setup = pgveil.run(&["setup", "--control", &control]);
        let sql = String::from_utf8(setup.stdout).expect("SQL");
        let superuser = super::connect(&cluster.superuser_url(database)).await;
        superuser.batch_execute(&sql).await.expect("the setup SQL");
        let password = format!("ALTER ROLE {control} PASSWORD 'control password'");
        superuser
            .batch_execute(&password)
            .await
            .expect("a password");
        pgveil.run_with_config(&["keys", "init"]);
        pgveil
    }

    fn configuration(&self, cluster: &Cluster, database: &str, control: &str) -> String {
        format!(
            r#"
[listen]
address = "127.0.0.1:{port}"
[upstream]
address = "{upstream}"
control = {{ user = "{control}", password_file = "control.password" }}
owner = {{ user = "{SUPERUSER}", password_file = "owner.password" }}
[[database]]
name = "{database}"
policy = "policy.yaml"
[keyring]
file = "keyring.json"
unlock = {{ passphrase_file = "passphrase" }}
[audit]
directory = "audit"
[http]
address = "127.0.0.1:{http_port}"
[log]
level = "trace"
"#,
            port = self.port,
            http_port = self.http_port,
            upstream = cluster.address(),
        )
    }

    /// Has `serve` reach the server by another address than the one it was prepared with.
    pub fn reroute(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.path("pgveil.toml")).expect("a configuration");
        assert!(text.contains(from), "{from} is not in the configuration");
        self.write("pgveil.toml", &text.replace(from, to));
    }

    /// `pgveil apply`, which must succeed.
    pub fn apply(&self) {
        self.run_with_config(&["apply"]);
    }

    /// Sets a variable of the environment for what is run from now on, for example `PGVEIL_LISTEN__SESSIONS_MAX`.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// The process that serves.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("it serves").id()
    }

    /// Sends a signal to it, for example `-TERM`.
    pub fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let sent = signal(name, [&pid]).status();
        assert!(sent.expect("kill").success(), "kill {name} {pid}");
    }

    /// Waits until it has ended by itself; its exit code.
    pub fn ended(&mut self, within: Duration) -> Option<i32> {
        let mut process = self.process.take().expect("it serves");
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = process.try_wait().expect("its state") {
                return status.code();
            }
            if Instant::now() > deadline {
                process.kill().expect("an end");
                panic!("it has not ended within {within:?}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// `pgveil serve` in the background, until it listens.
    pub fn serve(&mut self) {
        let log = fs::File::create(self.log_file()).expect("a log file");
        let child = self
            .command(&["serve"])
            .arg("--config")
            .arg(self.path("pgveil.toml"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log file"))
            .stderr(log)
            .spawn()
            .expect("pgveil serve");
        self.process = Some(child);
        let deadline = Instant::now() + START_WAIT_MAX;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let process = self.process.as_mut().expect("it was started above");
            let ended = process.try_wait().expect("its state");
            let said = || fs::read_to_string(self.folder.path().join("serve.log"));
            assert!(ended.is_none(), "pgveil serve ended: {:?}", said());
            assert!(
                Instant::now() < deadline,
                "pgveil does not listen: {:?}",
                said()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends the process; SIGTERM drains.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let pid = process.id().to_string();
            let _ = signal("-TERM", [&pid]).status();
            let deadline = Instant::now() + Duration::from_secs(10);
            while process.try_wait().expect("its state").is_none() {
                if Instant::now() > deadline {
                    let _ = process.kill();
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }

    /// A connection string through pgveil.
    pub fn url(&self, user: &str, password: &str, database: &str) -> String {
        format!(
            "postgresql://{user}:{password}@127.0.0.1:{}/{database}",
            self.port
        )
    }

    /// The port clients connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The text of a page of the HTTP side, for example `/metrics`.
    pub fn page(&self, path: &str) -> String {
        use std::io::{Read, Write};
        let mut stream = TcpStream::connect(("127.0.0.1", self.http_port)).expect("the HTTP side");
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        .expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    /// What `serve` logged, at the highest level.
    pub fn log_file(&self) -> PathBuf {
        self.path("serve.log")
    }

    /// The folder of the audit's files.
    pub fn audit_directory(&self) -> PathBuf {
        self.path("audit")
    }

    /// A file in the folder of the configuration.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a subcommand with this configuration; it must succeed.
    pub fn run_with_config(&self, arguments: &[&str]) -> Output {
        let config = self.path("pgveil.toml");
        let mut all: Vec<&str> = arguments.to_vec();
        all.extend(["--config", config.to_str().expect("a path in ASCII")]);
        self.run(&all)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let output = self.command(arguments).output().expect("pgveil");
        assert!(
            output.status.success(),
            "pgveil {arguments:?}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        output
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pgveil"));
        command.args(arguments).current_dir(self.folder.path());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    fn write(&self, name: &str, text: &str) {
        use std::io::Write;
        let mut options = fs::OpenOptions::new();
        let path: &Path = &self.path(name);
        let file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path);
        let mut file = file.expect("a file");
        file.write_all(text.as_bytes()).expect("a file");
    }
}

/// Sends a signal to processes. The shell's own `kill`: a small system has no program of that name.
pub fn signal<'a>(name: &str, pids: impl IntoIterator<Item = &'a String>) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "kill \"$@\"", "kill", name]).args(pids);
    command
}

impl Drop for Pgveil {
    fn drop(&mut self) {
        self.stop();
    }
}

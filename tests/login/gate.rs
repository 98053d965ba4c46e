//! A listener that takes clients through their login and then copies bytes, and a client made of bytes before it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use pgveil::cli::demo::cluster::Cluster;
use pgveil::config::{ClientCert, Method};
use pgveil::ident::{DatabaseName, RoleName, UserName};
use pgveil::lifecycle::setup::{SetupLogins, setup_sql};
use pgveil::secret::Secret;
use pgveil::server::auth_file::AuthFile;
use pgveil::server::login::{
    Accepted, Admission, Admit, Denial, LoginContext, LoginFailure, LoginFiles, accept,
};
use pgveil::session::login::LoginFault;
use pgveil::upstream::connect::Target;
use pgveil::upstream::control::{Control, ControlLogin};
use pgveil::wire::startup::CancelKey;
use pgveil::wire::tls::{self, ListenerTls, TlsMode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_postgres::NoTls;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::support::connect as connect_to;

/// What decoys are derived from in every gate.
pub const DECOY_KEY: [u8; 32] = [7; 32];

pub const CONTROL_PASSWORD: &str = "the control login's own";

/// The control login, set up once in the cluster's database `postgres`.
pub async fn control(cluster: &Cluster) -> ControlLogin {
    static SET_UP: tokio::sync::OnceCell<()> = tokio::sync::OnceCell::const_new();
    let password = Secret::new(CONTROL_PASSWORD.to_owned());
    SET_UP
        .get_or_init(|| async {
            let logins = SetupLogins::control_only(UserName::new("pgveil"));
            let superuser = connect_to(&cluster.superuser_url("postgres")).await;
            for _ in 0..2 {
                let sql = setup_sql(&logins, Some(&password));
                superuser.batch_execute(&sql).await.expect("setup");
            }
        })
        .await;
    ControlLogin {
        target: target(cluster),
        database: DatabaseName::new("postgres"),
        user: UserName::new("pgveil"),
        password: Some(password.clone()),
    }
}

pub fn target(cluster: &Cluster) -> Target {
    Target::new("127.0.0.1", cluster.port(), None, None).expect("a target")
}

/// A listener that takes clients through their login and then copies bytes between them and the server.
pub struct Gate {
    pub address: SocketAddr,
    pub failures: UnboundedReceiver<LoginFailure>,
}

pub struct Options {
    pub tls: Option<ListenerTls>,
    pub tls_required: bool,
    pub login_timeout: Duration,
    pub admit: Box<Admit>,
    pub control: Option<ControlLogin>,
    pub method: Method,
    pub client_cert: ClientCert,
    pub auth_file: Option<AuthFile>,
    pub target: Option<Target>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tls: None,
            tls_required: false,
            login_timeout: Duration::from_secs(20),
            admit: Box::new(|identity| match identity.user.as_str() {
                user if user.starts_with("stranger") => Err(Denial::NoRole),
                _ if identity.database.as_str() == "nowhere" => Err(Denial::NoDatabase),
                _ => Ok(Admission {
                    role: Some(RoleName::new("app")),
                    replication: false,
                    function_call: false,
                }),
            }),
            control: None,
            method: Method::Verifier,
            client_cert: ClientCert::Optional,
            auth_file: None,
            target: None,
        }
    }
}

impl Gate {
    pub async fn open(cluster: &Cluster, options: Options) -> Self {
        let control_login = match options.control {
            Some(login) => login,
            None => control(cluster).await,
        };
        let context = Arc::new(LoginContext {
            files: ArcSwap::from_pointee(LoginFiles {
                tls: options.tls,
                auth_file: options.auth_file,
            }),
            method: options.method,
            client_cert: options.client_cert,
            tls_required: options.tls_required,
            login_timeout: options.login_timeout,
            control: Control::new(control_login),
            decoy_key: Secret::new(DECOY_KEY),
            target: options.target.unwrap_or_else(|| target(cluster)),
            admit: options.admit,
            crowd: Default::default(),
            draining: std::sync::atomic::AtomicBool::new(false),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let (report, failures) = unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, peer)) = listener.accept().await {
                let (context, report) = (Arc::clone(&context), report.clone());
                tokio::spawn(async move {
                    match accept(stream, Some(peer.ip()), &context).await {
                        Err(failure) => {
                            let _ = report.send(failure);
                        }
                        Ok(Accepted::Cancel(..)) => {}
                        Ok(Accepted::Session(mut session)) => {
                            let key = CancelKey::new(9, vec![9; session.cancel_secret_bytes()]);
                            session.welcome(&key).await.expect("a welcome");
                            let upstream = &mut session.upstream;
                            upstream
                                .stream
                                .write_all(&session.client_input)
                                .await
                                .expect("hasty bytes");
                            let _ = tokio::io::copy_bidirectional(
                                &mut session.client,
                                &mut upstream.stream,
                            )
                            .await;
                        }
                    }
                });
            }
        });
        Self { address, failures }
    }

    pub fn url(&self, user: &str, password: &str, database: &str) -> String {
        let (ip, port) = (self.address.ip(), self.address.port());
        format!("host={ip} port={port} user={user} password={password} dbname={database}")
    }

    pub async fn fault(&mut self) -> LoginFault {
        self.failure().await.fault
    }

    pub async fn failure(&mut self) -> LoginFailure {
        tokio::time::timeout(Duration::from_secs(20), self.failures.recv())
            .await
            .expect("a failure in time")
            .expect("a failure")
    }

    /// A raw connection that has sent these bytes.
    pub async fn raw(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.expect("connect");
        stream.write_all(bytes).await.expect("write");
        stream
    }
}

/// What a connection says until it ends; the end must come in time.
pub async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    let done = tokio::time::timeout(Duration::from_secs(10), read).await;
    // A reset is an end too: the peer closed with bytes of ours unread.
    let _ = done.expect("the end of the connection");
    bytes
}

/// The next frame of a connection: its type and body.
pub async fn frame(stream: &mut (impl AsyncRead + Unpin)) -> (u8, Vec<u8>) {
    let tag = stream.read_u8().await.expect("a frame");
    let length = stream.read_u32().await.expect("its length") as usize;
    let mut body = vec![0; length - 4];
    stream.read_exact(&mut body).await.expect("its body");
    (tag, body)
}

pub fn startup(code: u32, parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = code.to_be_bytes().to_vec();
    for (name, value) in parameters {
        body.extend_from_slice(format!("{name}\0{value}\0").as_bytes());
    }
    body.push(0);
    let mut packet = (body.len() as u32 + 4).to_be_bytes().to_vec();
    packet.extend_from_slice(&body);
    packet
}

pub fn sasl_message(body: &[u8]) -> Vec<u8> {
    let mut frame = vec![b'p'];
    frame.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
    frame.extend_from_slice(body);
    frame
}

pub fn sasl_initial(mechanism: &str, first: &str) -> Vec<u8> {
    let mut body = format!("{mechanism}\0").into_bytes();
    body.extend_from_slice(&(first.len() as u32).to_be_bytes());
    body.extend_from_slice(first.as_bytes());
    sasl_message(&body)
}

/// The SQLSTATE of an ErrorResponse somewhere in these bytes.
pub fn holds_error(bytes: &[u8], sqlstate: &str) -> bool {
    let needle = format!("\0C{sqlstate}\0");
    bytes.windows(needle.len()).any(|w| w == needle.as_bytes())
}

pub async fn refusal(url: &str) -> (String, String) {
    let error = tokio_postgres::connect(url, NoTls).await.err();
    let error = error.expect("a refusal");
    let error = error.as_db_error().expect("an ErrorResponse");
    (error.code().code().to_owned(), error.message().to_owned())
}

pub const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
pub const GSS_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 48];

/// A certificate for `localhost` and 127.0.0.1, as the server's settings and as a client that trusts it.
pub fn certificate() -> (ListenerTls, MakeRustlsConnect) {
    let (cert, key) = self_signed(&["localhost", "127.0.0.1"]);
    let server = tls::server_config(cert.as_bytes(), key.as_bytes()).expect("it holds");
    let client = tls::client_config(TlsMode::VerifyFull, Some(cert.as_bytes())).expect("it holds");
    let client = MakeRustlsConnect::new(client.expect("it holds").as_ref().clone());
    (server, client)
}

pub fn self_signed(names: &[&str]) -> (String, String) {
    let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).expect("it holds");
    (made.cert.pem(), made.signing_key.serialize_pem())
}

/// Whether this machine has psql; where it has none, what it would do is left out.
pub fn has_psql() -> bool {
    let found = std::process::Command::new("psql").arg("--version").output();
    let has = found.is_ok_and(|output| output.status.success());
    if !has {
        eprintln!("left out: this machine has no psql");
    }
    has
}

/// The rows of a query by psql, or what it said instead.
pub fn psql(url: &str, sql: &str) -> Result<String, String> {
    let output = std::process::Command::new("psql")
        .args(["-X", "-w", "-A", "-t", "-c", sql, url])
        .output()
        .expect("psql");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stderr))
    }
}

/// What psycopg's Python says to a script with these arguments; None where there is no psycopg.
pub fn psycopg(script: &str, arguments: &[&str]) -> Option<String> {
    let Some(folder) = std::env::var_os("PGVEIL_DRIVERS") else {
        eprintln!("left out: PGVEIL_DRIVERS names no folder with the client libraries");
        return None;
    };
    let output = std::process::Command::new(std::path::Path::new(&folder).join("venv/bin/python"))
        .args(["-c", script])
        .args(arguments)
        .output()
        .expect("python");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    Some(text(&output.stdout) + &text(&output.stderr))
}

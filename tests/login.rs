//! Logins against a real PostgreSQL: who comes in and as whom, what the others are told, and what a stranger on
//! the wire can do before that (ATTACKS N01 to N05, N08, S06).

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use pgveil::cli::demo::cluster::Cluster;
use pgveil::ident::{DatabaseName, RoleName, UserName};
use pgveil::lifecycle::setup::{SetupLogins, setup_sql};
use pgveil::secret::Secret;
use pgveil::server::login::{
    Accepted, Admission, Admit, Denial, LoginContext, LoginFailure, accept,
};
use pgveil::session::login::LoginFault;
use pgveil::upstream::connect::{self, Target};
use pgveil::upstream::control::{Control, ControlLogin, StoredLogin};
use pgveil::wire::startup::CancelKey;
use pgveil::wire::tls::{self, TlsMode};
use support::{cluster, connect as connect_to, create_database, create_login, fresh_name};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_postgres::NoTls;
use tokio_postgres_rustls::MakeRustlsConnect;

const CONTROL_PASSWORD: &str = "the control login's own";

/// The control login, set up once in the cluster's database `postgres`.
async fn control(cluster: &Cluster) -> ControlLogin {
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

fn target(cluster: &Cluster) -> Target {
    Target::new("127.0.0.1", cluster.port(), None, None).expect("a target")
}

/// A listener that takes clients through their login and then copies bytes between them and the server.
struct Gate {
    address: SocketAddr,
    failures: UnboundedReceiver<LoginFailure>,
}

struct Options {
    tls: Option<Arc<rustls::ServerConfig>>,
    tls_required: bool,
    login_timeout: Duration,
    admit: Box<Admit>,
    control: Option<ControlLogin>,
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
        }
    }
}

impl Gate {
    async fn open(cluster: &Cluster, options: Options) -> Self {
        let control_login = match options.control {
            Some(login) => login,
            None => control(cluster).await,
        };
        let context = Arc::new(LoginContext {
            tls: ArcSwapOption::from(options.tls),
            tls_required: options.tls_required,
            login_timeout: options.login_timeout,
            control: Control::new(control_login),
            decoy_key: Secret::new([7; 32]),
            target: target(cluster),
            admit: options.admit,
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
                        Ok(Accepted::Cancel(_)) => {}
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

    fn url(&self, user: &str, password: &str, database: &str) -> String {
        let (ip, port) = (self.address.ip(), self.address.port());
        format!("host={ip} port={port} user={user} password={password} dbname={database}")
    }

    async fn fault(&mut self) -> LoginFault {
        self.failure().await.fault
    }

    async fn failure(&mut self) -> LoginFailure {
        tokio::time::timeout(Duration::from_secs(20), self.failures.recv())
            .await
            .expect("a failure in time")
            .expect("a failure")
    }

    /// A raw connection that has sent these bytes.
    async fn raw(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.expect("connect");
        stream.write_all(bytes).await.expect("write");
        stream
    }
}

/// What a connection says until it ends; the end must come in time.
async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    let done = tokio::time::timeout(Duration::from_secs(10), read).await;
    // A reset is an end too: the peer closed with bytes of ours unread.
    let _ = done.expect("the end of the connection");
    bytes
}

/// The next frame of a connection: its type and body.
async fn frame(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let tag = stream.read_u8().await.expect("a frame");
    let length = stream.read_u32().await.expect("its length") as usize;
    let mut body = vec![0; length - 4];
    stream.read_exact(&mut body).await.expect("its body");
    (tag, body)
}

fn startup(code: u32, parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = code.to_be_bytes().to_vec();
    for (name, value) in parameters {
        body.extend_from_slice(format!("{name}\0{value}\0").as_bytes());
    }
    body.push(0);
    let mut packet = (body.len() as u32 + 4).to_be_bytes().to_vec();
    packet.extend_from_slice(&body);
    packet
}

fn sasl_message(body: &[u8]) -> Vec<u8> {
    let mut frame = vec![b'p'];
    frame.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
    frame.extend_from_slice(body);
    frame
}

fn sasl_initial(mechanism: &str, first: &str) -> Vec<u8> {
    let mut body = format!("{mechanism}\0").into_bytes();
    body.extend_from_slice(&(first.len() as u32).to_be_bytes());
    body.extend_from_slice(first.as_bytes());
    sasl_message(&body)
}

/// The SQLSTATE of an ErrorResponse somewhere in these bytes.
fn holds_error(bytes: &[u8], sqlstate: &str) -> bool {
    let needle = format!("\0C{sqlstate}\0");
    bytes.windows(needle.len()).any(|w| w == needle.as_bytes())
}

async fn refusal(url: &str) -> (String, String) {
    let error = tokio_postgres::connect(url, NoTls).await.err();
    let error = error.expect("a refusal");
    let error = error.as_db_error().expect("an ErrorResponse");
    (error.code().code().to_owned(), error.message().to_owned())
}

const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
const GSS_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 48];

#[tokio::test]
async fn a_user_comes_in_as_itself_with_its_own_settings() {
    let cluster = cluster();
    let user = fresh_name("anna");
    create_login(cluster, &user, "pencil", "").await;
    let database = create_database(cluster).await;
    let gate = Gate::open(cluster, Options::default()).await;
    let mut config: tokio_postgres::Config = gate.url(&user, "pencil", &database).parse().unwrap();
    config
        .application_name("helpdesk 7")
        .options("-c work_mem=1234kB -c search_path=elsewhere");
    let (client, connection) = config.connect(NoTls).await.expect("a session");
    tokio::spawn(connection);
    let row = client
        .query_one(
            "SELECT session_user::text, current_user::text, current_database()::text, \
             current_setting('work_mem'), current_setting('search_path'), application_name, usename::text \
             FROM pg_stat_activity WHERE pid = pg_backend_pid()",
            &[],
        )
        .await
        .unwrap();
    let found: Vec<String> = (0..7).map(|i| row.get(i)).collect();
    let (user, database) = (user.as_str(), database.as_str());
    assert_eq!(
        found,
        [
            user,
            user,
            database,
            "1234kB",
            "elsewhere",
            "helpdesk 7",
            user
        ]
    );
}

#[tokio::test]
async fn n03_a_wrong_password_ends_the_connection() {
    let cluster = cluster();
    let user = fresh_name("anna");
    create_login(cluster, &user, "pencil", "").await;
    let mut gate = Gate::open(cluster, Options::default()).await;
    let (code, message) = refusal(&gate.url(&user, "pencils", "postgres")).await;
    assert_eq!(code, "28P01");
    assert_eq!(
        message,
        format!("password authentication failed for user \"{user}\"")
    );
    let failure = gate.failure().await;
    assert_eq!(failure.fault, LoginFault::Password);
    assert_eq!(failure.sqlstate.as_deref(), Some("28P01"));
    let (named, _) = failure.named.expect("a name");
    assert_eq!(named.as_str(), user);
}

#[tokio::test]
async fn n03_bad_nonce_binding_mechanism_or_message_ends_the_connection() {
    let cluster = cluster();
    let user = fresh_name("anna");
    create_login(cluster, &user, "pencil", "").await;
    let mut gate = Gate::open(cluster, Options::default()).await;
    let hello = startup(3 << 16, &[("user", &user), ("database", "postgres")]);
    let query = b"Q\0\0\0\x0dSELECT 1\0";
    let attempts: Vec<(Vec<u8>, &str)> = vec![
        (sasl_initial("SCRAM-SHA-256-PLUS", "n,,n=,r=abc"), "08P01"),
        (
            sasl_initial("SCRAM-SHA-256", "p=tls-server-end-point,,n=,r=abc"),
            "08P01",
        ),
        (sasl_initial("SCRAM-SHA-256", "n,,n=,r="), "08P01"),
        (sasl_message(b"no mechanism"), "08P01"),
        (query.to_vec(), "08P01"),
        (
            [vec![b'p', 0x7f, 0xff, 0xff, 0xff], vec![0; 64]].concat(),
            "08P01",
        ),
    ];
    for (attempt, code) in attempts {
        let mut stream = gate.raw(&hello).await;
        assert_eq!(frame(&mut stream).await.0, b'R');
        stream.write_all(&attempt).await.unwrap();
        stream.write_all(query).await.ok();
        let said = rest(&mut stream).await;
        assert!(holds_error(&said, code), "{attempt:?}: {said:?}");
        let length = u32::from_be_bytes(said[1..5].try_into().unwrap()) as usize;
        assert_eq!(
            said.len(),
            length + 1,
            "one error, and no answer to the query"
        );
        gate.fault().await;
    }
    // An honest first message, then another nonce, then a proof of nothing; then talking on.
    for client_final in [
        "c=biws,r=other,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "c=eSws,r=abc,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    ] {
        let mut stream = gate.raw(&hello).await;
        frame(&mut stream).await;
        let first = sasl_initial("SCRAM-SHA-256", "y,,n=,r=abc");
        stream.write_all(&first).await.unwrap();
        assert_eq!(frame(&mut stream).await.0, b'R');
        let last = sasl_message(client_final.as_bytes());
        stream.write_all(&last).await.unwrap();
        stream.write_all(query).await.ok();
        let said = rest(&mut stream).await;
        assert!(
            holds_error(&said, "28P01") || holds_error(&said, "08P01"),
            "{said:?}"
        );
        gate.fault().await;
    }
}

#[tokio::test]
async fn n01_bytes_before_the_handshake_and_repeated_requests_end_the_connection() {
    let cluster = cluster();
    let (server, _) = certificate();
    let tls = Options {
        tls: Some(server),
        ..Options::default()
    };
    let mut gate = Gate::open(cluster, tls).await;
    let hello = startup(3 << 16, &[("user", "anna"), ("database", "postgres")]);
    // Stuffed after SSLRequest: the error stands in plain text, and no startup packet is served.
    let mut stream = gate.raw(&[&SSL_REQUEST[..], &hello].concat()).await;
    let said = rest(&mut stream).await;
    assert!(said.is_empty() || said[0] == b'E', "{said:?}");
    assert!(said.is_empty() || holds_error(&said, "08P01"));
    assert_eq!(gate.fault().await, LoginFault::StuffedBytes);
    // Stuffed after the answer, before the handshake: it is no ClientHello.
    let mut stream = gate.raw(&SSL_REQUEST).await;
    assert_eq!(stream.read_u8().await.unwrap(), b'S');
    stream.write_all(&hello).await.unwrap();
    let said = rest(&mut stream).await;
    assert!(!said.contains(&b'R'), "{said:?}");
    assert_eq!(gate.fault().await, LoginFault::TlsHandshake);
    // GSSENCRequest is answered N once; a second one, or stuffed bytes, end it.
    let mut stream = gate.raw(&GSS_REQUEST).await;
    assert_eq!(stream.read_u8().await.unwrap(), b'N');
    stream.write_all(&GSS_REQUEST).await.unwrap();
    assert!(holds_error(&rest(&mut stream).await, "08P01"));
    assert_eq!(gate.fault().await, LoginFault::RepeatedRequest);
    let mut stream = gate.raw(&[&GSS_REQUEST[..], &hello].concat()).await;
    rest(&mut stream).await;
    assert_eq!(gate.fault().await, LoginFault::StuffedBytes);
    // Direct TLS: a ClientHello reads as an impossible length.
    let mut stream = gate.raw(&[0x16, 3, 1, 0, 0xa5, 1, 0, 0, 0xa1, 3, 3]).await;
    assert_eq!(rest(&mut stream).await, b"");
    gate.fault().await;
    // Without a certificate SSLRequest is answered N, once.
    let mut gate = Gate::open(cluster, Options::default()).await;
    let mut stream = gate.raw(&SSL_REQUEST).await;
    assert_eq!(stream.read_u8().await.unwrap(), b'N');
    stream.write_all(&SSL_REQUEST).await.unwrap();
    assert!(holds_error(&rest(&mut stream).await, "08P01"));
    assert_eq!(gate.fault().await, LoginFault::RepeatedRequest);
}

#[tokio::test]
async fn n02_a_plain_client_is_refused_before_the_password_where_tls_is_required() {
    let cluster = cluster();
    let user = fresh_name("anna");
    create_login(cluster, &user, "pencil", "").await;
    let (server, client) = certificate();
    let options = Options {
        tls: Some(server),
        tls_required: true,
        ..Options::default()
    };
    let mut gate = Gate::open(cluster, options).await;
    let hello = startup(3 << 16, &[("user", &user), ("database", "postgres")]);
    let mut stream = gate.raw(&hello).await;
    let said = rest(&mut stream).await;
    assert_eq!(said[0], b'E', "an error and no request for a password");
    assert!(holds_error(&said, "28000"));
    assert_eq!(gate.fault().await, LoginFault::TlsRequired);
    let mut config: tokio_postgres::Config = gate.url(&user, "pencil", "postgres").parse().unwrap();
    config.ssl_mode(tokio_postgres::config::SslMode::Require);
    let (session, connection) = config.connect(client).await.expect("a session under TLS");
    tokio::spawn(connection);
    let row = session.query_one("SELECT 1", &[]).await.unwrap();
    assert_eq!(row.get::<_, i32>(0), 1);
}

#[tokio::test]
async fn n04_odd_packets_and_slow_clients_are_bounded_and_others_served() {
    let cluster = cluster();
    let user = fresh_name("anna");
    create_login(cluster, &user, "pencil", "").await;
    let options = Options {
        login_timeout: Duration::from_secs(4),
        ..Options::default()
    };
    let mut gate = Gate::open(cluster, options).await;
    for length in [0u32, 7, 10_005, 0x7fff_ffff, 0xffff_ffff] {
        let mut stream = gate.raw(&length.to_be_bytes()).await;
        assert_eq!(rest(&mut stream).await, b"", "{length}");
        gate.fault().await;
    }
    let begun = Instant::now();
    let mut half_open = Vec::new();
    for _ in 0..200 {
        half_open.push(gate.raw(&[0, 0]).await);
    }
    let client = connect_to(&gate.url(&user, "pencil", "postgres")).await;
    assert!(client.query_one("SELECT 1", &[]).await.is_ok());
    for mut stream in half_open {
        let drip = stream.write_all(&[0]).await;
        assert!(drip.is_ok() || begun.elapsed() >= Duration::from_secs(4));
        assert_eq!(rest(&mut stream).await, b"");
        assert_eq!(gate.fault().await, LoginFault::Timeout);
    }
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert!(
        client.query_one("SELECT 2", &[]).await.is_ok(),
        "a session outlives it"
    );
}

/// The exchange up to server-first, and the time it took.
async fn challenge(gate: &Gate, user: &str) -> (String, Duration) {
    let begun = Instant::now();
    let hello = startup(3 << 16, &[("user", user), ("database", "postgres")]);
    let mut stream = gate.raw(&hello).await;
    assert_eq!(
        frame(&mut stream).await.1[4..],
        b"SCRAM-SHA-256\0\0"[..],
        "the mechanisms"
    );
    let first = sasl_initial("SCRAM-SHA-256", "n,,n=,r=abc");
    stream.write_all(&first).await.expect("it holds");
    let (_, body) = frame(&mut stream).await;
    let text = String::from_utf8(body[4..].to_vec()).expect("it holds");
    (text, begun.elapsed())
}

#[tokio::test]
async fn n05_users_that_exist_and_ones_that_do_not_are_met_alike() {
    let cluster = cluster();
    let user = fresh_name("anna");
    create_login(cluster, &user, "pencil", "").await;
    let gate = Gate::open(cluster, Options::default()).await;
    let salt = |first: &str| first.split(",s=").nth(1).unwrap().to_owned();
    let (mut there, mut not_there) = (Vec::new(), Vec::new());
    for _ in 0..25 {
        there.push(challenge(&gate, &user).await);
        not_there.push(challenge(&gate, "nobody_at_all").await);
    }
    for found in [&there, &not_there] {
        let salts: Vec<_> = found.iter().map(|(first, _)| salt(first)).collect();
        assert!(salts.iter().all(|s| *s == salts[0]), "stable");
        assert_eq!(salts[0].len(), "W22ZaJ0SNY7soEsUEjb6gQ==,i=4096".len());
        assert!(salts[0].ends_with(",i=4096"));
    }
    assert_ne!(salt(&there[0].0), salt(&challenge(&gate, "nobody").await.0));
    let median = |found: &mut Vec<(String, Duration)>| {
        found.sort_by_key(|(_, took)| *took);
        found[found.len() / 2].1
    };
    let (there, not_there) = (median(&mut there), median(&mut not_there));
    let ratio = there.as_secs_f64() / not_there.as_secs_f64();
    assert!(
        (0.2..5.0).contains(&ratio),
        "{there:?} against {not_there:?}"
    );
    let (code, message) = refusal(&gate.url("nobody_at_all", "pencil", "postgres")).await;
    assert_eq!(code, "28P01");
    assert_eq!(
        message,
        "password authentication failed for user \"nobody_at_all\""
    );
}

#[tokio::test]
async fn logins_the_server_would_not_take_are_unknown() {
    let cluster = cluster();
    let superuser = connect_to(&cluster.superuser_url("postgres")).await;
    let (expired, barred, md5) = (fresh_name("old"), fresh_name("group"), fresh_name("md"));
    let sql = format!(
        "CREATE ROLE {expired} LOGIN PASSWORD 'pencil' VALID UNTIL '2020-01-01'; \
         CREATE ROLE {barred} NOLOGIN PASSWORD 'pencil'; \
         SET password_encryption = md5; CREATE ROLE {md5} LOGIN PASSWORD 'pencil'"
    );
    superuser.batch_execute(&sql).await.unwrap();
    let gate = Gate::open(cluster, Options::default()).await;
    for user in [&expired, &barred, &md5] {
        let (code, _) = refusal(&gate.url(user, "pencil", "postgres")).await;
        assert_eq!(code, "28P01", "{user}");
    }
    let control = Control::new(control(cluster).await);
    let md5 = control.stored_login(&UserName::new(md5)).await.unwrap();
    assert!(matches!(md5, StoredLogin::Unusable));
    let expired = control.stored_login(&UserName::new(expired)).await.unwrap();
    assert!(matches!(expired, StoredLogin::Unknown));
}

#[tokio::test]
async fn no_role_no_database_and_replication_are_refused_after_the_password() {
    let cluster = cluster();
    let (stranger, user) = (fresh_name("stranger"), fresh_name("anna"));
    create_login(cluster, &stranger, "pencil", "").await;
    create_login(cluster, &user, "pencil", "").await;
    let gate = Gate::open(cluster, Options::default()).await;
    let wrong = refusal(&gate.url(&stranger, "wrong", "postgres")).await;
    assert_eq!(wrong.0, "28P01");
    let right = refusal(&gate.url(&stranger, "pencil", "postgres")).await;
    assert_eq!(right.0, "28000");
    let nowhere = refusal(&gate.url(&user, "wrong", "nowhere")).await;
    assert_eq!(nowhere.0, "28P01");
    let nowhere = refusal(&gate.url(&user, "pencil", "nowhere")).await;
    assert_eq!(nowhere.0, "3D000");
}

#[tokio::test]
async fn the_servers_own_refusals_arrive_verbatim() {
    let cluster = cluster();
    let user = fresh_name("anna");
    create_login(cluster, &user, "pencil", "CONNECTION LIMIT 0").await;
    let gate = Gate::open(cluster, Options::default()).await;
    let direct = refusal(&cluster.url(&user, "pencil", "postgres")).await;
    let through = refusal(&gate.url(&user, "pencil", "postgres")).await;
    assert_eq!(direct, through);
    assert_eq!(through.0, "53300");
    let user = fresh_name("anna");
    create_login(cluster, &user, "pencil", "").await;
    let direct = refusal(&cluster.url(&user, "pencil", "not_there")).await;
    let through = refusal(&gate.url(&user, "pencil", "not_there")).await;
    assert_eq!(direct, through);
    assert_eq!(through.0, "3D000");
}

/// Proves the password "pencil" on a raw connection, and answers what comes after server-final.
async fn log_in_raw(gate: &Gate, hello: &[u8]) -> (TcpStream, Vec<(u8, Vec<u8>)>) {
    use pgveil::wire::scram::{ClientExchange, ClientKeys};
    let mut stream = gate.raw(hello).await;
    let mut before = Vec::new();
    while before.last().is_none_or(|(tag, _)| *tag != b'R') {
        before.push(frame(&mut stream).await);
    }
    // The salt is the server's: derive the keys once it is known, for an exchange begun without them.
    let probe = sasl_initial("SCRAM-SHA-256", "n,,n=,r=probe");
    let mut second = gate.raw(hello).await;
    while frame(&mut second).await.0 != b'R' {}
    second.write_all(&probe).await.expect("it holds");
    let first = String::from_utf8(frame(&mut second).await.1[4..].to_vec()).expect("it holds");
    let salt = first
        .split(",s=")
        .nth(1)
        .expect("it holds")
        .split(',')
        .next()
        .expect("it holds");
    let salt =
        base64::Engine::decode(&base64::engine::general_purpose::STANDARD, salt).expect("it holds");
    let keys = ClientKeys::of_password(&Secret::new("pencil".to_owned()), &salt, 4096);
    let (exchange, client_first) = ClientExchange::begin(keys);
    let message = sasl_initial("SCRAM-SHA-256", &client_first);
    stream.write_all(&message).await.expect("it holds");
    let server_first = frame(&mut stream).await.1;
    let (last, client_final) = exchange.respond(&server_first[4..]).expect("it holds");
    let message = sasl_message(client_final.expose().as_bytes());
    stream.write_all(&message).await.expect("it holds");
    let server_final = frame(&mut stream).await.1;
    last.verify(&server_final[4..]).expect("it holds");
    before.pop();
    (stream, before)
}

#[tokio::test]
async fn s06_replication_is_refused_to_a_role_not_named_for_it() {
    let cluster = cluster();
    let user = fresh_name("anna");
    create_login(cluster, &user, "pencil", "REPLICATION").await;
    let mut gate = Gate::open(cluster, Options::default()).await;
    let name = [("user", user.as_str()), ("database", "postgres")];
    let hello = startup(
        3 << 16,
        &[&name[..], &[("replication", "database")]].concat(),
    );
    let (mut stream, _) = log_in_raw(&gate, &hello).await;
    assert!(holds_error(&rest(&mut stream).await, "42501"));
    let refused = async {
        loop {
            if gate.fault().await == LoginFault::Replication {
                break;
            }
        }
    };
    refused.await;
    let admit: Box<Admit> = Box::new(|_| {
        Ok(Admission {
            role: None,
            replication: true,
            function_call: false,
        })
    });
    let options = Options {
        admit,
        ..Options::default()
    };
    let gate = Gate::open(cluster, options).await;
    let (mut stream, _) = log_in_raw(&gate, &hello).await;
    assert_eq!(frame(&mut stream).await, (b'R', vec![0; 4]));
}

#[tokio::test]
async fn s06_protocol_3_2_gets_long_cancel_keys_and_unknown_options_are_named() {
    let cluster = cluster();
    let user = fresh_name("anna");
    create_login(cluster, &user, "pencil", "").await;
    let gate = Gate::open(cluster, Options::default()).await;
    let cases = [
        (0x3_0000, None, 4),
        (0x3_0002, None, 32),
        (0x3_270f, Some(0x3_0002), 32),
    ];
    for (code, negotiated, secret_bytes) in cases {
        let hello = startup(code, &[("user", &user), ("database", "postgres")]);
        let (mut stream, before) = log_in_raw(&gate, &hello).await;
        let expected: Vec<(u8, Vec<u8>)> = negotiated
            .map(|code: u32| (b'v', [code.to_be_bytes(), [0; 4]].concat()))
            .into_iter()
            .collect();
        assert_eq!(before, expected);
        loop {
            let (tag, body) = frame(&mut stream).await;
            match tag {
                b'K' => assert_eq!(body.len(), 4 + secret_bytes),
                b'Z' => break,
                b'R' | b'S' => {}
                other => panic!("{other}"),
            }
        }
    }
    let mut stream = gate.raw(&startup(2 << 16, &[("user", &user)])).await;
    assert!(holds_error(&rest(&mut stream).await, "0A000"));
}

#[tokio::test]
async fn a_cancel_request_reaches_the_server_with_its_own_key() {
    let cluster = cluster();
    let client = connect_to(&cluster.superuser_url("postgres")).await;
    // The driver keeps the key to itself; log in raw, to the server itself, through connect::login.
    let user = fresh_name("anna");
    create_login(cluster, &user, "pencil", "").await;
    let stored: String = client
        .query_one(
            "SELECT rolpassword FROM pg_authid WHERE rolname = $1::text",
            &[&user],
        )
        .await
        .unwrap()
        .get(0);
    let salt = stored.split(':').nth(1).unwrap().split('$').next().unwrap();
    let salt = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, salt).unwrap();
    let keys = pgveil::wire::scram::ClientKeys::of_password(
        &Secret::new("pencil".to_owned()),
        &salt,
        4096,
    );
    let hello = startup(3 << 16, &[("user", &user), ("database", "postgres")]);
    let opening = pgveil::wire::startup::Opening::read(&hello).unwrap();
    let Some((pgveil::wire::startup::Opening::Startup(hello), _)) = opening else {
        panic!("a startup packet");
    };
    let mut session = connect::login(&target(cluster), &hello, Some(keys))
        .await
        .expect("a session");
    let key = session.greeting.key.clone().expect("a key");
    assert_eq!(session.greeting.parameter("client_encoding"), Some("UTF8"));
    let query = b"SELECT pg_sleep(60)\0";
    let mut message = vec![b'Q', 0, 0, 0, query.len() as u8 + 4];
    message.extend_from_slice(query);
    session.stream.write_all(&message).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    connect::cancel(&target(cluster), &key).await.expect("sent");
    let mut said = Vec::new();
    while !holds_error(&said, "57014") {
        let read = session.stream.read_buf(&mut said);
        let read = tokio::time::timeout(Duration::from_secs(10), read).await;
        assert!(read.expect("in time").expect("bytes") > 0);
    }
}

#[tokio::test]
async fn n08_the_control_connections_settings_are_pinned_and_it_comes_back() {
    let cluster = cluster();
    let user = fresh_name("anna");
    create_login(cluster, &user, "pencil", "").await;
    let superuser = connect_to(&cluster.superuser_url("postgres")).await;
    // A login of its own, whose role settings someone has bent.
    let name = fresh_name("pgveil");
    let password = Secret::new(CONTROL_PASSWORD.to_owned());
    let mut login = control(cluster).await;
    login.user = UserName::new(name.clone());
    let logins = SetupLogins::control_only(login.user.clone());
    let sql = setup_sql(&logins, Some(&password));
    superuser.batch_execute(&sql).await.unwrap();
    let bend = format!(
        "CREATE SCHEMA {name}; GRANT USAGE ON SCHEMA {name} TO {name}; \
         CREATE FUNCTION {name}.verifier(text) RETURNS text LANGUAGE sql AS $$ SELECT 'bent' $$; \
         ALTER ROLE {name} SET search_path = {name}, pg_catalog; \
         ALTER ROLE {name} SET standard_conforming_strings = off; ALTER ROLE {name} SET bytea_output = escape"
    );
    superuser.batch_execute(&bend).await.unwrap();
    let control = Control::new(login);
    let client = control.client().await.expect("a connection");
    for (setting, value) in [
        ("search_path", "pg_catalog"),
        ("standard_conforming_strings", "on"),
        ("bytea_output", "hex"),
        ("TimeZone", "UTC"),
    ] {
        let row = client
            .query_one("SELECT current_setting($1)", &[&setting])
            .await
            .unwrap();
        assert_eq!(row.get::<_, String>(0), value, "{setting}");
    }
    let user = UserName::new(user);
    for round in 0..3 {
        let asked = control.stored_login(&user).await;
        assert!(matches!(asked, Ok(StoredLogin::Scram(_))), "{round}");
        let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = $1::text";
        superuser.query_one(end, &[&name]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50 * round)).await;
    }
    // Many at once, over one connection.
    let control = &control;
    let asked = (0..50).map(|_| control.stored_login(&user));
    for answer in futures_util::future::join_all(asked).await {
        assert!(matches!(answer, Ok(StoredLogin::Scram(_))));
    }
    let count = "SELECT count(*) FROM pg_stat_activity WHERE usename = $1::text";
    let row = superuser.query_one(count, &[&name]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 1);
}

#[tokio::test]
async fn without_a_control_connection_nobody_comes_in_and_nobody_waits_long() {
    let cluster = cluster();
    let mut login = control(cluster).await;
    login.password = Some(Secret::new("not the password".to_owned()));
    let options = Options {
        control: Some(login),
        ..Options::default()
    };
    let mut gate = Gate::open(cluster, options).await;
    let begun = Instant::now();
    for _ in 0..20 {
        let (code, message) = refusal(&gate.url("anna", "pencil", "postgres")).await;
        assert_eq!(code, "08006");
        assert!(!message.contains("password"));
        assert!(matches!(gate.fault().await, LoginFault::NoVerifier(_)));
    }
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn the_schema_pgveil_is_closed_to_everyone_else() {
    let cluster = cluster();
    control(cluster).await;
    let user = fresh_name("anna");
    create_login(cluster, &user, "pencil", "").await;
    let client = connect_to(&cluster.url(&user, "pencil", "postgres")).await;
    for sql in [
        "SELECT pgveil.verifier('postgres')",
        "SELECT * FROM pgveil.attribute",
        "DELETE FROM pgveil.attribute",
        "CREATE TABLE pgveil.mine ()",
    ] {
        let error = client.batch_execute(sql).await.unwrap_err();
        let code = error.code().unwrap().code().to_owned();
        assert_eq!(code, "42501", "{sql}");
    }
    // Not a superuser, or a schema that somebody else made: setup stops.
    let database = create_database(cluster).await;
    let superuser = connect_to(&cluster.superuser_url(&database)).await;
    let make = format!("CREATE SCHEMA pgveil AUTHORIZATION {user}");
    superuser.batch_execute(&make).await.unwrap();
    let sql = setup_sql(&SetupLogins::control_only(UserName::new("pgveil")), None);
    assert!(superuser.batch_execute(&sql).await.is_err());
    assert!(client.batch_execute(&sql).await.is_err());
}

#[tokio::test]
async fn an_owner_apart_from_the_control_login_writes_the_records() {
    let cluster = cluster();
    control(cluster).await;
    let owner = fresh_name("owner");
    create_login(cluster, &owner, "pencil", "").await;
    let database = create_database(cluster).await;
    let superuser = connect_to(&cluster.superuser_url(&database)).await;
    let logins = SetupLogins {
        control: UserName::new("pgveil"),
        owner: UserName::new(owner.clone()),
    };
    superuser
        .batch_execute(&setup_sql(&logins, None))
        .await
        .unwrap();
    let client = connect_to(&cluster.url(&owner, "pencil", &database)).await;
    let insert = "INSERT INTO pgveil.attribute VALUES \
        (1, 'public', 'contacts', 'email', 2, 'encrypt equal', 25, -1, 'd', 1, 1, DEFAULT)";
    client.batch_execute(insert).await.unwrap();
    assert!(client.batch_execute(insert).await.is_err(), "UNIQUE");
    let verifier = client
        .batch_execute("SELECT pgveil.verifier('postgres')")
        .await;
    assert!(verifier.is_err());
    let login = control(cluster)
        .await
        .to_database(DatabaseName::new(database));
    let control = login.open().await.unwrap();
    let row = control
        .query_one("SELECT attribute FROM pgveil.attribute", &[])
        .await
        .unwrap();
    assert_eq!(row.get::<_, String>(0), "email");
    let write = control.batch_execute("DELETE FROM pgveil.attribute").await;
    assert!(write.is_err());
}

/// A certificate for `localhost` and 127.0.0.1, as the server's settings and as a client that trusts it.
fn certificate() -> (Arc<rustls::ServerConfig>, MakeRustlsConnect) {
    let (cert, key) = self_signed(&["localhost", "127.0.0.1"]);
    let server = tls::server_config(cert.as_bytes(), key.as_bytes()).expect("it holds");
    let client = tls::client_config(TlsMode::VerifyFull, Some(cert.as_bytes())).expect("it holds");
    let client = MakeRustlsConnect::new(client.expect("it holds").as_ref().clone());
    (server, client)
}

fn self_signed(names: &[&str]) -> (String, String) {
    let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).expect("it holds");
    (made.cert.pem(), made.signing_key.serialize_pem())
}

/// Puts a certificate for `localhost` and its key where the server looks for them.
fn give_certificate(cluster: &Cluster) -> String {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
    let (cert, key) = self_signed(&["localhost"]);
    let data = cluster.data_directory();
    let owner = std::fs::metadata(&data).expect("the data directory");
    for (name, text) in [("server.crt", &cert), ("server.key", &key)] {
        let path = data.join(name);
        std::fs::write(&path, text).expect("a file");
        chown(&path, Some(owner.uid()), Some(owner.gid())).expect("its owner");
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&path, mode).expect("its mode");
    }
    cert
}

#[tokio::test]
async fn the_upstream_leg_is_encrypted_and_verified_as_its_mode_says() {
    let cluster = support::start(&[]);
    let cert = give_certificate(&cluster);
    let plain = |host, mode, ca: Option<&str>| {
        Target::new(host, cluster.port(), Some(mode), ca.map(str::as_bytes)).unwrap()
    };
    create_login(&cluster, "anna", "pencil", "").await;
    let superuser = connect_to(&cluster.superuser_url("postgres")).await;
    let logins = SetupLogins::control_only(UserName::new("pgveil"));
    let password = Secret::new(CONTROL_PASSWORD.to_owned());
    let sql = setup_sql(&logins, Some(&password));
    superuser.batch_execute(&sql).await.unwrap();
    let try_it = async |target: Target| {
        let login = ControlLogin {
            target: target.clone(),
            database: DatabaseName::new("postgres"),
            user: UserName::new("pgveil"),
            password: Some(password.clone()),
        };
        let control = Control::new(login).client().await.map(|_| ());
        let hello = startup(3 << 16, &[("user", "anna"), ("database", "postgres")]);
        let read = pgveil::wire::startup::Opening::read(&hello).unwrap();
        let Some((pgveil::wire::startup::Opening::Startup(hello), _)) = read else {
            panic!("a startup packet");
        };
        // Without keys: it is enough to see how far the encryption comes.
        let session = connect::login(&target, &hello, None).await.err();
        (control.is_ok(), session.map(|fault| fault.to_string()))
    };
    let no_keys = "the database server asks for the authentication method scram-sha-256, without a key for it, \
                   pgveil can serve scram-sha-256 and trust";
    let came_through = (true, Some(no_keys.to_owned()));
    let no_tls = Some("the database server offers no TLS".to_owned());
    let untrusted = Some("TLS with the database server failed".to_owned());
    assert_eq!(
        try_it(plain("localhost", TlsMode::Prefer, None)).await,
        came_through
    );
    let refused = try_it(plain("localhost", TlsMode::Require, None)).await;
    assert_eq!(refused, (false, no_tls));
    let turn_on = "ALTER SYSTEM SET ssl = on";
    superuser.batch_execute(turn_on).await.unwrap();
    superuser
        .batch_execute("SELECT pg_reload_conf()")
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let other = self_signed(&["localhost"]).0;
    for (host, mode, ca, passes) in [
        ("localhost", TlsMode::Disable, None, true),
        ("localhost", TlsMode::Prefer, None, true),
        ("localhost", TlsMode::Require, None, true),
        ("localhost", TlsMode::Require, Some(&other), false),
        ("localhost", TlsMode::VerifyCa, Some(&cert), true),
        ("127.0.0.1", TlsMode::VerifyCa, Some(&cert), true),
        ("localhost", TlsMode::VerifyCa, Some(&other), false),
        ("localhost", TlsMode::VerifyFull, Some(&cert), true),
        ("127.0.0.1", TlsMode::VerifyFull, Some(&cert), false),
        ("localhost", TlsMode::VerifyFull, Some(&other), false),
    ] {
        let found = try_it(plain(host, mode, ca.map(String::as_str))).await;
        let expected = if passes {
            came_through.clone()
        } else {
            (false, untrusted.clone())
        };
        assert_eq!(found, expected, "{host} {mode:?}");
    }
}

//! md5, the auth_file and clear passwords under TLS, against a server whose pg_hba.conf asks in every way (N02, N05).

use std::time::{Duration, Instant};

use pgveil::cli::demo::cluster::Cluster;
use pgveil::config::Method;
use pgveil::ident::{DatabaseName, UserName};
use pgveil::lifecycle::setup::{SetupLogins, setup_sql, setup_sql_without_verifier};
use pgveil::secret::Secret;
use pgveil::server::auth_file::AuthFile;
use pgveil::session::login::LoginFault;
use pgveil::upstream::control::ControlLogin;
use pgveil::upstream::handshake::UpstreamFault;
use tokio::io::AsyncWriteExt;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::gate::*;
use crate::support::{self, connect as connect_to, create_login, fresh_name};

const HBA: &str = "\
host all old,old_file 127.0.0.1/32 md5
host all clear 127.0.0.1/32 password
host all trusted 127.0.0.1/32 trust
host all all 127.0.0.1/32 scram-sha-256
";

/// A cluster that asks each login in another way, and its control login.
struct Site {
    cluster: Cluster,
    control: ControlLogin,
}

impl Site {
    async fn start() -> Self {
        let cluster = support::start(&[]);
        let superuser = connect_to(&cluster.superuser_url("postgres")).await;
        let password = Secret::new(CONTROL_PASSWORD.to_owned());
        let logins = SetupLogins::control_only(UserName::new("pgveil"));
        let setup = setup_sql(&logins, Some(&password));
        superuser.batch_execute(&setup).await.expect("setup");
        let logins = "SET password_encryption = md5; \
            CREATE ROLE old LOGIN PASSWORD 'pencil'; CREATE ROLE old_file LOGIN PASSWORD 'pencil'; \
            CREATE ROLE strict LOGIN PASSWORD 'pencil'; \
            SET password_encryption = 'scram-sha-256'; \
            CREATE ROLE clear LOGIN PASSWORD 'pencil'; CREATE ROLE trusted LOGIN PASSWORD 'pencil'; \
            CREATE ROLE anna LOGIN PASSWORD 'pencil'; CREATE ROLE bert LOGIN PASSWORD 'pencil'; \
            CREATE ROLE stranger LOGIN PASSWORD 'pencil'; \
            CREATE ROLE expired LOGIN PASSWORD 'pencil' VALID UNTIL '2020-01-01'";
        superuser.batch_execute(logins).await.expect("logins");
        let hba = cluster.data_directory().join("pg_hba.conf");
        std::fs::write(hba, HBA).expect("pg_hba.conf");
        let reload = "SELECT pg_reload_conf()";
        superuser.batch_execute(reload).await.expect("a reload");
        tokio::time::sleep(Duration::from_millis(300)).await;
        let control = ControlLogin {
            target: target(&cluster),
            database: DatabaseName::new("postgres"),
            user: UserName::new("pgveil"),
            password: Some(password),
        };
        Self { cluster, control }
    }

    fn options(&self) -> Options {
        Options {
            control: Some(self.control.clone()),
            ..Options::default()
        }
    }

    async fn with_auth_file(&self, lines: &str) -> Gate {
        let options = Options {
            method: Method::AuthFile,
            auth_file: Some(auth_file(lines)),
            ..self.options()
        };
        Gate::open(&self.cluster, options).await
    }

    /// A gate that asks for clear passwords, and a client that trusts its certificate.
    async fn cleartext(&self) -> (Gate, MakeRustlsConnect) {
        let (server, client) = certificate();
        let options = Options {
            method: Method::CleartextTls,
            tls: Some(server),
            ..self.options()
        };
        (Gate::open(&self.cluster, options).await, client)
    }
}

fn auth_file(lines: &str) -> AuthFile {
    use std::os::unix::fs::PermissionsExt as _;
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), lines).expect("a file");
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(file.path(), mode).expect("its mode");
    AuthFile::read(file.path(), &Secret::new(DECOY_KEY)).expect("an auth_file")
}

async fn comes_in(url: &str) -> String {
    let client = connect_to(url).await;
    let row = client.query_one("SELECT session_user::text", &[]).await;
    row.expect("a row").get(0)
}

async fn under_tls(url: &str, client: &MakeRustlsConnect) -> Result<String, (String, String)> {
    let mut config: tokio_postgres::Config = url.parse().expect("a URL");
    config.ssl_mode(SslMode::Require);
    match config.connect(client.clone()).await {
        Ok((client, connection)) => {
            tokio::spawn(connection);
            let row = client.query_one("SELECT session_user::text", &[]).await;
            Ok(row.expect("a row").get(0))
        }
        Err(error) => {
            let told = error.as_db_error().expect("an ErrorResponse");
            Err((told.code().code().to_owned(), told.message().to_owned()))
        }
    }
}

#[tokio::test]
async fn md5_serves_where_the_stored_verifier_is_md5_and_fails_as_directly() {
    let site = Site::start().await;
    let mut gate = Gate::open(&site.cluster, site.options()).await;
    assert_eq!(
        comes_in(&gate.url("old", "pencil", "postgres")).await,
        "old"
    );
    let wrong = refusal(&gate.url("old", "pencils", "postgres")).await;
    assert_eq!(
        wrong,
        refusal(&site.cluster.url("old", "pencils", "postgres")).await
    );
    assert_eq!(gate.fault().await, LoginFault::Password);
    // The server wants SCRAM where it has md5: nobody comes in, directly or not, and both are told the same.
    let direct = refusal(&site.cluster.url("strict", "pencil", "postgres")).await;
    let through = refusal(&gate.url("strict", "pencil", "postgres")).await;
    assert_eq!(direct, through);
    assert_eq!(
        gate.fault().await,
        LoginFault::Upstream(UpstreamFault::Md5Only)
    );
    // The expired password is a wrong one.
    let direct = refusal(&site.cluster.url("expired", "pencil", "postgres")).await;
    assert_eq!(
        direct,
        refusal(&gate.url("expired", "pencil", "postgres")).await
    );
    assert_eq!(gate.fault().await, LoginFault::Password);
    if has_psql() {
        let url = gate.url("old", "pencil", "postgres");
        let said = tokio::task::spawn_blocking(move || psql(&url, "SELECT 1")).await;
        assert_eq!(said.unwrap(), Ok("1".to_owned()));
    }
}

#[tokio::test]
async fn the_auth_file_holds_passwords_verifiers_and_md5_hashes() {
    let site = Site::start().await;
    let superuser = connect_to(&site.cluster.superuser_url("postgres")).await;
    let asked =
        "SELECT rolname::text, rolpassword FROM pg_authid WHERE rolname IN ('bert', 'old_file')";
    let mut lines =
        "; our logins\n\"anna\" \"pencil\"\n\"old\" \"pencil\"\n\"expired\" \"pencil\"\n"
            .to_owned();
    for row in superuser.query(asked, &[]).await.unwrap() {
        let (name, secret): (String, String) = (row.get(0), row.get(1));
        lines.push_str(&format!("\"{name}\" \"{secret}\"\n"));
    }
    let mut gate = site.with_auth_file(&lines).await;
    for user in ["anna", "bert", "old", "old_file"] {
        assert_eq!(comes_in(&gate.url(user, "pencil", "postgres")).await, user);
        let (code, _) = refusal(&gate.url(user, "pencils", "postgres")).await;
        assert_eq!(code, "28P01", "{user}");
        assert_eq!(gate.fault().await, LoginFault::Password, "{user}");
    }
    // It is the file that says who is known; the server has the last word.
    let (code, _) = refusal(&gate.url("clear", "pencil", "postgres")).await;
    assert_eq!(code, "28P01");
    assert_eq!(gate.fault().await, LoginFault::Password);
    let direct = refusal(&site.cluster.url("expired", "pencil", "postgres")).await;
    assert_eq!(
        direct,
        refusal(&gate.url("expired", "pencil", "postgres")).await
    );
    assert!(matches!(
        gate.fault().await,
        LoginFault::Upstream(UpstreamFault::Refused(_))
    ));
    // A password of the file is never sent in the clear.
    let mut gate = site.with_auth_file("\"clear\" \"pencil\"\n").await;
    let (code, message) = refusal(&gate.url("clear", "pencil", "postgres")).await;
    assert_eq!(code, "28000");
    assert!(message.contains("password (clear text)"), "{message}");
    gate.fault().await;
}

#[tokio::test]
async fn clear_passwords_are_asked_for_under_tls_and_checked_by_the_server() {
    let site = Site::start().await;
    let (mut gate, client) = site.cleartext().await;
    for user in ["anna", "old", "clear"] {
        let url = gate.url(user, "pencil", "postgres");
        assert_eq!(under_tls(&url, &client).await, Ok(user.to_owned()));
        let wrong = under_tls(&gate.url(user, "pencils", "postgres"), &client).await;
        let direct = refusal(&site.cluster.url(user, "pencils", "postgres")).await;
        assert_eq!(wrong, Err(direct), "{user}");
        gate.fault().await;
    }
    // N02: without TLS nobody is asked.
    let hello = startup(3 << 16, &[("user", "anna"), ("database", "postgres")]);
    let mut stream = gate.raw(&hello).await;
    let said = rest(&mut stream).await;
    assert!(said[0] == b'E' && holds_error(&said, "28000"), "{said:?}");
    assert_eq!(gate.fault().await, LoginFault::TlsRequired);
    // A server that asks for nothing has checked nothing.
    let (code, _) = under_tls(&gate.url("trusted", "anything", "postgres"), &client)
        .await
        .unwrap_err();
    assert_eq!(code, "28000");
    assert_eq!(
        gate.fault().await,
        LoginFault::Upstream(UpstreamFault::Unchecked)
    );
    // What the policy says is for those who have proved who they are.
    let wrong = under_tls(&gate.url("stranger", "pencils", "postgres"), &client).await;
    assert_eq!(wrong.unwrap_err().0, "28P01");
    let right = under_tls(&gate.url("stranger", "pencil", "postgres"), &client).await;
    assert_eq!(right.unwrap_err().0, "28000");
}

#[tokio::test]
async fn without_a_superuser_setup_leaves_the_verifiers_out() {
    let site = Site::start().await;
    let superuser = connect_to(&site.cluster.superuser_url("postgres")).await;
    for sql in [
        "CREATE ROLE dba LOGIN CREATEROLE PASSWORD 'pencil'",
        "CREATE DATABASE managed OWNER dba",
    ] {
        superuser.batch_execute(sql).await.unwrap();
    }
    let dba = connect_to(&site.cluster.url("dba", "pencil", "managed")).await;
    let logins = SetupLogins {
        control: UserName::new("reader"),
        owner: UserName::new("dba"),
    };
    for _ in 0..2 {
        let sql = setup_sql_without_verifier(&logins, Some(&Secret::new("pencil".to_owned())));
        dba.batch_execute(&sql).await.expect("setup");
    }
    let reader = connect_to(&site.cluster.url("reader", "pencil", "managed")).await;
    let read = reader.query("SELECT * FROM pgveil.attribute", &[]).await;
    assert!(read.is_ok());
    assert!(
        reader
            .batch_execute("DELETE FROM pgveil.attribute")
            .await
            .is_err()
    );
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64()
}

#[tokio::test]
async fn n05_unknown_logins_take_as_long_as_known_ones_in_every_method() {
    let site = Site::start().await;
    let known = fresh_name("known");
    create_login(&site.cluster, &known, "pencil", "").await;
    let file = site
        .with_auth_file(&format!("\"{known}\" \"pencil\"\n"))
        .await;
    let (clear, client) = site.cleartext().await;
    let (mut in_file, mut in_none) = (Vec::new(), Vec::new());
    let (mut on_server, mut nowhere) = (Vec::new(), Vec::new());
    for _ in 0..15 {
        for (user, in_file, on_server) in [
            (known.as_str(), &mut in_file, &mut on_server),
            ("nobody_at_all", &mut in_none, &mut nowhere),
        ] {
            let begun = Instant::now();
            let hello = startup(3 << 16, &[("user", user), ("database", "postgres")]);
            let mut stream = file.raw(&hello).await;
            frame(&mut stream).await;
            let first = sasl_initial("SCRAM-SHA-256", "n,,n=,r=abc");
            stream.write_all(&first).await.unwrap();
            let (_, body) = frame(&mut stream).await;
            in_file.push(begun.elapsed());
            assert!(body.ends_with(b"==,i=4096"), "one form of salt");
            let begun = Instant::now();
            let url = clear.url(user, "wrong", "postgres");
            let (code, message) = under_tls(&url, &client).await.unwrap_err();
            on_server.push(begun.elapsed());
            assert_eq!(code, "28P01");
            let expected = format!("password authentication failed for user \"{user}\"");
            assert_eq!(message, expected);
        }
    }
    let ratios = [
        median(in_file) / median(in_none),
        median(on_server) / median(nowhere),
    ];
    eprintln!(
        "known to unknown: auth_file {:.2}, cleartext_tls {:.2}",
        ratios[0], ratios[1]
    );
    assert!(ratios.iter().all(|r| (0.2..5.0).contains(r)), "{ratios:?}");
}

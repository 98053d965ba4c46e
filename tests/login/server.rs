//! The leg to the server: its own refusals, TLS, cancel requests.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pgveil::cli::demo::cluster::Cluster;
use pgveil::ident::{DatabaseName, UserName};
use pgveil::lifecycle::setup::{SetupLogins, setup_sql};
use pgveil::secret::Secret;
use pgveil::upstream::connect::{self, Target};
use pgveil::upstream::control::{Control, ControlLogin};
use pgveil::upstream::credential::Credential;
use pgveil::wire::scram::ClientKeys;
use pgveil::wire::startup::{Opening, Startup};
use pgveil::wire::tls::TlsMode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::gate::*;
use crate::support::{self, cluster, connect as connect_to, create_login, fresh_name};

#[tokio::test]
async fn the_server_may_be_at_a_unix_socket() {
    let cluster = support::start(&[]);
    let directory = cluster
        .socket_directory()
        .to_str()
        .expect("a path")
        .to_owned();
    let at_socket = || Target::new(&directory, cluster.port(), None, None).expect("a target");
    let superuser = connect_to(&cluster.superuser_url("postgres")).await;
    let password = Secret::new(CONTROL_PASSWORD.to_owned());
    let logins = SetupLogins::control_only(UserName::new("pgveil"));
    let setup = setup_sql(&logins, Some(&password));
    superuser.batch_execute(&setup).await.expect("setup");
    create_login(&cluster, "anna", "pencil", "").await;
    let options = Options {
        control: Some(ControlLogin {
            target: at_socket(),
            database: DatabaseName::new("postgres"),
            user: UserName::new("pgveil"),
            password: Some(password),
        }),
        target: Some(at_socket()),
        ..Options::default()
    };
    let gate = Gate::open(&cluster, options).await;
    let client = connect_to(&gate.url("anna", "pencil", "postgres")).await;
    let from =
        "SELECT client_addr IS NULL FROM pg_stat_activity WHERE usename IN ('anna', 'pgveil')";
    let rows = client.query(from, &[]).await.expect("rows");
    assert!(rows.len() >= 2 && rows.iter().all(|row| row.get::<_, bool>(0)));
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

/// The client keys of a user whose password is "pencil".
async fn keys_of(superuser: &tokio_postgres::Client, user: &str) -> ClientKeys {
    let asked = "SELECT rolpassword FROM pg_authid WHERE rolname = $1::text";
    let row = superuser
        .query_one(asked, &[&user])
        .await
        .expect("a verifier");
    let stored: String = row.get(0);
    let salt = stored
        .split(':')
        .nth(1)
        .and_then(|rest| rest.split('$').next());
    let salt = STANDARD.decode(salt.expect("a salt")).expect("base64");
    ClientKeys::of_password(&Secret::new("pencil".to_owned()), &salt, 4096)
}

fn hello(user: &str) -> Startup {
    let packet = startup(3 << 16, &[("user", user), ("database", "postgres")]);
    match Opening::read(&packet) {
        Ok(Some((Opening::Startup(startup), _))) => *startup,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_cancel_request_reaches_the_server_with_its_own_key() {
    let cluster = cluster();
    let client = connect_to(&cluster.superuser_url("postgres")).await;
    // The driver keeps the key to itself; log in raw, to the server itself, through connect::login.
    let user = fresh_name("anna");
    create_login(cluster, &user, "pencil", "").await;
    let keys = keys_of(&client, &user).await;
    let hello = hello(&user);
    let mut session = connect::login(&target(cluster), &hello, Credential::Keys(keys))
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
#[allow(
    clippy::too_many_lines,
    reason = "one server, turned from plain to TLS, is one story"
)]
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
        let hello = hello("anna");
        // Without keys: it is enough to see how far the encryption comes.
        let session = connect::login(&target, &hello, Credential::Nothing)
            .await
            .err();
        (control.is_ok(), session.map(|fault| fault.to_string()))
    };
    let no_keys = "the database server asks for the authentication method scram-sha-256, without a key for it, \
                   which cannot be served";
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
    // With keys the way is open to its end. The server offers PLUS now, and takes a client that says it was offered
    // nothing for a victim: coming in means that the binding it saw was right.
    for mode in [TlsMode::Disable, TlsMode::Require, TlsMode::VerifyFull] {
        let ca = (mode == TlsMode::VerifyFull).then_some(cert.as_str());
        let keys = keys_of(&superuser, "anna").await;
        let session = connect::login(
            &plain("localhost", mode, ca),
            &hello("anna"),
            Credential::Keys(keys),
        )
        .await;
        assert!(session.is_ok(), "{mode:?}: {:?}", session.err());
    }
}

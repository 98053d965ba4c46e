//! What is read again while pgveil runs: certificates and the auth_file, whole or not at all, without a restart (S09).

use std::path::PathBuf;
use std::time::{Duration, Instant};

use pgveil::config::Config;
use pgveil::server::serve::Server;
use pgveil::wire::tls::{self, TlsMode};
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::gate::{refusal, self_signed};
use crate::support::{cluster, connect as connect_to, create_login, fresh_name};

/// How long a change on disk may take to be in force, on a loaded machine.
const NOTICED_WITHIN: Duration = Duration::from_secs(20);

/// A pgveil with an auth_file and a certificate, in a folder.
struct Place {
    folder: tempfile::TempDir,
    server: Server,
}

impl Place {
    async fn start(users: &str, certificate: &(String, String)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| write(folder.path().join(name), text);
        write("users.txt", users);
        write("server.pem", &certificate.0);
        write("server.key", &certificate.1);
        write("password", cluster().superuser_password());
        let text = format!(
            "[listen]\naddress = \"127.0.0.1:0\"\n\
             socket_directory = \".\"\n\
             tls = {{ certificate = \"server.pem\", key = \"server.key\", require = false }}\n\
             [upstream]\naddress = \"{}\"\nlogin = \"auth_file\"\nauth_file = \"users.txt\"\n\
             control = {{ user = \"postgres\", password_file = \"password\" }}\n\
             [[database]]\nname = \"postgres\"\npolicy = \"none\"\n\
             [http]\naddress = \"127.0.0.1:0\"\n",
            cluster().address()
        );
        write("pgveil.toml", &text);
        let config = Config::open(&folder.path().join("pgveil.toml"), []).expect("a configuration");
        let server = Server::start(config).await.expect("a server");
        Self { folder, server }
    }

    fn write(&self, name: &str, text: &str) {
        write(self.folder.path().join(name), text);
    }

    fn url(&self, user: &str) -> String {
        format!(
            "postgresql://{user}:pencil@{}/postgres",
            self.server.address()
        )
    }

    async fn comes_in(&self, user: &str) -> bool {
        tokio_postgres::connect(&self.url(user), tokio_postgres::NoTls)
            .await
            .is_ok()
    }

    /// Whether pgveil shows this certificate.
    async fn shows(&self, user: &str, certificate: &str) -> bool {
        let trusting = tls::client_config(TlsMode::VerifyFull, Some(certificate.as_bytes()));
        let trusting = trusting.expect("settings").expect("not disabled");
        let mut config: tokio_postgres::Config = self.url(user).parse().expect("a URL");
        config.ssl_mode(SslMode::Require);
        let client = MakeRustlsConnect::new(trusting.as_ref().clone());
        config.connect(client).await.is_ok()
    }
}

fn write(path: PathBuf, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    // As an administrator would: a new file, moved into its place.
    let fresh = path.with_extension("new");
    std::fs::write(&fresh, text).expect("a file");
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&fresh, mode).expect("its mode");
    std::fs::rename(&fresh, &path).expect("its place");
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_and_certificates_are_read_again_whole_or_not_at_all() {
    let (anna, bert) = (fresh_name("anna"), fresh_name("bert"));
    for user in [&anna, &bert] {
        create_login(cluster(), user, "pencil", "").await;
    }
    let first = self_signed(&["localhost", "127.0.0.1"]);
    let second = self_signed(&["localhost", "127.0.0.1"]);
    let only_anna = format!("\"{anna}\" \"pencil\"\n");
    let both = format!("{only_anna}\"{bert}\" \"pencil\"\n");
    let place = Place::start(&only_anna, &first).await;
    let session = connect_to(&place.url(&anna)).await;
    assert_eq!(refusal(&place.url(&bert)).await.0, "28P01");
    // A change on disk is enough.
    place.write("users.txt", &both);
    let begun = Instant::now();
    while !place.comes_in(&bert).await {
        assert!(begun.elapsed() < NOTICED_WITHIN, "nobody noticed");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    eprintln!(
        "a line of the auth_file was in force after {:?}",
        begun.elapsed()
    );
    // One fault, and nothing of it is taken over, the good certificate neither.
    place.write("users.txt", &format!("{only_anna}broken\n"));
    place.write("server.pem", &second.0);
    place.write("server.key", &second.1);
    let faults = place.server.reload().await.expect_err("a broken file");
    assert_eq!(faults.len(), 1);
    let told = faults[0].to_string();
    assert!(
        told.contains("users.txt:2:1: expected `\"user\" \"secret\"`"),
        "{told}"
    );
    assert!(place.comes_in(&bert).await);
    assert!(place.shows(&anna, &first.0).await && !place.shows(&anna, &second.0).await);
    // Mended, all of it is in force; who is in stays in.
    place.write("users.txt", &only_anna);
    place.server.reload().await.expect("a whole set");
    assert!(place.shows(&anna, &second.0).await && !place.shows(&anna, &first.0).await);
    assert_eq!(refusal(&place.url(&bert)).await.0, "28P01");
    assert!(session.query_one("SELECT 1", &[]).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_come_in_at_a_unix_socket_and_it_is_gone_with_pgveil() {
    let anna = fresh_name("anna");
    create_login(cluster(), &anna, "pencil", "").await;
    let certificate = self_signed(&["localhost"]);
    let place = Place::start(&format!("\"{anna}\" \"pencil\"\n"), &certificate).await;
    let (directory, port) = (place.folder.path(), place.server.address().port());
    let url = format!(
        "host={} port={port} user={anna} password=pencil dbname=postgres",
        directory.display()
    );
    let client = connect_to(&url).await;
    assert!(client.query_one("SELECT 1", &[]).await.is_ok());
    let wrong = refusal(&url.replace("pencil", "pencils")).await;
    assert_eq!(wrong.0, "28P01");
    drop(client);
    let socket = directory.join(format!(".s.PGSQL.{port}"));
    assert!(socket.exists());
    place.server.stop().await.expect("an end");
    assert!(!socket.exists());
}

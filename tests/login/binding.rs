//! SCRAM-SHA-256-PLUS, and TLS from the first byte: what is bound to pgveil's certificate, and what is no PostgreSQL
//! client (N01, N03).

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pgveil::session::login::LoginFault;
use pgveil::wire::tls::{self, ALPN, TlsMode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::gate::*;
use crate::support::{cluster, create_login, fresh_name};

/// A gate under TLS, and the file of the certificate to trust.
struct Bound {
    gate: Gate,
    certificate: tempfile::NamedTempFile,
    trusting: rustls::ClientConfig,
    user: String,
}

impl Bound {
    async fn open(tls_required: bool) -> Self {
        let cluster = cluster();
        let user = fresh_name("anna");
        create_login(cluster, &user, "pencil", "").await;
        let (cert, key) = self_signed(&["localhost"]);
        let certificate = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(certificate.path(), &cert).expect("a file");
        let server = tls::server_config(cert.as_bytes(), key.as_bytes()).expect("settings");
        let trusting = tls::client_config(TlsMode::VerifyFull, Some(cert.as_bytes()));
        let trusting = trusting.expect("settings").expect("not disabled");
        let options = Options {
            tls: Some(server),
            tls_required,
            ..Options::default()
        };
        Self {
            gate: Gate::open(cluster, options).await,
            certificate,
            trusting: trusting.as_ref().clone(),
            user,
        }
    }

    /// A connection string of libpq's, verifying the certificate.
    fn libpq(&self, more: &str) -> String {
        let (port, user) = (self.gate.address.port(), &self.user);
        let ca = self.certificate.path().display();
        format!(
            "host=localhost port={port} user={user} password=pencil dbname=postgres sslmode=verify-full \
             sslrootcert={ca} {more}"
        )
    }

    fn hello(&self) -> Vec<u8> {
        startup(3 << 16, &[("user", &self.user), ("database", "postgres")])
    }

    /// TLS after SSLRequest.
    async fn tls(&self) -> TlsStream<TcpStream> {
        let mut stream = self.gate.raw(&SSL_REQUEST).await;
        assert_eq!(stream.read_u8().await.expect("an answer"), b'S');
        handshake(stream, self.trusting.clone()).await.expect("TLS")
    }

    /// TLS from the first byte, with these protocols.
    async fn direct(&self, protocols: &[&[u8]]) -> std::io::Result<TlsStream<TcpStream>> {
        let mut config = self.trusting.clone();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        handshake(self.gate.raw(&[]).await, config).await
    }
}

async fn handshake(
    stream: TcpStream,
    config: rustls::ClientConfig,
) -> std::io::Result<TlsStream<TcpStream>> {
    let name = tls::server_name("localhost").expect("a name");
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn libpq_binds_its_channel_where_it_is_told_to() {
    if !has_psql() {
        return;
    }
    let bound = Bound::open(true).await;
    let who = "SELECT session_user";
    for binding in ["require", "prefer", "disable"] {
        let url = bound.libpq(&format!("channel_binding={binding}"));
        let came_in = psql(&url, who);
        assert_eq!(came_in.as_ref(), Ok(&bound.user), "{binding}");
    }
    // Without TLS there is nothing to bind to: libpq itself goes away.
    let plain = Gate::open(cluster(), Options::default()).await;
    let url = plain.url(&bound.user, "pencil", "postgres");
    let refused = psql(&format!("{url} channel_binding=require"), who);
    assert!(refused.is_err_and(|said| said.contains("channel binding")));
}

#[tokio::test]
async fn n03_a_channel_that_somebody_stands_in_is_refused() {
    let mut bound = Bound::open(true).await;
    let (other, key) = self_signed(&["localhost"]);
    let other = tls::server_config(other.as_bytes(), key.as_bytes()).unwrap();
    let end_point = other.end_point.unwrap();
    let hello = bound.hello();
    for (mechanism, first) in [
        // It could bind, and was told that it cannot: the offer was taken away on the way.
        ("SCRAM-SHA-256", "y,,n=,r=abc"),
        ("SCRAM-SHA-256", "p=tls-server-end-point,,n=,r=abc"),
        ("SCRAM-SHA-256-PLUS", "n,,n=,r=abc"),
        ("SCRAM-SHA-256-PLUS", "p=tls-unique,,n=,r=abc"),
    ] {
        let mut stream = bound.tls().await;
        stream.write_all(&hello).await.unwrap();
        let (_, offered) = frame(&mut stream).await;
        assert_eq!(offered[4..], b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"[..]);
        stream
            .write_all(&sasl_initial(mechanism, first))
            .await
            .unwrap();
        assert!(holds_error(&rest(&mut stream).await, "08P01"), "{first}");
        assert_eq!(bound.gate.fault().await, LoginFault::Channel, "{first}");
    }
    // It sees another certificate than pgveil's: the one of who stands between.
    let mut stream = bound.tls().await;
    stream.write_all(&hello).await.unwrap();
    frame(&mut stream).await;
    let first = sasl_initial("SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,n=,r=abc");
    stream.write_all(&first).await.unwrap();
    let (_, server_first) = frame(&mut stream).await;
    let server_first = String::from_utf8(server_first[4..].to_vec()).unwrap();
    let nonce = server_first.split(',').next().unwrap();
    let seen = [b"p=tls-server-end-point,,", end_point.as_bytes()].concat();
    let last = format!(
        "c={},{nonce},p={}",
        STANDARD.encode(seen),
        STANDARD.encode([0; 32])
    );
    stream
        .write_all(&sasl_message(last.as_bytes()))
        .await
        .unwrap();
    stream.write_all(b"Q\0\0\0\x0dSELECT 1\0").await.ok();
    assert!(holds_error(&rest(&mut stream).await, "08P01"));
    assert_eq!(bound.gate.fault().await, LoginFault::Channel);
}

#[tokio::test]
async fn n01_tls_may_be_the_first_byte_of_a_client_that_names_the_protocol() {
    let mut bound = Bound::open(true).await;
    let hello = bound.hello();
    let mut stream = bound.direct(&[ALPN]).await.expect("TLS");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(ALPN));
    stream.write_all(&hello).await.unwrap();
    assert_eq!(frame(&mut stream).await.0, b'R');
    drop(stream);
    assert!(matches!(bound.gate.fault().await, LoginFault::Gone(_)));
    // A browser that was led here: another protocol fails in the handshake, none right after it.
    assert!(bound.direct(&[b"h2", b"http/1.1"]).await.is_err());
    assert_eq!(bound.gate.fault().await, LoginFault::TlsHandshake);
    let mut stream = bound.direct(&[]).await.expect("TLS");
    stream.write_all(&hello).await.ok();
    assert_eq!(rest(&mut stream).await, b"");
    assert_eq!(bound.gate.fault().await, LoginFault::NotPostgresql);
    // Inside TLS there is no second one.
    let mut stream = bound.direct(&[ALPN]).await.expect("TLS");
    stream.write_all(&SSL_REQUEST).await.unwrap();
    assert!(holds_error(&rest(&mut stream).await, "08P01"));
    assert_eq!(bound.gate.fault().await, LoginFault::RepeatedRequest);
    // A handshake that arrives byte by byte is one.
    let mut config = bound.trusting.clone();
    config.alpn_protocols = vec![ALPN.to_vec()];
    let name = tls::server_name("localhost").unwrap();
    let mut session = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut first = Vec::new();
    while session.wants_write() {
        session.write_tls(&mut first).unwrap();
    }
    let mut stream = bound.gate.raw(&[]).await;
    stream.set_nodelay(true).unwrap();
    for byte in first {
        stream.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(
        stream.read_u8().await.unwrap(),
        0x16,
        "the server's side of it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_libpq_comes_in_directly() {
    let bound = Bound::open(true).await;
    let script = "import sys, psycopg\n\
        if psycopg.pq.version() < 170000: print('old'); sys.exit()\n\
        with psycopg.connect(sys.argv[1]) as c: print(c.execute('SELECT session_user').fetchone()[0])";
    for more in [
        "sslnegotiation=direct channel_binding=require",
        "sslnegotiation=postgres",
    ] {
        let Some(said) = psycopg(script, &[&bound.libpq(more)]) else {
            return;
        };
        assert!(said == bound.user || said == "old", "{more}: {said}");
        eprintln!("psycopg, {more}: {said}");
    }
}

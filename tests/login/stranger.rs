//! What a stranger on the wire can do before a login (N01, N02, N04, S06).

use std::time::{Duration, Instant};

use pgveil::secret::Secret;
use pgveil::server::login::{Admission, Admit};
use pgveil::session::login::LoginFault;
use pgveil::wire::scram::Binding;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::gate::*;
use crate::support::{cluster, connect as connect_to, create_login, fresh_name};

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
    // Without a certificate SSLRequest is answered N, once.
    let mut gate = Gate::open(cluster, Options::default()).await;
    // Nor is there TLS from the first byte: a ClientHello reads as an impossible length.
    let mut stream = gate.raw(&[0x16, 3, 1, 0, 0xa5, 1, 0, 0, 0xa1, 3, 3]).await;
    assert_eq!(rest(&mut stream).await, b"");
    assert!(matches!(gate.fault().await, LoginFault::Startup(_)));
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
    let (exchange, client_first) = ClientExchange::begin(Binding::Nothing);
    let message = sasl_initial("SCRAM-SHA-256", &client_first);
    stream.write_all(&message).await.expect("it holds");
    let server_first = frame(&mut stream).await.1;
    let (last, client_final) = exchange
        .respond(&server_first[4..], |_, _| Ok(keys))
        .expect("it holds");
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

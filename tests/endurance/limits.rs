//! How many clients, and how patient pgveil is with each.

use std::io::Read as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::site::{Site, eventually, rows};
use crate::support::raw::{Raw, message, query};

const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn beyond_sessions_max_a_login_is_refused_and_the_next_place_is_given_away() {
    let mut site = Site::new().await;
    site.pgveil.set("PGVEIL_LISTEN__SESSIONS_MAX", "2");
    site.pgveil.serve();
    let first = site.client(&site.app).await;
    let second = site.client(&site.app).await;
    assert_eq!(site.refusal(&site.app).await.as_deref(), Some("53300"));
    assert_eq!(rows(&first, "SELECT 1").await, Ok(vec!["1".to_owned()]));
    drop(second);
    eventually("a place is free", SOON, async || {
        site.refusal(&site.app).await.is_none()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn n04_a_login_that_takes_too_long_is_closed() {
    let mut site = Site::new().await;
    site.pgveil.set("PGVEIL_LISTEN__LOGIN_TIMEOUT", "500ms");
    site.pgveil.serve();
    let started = Instant::now();
    let mut silent = TcpStream::connect(("127.0.0.1", site.pgveil.port())).expect("a connection");
    let mut received = Vec::new();
    silent.read_to_end(&mut received).expect("its end");
    assert!(received.is_empty());
    assert!(started.elapsed() >= Duration::from_millis(500));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_session_is_cut_unless_a_transaction_is_open() {
    let mut site = Site::new().await;
    site.pgveil.serve();
    let port = site.pgveil.port();
    let login = |user| Raw::login(port, user, "password", &site.database);
    let (mut idle, mut open) = (login(&site.support), login(&site.support));
    let app = site.client(&site.app).await;
    open.send(&query("BEGIN"));
    open.until(b'Z', 1);
    let (kind, body) = idle.frame();
    let said = String::from_utf8_lossy(&body).into_owned();
    assert_eq!(kind, b'E');
    assert!(said.contains("SFATAL") && said.contains("C57P05"), "{said}");
    assert!(said.contains("terminating connection due to idle-session timeout"));
    assert!(idle.is_closed());
    tokio::time::sleep(Duration::from_millis(1500)).await;
    open.send(&query("COMMIT"));
    open.until(b'Z', 1);
    assert_eq!(open.frame().0, b'E');
    // The policy names no time for this role.
    assert_eq!(rows(&app, "SELECT 1").await, Ok(vec!["1".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_longer_than_its_type_may_be_ends_the_session_before_it_is_read() {
    let mut site = Site::new().await;
    site.pgveil.serve();
    let port = site.pgveil.port();
    // Messages that hold a name or a number are short; no message is longer than PostgreSQL's limit.
    let heads = [
        (b'E', 20_000_u32),
        (b'C', 20_000),
        (b'D', 20_000),
        (b'S', 20_000),
        (b'Q', 0x7fff_ffff),
    ];
    for (kind, length) in heads {
        let mut raw = Raw::login(port, &site.app, "password", &site.database);
        raw.send(&[&[kind][..], &length.to_be_bytes()].concat());
        let (tag, body) = raw.frame();
        let said = String::from_utf8_lossy(&body).into_owned();
        assert!(
            tag == b'E' && said.contains("C08P01"),
            "{}: {said}",
            kind as char
        );
        assert!(raw.is_closed());
    }
    let mut raw = Raw::login(port, &site.app, "password", &site.database);
    raw.send(&message(b'z', &[]));
    assert_eq!(raw.frame().0, b'E');
    assert!(raw.is_closed());
}

#[tokio::test(flavor = "multi_thread")]
async fn too_few_open_files_are_told_at_the_start() {
    let mut site = Site::new().await;
    site.pgveil.set("PGVEIL_LISTEN__SESSIONS_MAX", "4000000");
    site.pgveil.serve();
    let log = std::fs::read_to_string(site.pgveil.log_file()).expect("its log");
    assert!(log.contains("the limit of open files is low"), "{log}");
    assert!(log.contains("sessions_max=4000000"), "{log}");
}

//! SIGTERM and SIGINT: new logins are told, transactions finish up to a limit, a second signal waits for nothing.

use std::time::{Duration, Instant};

use crate::site::{Site, eventually, rows};
use crate::support;
use crate::support::raw::{Raw, query};

const SOON: Duration = Duration::from_secs(20);

/// The SQLSTATE of the error that ends a session, read to its end.
fn farewell(raw: &mut Raw) -> String {
    loop {
        let (kind, body) = raw.frame();
        if kind == b'E' {
            let mut fields = body.split(|b| *b == 0);
            let state = fields.find(|f| f.first() == Some(&b'C'));
            return String::from_utf8_lossy(&state.expect("a code")[1..]).into_owned();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_finishes_while_others_are_told_to_come_again() {
    let mut site = Site::new().await;
    site.pgveil.serve();
    let app = site.client(&site.app).await;
    let mut idle = Raw::login(site.pgveil.port(), &site.app, "password", &site.database);
    app.batch_execute("BEGIN").await.expect("a transaction");
    site.pgveil.signal("-TERM");
    assert_eq!(farewell(&mut idle), "57P01");
    assert!(idle.is_closed());
    eventually("new logins are told", SOON, async || {
        site.refusal(&site.app).await.as_deref() == Some("57P01")
    })
    .await;
    assert!(site.pgveil.page("/readyz").contains("draining"));
    let insert = "INSERT INTO people VALUES (3, 'eve@example.com', '5550100999', 'new')";
    assert_eq!(rows(&app, insert).await, Ok(Vec::new()));
    app.batch_execute("COMMIT").await.expect("its end");
    assert_eq!(site.pgveil.ended(SOON), Some(0));
    let superuser = support::cluster().superuser_url(&site.database);
    let direct = support::connect(&superuser).await;
    let kept = "SELECT count(*) FROM people WHERE id = 3";
    assert_eq!(rows(&direct, kept).await, Ok(vec!["1".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_finish_in_time_is_ended_and_rolled_back() {
    let mut site = Site::new().await;
    site.pgveil.set("PGVEIL_LISTEN__DRAIN_TIMEOUT", "1s");
    site.pgveil.serve();
    let port = site.pgveil.port();
    let mut open = Raw::login(port, &site.app, "password", &site.database);
    open.send(&query(
        "BEGIN; DELETE FROM plain; INSERT INTO plain VALUES (1, 'lost')",
    ));
    open.until(b'Z', 1);
    let mut busy = Raw::login(port, &site.app, "password", &site.database);
    // A statement of its own commits when it ends: it must not go on once its client was told otherwise.
    busy.send(&query(
        "INSERT INTO plain SELECT 2, 'late' FROM pg_sleep(6)",
    ));
    std::thread::sleep(Duration::from_millis(300));
    site.pgveil.signal("-TERM");
    assert_eq!(farewell(&mut open), "57P01");
    assert_eq!(farewell(&mut busy), "57P01");
    assert_eq!(site.pgveil.ended(SOON), Some(0));
    let superuser = support::cluster().superuser_url(&site.database);
    let direct = support::connect(&superuser).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    let kept = "SELECT count(*) FROM plain";
    assert_eq!(rows(&direct, kept).await, Ok(vec!["0".to_owned()]));
    site.pgveil.run_with_config(&["audit", "verify"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_waits_for_nothing() {
    let mut site = Site::new().await;
    site.pgveil.set("PGVEIL_LISTEN__DRAIN_TIMEOUT", "10m");
    site.pgveil.serve();
    let mut open = Raw::login(site.pgveil.port(), &site.app, "password", &site.database);
    open.send(&query("BEGIN"));
    open.until(b'Z', 1);
    site.pgveil.signal("-TERM");
    std::thread::sleep(Duration::from_millis(500));
    let second = Instant::now();
    site.pgveil.signal("-INT");
    assert_eq!(farewell(&mut open), "57P01");
    assert_eq!(site.pgveil.ended(SOON), Some(0));
    assert!(second.elapsed() < Duration::from_secs(8));
}

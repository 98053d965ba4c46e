//! Thousands of half-open and slow connections, while others log in and query (N04): what it costs in memory and time.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use pgveil::limits::{LOGINS_AT_ONCE_MAX, LOGINS_ENDING_MAX};

use crate::support::pgveil::Pgveil;
use crate::support::{
    self, cluster, connect as connect_to, create_database, create_login, fresh_name,
};

const POLICY: &str = "\
version: 1
roles:
  - { name: app, match: { user: \"crowd*\" } }
tables: {}
";

/// More than pgveil lets wait, so that some are sent away.
const CONNECTIONS: usize = 5_000;

/// What they may cost: 16 KiB each.
const GROWTH_KIB_MAX: u64 = 80 * 1024;

/// What waits for a login is bounded, whoever comes: a task each, and some that take their leave.
const TASKS_MORE_MAX: usize = LOGINS_AT_ONCE_MAX + LOGINS_ENDING_MAX + 10;

const LOGINS: usize = 20;

/// KiB of memory that a process holds.
fn resident_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("its status");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.expect("VmRSS").parse().expect("a number")
}

/// The tasks that live in a pgveil.
fn tasks(pgveil: &Pgveil) -> usize {
    let page = pgveil.page("/metrics");
    let mut lines = page.lines();
    let number = lines.find_map(|line| line.strip_prefix("pgveil_tasks "));
    number.expect("the metric").parse().expect("a number")
}

/// Logs in and asks something, some times; the median and the longest.
async fn others(url: &str) -> (Duration, Duration) {
    let mut times = Vec::new();
    for _ in 0..LOGINS {
        let begun = Instant::now();
        let client = connect_to(url).await;
        client.query_one("SELECT 1", &[]).await.expect("a row");
        times.push(begun.elapsed());
    }
    times.sort();
    (times[LOGINS / 2], times[LOGINS - 1])
}

#[tokio::test(flavor = "multi_thread")]
async fn n04_thousands_of_half_open_connections_keep_nobody_out() {
    let database = create_database(cluster()).await;
    let user = fresh_name("crowd");
    create_login(cluster(), &user, "pencil", "").await;
    let pgveil = Pgveil::start(support::cluster(), &database, POLICY).await;
    let url = pgveil.url(&user, "pencil", &database);
    let alone = others(&url).await;
    let before = (resident_kib(pgveil.pid()), tasks(&pgveil));
    let mut crowd = Vec::with_capacity(CONNECTIONS);
    let begun = Instant::now();
    for number in 0..CONNECTIONS {
        let mut stream = TcpStream::connect(("127.0.0.1", pgveil.port()))
            .await
            .expect("a connection");
        if number % 2 == 0 {
            stream.write_all(&[0]).await.ok(); // the first byte of a length, and the next a second later
        }
        crowd.push(stream);
    }
    let opened = begun.elapsed();
    let dripping = tokio::spawn(async move {
        for _ in 0..3 {
            for stream in crowd.iter_mut().step_by(2) {
                stream.write_all(&[0]).await.ok();
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        crowd
    });
    let crowded = others(&url).await;
    let during = (resident_kib(pgveil.pid()), tasks(&pgveil));
    drop(dripping.await);
    eprintln!(
        "{CONNECTIONS} connections, opened in {opened:?}: memory {} KiB and {} tasks before, {} KiB and {} \
         tasks with them; a login and a query: median {:?}, longest {:?} alone, median {:?}, longest {:?} beside them",
        before.0, before.1, during.0, during.1, alone.0, alone.1, crowded.0, crowded.1
    );
    assert!(
        during.0 < before.0 + GROWTH_KIB_MAX,
        "{before:?}, then {during:?}"
    );
    assert!(
        during.1 > before.1 && during.1 < before.1 + TASKS_MORE_MAX,
        "{before:?}, then {during:?}"
    );
    assert!(crowded.1 < Duration::from_secs(5), "{crowded:?}");
}

//! Sessions over streams in memory: order of recording and sending, slow peers, ends.

use std::sync::Mutex;

use tokio::io::{AsyncReadExt as _, DuplexStream, duplex};

use super::*;
use crate::session::tests::fake::Fake;
use crate::session::tests::{Stub, errors, frame, q, tags};
use crate::session::{Allowed, Settings};

/// What happened, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<&'static str>>>);

impl Log {
    fn note(&self, what: &'static str) {
        self.0.lock().unwrap().push(what);
    }

    fn all(&self) -> Vec<&'static str> {
        self.0.lock().unwrap().clone()
    }
}

struct Recorded {
    log: Log,
    failing: bool,
}

impl Record for Recorded {
    async fn record(&mut self, event: Event) -> Result<(), Unrecorded> {
        // Something else may run before this is done.
        tokio::task::yield_now().await;
        self.log.note(match event {
            Event::Begin(_) => "begin",
            Event::End(_) => "end",
        });
        if self.failing {
            Err(Unrecorded)
        } else {
            Ok(())
        }
    }
}

struct Bench {
    client: DuplexStream,
    server: DuplexStream,
    orders: watch::Sender<Orders>,
    log: Log,
    task: tokio::task::JoinHandle<Left>,
}

/// A driven session whose streams hold that many bytes.
fn bench(room: usize, failing: bool) -> Bench {
    bench_with(room, failing, None)
}

fn bench_with(room: usize, failing: bool, idle_timeout: Option<Duration>) -> Bench {
    let (client, client_end) = duplex(room);
    let (server, server_end) = duplex(room);
    let log = Log::default();
    let (orders, receiver) = watch::channel(Orders::default());
    let stub = || {
        Arc::new(Stub {
            version: 1,
            plan: true,
        })
    };
    let session = Session::new(stub(), Settings::default(), Allowed::default());
    let conduct = Conduct {
        record: Recorded {
            log: log.clone(),
            failing,
        },
        orders: receiver,
        known: Orders::default(),
        renew: Box::new(|| Renewal::Cut),
        idle_timeout,
        reread: Box::new(|| Box::pin(std::future::ready(true))),
    };
    let leg = |stream| Leg {
        stream,
        input: BytesMut::new(),
    };
    let task = tokio::spawn(drive(session, leg(client_end), leg(server_end), conduct));
    Bench {
        client,
        server,
        orders,
        log,
        task,
    }
}

/// A server that answers until its stream ends; what it was sent.
async fn answer(mut stream: DuplexStream, log: Log) -> Vec<u8> {
    let (mut fake, mut all) = (Fake::default(), Vec::new());
    let mut bytes = vec![0; 4096];
    while let Ok(n @ 1..) = stream.read(&mut bytes).await {
        log.note("sent");
        all.extend_from_slice(&bytes[..n]);
        if stream.write_all(&fake.feed(&bytes[..n])).await.is_err() {
            break;
        }
    }
    all
}

async fn read_until_ready(client: &mut DuplexStream) -> Vec<u8> {
    let mut received = Vec::new();
    while !received.ends_with(b"Z\0\0\0\x05I") {
        assert!(client.read_buf(&mut received).await.unwrap() > 0);
    }
    received
}

#[tokio::test]
async fn a_statement_is_on_record_before_it_is_sent() {
    let mut bench = bench(65_536, false);
    let server = tokio::spawn(answer(bench.server, bench.log.clone()));
    bench.client.write_all(&q("touched 2")).await.unwrap();
    let received = read_until_ready(&mut bench.client).await;
    assert_eq!(tags(&received), "TDDCZ");
    drop(bench.client);
    bench.task.await.unwrap();
    assert_eq!(bench.log.all()[..3], ["begin", "sent", "end"]);
    assert!(
        server.await.unwrap().ends_with(TERMINATE),
        "the server is told"
    );
}

#[tokio::test]
async fn x05_nothing_runs_unrecorded() {
    let mut bench = bench(65_536, true);
    let server = tokio::spawn(answer(bench.server, bench.log.clone()));
    bench.client.write_all(&q("touched 2")).await.unwrap();
    let mut received = Vec::new();
    bench.client.read_to_end(&mut received).await.unwrap();
    assert!(errors(&received)[0].starts_with("FATAL 58030"));
    bench.task.await.unwrap();
    assert_eq!(server.await.unwrap(), TERMINATE);
}

#[tokio::test]
async fn a_slow_client_stops_the_server_and_loses_nothing() {
    const ROWS: usize = 2000;
    let mut bench = bench(4096, false);
    bench.client.write_all(&q("rows 1")).await.unwrap();
    let row = frame(b'D', &[0; 1000]);
    let written = Arc::new(Mutex::new(0));
    let (counted, one) = (Arc::clone(&written), row.clone());
    let mut server = bench.server;
    tokio::spawn(async move {
        for _ in 0..ROWS {
            server.write_all(&one).await.unwrap();
            *counted.lock().unwrap() += one.len();
        }
        std::future::pending::<()>().await;
    });
    // Nobody reads: what pgveil holds is bounded.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let held = *written.lock().unwrap();
    assert!(held < 2 * UNSENT_BYTES_MAX, "{held} bytes are held");
    let mut received = Vec::new();
    while received.len() < ROWS * row.len() {
        assert!(bench.client.read_buf(&mut received).await.unwrap() > 0);
    }
    assert!(received.chunks(row.len()).all(|r| r == row));
    bench.task.abort();
}

#[tokio::test]
async fn idle_sessions_end_when_pgveil_drains_and_others_first_finish() {
    let mut bench = bench(65_536, false);
    bench.client.write_all(&q("rows 1")).await.unwrap();
    let mut text = vec![0; q("rows 1").len()];
    bench.server.read_exact(&mut text).await.unwrap();
    let draining = Orders {
        epoch: 0,
        draining: true,
        ..Orders::default()
    };
    bench.orders.send(draining).unwrap();
    tokio::task::yield_now().await;
    let answer = Fake::default().feed(&text);
    bench.server.write_all(&answer).await.unwrap();
    let mut received = Vec::new();
    bench.client.read_to_end(&mut received).await.unwrap();
    assert!(received.starts_with(&answer));
    assert!(errors(&received)[0].starts_with("FATAL 57P01"));
    bench.task.await.unwrap();
}

#[tokio::test]
async fn what_still_runs_at_the_end_is_ended_and_said_to_run() {
    let mut bench = bench(65_536, false);
    bench.client.write_all(&q("rows 1")).await.unwrap();
    let mut text = vec![0; q("rows 1").len()];
    bench.server.read_exact(&mut text).await.unwrap();
    let ending = Orders {
        draining: true,
        ending: true,
        ..Orders::default()
    };
    bench.orders.send(ending).unwrap();
    let mut received = Vec::new();
    bench.client.read_to_end(&mut received).await.unwrap();
    assert!(errors(&received)[0].starts_with("FATAL 57P01"));
    assert_eq!(bench.task.await.unwrap(), Left::Running);
}

#[tokio::test]
async fn a_session_may_be_idle_for_so_long_and_not_while_a_statement_runs() {
    let idle_timeout = Duration::from_millis(200);
    let mut bench = bench_with(65_536, false, Some(idle_timeout));
    bench.client.write_all(&q("rows 1")).await.unwrap();
    let mut text = vec![0; q("rows 1").len()];
    bench.server.read_exact(&mut text).await.unwrap();
    tokio::time::sleep(idle_timeout * 2).await;
    let answer = Fake::default().feed(&text);
    bench.server.write_all(&answer).await.unwrap();
    let started = Instant::now();
    let mut received = Vec::new();
    bench.client.read_to_end(&mut received).await.unwrap();
    assert!(received.starts_with(&answer) && started.elapsed() >= idle_timeout);
    assert!(errors(&received)[0].starts_with("FATAL 57P05"));
    assert_eq!(bench.task.await.unwrap(), Left::Idle);
}

#[tokio::test]
async fn s09_a_login_that_is_no_longer_admitted_is_cut() {
    let mut bench = bench(65_536, false);
    let changed = Orders {
        epoch: 1,
        ..Orders::default()
    };
    bench.orders.send(changed).unwrap();
    let mut received = Vec::new();
    bench.client.read_to_end(&mut received).await.unwrap();
    assert!(errors(&received)[0].starts_with("FATAL 57P01"));
    bench.task.await.unwrap();
}

#[tokio::test]
async fn a_server_that_goes_away_is_told_to_the_client() {
    let mut bench = bench(65_536, false);
    bench.client.write_all(&q("touched 1")).await.unwrap();
    let mut some = [0; 5];
    bench.server.read_exact(&mut some).await.unwrap();
    drop(bench.server);
    let mut received = Vec::new();
    bench.client.read_to_end(&mut received).await.unwrap();
    assert!(errors(&received)[0].starts_with("FATAL 08006"));
    bench.task.await.unwrap();
    assert_eq!(bench.log.all(), ["begin", "end"]);
}

#[tokio::test]
async fn a_session_that_waits_for_its_client_holds_no_buffer() {
    let room = 4 * READ_BYTES;
    let (mut client, client_end) = duplex(room);
    let (mut server, server_end) = duplex(room);
    let leg = |stream| Leg {
        stream,
        input: BytesMut::new(),
    };
    let (mut to_client, mut to_server) = (leg(client_end), leg(server_end));
    let veil = Arc::new(Stub {
        version: 1,
        plan: true,
    });
    let mut session = Session::new(veil, Settings::default(), Allowed::default());
    let (_orders, mut orders) = watch::channel(Orders::default());
    let soon = Duration::from_millis(10);
    let mut fake = Fake::default();
    let mut asked = vec![0; room];
    for text in ["rows 3", "touched 3"] {
        client.write_all(&q(text)).await.unwrap();
        for waits_for_server in [true, false] {
            if !waits_for_server {
                let n = server.read(&mut asked).await.unwrap();
                server.write_all(&fake.feed(&asked[..n])).await.unwrap();
            }
            loop {
                let sides = ((&mut to_client, false), &mut to_server);
                let turned = turn(&mut session, sides.0, sides.1, (&mut orders, None));
                let Ok(turned) = timeout(soon, turned).await else {
                    break;
                };
                assert!(matches!(turned, Ok(Outside::Work)));
                advance(&mut session, &mut to_client.input, &mut to_server.input);
            }
            let mut held = vec![to_client.input.capacity(), to_server.input.capacity()];
            if waits_for_server {
                assert!(held.iter().all(|bytes| *bytes >= READ_BYTES), "{text}");
            } else {
                held.extend([
                    session.to_client().capacity(),
                    session.to_upstream().capacity(),
                ]);
                assert_eq!(held, [0; 4], "{text}");
            }
        }
        let answer = read_until_ready(&mut client).await;
        assert!(answer.starts_with(b"T"));
    }
}

//! A load generator made of blocking sockets: a thread a client, messages written once, answers only counted.
//!
//! It costs little beside what it measures, and reads no more of an answer than where it ends.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::support::raw::{Raw, message, query, string};

/// How a statement's values reach the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// as literals of the text, in a Query message
    Simple,
    /// as parameters of a statement that the connection has prepared
    Prepared,
}

/// One statement of a workload.
pub struct Statement {
    /// how often it is drawn, beside the others' weights
    pub weight: u32,
    /// the text, with `$1`, `$2` … where values go
    pub text: &'static str,
    /// the values, for a number drawn for each run
    pub values: fn(u64) -> Vec<String>,
}

/// Where clients connect to, and as whom.
#[derive(Debug, Clone, Copy)]
pub struct Door<'a> {
    /// the port on 127.0.0.1
    pub port: u16,
    /// the login
    pub user: &'a str,
    /// its password
    pub password: &'a str,
    /// the database
    pub database: &'a str,
}

/// What a run is.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// connections at once
    pub clients: usize,
    /// how long they are busy
    pub time: Duration,
    /// how values are sent
    pub protocol: Protocol,
    /// statements a second over all clients, drawn evenly; None for as many as go
    pub rate: Option<f64>,
}

/// What came of it.
pub struct Outcome {
    /// statements a second
    pub rate: f64,
    /// how many there were
    pub statements: usize,
    /// microseconds from sending to the end of the answer, in order
    pub latencies: Vec<u32>,
}

impl Outcome {
    /// The latency that this part of the statements does not exceed, in microseconds.
    pub fn percentile(&self, part: f64) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an index"
        )]
        let at = (last as f64 * part).round() as usize;
        self.latencies.get(at).copied().map_or(0.0, f64::from)
    }
}

/// Runs the statements; panics when one fails, for a bench of errors measures nothing.
pub fn run(door: Door<'_>, statements: &[Statement], load: Load) -> Outcome {
    let barrier = Barrier::new(load.clients + 1);
    let (mut latencies, mut elapsed) = (Vec::new(), Duration::ZERO);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..load.clients)
            .map(|_| {
                let barrier = &barrier;
                scope.spawn(move || {
                    let mut client = Client::connect(door, statements, load);
                    barrier.wait();
                    client.work(load)
                })
            })
            .collect();
        barrier.wait();
        let began = Instant::now();
        for client in clients {
            latencies.extend(client.join().expect("a client that ends"));
        }
        elapsed = began.elapsed();
    });
    latencies.sort_unstable();
    let statements = latencies.len();
    #[expect(clippy::cast_precision_loss, reason = "a count of statements")]
    let rate = statements as f64 / elapsed.as_secs_f64();
    Outcome {
        rate,
        statements,
        latencies,
    }
}

/// No two clients of a bench draw the same: what one inserts, no other does.
static SEED: AtomicU64 = AtomicU64::new(0);

struct Client<'a> {
    wire: Wire,
    statements: &'a [Statement],
    weights: u32,
    protocol: Protocol,
    random: SmallRng,
}

impl<'a> Client<'a> {
    fn connect(door: Door<'_>, statements: &'a [Statement], load: Load) -> Self {
        let raw = Raw::login(door.port, door.user, door.password, door.database);
        let mut client = Self {
            wire: Wire::new(raw.into_stream()),
            statements,
            weights: statements.iter().map(|s| s.weight).sum(),
            protocol: load.protocol,
            random: SmallRng::seed_from_u64(SEED.fetch_add(1, Ordering::Relaxed)),
        };
        if load.protocol == Protocol::Prepared {
            for (at, statement) in statements.iter().enumerate() {
                let name = string(&format!("s{at}"));
                let parse = [&name[..], &string(statement.text), &[0, 0]].concat();
                let parts = [message(b'P', &parse), message(b'S', &[])].concat();
                client.wire.exchange(&parts, statement.text);
            }
        }
        client
    }

    fn work(&mut self, load: Load) -> Vec<u32> {
        let began = Instant::now();
        let mut latencies = Vec::new();
        #[expect(clippy::cast_precision_loss, reason = "a few clients")]
        let pause = load
            .rate
            .map(|rate| Duration::from_secs_f64(load.clients as f64 / rate));
        let mut due = began + pause.map_or(Duration::ZERO, |p| p.mul_f64(self.random.random()));
        while began.elapsed() < load.time {
            if let Some(pause) = pause {
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                due += pause;
            }
            let (bytes, text) = self.draw();
            let sent = Instant::now();
            self.wire.exchange(&bytes, text);
            latencies.push(u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX));
        }
        latencies
    }

    /// The bytes of one statement, drawn by weight.
    fn draw(&mut self) -> (Vec<u8>, &'static str) {
        let mut left = self.random.random_range(0..self.weights);
        let mut at = 0;
        while left >= self.statements[at].weight {
            left -= self.statements[at].weight;
            at += 1;
        }
        let statement = &self.statements[at];
        let values = (statement.values)(self.random.random());
        let bytes = match self.protocol {
            Protocol::Simple => query(&inlined(statement.text, &values)),
            Protocol::Prepared => execution(at, &values),
        };
        (bytes, statement.text)
    }
}

/// The text with literals for its parameters.
fn inlined(text: &str, values: &[String]) -> String {
    let mut text = text.to_owned();
    for (at, value) in values.iter().enumerate().rev() {
        let literal = match value.parse::<i64>() {
            Ok(number) if !value.starts_with('+') => number.to_string(),
            _ => format!("'{}'", value.replace('\'', "''")),
        };
        text = text.replace(&format!("${}", at + 1), &literal);
    }
    text
}

/// Bind, Execute and Sync of a prepared statement: values as text, rows as text.
fn execution(statement: usize, values: &[String]) -> Vec<u8> {
    let count = u16::try_from(values.len()).expect("few").to_be_bytes();
    let mut bind = [
        &string("")[..],
        &string(&format!("s{statement}")),
        &[0, 0],
        &count,
    ]
    .concat();
    for value in values {
        bind.extend(u32::try_from(value.len()).expect("short").to_be_bytes());
        bind.extend(value.as_bytes());
    }
    bind.extend([0, 0]);
    let execute = [&string("")[..], &[0; 4]].concat();
    let parts = [
        message(b'B', &bind),
        message(b'E', &execute),
        message(b'S', &[]),
    ];
    parts.concat()
}

/// A connection that reads in large pieces, and no more of a message than its head.
pub struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    from: usize,
    to: usize,
}

impl Wire {
    /// Over a stream whose login is over.
    pub fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            buffer: vec![0; 64 * 1024],
            from: 0,
            to: 0,
        }
    }

    /// Sends a request and reads up to ReadyForQuery; answers how many rows came.
    pub fn exchange(&mut self, request: &[u8], what: &str) -> u64 {
        self.stream.write_all(request).expect("to send");
        let mut rows = 0;
        loop {
            let head = self.take_head();
            let body = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize - 4;
            match head[0] {
                b'E' => {
                    let mut said = vec![0; body];
                    self.take(&mut said);
                    panic!("{what}: {}", String::from_utf8_lossy(&said));
                }
                b'D' => rows += 1,
                _ => {}
            }
            self.skip(body);
            if head[0] == b'Z' {
                return rows;
            }
        }
    }

    fn take_head(&mut self) -> [u8; 5] {
        let mut head = [0; 5];
        self.take(&mut head);
        head
    }

    fn take(&mut self, into: &mut [u8]) {
        let mut done = 0;
        while done < into.len() {
            self.fill();
            let n = (self.to - self.from).min(into.len() - done);
            into[done..done + n].copy_from_slice(&self.buffer[self.from..self.from + n]);
            self.from += n;
            done += n;
        }
    }

    fn skip(&mut self, mut bytes: usize) {
        while bytes > 0 {
            self.fill();
            let n = (self.to - self.from).min(bytes);
            self.from += n;
            bytes -= n;
        }
    }

    fn fill(&mut self) {
        if self.from == self.to {
            self.from = 0;
            self.to = self.stream.read(&mut self.buffer).expect("an answer");
            assert!(self.to > 0, "the connection ended");
        }
    }
}

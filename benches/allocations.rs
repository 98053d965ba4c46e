//! How often a session asks the allocator for room: `cargo bench --bench allocations`.
//!
//! What a client sends and what a server answers is played to a session, without sockets, again and again; what the
//! hundredth exchange asks for is counted. Room that passes from one exchange to the next is asked for once.

use std::time::Instant;

use allocation_counter::measure;
use bytes::BytesMut;
use pgveil::server::view::RoleView;
use pgveil::session::{Allowed, Session, Settings};
use pgveil::wire::message::{put_string, put_value, write_frame};
use site::{PEOPLE, SITE};

#[path = "../tests/fuzz/src/site.rs"]
#[allow(dead_code, reason = "the fuzz targets use more of it")]
mod site;

/// A frame of that body.
fn frame(tag: u8, body: impl FnOnce(&mut BytesMut)) -> Vec<u8> {
    let mut out = BytesMut::new();
    let written = write_frame(&mut out, tag, |out| {
        body(out);
        Ok(())
    });
    written.expect("a frame");
    out.to_vec()
}

fn query(text: &str) -> Vec<u8> {
    frame(b'Q', |out| put_string(out, text.as_bytes()))
}

/// Parse, Bind, Describe, Execute and Sync of a text with one parameter; the first only where it is not prepared yet.
fn extended(name: &str, text: Option<&str>) -> Vec<u8> {
    let parse = text.map(|text| {
        frame(b'P', |out| {
            put_string(out, name.as_bytes());
            put_string(out, text.as_bytes());
            out.extend_from_slice(&[0, 0]);
        })
    });
    let bind = frame(b'B', |out| {
        put_string(out, b"");
        put_string(out, name.as_bytes());
        out.extend_from_slice(&[0, 0, 0, 1]);
        put_value(out, Some(b"4711")).expect("a value");
        out.extend_from_slice(&[0, 0]);
    });
    let describe = frame(b'D', |out| out.extend_from_slice(b"P\0"));
    let execute = frame(b'E', |out| out.extend_from_slice(&[0; 5]));
    let sync = frame(b'S', |_| ());
    [parse.unwrap_or_default(), bind, describe, execute, sync].concat()
}

/// A result of so many rows of one column: of the first column of `people` if it is treated, else of no relation.
fn result(treated: bool, value: &[u8], rows: usize) -> Vec<u8> {
    let (relation, attnum, type_oid) = if treated { (PEOPLE, 2, 17) } else { (0, 0, 23) };
    let mut out = frame(b'T', |out| {
        out.extend_from_slice(&[0, 1]);
        put_string(out, b"email");
        out.extend_from_slice(&u32::to_be_bytes(relation));
        out.extend_from_slice(&i16::to_be_bytes(attnum));
        out.extend_from_slice(&u32::to_be_bytes(type_oid));
        out.extend_from_slice(&[0xff; 6]);
        out.extend_from_slice(&[0, 0]);
    });
    let row = frame(b'D', |out| {
        out.extend_from_slice(&[0, 1]);
        put_value(out, Some(value)).expect("a value");
    });
    for _ in 0..rows {
        out.extend_from_slice(&row);
    }
    out.extend_from_slice(&frame(b'C', |out| {
        put_string(out, format!("SELECT {rows}").as_bytes());
    }));
    out
}

fn ready() -> Vec<u8> {
    frame(b'Z', |out| out.extend_from_slice(b"I"))
}

/// How often the hundredth of these exchanges asks for room.
fn counted(session: &mut Session<RoleView>, sent: &[u8], answered: &[u8]) -> u64 {
    let mut input = BytesMut::with_capacity(1 << 20);
    let now = Instant::now();
    let mut exchange = || {
        input.extend_from_slice(sent);
        session.client(&mut input, now);
        assert!(input.is_empty(), "all of it was taken");
        assert!(!session.to_upstream().is_empty(), "it was sent");
        hand_back(session.to_upstream(), &mut input);
        session.events().clear();
        input.extend_from_slice(answered);
        session.upstream(&mut input, now);
        assert!(session.end().is_none() && input.is_empty());
        hand_back(session.to_client(), &mut input);
        session.events().clear();
    };
    for _ in 0..99 {
        exchange();
    }
    measure(exchange).count_total
}

/// A buffer that passed as a whole is the input's own: it goes back to where the next read finds it.
fn hand_back(out: &mut BytesMut, input: &mut BytesMut) {
    out.clear();
    if out.capacity() > input.capacity() {
        std::mem::swap(out, input);
    }
}

fn main() {
    let session = || {
        let allowed = Allowed::default();
        Session::new(SITE.role("app"), Settings::default(), allowed)
    };
    let sealed = SITE.stored.iter().find(|(name, _)| *name == "email");
    let (_, sealed) = sealed.expect("an e-mail");
    let sealed = format!("\\x{}", hex::encode(sealed));
    let untouched = "SELECT abalance FROM pgbench_accounts WHERE aid = 4711;";
    let touched = "SELECT email FROM people WHERE id = 4711";
    let plain = |rows| [result(false, b"4711", rows), ready()].concat();
    let opened = |rows| [result(true, sealed.as_bytes(), rows), ready()].concat();
    let acknowledged = |count: usize, rows| {
        let acks: [Vec<u8>; 2] = [frame(b'1', |_| ()), frame(b'2', |_| ())];
        [acks[2 - count..].concat(), plain(rows)].concat()
    };
    println!("times the allocator is asked, in one exchange:");
    let told = |what: &str, count: u64| println!("{count:6}  {what}");
    let once = |sent: &[u8], answered: &[u8]| counted(&mut session(), sent, answered);
    told("an untouched query", once(&query(untouched), &plain(1)));
    told("… of 1,001 rows", once(&query(untouched), &plain(1_001)));
    let parsed = extended(
        "",
        Some("SELECT abalance FROM pgbench_accounts WHERE aid = $1"),
    );
    told("the extended protocol", once(&parsed, &acknowledged(2, 1)));
    let mut prepared = session();
    let first = extended(
        "s",
        Some("SELECT abalance FROM pgbench_accounts WHERE aid = $1"),
    );
    let mut input = BytesMut::from(&first[..]);
    prepared.client(&mut input, Instant::now());
    let mut input = BytesMut::from(&acknowledged(2, 1)[..]);
    prepared.upstream(&mut input, Instant::now());
    let again = counted(&mut prepared, &extended("s", None), &acknowledged(1, 1));
    told("… prepared before", again);
    let one = once(&query(touched), &opened(1));
    let more = once(&query(touched), &opened(1_001));
    told("a rewritten query, its plan cached", one);
    told("… of 1,001 rows", more);
}

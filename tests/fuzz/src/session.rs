//! A whole session over bytes of both sides: messages of any kind in any order, rows walked and written anew.
//!
//! What must hold whatever comes: each side is sent whole messages of the other's kind, and no more than a bounded
//! multiple of what came.

use std::collections::HashSet;
use std::time::Instant;

use bytes::{Buf as _, BytesMut};
use pgveil::session::{Allowed, Ending, Event, Session, Settings};
use pgveil::wire::frame::{Sender, head};

use super::message;
use super::site::{PEOPLE, ROLES, SITE};

/// Bytes that one step may send beyond the multiple of its input: an error of pgveil's own with its hint.
const OWN_BYTES_MAX: usize = 4096;

/// How much longer what is sent may be than what came: a value is sealed (40 bytes more, in hexadecimal twice), a
/// letter of a text is escaped, a `*` becomes the columns it stands for.
const GROWTH_MAX: usize = 256;

/// The first byte says which role logs in. Then come steps: a byte that says whose bytes follow, a byte with their
/// number, the bytes. An odd first byte of a step takes a message that is ready-made in place of bytes.
pub fn body(data: &[u8]) {
    let Some((&first, mut script)) = data.split_first() else {
        return;
    };
    let role = SITE.role(ROLES[usize::from(first & 1)]);
    let allowed = Allowed {
        function_call: first & 2 != 0,
    };
    let mut session = Session::new(role, Settings::default(), allowed);
    let (mut client, mut upstream) = (BytesMut::new(), BytesMut::new());
    let mut recorded = Recorded::default();
    let mut sent = [Sent::new(Sender::Client), Sent::new(Sender::Upstream)];
    while let [kind, number, rest @ ..] = script {
        let made = match kind & 3 {
            1 => client_message(*number),
            3 => upstream_message(*number),
            _ => Vec::new(),
        };
        let (bytes, rest) = match kind & 1 {
            1 => (&made[..], rest),
            _ => rest.split_at(usize::from(*number).min(rest.len())),
        };
        script = rest;
        let from_client = kind & 2 == 0;
        let waiting = client.len() + upstream.len() + bytes.len();
        match from_client {
            true => client.extend_from_slice(bytes),
            false => upstream.extend_from_slice(bytes),
        }
        if from_client && session.end().is_none() && !session.is_held() {
            session.client(&mut client, Instant::now());
        } else if !from_client && session.end().is_none() {
            session.upstream(&mut upstream, Instant::now());
            if session.end().is_none() && !session.is_held() && !client.is_empty() {
                session.client(&mut client, Instant::now());
            }
        }
        let made = session.to_upstream().len() + session.to_client().len();
        assert!(
            made <= waiting * GROWTH_MAX + OWN_BYTES_MAX,
            "{made} bytes of {waiting}"
        );
        sent[0].take(session.to_upstream());
        sent[1].take(session.to_client());
        recorded.take(session.events());
        if session.end().is_some() {
            return;
        }
    }
}

/// What one side has been sent: whole messages, once their bytes are there.
struct Sent {
    sender: Sender,
    held: BytesMut,
}

impl Sent {
    fn new(sender: Sender) -> Self {
        Self {
            sender,
            held: BytesMut::new(),
        }
    }

    fn take(&mut self, bytes: &mut BytesMut) {
        self.held.extend_from_slice(&bytes.split());
        while let Some(found) = head(&self.held, self.sender).expect("a message of that side's") {
            if self.held.len() < found.frame_bytes {
                break;
            }
            self.held.advance(found.frame_bytes);
        }
    }
}

/// What has been recorded so far: a statement that met something treated ends once, after it began.
#[derive(Default)]
struct Recorded {
    begun: HashSet<(u64, usize)>,
}

impl Recorded {
    fn take(&mut self, events: &mut Vec<Event>) {
        for event in events.drain(..) {
            match event {
                Event::Begin(subject) => {
                    let new = self.begun.insert((subject.number, subject.index()));
                    assert!(new, "a statement that begins twice");
                }
                Event::End(end) if end.subject.plan().is_some() => {
                    let place = (end.subject.number, end.subject.index());
                    let unsent = matches!(end.ending, Ending::Refused | Ending::Failed);
                    assert!(
                        self.begun.remove(&place) || unsent,
                        "an end without a beginning"
                    );
                }
                Event::End(_) => {}
            }
        }
    }
}

/// A message of a client's that leads somewhere.
fn client_message(number: u8) -> Vec<u8> {
    let query = |text: &str| message(b'Q', format!("{text}\0").as_bytes());
    match number % 20 {
        0 => query("SELECT id, email, birth, phone FROM people"),
        1 => query("SELECT id, email, birth FROM people WHERE id = 1;;"),
        2 => query("SELECT 1"),
        3 => query("INSERT INTO people VALUES (1, 'a')"),
        4 => message(
            b'P',
            b"s\0SELECT email, phone FROM people WHERE email = $1\0\0\0",
        ),
        5 => message(b'B', b"\0s\0\0\0\0\x01\0\0\0\x01a\0\0"),
        6 => message(b'B', b"\0s\0\0\0\0\x01\0\0\0\x01a\0\x01\0\x01"),
        7 => message(b'D', b"Ss\0"),
        8 => message(b'D', b"P\0"),
        9 => message(b'E', b"\0\0\0\0\0"),
        10 => message(b'E', b"\0\0\0\0\x01"),
        11 => message(b'C', b"Ss\0"),
        12 => message(b'H', b""),
        13 => message(b'S', b""),
        14 => query("COPY orders FROM stdin"),
        15 => message(b'd', b"1\n"),
        16 => message(b'c', b""),
        17 => query("SET standard_conforming_strings = off"),
        18 => query("SELECT '\\', '; SELECT 1"),
        _ => message(b'X', b""),
    }
}

/// A message of a server that answers the ones above.
fn upstream_message(number: u8) -> Vec<u8> {
    let complete = |tag: &str| message(b'C', format!("{tag}\0").as_bytes());
    match number % 20 {
        0 => description(&[1, 2, 3, 5], 0),
        1 => description(&[1, 2, 3], 0),
        2 => description(&[2, 5], 1),
        3 => row(&["id", "email", "birth", "phone"], false),
        4 => row(&["id", "email", "birth"], false),
        5 => row(&["email", "phone"], true),
        6 => complete("SELECT 1"),
        7 => complete("INSERT 0 1"),
        8 => message(b'Z', b"I"),
        9 => message(b'Z', b"T"),
        10 => message(b'E', b"SERROR\0VERROR\0C42601\0Msyntax error\0P1\0\0"),
        11 => message(b'1', b""),
        12 => message(b'2', b""),
        13 => message(b'3', b""),
        14 => message(b't', b"\0\x01\0\0\0\x11"),
        15 => message(b'n', b""),
        16 => message(b's', b""),
        17 => message(b'S', b"standard_conforming_strings\0off\0"),
        18 => message(b'G', b"\0\0\x01\0\0"),
        _ => message(b'N', b"SNOTICE\0VNOTICE\0C00000\0Mx\0\0"),
    }
}

fn description(attnums: &[i16], format: i16) -> Vec<u8> {
    let mut body = u16::try_from(attnums.len())
        .expect("few")
        .to_be_bytes()
        .to_vec();
    for attnum in attnums {
        body.extend(b"c\0");
        body.extend(PEOPLE.to_be_bytes());
        body.extend(attnum.to_be_bytes());
        let oid: u32 = match attnum {
            1 => 23,
            5 => 1043,
            _ => 17,
        };
        body.extend(oid.to_be_bytes());
        body.extend((-1_i16).to_be_bytes());
        body.extend((-1_i32).to_be_bytes());
        body.extend(format.to_be_bytes());
    }
    message(b'T', &body)
}

fn row(columns: &[&str], binary: bool) -> Vec<u8> {
    let mut body = u16::try_from(columns.len())
        .expect("few")
        .to_be_bytes()
        .to_vec();
    for column in columns {
        let value = match SITE.stored.get(*column) {
            None => b"1".to_vec(),
            Some(stored) if binary || *column == "phone" => stored.clone(),
            Some(stored) => {
                let digits = stored.iter().map(|byte| format!("{byte:02x}"));
                format!("\\x{}", digits.collect::<String>()).into_bytes()
            }
        };
        body.extend(u32::try_from(value.len()).expect("short").to_be_bytes());
        body.extend(value);
    }
    message(b'D', &body)
}

/// Conversations: a step of a ready-made message is two bytes.
#[allow(clippy::too_many_lines, reason = "a list of seeds")]
pub fn seeds() -> Vec<Vec<u8>> {
    let client = |number: u8| vec![1, number];
    let server = |number: u8| vec![3, number];
    let given = |side: u8, bytes: &[u8]| {
        [
            &[side, u8::try_from(bytes.len()).expect("short")][..],
            bytes,
        ]
        .concat()
    };
    let simple = [
        client(0),
        server(0),
        server(3),
        server(3),
        server(6),
        server(8),
    ];
    let prepared = [
        client(4),
        client(7),
        client(5),
        client(9),
        client(13),
        server(11),
        server(14),
        server(2),
        server(12),
        server(5),
        server(6),
        server(8),
    ];
    let pipeline = [
        client(4),
        client(6),
        client(10),
        client(13),
        client(12),
        server(11),
        server(12),
        server(10),
        server(8),
        client(2),
        server(6),
        server(8),
        client(19),
    ];
    let copy = [
        client(14),
        server(18),
        client(15),
        client(16),
        server(7),
        server(8),
    ];
    let settings = [
        client(17),
        client(18),
        server(7),
        server(17),
        server(9),
        server(6),
        server(8),
    ];
    let refused = [
        client(3),
        server(10),
        server(8),
        client(1),
        server(1),
        server(4),
        server(6),
        server(6),
        server(8),
    ];
    let bytes = [
        given(
            0,
            &message(b'Q', b"SELECT email FROM people WHERE email = 'x'\0"),
        ),
        given(
            2,
            &message(
                b'E',
                b"SERROR\0VERROR\0C22P02\0Mquotes a value\0DDetail\0\0",
            ),
        ),
        given(2, &message(b'Z', b"I")),
        given(0, &message(b'F', b"\0\0\0\x01\0\0\0\0\0\0")),
    ];
    let scripts: [&[Vec<u8>]; 7] = [
        &simple, &prepared, &pipeline, &copy, &settings, &refused, &bytes,
    ];
    let both = |script: &&[Vec<u8>]| [0_u8, 1].map(|first| [vec![first], script.concat()].concat());
    scripts.iter().flat_map(both).collect()
}

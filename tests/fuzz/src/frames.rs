//! Frames and what they hold: however a stream arrives its frames are the same, and what a reader takes, the writer
//! gives back.

use bytes::BytesMut;
use pgveil::wire::client::{self, Bind, Execute, Parse, Target};
use pgveil::wire::frame::{FrameFault, HEAD_BYTES, Sender, head};
use pgveil::wire::message::{put_count, put_value, write_frame};
use pgveil::wire::upstream::{self, DataRow, Report, RowDescription};
use pgveil::wire::{authentication, startup};

use super::message;

/// The first byte says who sends (its lowest bit) and in pieces of which size; the rest is the stream.
pub fn body(data: &[u8]) {
    let Some((&first, stream)) = data.split_first() else {
        return;
    };
    let sender = match first & 1 {
        0 => Sender::Client,
        _ => Sender::Upstream,
    };
    let whole = cut(stream, stream.len().max(1), sender);
    let pieces = cut(stream, usize::from(first >> 1).max(1), sender);
    assert_eq!(whole, pieces, "a stream in pieces has other frames");
    for frame in whole.0 {
        match sender {
            Sender::Client => read_client(frame[0], &frame[HEAD_BYTES..]),
            Sender::Upstream => read_upstream(&frame),
        }
    }
}

/// The frames of a stream that arrives in pieces of that size, and the fault it ends with.
fn cut(stream: &[u8], size: usize, sender: Sender) -> (Vec<Vec<u8>>, Option<FrameFault>) {
    let (mut held, mut frames) = (Vec::new(), Vec::new());
    for piece in stream.chunks(size) {
        held.extend_from_slice(piece);
        loop {
            match head(&held, sender) {
                Ok(Some(found)) if found.frame_bytes <= held.len() => {
                    assert!(found.frame_bytes >= HEAD_BYTES && found.tag == held[0]);
                    frames.push(held.drain(..found.frame_bytes).collect());
                }
                Ok(_) => break,
                Err(fault) => return (frames, Some(fault)),
            }
        }
    }
    (frames, None)
}

fn read_client(tag: u8, body: &[u8]) {
    let mut out = BytesMut::new();
    match tag {
        b'Q' => {
            if let Ok(text) = client::query(body) {
                client::write_query(&mut out, text).expect("it was one");
                assert_eq!(&out[HEAD_BYTES..], body);
            }
        }
        b'P' => {
            if let Ok(parse) = Parse::read(body) {
                let oids: Vec<u32> = parse.oids().collect();
                client::write_parse(&mut out, parse.statement, parse.text, &oids)
                    .expect("it was one");
                assert_eq!(&out[HEAD_BYTES..], body);
            }
        }
        b'B' => {
            if let Ok(bind) = Bind::read(body) {
                let formats: Vec<i16> = bind.formats.iter().collect();
                let values: Vec<Option<&[u8]>> = bind.values().collect();
                let results: Vec<i16> = bind.result_formats.iter().collect();
                let names = (bind.portal, bind.statement);
                assert_eq!(Bind::names(body), Ok(names));
                let given = (&formats[..], values.into_iter());
                client::write_bind(&mut out, names, given, &results).expect("it was one");
                assert_eq!(&out[HEAD_BYTES..], body);
            }
        }
        b'E' => {
            let _ = Execute::read(body);
        }
        b'D' | b'C' => {
            let _ = Target::read(body);
        }
        b'p' => {
            if let Ok((mechanism, Some(data))) = authentication::sasl_initial_response(body)
                && let Ok(mechanism) = std::str::from_utf8(mechanism)
            {
                authentication::put_sasl_initial_response(&mut out, mechanism, data)
                    .expect("it was one");
                assert_eq!(&out[HEAD_BYTES..], body);
            }
        }
        _ => {}
    }
}

fn read_upstream(frame: &[u8]) {
    let body = &frame[HEAD_BYTES..];
    let mut out = BytesMut::new();
    match frame[0] {
        b'T' => {
            if let Ok(description) = RowDescription::read(body) {
                let fields: Vec<_> = description.fields().collect();
                assert_eq!(fields.len(), description.count);
                upstream::write_row_description(&mut out, &fields).expect("it was one");
                assert_eq!(&out[..], frame);
            }
        }
        b'D' => {
            if let Ok(Some(row)) = rewritten(body) {
                assert_eq!(&row[..], frame);
            }
        }
        b't' => {
            if let Ok(oids) = upstream::parameter_description(body) {
                upstream::write_parameter_description(&mut out, &oids).expect("it was one");
                assert_eq!(&out[..], frame);
            }
        }
        b'E' | b'N' => {
            if let Ok(report) = Report::read(body) {
                let _ = (report.is_fatal(), report.sqlstate(), report.names_only());
                upstream::write_report(&mut out, frame[0], report.fields()).expect("it was one");
                assert_eq!(&out[..], frame);
            }
        }
        b'K' => {
            if let Ok((process, key)) = upstream::backend_key_data(body) {
                upstream::write_backend_key_data(&mut out, process, key).expect("it was one");
                assert_eq!(&out[..], frame);
            }
        }
        b'C' => {
            let _ = upstream::command_complete(body).map(upstream::rows_of);
        }
        b'Z' => {
            let _ = upstream::ready_for_query(body);
        }
        b'S' => {
            let _ = upstream::parameter_status(body);
        }
        b'R' => {
            let _ = authentication::Authentication::read(body);
        }
        _ => {}
    }
}

/// The row written anew, value by value; None where bytes are left over.
fn rewritten(body: &[u8]) -> Result<Option<BytesMut>, pgveil::wire::message::MessageFault> {
    let mut row = DataRow::read(body)?;
    let mut out = BytesMut::new();
    write_frame(&mut out, b'D', |out| {
        put_count(out, row.count)?;
        for _ in 0..row.count {
            put_value(out, row.value()?)?;
        }
        Ok(())
    })?;
    Ok(row.end().is_ok().then_some(out))
}

/// One of each message that is looked into.
pub fn seeds() -> Vec<Vec<u8>> {
    let bind: &[u8] = b"p\0s\0\0\x01\0\0\0\x02\0\0\0\x03abc\xff\xff\xff\xff\0\x01\0\x01";
    let client = [
        message(b'Q', b"SELECT 1\0"),
        message(b'P', b"s\0SELECT $1\0\0\x01\0\0\0\x19"),
        message(b'B', bind),
        message(b'D', b"Sp\0"),
        message(b'E', b"p\0\0\0\0\x05"),
        message(b'p', b"SCRAM-SHA-256\0\0\0\0\x03n,,"),
        message(b'S', b""),
    ]
    .concat();
    let field: &[u8] = b"\0\x01id\0\0\0\x40\0\0\x01\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0";
    let upstream = [
        message(b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0"),
        message(b'S', b"client_encoding\0UTF8\0"),
        message(b'K', b"\0\0\0\x09\x01\x02\x03\x04"),
        message(b'T', field),
        message(b't', b"\0\x01\0\0\0\x19"),
        message(b'D', b"\0\x02\0\0\0\x01x\xff\xff\xff\xff"),
        message(b'C', b"INSERT 0 1\0"),
        message(b'E', b"SERROR\0VERROR\0C42601\0Msyntax\0P1\0\0"),
        message(b'Z', b"I"),
    ]
    .concat();
    let mut seeds = Vec::new();
    for first in [0, 2, 8] {
        seeds.push([&[first][..], &client].concat());
        seeds.push([&[first | 1][..], &upstream].concat());
    }
    // What a client may send before that, read as messages.
    seeds.push([&[0][..], &startup::SSL_REQUEST_PACKET].concat());
    seeds
}

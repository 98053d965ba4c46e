//! A record as it stands in a file, and what the first record of a file says of the file.
//!
//! Knows the keys of the JSON and their order. A record is written out when it is handed over; what its place in the
//! file gives it (`seq`, `prev`) is put around it when it has one.

use std::cell::RefCell;
use std::io::Write as _;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::chain::HASH_BYTES;
use super::files::Ended;
use super::line::append_hex;
use super::record::Record;
use crate::limits::AUDIT_SPARE_BYTES_MAX;

/// What the first record of a file says of the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct FileHead {
    /// of the files, the chain and the anchors
    pub(super) format: u32,
    pub(super) index: u64,
    pub(super) keyring: String,
    pub(super) run: String,
    pub(super) part: u64,
    /// how far the files before it are whole, since the last one that says so
    pub(super) ended: Vec<Ended>,
    pub(super) version: String,
}

/// Begins a line with a record's number, and what was written of it.
pub(super) fn begin(line: &mut Vec<u8>, seq: u64, members: &[u8]) {
    line.extend_from_slice(b"{\"seq\":");
    json(line, &seq);
    line.extend_from_slice(members);
}

/// The last member before a record's own hash: that of the record before.
pub(super) fn end(line: &mut Vec<u8>, prev: &[u8; HASH_BYTES]) {
    line.extend_from_slice(b",\"prev\":\"");
    append_hex(line, prev);
    line.push(b'"');
}

/// Gives the members of a record, of which `begin` names the one that it ends, to `take`.
pub(super) fn written<T>(
    record: &Record,
    time: Timestamp,
    begin: Option<u64>,
    take: impl FnOnce(&[u8]) -> T,
) -> T {
    thread_local! {
        static ROOM: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    ROOM.with_borrow_mut(|room| {
        room.clear();
        write(room, record, time);
        if let Some(begin) = begin {
            member(room, r#","begin":"#, &begin);
        }
        let taken = take(room);
        if room.capacity() > AUDIT_SPARE_BYTES_MAX {
            *room = Vec::new();
        }
        taken
    })
}

/// The members of the first record of a file.
pub(super) fn of_file(record: &Record, time: Timestamp, head: &FileHead) -> Vec<u8> {
    let mut members = Vec::new();
    write(&mut members, record, time);
    member(&mut members, r#","file":"#, head);
    members
}

fn write(out: &mut Vec<u8>, record: &Record, time: Timestamp) {
    let who = &record.who;
    out.extend_from_slice(b",\"time\":\"");
    write!(out, "{time:.6}").expect("writing to a Vec does not fail");
    out.push(b'"');
    member(out, r#","session":"#, &who.session);
    member(out, r#","client":"#, &who.client);
    member(
        out,
        r#","user":"#,
        &who.user.as_ref().map(|name| name.as_str()),
    );
    member(
        out,
        r#","role":"#,
        &who.role.as_ref().map(|name| name.as_str()),
    );
    let database = who.database.as_ref();
    member(out, r#","database":"#, &database.map(|name| name.as_str()));
    member(out, r#","application":"#, &who.application);
    member(out, r#","kind":"#, &record.kind.as_str());
    member(out, r#","statement":"#, &record.statement.as_deref());
    member(out, r#","parameters":"#, &record.parameters);
    match record.fingerprint {
        None => member(out, r#","fingerprint":"#, &None::<u64>),
        Some(shape) => {
            out.extend_from_slice(b",\"fingerprint\":\"");
            append_hex(out, &shape.to_be_bytes());
            out.push(b'"');
        }
    }
    out.extend_from_slice(b",\"relations\":[");
    for (index, relation) in record.relations.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        json(out, &relation.to_string());
    }
    out.push(b']');
    member(out, r#","treatment":"#, &record.treatment);
    member(out, r#","rows":"#, &record.rows);
    member(out, r#","opened":"#, &record.opened);
    member(out, r#","outcome":"#, &record.outcome);
    member(out, r#","sqlstate":"#, &record.sqlstate);
    member(out, r#","duration_us":"#, &record.duration_us);
    member(out, r#","upstream_us":"#, &record.upstream_us);
}

/// Appends a member; `key` is written out, with the comma before it and the colon behind.
fn member(out: &mut Vec<u8>, key: &str, value: &impl Serialize) {
    out.extend_from_slice(key.as_bytes());
    json(out, value);
}

fn json(out: &mut Vec<u8>, value: &impl Serialize) {
    let written = serde_json::to_writer(out, value);
    written.expect("what a record holds has string keys, and writing to a Vec does not fail");
}

//! Lines that end in a code over what stands before it: `{…,"hash":"<64 hex>"}`.
//!
//! Knows JSON as bytes. The code is over the very bytes of the line, so no canonical form of JSON is needed.

use std::io::{self, BufRead, Read as _};

use serde::Serialize;

use super::chain::HASH_BYTES;
use crate::limits::AUDIT_LINE_BYTES_MAX;

/// The key of the code: a record's, or an anchor's.
#[derive(Clone, Copy)]
pub(super) enum CodeKey {
    /// `hash`
    Hash,
    /// `signature`
    Signature,
}

impl CodeKey {
    fn opening(self) -> &'static [u8] {
        match self {
            Self::Hash => b",\"hash\":\"",
            Self::Signature => b",\"signature\":\"",
        }
    }
}

/// Appends a line to `out`: the object, and the code that `sign` gives for its bytes.
pub(super) fn append(
    out: &mut Vec<u8>,
    object: &impl Serialize,
    key: CodeKey,
    sign: impl FnOnce(&[u8]) -> [u8; HASH_BYTES],
) -> [u8; HASH_BYTES] {
    let start = out.len();
    serde_json::to_writer(&mut *out, object)
        .expect("lines are structs with string keys, and writing to a Vec does not fail");
    let brace = out.pop();
    debug_assert_eq!(brace, Some(b'}'));
    close(out, start, key, sign)
}

/// Ends the line whose object begins at `start` and has no code and no end yet.
pub(super) fn close(
    out: &mut Vec<u8>,
    start: usize,
    key: CodeKey,
    sign: impl FnOnce(&[u8]) -> [u8; HASH_BYTES],
) -> [u8; HASH_BYTES] {
    let hash = sign(&out[start..]);
    out.extend_from_slice(key.opening());
    append_hex(out, &hash);
    out.extend_from_slice(b"\"}\n");
    hash
}

/// Appends bytes in hexadecimal.
pub(super) fn append_hex<const N: usize>(out: &mut Vec<u8>, bytes: &[u8; N]) {
    out.extend_from_slice(hex::Buffer::<N>::new().format(bytes).as_bytes());
}

/// Splits a line (without its end) into the bytes under the code and the code.
pub(super) fn split(line: &[u8], key: CodeKey) -> Option<(&[u8], [u8; HASH_BYTES])> {
    let line = line.strip_suffix(b"\"}")?;
    let (rest, code) = line.split_at_checked(line.len().checked_sub(2 * HASH_BYTES)?)?;
    let body = rest.strip_suffix(key.opening())?;
    let mut hash = [0; HASH_BYTES];
    hex::decode_to_slice(code, &mut hash).ok()?;
    // Upper case would decode too: one line, one form.
    (hex::encode(hash).as_bytes() == code).then_some((body, hash))
}

/// What was read.
pub(super) enum Read {
    /// a line, without its end
    Line,
    /// bytes without a line's end at the end of the file
    Torn,
    /// the end
    End,
    /// longer than any record
    TooLong,
}

/// Reads one line into `line`.
///
/// # Errors
/// What the reader says.
pub(super) fn read(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Read> {
    line.clear();
    let mut bounded = reader.take(AUDIT_LINE_BYTES_MAX);
    bounded.read_until(b'\n', line)?;
    Ok(match line.last() {
        None => Read::End,
        Some(b'\n') => {
            line.pop();
            Read::Line
        }
        Some(_) if line.len() as u64 == AUDIT_LINE_BYTES_MAX => Read::TooLong,
        Some(_) => Read::Torn,
    })
}

/// The seq that a record begins with.
pub(super) fn seq(line: &[u8]) -> Option<u64> {
    let digits = line.strip_prefix(b"{\"seq\":")?;
    let end = digits.iter().position(|b| !b.is_ascii_digit())?;
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}

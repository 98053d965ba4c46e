//! Records on their way to the file: their bytes one after another, and who waits for which.
//!
//! Nothing of a record but its bytes goes from one thread to another, into room that is there. Knows nothing of what a
//! record says.

use std::ops::Range;

use tokio::sync::oneshot;

use super::AuditFault;
use crate::limits::AUDIT_SPARE_BYTES_MAX;

/// Tells the number of a record to who waits for it, or why it has none.
pub(super) type Ack = oneshot::Sender<Result<u64, AuditFault>>;

/// Records in the order in which they are to be written.
#[derive(Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    records: Vec<Queued>,
}

struct Queued {
    /// where its bytes end
    end: usize,
    /// KiB of the queue's room that it takes
    kib: u32,
    ack: Option<Ack>,
}

impl Batch {
    /// Appends a record.
    pub(super) fn push(&mut self, record: &[u8], kib: u32, ack: Option<Ack>) {
        self.bytes.extend_from_slice(record);
        let end = self.bytes.len();
        self.records.push(Queued { end, kib, ack });
    }

    /// Moves all of another's records behind its own.
    pub(super) fn take(&mut self, other: &mut Self) {
        if self.records.is_empty() {
            self.clear();
            std::mem::swap(self, other);
            return;
        }
        let behind = self.bytes.len();
        self.bytes.append(&mut other.bytes);
        self.records
            .extend(other.records.drain(..).map(|record| Queued {
                end: behind + record.end,
                ..record
            }));
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The bytes of some of the records.
    pub(super) fn iter(&self, which: Range<usize>) -> impl Iterator<Item = &[u8]> {
        let first = which.start.checked_sub(1);
        let mut start = first.map_or(0, |before| self.records[before].end);
        self.records[which].iter().map(move |record| {
            let bytes = &self.bytes[start..record.end];
            start = record.end;
            bytes
        })
    }

    /// Tells who waits for some of the records that they are written, from that number on. The KiB they took.
    pub(super) fn written(&mut self, which: Range<usize>, first: u64) -> usize {
        let mut kib = 0;
        for (seq, record) in (first..).zip(&mut self.records[which]) {
            kib += record.kib as usize;
            if let Some(ack) = record.ack.take() {
                // A session that is gone needs no answer; its record stays.
                let _ = ack.send(Ok(seq));
            }
        }
        kib
    }

    /// Forgets the first so many records, and of the others those that somebody waits for, who is told why. How many of
    /// these there were, and the KiB they took.
    pub(super) fn refuse(&mut self, written: usize, fault: &AuditFault) -> (usize, usize) {
        let (mut count, mut kib) = (0, 0);
        if written == 0 && self.records.iter().all(|record| record.ack.is_none()) {
            return (count, kib);
        }
        let old = std::mem::take(self);
        let mut start = 0;
        for (index, record) in old.records.into_iter().enumerate() {
            let bytes = &old.bytes[std::mem::replace(&mut start, record.end)..record.end];
            match record.ack {
                _ if index < written => {}
                Some(ack) => {
                    count += 1;
                    kib += record.kib as usize;
                    let _ = ack.send(Err(fault.clone()));
                }
                None => self.push(bytes, record.kib, None),
            }
        }
        (count, kib)
    }

    /// Forgets all; its room is kept for others, unless there is much of it.
    pub(super) fn clear(&mut self) {
        self.records.clear();
        self.bytes.clear();
        if self.bytes.capacity() > AUDIT_SPARE_BYTES_MAX {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(batch: &Batch) -> Vec<&[u8]> {
        batch.iter(0..batch.len()).collect()
    }

    #[test]
    fn records_keep_their_order_and_their_bounds() {
        let (mut batch, mut other) = (Batch::default(), Batch::default());
        batch.push(b"one", 1, None);
        batch.push(b"", 1, None);
        other.push(b"three", 1, None);
        batch.take(&mut other);
        assert!(other.is_empty());
        assert_eq!(bytes(&batch), [&b"one"[..], b"", b"three"]);
        assert_eq!(batch.iter(1..3).collect::<Vec<_>>(), [&b""[..], b"three"]);
        batch.clear();
        batch.take(&mut other);
        assert!(batch.is_empty() && bytes(&batch).is_empty());
    }

    #[test]
    fn who_waits_is_told() {
        let mut batch = Batch::default();
        let (acks, mut answers): (Vec<_>, Vec<_>) = (0..3).map(|_| oneshot::channel()).unzip();
        for (ack, text) in acks.into_iter().zip([b"a", b"b", b"c"]) {
            batch.push(text, 2, Some(ack));
            batch.push(b"-", 3, None);
        }
        assert_eq!(batch.written(0..2, 7), 5);
        assert_eq!(answers[0].try_recv(), Ok(Ok(7)));
        // The third is neither written nor waited for: it stays.
        let fault = AuditFault::Closed;
        assert_eq!(batch.refuse(2, &fault), (2, 4));
        assert_eq!(answers[1].try_recv(), Ok(Err(fault.clone())));
        assert_eq!(answers[2].try_recv(), Ok(Err(fault)));
        assert_eq!(bytes(&batch), [b"-", b"-"]);
    }
}

//! Empty buffers that sessions on one thread hand to each other: a session that waits for its client holds none, and one
//! that does not must not ask the allocator for each message.

use std::cell::RefCell;

use bytes::BytesMut;

use crate::limits::{READ_BYTES, SPARE_BUFFERS_MAX};

thread_local! {
    static SPARE: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

/// Takes a buffer over and leaves nothing, if it is empty. One of another size than a read's is freed.
pub(super) fn put(buffer: &mut BytesMut) {
    if !buffer.is_empty() || buffer.capacity() == 0 {
        return;
    }
    let mut buffer = std::mem::take(buffer);
    // What was read and sent has left room in front, which an empty buffer gets back.
    if buffer.capacity() < READ_BYTES && !buffer.try_reclaim(READ_BYTES) {
        return;
    }
    if buffer.capacity() <= 2 * READ_BYTES {
        SPARE.with_borrow_mut(|spare| {
            if spare.len() < SPARE_BUFFERS_MAX {
                spare.push(buffer);
            }
        });
    }
}

/// A buffer that has room for a read, if there is one.
pub(super) fn get() -> BytesMut {
    SPARE.with_borrow_mut(Vec::pop).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use bytes::Buf as _;

    use super::*;

    #[test]
    fn an_empty_buffer_of_a_reads_size_is_used_again() {
        let mut buffer = BytesMut::with_capacity(READ_BYTES);
        buffer.extend_from_slice(b"SELECT");
        let at = buffer.as_ptr();
        put(&mut buffer);
        assert_eq!(&buffer[..], b"SELECT", "it is in use");
        buffer.advance(6);
        put(&mut buffer);
        assert_eq!(buffer.capacity(), 0);
        let again = get();
        assert!(again.is_empty() && again.capacity() >= READ_BYTES);
        assert_eq!(again.as_ptr(), at);
        assert_eq!(get().capacity(), 0);
    }

    #[test]
    fn others_are_freed() {
        for capacity in [64, READ_BYTES * 3] {
            let mut buffer = BytesMut::with_capacity(capacity);
            put(&mut buffer);
            assert_eq!((buffer.capacity(), get().capacity()), (0, 0));
        }
        for _ in 0..SPARE_BUFFERS_MAX + 1 {
            put(&mut BytesMut::with_capacity(READ_BYTES));
        }
        let held = std::iter::from_fn(|| Some(get()).filter(|b| b.capacity() > 0));
        assert_eq!(held.count(), SPARE_BUFFERS_MAX);
    }
}

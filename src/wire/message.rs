//! The reader and the writer of message bodies: integers, NUL-terminated strings, counted bytes.
//!
//! A reader borrows from the frame and checks every bound; nothing here can panic on a peer's bytes. What
//! the messages mean is in [`super::client`] and [`super::upstream`].

use bytes::{BufMut, BytesMut};

use crate::limits::FRAME_BYTES_MAX;

/// A body that is not what its message's format says, or that would become too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageFault {
    /// It ends too early.
    #[error("insufficient data left in message")]
    Truncated,
    /// Something is left over.
    #[error("invalid message format")]
    Trailing,
    /// A count or a length is negative or otherwise impossible.
    #[error("invalid message format")]
    Count,
    /// What was to be sent is longer than a message may be.
    #[error("the message would be too long")]
    TooLong,
}

/// Reads a body from its front.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader of that body (without the frame's head).
    pub fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    /// The next `n` bytes.
    ///
    /// # Errors
    /// [`MessageFault::Truncated`] when fewer are left.
    pub fn bytes(&mut self, n: usize) -> Result<&'a [u8], MessageFault> {
        let (taken, rest) = self
            .rest
            .split_at_checked(n)
            .ok_or(MessageFault::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], MessageFault> {
        let (taken, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or(MessageFault::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// The next byte.
    ///
    /// # Errors
    /// [`MessageFault::Truncated`].
    pub fn u8(&mut self) -> Result<u8, MessageFault> {
        Ok(self.array::<1>()?[0])
    }

    /// The next 16 bits, big-endian, signed.
    ///
    /// # Errors
    /// [`MessageFault::Truncated`].
    pub fn i16(&mut self) -> Result<i16, MessageFault> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    /// The next 16 bits as a count (PostgreSQL reads counts as unsigned).
    ///
    /// # Errors
    /// [`MessageFault::Truncated`].
    pub fn count(&mut self) -> Result<usize, MessageFault> {
        Ok(usize::from(u16::from_be_bytes(self.array()?)))
    }

    /// The next 32 bits, big-endian, signed.
    ///
    /// # Errors
    /// [`MessageFault::Truncated`].
    pub fn i32(&mut self) -> Result<i32, MessageFault> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    /// The next 32 bits, big-endian, unsigned (OIDs).
    ///
    /// # Errors
    /// [`MessageFault::Truncated`].
    pub fn u32(&mut self) -> Result<u32, MessageFault> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// The bytes up to the next NUL, which is taken too.
    ///
    /// # Errors
    /// [`MessageFault::Truncated`] when there is none.
    pub fn string(&mut self) -> Result<&'a [u8], MessageFault> {
        let end = self
            .rest
            .iter()
            .position(|&b| b == 0)
            .ok_or(MessageFault::Truncated)?;
        let found = self.bytes(end)?;
        self.u8()?;
        Ok(found)
    }

    /// A value: a length of 32 bits and that many bytes; -1 is NULL.
    ///
    /// # Errors
    /// [`MessageFault::Count`] for any other negative length, [`MessageFault::Truncated`].
    pub fn value(&mut self) -> Result<Option<&'a [u8]>, MessageFault> {
        match self.i32()? {
            -1 => Ok(None),
            length => {
                let length = usize::try_from(length).map_err(|_| MessageFault::Count)?;
                self.bytes(length).map(Some)
            }
        }
    }

    /// What is left.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// That nothing is left.
    ///
    /// # Errors
    /// [`MessageFault::Trailing`].
    pub fn end(&self) -> Result<(), MessageFault> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(MessageFault::Trailing)
        }
    }
}

/// Appends one frame: the head, then what `body` writes.
///
/// # Errors
/// What `body` answers, and [`MessageFault::TooLong`]; `out` is then as it was.
pub fn write_frame(
    out: &mut BytesMut,
    tag: u8,
    body: impl FnOnce(&mut BytesMut) -> Result<(), MessageFault>,
) -> Result<(), MessageFault> {
    let start = out.len();
    out.put_u8(tag);
    out.put_u32(0);
    let written = body(out).and_then(|()| {
        let length = out.len() - start - 1;
        if length - 4 > FRAME_BYTES_MAX {
            return Err(MessageFault::TooLong);
        }
        u32::try_from(length).map_err(|_| MessageFault::TooLong)
    });
    match written {
        Ok(length) => {
            out[start + 1..start + 5].copy_from_slice(&length.to_be_bytes());
            Ok(())
        }
        Err(fault) => {
            out.truncate(start);
            Err(fault)
        }
    }
}

/// Appends a NUL-terminated string. The caller's text must hold no NUL; one that does is cut there.
pub fn put_string(out: &mut BytesMut, text: &[u8]) {
    let end = text.iter().position(|&b| b == 0).unwrap_or(text.len());
    out.put_slice(&text[..end]);
    out.put_u8(0);
}

/// Appends a value with its length; None is NULL.
///
/// # Errors
/// [`MessageFault::TooLong`] beyond what 31 bits can say.
pub fn put_value(out: &mut BytesMut, value: Option<&[u8]>) -> Result<(), MessageFault> {
    match value {
        None => out.put_i32(-1),
        Some(bytes) => {
            out.put_i32(i32::try_from(bytes.len()).map_err(|_| MessageFault::TooLong)?);
            out.put_slice(bytes);
        }
    }
    Ok(())
}

/// Appends a count of 16 bits.
///
/// # Errors
/// [`MessageFault::Count`] beyond 65535.
pub fn put_count(out: &mut BytesMut, count: usize) -> Result<(), MessageFault> {
    out.put_u16(u16::try_from(count).map_err(|_| MessageFault::Count)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_that_would_split_a_message_is_cut() {
        let mut out = BytesMut::new();
        put_string(&mut out, b"a\0Q");
        assert_eq!(&out[..], b"a\0");
    }

    #[test]
    fn a_frame_that_fails_leaves_nothing() {
        let mut out = BytesMut::from(&b"x"[..]);
        let fault = write_frame(&mut out, b'Q', |out| {
            put_string(out, b"half");
            Err(MessageFault::Count)
        });
        assert_eq!(fault, Err(MessageFault::Count));
        assert_eq!(&out[..], b"x");
    }

    #[test]
    fn values_keep_null_apart_from_empty() {
        let mut out = BytesMut::new();
        put_value(&mut out, None).unwrap();
        put_value(&mut out, Some(b"")).unwrap();
        let mut reader = Reader::new(&out);
        assert_eq!(reader.value(), Ok(None));
        assert_eq!(reader.value(), Ok(Some(&b""[..])));
        assert!(reader.end().is_ok());
        assert_eq!(
            Reader::new(&[0xff, 0xff, 0xff, 0xfe]).value(),
            Err(MessageFault::Count)
        );
        assert_eq!(
            Reader::new(&[0, 0, 0, 9, 1]).value(),
            Err(MessageFault::Truncated)
        );
    }
}

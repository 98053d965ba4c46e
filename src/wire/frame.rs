//! Where a frame begins and ends: one type byte, a length of 4 bytes that counts itself, a body.
//!
//! Source: PostgreSQL manual, "Message Formats", and the limits of `src/backend/tcop/postgres.c` (client's
//! messages) and `src/interfaces/libpq/fe-protocol3.c` (server's messages). It knows nothing of what a body
//! holds, and takes no byte that has not come: an announced length reserves nothing.

use crate::limits::{
    CLIENT_FRAME_SMALL_BYTES_MAX, FRAME_BYTES_MAX, UPSTREAM_FRAME_SMALL_BYTES_MAX,
};

/// Bytes before a frame's body: the type and the length.
pub const HEAD_BYTES: usize = 5;

/// Who wrote a frame: the same type byte means different things, with different limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// the client
    Client,
    /// the server
    Upstream,
}

/// The head of a frame: its type, and how long all of it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// the message type byte
    pub tag: u8,
    /// bytes of the whole frame, the head's own five included
    pub frame_bytes: usize,
}

/// What is wrong with a frame: always 08P01, and the connection's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameFault {
    /// No message of this sender has the type.
    #[error("invalid message type {tag}")]
    UnknownType {
        /// the type byte
        tag: u8,
    },
    /// The length is less than its own four bytes, or more than the type may have.
    #[error("invalid length of a message of type {tag}")]
    Length {
        /// the type byte
        tag: u8,
    },
}

/// The head of the frame that `bytes` begins with; None until all five bytes are there.
///
/// # Errors
/// [`FrameFault`] as soon as the type byte or the length shows it.
pub fn head(bytes: &[u8], sender: Sender) -> Result<Option<Head>, FrameFault> {
    let Some(&tag) = bytes.first() else {
        return Ok(None);
    };
    let body_bytes_max = match sender {
        Sender::Client => client_limit(tag),
        Sender::Upstream => upstream_limit(tag),
    }
    .ok_or(FrameFault::UnknownType { tag })?;
    let Some(&[b0, b1, b2, b3]) = bytes.get(1..HEAD_BYTES) else {
        return Ok(None);
    };
    // A length with the sign bit set is far above every limit once read as unsigned.
    let length = u32::from_be_bytes([b0, b1, b2, b3]) as usize;
    if length < 4 || length - 4 > body_bytes_max {
        return Err(FrameFault::Length { tag });
    }
    Ok(Some(Head {
        tag,
        frame_bytes: length + 1,
    }))
}

/// The most body bytes a client's message of that type may have (`SocketBackend` in postgres.c).
fn client_limit(tag: u8) -> Option<usize> {
    match tag {
        b'Q' | b'P' | b'B' | b'F' | b'd' => Some(FRAME_BYTES_MAX),
        b'C' | b'D' | b'E' | b'H' | b'S' | b'X' | b'c' | b'f' => Some(CLIENT_FRAME_SMALL_BYTES_MAX),
        b'p' => Some(crate::limits::PASSWORD_BYTES_MAX),
        _ => None,
    }
}

/// The most body bytes a server's message of that type may have (`VALID_LONG_MESSAGE_TYPE` in libpq).
fn upstream_limit(tag: u8) -> Option<usize> {
    match tag {
        b'T' | b'D' | b'd' | b'V' | b'E' | b'N' | b'A' | b't' => Some(FRAME_BYTES_MAX),
        b'1' | b'2' | b'3' | b'C' | b'G' | b'H' | b'I' | b'K' | b'R' | b'S' | b'W' | b'Z'
        | b'c' | b'n' | b's' | b'v' => Some(UPSTREAM_FRAME_SMALL_BYTES_MAX),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![tag];
        bytes.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
        bytes.extend_from_slice(body);
        bytes
    }

    /// Cuts a stream that arrives in the given chunks.
    fn cut(stream: &[u8], chunks: &[usize], sender: Sender) -> Result<Vec<Vec<u8>>, FrameFault> {
        let (mut held, mut at, mut found) = (Vec::new(), 0, Vec::new());
        let mut sizes = chunks.iter().cycle();
        while at < stream.len() {
            let end = (at + sizes.next().copied().unwrap_or(1).max(1)).min(stream.len());
            held.extend_from_slice(&stream[at..end]);
            at = end;
            while let Some(head) = head(&held, sender)? {
                if held.len() < head.frame_bytes {
                    break;
                }
                found.push(held.drain(..head.frame_bytes).collect());
            }
        }
        Ok(found)
    }

    #[test]
    fn a_length_is_checked_before_a_body_arrives() {
        let fault = Err(FrameFault::Length { tag: b'S' });
        assert_eq!(head(&[b'S', 0, 0, 0, 3], Sender::Client), fault);
        assert_eq!(head(&[b'S', 0xff, 0xff, 0xff, 0xff], Sender::Client), fault);
        assert_eq!(head(&[b'S', 0, 1, 0, 0], Sender::Client), fault);
        assert!(head(&[b'Q', 0x40, 0, 0, 2], Sender::Client).is_ok());
        assert!(head(&[b'Q', 0x40, 0, 0, 4], Sender::Client).is_err());
        assert_eq!(head(&[b'S', 0, 0, 0], Sender::Client), Ok(None));
    }

    #[test]
    fn an_unknown_type_is_refused_at_its_first_byte() {
        assert_eq!(
            head(b"!", Sender::Client),
            Err(FrameFault::UnknownType { tag: b'!' })
        );
        assert_eq!(
            head(b"Q", Sender::Upstream),
            Err(FrameFault::UnknownType { tag: b'Q' })
        );
    }

    proptest! {
        #[test]
        fn frames_are_the_same_however_they_arrive(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20),
            chunks in prop::collection::vec(1usize..64, 1..10),
        ) {
            let frames: Vec<Vec<u8>> = bodies.iter().map(|b| frame(b'd', b)).collect();
            let stream = frames.concat();
            prop_assert_eq!(cut(&stream, &chunks, Sender::Client), Ok(frames.clone()));
            prop_assert_eq!(cut(&stream, &[1], Sender::Upstream), Ok(frames));
        }

        #[test]
        fn any_bytes_are_frames_or_a_fault(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Ok(Some(found)) = head(&bytes, Sender::Upstream) {
                prop_assert!(found.frame_bytes >= HEAD_BYTES);
            }
        }
    }
}

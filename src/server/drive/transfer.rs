//! Bytes to and from a stream, as far as it takes and has them now; buffers that a large message has blown up.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::io::poll_read_buf;

use super::{Leg, spare};
use crate::limits::{IDLE_BUFFER_BYTES_MAX, READ_BYTES, UNSENT_BYTES_MAX};

/// Writes what the stream takes. True when there is room again that was not there before.
pub(super) fn send<S: AsyncWrite + Unpin>(
    cx: &mut Context<'_>,
    stream: &mut S,
    bytes: &mut BytesMut,
) -> io::Result<bool> {
    let was_full = bytes.len() >= UNSENT_BYTES_MAX;
    while !bytes.is_empty() {
        match Pin::new(&mut *stream).poll_write(cx, bytes) {
            Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
            Poll::Ready(Ok(n)) => bytes.advance(n),
            Poll::Ready(Err(error)) => return Err(error),
            Poll::Pending => return Ok(was_full && bytes.len() < UNSENT_BYTES_MAX),
        }
    }
    give_back(bytes);
    // Under TLS, what was written may still lie in the stream's own buffer.
    match Pin::new(stream).poll_flush(cx) {
        Poll::Ready(Err(error)) => Err(error),
        Poll::Ready(Ok(())) | Poll::Pending => Ok(was_full),
    }
}

/// Reads what is there; None when nothing is.
pub(super) fn receive<S: AsyncRead + Unpin>(
    cx: &mut Context<'_>,
    leg: &mut Leg<S>,
) -> io::Result<Option<usize>> {
    if leg.input.is_empty() {
        give_back(&mut leg.input);
    }
    if leg.input.capacity() == 0 {
        leg.input = spare::get();
    }
    leg.input.reserve(READ_BYTES);
    match poll_read_buf(Pin::new(&mut leg.stream), cx, &mut leg.input) {
        Poll::Ready(Ok(n)) => Ok(Some(n)),
        Poll::Ready(Err(error)) => Err(error),
        Poll::Pending => Ok(None),
    }
}

/// Frees an empty buffer that a large message has blown up.
fn give_back(bytes: &mut BytesMut) {
    if bytes.capacity() > IDLE_BUFFER_BYTES_MAX {
        *bytes = BytesMut::new();
    } else {
        bytes.clear();
    }
}

//! A byte stream that is plain or under TLS, on either leg, and how TCP notices that its other end is gone.
//!
//! Knows nothing of PostgreSQL.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

use crate::limits::KEEPALIVE_PROBES;
use crate::wire::certificate::EndPoint;

/// When TCP asks whether the other end is there, and when it gives it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Liveness {
    /// silence before the first question
    pub idle: Duration,
    /// between two questions
    pub interval: Duration,
    /// until what was sent must be taken; None leaves it to the system
    pub user_timeout: Option<Duration>,
}

impl Liveness {
    /// For a connection that may be silent for so long: after as long again without an answer it is given up.
    /// `user_timeout` is RFC 5482's: it also ends a connection whose peer is there and does not read, so it is set
    /// only where somebody asks for it.
    pub fn new(keepalive: Duration, user_timeout: Option<Duration>) -> Self {
        // The system counts in whole seconds.
        let second = Duration::from_secs(1);
        let idle = keepalive.max(second);
        Self {
            idle,
            interval: (idle / KEEPALIVE_PROBES).max(second),
            user_timeout,
        }
    }

    /// Sets it for a connection, which from now on sends at once what it is given.
    ///
    /// # Errors
    /// The system's: the connection is gone already.
    pub fn hold(self, stream: &TcpStream) -> io::Result<()> {
        let socket = SockRef::from(stream);
        let probes = TcpKeepalive::new()
            .with_time(self.idle)
            .with_interval(self.interval)
            .with_retries(KEEPALIVE_PROBES);
        socket.set_tcp_keepalive(&probes)?;
        if self.user_timeout.is_some() {
            socket.set_tcp_user_timeout(self.user_timeout)?;
        }
        stream.set_nodelay(true)
    }
}

/// A stream that is plain or under TLS.
#[derive(Debug)]
pub enum MaybeTls<S> {
    /// as it is
    Plain(S),
    /// under TLS
    Tls(Box<TlsStream<S>>),
}

impl<S> MaybeTls<S> {
    /// Whether it is under TLS.
    pub fn is_encrypted(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// What SCRAM may be bound to when the peer is a server: its certificate. None without TLS.
    pub fn peer_end_point(&self) -> Option<EndPoint> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(stream) => {
                let (_, session) = stream.get_ref();
                EndPoint::of_certificate(session.peer_certificates()?.first()?)
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for MaybeTls<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buf),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for MaybeTls<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_silent_connection_is_asked_and_given_up() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let minute = Some(Duration::from_secs(60));
        let liveness = Liveness::new(Duration::from_secs(30), minute);
        liveness.hold(&stream).unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap() && stream.nodelay().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap().as_secs(), 30);
        assert_eq!(socket.tcp_keepalive_interval().unwrap().as_secs(), 10);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 3);
        assert_eq!(socket.tcp_user_timeout().unwrap(), minute);
        let shortest = Liveness::new(Duration::from_millis(1), None);
        assert_eq!(
            (shortest.idle.as_secs(), shortest.interval.as_secs()),
            (1, 1)
        );
    }
}

//! Connections to PostgreSQL for clients' sessions: TCP, TLS, login with a user's keys; and cancel requests.
//!
//! It performs what [`super::handshake`] decides, within named times, and knows nothing of clients.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rustls::ClientConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::credential::Credential;
use super::handshake::{Channel, Greeting, Handshake, UpstreamFault};
use super::socket::{self, Socket};
use super::stream::{Liveness, MaybeTls};
use crate::limits::{
    UPSTREAM_CONNECT_TIMEOUT_MS, UPSTREAM_KEEPALIVE_S, UPSTREAM_LOGIN_FRAME_BYTES_MAX,
    UPSTREAM_LOGIN_TIMEOUT_MS,
};
use crate::wire::frame::{self, Sender};
use crate::wire::startup::{CancelKey, SSL_REQUEST_PACKET, Startup};
use crate::wire::tls::{self, TlsFault, TlsMode};

/// The server pgveil stands before, and how to reach it.
#[derive(Clone)]
pub struct Target {
    host: String,
    port: u16,
    mode: TlsMode,
    tls: Option<Arc<ClientConfig>>,
    liveness: Liveness,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({}:{}, {:?})", self.host, self.port, self.mode)
    }
}

impl Target {
    /// A server by host (name, address, or the directory of its Unix socket) and port. `ca` is PEM text; without a mode the default is full
    /// verification off loopback and none on it.
    ///
    /// # Errors
    /// [`TlsFault`] when the TLS settings are not usable.
    pub fn new(
        host: &str,
        port: u16,
        mode: Option<TlsMode>,
        ca: Option<&[u8]>,
    ) -> Result<Self, TlsFault> {
        let mode = mode.unwrap_or_else(|| default_mode(host));
        let tls = tls::client_config(mode, ca)?;
        if tls.is_some() {
            tls::server_name(host)?;
        }
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Ok(Self {
            host: host.to_owned(),
            port,
            mode,
            tls,
            liveness: Liveness::new(Duration::from_secs(UPSTREAM_KEEPALIVE_S), None),
        })
    }

    /// The same with other times after which a silent server is asked, and given up.
    #[must_use]
    pub fn with_liveness(self, liveness: Liveness) -> Self {
        Self { liveness, ..self }
    }

    /// When a silent server is asked, and when it is given up.
    pub fn liveness(&self) -> Liveness {
        self.liveness
    }

    /// The host, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The TLS mode.
    pub fn mode(&self) -> TlsMode {
        self.mode
    }

    /// The TLS settings; None with [`TlsMode::Disable`].
    pub fn tls(&self) -> Option<&Arc<ClientConfig>> {
        self.tls.as_ref()
    }
}

/// Whether a host is the directory of a Unix socket, as libpq has it.
fn is_directory(host: &str) -> bool {
    host.starts_with('/')
}

/// Whether nobody between here and there reads along.
fn is_local(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    is_directory(host)
        || host.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The mode where the configuration names none: none on loopback, full verification elsewhere.
fn default_mode(host: &str) -> TlsMode {
    if is_local(host) {
        TlsMode::Disable
    } else {
        TlsMode::VerifyFull
    }
}

/// A connection to the server that is ready for queries.
#[derive(Debug)]
pub struct Upstream {
    /// the connection
    pub stream: MaybeTls<Socket>,
    /// what came after ReadyForQuery and is not looked at yet
    pub input: BytesMut,
    /// what the server said before it was ready
    pub greeting: Greeting,
}

/// Opens a session for a user: the client's own startup parameters, what logs the user in.
///
/// # Errors
/// [`UpstreamFault`]; nothing of the connection is left.
pub async fn login(
    target: &Target,
    startup: &Startup,
    credential: Credential,
) -> Result<Upstream, UpstreamFault> {
    let stream = open(target).await?;
    let channel = Channel {
        end_point: stream.peer_end_point(),
        is_private: stream.is_encrypted() || is_local(&target.host),
    };
    let handshake = Handshake::new(startup.user().clone(), credential, channel);
    timeout(
        Duration::from_millis(UPSTREAM_LOGIN_TIMEOUT_MS),
        shake_hands(stream, startup, handshake),
    )
    .await
    .map_err(|_| UpstreamFault::Timeout)?
}

async fn shake_hands(
    mut stream: MaybeTls<Socket>,
    startup: &Startup,
    mut handshake: Handshake,
) -> Result<Upstream, UpstreamFault> {
    let mut output = BytesMut::from(&startup.to_upstream()[..]);
    let mut input = BytesMut::new();
    loop {
        if !output.is_empty() {
            stream.write_all(&output).await.map_err(io)?;
            stream.flush().await.map_err(io)?;
            output.clear();
        }
        let head = frame::head(&input, Sender::Upstream).map_err(|_| UpstreamFault::Protocol)?;
        match head {
            Some(head) if head.frame_bytes > UPSTREAM_LOGIN_FRAME_BYTES_MAX => {
                return Err(UpstreamFault::Protocol);
            }
            Some(head) if input.len() >= head.frame_bytes => {
                let frame = input.split_to(head.frame_bytes);
                if let Some(greeting) = handshake.frame(&frame, &mut output)? {
                    return Ok(Upstream {
                        stream,
                        input,
                        greeting,
                    });
                }
            }
            _ => {
                if stream.read_buf(&mut input).await.map_err(io)? == 0 {
                    return Err(UpstreamFault::Unreachable(
                        std::io::ErrorKind::UnexpectedEof,
                    ));
                }
            }
        }
    }
}

/// Asks the server to cancel what a session is doing. PostgreSQL answers nothing: it closes the connection.
///
/// # Errors
/// [`UpstreamFault`] when the request could not be delivered.
pub async fn cancel(target: &Target, key: &CancelKey) -> Result<(), UpstreamFault> {
    let mut stream = open(target).await?;
    let deliver = async {
        stream.write_all(&key.to_request()).await?;
        stream.flush().await?;
        // The server closes once the signal is sent; waiting for that keeps cancels in order.
        let mut rest = [0; 16];
        while stream.read(&mut rest).await? > 0 {}
        Ok(())
    };
    match timeout(Duration::from_millis(UPSTREAM_CONNECT_TIMEOUT_MS), deliver).await {
        Ok(delivered) => delivered.map_err(io),
        Err(_) => Err(UpstreamFault::Timeout),
    }
}

/// Connects, and brings TLS up as the mode wants it.
async fn open(target: &Target) -> Result<MaybeTls<Socket>, UpstreamFault> {
    let connected = async {
        if is_directory(&target.host) {
            let path = socket::path_in(Path::new(&target.host), target.port);
            let stream = UnixStream::connect(path).await.map_err(io)?;
            return encrypt(target, Socket::Unix(stream)).await;
        }
        let address = (target.host.as_str(), target.port);
        let stream = TcpStream::connect(address).await.map_err(io)?;
        target.liveness.hold(&stream).map_err(io)?;
        encrypt(target, Socket::Tcp(stream)).await
    };
    timeout(
        Duration::from_millis(UPSTREAM_CONNECT_TIMEOUT_MS),
        connected,
    )
    .await
    .map_err(|_| UpstreamFault::Timeout)?
}

async fn encrypt(target: &Target, mut stream: Socket) -> Result<MaybeTls<Socket>, UpstreamFault> {
    let Some(config) = &target.tls else {
        return Ok(MaybeTls::Plain(stream));
    };
    stream.write_all(&SSL_REQUEST_PACKET).await.map_err(io)?;
    // Exactly one byte: what someone stuffs after it reaches the TLS handshake and fails there.
    match (stream.read_u8().await.map_err(io)?, target.mode) {
        (b'S', _) => {
            let name = tls::server_name(&target.host).map_err(|_| UpstreamFault::TlsHandshake)?;
            let connector = tokio_rustls::TlsConnector::from(Arc::clone(config));
            let stream = connector.connect(name, stream).await;
            let stream = stream.map_err(|_| UpstreamFault::TlsHandshake)?;
            Ok(MaybeTls::Tls(Box::new(stream.into())))
        }
        (b'N', TlsMode::Prefer) => Ok(MaybeTls::Plain(stream)),
        (b'N', _) => Err(UpstreamFault::NoTls),
        _ => Err(UpstreamFault::Protocol),
    }
}

fn io(error: std::io::Error) -> UpstreamFault {
    UpstreamFault::Unreachable(error.kind())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_told_from_the_network() {
        for host in [
            "/var/run/postgresql",
            "127.0.0.1",
            "127.8.9.1",
            "::1",
            "[::1]",
            "localhost",
        ] {
            assert_eq!(default_mode(host), TlsMode::Disable, "{host}");
        }
        for host in [
            "10.0.0.1",
            "db.example.com",
            "localhost.example.com",
            "0.0.0.0",
            "",
        ] {
            assert_eq!(default_mode(host), TlsMode::VerifyFull, "{host}");
        }
    }
}

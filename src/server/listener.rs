//! Where clients come in: a TCP listener, and beside it, where it is wanted, a Unix socket.
//!
//! Knows nothing of what they say.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, UnixListener};

use crate::upstream::socket::{Socket, path_in};

/// Where a client comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub Option<SocketAddr>);

impl Peer {
    /// Its address; None at a Unix socket, which is in no network.
    pub fn ip(self) -> Option<IpAddr> {
        self.0.map(|address| address.ip())
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("[local]"), // as PostgreSQL writes it
        }
    }
}

/// Both, or the first alone.
#[derive(Debug)]
pub struct Listeners {
    tcp: TcpListener,
    unix: Option<UnixSocket>,
}

impl Listeners {
    /// A TCP listener, and a Unix socket for the same port in a directory.
    ///
    /// # Errors
    /// The system's: the socket cannot be made, or somebody listens on it.
    pub async fn new(tcp: TcpListener, directory: Option<&Path>) -> io::Result<Self> {
        let unix = match directory {
            None => None,
            Some(directory) => {
                let path = path_in(directory, tcp.local_addr()?.port());
                Some(UnixSocket::bind(path).await?)
            }
        };
        Ok(Self { tcp, unix })
    }

    /// The next client.
    ///
    /// # Errors
    /// The system's; most often no file descriptors are left.
    pub async fn accept(&self) -> io::Result<(Socket, Peer)> {
        let unix = async {
            match &self.unix {
                Some(socket) => socket.listener.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            accepted = self.tcp.accept() => {
                accepted.map(|(stream, peer)| (Socket::Tcp(stream), Peer(Some(peer))))
            }
            accepted = unix => accepted.map(|(stream, _)| (Socket::Unix(stream), Peer(None))),
        }
    }
}

/// A Unix socket, gone when dropped.
#[derive(Debug)]
struct UnixSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl UnixSocket {
    async fn bind(path: PathBuf) -> io::Result<Self> {
        let listener = match UnixListener::bind(&path) {
            // What a process left behind that was killed: nobody answers there.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                if tokio::net::UnixStream::connect(&path).await.is_ok() {
                    return Err(error);
                }
                std::fs::remove_file(&path)?;
                UnixListener::bind(&path)?
            }
            bound => bound?,
        };
        // Open to all, as PostgreSQL's is: who comes in is for the login to say.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777))?;
        Ok(Self { listener, path })
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        // That it is gone already changes nothing.
        let _ = std::fs::remove_file(&self.path);
    }
}

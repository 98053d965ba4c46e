//! Tells the service manager that pgveil is up, or ending (systemd's `Type=notify`; sd_notify(3)).
//!
//! One datagram to the socket that `NOTIFY_SOCKET` names; without one nobody asked.

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// clients are served
    Ready,
    /// it drains
    Stopping,
}

/// Tells it to whoever started this process, if they listen.
pub fn tell(state: State) {
    if let Some(socket) = std::env::var_os("NOTIFY_SOCKET")
        && let Err(error) = send(&socket, state)
    {
        tracing::warn!(kind = ?error.kind(), "the service manager cannot be told");
    }
}

fn send(socket: &OsStr, state: State) -> std::io::Result<()> {
    let message: &[u8] = match state {
        State::Ready => b"READY=1\n",
        State::Stopping => b"STOPPING=1\n",
    };
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(message, &address)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_may_have_a_path_or_an_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("pgveil-test-{}", std::process::id());
        let of_path = UnixDatagram::bind(&path).unwrap();
        let of_name = SocketAddr::from_abstract_name(&name).unwrap();
        let of_name = UnixDatagram::bind_addr(&of_name).unwrap();
        send(path.as_os_str(), State::Ready).unwrap();
        send(OsStr::new(&format!("@{name}")), State::Stopping).unwrap();
        let mut bytes = [0; 64];
        let count = of_path.recv(&mut bytes).unwrap();
        assert_eq!(&bytes[..count], b"READY=1\n");
        let count = of_name.recv(&mut bytes).unwrap();
        assert_eq!(&bytes[..count], b"STOPPING=1\n");
        assert!(send(OsStr::new("/nowhere/notify"), State::Ready).is_err());
    }
}

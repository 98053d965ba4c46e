//! Targets and logins as the configuration names them: reads the files it points to.
//!
//! Knows nothing of connections. A fault names a file and never what is in it.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use super::connect::Target;
use super::control::ControlLogin;
use super::stream::Liveness;
use crate::config::{Login, Upstream};
use crate::document::Fault;
use crate::ident::DatabaseName;
use crate::limits::PEM_BYTES_MAX;

impl Target {
    /// The configuration's server.
    ///
    /// # Errors
    /// A fault that names the CA's file, or the host where TLS cannot verify such a name.
    pub fn configured(upstream: &Upstream) -> Result<Self, Fault> {
        let ca = upstream.ca.as_deref().map(read_pem).transpose()?;
        Self::new(
            &upstream.host,
            upstream.port,
            Some(upstream.tls),
            ca.as_deref(),
        )
        .map(|target| {
            let liveness = Liveness::new(upstream.keepalive, upstream.tcp_user_timeout);
            target.with_liveness(liveness)
        })
        .map_err(|fault| {
            let place = match &upstream.ca {
                Some(file) => file.display().to_string(),
                None => format!("upstream {}", upstream.host),
            };
            Fault::of_file(&place, fault.to_string())
        })
    }
}

impl ControlLogin {
    /// A login of the configuration's (control or owner), to that database.
    ///
    /// # Errors
    /// A fault that names the password's file.
    pub fn configured(
        target: &Target,
        login: &Login,
        database: DatabaseName,
    ) -> Result<Self, Fault> {
        Ok(Self {
            target: target.clone(),
            database,
            user: login.user.clone(),
            password: login.password()?,
        })
    }
}

/// Reads a PEM file, within [`PEM_BYTES_MAX`].
///
/// # Errors
/// A fault that names the file.
pub fn read_pem(path: &Path) -> Result<Vec<u8>, Fault> {
    let fault = |message: String| Fault::of_file(&path.display().to_string(), message);
    let file = File::open(path).map_err(|e| fault(format!("cannot be read: {}", e.kind())))?;
    // One allocation: a private key must not be left behind in buffers that grew.
    let mut pem = Vec::with_capacity(PEM_BYTES_MAX + 1);
    file.take(PEM_BYTES_MAX as u64 + 1)
        .read_to_end(&mut pem)
        .map_err(|e| fault(format!("cannot be read: {}", e.kind())))?;
    if pem.len() > PEM_BYTES_MAX {
        return Err(fault(format!("longer than {PEM_BYTES_MAX} bytes")));
    }
    Ok(pem)
}

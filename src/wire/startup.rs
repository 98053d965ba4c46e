//! What a client sends before it is known: requests for encryption, for a cancel, and the startup packet.
//!
//! Source: PostgreSQL manual, "Message Flow: Start-up" and "Message Formats"; limits and faults as in
//! `ProcessStartupPacket` of the server. Pure: it reads a buffer and takes no byte that has not come. It knows
//! nothing of who may log in; it keeps every parameter as the client's own bytes, so that they go upstream
//! unchanged.

use std::fmt;

use bytes::{BufMut as _, BytesMut};
use subtle::ConstantTimeEq as _;

use super::message::{MessageFault, Reader, put_string, write_frame};
use crate::ident::{DatabaseName, UserName};
use crate::limits::{CANCEL_KEY_BYTES_MAX, NAME_BYTES_MAX, STARTUP_BYTES_MAX};
use crate::secret::Secret;

/// The request codes that stand where a protocol version would (major number 1234).
const CANCEL_REQUEST: u32 = 80_877_102;
const SSL_REQUEST: u32 = 80_877_103;
const GSSENC_REQUEST: u32 = 80_877_104;

/// The SSLRequest pgveil sends upstream.
pub const SSL_REQUEST_PACKET: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// The protocol a session speaks; 3.2 differs by longer cancel keys only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProtocolVersion {
    /// 3.0: cancel keys of 4 bytes
    V3_0,
    /// 3.2: cancel keys of up to 256 bytes
    V3_2,
}

impl ProtocolVersion {
    /// The version as it stands in a packet: major number in the upper, minor in the lower 16 bits.
    pub fn code(self) -> u32 {
        match self {
            Self::V3_0 => 3 << 16,
            Self::V3_2 => 3 << 16 | 2,
        }
    }
}

/// What identifies a session to a CancelRequest: its process number and secret.
#[derive(Clone, PartialEq, Eq)]
pub struct CancelKey {
    /// the process number of BackendKeyData
    pub process: u32,
    secret: Secret<Vec<u8>>,
}

impl CancelKey {
    /// Joins a process number and a secret of 4 to 256 bytes.
    pub fn new(process: u32, secret: Vec<u8>) -> Self {
        Self {
            process,
            secret: Secret::new(secret),
        }
    }

    /// The secret, to be sent to the one peer it is meant for.
    pub fn secret(&self) -> &[u8] {
        self.secret.expose()
    }

    /// Whether both are the same, in a time that does not depend on where the secrets differ.
    pub fn matches(&self, other: &Self) -> bool {
        self.process == other.process && bool::from(self.secret().ct_eq(other.secret()))
    }

    /// The CancelRequest with this key.
    pub fn to_request(&self) -> Vec<u8> {
        let mut packet = Vec::with_capacity(12 + self.secret().len());
        packet.put_u32(12 + self.secret().len() as u32); // at most 256 bytes of secret were read
        packet.put_u32(CANCEL_REQUEST);
        packet.put_u32(self.process);
        packet.put_slice(self.secret());
        packet
    }
}

impl fmt::Debug for CancelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CancelKey({})", self.process)
    }
}

/// Why the first bytes of a connection are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartupFault {
    /// The length field is no length of a startup packet: not a PostgreSQL client, or direct TLS.
    #[error("invalid length of startup packet")]
    Length,
    /// The packet does not hold what its kind must.
    #[error("invalid startup packet layout: expected terminator as last byte")]
    Layout,
    /// A version pgveil does not speak.
    #[error("unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.2")]
    Version {
        /// the major number asked for
        major: u16,
        /// the minor number asked for
        minor: u16,
    },
    /// A parameter stands twice: which one counts would be a matter of opinion.
    #[error("a startup parameter is given twice")]
    RepeatedParameter,
    /// No user, or a name no user can have.
    #[error("no PostgreSQL user name specified in startup packet")]
    User,
    /// A name no database can have.
    #[error("the database name in the startup packet is not valid")]
    Database,
}

/// What a connection begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening {
    /// SSLRequest
    Ssl,
    /// GSSENCRequest
    Gss,
    /// CancelRequest
    Cancel(CancelKey),
    /// the startup packet
    Startup(Box<Startup>),
}

impl Opening {
    /// Reads the packet that `bytes` begins with, and how long it is; None until all of it is there.
    ///
    /// # Errors
    /// [`StartupFault`] as soon as length or code show it.
    pub fn read(bytes: &[u8]) -> Result<Option<(Self, usize)>, StartupFault> {
        let Some(length) = leading_u32(bytes) else {
            return Ok(None);
        };
        let length = length as usize;
        if length < 8 || length - 4 > STARTUP_BYTES_MAX {
            return Err(StartupFault::Length);
        }
        let Some(packet) = bytes.get(..length) else {
            return Ok(None);
        };
        let code = leading_u32(&packet[4..]).ok_or(StartupFault::Length)?;
        let body = &packet[8..];
        let opening = match (code, body.len()) {
            (SSL_REQUEST, 0) => Self::Ssl,
            (GSSENC_REQUEST, 0) => Self::Gss,
            (SSL_REQUEST | GSSENC_REQUEST, _) => return Err(StartupFault::Layout),
            (CANCEL_REQUEST, _) => Self::Cancel(cancel_key(body)?),
            _ => Self::Startup(Box::new(Startup::read(code, body)?)),
        };
        Ok(Some((opening, length)))
    }
}

fn leading_u32(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|head| u32::from_be_bytes(*head))
}

fn cancel_key(body: &[u8]) -> Result<CancelKey, StartupFault> {
    let process = leading_u32(body).ok_or(StartupFault::Layout)?;
    let secret = &body[4..];
    if !(4..=CANCEL_KEY_BYTES_MAX).contains(&secret.len()) {
        return Err(StartupFault::Layout);
    }
    Ok(CancelKey::new(process, secret.to_vec()))
}

/// A startup packet that names a user and a version pgveil speaks.
#[derive(Clone, PartialEq, Eq)]
pub struct Startup {
    version: ProtocolVersion,
    negotiated: bool,
    user: UserName,
    database: DatabaseName,
    /// every parameter but the protocol options, in the client's order
    parameters: Vec<(Vec<u8>, Vec<u8>)>,
    /// protocol options (`_pq_.…`) nobody knows
    unknown_options: Vec<Vec<u8>>,
}

impl fmt::Debug for Startup {
    // Parameters may hold anything (`options=-c x.y=…`): they are not printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Startup")
            .field("user", &self.user)
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

impl Startup {
    fn read(code: u32, body: &[u8]) -> Result<Self, StartupFault> {
        let (major, minor) = ((code >> 16) as u16, code as u16);
        if major != 3 {
            return Err(StartupFault::Version { major, minor });
        }
        let version = if minor < 2 {
            ProtocolVersion::V3_0
        } else {
            ProtocolVersion::V3_2
        };
        let (mut parameters, mut unknown_options) = (Vec::new(), Vec::new());
        for (name, value) in pairs(body)? {
            if name.starts_with(b"_pq_.") {
                unknown_options.push(name.to_vec());
            } else if parameters.iter().any(|(n, _): &(Vec<u8>, _)| n == name) {
                return Err(StartupFault::RepeatedParameter);
            } else {
                parameters.push((name.to_vec(), value.to_vec()));
            }
        }
        let user = name_of(&parameters, b"user").map_err(|()| StartupFault::User)?;
        let user = user.ok_or(StartupFault::User)?;
        let database = name_of(&parameters, b"database").map_err(|()| StartupFault::Database)?;
        Ok(Self {
            version,
            negotiated: version.code() != code || !unknown_options.is_empty(),
            database: DatabaseName::new(database.unwrap_or(user)),
            user: UserName::new(user),
            parameters,
            unknown_options,
        })
    }

    /// The protocol the session speaks from here on.
    pub fn version(&self) -> ProtocolVersion {
        self.version
    }

    /// The login.
    pub fn user(&self) -> &UserName {
        &self.user
    }

    /// The database; the user's name where the client names none, as PostgreSQL has it.
    pub fn database(&self) -> &DatabaseName {
        &self.database
    }

    /// `application_name`, empty where the client names none. A client may send any bytes: what is not UTF-8 is
    /// replaced.
    pub fn application(&self) -> String {
        let found = self.parameter(b"application_name").unwrap_or_default();
        String::from_utf8_lossy(found).into_owned()
    }

    /// The value of a parameter, as the client sent it.
    pub fn parameter(&self, name: &[u8]) -> Option<&[u8]> {
        let found = self.parameters.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_slice())
    }

    /// Whether it asks for the replication protocol. Anything PostgreSQL does not read as false counts.
    pub fn asks_for_replication(&self) -> bool {
        self.parameter(b"replication").is_some_and(|value| {
            let value = value.to_ascii_lowercase();
            !matches!(
                value.as_slice(),
                b"false" | b"fals" | b"fal" | b"fa" | b"f" | b"off" | b"of" | b"no" | b"n" | b"0"
            )
        })
    }

    /// Appends the NegotiateProtocolVersion the client must get, if any: where it asked for a minor version or
    /// for protocol options that are not there.
    ///
    /// # Errors
    /// [`MessageFault`] never in practice: a startup packet is small.
    pub fn put_negotiation(&self, out: &mut BytesMut) -> Result<(), MessageFault> {
        if !self.negotiated {
            return Ok(());
        }
        write_frame(out, b'v', |out| {
            out.put_u32(self.version.code());
            out.put_u32(self.unknown_options.len() as u32); // fewer than the packet's 10,000 bytes
            for option in &self.unknown_options {
                put_string(out, option);
            }
            Ok(())
        })
    }

    /// The startup packet for the upstream server: protocol 3.0 with the client's own parameters.
    pub fn to_upstream(&self) -> Vec<u8> {
        let mut packet = BytesMut::new();
        packet.put_u32(0);
        packet.put_u32(ProtocolVersion::V3_0.code());
        for (name, value) in &self.parameters {
            put_string(&mut packet, name);
            put_string(&mut packet, value);
        }
        packet.put_u8(0);
        let length = packet.len() as u32; // never longer than the client's packet
        packet[..4].copy_from_slice(&length.to_be_bytes());
        packet.to_vec()
    }
}

/// A parameter's name and value.
type Pair<'a> = (&'a [u8], &'a [u8]);

/// The name-value pairs up to the terminator, which must be the last byte.
fn pairs(body: &[u8]) -> Result<Vec<Pair<'_>>, StartupFault> {
    let mut reader = Reader::new(body);
    let mut found = Vec::new();
    loop {
        let name = reader.string().map_err(|_| StartupFault::Layout)?;
        if name.is_empty() {
            return match reader.end() {
                Ok(()) => Ok(found),
                Err(_) => Err(StartupFault::Layout),
            };
        }
        let value = reader.string().map_err(|_| StartupFault::Layout)?;
        found.push((name, value));
    }
}

/// The parameter as a name of PostgreSQL: UTF-8 and short enough not to be cut there; None where it is empty.
fn name_of<'a>(parameters: &'a [(Vec<u8>, Vec<u8>)], name: &[u8]) -> Result<Option<&'a str>, ()> {
    match parameters.iter().find(|(n, _)| n == name) {
        None => Ok(None),
        Some((_, value)) if value.is_empty() => Ok(None),
        Some((_, value)) if value.len() > NAME_BYTES_MAX => Err(()),
        Some((_, value)) => std::str::from_utf8(value).map(Some).map_err(|_| ()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet(code: u32, parameters: &[(&str, &str)]) -> Vec<u8> {
        let mut packet = vec![0; 4];
        packet.put_u32(code);
        for (name, value) in parameters {
            packet.put_slice(name.as_bytes());
            packet.put_u8(0);
            packet.put_slice(value.as_bytes());
            packet.put_u8(0);
        }
        packet.put_u8(0);
        let length = packet.len() as u32;
        packet[..4].copy_from_slice(&length.to_be_bytes());
        packet
    }

    fn startup(code: u32, parameters: &[(&str, &str)]) -> Result<Startup, StartupFault> {
        match Opening::read(&packet(code, parameters))? {
            Some((Opening::Startup(startup), _)) => Ok(*startup),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn parameters_go_upstream_as_they_came() {
        let sent = [
            ("user", "anna"),
            ("database", "crm"),
            ("options", "-c search_path=x"),
            ("client_encoding", "UTF8"),
        ];
        let startup = startup(3 << 16, &sent).unwrap();
        assert_eq!(startup.to_upstream(), packet(3 << 16, &sent));
        assert_eq!(startup.user().as_str(), "anna");
        assert_eq!(startup.database().as_str(), "crm");
        let mut out = BytesMut::new();
        startup.put_negotiation(&mut out).unwrap();
        assert!(out.is_empty());
    }

    #[test]
    fn a_database_left_out_is_the_users() {
        for parameters in [
            &[("user", "anna")][..],
            &[("user", "anna"), ("database", "")],
        ] {
            let found = startup(3 << 16, parameters).unwrap();
            assert_eq!(found.database().as_str(), "anna");
        }
    }

    #[test]
    fn s06_versions_and_options_are_negotiated_as_postgresql_does() {
        let negotiation = |code, parameters: &[(&str, &str)]| {
            let mut all = vec![("user", "anna")];
            all.extend_from_slice(parameters);
            let startup = startup(code, &all).unwrap();
            let mut out = BytesMut::new();
            startup.put_negotiation(&mut out).unwrap();
            (startup.version(), out.to_vec())
        };
        let none = Vec::new();
        assert_eq!(
            negotiation(0x30000, &[]),
            (ProtocolVersion::V3_0, none.clone())
        );
        assert_eq!(negotiation(0x30002, &[]), (ProtocolVersion::V3_2, none));
        let downgraded = b"v\0\0\0\x0c\0\x03\0\0\0\0\0\0".to_vec();
        assert_eq!(
            negotiation(0x30001, &[]),
            (ProtocolVersion::V3_0, downgraded)
        );
        let newest = b"v\0\0\0\x0c\0\x03\0\x02\0\0\0\0".to_vec();
        assert_eq!(negotiation(0x3270f, &[]), (ProtocolVersion::V3_2, newest));
        let option = b"v\0\0\0\x13\0\x03\0\0\0\0\0\x01_pq_.x\0".to_vec();
        assert_eq!(
            negotiation(0x30000, &[("_pq_.x", "1")]),
            (ProtocolVersion::V3_0, option)
        );
        let upstream = startup(0x30000, &[("user", "a"), ("_pq_.x", "1")]).unwrap();
        assert_eq!(upstream.to_upstream(), packet(0x30000, &[("user", "a")]));
    }

    #[test]
    fn faults_are_postgresqls() {
        let version = StartupFault::Version { major: 2, minor: 0 };
        assert_eq!(startup(2 << 16, &[("user", "a")]), Err(version));
        assert_eq!(startup(3 << 16, &[]), Err(StartupFault::User));
        assert_eq!(startup(3 << 16, &[("user", "")]), Err(StartupFault::User));
        let twice = startup(3 << 16, &[("user", "a"), ("user", "b")]);
        assert_eq!(twice, Err(StartupFault::RepeatedParameter));
        let long = "x".repeat(64);
        let database = startup(3 << 16, &[("user", "a"), ("database", &long)]);
        assert_eq!(database, Err(StartupFault::Database));
        let mut cut = packet(3 << 16, &[("user", "a")]);
        cut.pop();
        let length = cut.len() as u32;
        cut[..4].copy_from_slice(&length.to_be_bytes());
        assert_eq!(Opening::read(&cut), Err(StartupFault::Layout));
        let mut more = packet(3 << 16, &[("user", "a")]);
        more.push(0);
        more[3] += 1;
        assert_eq!(Opening::read(&more), Err(StartupFault::Layout));
    }

    #[test]
    fn n04_lengths_are_refused_before_anything_is_read() {
        for length in [0u32, 1, 7, 10_005, 0x7fff_ffff, 0x8000_0000, 0x1603_0102] {
            let fault = Opening::read(&length.to_be_bytes());
            assert_eq!(fault, Err(StartupFault::Length), "{length}");
        }
        assert_eq!(Opening::read(&10_004u32.to_be_bytes()), Ok(None));
        assert_eq!(Opening::read(&[0, 0, 0]), Ok(None));
    }

    #[test]
    fn requests_are_read() {
        assert_eq!(
            Opening::read(&SSL_REQUEST_PACKET),
            Ok(Some((Opening::Ssl, 8)))
        );
        let gss = [0, 0, 0, 8, 4, 210, 22, 48, 9, 9];
        assert_eq!(Opening::read(&gss), Ok(Some((Opening::Gss, 8))));
        assert_eq!(
            Opening::read(&[0, 0, 0, 9, 4, 210, 22, 47, 0]),
            Err(StartupFault::Layout)
        );
        let key = CancelKey::new(7, vec![1; 256]);
        let request = key.to_request();
        match Opening::read(&request).unwrap() {
            Some((Opening::Cancel(read), 268)) => assert!(read.matches(&key)),
            other => panic!("{other:?}"),
        }
        for secret_bytes in [0, 3, 257] {
            let request = CancelKey::new(7, vec![1; secret_bytes]).to_request();
            assert_eq!(Opening::read(&request), Err(StartupFault::Layout));
        }
        assert!(!key.matches(&CancelKey::new(7, vec![2; 256])));
        assert!(!key.matches(&CancelKey::new(7, vec![1; 4])));
    }

    #[test]
    fn s06_replication_is_seen_in_every_spelling() {
        let asks = |value| {
            let startup = startup(3 << 16, &[("user", "a"), ("replication", value)]).unwrap();
            startup.asks_for_replication()
        };
        for value in ["database", "true", "on", "1", "yes", "t", "", "o", "FALSEX"] {
            assert!(asks(value), "{value}");
        }
        for value in ["false", "OFF", "no", "0"] {
            assert!(!asks(value), "{value}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..60), cut in 0usize..60) {
            let _ = Opening::read(&bytes);
            let whole = packet(3 << 16, &[("user", "anna"), ("database", "crm")]);
            prop_assert_eq!(Opening::read(&whole[..cut.min(whole.len() - 1)]), Ok(None));
            let mut body = vec![0, 0, 0, bytes.len() as u8 + 8, 0, 3, 0, 0];
            body.extend_from_slice(&bytes);
            let _ = Opening::read(&body);
        }
    }
}

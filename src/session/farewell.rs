//! Why a login fails, in two texts: the operator's ([`LoginFault`]) and the client's ([`Farewell`]).
//!
//! The one place where a login's faults become SQLSTATEs. It knows nothing of how a login goes.

use crate::ident::{DatabaseName, SqlState, UserName};
use crate::metrics::LoginOutcome;
use crate::upstream::handshake::UpstreamFault;
use crate::wire::message::MessageFault;
use crate::wire::scram::ScramFault;
use crate::wire::startup::StartupFault;

/// Why a client does not come in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoginFault {
    /// Its first packet is none, or none that can be served.
    #[error(transparent)]
    Startup(#[from] StartupFault),
    /// Bytes came after SSLRequest or GSSENCRequest before it was answered: someone may have put them there.
    #[error("received unencrypted data after an encryption request")]
    StuffedBytes,
    /// SSLRequest or GSSENCRequest a second time, or inside TLS.
    #[error("an encryption request out of turn")]
    RepeatedRequest,
    /// TLS from the first byte, by a client that did not name PostgreSQL's protocol in it (ALPN).
    #[error("TLS from the first byte without the protocol's name (ALPN)")]
    NotPostgresql,
    /// The TLS handshake failed.
    #[error("the TLS handshake with the client failed")]
    TlsHandshake,
    /// A plain connection where TLS is required.
    #[error("a connection without TLS where TLS is required")]
    TlsRequired,
    /// No certificate where one is required.
    #[error("a connection without a client certificate where one is required")]
    NoCertificate,
    /// The certificate says who it is, and there is nothing to log it in with.
    #[error(
        "nothing logs a login in that a certificate has proved: the auth_file has no password of it"
    )]
    NoCredential,
    /// Another message than a password or SASL response, or one that is malformed.
    #[error("expected a password response")]
    SaslMessage,
    /// A mechanism that was not offered.
    #[error("the client selected a SASL authentication mechanism that was not offered")]
    Mechanism,
    /// The SCRAM exchange broke the protocol.
    #[error("the SCRAM exchange broke the protocol")]
    Scram,
    /// The client's SCRAM exchange is bound to another channel, or thinks that it cannot be bound: somebody may stand
    /// between the client and pgveil.
    #[error("SCRAM channel binding check failed")]
    Channel,
    /// Wrong password, or no such user, or one that cannot be served.
    #[error("password authentication failed")]
    Password,
    /// The client went away, or was cut off by its own connection.
    #[error("the client's connection ended ({0})")]
    Gone(std::io::ErrorKind),
    /// Others came after it, too many to let it wait on.
    #[error("too many logins are under way")]
    Crowded,
    /// It took longer than `login_timeout`.
    #[error("the login took too long")]
    Timeout,
    /// pgveil is shutting down.
    #[error("pgveil is shutting down")]
    ShuttingDown,
    /// The verifier could not be asked for.
    #[error("the verifier of the login cannot be read: {0}")]
    NoVerifier(String),
    /// The database stands under no `[[database]]`.
    #[error("the database is not configured")]
    NoDatabase,
    /// No role of the policy matches.
    #[error("the login matches no role of the policy")]
    NoRole,
    /// The role may not use the replication protocol.
    #[error("the role may not use the replication protocol")]
    Replication,
    /// pgveil cannot serve the database now.
    #[error("the database cannot be served now: {0}")]
    NotReady(String),
    /// The server did not let the user in.
    #[error(transparent)]
    Upstream(#[from] UpstreamFault),
}

impl From<MessageFault> for LoginFault {
    fn from(_: MessageFault) -> Self {
        Self::SaslMessage
    }
}

/// What a client is told that comes while pgveil drains.
pub const SHUTTING_DOWN: &str = "pgveil is shutting down: connect again";

impl From<ScramFault> for LoginFault {
    fn from(fault: ScramFault) -> Self {
        match fault {
            ScramFault::Proof => LoginFault::Password,
            ScramFault::Channel => LoginFault::Channel,
            ScramFault::NotAVerifier
            | ScramFault::ClientMessage
            | ScramFault::ServerMessage
            | ScramFault::ServerSignature => LoginFault::Scram,
        }
    }
}

/// What the client is told: always FATAL, and the connection's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Farewell {
    /// nothing: it is not listening, or no PostgreSQL client
    Silence,
    /// pgveil's own error
    Error(SqlState, String, &'static str),
    /// the server's own ErrorResponse frame
    Verbatim(bytes::Bytes),
}

impl LoginFault {
    /// How the login ended, as metrics count it.
    pub fn outcome(&self) -> LoginOutcome {
        match self {
            Self::Startup(_)
            | Self::StuffedBytes
            | Self::RepeatedRequest
            | Self::SaslMessage
            | Self::Mechanism
            | Self::Scram
            | Self::Channel
            | Self::NotPostgresql
            | Self::TlsHandshake
            | Self::TlsRequired
            | Self::NoCertificate
            | Self::Gone(_)
            | Self::Timeout => LoginOutcome::Broken,
            Self::Password => LoginOutcome::WrongPassword,
            Self::ShuttingDown => LoginOutcome::Draining,
            Self::NoDatabase => LoginOutcome::NoDatabase,
            Self::NoRole | Self::Replication => LoginOutcome::NoRole,
            Self::Crowded => LoginOutcome::TooMany,
            Self::NotReady(_) | Self::NoVerifier(_) | Self::NoCredential | Self::Upstream(_) => {
                LoginOutcome::Upstream
            }
        }
    }

    /// SQLSTATE, message and hint for the client; `named` is there once it has named user and database.
    pub fn farewell(&self, named: Option<&(UserName, DatabaseName)>) -> Farewell {
        let (user, database) = named.map_or(("", ""), |(u, d)| (u.as_str(), d.as_str()));
        let error = |state, message: String, hint| Farewell::Error(state, message, hint);
        match self {
            Self::Startup(fault) => startup_farewell(fault),
            Self::Gone(_) | Self::Timeout | Self::TlsHandshake | Self::NotPostgresql => {
                Farewell::Silence
            }
            Self::StuffedBytes
            | Self::RepeatedRequest
            | Self::SaslMessage
            | Self::Mechanism
            | Self::Scram
            | Self::Channel => error(SqlState::PROTOCOL_VIOLATION, self.to_string(), ""),
            Self::TlsRequired => error(
                SqlState::INVALID_AUTHORIZATION,
                "a connection without TLS is refused".to_owned(),
                "Connect with sslmode=require or stronger.",
            ),
            Self::Crowded => error(
                SqlState::TOO_MANY_CONNECTIONS,
                "sorry, too many logins are under way".to_owned(),
                "",
            ),
            Self::NoCertificate => error(
                SqlState::INVALID_AUTHORIZATION,
                "connection requires a valid client certificate".to_owned(),
                "Connect with sslcert and sslkey.",
            ),
            Self::NoCredential => error(
                SqlState::INVALID_AUTHORIZATION,
                format!(
                    "user \"{user}\" has proved itself by a certificate, and nothing logs it in"
                ),
                "A DBA can give it a line with its password in pgveil's auth_file.",
            ),
            Self::Password => error(
                SqlState::INVALID_PASSWORD,
                format!("password authentication failed for user \"{user}\""),
                "",
            ),
            Self::ShuttingDown => error(SqlState::ADMIN_SHUTDOWN, SHUTTING_DOWN.to_owned(), ""),
            Self::NoVerifier(_) => error(
                SqlState::CONNECTION_FAILURE,
                "the login cannot be checked now: the database server does not answer pgveil"
                    .to_owned(),
                "",
            ),
            Self::NoDatabase => error(
                SqlState::INVALID_CATALOG_NAME,
                format!("database \"{database}\" does not exist"),
                "pgveil serves the databases that its configuration names.",
            ),
            Self::NoRole => error(
                SqlState::INVALID_AUTHORIZATION,
                format!("no role of the policy matches user \"{user}\" from this address"),
                "A DBA can add a role that matches to the policy of this database.",
            ),
            Self::Replication => error(
                SqlState::INSUFFICIENT_PRIVILEGE,
                "the role may not use the replication protocol".to_owned(),
                "A DBA can allow it: `allow: [replication]`.",
            ),
            Self::NotReady(_) => error(
                SqlState::NOT_IN_PREREQUISITE_STATE,
                format!("database \"{database}\" cannot be served now"),
                "pgveil's log has the reason.",
            ),
            Self::Upstream(fault) => upstream_farewell(fault, user),
        }
    }
}

fn startup_farewell(fault: &StartupFault) -> Farewell {
    let state = match fault {
        StartupFault::Length => return Farewell::Silence,
        StartupFault::Layout | StartupFault::RepeatedParameter => SqlState::PROTOCOL_VIOLATION,
        StartupFault::Version { .. } => SqlState::FEATURE_NOT_SUPPORTED,
        StartupFault::User => SqlState::INVALID_AUTHORIZATION,
        StartupFault::Database => SqlState::INVALID_CATALOG_NAME,
    };
    Farewell::Error(state, fault.to_string(), "")
}

fn upstream_farewell(fault: &UpstreamFault, user: &str) -> Farewell {
    let state = match fault {
        UpstreamFault::Refused(frame) => return Farewell::Verbatim(frame.clone()),
        UpstreamFault::Md5Only => {
            let told = format!("password authentication failed for user \"{user}\"");
            return Farewell::Error(SqlState::INVALID_PASSWORD, told, "");
        }
        UpstreamFault::Method(_) | UpstreamFault::Unchecked => SqlState::INVALID_AUTHORIZATION,
        UpstreamFault::Protocol | UpstreamFault::Scram(_) => SqlState::PROTOCOL_VIOLATION,
        UpstreamFault::Unreachable(_)
        | UpstreamFault::Timeout
        | UpstreamFault::NoTls
        | UpstreamFault::TlsHandshake => SqlState::CONNECTION_FAILURE,
    };
    Farewell::Error(state, fault.to_string(), "")
}

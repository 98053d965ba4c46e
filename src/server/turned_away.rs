//! Logins that end without a session: what the client is told, and what they count as.
//!
//! Knows nothing of how a login is proven.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use super::admission::Denial;
use super::listener::Peer;
use super::login::LoggedIn;
use crate::audit::Who;
use crate::ident::{DatabaseName, SqlState, UserName};
use crate::limits::FAREWELL_TIMEOUT_MS;
use crate::metrics::LoginOutcome;
use crate::session::login::SHUTTING_DOWN;
use crate::upstream::socket::Socket;
use crate::wire::upstream::put_error;

/// Why a proven login gets no session.
pub(super) enum Refused {
    TooMany,
    ShuttingDown,
    NoDatabase,
    NoRole,
    NotReady(String),
}

impl From<Denial> for Refused {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::NoDatabase => Self::NoDatabase,
            Denial::NoRole => Self::NoRole,
            Denial::NotReady(reason) => Self::NotReady(reason),
        }
    }
}

impl Refused {
    pub fn outcome(&self) -> LoginOutcome {
        match self {
            Self::TooMany => LoginOutcome::TooMany,
            Self::ShuttingDown => LoginOutcome::Draining,
            Self::NoDatabase => LoginOutcome::NoDatabase,
            Self::NoRole => LoginOutcome::NoRole,
            Self::NotReady(_) => LoginOutcome::Upstream,
        }
    }

    pub fn told(&self) -> (SqlState, String) {
        match self {
            Self::TooMany => (
                SqlState::TOO_MANY_CONNECTIONS,
                "sorry, too many clients already".to_owned(),
            ),
            Self::ShuttingDown => (SqlState::ADMIN_SHUTDOWN, SHUTTING_DOWN.to_owned()),
            Self::NoDatabase => (
                SqlState::INVALID_CATALOG_NAME,
                "the database is not configured".to_owned(),
            ),
            Self::NoRole => (
                SqlState::INVALID_AUTHORIZATION,
                "the login matches no role of the policy".to_owned(),
            ),
            Self::NotReady(reason) => {
                tracing::warn!(reason, "a session could not be opened");
                (
                    SqlState::NOT_IN_PREREQUISITE_STATE,
                    "the database cannot be served now".to_owned(),
                )
            }
        }
    }
}

/// Tells a proven client why it gets no session, and closes both sides.
pub(super) async fn refuse(mut logged_in: LoggedIn<Socket>, sqlstate: SqlState, message: &str) {
    let mut out = BytesMut::new();
    put_error(&mut out, "FATAL", sqlstate, (message, ""), None);
    let parting = async {
        // The client may be gone, or not reading: either way the connection ends here.
        let _ = logged_in.client.write_all(&out).await;
        let _ = logged_in.client.shutdown().await;
    };
    let _ = timeout(Duration::from_millis(FAREWELL_TIMEOUT_MS), parting).await;
}

/// Somebody who is no session yet.
pub(super) fn anonymous(peer: Peer, named: Option<(UserName, DatabaseName)>) -> Arc<Who> {
    let (user, database) = named.unzip();
    Arc::new(Who {
        session: 0,
        client: peer.to_string(),
        user,
        role: None,
        database,
        application: String::new(),
    })
}

//! The control connection: pgveil's own login to the server, for verifiers and for the catalog.
//!
//! Every session it opens is pinned to known settings before anything else is asked, so that neither the role's
//! nor the database's settings can redirect a name or change how a value looks. It knows nothing of policy.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Mutex, Notify};
use tokio::time::{Instant, timeout};
use tokio_postgres::config::SslMode;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, Config, Connection, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::connect::Target;
use super::fault::ServerFault;
use crate::ident::{DatabaseName, UserName};
use crate::limits::{
    CONTROL_BACKOFF_MAX_MS, CONTROL_BACKOFF_MIN_MS, CONTROL_QUERY_TIMEOUT_MS, KEEPALIVE_PROBES,
    UPSTREAM_CONNECT_TIMEOUT_MS, UPSTREAM_LOGIN_TIMEOUT_MS,
};
use crate::secret::Secret;
use crate::wire::md5::Md5Hash;
use crate::wire::scram::Verifier;
use crate::wire::tls::TlsMode;

/// What is set before anything else is asked. All are settings any role may change.
const PINNED: &str = "SET SESSION search_path = pg_catalog; SET SESSION standard_conforming_strings = on; \
    SET SESSION client_encoding = 'UTF8'; SET SESSION client_min_messages = warning; SET SESSION row_security = on; \
    SET SESSION \"DateStyle\" = 'ISO, MDY'; SET SESSION \"IntervalStyle\" = postgres; SET SESSION \"TimeZone\" = 'UTC'; \
    SET SESSION bytea_output = hex; SET SESSION extra_float_digits = 3; SET SESSION xmloption = content; \
    SET SESSION default_transaction_isolation = 'read committed'; \
    SET SESSION default_transaction_read_only = off; SET SESSION default_transaction_deferrable = off; \
    SET SESSION statement_timeout = 0; SET SESSION lock_timeout = 0; SET SESSION array_nulls = on; \
    SET SESSION idle_in_transaction_session_timeout = 0; SET SESSION transform_null_equals = off; \
    SET SESSION check_function_bodies = on; SET SESSION quote_all_identifiers = off";

/// What the event trigger of `pgveil setup` announces on.
const LISTEN: &str = "LISTEN pgveil_catalog";

/// Who logs in where, for pgveil's own purposes.
#[derive(Debug, Clone)]
pub struct ControlLogin {
    /// the server
    pub target: Target,
    /// the database
    pub database: DatabaseName,
    /// the login
    pub user: UserName,
    /// its password; None where the server asks for none
    pub password: Option<Secret<String>>,
}

impl ControlLogin {
    /// The same login to another database.
    pub fn to_database(&self, database: DatabaseName) -> Self {
        Self {
            database,
            ..self.clone()
        }
    }

    /// Opens a connection of its own, pinned. It lives until the client is dropped.
    ///
    /// # Errors
    /// [`ServerFault`] when the server does not answer in time or refuses.
    pub async fn open(&self) -> Result<Client, ServerFault> {
        self.open_for(None).await
    }

    /// Opens one that also says when the catalog has changed (as far as the server tells), and when it is lost.
    ///
    /// # Errors
    /// As [`ControlLogin::open`].
    pub async fn open_listening(&self, told: Arc<Notify>) -> Result<Client, ServerFault> {
        let client = self.open_for(Some(told)).await?;
        // A standby listens to nobody: there the catalog is looked at every few seconds, as without setup's trigger.
        if client.batch_execute(LISTEN).await.is_err() {
            tracing::debug!(database = %self.database, "catalog changes are not announced here");
        }
        Ok(client)
    }

    async fn open_for(&self, told: Option<Arc<Notify>>) -> Result<Client, ServerFault> {
        let doing = "opening the control connection";
        let times = Duration::from_millis(UPSTREAM_CONNECT_TIMEOUT_MS + UPSTREAM_LOGIN_TIMEOUT_MS);
        timeout(times, self.connect(told))
            .await
            .map_err(|_| out_of_time(doing))?
            .map_err(|error| ServerFault::new(doing, &error))
    }

    async fn connect(&self, told: Option<Arc<Notify>>) -> Result<Client, tokio_postgres::Error> {
        let mut config = Config::new();
        config
            .host(self.target.host())
            .port(self.target.port())
            .user(self.user.as_str())
            .dbname(self.database.as_str())
            .application_name("pgveil")
            .options("-c search_path=pg_catalog")
            .connect_timeout(Duration::from_millis(UPSTREAM_CONNECT_TIMEOUT_MS))
            .ssl_mode(match self.target.mode() {
                TlsMode::Disable => SslMode::Disable,
                TlsMode::Prefer => SslMode::Prefer,
                TlsMode::Require | TlsMode::VerifyCa | TlsMode::VerifyFull => SslMode::Require,
            });
        let liveness = self.target.liveness();
        config
            .keepalives_idle(liveness.idle)
            .keepalives_interval(liveness.interval)
            .keepalives_retries(KEEPALIVE_PROBES)
            // Its messages are short: what is not taken in this time never will be.
            .tcp_user_timeout(liveness.user_timeout.unwrap_or(liveness.idle * 2));
        if let Some(password) = &self.password {
            config.password(password.expose());
        }
        let client = match self.target.tls() {
            None => {
                let (client, connection) = config.connect(NoTls).await?;
                tokio::spawn(attend(connection, told));
                client
            }
            Some(tls) => {
                let tls = MakeRustlsConnect::new(tls.as_ref().clone());
                let (client, connection) = config.connect(tls).await?;
                tokio::spawn(attend(connection, told));
                client
            }
        };
        client.batch_execute(PINNED).await?;
        Ok(client)
    }
}

/// Drives a connection to its end; says what the server announces, and the end.
async fn attend<S, T>(mut connection: Connection<S, T>, told: Option<Arc<Notify>>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let message = poll_fn(|cx| connection.poll_message(cx)).await;
        if let (Some(told), None | Some(Err(_)) | Some(Ok(AsyncMessage::Notification(_)))) =
            (&told, &message)
        {
            told.notify_one();
        }
        if !matches!(message, Some(Ok(_))) {
            return;
        }
    }
}

fn out_of_time(doing: &str) -> ServerFault {
    ServerFault {
        doing: doing.to_owned(),
        sqlstate: None,
        objects: String::new(),
        transport: Some("the server did not answer in time".to_owned()),
    }
}

/// A control connection that many ask at once, opened when first needed and again after a loss.
#[derive(Debug, Clone)]
pub struct Control(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    login: ControlLogin,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    client: Option<Arc<Client>>,
    /// after a failure: its fault, until when it stands, and how long the next one will
    failed: Option<(ServerFault, Instant)>,
    backoff_ms: u64,
}

/// What the server has stored for a login.
#[derive(Debug, Clone)]
pub enum StoredLogin {
    /// a SCRAM-SHA-256 verifier
    Scram(Verifier),
    /// an md5 hash
    Md5(Md5Hash),
    /// something else: it cannot be served, and is treated as an unknown login
    Unusable,
    /// no such login, or one that may not log in now
    Unknown,
}

impl Control {
    /// A control connection for that login; nothing is opened yet.
    pub fn new(login: ControlLogin) -> Self {
        Self(Arc::new(Shared {
            login,
            state: Mutex::new(State::default()),
        }))
    }

    /// The login it uses.
    pub fn login(&self) -> &ControlLogin {
        &self.0.login
    }

    /// The connection, opened where there is none. While a back-off runs the last fault is answered at once.
    ///
    /// # Errors
    /// [`ServerFault`].
    pub async fn client(&self) -> Result<Arc<Client>, ServerFault> {
        let mut state = self.0.state.lock().await;
        if let Some(client) = state.client.as_ref().filter(|client| !client.is_closed()) {
            return Ok(Arc::clone(client));
        }
        state.client = None;
        if let Some((fault, until)) = &state.failed
            && Instant::now() < *until
        {
            return Err(fault.clone());
        }
        match self.0.login.open().await {
            Ok(client) => {
                let client = Arc::new(client);
                *state = State {
                    client: Some(Arc::clone(&client)),
                    ..State::default()
                };
                Ok(client)
            }
            Err(fault) => {
                let backoff =
                    (state.backoff_ms * 2).clamp(CONTROL_BACKOFF_MIN_MS, CONTROL_BACKOFF_MAX_MS);
                state.backoff_ms = backoff;
                state.failed = Some((
                    fault.clone(),
                    Instant::now() + Duration::from_millis(backoff),
                ));
                Err(fault)
            }
        }
    }

    /// What the server has stored for a login. A connection that was lost unnoticed is opened again, once.
    ///
    /// # Errors
    /// [`ServerFault`] when the server does not answer, or `pgveil setup` has not been run.
    pub async fn stored_login(&self, user: &UserName) -> Result<StoredLogin, ServerFault> {
        let client = self.client().await?;
        match ask(&client, user).await {
            Err(Unanswered::Lost(_)) => {
                self.forget(&client).await;
                let client = self.client().await?;
                ask(&client, user).await.map_err(Unanswered::into_fault)
            }
            Err(Unanswered::TooLate(fault)) => {
                self.forget(&client).await; // a connection that hangs is not asked again
                Err(fault)
            }
            answer => answer.map_err(Unanswered::into_fault),
        }
    }

    async fn forget(&self, lost: &Arc<Client>) {
        let mut state = self.0.state.lock().await;
        if state
            .client
            .as_ref()
            .is_some_and(|held| Arc::ptr_eq(held, lost))
        {
            state.client = None;
        }
    }
}

/// Why a question over the control connection has no answer.
enum Unanswered {
    /// the connection is gone, or the server is ending it
    Lost(ServerFault),
    /// no answer in time
    TooLate(ServerFault),
    /// the server answered with an error
    Refused(ServerFault),
}

impl Unanswered {
    fn new(doing: &str, error: &tokio_postgres::Error) -> Self {
        let fault = ServerFault::new(doing, error);
        match &fault.sqlstate {
            Some(state) if !state.starts_with("57P") => Self::Refused(fault),
            Some(_) | None => Self::Lost(fault), // class 57P: the session or the server is shut down
        }
    }

    fn into_fault(self) -> ServerFault {
        match self {
            Self::Lost(fault) | Self::TooLate(fault) | Self::Refused(fault) => fault,
        }
    }
}

async fn ask(client: &Client, user: &UserName) -> Result<StoredLogin, Unanswered> {
    let doing = "reading a login's verifier (pgveil.verifier; has `pgveil setup` been run?)";
    let name = user.as_str();
    let parameters: [(&(dyn ToSql + Sync), Type); 1] = [(&name, Type::TEXT)];
    let asked = client.query_typed_one("SELECT pgveil.verifier($1)", &parameters);
    let stored: Option<String> = timeout(Duration::from_millis(CONTROL_QUERY_TIMEOUT_MS), asked)
        .await
        .map_err(|_| Unanswered::TooLate(out_of_time(doing)))?
        .and_then(|row| row.try_get(0))
        .map_err(|error| Unanswered::new(doing, &error))?;
    Ok(match stored.map(Secret::new) {
        None => StoredLogin::Unknown,
        Some(stored) => match Verifier::parse(stored.expose()) {
            Ok(verifier) => StoredLogin::Scram(verifier),
            Err(_) => match Md5Hash::parse(stored.expose()) {
                Some(hash) => StoredLogin::Md5(hash),
                None => StoredLogin::Unusable,
            },
        },
    })
}

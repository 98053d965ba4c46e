//! Accepts clients and takes each through its life: login, session, end.
//!
//! One task a client. What a login, a session or a cancel means is decided elsewhere; here it is put together,
//! counted and recorded.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::admission::{Admission, Identity, LoginContext};
use super::cancel::{Cancels, Registered};
use super::database::Database;
use super::databases::Databases;
use super::drive::{Conduct, Left, Leg, drive};
use super::listener::{Listeners, Peer};
use super::login::{self, Accepted, LoggedIn, LoginFailure};
use super::record::SessionRecord;
use super::turned_away::{Refused, anonymous, refuse};
use crate::audit::{self, Recorder, Who};
use crate::config::Listen;
use crate::ident::{RoleName, SqlState};
use crate::limits::{ACCEPT_PAUSE_MS, DRAIN_FAREWELL_MS, LOGINS_AT_ONCE_MAX, LOGINS_ENDING_MAX};
use crate::metrics::{LoginOutcome, Metrics};
use crate::session::{Allowed, Session, Settings};
use crate::upstream::socket::Socket;
use crate::upstream::stream::Liveness;
use crate::wire::startup::{CancelKey, Startup};

/// All that serving clients needs, shared by their tasks.
pub struct Service {
    /// what logins are asked and answered
    pub context: LoginContext,
    /// the databases under policies, and the orders sessions follow
    pub databases: Arc<Databases>,
    /// where records go; None without a keyring: nothing is treated then, and nothing recorded
    pub recorder: Option<Recorder>,
    /// where it is counted
    pub metrics: Metrics,
    /// how many clients, and how patient pgveil is with them
    pub listen: Listen,
    cancels: Cancels,
    numbers: AtomicU64,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Service")
    }
}

impl Service {
    /// Puts it together.
    pub fn new(
        context: LoginContext,
        databases: Arc<Databases>,
        (recorder, metrics): (Option<Recorder>, Metrics),
        listen: Listen,
    ) -> Self {
        Self {
            context,
            databases,
            recorder,
            metrics,
            listen,
            cancels: Cancels::default(),
            numbers: AtomicU64::new(1),
        }
    }

    /// Lets nobody in any more, and tells the sessions to end when they are idle.
    pub fn drain(&self) {
        self.context.draining.store(true, Ordering::Relaxed);
        self.databases.drain();
    }

    /// Serves the listener's clients until the databases' orders are to drain, and then until the sessions have
    /// ended, or their time is up. Who comes meanwhile is told why not.
    pub async fn serve(self: &Arc<Self>, listener: Listeners) {
        let sessions = Arc::new(Semaphore::new(self.listen.sessions_max as usize));
        let logins = Arc::new(Semaphore::new(LOGINS_AT_ONCE_MAX + LOGINS_ENDING_MAX));
        let mut drained = std::pin::pin!(self.drained(Arc::clone(&sessions)));
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = &mut drained => return,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Most often no file descriptors are left: others must end first.
                    tracing::warn!(kind = ?error.kind(), "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
                    continue;
                }
            };
            let Ok(login) = Arc::clone(&logins).try_acquire_owned() else {
                continue;
            };
            let (service, sessions) = (Arc::clone(self), Arc::clone(&sessions));
            tokio::spawn(async move { service.client(stream, peer, (login, sessions)).await });
        }
    }

    /// Returns when pgveil is to end and the sessions have ended, by themselves or because their time was up.
    async fn drained(&self, sessions: Arc<Semaphore>) {
        let mut orders = self.databases.orders();
        // A closed channel means that the whole server ends.
        let _ = orders.wait_for(|orders| orders.draining).await;
        let mut all = std::pin::pin!(sessions.acquire_many(self.listen.sessions_max));
        tokio::select! {
            _ = &mut all => return,
            () = tokio::time::sleep(self.listen.drain_timeout) => {}
            _ = orders.wait_for(|orders| orders.ending) => {}
        }
        self.databases.end();
        // Those that have not ended by then end with the runtime.
        let _ = timeout(Duration::from_millis(DRAIN_FAREWELL_MS), all).await;
    }

    /// A client from its first byte to its last.
    async fn client(
        self: Arc<Self>,
        stream: Socket,
        peer: Peer,
        (login, sessions): (OwnedSemaphorePermit, Arc<Semaphore>),
    ) {
        let liveness = Liveness::new(self.listen.keepalive, None);
        if let Socket::Tcp(stream) = &stream
            && liveness.hold(stream).is_err()
        {
            return;
        }
        match login::accept(stream, peer.ip(), &self.context).await {
            Ok(Accepted::Session(logged_in)) => {
                let place = sessions.try_acquire_owned().ok();
                drop(login);
                self.session(*logged_in, peer, place).await;
            }
            Ok(Accepted::Cancel(key, client)) => {
                self.cancel(&key, peer).await;
                drop(client);
            }
            Err(failure) => self.failed(failure, peer).await,
        }
    }

    /// A logged-in client's session.
    async fn session(
        self: Arc<Self>,
        mut logged_in: LoggedIn<Socket>,
        peer: Peer,
        place: Option<OwnedSemaphorePermit>,
    ) {
        let identity = &logged_in.identity;
        let who = Arc::new(Who {
            session: self.numbers.fetch_add(1, Ordering::Relaxed),
            client: peer.to_string(),
            user: Some(identity.user.clone()),
            role: logged_in.admission.role.clone(),
            database: Some(identity.database.clone()),
            application: identity.application.clone(),
        });
        let opened = match place {
            // Draining, it is the sessions' end that has taken the places.
            None if self.databases.is_draining() => Err(Refused::ShuttingDown),
            None => Err(Refused::TooMany),
            Some(place) => self.open(&logged_in, place).await,
        };
        let outcome = opened
            .as_ref()
            .err()
            .map_or(LoginOutcome::Done, Refused::outcome);
        self.metrics.login(logged_in.method, outcome);
        let opened = match opened {
            Ok(opened) => opened,
            Err(refused) => {
                let (sqlstate, message) = refused.told();
                self.record(&who, audit::Kind::Login, Some(sqlstate)).await;
                return refuse(logged_in, sqlstate, &message).await;
            }
        };
        self.record(&who, audit::Kind::Login, None).await;
        let _counted = self.metrics.session();
        if logged_in.welcome(opened.key.key()).await.is_ok() {
            self.run(logged_in, opened, &who).await;
        }
        self.record(&who, audit::Kind::Logout, None).await;
    }

    /// What a session needs before the client is told that it may begin.
    async fn open(
        &self,
        logged_in: &LoggedIn<Socket>,
        place: OwnedSemaphorePermit,
    ) -> Result<Opened, Refused> {
        let database = self.databases.enter(&logged_in.identity.database).await?;
        let secret_bytes = logged_in.cancel_secret_bytes();
        // A server that gave no key has nothing to cancel: this one's stands for none of its sessions.
        let upstream = logged_in.upstream.greeting.key.clone();
        let upstream = upstream.unwrap_or_else(|| CancelKey::new(0, vec![0; 4]));
        let key = self
            .cancels
            .register(upstream, secret_bytes)
            .map_err(|fault| Refused::NotReady(fault.to_string()))?;
        Ok(Opened {
            database,
            key,
            _place: place,
        })
    }

    /// Drives the session to its end.
    async fn run(self: &Arc<Self>, logged_in: LoggedIn<Socket>, opened: Opened, who: &Arc<Who>) {
        let LoggedIn {
            client,
            client_input,
            upstream,
            startup,
            identity,
            admission,
            ..
        } = logged_in;
        let mut client = Leg {
            stream: client,
            input: client_input,
        };
        let mut server = Leg {
            stream: upstream.stream,
            input: upstream.input,
        };
        if startup.asks_for_replication() {
            self.replicate((&mut client, &mut server), &identity, &admission)
                .await;
            return;
        }
        // Taken before the view is: a change in between is then followed at once.
        let orders = self.databases.orders();
        let known = *orders.borrow();
        let Ok(view) = self
            .databases
            .role_view(opened.database.as_ref(), &admission)
        else {
            return;
        };
        let settings = settings(&startup, &upstream.greeting.parameters);
        let allowed = Allowed {
            function_call: admission.function_call,
        };
        let session = Session::new(Arc::new(view), settings, allowed);
        let role = admission.role.clone();
        let role = role.unwrap_or_else(|| RoleName::new("untreated"));
        let recorder = self.recorder.clone();
        let idle_timeout = self.databases.idle_timeout(&identity.database, &admission);
        let conduct = Conduct {
            idle_timeout,
            reread: {
                let databases = Arc::clone(&self.databases);
                let database = opened.database.clone();
                Box::new(move || Box::pin(Arc::clone(&databases).reread(database.clone())))
            },
            record: recorder.map(|recorder| {
                SessionRecord::new(recorder, self.metrics.clone(), Arc::clone(who), role)
            }),
            orders,
            known,
            renew: {
                let databases = Arc::clone(&self.databases);
                let database = opened.database.clone();
                Box::new(move || databases.renewal(&identity, &admission, database.as_ref()))
            },
        };
        if drive(session, client, server, conduct).await == Left::Running {
            // The server would go on, and may commit what the client was told has ended.
            self.cancels
                .cancel(&self.context.target, opened.key.key())
                .await;
        }
        drop(opened);
    }

    /// Relays the replication protocol, until an end closes it or the policy no longer admits the login.
    async fn replicate<C, U>(
        &self,
        (client, server): (&mut Leg<C>, &mut Leg<U>),
        identity: &Identity,
        admission: &Admission,
    ) where
        C: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
        U: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    {
        let barred = async {
            let mut orders = self.databases.orders();
            // A closed channel means that the whole server ends.
            while orders.changed().await.is_ok() {
                if self.databases.admit(identity).as_ref() != Ok(admission) {
                    return;
                }
            }
        };
        tokio::select! {
            () = relay(client, server) => {}
            () = barred => {} // the protocol has no place for words in a stream of its own
        }
    }

    async fn cancel(&self, key: &CancelKey, peer: Peer) {
        let found = self.cancels.cancel(&self.context.target, key).await;
        let who = anonymous(peer, None);
        let sqlstate = (!found).then_some(SqlState::INVALID_AUTHORIZATION);
        self.record(&who, audit::Kind::Cancel, sqlstate).await;
    }

    async fn failed(&self, failure: LoginFailure, peer: Peer) {
        let outcome = failure.fault.outcome();
        self.metrics.login(failure.method, outcome);
        tracing::info!(client = %peer, fault = %failure.fault, "a login failed");
        let Some(recorder) = &self.recorder else {
            return;
        };
        let mut record = audit::Record::new(
            anonymous(peer, failure.named),
            audit::Kind::Login,
            audit::Outcome::Refused,
        );
        record.sqlstate = failure.sqlstate;
        if recorder.record(record).await.is_err() {
            tracing::error!("a failed login could not be recorded");
        }
    }

    /// Records what is not a statement; with a SQLSTATE it was refused.
    async fn record(&self, who: &Arc<Who>, kind: audit::Kind, refused: Option<SqlState>) {
        let Some(recorder) = &self.recorder else {
            return;
        };
        let outcome = match refused {
            None => audit::Outcome::Done,
            Some(_) => audit::Outcome::Refused,
        };
        let mut record = audit::Record::new(Arc::clone(who), kind, outcome);
        record.sqlstate = refused.map(|sqlstate| sqlstate.to_string());
        if recorder.record(record).await.is_err() {
            tracing::error!(session = who.session, "the audit takes no records");
        }
    }
}

/// What a session holds while it lives.
struct Opened {
    database: Option<Arc<Database>>,
    key: Registered,
    _place: OwnedSemaphorePermit,
}

/// What a session's settings are as it begins: what the client asked for, and what the server reported.
fn settings(startup: &Startup, reported: &[(Vec<u8>, Vec<u8>)]) -> Settings {
    let mut settings = Settings::default();
    let said = |name: &[u8]| {
        let value = startup.parameter(name).unwrap_or_default();
        String::from_utf8_lossy(value).into_owned()
    };
    settings.hear_float_digits(&said(b"options"));
    if startup.parameter(b"extra_float_digits").is_some() {
        let value = said(b"extra_float_digits");
        settings.hear_float_digits(&format!("extra_float_digits={value}"));
    }
    for (name, value) in reported {
        settings.report(name, value);
    }
    settings
}

/// The replication protocol, for those whom the policy names for it: both sides' bytes as they are.
async fn relay<C, U>(client: &mut Leg<C>, server: &mut Leg<U>)
where
    C: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    U: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let first = async {
        server.stream.write_all(&client.input).await?;
        client.stream.write_all(&server.input).await
    };
    if first.await.is_ok() {
        // How such a connection ends is for its two ends to know.
        let _ = tokio::io::copy_bidirectional(&mut client.stream, &mut server.stream).await;
    }
}

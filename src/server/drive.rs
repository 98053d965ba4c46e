//! Performs what a session decides: reads and writes both sides, and has each event on record first.
//!
//! One task a connection. While one side does not take what is due to it, the other is not read. It knows no
//! message: bytes go into the session and come out of it.

mod spare;
mod transfer;

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::time::timeout;

use self::transfer::{receive, send};
use crate::ident::SqlState;
use crate::limits::{FAREWELL_TIMEOUT_MS, READ_BYTES, UNSENT_BYTES_MAX};
use crate::session::{End, Ending, Event, Session, Veil};
use crate::wire::client::TERMINATE;

/// Puts events on record, in order.
pub trait Record {
    /// Returns once the event is with the writer.
    ///
    /// # Errors
    /// When it cannot be recorded: the session then ends.
    fn record(&mut self, event: Event) -> impl Future<Output = Result<(), Unrecorded>> + Send;
}

/// Without a keyring there is no audit, and nothing treated to record.
impl<R: Record + Send> Record for Option<R> {
    async fn record(&mut self, event: Event) -> Result<(), Unrecorded> {
        match self {
            Some(record) => record.record(event).await,
            None => Ok(()),
        }
    }
}

/// An event could not be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the audit does not take records")]
pub struct Unrecorded;

/// What the server tells all its sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Orders {
    /// counts up when policy, catalog or keys changed
    pub epoch: u64,
    /// whether sessions are to end as soon as they are idle
    pub draining: bool,
    /// whether they are to end now, whatever they do
    pub ending: bool,
}

/// What becomes of a session when policy, catalog or keys changed.
pub enum Renewal<V> {
    /// it goes on with this view, and may be idle for so long
    Follow(Arc<V>, Option<Duration>),
    /// it ends: its login is no longer admitted
    Cut,
}

/// Asks what becomes of the session now.
pub type Renew<V> = dyn Fn() -> Renewal<V> + Send + Sync;

/// Has the catalog read again; false when that could not be done.
pub type Reread = dyn Fn() -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync;

/// One side of a session: the stream, and what was read from it and not yet taken.
pub struct Leg<S> {
    /// the stream
    pub stream: S,
    /// read and not yet taken
    pub input: BytesMut,
}

/// What a session is driven with.
pub struct Conduct<V, R> {
    /// where events go
    pub record: R,
    /// what the server tells its sessions
    pub orders: watch::Receiver<Orders>,
    /// what they were when the session's view was made
    pub known: Orders,
    /// asked when the epoch changed
    pub renew: Box<Renew<V>>,
    /// asked when the session has changed the catalog
    pub reread: Box<Reread>,
    /// how long the session may be idle outside a transaction
    pub idle_timeout: Option<Duration>,
}

/// What the server was left with when a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// nothing to do
    Idle,
    /// a statement that still runs, of a session that pgveil has ended
    Running,
}

/// Why the loop ended on the outside.
enum Outside {
    /// nothing: go on
    Work,
    /// the client closed its side
    ClientGone,
    /// the server closed
    UpstreamGone,
    /// the server's orders changed
    Orders,
    /// the session has been idle for too long
    Idle,
}

/// Drives a session to its end.
pub async fn drive<C, U, V, R>(
    mut session: Session<V>,
    mut client: Leg<C>,
    mut upstream: Leg<U>,
    mut conduct: Conduct<V, R>,
) -> Left
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
    V: Veil,
    R: Record,
{
    let mut client_gone = false;
    let mut told = false;
    let mut idle = Idle::default();
    follow(&mut session, &mut conduct, true);
    loop {
        advance(&mut session, &mut client.input, &mut upstream.input);
        if perform(&mut session, &mut conduct.record).await.is_err() {
            session.dismiss(
                SqlState("58030"),
                "the audit takes no records, and no statement runs unrecorded",
                Instant::now(),
            );
        }
        if session.awaits_catalog() {
            reread(&mut session, &conduct.reread).await;
            follow(&mut session, &mut conduct, told);
            continue;
        }
        follow(&mut session, &mut conduct, told);
        session.hand_over(Instant::now());
        told = false;
        if session.end().is_some() || (client_gone && !session.awaits_server()) {
            break;
        }
        let idle_until = idle.until(&session, conduct.idle_timeout);
        let waited = turn(
            &mut session,
            (&mut client, client_gone),
            &mut upstream,
            (&mut conduct.orders, idle_until),
        );
        match waited.await {
            Ok(Outside::Work) => {}
            Ok(Outside::Idle) => session.dismiss(
                SqlState::IDLE_SESSION_TIMEOUT,
                "terminating connection due to idle-session timeout",
                Instant::now(),
            ),
            Ok(Outside::Orders) => told = true,
            Ok(Outside::ClientGone) => client_gone = true,
            Ok(Outside::UpstreamGone) => session.dismiss(
                SqlState::CONNECTION_FAILURE,
                "the server closed the connection",
                Instant::now(),
            ),
            Err(_) => break,
        }
    }
    let left = match session.end() {
        Some(End::Stopped) if session.left_server_busy() => Left::Running,
        Some(End::Stopped | End::Terminated | End::Upstream) | None => Left::Idle,
    };
    session.abandon(Ending::Lost, Instant::now());
    // Whether these are taken can change nothing any more.
    let _ = perform(&mut session, &mut conduct.record).await;
    part(session, client.stream, upstream.stream).await;
    left
}

/// Since when a session has been idle: from the answer to its last statement on, whatever the server tells it
/// meanwhile.
#[derive(Default)]
struct Idle(Option<Instant>);

impl Idle {
    /// When the session will have been idle for too long.
    fn until<V: Veil>(
        &mut self,
        session: &Session<V>,
        timeout: Option<Duration>,
    ) -> Option<Instant> {
        if !session.is_idle() {
            self.0 = None;
            return None;
        }
        let since = *self.0.get_or_insert_with(Instant::now);
        since.checked_add(timeout?)
    }
}

/// Has the catalog read again after the session has changed it. Its client hears that the change is done when pgveil
/// knows it too, and nothing that it sends is read before.
async fn reread<V: Veil>(session: &mut Session<V>, read: &Reread) {
    if !read().await {
        session.dismiss(
            SqlState::NOT_IN_PREREQUISITE_STATE,
            "the catalog was changed and cannot be read again now: connect again",
            Instant::now(),
        );
    }
    session.catalog_read();
}

/// Takes the server's orders over: a new policy, or the end.
fn follow<V: Veil, R>(session: &mut Session<V>, conduct: &mut Conduct<V, R>, told: bool) {
    if told || conduct.orders.has_changed().unwrap_or(false) {
        let orders = *conduct.orders.borrow_and_update();
        let before = std::mem::replace(&mut conduct.known, orders);
        if orders.epoch != before.epoch {
            match (conduct.renew)() {
                Renewal::Follow(veil, idle_timeout) => {
                    conduct.idle_timeout = idle_timeout;
                    session.renew(veil);
                }
                Renewal::Cut => session.dismiss(
                    SqlState::ADMIN_SHUTDOWN,
                    "terminating connection: the policy no longer admits this login",
                    Instant::now(),
                ),
            }
        }
    }
    if conduct.known.ending || (conduct.known.draining && session.is_idle()) {
        session.dismiss(
            SqlState::ADMIN_SHUTDOWN,
            "terminating connection: pgveil is shutting down",
            Instant::now(),
        );
    }
}

/// Lets the session take what has come, as long as the other side takes what it makes of it.
fn advance<V: Veil>(session: &mut Session<V>, client: &mut BytesMut, upstream: &mut BytesMut) {
    let now = Instant::now();
    if !upstream.is_empty() && session.to_client().len() < UNSENT_BYTES_MAX {
        session.upstream(upstream, now);
    }
    let held = session.is_held() || session.awaits_catalog();
    if !client.is_empty() && !held && session.to_upstream().len() < UNSENT_BYTES_MAX {
        session.client(client, now);
    }
}

async fn perform<V: Veil, R: Record>(
    session: &mut Session<V>,
    record: &mut R,
) -> Result<(), Unrecorded> {
    if session.events().is_empty() {
        return Ok(());
    }
    let mut events = std::mem::take(session.events());
    for event in events.drain(..) {
        record.record(event).await?;
    }
    *session.events() = events;
    Ok(())
}

/// Waits until something can be done on either side, and does it.
async fn turn<C, U, V>(
    session: &mut Session<V>,
    (client, client_gone): (&mut Leg<C>, bool),
    upstream: &mut Leg<U>,
    (orders, idle_until): (&mut watch::Receiver<Orders>, Option<Instant>),
) -> io::Result<Outside>
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
    V: Veil,
{
    let mut changed = std::pin::pin!(orders.changed());
    let mut idle = std::pin::pin!(idle_until.map(|at| tokio::time::sleep_until(at.into())));
    poll_fn(|cx| {
        let Ok(mut moved) = send(cx, &mut upstream.stream, session.to_upstream()) else {
            return Poll::Ready(Ok(Outside::UpstreamGone));
        };
        moved |= send(cx, &mut client.stream, session.to_client())?;
        let room = session.to_client().len() < UNSENT_BYTES_MAX;
        if room {
            match receive(cx, upstream) {
                Ok(Some(0)) | Err(_) => return Poll::Ready(Ok(Outside::UpstreamGone)),
                Ok(received) => moved |= received.is_some(),
            }
        }
        let room = session.to_upstream().len() < UNSENT_BYTES_MAX;
        let waits = session.is_held() && client.input.len() >= READ_BYTES;
        if room && !waits && !client_gone {
            match receive(cx, client)? {
                Some(0) => return Poll::Ready(Ok(Outside::ClientGone)),
                received => moved |= received.is_some(),
            }
        }
        if moved {
            return Poll::Ready(Ok(Outside::Work));
        }
        // A closed channel means that the whole server ends; sessions then end by themselves.
        match changed.as_mut().poll(cx) {
            Poll::Ready(Ok(())) => return Poll::Ready(Ok(Outside::Orders)),
            Poll::Ready(Err(_)) | Poll::Pending => {}
        }
        match idle.as_mut().as_pin_mut().map(|idle| idle.poll(cx)) {
            Some(Poll::Ready(())) => return Poll::Ready(Ok(Outside::Idle)),
            Some(Poll::Pending) | None => {}
        }
        // Most sessions wait for their client most of the time.
        if let Some(buffers) = session.idle_buffers() {
            let inputs = [&mut client.input, &mut upstream.input];
            buffers.into_iter().chain(inputs).for_each(spare::put);
        }
        Poll::Pending
    })
    .await
}

/// Sends what is left to both sides, within a short time, and closes them.
async fn part<V, C, U>(mut session: Session<V>, mut client: C, mut upstream: U)
where
    V: Veil,
    C: AsyncWrite + Unpin,
    U: AsyncWrite + Unpin,
{
    let end = session.end();
    let to_client = std::mem::take(session.to_client());
    let mut to_upstream = std::mem::take(session.to_upstream());
    match end {
        // Its bytes end with the client's own Terminate.
        Some(End::Terminated) => {}
        // What was not sent before a stop is not sent after it.
        Some(End::Stopped) | None => {
            to_upstream.clear();
            to_upstream.extend_from_slice(TERMINATE);
        }
        Some(End::Upstream) => to_upstream.clear(),
    }
    let limit = Duration::from_millis(FAREWELL_TIMEOUT_MS);
    let to_client = async {
        let _ = client.write_all(&to_client).await;
        let _ = client.shutdown().await;
    };
    let to_upstream = async {
        let _ = upstream.write_all(&to_upstream).await;
        let _ = upstream.shutdown().await;
    };
    // The peers may be gone already, or not reading: either way the connection ends here.
    let _ = tokio::join!(timeout(limit, to_client), timeout(limit, to_upstream));
}

#[cfg(test)]
mod tests;

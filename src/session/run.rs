//! What each message of the client becomes: its own bytes, a plan's, or a message that fails in its place.
//!
//! The pipeline of a text: settle → analyse → fill → record → send. It knows no socket; what is to be done
//! stands in the session's outgoing buffers and events when a call returns.

use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;

use super::Veil;
use super::catalog::Changes;
use super::event::{Ending, Event, Subject};
use super::pending::{Expected, Pending};
use super::prepared::{Names, Portal, Statement};
use super::report::Fatal;
use super::settle::{Settings, Text, Window};
use super::texts::refusal;
use crate::ident::SqlState;
use crate::limits::PIPELINE_REPLIES_MAX;
use crate::statement::plan::Plan;
use crate::wire::client::{self, FLUSH};
use crate::wire::frame::{HEAD_BYTES, Sender, head};

/// What the policy allows a role beyond statements.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allowed {
    /// the FunctionCall message
    pub function_call: bool,
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// the client sent Terminate, which has been passed on
    Terminated,
    /// the server reported a fatal error, and will close
    Upstream,
    /// pgveil ended it: the client is told, the server gets a Terminate
    Stopped,
}

/// One client connection after login.
pub struct Session<V> {
    pub(super) veil: Arc<V>,
    /// takes its place as soon as no reply is due
    next_veil: Option<Arc<V>>,
    pub(super) settings: Settings,
    allowed: Allowed,
    pub(super) pending: Pending,
    pub(super) statements: Names<Statement>,
    pub(super) portals: Names<Portal>,
    pub(super) window: Window,
    /// what its statements changed in the catalog
    pub(super) changes: Changes,
    /// counts the pipelines: up with each Sync and Query
    pub(super) pipeline: u64,
    /// the server skips what comes until the next Sync
    pub(super) skipping: bool,
    /// the server takes COPY data
    pub(super) copying: bool,
    /// there once a statement of this transaction met treated attributes: whether the role sees all of them plain
    pub(super) touched: Option<bool>,
    /// the transaction status last reported: `I`, `T` or `E`
    pub(super) status: u8,
    /// the next client message waits for a reply
    held: bool,
    /// bytes of a client's CopyData that are still to pass
    client_passing: usize,
    /// bytes of a server's row or CopyData that are still to pass
    pub(super) upstream_passing: usize,
    pub(super) scratch: BytesMut,
    numbers: u64,
    /// when the server last completed a statement
    pub(super) answered: Option<Instant>,
    pub(super) events: Vec<Event>,
    pub(super) to_client: BytesMut,
    pub(super) to_upstream: BytesMut,
    pub(super) end: Option<End>,
    /// replies were due when pgveil ended it
    pub(super) left_busy: bool,
}

/// What becomes of a message.
pub(super) enum Flow {
    /// its own bytes go on
    Pass,
    /// what lies in `scratch` goes in its place (nothing, if that is empty)
    Replace,
    /// it waits; what lies in `scratch` goes first
    Hold,
}

impl<V: Veil> Session<V> {
    /// A session whose login has ended with these reported settings.
    pub fn new(veil: Arc<V>, settings: Settings, allowed: Allowed) -> Self {
        Self {
            veil,
            next_veil: None,
            settings,
            allowed,
            pending: Pending::default(),
            statements: Names::default(),
            portals: Names::default(),
            window: Window::default(),
            changes: Changes::default(),
            pipeline: 0,
            skipping: false,
            copying: false,
            touched: None,
            status: b'I',
            held: false,
            client_passing: 0,
            upstream_passing: 0,
            scratch: BytesMut::new(),
            numbers: 0,
            answered: None,
            events: Vec::new(),
            to_client: BytesMut::new(),
            to_upstream: BytesMut::new(),
            end: None,
            left_busy: false,
        }
    }

    /// Takes another version of policy and catalog, as soon as no reply is due: a result is shown by what its
    /// statement was analysed under. What was prepared is analysed again when it is next used.
    pub fn renew(&mut self, veil: Arc<V>) {
        self.next_veil = Some(veil);
        self.take_next_veil();
    }

    fn take_next_veil(&mut self) {
        if self.pending.is_empty()
            && let Some(veil) = self.next_veil.take()
        {
            self.veil = veil;
        }
    }

    /// The bytes to be sent to the client; the caller takes away what it has sent.
    pub fn to_client(&mut self) -> &mut BytesMut {
        &mut self.to_client
    }

    /// The bytes to be sent to the server, after the events so far are recorded.
    pub fn to_upstream(&mut self) -> &mut BytesMut {
        &mut self.to_upstream
    }

    /// The caller hands the bytes due to the server over now.
    pub fn hand_over(&mut self, now: Instant) {
        self.pending.hand_over(now);
    }

    /// What the audit must know, in order; the caller takes it.
    pub fn events(&mut self) -> &mut Vec<Event> {
        &mut self.events
    }

    /// Whether and how the session has ended; its outgoing bytes are still to be sent.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// Whether client messages wait for replies of the server.
    pub fn is_held(&self) -> bool {
        self.held
    }

    /// Whether no reply is due and no transaction is open: the moment at which a session may be ended without loss.
    pub fn is_idle(&self) -> bool {
        self.pending.is_empty() && self.status == b'I'
    }

    /// Whether the server will still answer something although the client sends nothing more.
    pub fn awaits_server(&self) -> bool {
        self.pending.ready_awaited() && !self.copying
    }

    /// While no reply is due, the buffers that are then mostly empty; None while one is due.
    pub fn idle_buffers(&mut self) -> Option<[&mut BytesMut; 3]> {
        self.pending.is_empty().then_some([
            &mut self.scratch,
            &mut self.to_client,
            &mut self.to_upstream,
        ])
    }

    /// Takes what it can of the client's bytes; what it leaves comes first at the next call.
    pub fn client(&mut self, input: &mut BytesMut, now: Instant) {
        let bytes = std::mem::take(input);
        let (mut at, mut run) = (self.client_passing.min(bytes.len()), 0);
        self.client_passing -= at;
        while !self.held && self.end.is_none() {
            let head = match head(&bytes[at..], Sender::Client) {
                Ok(Some(head)) => head,
                Ok(None) => break,
                Err(fault) => {
                    self.stop(fault.into(), now);
                    break;
                }
            };
            let there = bytes.len() - at;
            if head.frame_bytes > there {
                if head.tag == b'd' && self.copying {
                    self.client_passing = head.frame_bytes - there;
                    at = bytes.len();
                }
                break;
            }
            let end = at + head.frame_bytes;
            match self.client_frame(head.tag, &bytes[at..end], now) {
                Ok(Flow::Pass) => at = end,
                Ok(Flow::Replace) => {
                    self.to_upstream.extend_from_slice(&bytes[run..at]);
                    self.to_upstream.extend_from_slice(&self.scratch);
                    self.scratch.clear();
                    (at, run) = (end, end);
                }
                Ok(Flow::Hold) => {
                    self.held = true;
                    self.to_upstream.extend_from_slice(&bytes[run..at]);
                    self.to_upstream.extend_from_slice(&self.scratch);
                    self.scratch.clear();
                    run = at;
                }
                Err(fatal) => {
                    self.stop(fatal, now);
                    break;
                }
            }
            if self.skipping {
                self.discard_skipped(now);
            }
        }
        *input = forward(&mut self.to_upstream, bytes, run, at);
    }

    /// A reply came that held messages may have waited for.
    pub(super) fn wake(&mut self) {
        self.held = false;
    }

    fn client_frame(&mut self, tag: u8, frame: &[u8], now: Instant) -> Result<Flow, Fatal> {
        let body = &frame[HEAD_BYTES..];
        if self.copying && !matches!(tag, b'd' | b'c' | b'f' | b'H' | b'S' | b'X') {
            return Err(Fatal::of_client(
                "unexpected message type during COPY from stdin",
            ));
        }
        self.take_next_veil();
        let renews = matches!(tag, b'Q' | b'P' | b'B' | b'E')
            && (self.next_veil.is_some() || self.catalog_awaited());
        let full = self.pending.len() >= PIPELINE_REPLIES_MAX && tag != b'X';
        if !self.copying && (renews || full) {
            self.scratch.extend_from_slice(FLUSH);
            return Ok(Flow::Hold);
        }
        match tag {
            b'Q' => self.query(body, now),
            b'P' => self.parse(body, now),
            b'B' => self.bind(frame, now),
            b'D' => self.describe(body),
            b'E' => self.execute(frame, now),
            b'C' => self.close(body),
            b'S' => {
                client::empty(body)?;
                if !self.copying {
                    self.skipping = false;
                    let pipeline = self.close_pipeline();
                    self.pending.push(Expected::Sync(pipeline));
                }
                Ok(Flow::Pass)
            }
            b'H' => Ok(Flow::Pass),
            b'X' => {
                self.end = Some(End::Terminated);
                self.abandon(Ending::Lost, now);
                Ok(Flow::Pass)
            }
            b'd' | b'c' | b'f' => Ok(self.copy_data(tag)),
            b'F' if self.allowed.function_call => {
                let pipeline = self.close_pipeline();
                self.pending.push(Expected::Call(pipeline));
                Ok(Flow::Pass)
            }
            b'F' => {
                let refusal = refusal(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    "the function call message is not allowed for this role",
                    "Call the function by a SELECT, or name the role's `allow: [function_call]` in the policy.",
                );
                self.refuse_query("", &refusal, now)
            }
            _ => Err(Fatal::of_client(format!(
                "invalid frontend message type {tag}"
            ))),
        }
    }

    /// COPY data passes while the server takes it; data that comes early waits, and late data is dropped as the
    /// server would drop it.
    fn copy_data(&mut self, tag: u8) -> Flow {
        if self.copying {
            self.copying = tag == b'd';
            return Flow::Pass;
        }
        if self.pending.is_empty() {
            return Flow::Replace;
        }
        if !self.pending.ready_awaited() {
            self.scratch.extend_from_slice(FLUSH);
        }
        Flow::Hold
    }

    /// Ends the pipeline that is being sent; answers its number.
    pub(super) fn close_pipeline(&mut self) -> u64 {
        self.window.close();
        self.pipeline += 1;
        self.pipeline - 1
    }

    /// A subject with a number of its own.
    pub(super) fn subject(&mut self, text: &Arc<Text>, plan: Option<&Arc<Plan>>) -> Subject {
        self.numbers += 1;
        Subject::new(self.numbers, text, plan)
    }

    /// A subject that shows no literal of its text.
    pub(super) fn redacted_subject(&mut self, text: &str) -> Subject {
        self.numbers += 1;
        Subject::redacted(self.numbers, self.veil.redact(text))
    }

    /// The server skips everything until the next Sync: nothing that was sent since is answered.
    pub(super) fn discard_skipped(&mut self, now: Instant) {
        while let Some(skipped) = self.pending.pop_back_unless_sync() {
            self.skip(skipped, now);
        }
    }

    /// Records that the server skipped what was sent: what it would have changed stays as it was.
    pub(super) fn skip(&mut self, skipped: Expected, now: Instant) {
        if let Expected::Query(_, pipeline) | Expected::Call(pipeline) = skipped {
            self.statements.settle(pipeline);
            self.portals.settle(pipeline);
        }
        if let Expected::Query(mut exchange, _) | Expected::Execute(mut exchange) = skipped {
            let ending = (Ending::Skipped, Ending::Skipped);
            exchange.end_all(ending, None, now, &mut self.events);
        }
    }
}

/// Moves `bytes[run..at]` behind `out`, and answers what follows. A buffer that passes as a whole is handed
/// over, not copied.
pub(super) fn forward(out: &mut BytesMut, mut bytes: BytesMut, run: usize, at: usize) -> BytesMut {
    if run == 0 && at > 0 && out.is_empty() {
        let mut rest = std::mem::replace(out, bytes);
        rest.extend_from_slice(&out[at..]);
        out.truncate(at);
        return rest;
    }
    out.extend_from_slice(&bytes[run..at]);
    bytes::Buf::advance(&mut bytes, at);
    bytes
}

//! How a session ends without its client asking for it: by a fault, by the server's loss, by an order from outside.

use std::time::Instant;

use super::Veil;
use super::event::Ending;
use super::pending::Expected;
use super::report::Fatal;
use super::run::{End, Session};
use crate::ident::SqlState;
use crate::wire::upstream::put_error;

impl<V: Veil> Session<V> {
    /// Ends the session with an error to the client.
    pub(super) fn stop(&mut self, fatal: Fatal, now: Instant) {
        if self.end.is_some() {
            return;
        }
        if self.upstream_passing == 0 {
            let texts = (fatal.message.as_str(), fatal.hint);
            put_error(&mut self.to_client, "FATAL", fatal.sqlstate, texts, None);
        }
        self.end = Some(End::Stopped);
        self.left_busy = !self.pending.is_empty();
        let sqlstate = <[u8; 5]>::try_from(fatal.sqlstate.0.as_bytes()).ok();
        if let Some(Expected::Query(exchange, _) | Expected::Execute(exchange)) =
            self.pending.head()
        {
            let ending = (Ending::Stopped, Ending::Skipped);
            exchange.end_all(ending, sqlstate, now, &mut self.events);
        }
        self.abandon(Ending::Lost, now);
    }

    /// The connection is gone, or the session is to end: records how what still runs has ended.
    pub fn abandon(&mut self, ending: Ending, now: Instant) {
        while let Some(expected) = self.pending.pop() {
            if let Expected::Query(mut exchange, _) | Expected::Execute(mut exchange) = expected {
                exchange.end_all((ending, ending), None, now, &mut self.events);
            }
        }
    }

    /// Ends the session from outside (drain, policy): the client is told why.
    pub fn dismiss(&mut self, sqlstate: SqlState, message: &str, now: Instant) {
        let fatal = Fatal {
            sqlstate,
            message: message.to_owned(),
            hint: "",
        };
        self.stop(fatal, now);
    }

    /// Whether the server was still at work when pgveil ended the session.
    pub fn left_server_busy(&self) -> bool {
        self.left_busy
    }
}

//! The server's messages: each must be the reply that is due, and is checked before it passes.
//!
//! The server is not trusted: what is not due, or is malformed, ends the session with 08P01.

use std::time::Instant;

use bytes::BytesMut;

use super::Veil;
use super::event::{Ending, Event, StatementEnd};
use super::pending::{Exchange, Expected};
use super::report::Fatal;
use super::run::{Flow, Session, forward};
use crate::limits::PIPELINE_REPLIES_MAX;
use crate::wire::client::empty;
use crate::wire::frame::{HEAD_BYTES, Sender, head};
use crate::wire::upstream::{command_complete, parameter_status, ready_for_query, rows_of};

impl<V: Veil> Session<V> {
    /// Takes what it can of the server's bytes; what it leaves comes first at the next call.
    pub fn upstream(&mut self, input: &mut BytesMut, now: Instant) {
        let bytes = std::mem::take(input);
        let (mut at, mut run) = (self.upstream_passing.min(bytes.len()), 0);
        self.upstream_passing -= at;
        while self.end.is_none() {
            let head = match head(&bytes[at..], Sender::Upstream) {
                Ok(Some(head)) => head,
                Ok(None) => break,
                Err(_) => {
                    self.to_client.extend_from_slice(&bytes[run..at]);
                    run = at;
                    self.stop(Fatal::of_upstream(), now);
                    break;
                }
            };
            let there = bytes.len() - at;
            if head.frame_bytes > there {
                if self.passes_in_part(head.tag) {
                    self.upstream_passing = head.frame_bytes - there;
                    at = bytes.len();
                }
                break;
            }
            let end = at + head.frame_bytes;
            match self.upstream_frame(head.tag, &bytes[at + HEAD_BYTES..end], now) {
                Ok(Flow::Pass) => at = end,
                Ok(Flow::Replace | Flow::Hold) => {
                    self.to_client.extend_from_slice(&bytes[run..at]);
                    self.to_client.extend_from_slice(&self.scratch);
                    self.scratch.clear();
                    (at, run) = (end, end);
                }
                Err(fatal) => {
                    self.to_client.extend_from_slice(&bytes[run..at]);
                    run = at;
                    self.scratch.clear();
                    self.stop(fatal, now);
                    break;
                }
            }
        }
        *input = forward(&mut self.to_client, bytes, run, at);
    }

    /// Whether a row or COPY data may pass before all of it is there; the row is counted then.
    fn passes_in_part(&mut self, tag: u8) -> bool {
        let Some(Expected::Query(exchange, _) | Expected::Execute(exchange)) = self.pending.head()
        else {
            return false;
        };
        let passes = match tag {
            b'D' => exchange.row.is_none() && exchange.refused.is_none() && !exchange.failed,
            b'd' => may_copy(exchange),
            _ => false,
        };
        exchange.rows += u64::from(passes && tag == b'D');
        passes
    }

    fn upstream_frame(&mut self, tag: u8, body: &[u8], now: Instant) -> Result<Flow, Fatal> {
        match tag {
            b'D' => return self.data_row(body),
            b'S' => {
                let (name, value) = parameter_status(body).map_err(violation)?;
                self.settings.report(name, value);
                return Ok(Flow::Pass);
            }
            b'A' => return Ok(Flow::Pass),
            b'N' => return self.notice(body),
            b'E' => return self.error(body, now),
            b'Z' => return self.ready(body),
            _ => {}
        }
        let head = self.pending.head().ok_or_else(Fatal::of_upstream)?;
        match (tag, head) {
            (b'T', Expected::Query(..) | Expected::Execute(_)) => self.result_description(body),
            (b'T', Expected::DescribeStatement(_)) => self.statement_description(body),
            (b'T', Expected::DescribePortal { .. }) => self.portal_description(body),
            (b'C', Expected::Query(..) | Expected::Execute(_)) => {
                let tag = command_complete(body).map_err(violation)?;
                self.complete(Some(tag), Ending::Done, now)
            }
            (b'I', Expected::Query(..) | Expected::Execute(_)) => {
                empty(body).map_err(violation)?;
                self.complete(None, Ending::Done, now)
            }
            (b's', Expected::Execute(_)) => {
                empty(body).map_err(violation)?;
                self.complete(None, Ending::Suspended, now)
            }
            (b'1' | b'2' | b'3', _) => self.acknowledge(tag, body),
            (b't', Expected::DescribeStatement(_)) => self.parameter_types(body),
            (b'n', Expected::DescribeStatement(_) | Expected::DescribePortal { .. }) => {
                empty(body).map_err(violation)?;
                self.no_data()
            }
            (b'G', Expected::Query(e, _) | Expected::Execute(e)) if may_copy(e) => {
                self.copying = true;
                self.pending.drop_syncs_behind_head();
                self.wake();
                Ok(Flow::Pass)
            }
            (b'H' | b'd' | b'c', Expected::Query(e, _) | Expected::Execute(e)) if may_copy(e) => {
                Ok(Flow::Pass)
            }
            (b'V', Expected::Call(_)) => Ok(Flow::Pass),
            _ => Err(Fatal::of_upstream()),
        }
    }

    fn data_row(&mut self, body: &[u8]) -> Result<Flow, Fatal> {
        let Some(Expected::Query(exchange, _) | Expected::Execute(exchange)) = self.pending.head()
        else {
            return Err(Fatal::of_upstream());
        };
        if exchange.refused.is_some() || exchange.failed {
            return Err(Fatal::of_upstream());
        }
        exchange.rows += 1;
        let Some(row) = &exchange.row else {
            return Ok(Flow::Pass);
        };
        let text = &self.settings.text;
        exchange.opened += row.write(body, &*self.veil, text, &mut self.scratch)?;
        Ok(Flow::Replace)
    }

    /// ParseComplete, BindComplete, CloseComplete: a name now means what was said.
    fn acknowledge(&mut self, tag: u8, body: &[u8]) -> Result<Flow, Fatal> {
        empty(body).map_err(violation)?;
        match (tag, self.pending.pop()) {
            (b'1', Some(Expected::Parse(name, statement))) => {
                self.statements.confirm(&name, Some(statement));
            }
            (b'2', Some(Expected::Bind(name, portal))) => self.portals.confirm(&name, portal),
            (b'3', Some(Expected::CloseStatement(name))) => self.statements.confirm(&name, None),
            (b'3', Some(Expected::ClosePortal(name))) => self.portals.confirm(&name, None),
            _ => return Err(Fatal::of_upstream()),
        }
        self.rest();
        Ok(Flow::Pass)
    }

    /// CommandComplete, EmptyQueryResponse or PortalSuspended.
    fn complete(
        &mut self,
        tag: Option<&[u8]>,
        ending: Ending,
        now: Instant,
    ) -> Result<Flow, Fatal> {
        self.copying = false;
        let Some(Expected::Query(exchange, _) | Expected::Execute(exchange)) = self.pending.head()
        else {
            return Err(Fatal::of_upstream());
        };
        // A result more than the text has statements would be on record without a beginning.
        if exchange.refused.is_some() || exchange.failed || exchange.is_complete() {
            return Err(Fatal::of_upstream());
        }
        exchange.preceded = self.answered.replace(now);
        let change = exchange.text.change(|name| self.veil.is_relation(name));
        self.changes.completed(change);
        let end = exchange.end(ending, now);
        let relations = end.subject.relations();
        if !relations.is_empty() {
            let sees_plain = self.veil.sees_plain(relations);
            self.touched = Some(self.touched.unwrap_or(true) && sees_plain);
        }
        let rows = tag.map_or(end.rows, rows_of).max(end.rows);
        self.events.push(Event::End(StatementEnd { rows, ..end }));
        exchange.index += 1;
        exchange.row = None;
        if matches!(tag, Some(b"DISCARD ALL" | b"DEALLOCATE ALL")) {
            self.statements.forget();
        }
        if matches!(self.pending.head(), Some(Expected::Execute(_))) {
            self.pending.pop();
            self.rest();
        }
        Ok(Flow::Pass)
    }

    fn ready(&mut self, body: &[u8]) -> Result<Flow, Fatal> {
        let status = ready_for_query(body).map_err(violation)?;
        let pipeline = match self.pending.pop() {
            Some(Expected::Query(exchange, pipeline)) => {
                if exchange.refused.is_some() && !exchange.failed {
                    return Err(Fatal::of_upstream());
                }
                self.statements.confirm(b"", None);
                self.portals.confirm(b"", None);
                pipeline
            }
            Some(Expected::Sync(pipeline) | Expected::Call(pipeline)) => pipeline,
            _ => return Err(Fatal::of_upstream()),
        };
        self.copying = false;
        self.status = status;
        self.changes.ready(status == b'I');
        self.statements.settle(pipeline);
        self.portals.settle(pipeline);
        if status == b'I' {
            // Every portal that pgveil knows ends with its transaction.
            self.portals.forget();
            self.touched = None;
        }
        if !self.pending.ready_awaited() {
            self.window.settle();
        }
        self.wake();
        Ok(Flow::Pass)
    }

    /// After a reply was taken: whether messages that wait may go on.
    pub(super) fn rest(&mut self) {
        if self.pending.is_empty() || self.pending.len() == PIPELINE_REPLIES_MAX / 2 {
            self.wake();
        }
    }
}

pub(super) fn violation(_: crate::wire::message::MessageFault) -> Fatal {
    Fatal::of_upstream()
}

/// COPY passes where the statement that replies meets nothing treated.
fn may_copy(exchange: &Exchange) -> bool {
    let touched = exchange.plan.as_deref().is_some_and(|plan| {
        let statement = plan.statements().get(exchange.index);
        statement.is_none_or(|s| !s.relations.is_empty())
    });
    !touched && exchange.refused.is_none() && !exchange.failed
}

//! The server's messages: each must be the reply that is due, and is checked before it passes.
//!
//! The server is not trusted: what is not due, or is malformed, ends the session with 08P01.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::BytesMut;

use super::Veil;
use super::event::{Ending, Event, StatementEnd};
use super::pending::{Exchange, Expected};
use super::prepared::{Portal, Statement};
use super::report::{Fatal, Touched, write_touched};
use super::rows::{Breach, RowMap, check, write_description};
use super::run::{End, Flow, Session, forward};
use crate::limits::PIPELINE_REPLIES_MAX;
use crate::statement::plan::{ColumnPlan, Plan};
use crate::wire::client::empty;
use crate::wire::frame::{HEAD_BYTES, Sender, head};
use crate::wire::upstream::{
    Report, RowDescription, command_complete, parameter_description, parameter_status, put_error,
    ready_for_query, rows_of, write_parameter_description,
};

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

    /// A RowDescription inside results: of a simple query's statement.
    fn result_description(&mut self, body: &[u8]) -> Result<Flow, Fatal> {
        let Some(Expected::Query(exchange, _)) = self.pending.head() else {
            return Err(Fatal::of_upstream());
        };
        let plan = exchange.plan.clone();
        let columns = plan.as_deref().and_then(|p| columns_of(p, exchange.index));
        exchange.row = columns
            .and_then(|c| RowMap::new(c, &[], false))
            .map(Arc::new);
        self.describe_columns(body, columns, None)
    }

    fn statement_description(&mut self, body: &[u8]) -> Result<Flow, Fatal> {
        let Some(Expected::DescribeStatement(statement)) = self.pending.pop() else {
            return Err(Fatal::of_upstream());
        };
        self.rest();
        let columns = statement.as_deref().and_then(statement_columns);
        let flow = self.describe_columns(body, columns, None)?;
        if let Some(statement) = &statement {
            statement.described.store(true, Ordering::Relaxed);
        }
        Ok(flow)
    }

    fn portal_description(&mut self, body: &[u8]) -> Result<Flow, Fatal> {
        let Some(Expected::DescribePortal { portal, injected }) = self.pending.pop() else {
            return Err(Fatal::of_upstream());
        };
        self.rest();
        let columns = portal.as_deref().and_then(portal_columns);
        let asked = portal.as_deref().map(|p| p.formats.as_slice());
        let flow = self.describe_columns(body, columns, asked)?;
        if injected {
            self.scratch.clear();
            return Ok(Flow::Replace);
        }
        Ok(flow)
    }

    /// Holds a RowDescription against the net, and shows logical types where columns are opened.
    fn describe_columns(
        &mut self,
        body: &[u8],
        columns: Option<&[ColumnPlan]>,
        asked: Option<&[i16]>,
    ) -> Result<Flow, Fatal> {
        let description = RowDescription::read(body).map_err(violation)?;
        check(&description, columns, &*self.veil)?;
        let Some(columns) = columns else {
            return Ok(Flow::Pass);
        };
        write_description(
            &description,
            columns,
            asked,
            (&*self.veil, &mut self.scratch),
        )
        .map_err(violation)?;
        Ok(Flow::Replace)
    }

    /// ParameterDescription: the client is told logical types.
    fn parameter_types(&mut self, body: &[u8]) -> Result<Flow, Fatal> {
        let Some(Expected::DescribeStatement(Some(statement))) = self.pending.head() else {
            return Ok(Flow::Pass);
        };
        let Some(plan) = &statement.plan else {
            return Ok(Flow::Pass);
        };
        let mut oids = parameter_description(body).map_err(violation)?;
        for parameter in plan.parameters() {
            let index = usize::from(parameter.number.saturating_sub(1));
            let declared = statement.declared.get(index).copied().unwrap_or(0);
            if let Some(oid) = oids.get_mut(index) {
                *oid = match declared {
                    0 => self.veil.parameter_types(parameter).shown,
                    declared => declared,
                };
            }
        }
        write_parameter_description(&mut self.scratch, &oids).map_err(violation)?;
        Ok(Flow::Replace)
    }

    fn no_data(&mut self) -> Result<Flow, Fatal> {
        let popped = self.pending.pop();
        self.rest();
        let (columns, injected) = match &popped {
            Some(Expected::DescribeStatement(Some(s))) => (statement_columns(s), false),
            Some(Expected::DescribePortal { portal, injected }) => {
                (portal.as_deref().and_then(portal_columns), *injected)
            }
            _ => (None, false),
        };
        match (columns, injected) {
            (Some(_), _) => Err(Breach::Unexpected.into()),
            (None, true) => Ok(Flow::Replace),
            (None, false) => Ok(Flow::Pass),
        }
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
        if exchange.refused.is_some() || exchange.failed {
            return Err(Fatal::of_upstream());
        }
        let end = exchange.end(ending, now);
        let rows = tag.map_or(end.rows, rows_of).max(end.rows);
        self.events.push(Event::End(StatementEnd {
            tag: tag.map(command_of),
            rows,
            ..end
        }));
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
        self.statements.settle(pipeline);
        self.portals.settle(pipeline);
        if status == b'I' {
            // Every portal that pgveil knows ends with its transaction.
            self.portals.forget();
        }
        if !self.pending.ready_awaited() {
            self.window.settle();
        }
        self.wake();
        Ok(Flow::Pass)
    }

    /// After a reply was taken: whether messages that wait may go on.
    fn rest(&mut self) {
        if self.pending.is_empty() || self.pending.len() == PIPELINE_REPLIES_MAX / 2 {
            self.wake();
        }
    }

    fn notice(&mut self, body: &[u8]) -> Result<Flow, Fatal> {
        let report = Report::read(body).map_err(violation)?;
        self.write_report(&report, b'N')
    }

    fn error(&mut self, body: &[u8], now: Instant) -> Result<Flow, Fatal> {
        let report = Report::read(body).map_err(violation)?;
        self.copying = false;
        let flow = self.write_report(&report, b'E')?;
        let sqlstate = Some(report.sqlstate());
        if report.is_fatal() {
            self.end = Some(End::Upstream);
            self.fail_head(sqlstate, now);
            self.abandon(Ending::Lost, now);
            return Ok(flow);
        }
        match self.pending.head() {
            None => return Err(Fatal::of_upstream()),
            Some(Expected::Query(exchange, _)) if exchange.failed => {
                return Err(Fatal::of_upstream());
            }
            Some(Expected::Query(..)) => self.fail_head(sqlstate, now),
            Some(Expected::Sync(_) | Expected::Call(_)) => {}
            Some(_) => {
                self.fail_head(sqlstate, now);
                self.pending.pop();
                self.skip_to_sync(now);
            }
        }
        self.rest();
        Ok(flow)
    }

    /// Records the failure of the statement whose reply was due.
    fn fail_head(&mut self, sqlstate: Option<[u8; 5]>, now: Instant) {
        let ending = (Ending::Failed, Ending::Skipped);
        match self.pending.head() {
            Some(Expected::Query(exchange, _) | Expected::Execute(exchange)) => {
                exchange.end_all(ending, sqlstate, now, &mut self.events);
                exchange.failed = true;
            }
            Some(Expected::Parse(_, statement)) => {
                let statement = Arc::clone(statement);
                self.record_failure(&statement, sqlstate, now);
            }
            Some(Expected::Bind(_, Some(portal))) => {
                let statement = Arc::clone(&portal.statement);
                self.record_failure(&statement, sqlstate, now);
            }
            _ => {}
        }
    }

    /// Parse and Bind are on record only when they fail.
    fn record_failure(&mut self, statement: &Statement, sqlstate: Option<[u8; 5]>, now: Instant) {
        let subject = self.subject(&statement.text, statement.plan.as_ref());
        let end = Exchange::new(subject, &statement.text, now).end(Ending::Failed, now);
        self.events
            .push(Event::End(StatementEnd { sqlstate, ..end }));
    }

    /// After an error in the extended protocol the server skips everything until the next Sync.
    fn skip_to_sync(&mut self, now: Instant) {
        loop {
            match self.pending.head() {
                Some(Expected::Sync(_)) => return,
                None => {
                    self.skipping = true;
                    return;
                }
                Some(_) => {
                    if let Some(skipped) = self.pending.pop() {
                        self.skip(skipped, now);
                    }
                }
            }
        }
    }

    /// An error or a notice as the client may see it.
    fn write_report(&mut self, report: &Report<'_>, tag: u8) -> Result<Flow, Fatal> {
        let Some(head) = self.pending.head() else {
            return Ok(Flow::Pass);
        };
        let (plan, text, sent): (&Arc<Plan>, _, &str) = match head {
            Expected::Query(e, _) if e.refused.is_some() => {
                return Ok(own_error(
                    e.refused.as_ref(),
                    report,
                    tag,
                    &mut self.scratch,
                ));
            }
            Expected::Refused(own) => {
                return Ok(own_error(Some(own), report, tag, &mut self.scratch));
            }
            Expected::Query(e, _) | Expected::Execute(e) => match (&e.plan, &e.sent) {
                (Some(plan), Some(sent)) => (plan, &e.text, sent),
                _ => return Ok(Flow::Pass),
            },
            Expected::Parse(_, statement) | Expected::DescribeStatement(Some(statement)) => {
                match &statement.plan {
                    Some(plan) => (plan, &statement.text, &statement.sent),
                    None => return Ok(Flow::Pass),
                }
            }
            Expected::Bind(_, Some(portal))
            | Expected::DescribePortal {
                portal: Some(portal),
                ..
            } => match &portal.statement.plan {
                Some(plan) => (plan, &portal.statement.text, &portal.statement.sent),
                None => return Ok(Flow::Pass),
            },
            Expected::Bind(..)
            | Expected::DescribeStatement(None)
            | Expected::DescribePortal { portal: None, .. }
            | Expected::CloseStatement(_)
            | Expected::ClosePortal(_)
            | Expected::Sync(_)
            | Expected::Call(_) => return Ok(Flow::Pass),
        };
        let touched = Touched {
            text: text.as_str(),
            sent,
            sees_plain: plan
                .statements()
                .iter()
                .all(|s| self.veil.sees_plain(&s.relations)),
        };
        write_touched(report, tag, &touched, &mut self.scratch).map_err(violation)?;
        Ok(Flow::Replace)
    }
}

/// Puts pgveil's own error in the place of the server's; a FATAL of the server and notices pass.
fn own_error(
    own: Option<&super::pending::OwnError>,
    report: &Report<'_>,
    tag: u8,
    out: &mut BytesMut,
) -> Flow {
    match own {
        Some(own) if tag == b'E' && !report.is_fatal() => {
            let texts = (own.message.as_str(), own.hint.as_str());
            put_error(out, "ERROR", own.sqlstate, texts, own.position);
            Flow::Replace
        }
        _ => Flow::Pass,
    }
}

fn violation(_: crate::wire::message::MessageFault) -> Fatal {
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

fn columns_of(plan: &Plan, index: usize) -> Option<&[ColumnPlan]> {
    plan.statements().get(index)?.columns.as_deref()
}

fn statement_columns(statement: &Statement) -> Option<&[ColumnPlan]> {
    columns_of(statement.plan.as_deref()?, 0)
}

fn portal_columns(portal: &Portal) -> Option<&[ColumnPlan]> {
    statement_columns(&portal.statement)
}

/// A command tag without its counts.
fn command_of(tag: &[u8]) -> String {
    let text = String::from_utf8_lossy(tag);
    text.trim_end_matches(|c: char| c.is_ascii_digit() || c == ' ')
        .to_owned()
}

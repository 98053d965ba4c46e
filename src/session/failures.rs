//! ErrorResponse and NoticeResponse: whose they are, what they end, and what the client sees of them.
//!
//! After an error in the extended protocol the server skips everything until the next Sync, and so do the
//! replies that are due.

use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;

use super::Veil;
use super::event::{Ending, Event, StatementEnd, Subject};
use super::pending::{Exchange, Expected, OwnError};
use super::prepared::Statement;
use super::replies::violation;
use super::report::{Fatal, Touched, may_quote_rows, write_touched};
use super::run::{End, Flow, Session};
use super::settle::Lexing;
use crate::statement::plan::Plan;
use crate::wire::upstream::{Report, put_error};

impl<V: Veil> Session<V> {
    pub(super) fn notice(&mut self, body: &[u8]) -> Result<Flow, Fatal> {
        let report = Report::read(body).map_err(violation)?;
        self.write_report(&report, b'N')
    }

    pub(super) fn error(&mut self, body: &[u8], now: Instant) -> Result<Flow, Fatal> {
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
                exchange.preceded = self.answered.replace(now);
                exchange.end_all(ending, sqlstate, now, &mut self.events);
                exchange.failed = true;
            }
            Some(Expected::Parse(_, statement)) => {
                let statement = Arc::clone(statement);
                let subject = self.subject(&statement.text, statement.plan.as_ref());
                self.record_failure(subject, &statement, sqlstate, now);
            }
            Some(Expected::Bind(_, Some(portal))) => {
                let portal = Arc::clone(portal);
                let statement = &portal.statement;
                let subject = self.subject(&statement.text, statement.plan.as_ref());
                self.record_failure(subject.bound(&portal), statement, sqlstate, now);
            }
            _ => {}
        }
    }

    /// Parse and Bind are on record only when they fail.
    fn record_failure(
        &mut self,
        subject: Subject,
        statement: &Statement,
        sqlstate: Option<[u8; 5]>,
        now: Instant,
    ) {
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
        let head: &Expected = head;
        let own = match head {
            Expected::Query(exchange, _) => exchange.refused.as_ref(),
            Expected::Refused(own) => Some(own),
            _ => None,
        };
        if own.is_some() {
            return Ok(own_error(own, report, tag, &mut self.scratch));
        }
        let (plan, text, sent) = texts_of(head);
        let sees_plain = match (plan, self.touched) {
            (Some(plan), _) => {
                let mut statements = plan.statements().iter();
                statements.all(|s| self.veil.sees_plain(&s.relations))
            }
            // What a transaction did before may fail only now: deferred constraints and triggers.
            (None, Some(sees_plain)) if !report.names_only() => sees_plain,
            (None, _) if quotes_rows(&*self.veil, report, text, self.settings.lexing) => {
                self.veil.sees_everything()
            }
            (None, _) => return Ok(Flow::Pass),
        };
        let touched = Touched {
            text,
            sent,
            sees_plain,
        };
        write_touched(report, tag, &touched, &mut self.scratch).map_err(violation)?;
        Ok(Flow::Replace)
    }
}

fn of_statement(statement: &Statement) -> (Option<&Arc<Plan>>, &str, &str) {
    let text = statement.text.as_str();
    match &statement.plan {
        Some(plan) => (Some(plan), text, &statement.sent),
        None => (None, text, text),
    }
}

/// The plan of the message that a reply is due for, the client's text, and the text sent in its place.
fn texts_of(head: &Expected) -> (Option<&Arc<Plan>>, &str, &str) {
    match head {
        Expected::Query(exchange, _) | Expected::Execute(exchange) => {
            let text = exchange.text.as_str();
            let sent = exchange.sent.as_deref().unwrap_or(text);
            (exchange.plan.as_ref(), text, sent)
        }
        Expected::Parse(_, statement) | Expected::DescribeStatement(Some(statement)) => {
            of_statement(statement)
        }
        Expected::Bind(_, Some(portal))
        | Expected::DescribePortal {
            portal: Some(portal),
            ..
        } => of_statement(&portal.statement),
        Expected::Bind(_, None)
        | Expected::DescribeStatement(None)
        | Expected::DescribePortal { portal: None, .. }
        | Expected::CloseStatement(_)
        | Expected::ClosePortal(_)
        | Expected::Sync(_)
        | Expected::Call(_)
        | Expected::Refused(_) => (None, "", ""),
    }
}

/// Whether a report on a text that passed untouched may quote what is treated all the same: a failing row is quoted
/// whole where the text names a treated relation; for restricted sight also what a constraint that waited for
/// COMMIT, or code of the server's, may quote.
fn quotes_rows<V: Veil>(veil: &V, report: &Report<'_>, text: &str, lexing: Lexing) -> bool {
    !report.names_only()
        && (veil.mentions(text, lexing) || (!veil.sees_everything() && may_quote_rows(report)))
}

/// Puts pgveil's own error in the place of the server's; a FATAL of the server and notices pass.
fn own_error(own: Option<&OwnError>, report: &Report<'_>, tag: u8, out: &mut BytesMut) -> Flow {
    match own {
        Some(own) if tag == b'E' && !report.is_fatal() => {
            let texts = (own.message.as_str(), own.hint.as_str());
            put_error(out, "ERROR", own.sqlstate, texts, own.position);
            Flow::Replace
        }
        _ => Flow::Pass,
    }
}

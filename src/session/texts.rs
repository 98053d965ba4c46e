//! Texts: the simple query, what becomes of any text, and how one is refused.
//!
//! The way of a text: settle, analyse, fill, record, send. A refusal sends a text that fails in its place, so
//! that order, skipping and the transaction's state stay the server's own.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::Veil;
use super::event::{Ending, Event, StatementEnd};
use super::pending::{Exchange, Expected, OwnError};
use super::prepared::{Statement, same_plan};
use super::report::Fatal;
use super::run::{Flow, Session};
use super::settle::{Lexing, Standing, Text, is_sensitive};
use crate::ident::SqlState;
use crate::limits::STATEMENT_BYTES_MAX;
use crate::statement::ClientEncoding;
use crate::statement::plan::{Outcome, Plan, Refusal};
use crate::wire::client::{self, write_parse, write_query};

/// The text that fails in the place of a refused one: a syntax error in every version of PostgreSQL.
const REFUSED_TEXT: &[u8] = b"pgveil refused this statement";

/// What becomes of a text.
pub(super) enum Decision {
    Hold,
    Untouched,
    Plan(Arc<Plan>, Arc<str>),
}

impl<V: Veil> Session<V> {
    pub(super) fn query(&mut self, body: &[u8], now: Instant) -> Result<Flow, Fatal> {
        let bytes = client::query(body)?;
        let (text, decision) = match self.read(bytes) {
            Ok(found) => found,
            Err(refusal) => return self.refuse_query(&letters(bytes), &refusal, now),
        };
        let exchange = match decision {
            Decision::Hold => return Ok(Flow::Hold),
            Decision::Untouched => Exchange::new(self.subject(&text, None), &text, now),
            Decision::Plan(plan, sent) => {
                write_query(&mut self.scratch, sent.as_bytes())?;
                let subject = self.subject(&text, Some(&plan));
                for index in 0..plan.statements().len() {
                    self.events.push(Event::Begin(subject.at(index)));
                }
                let mut exchange = Exchange::new(subject, &text, now);
                exchange.plan = Some(plan);
                exchange.sent = Some(sent);
                exchange
            }
        };
        self.sends(&text);
        let flow = match exchange.plan {
            None => Flow::Pass,
            Some(_) => Flow::Replace,
        };
        self.push_query(exchange);
        Ok(flow)
    }

    fn push_query(&mut self, exchange: Exchange) {
        // A simple query drops the unnamed statement and the unnamed portal, whatever comes of it.
        self.statements.change(b"", self.pipeline, None);
        self.portals.change(b"", self.pipeline, None);
        let pipeline = self.close_pipeline();
        self.pending.push(Expected::Query(exchange, pipeline));
    }

    /// What becomes of a text, once the settings it is read under are certain.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<(Arc<Text>, Decision), Refusal> {
        let awaited = self.pending.ready_awaited();
        let lexing = self.settings.lexing;
        let standing = match is_sensitive(bytes) {
            true => self.window.for_lexing(awaited),
            false => Standing::Settled,
        };
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => Text::new(text),
            Err(_)
                if standing == Standing::Settled
                    && lexing.client_encoding == ClientEncoding::Utf8 =>
            {
                return Err(refusal(
                    SqlState::CHARACTER_NOT_IN_REPERTOIRE,
                    "invalid byte sequence for encoding \"UTF8\"",
                    "",
                ));
            }
            Err(_) => Text::new(&letters(bytes)),
        };
        let outcome = match standing {
            Standing::Awaited => return Ok((text, Decision::Hold)),
            Standing::Settled => self.analyse(&text, lexing),
            Standing::Open => self.analyse_open(&text),
        };
        match outcome {
            Outcome::Untouched => Ok((text, Decision::Untouched)),
            Outcome::Refused(refusal) => Err(refusal),
            Outcome::Plan(plan) => match self.plan_standing(&plan)? {
                Standing::Awaited | Standing::Open => Ok((text, Decision::Hold)),
                Standing::Settled => {
                    let sent = self.veil.fill(&plan, &self.settings.text)?;
                    Ok((text, Decision::Plan(plan, sent.into())))
                }
            },
        }
    }

    fn analyse(&self, text: &Text, lexing: Lexing) -> Outcome {
        let (outcome, fingerprint) = self.veil.analyse(text.as_str(), lexing);
        text.hear_fingerprint(fingerprint);
        match outcome {
            Outcome::Plan(_) if text.as_str().len() > STATEMENT_BYTES_MAX => {
                Outcome::Refused(refusal(
                    SqlState::STATEMENT_TOO_COMPLEX,
                    "the statement is too long to be analysed",
                    "Send fewer rows in one statement, or use parameters.",
                ))
            }
            outcome => outcome,
        }
    }

    /// For a text whose lexing is open: it may pass only when it is untouched whichever way it is read.
    fn analyse_open(&self, text: &Text) -> Outcome {
        let untouched = [true, false]
            .into_iter()
            .all(|standard_conforming_strings| {
                let lexing = Lexing {
                    standard_conforming_strings,
                    client_encoding: match text.as_str().is_ascii() {
                        true => ClientEncoding::Utf8,
                        false => ClientEncoding::Other,
                    },
                };
                matches!(self.analyse(text, lexing), Outcome::Untouched)
            });
        match untouched {
            true => Outcome::Untouched,
            false => Outcome::Refused(unsettled()),
        }
    }

    /// Analyses a prepared statement again when policy or catalog changed since.
    pub(super) fn check_version(&self, statement: &Statement) -> Result<(), Refusal> {
        let version = self.veil.version();
        if statement.is_of(version) {
            return Ok(());
        }
        let same = match (
            self.analyse(&statement.text, statement.lexing),
            &statement.plan,
        ) {
            (Outcome::Untouched, None) => true,
            (Outcome::Plan(now), Some(then)) => same_plan(&now, then),
            (Outcome::Refused(refusal), _) => return Err(refusal),
            (Outcome::Untouched, Some(_)) | (Outcome::Plan(_), None) => false,
        };
        if !same {
            // The text and the code that drivers know: they prepare the statement again.
            return Err(refusal(
                SqlState::FEATURE_NOT_SUPPORTED,
                "cached plan must not change result type",
                "The policy or a table changed since the statement was prepared: prepare it again.",
            ));
        }
        statement.version.store(version, Ordering::Relaxed);
        Ok(())
    }

    /// Refuses a message of the extended protocol: a Parse that fails goes in its place.
    pub(super) fn refuse(
        &mut self,
        name: &[u8],
        text: &str,
        refusal: &Refusal,
        now: Instant,
    ) -> Result<Flow, Fatal> {
        self.record_refusal(text, refusal, now);
        write_parse(&mut self.scratch, name, REFUSED_TEXT, &[])?;
        self.pending
            .push(Expected::Refused(OwnError::new(refusal, text)));
        Ok(Flow::Replace)
    }

    /// Refuses a simple query, or a function call: a Query that fails goes in its place.
    pub(super) fn refuse_query(
        &mut self,
        text: &str,
        refusal: &Refusal,
        now: Instant,
    ) -> Result<Flow, Fatal> {
        self.record_refusal(text, refusal, now);
        write_query(&mut self.scratch, REFUSED_TEXT)?;
        let shown = Text::new("");
        let mut exchange = Exchange::new(self.subject(&shown, None), &shown, now);
        exchange.refused = Some(OwnError::new(refusal, text));
        self.push_query(exchange);
        Ok(Flow::Replace)
    }

    fn record_refusal(&mut self, text: &str, refusal: &Refusal, now: Instant) {
        let subject = self.redacted_subject(text);
        let shown = Text::new("");
        let end = Exchange::new(subject, &shown, now).end(Ending::Refused, now);
        self.events.push(Event::End(StatementEnd {
            sqlstate: <[u8; 5]>::try_from(refusal.sqlstate.0.as_bytes()).ok(),
            reason: Some(refusal.reason),
            ..end
        }));
    }
}

/// The text of bytes that may be in another encoding: each byte is then a letter of its own. Which letter does not
/// matter; that different bytes stay different does, because a dollar quote ends with the tag it began with.
pub(super) fn letters(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => bytes.iter().map(|&byte| char::from(byte)).collect(),
    }
}

pub(super) fn malformed(fault: crate::wire::message::MessageFault) -> Refusal {
    refusal(SqlState::PROTOCOL_VIOLATION, &fault.to_string(), "")
}

pub(super) fn unsettled() -> Refusal {
    refusal(
        SqlState::FEATURE_NOT_SUPPORTED,
        "a setting that decides how this text is read may have changed earlier in the same pipeline",
        "Send a Sync after changing settings, before the next statement.",
    )
}

pub(super) fn refusal(sqlstate: SqlState, message: &str, hint: &str) -> Refusal {
    Refusal {
        sqlstate,
        message: message.to_owned(),
        hint: hint.to_owned(),
        position: None,
        reason: "unsupported",
    }
}

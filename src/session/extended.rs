//! The extended protocol's messages: Parse, Bind, Describe, Execute, Close.
//!
//! What meets nothing treated passes as it is; a plan's parameters are filled at Bind, and its result is
//! described before it is executed, whether the client asks or not.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::event::Event;
use super::pending::{Exchange, Expected};
use super::prepared::{Found, Portal, Statement};
use super::report::Fatal;
use super::rows::{RowMap, sent_formats};
use super::run::{Flow, Session};
use super::settle::{Standing, Text};
use super::texts::{Decision, letters, malformed, refusal, unsettled};
use super::{Given, Veil};
use crate::ident::SqlState;
use crate::limits::PREPARED_NAMES_MAX;
use crate::statement::ClientEncoding;
use crate::statement::plan::{ColumnPlan, Plan, Refusal};
use crate::types::{LogicalType, TypeClass};
use crate::wire::client::{
    Bind, Execute, Parse, Target, format_at, write_bind, write_describe_portal, write_parse,
};
use crate::wire::frame::HEAD_BYTES;

impl<V: Veil> Session<V> {
    pub(super) fn parse(&mut self, body: &[u8], now: Instant) -> Result<Flow, Fatal> {
        let parse = Parse::read(body)?;
        if !parse.statement.is_empty()
            && matches!(
                self.statements.find(parse.statement, self.pipeline),
                Found::Unsettled
            )
        {
            return Ok(Flow::Hold);
        }
        let read = match self.statements.count() >= PREPARED_NAMES_MAX {
            true => Err(refusal(
                SqlState("54000"),
                "too many prepared statements in this session",
                "Close prepared statements that are no longer used.",
            )),
            false => self.read(parse.text),
        };
        let (text, decision) = match read {
            Ok(found) => found,
            Err(refusal) => {
                return self.refuse(parse.statement, &letters(parse.text), &refusal, now);
            }
        };
        let declared: Vec<u32> = parse.oids().collect();
        let (plan, sent): (_, Arc<str>) = match decision {
            Decision::Hold => return Ok(Flow::Hold),
            Decision::Untouched => (None, Arc::default()),
            Decision::Plan(plan, sent) => {
                let oids = self.sent_oids(&plan, &declared);
                write_parse(&mut self.scratch, parse.statement, sent.as_bytes(), &oids)?;
                (Some(plan), sent)
            }
        };
        let flow = if plan.is_some() {
            Flow::Replace
        } else {
            Flow::Pass
        };
        let statement = Arc::new(Statement {
            lexing: self.settings.lexing,
            text,
            plan,
            sent,
            declared,
            version: self.veil.version().into(),
            described: false.into(),
        });
        self.statements
            .change(parse.statement, self.pipeline, Some(Arc::clone(&statement)));
        self.pending
            .push(Expected::Parse(parse.statement.into(), statement));
        Ok(flow)
    }

    /// The parameter types to declare: the physical one where a parameter meets a treated attribute.
    fn sent_oids(&self, plan: &Plan, declared: &[u32]) -> Vec<u32> {
        let mut oids = declared.to_vec();
        for parameter in plan.parameters() {
            let index = usize::from(parameter.number.saturating_sub(1));
            if let Some(physical) = self.veil.parameter_types(parameter, declared).declared {
                if oids.len() <= index {
                    oids.resize(index + 1, 0);
                }
                oids[index] = physical;
            }
        }
        oids
    }

    pub(super) fn bind(&mut self, frame: &[u8], now: Instant) -> Result<Flow, Fatal> {
        let body = &frame[HEAD_BYTES..];
        let (portal, name) = Bind::names(body)?;
        if matches!(self.portals.find(portal, self.pipeline), Found::Unsettled)
            && !portal.is_empty()
        {
            return Ok(Flow::Hold);
        }
        let statement = match self.statements.find(name, self.pipeline) {
            Found::Unsettled => return Ok(Flow::Hold),
            Found::Unknown => {
                self.portals.change(portal, self.pipeline, None);
                self.pending.push(Expected::Bind(portal.into(), None));
                return Ok(Flow::Pass);
            }
            Found::Known(statement) => statement,
        };
        let mut formats = Vec::new();
        let mut flow = Flow::Pass;
        let bound = self
            .check_version(&statement)
            .and_then(|()| match &statement.plan {
                None => Ok(()),
                Some(plan) => match self.plan_standing(plan)? {
                    Standing::Settled => self.bind_plan(plan, &statement, body, &mut formats),
                    Standing::Awaited | Standing::Open => {
                        flow = Flow::Hold;
                        Ok(())
                    }
                },
            });
        if let Err(refusal) = bound {
            self.scratch.clear();
            return self.refuse(b"", statement.text.as_str(), &refusal, now);
        }
        if matches!(flow, Flow::Hold) {
            return Ok(flow);
        }
        if statement.plan.is_some() {
            flow = Flow::Replace;
        }
        let made = Arc::new(Portal {
            statement,
            formats,
            // What the server will find malformed makes no portal.
            parameter_count: Bind::parameter_count(body).unwrap_or(0),
            described: false.into(),
        });
        self.portals
            .change(portal, self.pipeline, Some(Arc::clone(&made)));
        self.pending.push(Expected::Bind(portal.into(), Some(made)));
        Ok(flow)
    }

    /// Writes the Bind of a plan: parameters filled, sealed columns asked for in binary.
    fn bind_plan(
        &mut self,
        plan: &Plan,
        statement: &Statement,
        body: &[u8],
        asked: &mut Vec<i16>,
    ) -> Result<(), Refusal> {
        let bind = Bind::read(body).map_err(malformed)?;
        let given: Vec<i16> = bind.formats.iter().collect();
        if given.len() > 1 && given.len() != bind.value_count {
            return Err(refusal(
                SqlState::PROTOCOL_VIOLATION,
                "the bind message has not as many parameter formats as parameters",
                "",
            ));
        }
        let mut formats = Vec::with_capacity(bind.value_count);
        let mut filled: Vec<Option<Vec<u8>>> = Vec::with_capacity(bind.value_count);
        for (index, value) in bind.values().enumerate() {
            let format = format_at(&given, index).unwrap_or(0);
            let met = plan
                .parameters()
                .iter()
                .find(|p| usize::from(p.number) == index + 1);
            let Some((parameter, value)) = met.zip(value) else {
                formats.push(format);
                filled.push(None);
                continue;
            };
            let oid = statement.declared.get(index).copied().unwrap_or(0);
            let given = Given {
                oid,
                format,
                value,
                declared: &statement.declared,
            };
            let sent = self
                .veil
                .fill_parameter(parameter, given, &self.settings.text)?;
            formats.push(sent.format);
            filled.push(Some(sent.value));
        }
        let values = filled.iter().zip(bind.values().collect::<Vec<_>>());
        let values = values.map(|(filled, own)| filled.as_deref().or(own));
        *asked = bind.result_formats.iter().collect();
        let columns = plan.statements().first().and_then(|s| s.columns.as_deref());
        let results = columns.and_then(|c| sent_formats(c, asked));
        write_bind(
            &mut self.scratch,
            (bind.portal, bind.statement),
            (&formats, values),
            results.as_ref().unwrap_or(asked),
        )
        .map_err(malformed)
    }

    /// Whether a plan can be relied on: values are read and shown as the settings stand, and the catalog is as it was
    /// analysed under. An open pipeline that may change either is refused.
    pub(super) fn plan_standing(&self, plan: &Plan) -> Result<Standing, Refusal> {
        self.catalog_standing()?;
        if !self.settings.floats_are_shortest && shows_floats(plan) {
            return Err(refusal(
                SqlState::FEATURE_NOT_SUPPORTED,
                "protected floats are printed with the shortest digits only, and this session may have set extra_float_digits otherwise",
                "Connect again and leave extra_float_digits above 0.",
            ));
        }
        match self.window.for_values(self.pending.ready_awaited()) {
            Standing::Open => Err(unsettled()),
            Standing::Settled if self.settings.lexing.client_encoding != ClientEncoding::Utf8 => {
                Err(refusal(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    "protected columns need client_encoding UTF8",
                    "SET client_encoding TO 'UTF8'.",
                ))
            }
            standing => Ok(standing),
        }
    }

    pub(super) fn execute(&mut self, frame: &[u8], now: Instant) -> Result<Flow, Fatal> {
        let execute = Execute::read(&frame[HEAD_BYTES..])?;
        let portal = match self.portals.find(execute.portal, self.pipeline) {
            Found::Unsettled => return Ok(Flow::Hold),
            Found::Known(portal) => portal,
            Found::Unknown => {
                // A cursor made by SQL: its text was analysed when it was declared.
                let text = Text::new("");
                let subject = self.subject(&text, None);
                self.sends(&text);
                self.pending
                    .push(Expected::Execute(Exchange::new(subject, &text, now)));
                return Ok(Flow::Pass);
            }
        };
        let statement = &portal.statement;
        if let Err(refusal) = self.check_version(statement) {
            return self.refuse(b"", statement.text.as_str(), &refusal, now);
        }
        let subject = self.subject(&statement.text, statement.plan.as_ref());
        let subject = subject.bound(&portal);
        let mut exchange = Exchange::new(subject, &statement.text, now);
        self.sends(&statement.text);
        let mut flow = Flow::Pass;
        if let Some(plan) = &statement.plan {
            self.events.push(Event::Begin(exchange.subject.clone()));
            if let Some(columns) = plan.statements().first().and_then(|s| s.columns.as_deref()) {
                exchange.row = RowMap::new(columns, &portal.formats, true).map(Arc::new);
                let described = statement.described.load(Ordering::Relaxed)
                    || portal.described.swap(true, Ordering::Relaxed);
                if !described {
                    write_describe_portal(&mut self.scratch, execute.portal)?;
                    self.scratch.extend_from_slice(frame);
                    self.pending.push(Expected::DescribePortal {
                        portal: Some(Arc::clone(&portal)),
                        injected: true,
                    });
                    flow = Flow::Replace;
                }
            }
            exchange.plan = Some(Arc::clone(plan));
            exchange.sent = Some(Arc::clone(&statement.sent));
        }
        self.pending.push(Expected::Execute(exchange));
        Ok(flow)
    }

    pub(super) fn describe(&mut self, body: &[u8]) -> Result<Flow, Fatal> {
        let expected = match Target::read(body)? {
            Target::Statement(name) => match self.statements.find(name, self.pipeline) {
                Found::Unsettled => return Ok(Flow::Hold),
                Found::Unknown => Expected::DescribeStatement(None),
                Found::Known(statement) => Expected::DescribeStatement(Some(statement)),
            },
            Target::Portal(name) => match self.portals.find(name, self.pipeline) {
                Found::Unsettled => return Ok(Flow::Hold),
                Found::Unknown => Expected::DescribePortal {
                    portal: None,
                    injected: false,
                },
                Found::Known(portal) => {
                    portal.described.store(true, Ordering::Relaxed);
                    Expected::DescribePortal {
                        portal: Some(portal),
                        injected: false,
                    }
                }
            },
        };
        self.pending.push(expected);
        Ok(Flow::Pass)
    }

    pub(super) fn close(&mut self, body: &[u8]) -> Result<Flow, Fatal> {
        let expected = match Target::read(body)? {
            Target::Statement(name) => {
                if matches!(self.statements.find(name, self.pipeline), Found::Unsettled) {
                    return Ok(Flow::Hold);
                }
                self.statements.change(name, self.pipeline, None);
                Expected::CloseStatement(name.into())
            }
            Target::Portal(name) => {
                if matches!(self.portals.find(name, self.pipeline), Found::Unsettled) {
                    return Ok(Flow::Hold);
                }
                self.portals.change(name, self.pipeline, None);
                Expected::ClosePortal(name.into())
            }
        };
        self.pending.push(expected);
        Ok(Flow::Pass)
    }
}

/// Whether a plan opens floats, alone or in arrays.
fn shows_floats(plan: &Plan) -> bool {
    let columns = plan
        .statements()
        .iter()
        .filter_map(|s| s.columns.as_deref());
    columns.flatten().any(|column| match column {
        ColumnPlan::Pass => false,
        ColumnPlan::Open { attribute, .. } => match attribute.logical {
            LogicalType::Array(array) => array.element.class() == TypeClass::Float,
            logical => logical.class() == TypeClass::Float,
        },
    })
}

//! RowDescription, ParameterDescription, NoData: held against the net, and shown with logical types.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Veil;
use super::pending::Expected;
use super::prepared::{Portal, Statement};
use super::replies::violation;
use super::report::Fatal;
use super::rows::{Breach, RowMap, check, write_description};
use super::run::{Flow, Session};
use crate::statement::plan::{ColumnPlan, Plan};
use crate::types::oid;
use crate::wire::upstream::{RowDescription, parameter_description, write_parameter_description};

impl<V: Veil> Session<V> {
    /// A RowDescription inside results: of a simple query's statement.
    pub(super) fn result_description(&mut self, body: &[u8]) -> Result<Flow, Fatal> {
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

    pub(super) fn statement_description(&mut self, body: &[u8]) -> Result<Flow, Fatal> {
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

    pub(super) fn portal_description(&mut self, body: &[u8]) -> Result<Flow, Fatal> {
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
    pub(super) fn parameter_types(&mut self, body: &[u8]) -> Result<Flow, Fatal> {
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
                    0 | oid::UNKNOWN => {
                        self.veil
                            .parameter_types(parameter, &statement.declared)
                            .shown
                    }
                    declared => declared,
                };
            }
        }
        write_parameter_description(&mut self.scratch, &oids).map_err(violation)?;
        Ok(Flow::Replace)
    }

    pub(super) fn no_data(&mut self) -> Result<Flow, Fatal> {
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

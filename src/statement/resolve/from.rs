//! FROM: joins, and which columns they put in sight under which names.
//!
//! What a single item is, `source` says. Knows no role.

use sqlparser::ast::{Join, JoinConstraint, JoinOperator, ObjectName, TableFactor, TableWithJoins};

use super::Resolver;
use super::absent::absent;
use super::scope::{Scope, Visible};
use crate::statement::plan::Refusal;
use crate::statement::refuse;
use crate::statement::tree::{ColumnRef, Expr, SourceId};

/// What FROM gathered beside the scope itself.
#[derive(Debug, Default)]
pub(super) struct Joined {
    /// the sources, in order
    pub sources: Vec<SourceId>,
    /// the ON conditions
    pub conditions: Vec<Expr>,
    /// the column pairs of USING and NATURAL
    pub merged: Vec<(ColumnRef, ColumnRef)>,
}

impl Resolver<'_> {
    /// Adds the items of a FROM list to a scope.
    pub(super) fn from(
        &mut self,
        items: &[TableWithJoins],
        scope: &mut Scope<'_>,
        joined: &mut Joined,
    ) -> Result<(), Refusal> {
        for item in items {
            self.table_with_joins(item, scope, joined)?;
        }
        Ok(())
    }

    fn table_with_joins(
        &mut self,
        item: &TableWithJoins,
        scope: &mut Scope<'_>,
        joined: &mut Joined,
    ) -> Result<(), Refusal> {
        let TableWithJoins { relation, joins } = item;
        let mut here = Scope {
            parent: scope.parent,
            ..Scope::default()
        };
        self.factor(relation, scope, &mut here, joined)?;
        for join in joins {
            self.join(join, scope, &mut here, joined)?;
        }
        scope.sources.append(&mut here.sources);
        scope.visible.append(&mut here.visible);
        scope.unknown |= here.unknown;
        Ok(())
    }

    fn join(
        &mut self,
        join: &Join,
        outer: &Scope<'_>,
        left: &mut Scope<'_>,
        joined: &mut Joined,
    ) -> Result<(), Refusal> {
        let Join {
            relation,
            global,
            join_operator,
        } = join;
        absent(&[("GLOBAL JOIN", global)])?;
        let mut right = Scope {
            parent: outer.parent,
            ..Scope::default()
        };
        let mut sight = outer.clone();
        sight.sources.extend(&left.sources);
        sight.visible.extend(left.visible.iter().cloned());
        sight.unknown |= left.unknown;
        self.factor(relation, &sight, &mut right, joined)?;
        let constraint = match join_operator {
            JoinOperator::Join(c)
            | JoinOperator::Inner(c)
            | JoinOperator::Left(c)
            | JoinOperator::LeftOuter(c)
            | JoinOperator::Right(c)
            | JoinOperator::RightOuter(c)
            | JoinOperator::FullOuter(c)
            | JoinOperator::CrossJoin(c) => c,
            _ => return Err(refuse::unsupported("this kind of join", None)),
        };
        match constraint {
            JoinConstraint::On(condition) => {
                absorb(left, right);
                let mut sight = left.clone();
                sight.sources.extend(&outer.sources);
                let condition = self.expr(condition, &sight)?;
                joined.conditions.push(condition);
            }
            JoinConstraint::Using(columns) => self.using(columns, left, right, joined)?,
            JoinConstraint::Natural => self.natural(left, right, joined)?,
            JoinConstraint::None => absorb(left, right),
        }
        Ok(())
    }

    fn using(
        &mut self,
        columns: &[ObjectName],
        left: &mut Scope<'_>,
        right: Scope<'_>,
        joined: &mut Joined,
    ) -> Result<(), Refusal> {
        let mut names = Vec::new();
        for column in columns {
            let (mut parts, _) = self.object_name(column)?;
            names.extend(parts.pop());
        }
        self.merge(&names, left, right, joined)
    }

    fn natural(
        &mut self,
        left: &mut Scope<'_>,
        right: Scope<'_>,
        joined: &mut Joined,
    ) -> Result<(), Refusal> {
        if left.unknown || right.unknown {
            return Err(refuse::unsupported(
                "NATURAL JOIN with a source whose columns are not known",
                None,
            ));
        }
        for source in left.sources.iter().chain(&right.sources) {
            self.sources[source.0].used.unnamed = true;
        }
        let names: Vec<String> = left
            .visible
            .iter()
            .filter(|l| right.visible.iter().any(|r| r.name == l.name))
            .map(|l| l.name.clone())
            .collect();
        self.merge(&names, left, right, joined)
    }

    /// Merged columns come first and once; the others follow in order (manual, 7.2.1.1).
    fn merge(
        &mut self,
        names: &[String],
        left: &mut Scope<'_>,
        mut right: Scope<'_>,
        joined: &mut Joined,
    ) -> Result<(), Refusal> {
        let mut first = Vec::new();
        for name in names {
            let (l, r) = (
                position(&left.visible, name),
                position(&right.visible, name),
            );
            let (Some(l), Some(r)) = (l, r) else {
                return Err(refuse::unsupported(
                    format!("USING ({name}) over a source whose columns are not known"),
                    None,
                ));
            };
            let (l, r) = (left.visible.remove(l), right.visible.remove(r));
            joined.merged.push((l.column, r.column));
            first.push(l);
        }
        first.append(&mut left.visible);
        left.visible = first;
        absorb(left, right);
        Ok(())
    }

    fn factor(
        &mut self,
        factor: &TableFactor,
        sight: &Scope<'_>,
        here: &mut Scope<'_>,
        joined: &mut Joined,
    ) -> Result<(), Refusal> {
        if let TableFactor::NestedJoin {
            table_with_joins,
            alias,
        } = factor
        {
            absent(&[("an alias of a join", alias)])?;
            return self.nested(table_with_joins, sight, here, joined);
        }
        let source = self.source(factor, sight, joined)?;
        joined.sources.push(source);
        self.enter(here, source);
        Ok(())
    }

    fn nested(
        &mut self,
        item: &TableWithJoins,
        sight: &Scope<'_>,
        here: &mut Scope<'_>,
        joined: &mut Joined,
    ) -> Result<(), Refusal> {
        let mut inner = Scope {
            parent: sight.parent,
            sources: sight.sources.clone(),
            visible: sight.visible.clone(),
            unknown: sight.unknown,
        };
        let (sources, visible) = (inner.sources.len(), inner.visible.len());
        inner.unknown = false;
        self.table_with_joins(item, &mut inner, joined)?;
        here.sources.extend(inner.sources.drain(sources..));
        here.visible.extend(inner.visible.drain(visible..));
        here.unknown |= inner.unknown;
        Ok(())
    }
}

fn absorb(left: &mut Scope<'_>, mut right: Scope<'_>) {
    left.sources.append(&mut right.sources);
    left.visible.append(&mut right.visible);
    left.unknown |= right.unknown;
}

fn position(visible: &[Visible], name: &str) -> Option<usize> {
    visible.iter().position(|v| v.name == name)
}

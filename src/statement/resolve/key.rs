//! The keys of GROUP BY, DISTINCT ON and ORDER BY, as PostgreSQL reads them: ordinals, names of output columns, or
//! expressions.
//!
//! Knows no role.

use sqlparser::ast::{Expr as SqlExpr, Value};

use super::Resolver;
use super::scope::{Found, Scope};
use crate::statement::parse::token_index;
use crate::statement::plan::Refusal;
use crate::statement::tree::{ColumnRef, Expr, Extent, Item, Select};

/// What a bare name among the keys means first (`findTargetlistEntrySQL92`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prefer {
    /// a column of FROM, as in GROUP BY
    Input,
    /// an output column, as in DISTINCT ON
    Output,
}

impl Resolver<'_> {
    /// A GROUP BY key: a row and a grouping set stand for the keys in them.
    pub(super) fn group_key(
        &mut self,
        key: &SqlExpr,
        select: &mut Select,
        scope: &Scope<'_>,
    ) -> Result<(), Refusal> {
        match without_parentheses(key) {
            SqlExpr::Tuple(keys) => keys
                .iter()
                .try_for_each(|key| self.group_key(key, select, scope)),
            SqlExpr::GroupingSets(sets) | SqlExpr::Cube(sets) | SqlExpr::Rollup(sets) => sets
                .iter()
                .flatten()
                .try_for_each(|key| self.group_key(key, select, scope)),
            key => {
                let key = self.key(key, &select.items, scope, Prefer::Input)?;
                select.group_by.push(key);
                Ok(())
            }
        }
    }

    /// The column that a key of GROUP BY is, and the tokens that it is named by there.
    pub(super) fn group_column(&self, key: &SqlExpr, bound: &Expr) -> Option<(ColumnRef, Extent)> {
        let Expr::Column { column, .. } = bound else {
            return None;
        };
        let index = |span| token_index(span);
        let (start, last) = match key {
            SqlExpr::Identifier(ident) => (index(ident.span)?, index(ident.span)?),
            SqlExpr::CompoundIdentifier(parts) => {
                (index(parts.first()?.span)?, index(parts.last()?.span)?)
            }
            SqlExpr::Value(value) => (index(value.span)?, index(value.span)?),
            _ => return None,
        };
        let end = last + 1;
        Some((*column, Extent { start, end }))
    }

    /// The keys of GROUP BY.
    pub(super) fn group_keys(
        &mut self,
        keys: &[SqlExpr],
        select: &mut Select,
        scope: &Scope<'_>,
    ) -> Result<(), Refusal> {
        for key in keys {
            let before = select.group_by.len();
            self.group_key(key, select, scope)?;
            if let [bound] = &select.group_by[before..]
                && let Some(column) = self.group_column(key, bound)
            {
                select.group_columns.push(column);
            }
        }
        Ok(())
    }

    /// A key of GROUP BY or DISTINCT ON: an ordinal means an output column, a bare name one or an input column.
    pub(super) fn key(
        &mut self,
        key: &SqlExpr,
        items: &[Item],
        scope: &Scope<'_>,
        prefer: Prefer,
    ) -> Result<Expr, Refusal> {
        if let Some(item) = ordinal(key).and_then(|n| items.get(n)) {
            return Ok(item.expr.clone());
        }
        if let SqlExpr::Identifier(ident) = without_parentheses(key) {
            let (name, index) = self.name(ident)?;
            // Only this query's own FROM goes before an output column, not that of a query around it.
            let here = Scope {
                parent: None,
                ..scope.clone()
            };
            let input = prefer == Prefer::Input
                && matches!(self.find(&here, &name, index)?, Found::Column(_));
            if let (false, Some(item)) = (input, items.iter().find(|i| i.name == name)) {
                return Ok(item.expr.clone());
            }
        }
        self.expr(key, scope)
    }
}

/// What stands inside parentheses: the server's tree has none, so that `(1)` is an ordinal too.
pub(super) fn without_parentheses(expr: &SqlExpr) -> &SqlExpr {
    match expr {
        SqlExpr::Nested(inner) => without_parentheses(inner),
        other => other,
    }
}

/// A constant integer in ORDER BY, GROUP BY or DISTINCT ON: the index of an output column.
pub(super) fn ordinal(expr: &SqlExpr) -> Option<usize> {
    match without_parentheses(expr) {
        SqlExpr::Value(value) => match &value.value {
            Value::Number(digits, _) => digits.parse::<usize>().ok()?.checked_sub(1),
            _ => None,
        },
        _ => None,
    }
}

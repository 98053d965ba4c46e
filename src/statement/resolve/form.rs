//! The forms that no treated attribute may stand in: their operands are bound, and named after the form for
//! the refusal that a treated one among them gets. What is not listed is refused whatever stands in it.

use sqlparser::ast::{AccessExpr, Array, CaseWhen, Expr as SqlExpr, Subscript};

use super::Resolver;
use super::absent::absent;
use super::scope::Scope;
use crate::statement::plan::Refusal;
use crate::statement::refuse;
use crate::statement::tree::{Expr, Form};

impl Resolver<'_> {
    /// The forms that no treated attribute may stand in, and those that are not understood at all.
    pub(super) fn other(&mut self, expr: &SqlExpr, scope: &Scope<'_>) -> Result<Expr, Refusal> {
        match expr {
            SqlExpr::IsFalse(e)
            | SqlExpr::IsNotFalse(e)
            | SqlExpr::IsTrue(e)
            | SqlExpr::IsNotTrue(e)
            | SqlExpr::IsUnknown(e)
            | SqlExpr::IsNotUnknown(e) => {
                self.form(Form::Named("a truth test"), [e.as_ref()], scope)
            }
            SqlExpr::Between {
                expr,
                negated: _,
                low,
                high,
            } => self.form(Form::Range("BETWEEN"), [expr.as_ref(), low, high], scope),
            SqlExpr::Like {
                negated: _,
                any,
                expr,
                pattern: p,
                escape_char,
            }
            | SqlExpr::ILike {
                negated: _,
                any,
                expr,
                pattern: p,
                escape_char,
            } => {
                absent(&[("LIKE ANY", any)])?;
                self.form(
                    Form::Pattern("LIKE"),
                    [expr.as_ref(), p.as_ref()]
                        .into_iter()
                        .chain(escape_char.as_deref()),
                    scope,
                )
            }
            SqlExpr::SimilarTo {
                negated: _,
                expr,
                pattern: p,
                escape_char,
            } => self.form(
                Form::Pattern("SIMILAR TO"),
                [expr.as_ref(), p.as_ref()]
                    .into_iter()
                    .chain(escape_char.as_deref()),
                scope,
            ),
            SqlExpr::AtTimeZone {
                timestamp,
                time_zone,
            } => self.form(
                Form::Named("AT TIME ZONE"),
                [timestamp.as_ref(), time_zone],
                scope,
            ),
            SqlExpr::IsNormalized {
                expr,
                form: _,
                negated: _,
            } => self.form(Form::Named("IS NORMALIZED"), [expr.as_ref()], scope),
            other => self.worded_call(other, scope),
        }
    }

    /// Functions that are called in words of their own.
    fn worded_call(&mut self, expr: &SqlExpr, scope: &Scope<'_>) -> Result<Expr, Refusal> {
        match expr {
            SqlExpr::Extract {
                field: _,
                syntax: _,
                expr,
            } => self.form(Form::Function("extract".to_owned()), [expr.as_ref()], scope),
            SqlExpr::Ceil { expr, field: _ } => {
                self.form(Form::Function("ceil".to_owned()), [expr.as_ref()], scope)
            }
            SqlExpr::Floor { expr, field: _ } => {
                self.form(Form::Function("floor".to_owned()), [expr.as_ref()], scope)
            }
            SqlExpr::Position { expr, r#in } => {
                self.form(Form::Pattern("position"), [expr.as_ref(), r#in], scope)
            }
            SqlExpr::Substring {
                expr,
                substring_from,
                substring_for,
                special: _,
                shorthand: _,
            } => {
                let parts = [Some(expr), substring_from.as_ref(), substring_for.as_ref()];
                self.form(
                    Form::Function("substring".to_owned()),
                    parts.into_iter().flatten().map(AsRef::as_ref),
                    scope,
                )
            }
            SqlExpr::Trim {
                trim_where: _,
                trim_what,
                expr,
                trim_characters,
            } => {
                let parts = [Some(expr.as_ref()), trim_what.as_deref()]
                    .into_iter()
                    .flatten()
                    .chain(trim_characters.iter().flatten());
                self.form(Form::Function("trim".to_owned()), parts, scope)
            }
            SqlExpr::Overlay {
                expr,
                overlay_what,
                overlay_from,
                overlay_for,
            } => {
                let parts = [
                    Some(expr),
                    Some(overlay_what),
                    Some(overlay_from),
                    overlay_for.as_ref(),
                ];
                self.form(
                    Form::Function("overlay".to_owned()),
                    parts.into_iter().flatten().map(AsRef::as_ref),
                    scope,
                )
            }
            other => self.composed(other, scope),
        }
    }

    /// What is put together out of other expressions, or taken apart again.
    fn composed(&mut self, expr: &SqlExpr, scope: &Scope<'_>) -> Result<Expr, Refusal> {
        match expr {
            SqlExpr::Collate { expr, collation } => {
                self.object_name(collation)?;
                self.form(Form::Named("COLLATE"), [expr.as_ref()], scope)
            }
            SqlExpr::Case {
                case_token: _,
                end_token: _,
                operand,
                conditions,
                else_result,
            } => {
                let mut parts: Vec<&SqlExpr> = operand
                    .as_deref()
                    .into_iter()
                    .chain(else_result.as_deref())
                    .collect();
                for CaseWhen { condition, result } in conditions {
                    parts.extend([condition, result]);
                }
                self.form(Form::Named("CASE"), parts, scope)
            }
            SqlExpr::GroupingSets(sets) | SqlExpr::Cube(sets) | SqlExpr::Rollup(sets) => {
                self.form(Form::Named("grouping sets"), sets.iter().flatten(), scope)
            }
            SqlExpr::Tuple(parts) => self.form(Form::Named("a row constructor"), parts, scope),
            SqlExpr::Array(Array { elem, named: _ }) => {
                self.form(Form::Named("an array constructor"), elem, scope)
            }
            SqlExpr::Interval(interval) => {
                self.form(Form::Named("an interval"), [interval.value.as_ref()], scope)
            }
            SqlExpr::CompoundFieldAccess { root, access_chain } => {
                self.field_access(root, access_chain, scope)
            }
            _ => Err(refuse::unsupported("an expression of this kind", None)),
        }
    }

    /// `x[1]`, `x[1:2]`; a field of a composite is refused.
    fn field_access(
        &mut self,
        root: &SqlExpr,
        chain: &[AccessExpr],
        scope: &Scope<'_>,
    ) -> Result<Expr, Refusal> {
        let mut operands = vec![self.expr(root, scope)?];
        for access in chain {
            match access {
                AccessExpr::Subscript(Subscript::Index { index }) => {
                    operands.push(self.expr(index, scope)?)
                }
                AccessExpr::Subscript(Subscript::Slice {
                    lower_bound,
                    upper_bound,
                    stride,
                }) => {
                    operands.extend(
                        self.list(lower_bound.iter().chain(upper_bound).chain(stride), scope)?,
                    );
                }
                AccessExpr::Dot(_) => {
                    return Err(refuse::unsupported("a field of a composite value", None));
                }
            }
        }
        Ok(Expr::Other {
            form: Form::Named("a subscript"),
            operands,
            extent: None,
        })
    }

    fn form<'e>(
        &mut self,
        form: Form,
        exprs: impl IntoIterator<Item = &'e SqlExpr>,
        scope: &Scope<'_>,
    ) -> Result<Expr, Refusal> {
        Ok(Expr::Other {
            form,
            operands: self.list(exprs, scope)?,
            extent: None,
        })
    }
}

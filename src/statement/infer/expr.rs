//! Expressions: what they are, and what they meet in comparisons.
//!
//! A form that cannot be computed over what is stored is refused with the search word that would help.

use std::slice;
use std::sync::Arc;

use super::{Inference, MaskedMention, Ty, Use, one_form};
use crate::policy::decide::{Store, Treated};
use crate::seal::Comparison;
use crate::statement::plan::Refusal;
use crate::statement::refuse;
use crate::statement::treatment::{Treatment, treatment};
use crate::statement::tree::{
    Body, CastType, ColumnRef, ConstantKind, Expr, Extent, Form, Origin, Place, Query, QueryId,
    SourceId,
};
use crate::types::{LogicalType, TypeClass};

/// One side of a comparison, and where it stands in the text.
pub(super) type Side<'e> = (&'e Ty, Option<&'e Expr>);

impl Inference<'_> {
    /// The type of an expression.
    pub(super) fn expr(&mut self, expr: &Expr) -> Result<Ty, Refusal> {
        match expr {
            Expr::Column { column, extent } => self.column(*column, Some(*extent)),
            Expr::WholeRow { source, extent } => self.whole_row(*source, *extent),
            Expr::Constant {
                kind: ConstantKind::Foreign,
                ..
            } => Ok(Ty::Plain),
            Expr::Constant { .. } | Expr::Parameter { .. } => Ok(Ty::Constant),
            Expr::Cast {
                inner,
                ty,
                array,
                extent,
            } => self.cast(inner, *ty, *array, *extent),
            Expr::Compare {
                left,
                right,
                extent,
            } => self.compare(left, slice::from_ref(right), *extent),
            Expr::InList { left, list, extent } => self.compare(left, list, *extent),
            Expr::InArray { left, list, extent } => self.in_array(left, list, *extent),
            Expr::InQuery {
                left,
                query,
                extent,
            } => self.in_query(left, *query, *extent),
            Expr::AnyArray {
                left,
                right,
                extent,
            } => self.any_array(left, right, *extent),
            Expr::NullTest { operand, extent } => {
                if let Ty::Held(attribute) = self.expr(operand)? {
                    self.uses(&attribute, Use::NullTest, Some(*extent));
                    self.found.grouped.push(*extent);
                }
                Ok(Ty::Plain)
            }
            Expr::Count { argument, distinct } => {
                if let Ty::Held(attribute) = self.expr(argument)? {
                    match distinct {
                        true => self.compares(&attribute, Some(argument), argument.extent()),
                        false => self.uses(&attribute, Use::NullTest, argument.extent()),
                    }
                    self.found.grouped.extend(argument.extent());
                }
                Ok(Ty::Plain)
            }
            Expr::Query(query) => match self.types[query.0].as_deref() {
                Some([only]) => Ok(only.clone()),
                Some(types) if types.iter().any(|t| matches!(t, Ty::Held(_))) => Err(
                    refuse::unsupported("a subquery of several columns here", None),
                ),
                Some(_) | None => Ok(Ty::Plain),
            },
            Expr::Exists => Ok(Ty::Plain),
            Expr::Other {
                form,
                operands,
                extent: _,
            } => {
                self.all_plain(operands, form)?;
                Ok(Ty::Plain)
            }
        }
    }

    /// Refuses unless every expression is plain; the form they stand in words the refusal.
    pub(super) fn all_plain(&mut self, exprs: &[Expr], form: &Form) -> Result<(), Refusal> {
        for expr in exprs {
            if let Ty::Held(attribute) = self.expr(expr)? {
                return Err(self.not_for(&attribute, form, expr.extent()));
            }
        }
        Ok(())
    }

    /// The refusal of a form that cannot be computed over an attribute, naming the search word that would help.
    pub(super) fn not_for(
        &self,
        attribute: &Treated,
        form: &Form,
        extent: Option<Extent>,
    ) -> Refusal {
        let position = self.position(extent);
        if !attribute.may_compare_equal(self.role) && !attribute.may_assign(self.role) {
            return refuse::denied(&attribute.name, "compute with", position);
        }
        let encrypted = matches!(attribute.store, Store::Encrypt { .. });
        match form {
            Form::Range(what) if encrypted => {
                refuse::search_missing(&attribute.name, what, "order", position)
            }
            Form::Pattern(what) if encrypted => {
                refuse::search_missing(&attribute.name, what, "substring", position)
            }
            Form::Case(name) if encrypted => {
                refuse::search_missing(&attribute.name, &format!("{name}()"), "nocase", position)
            }
            Form::Case(name) | Form::Function(name) => {
                refuse::not_computable(&attribute.name, &format!("{name}()"), position)
            }
            Form::Range(what) | Form::Pattern(what) | Form::Named(what) => {
                refuse::not_computable(&attribute.name, what, position)
            }
        }
    }

    /// The type of a column; `extent` is where it is mentioned.
    pub(super) fn column(
        &mut self,
        column: ColumnRef,
        extent: Option<Extent>,
    ) -> Result<Ty, Refusal> {
        let source = &self.resolved.sources[column.source.0];
        let origin = source
            .columns
            .as_ref()
            .and_then(|c| c.get(column.column))
            .map_or(&Origin::Plain, |c| &c.origin);
        match origin {
            Origin::Plain => Ok(Ty::Plain),
            Origin::Output(query, index) => {
                let ty = self
                    .types
                    .get(query.0)
                    .and_then(Option::as_ref)
                    .and_then(|t| t.get(*index));
                ty.cloned().ok_or_else(|| {
                    refuse::unsupported(
                        "a column of a query that is not known yet",
                        self.position(extent),
                    )
                })
            }
            Origin::Treated(attribute) => match treatment(attribute, self.role) {
                Treatment::Free => Ok(Ty::Plain),
                Treatment::Held => Ok(Ty::Held(attribute.clone())),
                Treatment::Denied(refusal) => Err(Refusal {
                    position: self.position(extent),
                    ..refusal
                }),
                Treatment::Masked if source.place == Place::From => Ok(Ty::Plain),
                Treatment::Masked => {
                    let extent = extent.ok_or_else(|| {
                        refuse::unsupported("this mention of a masked attribute", None)
                    })?;
                    self.found.masked.push(MaskedMention {
                        column,
                        extent,
                        label: None,
                    });
                    Ok(Ty::Plain)
                }
            },
        }
    }

    /// A whole row is plain only if nothing in it is held, denied, or masked one mention at a time.
    fn whole_row(&mut self, source: SourceId, extent: Extent) -> Result<Ty, Refusal> {
        let here = &self.resolved.sources[source.0];
        let width = here.columns.as_ref().map_or(0, Vec::len);
        for column in 0..width {
            let masked = self.found.masked.len();
            let ty = self.column(ColumnRef { source, column }, Some(extent))?;
            if matches!(ty, Ty::Held(_)) || self.found.masked.len() > masked {
                return Err(refuse::unsupported(
                    "a whole row with a treated attribute in it",
                    self.position(Some(extent)),
                ));
            }
        }
        Ok(Ty::Plain)
    }

    /// A cast inside a type class is dropped: the stored form is the same.
    fn cast(
        &mut self,
        inner: &Expr,
        ty: CastType,
        array: bool,
        extent: Extent,
    ) -> Result<Ty, Refusal> {
        match (self.expr(inner)?, inner.extent()) {
            (Ty::Held(attribute), Some(within)) if !array => {
                let same_class = ty
                    .and_then(|(oid, typmod)| LogicalType::from_oid(oid, typmod))
                    .filter(|to| keeps_value(attribute.logical, *to))
                    // What is not sealed comes as the server's own type, in whose form only texts are alike.
                    .filter(|to| {
                        matches!(attribute.store, Store::Encrypt { .. })
                            || to.class() == TypeClass::Text
                    });
                let Some(to) = same_class else {
                    return Err(self.not_for(&attribute, &Form::Named("this cast"), Some(extent)));
                };
                self.found.drops.push(Extent {
                    start: extent.start,
                    end: within.start,
                });
                self.found.drops.push(Extent {
                    start: within.end,
                    end: extent.end,
                });
                Ok(Ty::Held(Arc::new(Treated {
                    logical: to,
                    ..(*attribute).clone()
                })))
            }
            (Ty::Held(attribute), _) => {
                Err(self.not_for(&attribute, &Form::Named("this cast"), Some(extent)))
            }
            (ty, _) => Ok(ty),
        }
    }

    /// Notes that the server compares a held attribute. Where its equality lies in a term, a column that stands in
    /// `expr` is to stand for its head; anything else would compare what is stored as a whole, which is refused.
    pub(super) fn compares(
        &mut self,
        attribute: &Arc<Treated>,
        expr: Option<&Expr>,
        extent: Option<Extent>,
    ) {
        let what = match (attribute.comparison(), expr.and_then(column_extent)) {
            (Comparison::Heads, Some(column)) => {
                self.found.heads.push(column);
                Use::CompareHeads
            }
            (Comparison::Heads, None) | (Comparison::Bytes | Comparison::Never, _) => Use::Compare,
        };
        self.uses(attribute, what, extent);
    }

    /// Refuses to compare an attribute with what is not of its form.
    pub(super) fn compare_types(
        &mut self,
        (left, left_expr): Side<'_>,
        (right, right_expr): Side<'_>,
        extent: Option<Extent>,
    ) -> Result<(), Refusal> {
        match (left, right) {
            (Ty::Held(l), Ty::Held(r)) if one_form(l, r) => {
                self.compares(l, left_expr, extent);
                self.compares(r, right_expr, extent);
                Ok(())
            }
            (Ty::Held(a), _) | (_, Ty::Held(a)) => Err(self.not_for(
                a,
                &Form::Named("a comparison with something of another domain"),
                extent,
            )),
            (Ty::Plain | Ty::Constant, Ty::Plain | Ty::Constant) => Ok(()),
        }
    }

    fn in_query(&mut self, left: &Expr, query: QueryId, extent: Extent) -> Result<Ty, Refusal> {
        let left_ty = self.expr(left)?;
        let right = match self.types[query.0].as_deref() {
            Some([only]) => only.clone(),
            Some(types) if types.iter().any(|t| matches!(t, Ty::Held(_))) => {
                return Err(refuse::unsupported(
                    "IN over a query of several columns",
                    self.position(Some(extent)),
                ));
            }
            Some(_) | None => Ty::Plain,
        };
        if matches!(left_ty, Ty::Held(_)) {
            self.found.grouped.push(extent);
        }
        let item = only_item(&self.resolved.queries[query.0]);
        self.compare_types((&left_ty, Some(left)), (&right, item), Some(extent))?;
        Ok(Ty::Plain)
    }
}

/// The column that a held expression is, casts around it left out.
fn column_extent(expr: &Expr) -> Option<Extent> {
    match expr {
        Expr::Column { extent, .. } => Some(*extent),
        Expr::Cast { inner, .. } => column_extent(inner),
        _ => None,
    }
}

/// The select list's only item as the client wrote it, where nothing but the query's own result depends on it.
fn only_item(query: &Query) -> Option<&Expr> {
    let Body::Select(select) = &query.body else {
        return None;
    };
    match select.items.as_slice() {
        [item] if item.from_star.is_none() && !select.distinct => Some(&item.expr),
        _ => None,
    }
}

/// Whether a cast changes no value, no canonical form and not what is equal to it.
fn keeps_value(from: LogicalType, to: LogicalType) -> bool {
    if from.equality() != to.equality() {
        return false;
    }
    from == to
        || matches!(
            (from, to),
            (
                LogicalType::Text | LogicalType::Varchar(_),
                LogicalType::Text | LogicalType::Varchar(None)
            ) | (LogicalType::Int2, LogicalType::Int4 | LogicalType::Int8)
                | (LogicalType::Int4, LogicalType::Int8)
                | (LogicalType::Float4, LogicalType::Float8)
                | (LogicalType::Time(_), LogicalType::Time(None))
                | (LogicalType::Timetz(_), LogicalType::Timetz(None))
                | (LogicalType::Cidr, LogicalType::Inet)
                | (LogicalType::Timestamp(_), LogicalType::Timestamp(None))
                | (LogicalType::Timestamptz(_), LogicalType::Timestamptz(None))
        )
}

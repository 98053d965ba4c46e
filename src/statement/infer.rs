//! A type for every expression: plain, constant, or held in a domain; and from it every site that has to
//! change and every use that the policy has to allow.
//!
//! Unification carries an attribute to the constants and parameters it meets through comparison, assignment
//! and set operations. What it cannot carry is refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::plan::{Refusal, Shape};
use super::refuse;
use super::treatment::{Treatment, treatment};
use super::tree::{
    Body, CastType, Change, ColumnRef, ConstantKind, Expr, Extent, Form, Insert, Item, Node,
    Origin, Place, QueryId, Resolved, Rows, Select, SourceId,
};
use crate::ident::RoleName;
use crate::policy::decide::{Store, Treated};
use crate::types::{LogicalType, TypeClass};

/// The type of an expression.
#[derive(Debug, Clone)]
pub(super) enum Ty {
    /// nothing treated in it
    Plain,
    /// a constant or parameter that takes the type of what it meets
    Constant,
    /// a treated attribute in its stored form
    Held(Arc<Treated>),
}

/// What a statement does with an attribute, for the policy to allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// `=` and its like, GROUP BY, DISTINCT, set operations, joins
    Compare,
    /// IS NULL, count
    NullTest,
    /// INSERT, UPDATE
    Assign,
    /// ON CONFLICT
    Conflict,
}

/// A constant or parameter that meets an attribute.
#[derive(Debug, Clone)]
pub(super) struct Adapted {
    /// the attribute
    pub attribute: Arc<Treated>,
    /// the tokens it stands in, casts and parentheses included
    pub extent: Extent,
    /// what stands there
    pub site: Site,
    /// one value or an array
    pub shape: Shape,
    /// the type the client named
    pub cast: CastType,
    /// assigned, not compared
    pub assigned: bool,
}

/// What stands at an adapted site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Site {
    /// a constant, in these tokens
    Constant(ConstantKind, Extent),
    /// a parameter
    Parameter(u16),
}

/// A mention of a masked attribute of a target.
#[derive(Debug, Clone)]
pub(super) struct MaskedMention {
    /// the column
    pub column: ColumnRef,
    /// the tokens that mention it
    pub extent: Extent,
    /// the name of the output column it makes up, when it is one by itself
    pub label: Option<String>,
}

/// Everything that inference found. Only [`infer`] makes one.
#[derive(Debug)]
pub(super) struct Inferred {
    /// the bound text
    pub resolved: Resolved,
    /// uses the policy must allow, with their byte positions
    pub uses: Vec<(Arc<Treated>, Use, Option<usize>)>,
    /// constants and parameters to seal or tokenise, by first token
    pub adapted: BTreeMap<usize, Adapted>,
    /// tokens to drop: casts around held columns
    pub drops: Vec<Extent>,
    /// mentions of masked attributes of a target, to be replaced one by one
    pub masked: Vec<MaskedMention>,
    /// extents whose neighbours must be such that PostgreSQL groups them as the tree does
    pub grouped: Vec<Extent>,
    /// the output columns of every statement, None when it has none
    pub outputs: Vec<Option<Vec<Ty>>>,
}

/// Infers the types of a bound text as a role sees it.
///
/// # Errors
/// A [`Refusal`] for a use of a held attribute that what is stored cannot answer.
pub(super) fn infer(resolved: Resolved, role: &RoleName) -> Result<Inferred, Refusal> {
    let mut inference = Inference {
        resolved: &resolved,
        role,
        types: Vec::new(),
        found: Found::default(),
    };
    for query in 0..resolved.queries.len() {
        let types = inference.query(QueryId(query))?;
        inference.types.push(types);
    }
    let mut outputs = Vec::with_capacity(resolved.statements.len());
    for (node, _) in &resolved.statements {
        outputs.push(inference.node(node)?);
    }
    let Found {
        uses,
        adapted,
        drops,
        masked,
        grouped,
    } = inference.found;
    Ok(Inferred {
        resolved,
        uses,
        adapted,
        drops,
        masked,
        grouped,
        outputs,
    })
}

#[derive(Default)]
struct Found {
    uses: Vec<(Arc<Treated>, Use, Option<usize>)>,
    adapted: BTreeMap<usize, Adapted>,
    drops: Vec<Extent>,
    masked: Vec<MaskedMention>,
    grouped: Vec<Extent>,
}

struct Inference<'a> {
    resolved: &'a Resolved,
    role: &'a RoleName,
    /// the output types of the queries so far; a query's own queries stand before it
    types: Vec<Option<Vec<Ty>>>,
    found: Found,
}

impl Inference<'_> {
    fn position(&self, extent: Option<Extent>) -> Option<usize> {
        self.resolved.tokens.get(extent?.start).map(|t| t.start)
    }

    fn uses(&mut self, attribute: &Arc<Treated>, what: Use, extent: Option<Extent>) {
        let position = self.position(extent);
        self.found.uses.push((attribute.clone(), what, position));
    }

    fn node(&mut self, node: &Node) -> Result<Option<Vec<Ty>>, Refusal> {
        match node {
            Node::Untouched => Ok(None),
            Node::Query(query) => Ok(self.types[query.0].clone()),
            Node::Insert(insert) => self.insert(insert),
            Node::Change(change) => self.change(change),
        }
    }

    fn query(&mut self, id: QueryId) -> Result<Option<Vec<Ty>>, Refusal> {
        let query = &self.resolved.queries[id.0];
        if query.locks {
            self.check_locks(&query.sources)?;
        }
        let types = match &query.body {
            Body::Select(select) => {
                let types = self.select(select)?;
                let held = types.iter().any(|t| matches!(t, Ty::Held(_)));
                match (query.outputs.is_some(), held) {
                    (false, true) => {
                        return Err(refuse::unsupported(
                            "* over a source whose columns are not known, beside a treated attribute,",
                            None,
                        ));
                    }
                    (known, _) => known.then_some(types),
                }
            }
            Body::Set {
                left,
                right,
                all,
                extent,
            } => self.set_operation((*left, *right), *all, *extent)?,
            Body::Values(rows) => {
                for row in rows {
                    self.all_plain(row, &Form::Named("VALUES"))?;
                }
                rows.first().map(|row| vec![Ty::Plain; row.len()])
            }
            Body::Nested(query) => self.types[query.0].clone(),
            Body::Statement(node) => Some(self.node(node)?.unwrap_or_default()),
        };
        self.all_plain(&query.limits, &Form::Named("LIMIT"))?;
        self.all_plain(&query.order_by, &Form::Range("ORDER BY"))?;
        for &index in &query.order_by_outputs {
            if let Some(Ty::Held(attribute)) = types.as_ref().and_then(|t| t.get(index)) {
                return Err(self.not_for(attribute, &Form::Range("ORDER BY"), None));
            }
        }
        Ok(types)
    }

    /// A locking read needs the relation itself: one replaced by a subselect cannot be locked.
    fn check_locks(&self, sources: &[SourceId]) -> Result<(), Refusal> {
        let replaced = sources.iter().any(|&s| self.is_replaced(s));
        if replaced {
            Err(refuse::unsupported(
                "a locking read of a relation with masked attributes",
                None,
            ))
        } else {
            Ok(())
        }
    }

    /// Whether a source in FROM has attributes that the role sees masked.
    fn is_replaced(&self, source: SourceId) -> bool {
        let source = &self.resolved.sources[source.0];
        source.place == Place::From
            && source.columns.iter().flatten().any(|c| match &c.origin {
                Origin::Treated(t) => matches!(treatment(t, self.role), Treatment::Masked),
                Origin::Output(..) | Origin::Plain => false,
            })
    }

    fn select(&mut self, select: &Select) -> Result<Vec<Ty>, Refusal> {
        let types = self.items(&select.items)?;
        for &(left, right) in &select.merged {
            self.merged(left, right)?;
        }
        self.all_plain(&select.conditions, &Form::Named("a condition"))?;
        for key in select.group_by.iter().chain(&select.distinct_on) {
            if let Ty::Held(attribute) = self.expr(key)? {
                self.uses(&attribute, Use::Compare, key.extent());
            }
        }
        if select.distinct {
            for (ty, item) in types.iter().zip(&select.items) {
                if let Ty::Held(attribute) = ty {
                    self.uses(attribute, Use::Compare, item.expr.extent());
                }
            }
        }
        Ok(types)
    }

    fn items(&mut self, items: &[Item]) -> Result<Vec<Ty>, Refusal> {
        let mut types = Vec::with_capacity(items.len());
        for item in items {
            let ty = self.expr(&item.expr)?;
            if matches!(ty, Ty::Held(_)) && item.from_star.is_none() {
                self.found.grouped.extend(item.expr.extent());
            }
            types.push(match ty {
                Ty::Constant => Ty::Plain,
                other => other,
            });
        }
        Ok(types)
    }

    fn merged(&mut self, left: ColumnRef, right: ColumnRef) -> Result<(), Refusal> {
        let left = self.column(left, None)?;
        let right = self.column(right, None)?;
        self.compare_types(left, right, None)
    }

    fn set_operation(
        &mut self,
        (left, right): (QueryId, QueryId),
        all: bool,
        extent: Option<Extent>,
    ) -> Result<Option<Vec<Ty>>, Refusal> {
        let (left, right) = (self.types[left.0].clone(), self.types[right.0].clone());
        let (Some(left), Some(right)) = (left.clone(), right.clone()) else {
            // One side is not known, hence plain: the other must be too.
            return match left
                .or(right)
                .into_iter()
                .flatten()
                .find_map(|t| if let Ty::Held(a) = t { Some(a) } else { None })
            {
                Some(attribute) => Err(refuse::not_computable(
                    &attribute.name,
                    "a set operation with columns that are not known",
                    None,
                )),
                None => Ok(None),
            };
        };
        let mut types = Vec::with_capacity(left.len());
        for index in 0..left.len().max(right.len()) {
            types.push(match (left.get(index), right.get(index)) {
                (Some(Ty::Held(l)), Some(Ty::Held(r)))
                    if one_form(l, r)
                        && l.sight(self.role) == r.sight(self.role)
                        && l.logical == r.logical =>
                {
                    if !all {
                        self.uses(l, Use::Compare, extent);
                        self.uses(r, Use::Compare, extent);
                    }
                    Ty::Held(l.clone())
                }
                (Some(Ty::Held(a)), _) | (_, Some(Ty::Held(a))) => {
                    return Err(refuse::not_computable(
                        &a.name,
                        "a set operation with something else",
                        self.position(extent),
                    ));
                }
                _ => Ty::Plain,
            });
        }
        Ok(Some(types))
    }

    /// The type of a column; `extent` is where it is mentioned.
    fn column(&mut self, column: ColumnRef, extent: Option<Extent>) -> Result<Ty, Refusal> {
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

    fn all_plain(&mut self, exprs: &[Expr], form: &Form) -> Result<(), Refusal> {
        for expr in exprs {
            if let Ty::Held(attribute) = self.expr(expr)? {
                return Err(self.not_for(&attribute, form, expr.extent()));
            }
        }
        Ok(())
    }

    /// The refusal of a form that cannot be computed over an attribute, naming the search word that would help.
    fn not_for(&self, attribute: &Treated, form: &Form, extent: Option<Extent>) -> Refusal {
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

    fn expr(&mut self, expr: &Expr) -> Result<Ty, Refusal> {
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
            } => self.compare(left, std::slice::from_ref(right), *extent),
            Expr::InList { left, list, extent } => self.compare(left, list, *extent),
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
                    let what = if *distinct {
                        Use::Compare
                    } else {
                        Use::NullTest
                    };
                    self.uses(&attribute, what, argument.extent());
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
            (Ty::Held(attribute), Some(within)) if !array && attribute.store != Store::Plain => {
                let same_class = ty
                    .and_then(|(oid, typmod)| LogicalType::from_oid(oid, typmod))
                    .filter(|to| keeps_value(attribute.logical, *to));
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

    fn compare_types(
        &mut self,
        left: Ty,
        right: Ty,
        extent: Option<Extent>,
    ) -> Result<(), Refusal> {
        match (left, right) {
            (Ty::Held(l), Ty::Held(r)) if one_form(&l, &r) => {
                self.uses(&l, Use::Compare, extent);
                self.uses(&r, Use::Compare, extent);
                Ok(())
            }
            (Ty::Held(a), _) | (_, Ty::Held(a)) => Err(self.not_for(
                &a,
                &Form::Named("a comparison with something of another domain"),
                extent,
            )),
            (Ty::Plain | Ty::Constant, Ty::Plain | Ty::Constant) => Ok(()),
        }
    }

    /// `left = right`, `left IN (list)`.
    fn compare(&mut self, left: &Expr, list: &[Expr], extent: Extent) -> Result<Ty, Refusal> {
        let left_ty = self.expr(left)?;
        let mut met = matches!(left_ty, Ty::Held(_));
        for right in list {
            let right_ty = self.expr(right)?;
            met |= matches!(right_ty, Ty::Held(_));
            match (&left_ty, right_ty) {
                (Ty::Held(attribute), Ty::Constant) => {
                    self.adapt(right, attribute, Shape::Value, false)?
                }
                (Ty::Constant, Ty::Held(attribute)) if list.len() == 1 => {
                    self.adapt(left, &attribute, Shape::Value, false)?
                }
                (_, right_ty) => self.compare_types(left_ty.clone(), right_ty, Some(extent))?,
            }
        }
        if met {
            self.found.grouped.push(extent);
        }
        Ok(Ty::Plain)
    }

    fn in_query(&mut self, left: &Expr, query: QueryId, extent: Extent) -> Result<Ty, Refusal> {
        let left = self.expr(left)?;
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
        if matches!(left, Ty::Held(_)) {
            self.found.grouped.push(extent);
        }
        self.compare_types(left, right, Some(extent))?;
        Ok(Ty::Plain)
    }

    fn any_array(&mut self, left: &Expr, right: &Expr, extent: Extent) -> Result<Ty, Refusal> {
        match (self.expr(left)?, self.expr(right)?) {
            (Ty::Held(attribute), Ty::Constant) => {
                self.found.grouped.push(extent);
                self.adapt(right, &attribute, Shape::Array, false)?;
            }
            (Ty::Held(a), _) | (_, Ty::Held(a)) => {
                return Err(self.not_for(
                    &a,
                    &Form::Named("ANY or ALL in this form"),
                    Some(extent),
                ));
            }
            _ => {}
        }
        Ok(Ty::Plain)
    }

    /// Carries an attribute to the constant or parameter it meets.
    fn adapt(
        &mut self,
        expr: &Expr,
        attribute: &Arc<Treated>,
        shape: Shape,
        assigned: bool,
    ) -> Result<(), Refusal> {
        let position = self.position(expr.extent());
        let refused = |what| refuse::not_computable(&attribute.name, what, position);
        self.uses(
            attribute,
            if assigned { Use::Assign } else { Use::Compare },
            expr.extent(),
        );
        let (inner, cast, array, extent) = match expr {
            Expr::Cast {
                inner,
                ty,
                array,
                extent,
            } => {
                let cast = ty.ok_or_else(|| refused("a comparison with this cast"))?;
                (inner.as_ref(), Some(cast), *array, *extent)
            }
            other => (
                other,
                None,
                shape == Shape::Array,
                other
                    .extent()
                    .ok_or_else(|| refused("a comparison with this expression"))?,
            ),
        };
        if array != (shape == Shape::Array) {
            return Err(refused("a comparison with this cast"));
        }
        let cast = match inner {
            Expr::Constant {
                kind: ConstantKind::Number,
                extent,
            } if cast.is_none() => number_cast(self.text_of(*extent), attribute, assigned)
                .ok_or_else(|| refused("a comparison with, or assignment of, this number"))?,
            _ => cast,
        };
        let site = match inner {
            Expr::Parameter { number, .. } => Site::Parameter(*number),
            Expr::Constant {
                kind: ConstantKind::Default,
                ..
            } if assigned && cast.is_none() => return Ok(()),
            Expr::Constant { kind, extent }
                if cast.is_some() || constant_fits(*kind, attribute, assigned) =>
            {
                Site::Constant(*kind, *extent)
            }
            _ => {
                return Err(refused(
                    "a comparison with, or assignment of, a value of another type",
                ));
            }
        };
        if attribute.store == Store::Plain {
            return Ok(());
        }
        if cast.is_some_and(|(oid, typmod)| !cast_fits(oid, typmod, attribute)) {
            return Err(refused(
                "a comparison with, or assignment of, a value of another type",
            ));
        }
        self.found.adapted.insert(
            extent.start,
            Adapted {
                attribute: attribute.clone(),
                extent,
                site,
                shape,
                cast,
                assigned,
            },
        );
        Ok(())
    }

    /// The text of these tokens, for a constant of one or two tokens.
    fn text_of(&self, extent: Extent) -> &str {
        let tokens = &self.resolved.tokens;
        &self.resolved.text[tokens[extent.start].start..tokens[extent.end - 1].end]
    }

    /// `column = value` of INSERT, UPDATE or DO UPDATE.
    fn assign(&mut self, target: SourceId, column: usize, value: &Expr) -> Result<(), Refusal> {
        let origin = self.resolved.sources[target.0]
            .columns
            .as_ref()
            .and_then(|c| c.get(column))
            .map(|c| c.origin.clone());
        let ty = self.expr(value)?;
        let attribute = match origin {
            Some(Origin::Treated(attribute)) => attribute,
            Some(Origin::Output(..) | Origin::Plain) | None => {
                return match ty {
                    Ty::Held(a) => Err(refuse::not_computable(
                        &a.name,
                        "copying into an attribute of another domain",
                        self.position(value.extent()),
                    )),
                    Ty::Plain | Ty::Constant => Ok(()),
                };
            }
        };
        match (treatment(&attribute, self.role), ty) {
            (Treatment::Denied(refusal), _) => Err(refusal),
            (Treatment::Free, Ty::Plain | Ty::Constant) => Ok(()),
            (Treatment::Masked, _) => {
                self.uses(&attribute, Use::Assign, value.extent());
                Ok(())
            }
            (Treatment::Held, Ty::Constant) => self.adapt(value, &attribute, Shape::Value, true),
            (Treatment::Held, Ty::Held(from))
                if one_form(&from, &attribute) && from.logical == attribute.logical =>
            {
                self.uses(&attribute, Use::Assign, value.extent());
                self.uses(&from, Use::Assign, value.extent());
                Ok(())
            }
            (Treatment::Free, Ty::Held(a)) => Err(refuse::not_computable(
                &a.name,
                "copying into an attribute of another domain",
                self.position(value.extent()),
            )),
            (Treatment::Held, Ty::Plain | Ty::Held(_)) => {
                self.uses(&attribute, Use::Assign, value.extent());
                Err(refuse::not_computable(
                    &attribute.name,
                    "an assignment of an expression",
                    self.position(value.extent()),
                ))
            }
        }
    }

    fn insert(&mut self, insert: &Insert) -> Result<Option<Vec<Ty>>, Refusal> {
        match &insert.rows {
            Rows::Default => {}
            Rows::Values(rows) => {
                for row in rows {
                    self.assign_row(insert, row)?;
                }
            }
            Rows::Query(query) => self.assign_query(insert, *query)?,
        }
        match insert.conflict.as_deref() {
            None => {}
            Some([]) => self.conflict_over_all(insert.target),
            Some(columns) => {
                for &column in columns {
                    if let Some(Origin::Treated(attribute)) = self.origin(column).cloned() {
                        self.uses(&attribute, Use::Conflict, None);
                        if matches!(treatment(&attribute, self.role), Treatment::Held) {
                            self.uses(&attribute, Use::Compare, None);
                        }
                    }
                }
            }
        }
        for (column, value) in &insert.assignments {
            self.assign(insert.target, *column, value)?;
        }
        self.all_plain(&insert.conditions, &Form::Named("a condition"))?;
        self.returning(insert.returning.as_deref())
    }

    /// ON CONFLICT without a target compares by every unique constraint: it needs plain sight of all that is treated.
    fn conflict_over_all(&mut self, target: SourceId) {
        let columns = self.resolved.sources[target.0]
            .columns
            .as_deref()
            .unwrap_or_default();
        for column in columns {
            if let Origin::Treated(attribute) = &column.origin {
                self.found
                    .uses
                    .push((attribute.clone(), Use::Conflict, None));
            }
        }
    }

    fn origin(&self, column: ColumnRef) -> Option<&Origin> {
        self.resolved.sources[column.source.0]
            .columns
            .as_ref()?
            .get(column.column)
            .map(|c| &c.origin)
    }

    fn assign_row(&mut self, insert: &Insert, row: &[Expr]) -> Result<(), Refusal> {
        for (value, &column) in row.iter().zip(&insert.columns) {
            self.assign(insert.target, column, value)?;
        }
        self.all_plain(
            row.get(insert.columns.len()..).unwrap_or_default(),
            &Form::Named("VALUES"),
        )
    }

    /// INSERT … SELECT: a select list's own constants are adapted as those of VALUES are.
    fn assign_query(&mut self, insert: &Insert, id: QueryId) -> Result<(), Refusal> {
        let query = &self.resolved.queries[id.0];
        if let Body::Select(select) = &query.body
            && query.outputs.is_some()
            && !select.distinct
        {
            let values: Vec<Expr> = select.items.iter().map(|i| i.expr.clone()).collect();
            return self.assign_row(insert, &values);
        }
        let types = self.types[id.0].clone();
        for (index, &column) in insert.columns.iter().enumerate() {
            let held = match types.as_ref().and_then(|t| t.get(index)) {
                Some(Ty::Held(attribute)) => Some(attribute.clone()),
                _ => None,
            };
            let target = match self.origin(ColumnRef {
                source: insert.target,
                column,
            }) {
                Some(Origin::Treated(attribute))
                    if !matches!(treatment(attribute, self.role), Treatment::Free) =>
                {
                    Some(attribute.clone())
                }
                _ => None,
            };
            if let Some(attribute) = target.or(held) {
                return Err(refuse::not_computable(
                    &attribute.name,
                    "INSERT … SELECT of this form",
                    None,
                ));
            }
        }
        Ok(())
    }

    fn change(&mut self, change: &Change) -> Result<Option<Vec<Ty>>, Refusal> {
        for (column, value) in &change.assignments {
            self.assign(change.target, *column, value)?;
        }
        for &(left, right) in &change.merged {
            self.merged(left, right)?;
        }
        self.all_plain(&change.conditions, &Form::Named("a condition"))?;
        self.returning(change.returning.as_deref())
    }

    fn returning(&mut self, items: Option<&[Item]>) -> Result<Option<Vec<Ty>>, Refusal> {
        let Some(items) = items else { return Ok(None) };
        let masked = self.found.masked.len();
        let types = self.items(items)?;
        for mention in &mut self.found.masked[masked..] {
            if items.iter().any(|i| i.from_star == Some(mention.extent)) {
                return Err(refuse::unsupported(
                    "RETURNING * of a relation with masked attributes: name the columns; it",
                    None,
                ));
            }
            let bare = |i: &&Item| matches!(&i.expr, Expr::Column { extent, .. } if *extent == mention.extent);
            mention.label = items.iter().find(bare).map(|i| i.name.clone());
        }
        Ok(Some(types))
    }
}

/// Whether equal values of the two attributes are equal as stored.
fn one_form(left: &Treated, right: &Treated) -> bool {
    left.domain == right.domain
        && left.store == right.store
        && left.logical.class() == right.logical.class()
}

/// Whether a cast changes no value and no canonical form.
fn keeps_value(from: LogicalType, to: LogicalType) -> bool {
    from == to
        || match (from, to) {
            (
                LogicalType::Text | LogicalType::Varchar(_),
                LogicalType::Text | LogicalType::Varchar(None),
            ) => true,
            (LogicalType::Int4, LogicalType::Int8) => true,
            (LogicalType::Timestamp(_), LogicalType::Timestamp(None))
            | (LogicalType::Timestamptz(_), LogicalType::Timestamptz(None)) => true,
            _ => false,
        }
}

/// The type PostgreSQL gives a number (manual, 4.1.2.6): int4, int8 or numeric, by its form and size. None where
/// its value in the attribute's type would differ from how it is written.
fn number_cast(text: &str, attribute: &Treated, assigned: bool) -> Option<CastType> {
    const INT4: u32 = 23;
    const INT8: u32 = 20;
    let compact: String = text
        .chars()
        .filter(|c| !c.is_ascii_whitespace() && !matches!(c, '(' | ')'))
        .collect();
    let integer = compact.parse::<i64>().ok();
    match attribute.logical.class() {
        TypeClass::Integer => {
            let integer = integer?;
            Some(Some((
                if i32::try_from(integer).is_ok() {
                    INT4
                } else {
                    INT8
                },
                -1,
            )))
        }
        TypeClass::Text if assigned => (integer?.to_string() == compact).then_some(None),
        _ => Some(None),
    }
}

/// Whether a constant without a cast takes the attribute's type in PostgreSQL.
fn constant_fits(kind: ConstantKind, attribute: &Treated, assigned: bool) -> bool {
    match (kind, attribute.logical.class()) {
        (ConstantKind::Text | ConstantKind::Null, _) => true,
        (ConstantKind::Number, TypeClass::Integer | TypeClass::Numeric) => true,
        (ConstantKind::Number, TypeClass::Text) => assigned,
        (ConstantKind::Boolean, TypeClass::Bool) => true,
        _ => false,
    }
}

/// Whether a value of the named type compares with the attribute in the attribute's own class.
fn cast_fits(oid: u32, typmod: i32, attribute: &Treated) -> bool {
    const INT2: u32 = 21;
    match LogicalType::from_oid(oid, typmod) {
        Some(to) => to.class() == attribute.logical.class(),
        None => oid == INT2 && attribute.logical.class() == TypeClass::Integer,
    }
}

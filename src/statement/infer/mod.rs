//! A type for every expression: plain, constant, or held in a domain; and from it every site that has to
//! change and every use that the policy has to allow.
//!
//! Unification carries an attribute to the constants and parameters it meets through comparison, assignment
//! and set operations. What it cannot carry is refused. Here: the types, and queries.

mod account;
mod array;
mod cast;
mod distinct;
mod expr;
mod list;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::plan::{Refusal, Shape};
use super::refuse;
use super::treatment::{Treatment, treatment};
use super::tree::{
    Body, CastType, ColumnRef, ConstantKind, Extent, Form, Item, Node, Origin, Place, QueryId,
    Resolved, Select, Source, SourceId,
};
use crate::ident::RoleName;
use crate::policy::decide::Treated;

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
    /// GROUP BY, DISTINCT, set operations, USING, and `=` and its like: by what is stored as a whole
    Compare,
    /// `=` and its like, by the heads of what is stored: equality lies in a term
    CompareHeads,
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
    /// the parameters of the list of several constants or parameters that it stands in; None where it stands alone
    pub listed: Option<Arc<[u16]>>,
}

/// What stands at an adapted site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Site {
    /// a constant, in these tokens
    Constant(ConstantKind, Extent),
    /// a parameter
    Parameter(u16),
}

/// A DISTINCT over columns whose equality lies in a term.
#[derive(Debug, Clone)]
pub(super) struct DistinctHeads {
    /// the word
    pub word: Extent,
    /// for each output column the held column whose head is compared; None: it is compared as it is
    pub keys: Vec<Option<ColumnRef>>,
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
    /// held columns that are compared by their heads
    pub heads: Vec<Extent>,
    /// DISTINCTs that compare heads
    pub distinct: Vec<DistinctHeads>,
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
    inference.account()?;
    let Found {
        uses,
        adapted,
        drops,
        heads,
        distinct,
        masked,
        grouped,
    } = inference.found;
    Ok(Inferred {
        resolved,
        uses,
        adapted,
        drops,
        heads,
        distinct,
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
    heads: Vec<Extent>,
    distinct: Vec<DistinctHeads>,
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

    fn is_replaced(&self, source: SourceId) -> bool {
        is_replaced(&self.resolved.sources[source.0], self.resolved, self.role)
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
            self.distinct(select, &types);
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
        // The merged column is the left one here, and the right one, or either, behind an outer join.
        if let (Ty::Held(l), Ty::Held(r)) = (&left, &right)
            && (l.sight(self.role) != r.sight(self.role) || l.logical != r.logical)
        {
            return Err(refuse::not_computable(
                &l.name,
                "a USING or NATURAL join with a column that is seen otherwise",
                None,
            ));
        }
        self.compare_types((&left, None), (&right, None), None)
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
}

/// Whether a source is replaced by a subselect: it stands in FROM, and the text may use an attribute of it that the
/// role sees masked.
pub(super) fn is_replaced(source: &Source, resolved: &Resolved, role: &RoleName) -> bool {
    let Some(relation) = source
        .relation
        .as_ref()
        .filter(|_| source.place == Place::From)
    else {
        return false;
    };
    let columns = source.columns.iter().flatten();
    columns
        .zip(&relation.attributes)
        .any(|(column, attribute)| match &column.origin {
            Origin::Treated(treated) => {
                matches!(treatment(treated, role), Treatment::Masked)
                    && resolved.may_use(source, attribute)
            }
            Origin::Output(..) | Origin::Plain => false,
        })
}

/// Whether equal values of the two attributes are equal as stored.
fn one_form(left: &Treated, right: &Treated) -> bool {
    left.domain == right.domain
        && left.store == right.store
        && left.comparison() == right.comparison()
        && left.logical.class() == right.logical.class()
}

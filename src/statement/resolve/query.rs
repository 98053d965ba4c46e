//! Queries: WITH, set operations, VALUES, ORDER BY, LIMIT.
//!
//! Which names an item of WITH puts in sight, and of what a query's output columns are made. Knows no role.

use sqlparser::ast::{
    Cte, Expr as SqlExpr, Fetch, LimitClause, LockClause, Offset, OrderBy, OrderByExpr,
    OrderByKind, OrderBySort, Query as SqlQuery, SetExpr, SetOperator, SetQuantifier, Statement,
    Values, With,
};

use super::Resolver;
use super::absent::absent;
use super::key::{ordinal, without_parentheses};
use super::scope::Scope;
use crate::statement::plan::Refusal;
use crate::statement::refuse;
use crate::statement::tree::{Body, Column, Node, Origin, Query, QueryId};

impl Resolver<'_> {
    /// Binds a query; `parent` is the scope of the query around it.
    pub(super) fn query(
        &mut self,
        query: &SqlQuery,
        parent: Option<&Scope<'_>>,
    ) -> Result<QueryId, Refusal> {
        let SqlQuery {
            with,
            body,
            order_by,
            limit_clause,
            fetch,
            locks,
            for_clause,
            settings,
            format_clause,
            pipe_operators,
        } = query;
        absent(&[
            ("FOR XML or JSON", for_clause),
            ("SETTINGS", settings),
            ("FORMAT", format_clause),
            ("|>", pipe_operators),
        ])?;
        let outer_ctes = self.ctes.len();
        self.with(with.as_ref(), parent)?;
        let (mut bound, scope) = self.body(body, parent)?;
        self.order_by(order_by.as_ref(), &mut bound, &scope)?;
        let mut limits = Vec::new();
        limit(limit_clause.as_ref(), &mut limits)?;
        if let Some(Fetch {
            with_ties: _,
            percent,
            quantity,
        }) = fetch
        {
            absent(&[("FETCH PERCENT", percent)])?;
            limits.extend(quantity.as_ref());
        }
        let empty = Scope::inside(parent);
        for limit in limits {
            bound.limits.push(self.expr(limit, &empty)?);
        }
        for lock in locks {
            let LockClause {
                lock_type: _,
                of,
                nonblock: _,
            } = lock;
            if let Some(name) = of {
                self.object_name(name)?;
            }
            bound.locks = true;
        }
        self.ctes.truncate(outer_ctes);
        Ok(self.add_query(bound))
    }

    /// Binds the items of a WITH and puts their names in sight; the caller takes them out of it again.
    pub(super) fn with(
        &mut self,
        with: Option<&With>,
        parent: Option<&Scope<'_>>,
    ) -> Result<(), Refusal> {
        let Some(With {
            with_token: _,
            recursive,
            cte_tables,
        }) = with
        else {
            return Ok(());
        };
        let mut names = Vec::new();
        for cte in cte_tables {
            names.push(self.name(&cte.alias.name)?.0);
        }
        for (index, cte) in cte_tables.iter().enumerate() {
            let later = self.forward_ctes.len();
            if *recursive {
                self.forward_ctes.extend(names[index + 1..].iter().cloned());
            }
            let binding = self.cte(cte, *recursive, parent)?;
            self.forward_ctes.truncate(later);
            self.ctes.push((names[index].clone(), binding));
        }
        Ok(())
    }

    fn cte(
        &mut self,
        cte: &Cte,
        recursive: bool,
        parent: Option<&Scope<'_>>,
    ) -> Result<Option<Vec<Column>>, Refusal> {
        let Cte {
            alias,
            query,
            from,
            materialized: _,
            closing_paren_token: _,
        } = cte;
        absent(&[("FROM in WITH", from), ("AT", &alias.at)])?;
        let mut renamed = Vec::new();
        for column in &alias.columns {
            renamed.push(self.name(&column.name)?.0);
        }
        let name = self.name(&alias.name)?.0;
        let before = self.ctes.len();
        if let (true, SetExpr::SetOperation { left, .. }) = (recursive, query.body.as_ref()) {
            if query.with.is_some() {
                return Err(refuse::unsupported(
                    "WITH inside a recursive WITH item",
                    None,
                ));
            }
            // The recursive term sees the columns of the other one. It is bound twice; the first is for its types.
            let (first, _) = self.unseen(&name, |r| r.body(left, parent))?;
            let first = self.add_query(first);
            let columns = rename(self.output_columns(first), &renamed);
            self.ctes.push((name, columns));
            let query = self.query(query, parent);
            self.ctes.truncate(before);
            return Ok(rename(self.output_columns(query?), &renamed));
        }
        let query = match recursive {
            // In any other form (in parentheses, say) it may still see itself.
            true => self.unseen(&name, |r| r.query(query, parent)),
            false => self.query(query, parent),
        };
        self.ctes.truncate(before);
        let query = query?;
        let columns = rename(self.output_columns(query), &renamed);
        Ok(columns)
    }

    /// Binds something in which a WITH item's name is in sight and its columns are not known: a use is refused.
    fn unseen<T>(
        &mut self,
        name: &str,
        bind: impl FnOnce(&mut Self) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let forward = self.forward_ctes.len();
        self.forward_ctes.push(name.to_owned());
        let bound = bind(self);
        self.forward_ctes.truncate(forward);
        bound
    }

    /// The columns a query shows to the one around it.
    pub(super) fn output_columns(&self, query: QueryId) -> Option<Vec<Column>> {
        let outputs = self.queries[query.0].outputs.as_ref()?;
        Some(
            outputs
                .iter()
                .enumerate()
                .map(|(index, name)| Column {
                    name: name.clone(),
                    origin: Origin::Output(query, index),
                })
                .collect(),
        )
    }

    fn body<'s>(
        &mut self,
        body: &SetExpr,
        parent: Option<&'s Scope<'s>>,
    ) -> Result<(Query, Scope<'s>), Refusal> {
        match body {
            SetExpr::Select(select) => self.select(select, parent),
            SetExpr::Query(query) => {
                let inner = self.query(query, parent)?;
                let outputs = self.queries[inner.0].outputs.clone();
                Ok((
                    plain_query(Body::Nested(inner), outputs),
                    Scope::inside(parent),
                ))
            }
            SetExpr::SetOperation {
                left,
                op,
                set_quantifier,
                right,
            } => {
                let all = match set_quantifier {
                    // INTERSECT ALL and EXCEPT ALL compare rows too.
                    SetQuantifier::All => matches!(op, SetOperator::Union),
                    SetQuantifier::Distinct | SetQuantifier::None => false,
                    SetQuantifier::ByName
                    | SetQuantifier::AllByName
                    | SetQuantifier::DistinctByName => {
                        return Err(refuse::unsupported("BY NAME", None));
                    }
                };
                let (left, _) = self.body(left, parent)?;
                let outputs = left.outputs.clone();
                let left = self.add_query(left);
                let (right, _) = self.body(right, parent)?;
                let right = self.add_query(right);
                Ok((
                    plain_query(
                        Body::Set {
                            left,
                            right,
                            all,
                            extent: None,
                        },
                        outputs,
                    ),
                    Scope::inside(parent),
                ))
            }
            SetExpr::Values(Values {
                explicit_row: _,
                value_keyword: _,
                rows,
            }) => {
                let scope = Scope::inside(parent);
                let mut bound = Vec::with_capacity(rows.len());
                for row in rows {
                    bound.push(
                        row.content
                            .iter()
                            .map(|e| self.expr(e, &scope))
                            .collect::<Result<Vec<_>, _>>()?,
                    );
                }
                let width = bound.first().map_or(0, Vec::len);
                let outputs = (1..=width).map(|n| format!("column{n}")).collect();
                Ok((plain_query(Body::Values(bound), Some(outputs)), scope))
            }
            SetExpr::Insert(statement)
            | SetExpr::Update(statement)
            | SetExpr::Delete(statement) => self.changing_body(statement, parent),
            SetExpr::Merge(_) => Err(refuse::unsupported("MERGE", None)),
            SetExpr::Table(_) => Err(refuse::unsupported("TABLE", None)),
        }
    }

    /// INSERT, UPDATE or DELETE as the body: in a WITH item, or behind a WITH.
    fn changing_body<'s>(
        &mut self,
        statement: &Statement,
        parent: Option<&'s Scope<'s>>,
    ) -> Result<(Query, Scope<'s>), Refusal> {
        let node = match statement {
            Statement::Insert(insert) => self.insert(insert, parent)?,
            Statement::Update(update) => self.update(update, parent)?,
            Statement::Delete(delete) => self.delete(delete, parent)?,
            _ => return Err(refuse::unsupported("this statement in WITH", None)),
        };
        let returning = match &node {
            Node::Insert(insert) => insert.returning.as_ref(),
            Node::Change(change) => change.returning.as_ref(),
            Node::Query(_) | Node::Untouched => None,
        };
        let outputs = returning
            .map(|items| items.iter().map(|i| i.name.clone()).collect())
            .unwrap_or_default();
        Ok((
            plain_query(Body::Statement(Box::new(node)), Some(outputs)),
            Scope::inside(parent),
        ))
    }

    fn order_by(
        &mut self,
        order_by: Option<&OrderBy>,
        query: &mut Query,
        scope: &Scope<'_>,
    ) -> Result<(), Refusal> {
        let Some(OrderBy { kind, interpolate }) = order_by else {
            return Ok(());
        };
        absent(&[("INTERPOLATE", interpolate)])?;
        let OrderByKind::Expressions(keys) = kind else {
            return Err(refuse::unsupported("ORDER BY ALL", None));
        };
        for OrderByExpr {
            expr,
            options,
            with_fill,
        } in keys
        {
            absent(&[("WITH FILL", with_fill)])?;
            if matches!(options.sort, Some(OrderBySort::Using(_))) {
                return Err(refuse::unsupported("ORDER BY … USING", None));
            }
            // A bare name means an output column first, an input column only then (manual, SELECT, ORDER BY).
            let width = query.outputs.as_ref().map(Vec::len);
            let by_ordinal = ordinal(expr).filter(|&n| width.is_none_or(|w| n < w));
            let by_name = match without_parentheses(expr) {
                SqlExpr::Identifier(ident) => {
                    let (name, _) = self.name(ident)?;
                    self.output_index(query, &name)
                }
                _ => None,
            };
            match by_ordinal.or(by_name) {
                Some(index) => query.order_by_outputs.push(index),
                // The server takes such an ORDER BY for one of the query in parentheses.
                None if matches!(query.body, Body::Nested(_)) => {
                    return Err(refuse::unsupported(
                        "ORDER BY an expression behind a query in parentheses",
                        None,
                    ));
                }
                None => {
                    let expr = self.expr(expr, scope)?;
                    query.order_by.push(expr);
                }
            }
        }
        Ok(())
    }

    fn output_index(&self, query: &Query, name: &str) -> Option<usize> {
        match &query.body {
            Body::Select(select) => select.items.iter().position(|i| i.name == name),
            _ => query.outputs.as_ref()?.iter().position(|n| n == name),
        }
    }
}

/// Gathers the expressions of LIMIT and OFFSET.
fn limit<'q>(
    clause: Option<&'q LimitClause>,
    limits: &mut Vec<&'q SqlExpr>,
) -> Result<(), Refusal> {
    match clause {
        None => Ok(()),
        Some(LimitClause::LimitOffset {
            limit,
            offset,
            limit_by,
        }) => {
            absent(&[("LIMIT BY", limit_by)])?;
            limits.extend(limit.as_ref());
            if let Some(Offset { value, rows: _ }) = offset {
                limits.push(value);
            }
            Ok(())
        }
        Some(LimitClause::OffsetCommaLimit { .. }) => {
            Err(refuse::unsupported("LIMIT with a comma", None))
        }
    }
}

fn rename(columns: Option<Vec<Column>>, names: &[String]) -> Option<Vec<Column>> {
    let mut columns = columns?;
    columns
        .iter_mut()
        .zip(names)
        .for_each(|(column, name)| column.name.clone_from(name));
    Some(columns)
}

/// A query without clauses of its own.
pub(super) fn plain_query(body: Body, outputs: Option<Vec<String>>) -> Query {
    Query {
        body,
        outputs,
        order_by: Vec::new(),
        order_by_outputs: Vec::new(),
        limits: Vec::new(),
        locks: false,
        sources: Vec::new(),
    }
}

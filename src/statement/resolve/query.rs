//! Queries: WITH, SELECT, set operations, VALUES, ORDER BY, LIMIT.

use sqlparser::ast::{
    Cte, Distinct, Expr as SqlExpr, Fetch, GroupByExpr, Ident, LimitClause, NamedWindowDefinition,
    Offset, OrderBy, OrderByExpr, OrderByKind, Query as SqlQuery, Select as SqlSelect, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, SetQuantifier, Statement, Value, Values,
    WildcardAdditionalOptions, With,
};

use super::Resolver;
use super::absent::absent;
use super::from::Joined;
use super::scope::Scope;
use crate::statement::plan::Refusal;
use crate::statement::refuse;
use crate::statement::tree::{
    Body, Column, Expr, Extent, Form, Item, Origin, Query, QueryId, Select, SourceId,
};

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
        self.limit(limit_clause.as_ref(), parent, &mut limits)?;
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
            let sqlparser::ast::LockClause {
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
            let (first, _) = self.body(left, parent)?;
            let first = self.add_query(first);
            let columns = rename(self.output_columns(first), &renamed);
            self.ctes.push((name, columns));
        }
        let query = self.query(query, parent);
        self.ctes.truncate(before);
        let query = query?;
        let columns = rename(self.output_columns(query), &renamed);
        Ok(columns)
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
                op: _,
                set_quantifier,
                right,
            } => {
                let all = match set_quantifier {
                    SetQuantifier::All => true,
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
            crate::statement::tree::Node::Insert(insert) => insert.returning.as_ref(),
            crate::statement::tree::Node::Change(change) => change.returning.as_ref(),
            crate::statement::tree::Node::Query(_) | crate::statement::tree::Node::Untouched => {
                None
            }
        };
        let outputs = returning
            .map(|items| items.iter().map(|i| i.name.clone()).collect())
            .unwrap_or_default();
        Ok((
            plain_query(Body::Statement(Box::new(node)), Some(outputs)),
            Scope::inside(parent),
        ))
    }

    fn select<'s>(
        &mut self,
        select: &SqlSelect,
        parent: Option<&'s Scope<'s>>,
    ) -> Result<(Query, Scope<'s>), Refusal> {
        let SqlSelect {
            select_token: _,
            optimizer_hints: _,
            distinct,
            select_modifiers,
            top,
            top_before_distinct: _,
            projection,
            exclude,
            into,
            from,
            lateral_views,
            prewhere,
            selection,
            connect_by,
            group_by,
            cluster_by,
            distribute_by,
            sort_by,
            having,
            named_window,
            qualify,
            window_before_qualify: _,
            value_table_mode,
            flavor,
        } = select;
        absent(&[
            ("a SELECT modifier", select_modifiers),
            ("TOP", top),
            ("EXCLUDE", exclude),
            ("SELECT INTO", into),
            ("LATERAL VIEW", lateral_views),
            ("PREWHERE", prewhere),
            ("CONNECT BY", connect_by),
            ("CLUSTER BY", cluster_by),
            ("DISTRIBUTE BY", distribute_by),
            ("SORT BY", sort_by),
            ("QUALIFY", qualify),
            ("SELECT AS VALUE", value_table_mode),
        ])?;
        if !matches!(flavor, sqlparser::ast::SelectFlavor::Standard) {
            return Err(refuse::unsupported("FROM before SELECT", None));
        }
        let mut scope = Scope::inside(parent);
        let mut joined = Joined::default();
        self.from(from, &mut scope, &mut joined)?;
        let (items, known) = self.items(projection, &scope)?;
        let mut bound = Select {
            distinct: false,
            distinct_on: Vec::new(),
            items,
            merged: joined.merged,
            conditions: joined.conditions,
            group_by: Vec::new(),
        };
        match distinct {
            None | Some(Distinct::All) => {}
            Some(Distinct::Distinct) => bound.distinct = true,
            Some(Distinct::On(on)) => bound.distinct_on = self.keys(on, &bound.items, &scope)?,
        }
        for condition in selection.iter().chain(having) {
            let condition = self.expr(condition, &scope)?;
            bound.conditions.push(condition);
        }
        self.group_by(group_by, &mut bound, &scope)?;
        for NamedWindowDefinition(name, window) in named_window {
            self.name(name)?;
            match window {
                sqlparser::ast::NamedWindowExpr::NamedWindow(name) => {
                    self.name(name)?;
                }
                sqlparser::ast::NamedWindowExpr::WindowSpec(spec) => {
                    let operands = self.window(spec, &scope)?;
                    bound.conditions.push(Expr::Other {
                        form: Form::Named("a window"),
                        operands,
                        extent: None,
                    });
                }
            }
        }
        let outputs = known.then(|| bound.items.iter().map(|i| i.name.clone()).collect());
        let mut query = plain_query(Body::Select(Box::new(bound)), outputs);
        query.sources = joined.sources;
        Ok((query, scope))
    }

    fn group_by(
        &mut self,
        group_by: &GroupByExpr,
        select: &mut Select,
        scope: &Scope<'_>,
    ) -> Result<(), Refusal> {
        match group_by {
            GroupByExpr::Expressions(keys, modifiers) => {
                absent(&[("a GROUP BY modifier", modifiers)])?;
                select.group_by = self.keys(keys, &select.items, scope)?;
                Ok(())
            }
            GroupByExpr::All(_) => Err(refuse::unsupported("GROUP BY ALL", None)),
        }
    }

    /// GROUP BY and DISTINCT ON keys: an ordinal means an output column; a bare name an input column first.
    fn keys(
        &mut self,
        keys: &[SqlExpr],
        items: &[Item],
        scope: &Scope<'_>,
    ) -> Result<Vec<Expr>, Refusal> {
        let mut bound = Vec::with_capacity(keys.len());
        for key in keys {
            if let Some(item) = ordinal(key).and_then(|n| items.get(n)) {
                bound.push(item.expr.clone());
                continue;
            }
            if let Some(item) = self.output_by_name(key, items, scope)? {
                bound.push(items[item].expr.clone());
                continue;
            }
            bound.push(self.expr(key, scope)?);
        }
        Ok(bound)
    }

    /// The output column a bare name means when no input column has that name.
    fn output_by_name(
        &mut self,
        key: &SqlExpr,
        items: &[Item],
        scope: &Scope<'_>,
    ) -> Result<Option<usize>, Refusal> {
        let SqlExpr::Identifier(ident) = key else {
            return Ok(None);
        };
        let (name, index) = self.name(ident)?;
        if matches!(
            self.find(scope, &name, index)?,
            super::scope::Found::Column(_)
        ) {
            return Ok(None);
        }
        Ok(items.iter().position(|i| i.name == name))
    }

    /// The select list, `*` expanded; false when a `*` has columns that are not known.
    pub(super) fn items(
        &mut self,
        projection: &[SelectItem],
        scope: &Scope<'_>,
    ) -> Result<(Vec<Item>, bool), Refusal> {
        let mut items = Vec::with_capacity(projection.len());
        let mut known = true;
        for item in projection {
            match item {
                SelectItem::UnnamedExpr(expr) => {
                    let name = output_name(expr, self)?;
                    items.push(Item {
                        name,
                        expr: self.expr(expr, scope)?,
                        from_star: None,
                    });
                }
                SelectItem::ExprWithAlias { expr, alias } => {
                    let expr = self.expr(expr, scope)?;
                    let (name, _) = self.name(alias)?;
                    items.push(Item {
                        name,
                        expr,
                        from_star: None,
                    });
                }
                SelectItem::Wildcard(options) => {
                    let extent = self.star(options)?;
                    known &= !scope.unknown;
                    for visible in &scope.visible {
                        let expr = Expr::Column {
                            column: visible.column,
                            extent,
                        };
                        items.push(Item {
                            name: visible.name.clone(),
                            expr,
                            from_star: Some(extent),
                        });
                    }
                }
                SelectItem::QualifiedWildcard(
                    SelectItemQualifiedWildcardKind::ObjectName(name),
                    options,
                ) => {
                    let extent = self.star(options)?;
                    let (parts, name_extent) = self.object_name(name)?;
                    let source = self.qualified_source(&parts, scope);
                    known &= self.star_of(source, extent, &mut items).is_some();
                    if source.is_none() {
                        return Err(refuse::unsupported(
                            "* of a source that is not known",
                            self.position(name_extent.start),
                        ));
                    }
                }
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::Expr(_), _) => {
                    return Err(refuse::unsupported("(composite).*", None));
                }
                SelectItem::ExprWithAliases { .. } => {
                    return Err(refuse::unsupported("an alias list in a select list", None));
                }
            }
        }
        Ok((items, known))
    }

    fn star_of(
        &self,
        source: Option<SourceId>,
        extent: Extent,
        items: &mut Vec<Item>,
    ) -> Option<()> {
        let source = source?;
        let columns = self.sources[source.0].columns.as_ref()?;
        for (column, c) in columns.iter().enumerate() {
            let column = crate::statement::tree::ColumnRef { source, column };
            items.push(Item {
                name: c.name.clone(),
                expr: Expr::Column { column, extent },
                from_star: Some(extent),
            });
        }
        Some(())
    }

    fn star(&self, options: &WildcardAdditionalOptions) -> Result<Extent, Refusal> {
        let WildcardAdditionalOptions {
            wildcard_token,
            opt_ilike,
            opt_exclude,
            opt_except,
            opt_replace,
            opt_rename,
            opt_alias,
        } = options;
        absent(&[
            ("* ILIKE", opt_ilike),
            ("* EXCLUDE", opt_exclude),
            ("* EXCEPT", opt_except),
            ("* REPLACE", opt_replace),
            ("* RENAME", opt_rename),
            ("* AS", opt_alias),
        ])?;
        crate::statement::parse::token_index(wildcard_token.0.span)
            .filter(|&index| self.is_symbol(index, "*"))
            .map(|start| Extent {
                start,
                end: start + 1,
            })
            .ok_or_else(|| refuse::unsupported("a * whose place is not known", None))
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
            if matches!(options.sort, Some(sqlparser::ast::OrderBySort::Using(_))) {
                return Err(refuse::unsupported("ORDER BY … USING", None));
            }
            // A bare name means an output column first, an input column only then (manual, SELECT, ORDER BY).
            let width = query.outputs.as_ref().map(Vec::len);
            let by_ordinal = ordinal(expr).filter(|&n| width.is_none_or(|w| n < w));
            let by_name = match expr {
                SqlExpr::Identifier(ident) => {
                    let (name, _) = self.name(ident)?;
                    self.output_index(query, &name)
                }
                _ => None,
            };
            match by_ordinal.or(by_name) {
                Some(index) => query.order_by_outputs.push(index),
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

    fn limit<'q>(
        &mut self,
        clause: Option<&'q LimitClause>,
        _parent: Option<&Scope<'_>>,
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
}

fn rename(columns: Option<Vec<Column>>, names: &[String]) -> Option<Vec<Column>> {
    let mut columns = columns?;
    columns
        .iter_mut()
        .zip(names)
        .for_each(|(column, name)| column.name.clone_from(name));
    Some(columns)
}

fn plain_query(body: Body, outputs: Option<Vec<String>>) -> Query {
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

/// A constant integer in ORDER BY, GROUP BY or DISTINCT ON: the index of an output column.
fn ordinal(expr: &SqlExpr) -> Option<usize> {
    match expr {
        SqlExpr::Value(value) => match &value.value {
            Value::Number(digits, _) => digits.parse::<usize>().ok()?.checked_sub(1),
            _ => None,
        },
        _ => None,
    }
}

/// The name PostgreSQL gives an output column without alias (`FigureColname`), as far as later names can refer to it.
fn output_name(expr: &SqlExpr, resolver: &mut Resolver<'_>) -> Result<String, Refusal> {
    let last: Option<&Ident> = match expr {
        SqlExpr::Identifier(ident) => Some(ident),
        SqlExpr::CompoundIdentifier(parts) => parts.last(),
        SqlExpr::Cast { expr, .. } | SqlExpr::Nested(expr) | SqlExpr::Collate { expr, .. } => {
            return output_name(expr, resolver);
        }
        SqlExpr::Function(function) => function.name.0.last().and_then(|part| part.as_ident()),
        _ => None,
    };
    match last {
        Some(ident) => Ok(crate::statement::lex::fold(
            &ident.value,
            ident.quote_style.is_some(),
        )),
        None => Ok("?column?".to_owned()),
    }
}

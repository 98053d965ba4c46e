//! SELECT: the select list with `*` expanded, GROUP BY and DISTINCT ON, named windows.
//!
//! Which expression a key by ordinal or output name means. Knows no role.

use sqlparser::ast::{
    Distinct, Expr as SqlExpr, GroupByExpr, Ident, NamedWindowDefinition, NamedWindowExpr,
    Select as SqlSelect, SelectFlavor, SelectItem, SelectItemQualifiedWildcardKind,
    WildcardAdditionalOptions,
};

use super::Resolver;
use super::absent::absent;
use super::from::Joined;
use super::key::Prefer;
use super::query::plain_query;
use super::scope::Scope;
use crate::statement::lex::fold;
use crate::statement::parse::token_index;
use crate::statement::plan::Refusal;
use crate::statement::refuse;
use crate::statement::tree::{
    Body, ColumnRef, Expr, Extent, Form, Item, Query, QueryId, Select, SourceId,
};

impl Resolver<'_> {
    /// Binds a SELECT and gives the scope its ORDER BY sees.
    pub(super) fn select<'s>(
        &mut self,
        select: &SqlSelect,
        parent: Option<&'s Scope<'s>>,
    ) -> Result<(Query, Scope<'s>), Refusal> {
        let SqlSelect {
            select_token,
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
        if !matches!(flavor, SelectFlavor::Standard) {
            return Err(refuse::unsupported("FROM before SELECT", None));
        }
        let mut scope = Scope::inside(parent);
        let mut joined = Joined::default();
        self.from(from, &mut scope, &mut joined)?;
        let (items, known) = self.items(projection, &scope)?;
        let mut bound = Select {
            distinct: false,
            distinct_word: None,
            distinct_on: Vec::new(),
            items,
            merged: joined.merged,
            conditions: joined.conditions,
            group_by: Vec::new(),
            group_columns: Vec::new(),
        };
        let distinct = (distinct.as_ref(), token_index(select_token.0.span));
        self.distinct_rows(distinct, &mut bound, &scope)?;
        for condition in selection.iter().chain(having) {
            let condition = self.expr(condition, &scope)?;
            bound.conditions.push(condition);
        }
        self.group_by(group_by, &mut bound, &scope)?;
        self.windows(named_window, &mut bound, &scope)?;
        let outputs = known.then(|| bound.items.iter().map(|i| i.name.clone()).collect());
        let mut query = plain_query(Body::Select(Box::new(bound)), outputs);
        query.sources = joined.sources;
        Ok((query, scope))
    }

    /// DISTINCT behind the SELECT of that place, and what DISTINCT ON compares.
    fn distinct_rows(
        &mut self,
        (distinct, select): (Option<&Distinct>, Option<usize>),
        bound: &mut Select,
        scope: &Scope<'_>,
    ) -> Result<(), Refusal> {
        match distinct {
            None | Some(Distinct::All) => {}
            Some(Distinct::Distinct) => {
                bound.distinct = true;
                let word = select.map(|at| Extent {
                    start: at + 1,
                    end: at + 2,
                });
                bound.distinct_word = word.filter(|word| self.is_word(word.start, "distinct"));
            }
            Some(Distinct::On(on)) => {
                for key in on {
                    let key = self.key(key, &bound.items, scope, Prefer::Output)?;
                    bound.distinct_on.push(key);
                }
            }
        }
        Ok(())
    }

    /// WINDOW: what its definitions compute is a condition.
    fn windows(
        &mut self,
        windows: &[NamedWindowDefinition],
        select: &mut Select,
        scope: &Scope<'_>,
    ) -> Result<(), Refusal> {
        for NamedWindowDefinition(name, window) in windows {
            self.name(name)?;
            match window {
                NamedWindowExpr::NamedWindow(name) => {
                    self.name(name)?;
                }
                NamedWindowExpr::WindowSpec(spec) => {
                    let operands = self.window(spec, scope)?;
                    select.conditions.push(Expr::Other {
                        form: Form::Named("a window"),
                        operands,
                        extent: None,
                    });
                }
            }
        }
        Ok(())
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
                self.group_keys(keys, select, scope)
            }
            GroupByExpr::All(_) => Err(refuse::unsupported("GROUP BY ALL", None)),
        }
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
                    let bound = self.expr(expr, scope)?;
                    let name = match &bound {
                        Expr::Query(query) => self.first_output(*query),
                        _ => output_name(expr),
                    };
                    items.push(Item {
                        name,
                        expr: bound,
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
                    for source in &scope.sources {
                        self.sources[source.0].used.unnamed = true;
                    }
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
                    let Some(source) = source else {
                        return Err(refuse::unsupported(
                            "* of a source that is not known",
                            self.position(name_extent.start),
                        ));
                    };
                    self.schema_of(source, &parts, name_extent);
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

    /// The name a scalar subquery gives its column.
    fn first_output(&self, query: QueryId) -> String {
        let outputs = self.queries[query.0].outputs.as_ref();
        outputs
            .and_then(|names| names.first())
            .map_or_else(|| "?column?".to_owned(), String::clone)
    }

    fn star_of(
        &mut self,
        source: Option<SourceId>,
        extent: Extent,
        items: &mut Vec<Item>,
    ) -> Option<()> {
        let source = source?;
        self.sources[source.0].used.unnamed = true;
        let columns = self.sources[source.0].columns.as_ref()?;
        for (column, c) in columns.iter().enumerate() {
            let column = ColumnRef { source, column };
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
        token_index(wildcard_token.0.span)
            .filter(|&index| self.is_symbol(index, "*"))
            .map(|start| Extent {
                start,
                end: start + 1,
            })
            .ok_or_else(|| refuse::unsupported("a * whose place is not known", None))
    }
}

/// The name PostgreSQL gives an output column without alias (`FigureColname`), as far as later names can refer to it.
fn output_name(expr: &SqlExpr) -> String {
    let last: Option<&Ident> = match expr {
        SqlExpr::Identifier(ident) => Some(ident),
        SqlExpr::CompoundIdentifier(parts) => parts.last(),
        SqlExpr::Cast { expr, .. } | SqlExpr::Nested(expr) | SqlExpr::Collate { expr, .. } => {
            return output_name(expr);
        }
        SqlExpr::Function(function) => function.name.0.last().and_then(|part| part.as_ident()),
        _ => None,
    };
    match last {
        Some(ident) => fold(&ident.value, ident.quote_style.is_some()).into(),
        None => "?column?".to_owned(),
    }
}

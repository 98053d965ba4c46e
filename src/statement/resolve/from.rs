//! FROM: relations, subqueries, functions, joins.

use sqlparser::ast::{
    FunctionArg, FunctionArgExpr, Join, JoinConstraint, JoinOperator, ObjectName, TableAlias,
    TableAliasColumnDef, TableFactor, TableFunctionArgs, TableWithJoins,
};

use super::Resolver;
use super::absent::absent;
use super::scope::{Scope, Visible};
use crate::ident::is_reserved;
use crate::statement::lex::TokenKind;
use crate::statement::plan::Refusal;
use crate::statement::reach::Mention;
use crate::statement::refuse;
use crate::statement::tree::{
    Column, ColumnRef, Expr, Extent, Form, Origin, Place, Source, SourceId,
};

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
        let source = match factor {
            TableFactor::Table {
                name,
                alias,
                args,
                with_hints,
                version,
                with_ordinality,
                partitions,
                json_path,
                sample,
                index_hints,
            } => {
                absent(&[
                    ("WITH hints", with_hints),
                    ("a table version", version),
                    ("PARTITION", partitions),
                    ("a JSON path", json_path),
                    ("TABLESAMPLE", sample),
                    ("index hints", index_hints),
                ])?;
                match args {
                    Some(TableFunctionArgs { args, settings }) => {
                        absent(&[("SETTINGS", settings)])?;
                        self.function_source((name, args), alias.as_ref(), sight, joined)?
                    }
                    None => {
                        absent(&[("WITH ORDINALITY", with_ordinality)])?;
                        self.named_source(name, alias.as_ref())?
                    }
                }
            }
            TableFactor::Derived {
                lateral,
                subquery,
                alias,
                sample,
            } => {
                absent(&[("TABLESAMPLE", sample)])?;
                let parent = if *lateral { Some(sight) } else { sight.parent };
                let query = self.query(subquery, parent)?;
                let columns = self.output_columns(query);
                let source = self.add_source(Source {
                    name: String::new(),
                    columns,
                    place: Place::From,
                    relation: None,
                    aliased: false,
                });
                self.alias(source, alias.as_ref())?;
                source
            }
            TableFactor::Function {
                lateral: _,
                name,
                args,
                with_ordinality: _,
                alias,
            } => self.function_source((name, args), alias.as_ref(), sight, joined)?,
            TableFactor::UNNEST {
                alias,
                array_exprs,
                with_offset,
                with_offset_alias,
                with_ordinality: _,
            } => {
                absent(&[
                    ("WITH OFFSET", with_offset),
                    ("WITH OFFSET", with_offset_alias),
                ])?;
                let operands = array_exprs
                    .iter()
                    .map(|e| self.expr(e, sight))
                    .collect::<Result<Vec<_>, _>>()?;
                joined.conditions.push(Expr::Other {
                    form: Form::Named("unnest"),
                    operands,
                    extent: None,
                });
                let source = self.add_source(Source {
                    name: "unnest".to_owned(),
                    columns: None,
                    place: Place::From,
                    relation: None,
                    aliased: false,
                });
                self.alias(source, alias.as_ref())?;
                source
            }
            TableFactor::NestedJoin {
                table_with_joins,
                alias,
            } => {
                absent(&[("an alias of a join", alias)])?;
                return self.nested(table_with_joins, sight, here, joined);
            }
            _ => return Err(refuse::unsupported("this item of FROM", None)),
        };
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

    fn named_source(
        &mut self,
        name: &ObjectName,
        alias: Option<&TableAlias>,
    ) -> Result<SourceId, Refusal> {
        let (parts, extent) = self.object_name(name)?;
        self.not_a_keyword(extent)?;
        let cte = match parts.as_slice() {
            [only] => {
                if self.forward_ctes.contains(only) {
                    return Err(refuse::unsupported(
                        "a WITH item used before it is defined",
                        self.position(extent.start),
                    ));
                }
                self.ctes
                    .iter()
                    .rev()
                    .find(|(name, _)| name == only)
                    .map(|(_, columns)| columns.clone())
            }
            _ => None,
        };
        let source = match cte {
            Some(columns) => {
                let name = parts.into_iter().next_back().unwrap_or_default();
                self.add_source(Source {
                    name,
                    columns,
                    place: Place::From,
                    relation: None,
                    aliased: false,
                })
            }
            None => self.relation_source(&parts, extent, Place::From)?,
        };
        self.alias(source, alias)?;
        Ok(source)
    }

    /// A function: its columns are not known, and its arguments are plain or the statement is refused.
    fn function_source(
        &mut self,
        call: (&ObjectName, &[FunctionArg]),
        alias: Option<&TableAlias>,
        sight: &Scope<'_>,
        joined: &mut Joined,
    ) -> Result<SourceId, Refusal> {
        let (name, args) = call;
        let (_, extent) = self.object_name(name)?;
        self.not_a_keyword(extent)?;
        let name = self.function_name(name)?;
        let operands = self.function_args(args, sight)?;
        joined.conditions.push(Expr::Other {
            form: Form::Named("a function in FROM"),
            operands,
            extent: None,
        });
        let source = self.add_source(Source {
            name,
            columns: None,
            place: Place::From,
            relation: None,
            aliased: false,
        });
        self.alias(source, alias)?;
        Ok(source)
    }

    fn function_args(
        &mut self,
        args: &[FunctionArg],
        sight: &Scope<'_>,
    ) -> Result<Vec<Expr>, Refusal> {
        let mut operands = Vec::with_capacity(args.len());
        for arg in args {
            let arg = match arg {
                FunctionArg::Unnamed(arg)
                | FunctionArg::Named {
                    name: _,
                    arg,
                    operator: _,
                } => arg,
                FunctionArg::ExprNamed { .. } => {
                    return Err(refuse::unsupported("this argument form", None));
                }
            };
            match arg {
                FunctionArgExpr::Expr(expr) => operands.push(self.expr(expr, sight)?),
                FunctionArgExpr::QualifiedWildcard(_)
                | FunctionArgExpr::Wildcard
                | FunctionArgExpr::WildcardWithOptions(_) => {
                    return Err(refuse::unsupported("* as an argument", None));
                }
            }
        }
        Ok(operands)
    }

    /// `ONLY t`, `ROWS FROM (…)` and the like, which sqlparser takes for a relation `only` with an alias.
    fn not_a_keyword(&self, extent: Extent) -> Result<(), Refusal> {
        match &self.tokens[extent.start].kind {
            TokenKind::Word {
                name,
                quoted: false,
            } if is_reserved(name) || name == "rows" => Err(refuse::unsupported(
                format!("{} in FROM", name.to_uppercase()),
                self.position(extent.start),
            )),
            _ => Ok(()),
        }
    }

    /// An alias that is the name of a treated relation could be a relation whose keyword was taken for a name.
    fn not_another_relation(
        &self,
        source: SourceId,
        alias: &str,
        index: usize,
    ) -> Result<(), Refusal> {
        let own = self.sources[source.0]
            .relation
            .as_ref()
            .is_some_and(|r| r.name.name == alias);
        if !own && self.names.reach.mention(alias) == Some(Mention::Relation) {
            return Err(refuse::unsupported(
                format!("the alias {alias:?}, which is the name of a treated relation,"),
                self.position(index),
            ));
        }
        Ok(())
    }

    /// Gives a source its alias and its columns theirs.
    pub(super) fn alias(
        &mut self,
        source: SourceId,
        alias: Option<&TableAlias>,
    ) -> Result<(), Refusal> {
        let Some(TableAlias {
            explicit: _,
            name,
            columns,
            at,
        }) = alias
        else {
            return Ok(());
        };
        absent(&[("AT", at)])?;
        let (name, index) = self.name(name)?;
        self.not_another_relation(source, &name, index)?;
        let mut renamed = Vec::with_capacity(columns.len());
        for TableAliasColumnDef { name, data_type: _ } in columns {
            renamed.push(self.name(name)?.0);
        }
        let source = &mut self.sources[source.0];
        source.name = name;
        source.aliased = true;
        match &mut source.columns {
            Some(columns) => columns
                .iter_mut()
                .zip(renamed)
                .for_each(|(column, name)| column.name = name),
            None if renamed.is_empty() => {}
            // A function's column list names all it has: they are plain.
            None => {
                source.columns = Some(
                    renamed
                        .into_iter()
                        .map(|name| Column {
                            name,
                            origin: Origin::Plain,
                        })
                        .collect(),
                )
            }
        }
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

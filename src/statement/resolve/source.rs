//! The items of FROM: relations, WITH items, subqueries, functions; their aliases.
//!
//! A function's columns are not known, and nothing treated may stand in its arguments. Knows no role.

use sqlparser::ast::{
    Expr as SqlExpr, FunctionArg, FunctionArgExpr, FunctionArgOperator, ObjectName, TableAlias,
    TableAliasColumnDef, TableFactor, TableFunctionArgs,
};

use super::Resolver;
use super::absent::absent;
use super::from::Joined;
use super::scope::Scope;
use crate::ident::is_reserved;
use crate::statement::lex::TokenKind;
use crate::statement::plan::Refusal;
use crate::statement::reach::Mention;
use crate::statement::refuse;
use crate::statement::tree::{Column, Expr, Extent, Form, Origin, Place, Source, SourceId, Used};

impl Resolver<'_> {
    /// Enters an item of FROM that is no join.
    pub(super) fn source(
        &mut self,
        factor: &TableFactor,
        sight: &Scope<'_>,
        joined: &mut Joined,
    ) -> Result<SourceId, Refusal> {
        match factor {
            TableFactor::Table { .. } => self.table(factor, sight, joined),
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
                self.computed_source(String::new(), columns, alias.as_ref())
            }
            TableFactor::Function {
                lateral: _,
                name,
                args,
                with_ordinality: _,
                alias,
            } => self.function_source((name, args), alias.as_ref(), sight, joined),
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
                let operands = self.list(array_exprs, sight)?;
                joined.conditions.push(Expr::Other {
                    form: Form::Named("unnest"),
                    operands,
                    extent: None,
                });
                self.computed_source("unnest".to_owned(), None, alias.as_ref())
            }
            _ => Err(refuse::unsupported("this item of FROM", None)),
        }
    }

    /// Enters a relation, or a function that sqlparser takes for one with arguments.
    fn table(
        &mut self,
        factor: &TableFactor,
        sight: &Scope<'_>,
        joined: &mut Joined,
    ) -> Result<SourceId, Refusal> {
        let TableFactor::Table {
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
        } = factor
        else {
            return Err(refuse::unsupported("this item of FROM", None));
        };
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
                self.function_source((name, args), alias.as_ref(), sight, joined)
            }
            None => {
                absent(&[("WITH ORDINALITY", with_ordinality)])?;
                self.named_source(name, alias.as_ref())
            }
        }
    }

    /// Enters a source that is no relation, under its alias if it has one.
    fn computed_source(
        &mut self,
        name: String,
        columns: Option<Vec<Column>>,
        alias: Option<&TableAlias>,
    ) -> Result<SourceId, Refusal> {
        let source = self.add_source(Source {
            name,
            columns,
            place: Place::From,
            relation: None,
            aliased: false,
            used: Used::default(),
        });
        self.alias(source, alias)?;
        Ok(source)
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
                    used: Used::default(),
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
        self.computed_source(name, None, alias)
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
                    operator: FunctionArgOperator::RightArrow | FunctionArgOperator::Assignment,
                }
                | FunctionArg::ExprNamed {
                    name: SqlExpr::Identifier(_),
                    arg,
                    operator: FunctionArgOperator::RightArrow | FunctionArgOperator::Assignment,
                } => arg,
                FunctionArg::Named { .. } | FunctionArg::ExprNamed { .. } => {
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
        // A list without types may name the first columns only.
        let complete = columns.iter().all(|column| column.data_type.is_some());
        for TableAliasColumnDef { name, data_type: _ } in columns {
            renamed.push(self.name(name)?.0);
        }
        let source = &mut self.sources[source.0];
        source.name = name;
        source.aliased = true;
        source.used.unnamed |= !renamed.is_empty();
        match &mut source.columns {
            Some(columns) => columns
                .iter_mut()
                .zip(renamed)
                .for_each(|(column, name)| column.name = name),
            None if renamed.is_empty() || !complete => {}
            // A function's column definition list names all it has: they are plain.
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

//! Expressions: the few forms a treated attribute may stand in, each with the exact tokens it stands in;
//! everything else as [`Expr::Other`], under which nothing treated may stand.
//!
//! Where the tokens do not bear out what sqlparser's tree says (its precedence differs from PostgreSQL's in
//! places), the form becomes `Other` too. Here: which form goes where, names, constants.

use sqlparser::ast::{
    BinaryOperator, CastKind, Expr as SqlExpr, Ident, TypedString, UnaryOperator, Value,
    ValueWithSpan,
};

use super::Resolver;
use super::absent::absent;
use super::scope::{Found, Scope};
use crate::statement::lex::TokenKind;
use crate::statement::parse::token_index;
use crate::statement::plan::Refusal;
use crate::statement::refuse;
use crate::statement::tree::{ColumnRef, ConstantKind, Expr, Extent, Form, SourceId};

/// Columns every table has (manual, 5.5); `oid` is left out, it is none since PostgreSQL 12.
const SYSTEM_COLUMNS: &[&str] = &["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"];

impl Resolver<'_> {
    /// Binds an expression that may be DEFAULT (a value of INSERT or SET).
    pub(super) fn value(&mut self, expr: &SqlExpr, scope: &Scope<'_>) -> Result<Expr, Refusal> {
        if let SqlExpr::Identifier(ident) = expr
            && ident.quote_style.is_none()
            && ident.value.eq_ignore_ascii_case("default")
        {
            let (_, index) = self.name(ident)?;
            return Ok(Expr::Constant {
                kind: ConstantKind::Default,
                extent: one(index),
            });
        }
        self.expr(expr, scope)
    }

    /// Binds an expression.
    pub(super) fn expr(&mut self, expr: &SqlExpr, scope: &Scope<'_>) -> Result<Expr, Refusal> {
        match expr {
            SqlExpr::Identifier(ident) => self.bare(ident, scope),
            SqlExpr::CompoundIdentifier(parts) => self.qualified(parts, scope),
            SqlExpr::Nested(inner) => self.parenthesised(inner, scope),
            SqlExpr::Value(value) => self.constant(value),
            SqlExpr::TypedString(TypedString {
                data_type,
                value,
                uses_odbc_syntax: _,
            }) => self.typed_constant(data_type, value),
            SqlExpr::UnaryOp { op, expr } => self.unary(*op, expr, scope),
            SqlExpr::BinaryOp { left, op, right } => self.binary(left, op, right, scope),
            SqlExpr::IsDistinctFrom(left, right) => {
                self.distinct(left, right, &["is", "distinct", "from"], scope)
            }
            SqlExpr::IsNotDistinctFrom(left, right) => {
                self.distinct(left, right, &["is", "not", "distinct", "from"], scope)
            }
            SqlExpr::IsNull(operand) => self.null_test(operand, &["is", "null"], scope),
            SqlExpr::IsNotNull(operand) => self.null_test(operand, &["is", "not", "null"], scope),
            SqlExpr::InList {
                expr,
                list,
                negated,
            } => self.in_list(expr, list, *negated, scope),
            SqlExpr::InSubquery {
                expr,
                subquery,
                negated,
            } => self.in_query(expr, subquery, *negated, scope),
            SqlExpr::AnyOp {
                left,
                compare_op,
                right,
                is_some: _,
            } => self.any_all((left, compare_op, right), BinaryOperator::Eq, scope),
            SqlExpr::AllOp {
                left,
                compare_op,
                right,
            } => self.any_all((left, compare_op, right), BinaryOperator::NotEq, scope),
            SqlExpr::Cast {
                kind,
                expr,
                data_type,
                format,
            } => {
                absent(&[("CAST … FORMAT", format)])?;
                self.cast(
                    matches!(kind, CastKind::DoubleColon),
                    expr,
                    data_type,
                    scope,
                )
            }
            SqlExpr::Function(function) => self.function(function, scope),
            SqlExpr::Subquery(query) => Ok(Expr::Query(self.query(query, Some(scope))?)),
            SqlExpr::Exists {
                subquery,
                negated: _,
            } => {
                self.query(subquery, Some(scope))?;
                Ok(Expr::Exists)
            }
            other => self.other(other, scope),
        }
    }

    /// Binds the expressions of a list.
    pub(super) fn list<'e>(
        &mut self,
        exprs: impl IntoIterator<Item = &'e SqlExpr>,
        scope: &Scope<'_>,
    ) -> Result<Vec<Expr>, Refusal> {
        exprs.into_iter().map(|e| self.expr(e, scope)).collect()
    }

    fn bare(&mut self, ident: &Ident, scope: &Scope<'_>) -> Result<Expr, Refusal> {
        let (name, index) = self.name(ident)?;
        match self.find(scope, &name, index)? {
            Found::Column(column) => Ok(self.column(column, one(index))),
            Found::WholeRow(source) => Ok(self.whole_row(source, one(index))),
            Found::Nothing => {
                if SYSTEM_COLUMNS.contains(&name.as_str()) {
                    self.system_column(scope, name);
                }
                // Not bound: if it is a sensitive word, the account of identifiers refuses it.
                self.accounted[index] = false;
                Ok(plain(one(index)))
            }
        }
    }

    fn qualified(&mut self, parts: &[Ident], scope: &Scope<'_>) -> Result<Expr, Refusal> {
        let mut names = Vec::with_capacity(parts.len());
        let mut first = None;
        let mut last = 0;
        for part in parts {
            let (name, index) = self.name(part)?;
            names.push(name);
            first.get_or_insert(index);
            last = index;
        }
        let extent = Extent {
            start: first.unwrap_or(last),
            end: last + 1,
        };
        let Some((column, qualifier)) = names.split_last() else {
            return Err(refuse::unsupported("an empty name", None));
        };
        let source = self.qualified_source(qualifier, scope);
        if let Some(source) = source {
            self.schema_of(source, qualifier, extent);
        }
        match source {
            Some(source) => match self.column_of(source, column) {
                Some(column) => Ok(self.column(column, extent)),
                None if self.sources[source.0].columns.is_none() => Ok(plain(extent)),
                // A system column is plain; any other name is functional notation over the whole row.
                None if SYSTEM_COLUMNS.contains(&column.as_str()) => {
                    self.sources[source.0].used.system.insert(column.clone());
                    Ok(Expr::Other {
                        form: Form::Named("a system column"),
                        operands: Vec::new(),
                        extent: Some(extent),
                    })
                }
                None => Ok(self.whole_row(source, extent)),
            },
            None => Err(refuse::unsupported(
                format!("the qualifier {:?}", qualifier.join(".")),
                self.position(extent.start),
            )),
        }
    }

    /// A column that the text names here.
    fn column(&mut self, column: ColumnRef, extent: Extent) -> Expr {
        let used = &mut self.sources[column.source.0].used;
        used.columns.insert(column.column);
        Expr::Column { column, extent }
    }

    /// A source's whole row: its columns are used without being named.
    pub(super) fn whole_row(&mut self, source: SourceId, extent: Extent) -> Expr {
        self.sources[source.0].used.unnamed = true;
        Expr::WholeRow { source, extent }
    }

    /// A bare system column is of the relation in the innermost FROM; where there are several the server says so.
    fn system_column(&mut self, scope: &Scope<'_>, name: String) {
        let mut at = Some(scope);
        while let Some(here) = at {
            for source in &here.sources {
                let used = &mut self.sources[source.0].used;
                used.system.insert(name.clone());
            }
            at = here.parent.filter(|_| here.sources.is_empty());
        }
    }

    /// Remembers the tokens of a schema before the source's name, which a replaced source no longer has.
    pub(super) fn schema_of(&mut self, source: SourceId, qualifier: &[String], extent: Extent) {
        if qualifier.len() > 1 {
            let Extent { start, .. } = extent;
            let end = start + 2;
            let used = &mut self.sources[source.0].used;
            used.schemas.push(Extent { start, end });
        }
    }

    /// The source a qualifier means: its name, or schema and relation where no alias hides them.
    pub(super) fn qualified_source(
        &self,
        qualifier: &[String],
        scope: &Scope<'_>,
    ) -> Option<SourceId> {
        match qualifier {
            [name] => self.source_named(scope, name),
            [schema, name] => self.source_named(scope, name).filter(|s| {
                let source = &self.sources[s.0];
                !source.aliased
                    && source
                        .relation
                        .as_ref()
                        .is_some_and(|r| r.name.schema == *schema)
            }),
            _ => None,
        }
    }

    /// `(expr)`: the tokens around it must be its parentheses.
    fn parenthesised(&mut self, inner: &SqlExpr, scope: &Scope<'_>) -> Result<Expr, Refusal> {
        let inner = self.expr(inner, scope)?;
        let wider = inner.extent().and_then(|e| {
            let start = e.start.checked_sub(1)?;
            (self.is_symbol(start, "(") && self.is_symbol(e.end, ")")).then_some(Extent {
                start,
                end: e.end + 1,
            })
        });
        Ok(match (inner, wider) {
            (Expr::Compare { left, right, .. }, Some(extent)) => Expr::Compare {
                left,
                right,
                extent,
            },
            (Expr::InList { left, list, .. }, Some(extent)) => Expr::InList { left, list, extent },
            (Expr::InArray { left, list, .. }, Some(extent)) => {
                Expr::InArray { left, list, extent }
            }
            (Expr::InQuery { left, query, .. }, Some(extent)) => Expr::InQuery {
                left,
                query,
                extent,
            },
            (Expr::AnyArray { left, right, .. }, Some(extent)) => Expr::AnyArray {
                left,
                right,
                extent,
            },
            (Expr::NullTest { operand, .. }, Some(extent)) => Expr::NullTest { operand, extent },
            (Expr::Column { column, .. }, Some(extent)) => Expr::Column { column, extent },
            (Expr::Parameter { number, .. }, Some(extent)) => Expr::Parameter { number, extent },
            (Expr::Constant { kind, .. }, Some(extent)) => Expr::Constant { kind, extent },
            (
                Expr::Cast {
                    inner, ty, array, ..
                },
                Some(extent),
            ) => Expr::Cast {
                inner,
                ty,
                array,
                extent,
            },
            (Expr::Other { form, operands, .. }, extent) => Expr::Other {
                form,
                operands,
                extent,
            },
            (other, _) => Expr::Other {
                form: Form::Named("parentheses"),
                operands: vec![other],
                extent: None,
            },
        })
    }

    /// Binds a constant or parameter.
    pub(super) fn constant(&mut self, value: &ValueWithSpan) -> Result<Expr, Refusal> {
        let ValueWithSpan { value, span } = value;
        let index = token_index(*span)
            .filter(|&i| i < self.tokens.len())
            .ok_or_else(|| refuse::unsupported("a constant whose place is not known", None))?;
        let extent = one(index);
        let (kind, matches) = match value {
            Value::SingleQuotedString(_) => (
                ConstantKind::Text,
                matches!(self.tokens[index].kind, TokenKind::Text(_)),
            ),
            Value::Number(_, _) => (
                ConstantKind::Number,
                matches!(self.tokens[index].kind, TokenKind::Number),
            ),
            Value::Boolean(_) => (
                ConstantKind::Boolean,
                self.is_word(index, "true") || self.is_word(index, "false"),
            ),
            Value::Null => (ConstantKind::Null, self.is_word(index, "null")),
            Value::NationalStringLiteral(_) => (ConstantKind::Foreign, true),
            Value::Placeholder(_) => {
                return match self.tokens[index].kind {
                    TokenKind::Parameter(number) => Ok(Expr::Parameter { number, extent }),
                    _ => Err(refuse::unsupported(
                        "a parameter of this form",
                        self.position(index),
                    )),
                };
            }
            _ => {
                return Err(refuse::unsupported(
                    "a constant of this form",
                    self.position(index),
                ));
            }
        };
        if matches {
            Ok(Expr::Constant { kind, extent })
        } else {
            Err(refuse::unsupported(
                "a constant whose place is not known",
                self.position(index),
            ))
        }
    }

    fn unary(
        &mut self,
        op: UnaryOperator,
        expr: &SqlExpr,
        scope: &Scope<'_>,
    ) -> Result<Expr, Refusal> {
        let inner = self.expr(expr, scope)?;
        if let (
            UnaryOperator::Minus,
            Expr::Constant {
                kind: ConstantKind::Number,
                extent,
            },
        ) = (op, &inner)
            && extent.start > 0
            && self.is_symbol(extent.start - 1, "-")
        {
            let extent = Extent {
                start: extent.start - 1,
                end: extent.end,
            };
            return Ok(Expr::Constant {
                kind: ConstantKind::Number,
                extent,
            });
        }
        Ok(Expr::Other {
            form: Form::Named(if op == UnaryOperator::Not {
                "NOT"
            } else {
                "an operator"
            }),
            operands: vec![inner],
            extent: None,
        })
    }
}

fn one(index: usize) -> Extent {
    Extent {
        start: index,
        end: index + 1,
    }
}

/// A name that is no column of a known source.
fn plain(extent: Extent) -> Expr {
    Expr::Other {
        form: Form::Named("a name"),
        operands: Vec::new(),
        extent: Some(extent),
    }
}

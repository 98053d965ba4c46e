//! Expressions: the few forms a treated attribute may stand in, each with the exact tokens it stands in;
//! everything else as [`Expr::Other`], under which nothing treated may stand.
//!
//! Where the tokens do not bear out what sqlparser's tree says (its precedence differs from PostgreSQL's in
//! places), the form becomes `Other` too.

use sqlparser::ast::{
    Array, BinaryOperator, CaseWhen, DuplicateTreatment, Expr as SqlExpr, Function, FunctionArg,
    FunctionArgExpr, FunctionArgumentClause, FunctionArgumentList, FunctionArguments, Ident,
    ObjectName, OrderByExpr, TypedString, UnaryOperator, Value, ValueWithSpan, WindowFrame,
    WindowFrameBound, WindowSpec, WindowType,
};

use super::Resolver;
use super::absent::absent;
use super::cast::cast_type;
use super::scope::{Found, Scope};
use crate::statement::lex::TokenKind;
use crate::statement::parse::token_index;
use crate::statement::plan::Refusal;
use crate::statement::reach::Mention;
use crate::statement::refuse;
use crate::statement::tree::{ConstantKind, Expr, Extent, Form};

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
                    matches!(kind, sqlparser::ast::CastKind::DoubleColon),
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

    fn list<'e>(
        &mut self,
        exprs: impl IntoIterator<Item = &'e SqlExpr>,
        scope: &Scope<'_>,
    ) -> Result<Vec<Expr>, Refusal> {
        exprs.into_iter().map(|e| self.expr(e, scope)).collect()
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

    /// The forms that no treated attribute may stand in, and those that are not understood at all.
    fn other(&mut self, expr: &SqlExpr, scope: &Scope<'_>) -> Result<Expr, Refusal> {
        let pattern = |e: &'static str| Form::Pattern(e);
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
                    pattern("LIKE"),
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
                pattern("SIMILAR TO"),
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
            SqlExpr::IsNormalized {
                expr,
                form: _,
                negated: _,
            } => self.form(Form::Named("IS NORMALIZED"), [expr.as_ref()], scope),
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
        chain: &[sqlparser::ast::AccessExpr],
        scope: &Scope<'_>,
    ) -> Result<Expr, Refusal> {
        let mut operands = vec![self.expr(root, scope)?];
        for access in chain {
            match access {
                sqlparser::ast::AccessExpr::Subscript(sqlparser::ast::Subscript::Index {
                    index,
                }) => operands.push(self.expr(index, scope)?),
                sqlparser::ast::AccessExpr::Subscript(sqlparser::ast::Subscript::Slice {
                    lower_bound,
                    upper_bound,
                    stride,
                }) => {
                    operands.extend(
                        self.list(lower_bound.iter().chain(upper_bound).chain(stride), scope)?,
                    );
                }
                sqlparser::ast::AccessExpr::Dot(_) => {
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

    fn bare(&mut self, ident: &Ident, scope: &Scope<'_>) -> Result<Expr, Refusal> {
        let (name, index) = self.name(ident)?;
        match self.find(scope, &name, index)? {
            Found::Column(column) => Ok(Expr::Column {
                column,
                extent: one(index),
            }),
            Found::WholeRow(source) => Ok(Expr::WholeRow {
                source,
                extent: one(index),
            }),
            Found::Nothing => {
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
        match source {
            Some(source) => match self.column_of(source, column) {
                Some(column) => Ok(Expr::Column { column, extent }),
                None if self.sources[source.0].columns.is_none() => Ok(plain(extent)),
                // A system column is plain; any other name is functional notation over the whole row.
                None if SYSTEM_COLUMNS.contains(&column.as_str()) => Ok(Expr::Other {
                    form: Form::Named("a system column"),
                    operands: Vec::new(),
                    extent: Some(extent),
                }),
                None => Ok(Expr::WholeRow { source, extent }),
            },
            None => Err(refuse::unsupported(
                format!("the qualifier {:?}", qualifier.join(".")),
                self.position(extent.start),
            )),
        }
    }

    /// The source a qualifier means: its name, or schema and relation where no alias hides them.
    pub(super) fn qualified_source(
        &self,
        qualifier: &[String],
        scope: &Scope<'_>,
    ) -> Option<crate::statement::tree::SourceId> {
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

    fn constant(&mut self, value: &ValueWithSpan) -> Result<Expr, Refusal> {
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

    fn typed_constant(
        &mut self,
        data_type: &sqlparser::ast::DataType,
        value: &ValueWithSpan,
    ) -> Result<Expr, Refusal> {
        let inner = self.constant(value)?;
        let (ty, array) = cast_type(data_type);
        let extent = inner
            .extent()
            .and_then(|e| self.typed_constant_extent(e.start));
        Ok(match extent {
            Some(extent) => Expr::Cast {
                inner: Box::new(inner),
                ty,
                array,
                extent,
            },
            None => Expr::Other {
                form: Form::Named("a typed constant"),
                operands: vec![inner],
                extent: None,
            },
        })
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

    fn binary(
        &mut self,
        left: &SqlExpr,
        op: &BinaryOperator,
        right: &SqlExpr,
        scope: &Scope<'_>,
    ) -> Result<Expr, Refusal> {
        let left = self.expr(left, scope)?;
        let right = self.expr(right, scope)?;
        let form = match op {
            BinaryOperator::Eq | BinaryOperator::NotEq => {
                return Ok(match (left.extent(), right.extent()) {
                    (Some(l), Some(r))
                        if l.end + 1 == r.start
                            && ["=", "<>", "!="].iter().any(|op| self.is_symbol(l.end, op)) =>
                    {
                        let extent = Extent {
                            start: l.start,
                            end: r.end,
                        };
                        Expr::Compare {
                            left: Box::new(left),
                            right: Box::new(right),
                            extent,
                        }
                    }
                    _ => Expr::Other {
                        form: Form::Named("this comparison"),
                        operands: vec![left, right],
                        extent: None,
                    },
                });
            }
            BinaryOperator::Lt
            | BinaryOperator::LtEq
            | BinaryOperator::Gt
            | BinaryOperator::GtEq => Form::Range("an ordering comparison"),
            BinaryOperator::PGRegexMatch
            | BinaryOperator::PGRegexIMatch
            | BinaryOperator::PGRegexNotMatch
            | BinaryOperator::PGRegexNotIMatch
            | BinaryOperator::PGLikeMatch
            | BinaryOperator::PGILikeMatch
            | BinaryOperator::PGNotLikeMatch
            | BinaryOperator::PGNotILikeMatch
            | BinaryOperator::PGStartsWith => Form::Pattern("a pattern match"),
            BinaryOperator::And | BinaryOperator::Or => Form::Named("AND and OR"),
            BinaryOperator::StringConcat => Form::Named("||"),
            _ => Form::Named("an operator"),
        };
        let extent = match (left.extent(), right.extent()) {
            (Some(l), Some(r)) if l.end < r.start => Some(Extent {
                start: l.start,
                end: r.end,
            }),
            _ => None,
        };
        Ok(Expr::Other {
            form,
            operands: vec![left, right],
            extent,
        })
    }

    fn distinct(
        &mut self,
        left: &SqlExpr,
        right: &SqlExpr,
        words: &[&str],
        scope: &Scope<'_>,
    ) -> Result<Expr, Refusal> {
        let left = self.expr(left, scope)?;
        let right = self.expr(right, scope)?;
        Ok(match (left.extent(), right.extent()) {
            (Some(l), Some(r))
                if r.start == l.end + words.len() && self.are_words(l.end, words) =>
            {
                Expr::Compare {
                    extent: Extent {
                        start: l.start,
                        end: r.end,
                    },
                    left: Box::new(left),
                    right: Box::new(right),
                }
            }
            _ => Expr::Other {
                form: Form::Named("IS DISTINCT FROM"),
                operands: vec![left, right],
                extent: None,
            },
        })
    }

    fn null_test(
        &mut self,
        operand: &SqlExpr,
        words: &[&str],
        scope: &Scope<'_>,
    ) -> Result<Expr, Refusal> {
        let operand = self.expr(operand, scope)?;
        Ok(match operand.extent() {
            Some(e) if self.are_words(e.end, words) => Expr::NullTest {
                operand: Box::new(operand),
                extent: Extent {
                    start: e.start,
                    end: e.end + words.len(),
                },
            },
            _ => Expr::Other {
                form: Form::Named("a null test"),
                operands: vec![operand],
                extent: None,
            },
        })
    }

    fn are_words(&self, at: usize, words: &[&str]) -> bool {
        words
            .iter()
            .enumerate()
            .all(|(i, word)| self.is_word(at + i, word))
    }

    /// Behind `[NOT] IN (`, if that stands at `at`.
    fn behind_in(&self, at: usize, negated: bool) -> Option<usize> {
        let at = if negated {
            self.is_word(at, "not").then_some(at + 1)?
        } else {
            at
        };
        (self.is_word(at, "in") && self.is_symbol(at + 1, "(")).then_some(at + 2)
    }

    fn in_list(
        &mut self,
        left: &SqlExpr,
        list: &[SqlExpr],
        negated: bool,
        scope: &Scope<'_>,
    ) -> Result<Expr, Refusal> {
        let left = self.expr(left, scope)?;
        let list = self.list(list, scope)?;
        let end = left
            .extent()
            .and_then(|e| self.behind_in(e.end, negated))
            .and_then(|at| self.elements_end(at, &list));
        Ok(match (left.extent(), end) {
            (Some(e), Some(end)) if self.is_symbol(end, ")") => Expr::InList {
                left: Box::new(left),
                list,
                extent: Extent {
                    start: e.start,
                    end: end + 1,
                },
            },
            _ => {
                let operands = std::iter::once(left).chain(list).collect();
                Expr::Other {
                    form: Form::Named("this IN list"),
                    operands,
                    extent: None,
                }
            }
        })
    }

    /// Behind a comma-separated list of expressions that begins at `at`, if the tokens bear it out.
    fn elements_end(&self, mut at: usize, list: &[Expr]) -> Option<usize> {
        for (index, element) in list.iter().enumerate() {
            if index > 0 {
                at = self.is_symbol(at, ",").then_some(at + 1)?;
            }
            let extent = element.extent()?;
            at = (extent.start == at).then_some(extent.end)?;
        }
        Some(at)
    }

    fn in_query(
        &mut self,
        left: &SqlExpr,
        query: &sqlparser::ast::Query,
        negated: bool,
        scope: &Scope<'_>,
    ) -> Result<Expr, Refusal> {
        let left = self.expr(left, scope)?;
        let query = self.query(query, Some(scope))?;
        let closed = left
            .extent()
            .and_then(|e| Some((e, self.behind_in(e.end, negated)?)))
            .and_then(|(e, at)| {
                Some(Extent {
                    start: e.start,
                    end: self.closing(at)? + 1,
                })
            });
        Ok(match closed {
            Some(extent) => Expr::InQuery {
                left: Box::new(left),
                query,
                extent,
            },
            None => {
                let query = Expr::Query(query);
                Expr::Other {
                    form: Form::Named("this IN"),
                    operands: vec![left, query],
                    extent: None,
                }
            }
        })
    }

    /// The token that closes the parenthesis inside which `at` stands.
    fn closing(&self, mut at: usize) -> Option<usize> {
        let mut depth = 0usize;
        while at < self.tokens.len() {
            if self.is_symbol(at, "(") {
                depth += 1;
            } else if self.is_symbol(at, ")") {
                if depth == 0 {
                    return Some(at);
                }
                depth -= 1;
            }
            at += 1;
        }
        None
    }

    /// `left = ANY (…)` and `left <> ALL (…)`.
    fn any_all(
        &mut self,
        (left, op, right): (&SqlExpr, &BinaryOperator, &SqlExpr),
        wanted: BinaryOperator,
        scope: &Scope<'_>,
    ) -> Result<Expr, Refusal> {
        let left = self.expr(left, scope)?;
        let inner = unwrap_nested(right);
        let opening = left
            .extent()
            .filter(|e| *op == wanted && self.is_symbol(e.end + 2, "("))
            .filter(|e| {
                ["any", "some", "all"]
                    .iter()
                    .any(|w| self.is_word(e.end + 1, w))
                    && ["=", "<>", "!="].iter().any(|s| self.is_symbol(e.end, s))
            });
        let extent = opening.and_then(|e| {
            Some(Extent {
                start: e.start,
                end: self.closing(e.end + 3)? + 1,
            })
        });
        if let SqlExpr::Subquery(query) = inner {
            let query = self.query(query, Some(scope))?;
            return Ok(match extent {
                Some(extent) => Expr::InQuery {
                    left: Box::new(left),
                    query,
                    extent,
                },
                None => Expr::Other {
                    form: Form::Named("ANY over a query"),
                    operands: vec![left, Expr::Query(query)],
                    extent: None,
                },
            });
        }
        if let (SqlExpr::Array(Array { elem, named: true }), Some(extent)) = (inner, extent) {
            let list = self.list(elem, scope)?;
            let first = opening.map_or(0, |e| e.end + 5);
            if self
                .elements_end(first, &list)
                .is_some_and(|end| self.is_symbol(end, "]") && end + 2 == extent.end)
            {
                return Ok(Expr::InList {
                    left: Box::new(left),
                    list,
                    extent,
                });
            }
            let operands = std::iter::once(left).chain(list).collect();
            return Ok(Expr::Other {
                form: Form::Named("this array"),
                operands,
                extent: None,
            });
        }
        let right = self.expr(inner, scope)?;
        let exact = right.extent().zip(opening).is_some_and(|(r, e)| {
            r.start == e.end + 3 && extent.is_some_and(|x| r.end + 1 == x.end)
        });
        Ok(match extent {
            Some(extent) if exact => Expr::AnyArray {
                left: Box::new(left),
                right: Box::new(right),
                extent,
            },
            _ => Expr::Other {
                form: Form::Named("ANY or ALL in this form"),
                operands: vec![left, right],
                extent: None,
            },
        })
    }

    fn cast(
        &mut self,
        double_colon: bool,
        inner: &SqlExpr,
        data_type: &sqlparser::ast::DataType,
        scope: &Scope<'_>,
    ) -> Result<Expr, Refusal> {
        if let sqlparser::ast::DataType::Custom(name, _) = data_type {
            self.object_name(name)?;
        }
        let inner = self.expr(inner, scope)?;
        let (ty, array) = cast_type(data_type);
        let extent = inner.extent().and_then(|e| {
            if double_colon {
                self.double_colon_extent(e)
            } else {
                self.cast_extent(e)
            }
        });
        Ok(match extent {
            Some(extent) => Expr::Cast {
                inner: Box::new(inner),
                ty,
                array,
                extent,
            },
            None => Expr::Other {
                form: Form::Named("this cast"),
                operands: vec![inner],
                extent: None,
            },
        })
    }

    /// Checks that a function may be called and gives its bare name.
    pub(super) fn function_name(&mut self, name: &ObjectName) -> Result<String, Refusal> {
        let (parts, extent) = self.object_name(name)?;
        let bare = parts.into_iter().next_back().unwrap_or_default();
        match self.names.reach.mention(&bare) {
            Some(Mention::Function) => Err(refuse::unsupported(
                format!("function {bare:?}, which could reach a treated relation,"),
                self.position(extent.start),
            )),
            Some(Mention::Closed) => Err(refuse::denied_object(
                format!("{bare:?}"),
                self.position(extent.start),
            )),
            Some(Mention::Relation) | None => Ok(bare),
        }
    }

    fn function(&mut self, function: &Function, scope: &Scope<'_>) -> Result<Expr, Refusal> {
        let Function {
            name,
            uses_odbc_syntax,
            parameters,
            args,
            filter,
            null_treatment: _,
            over,
            within_group,
        } = function;
        absent(&[("{fn …}", uses_odbc_syntax)])?;
        if !matches!(parameters, FunctionArguments::None) {
            return Err(refuse::unsupported("function parameters", None));
        }
        let name = self.function_name(name)?;
        let (mut operands, distinct, star) = self.call_arguments(args, scope)?;
        for OrderByExpr {
            expr,
            options: _,
            with_fill: _,
        } in within_group
        {
            operands.push(self.expr(expr, scope)?);
        }
        let plain_count = name == "count"
            && over.is_none()
            && within_group.is_empty()
            && operands.len() == 1
            && !star;
        let argument = plain_count.then(|| operands.pop()).flatten();
        if let Some(filter) = filter {
            operands.push(self.expr(filter, scope)?);
        }
        if let Some(over) = over {
            match over {
                WindowType::WindowSpec(spec) => operands.extend(self.window(spec, scope)?),
                WindowType::NamedWindow(name) => {
                    self.name(name)?;
                }
            }
        }
        let form = match name.as_str() {
            "lower" | "upper" => Form::Case(name),
            "min" | "max" | "greatest" | "least" => Form::Range("min, max, greatest or least"),
            "like" | "ilike" | "strpos" | "starts_with" | "regexp_match" | "regexp_matches"
            | "regexp_like" => Form::Pattern("a pattern match"),
            _ => Form::Function(name),
        };
        Ok(match argument {
            Some(argument) if operands.is_empty() => Expr::Count {
                argument: Box::new(argument),
                distinct,
            },
            Some(argument) => {
                let count = Expr::Count {
                    argument: Box::new(argument),
                    distinct,
                };
                operands.push(count);
                Expr::Other {
                    form: Form::Named("a filter"),
                    operands,
                    extent: None,
                }
            }
            None => Expr::Other {
                form,
                operands,
                extent: None,
            },
        })
    }

    /// The arguments, whether DISTINCT stands before them, and whether one is `*`.
    fn call_arguments(
        &mut self,
        args: &FunctionArguments,
        scope: &Scope<'_>,
    ) -> Result<(Vec<Expr>, bool, bool), Refusal> {
        let list = match args {
            FunctionArguments::None => return Ok((Vec::new(), false, false)),
            FunctionArguments::Subquery(query) => {
                let query = self.query(query, Some(scope))?;
                return Ok((vec![Expr::Query(query)], false, false));
            }
            FunctionArguments::List(list) => list,
        };
        let FunctionArgumentList {
            duplicate_treatment,
            args,
            clauses,
        } = list;
        let mut operands = Vec::with_capacity(args.len());
        let mut star = false;
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
                FunctionArgExpr::Expr(expr) => operands.push(self.expr(expr, scope)?),
                FunctionArgExpr::Wildcard => star = true,
                FunctionArgExpr::QualifiedWildcard(name) => {
                    operands.push(self.whole_row_argument(name, scope)?)
                }
                FunctionArgExpr::WildcardWithOptions(_) => {
                    return Err(refuse::unsupported("* as an argument", None));
                }
            }
        }
        for clause in clauses {
            match clause {
                FunctionArgumentClause::OrderBy(keys) => {
                    for OrderByExpr {
                        expr,
                        options: _,
                        with_fill: _,
                    } in keys
                    {
                        operands.push(self.expr(expr, scope)?);
                    }
                }
                FunctionArgumentClause::IgnoreOrRespectNulls(_) => {}
                _ => return Err(refuse::unsupported("this clause of a function", None)),
            }
        }
        Ok((
            operands,
            matches!(duplicate_treatment, Some(DuplicateTreatment::Distinct)),
            star,
        ))
    }

    fn whole_row_argument(
        &mut self,
        name: &ObjectName,
        scope: &Scope<'_>,
    ) -> Result<Expr, Refusal> {
        let (parts, extent) = self.object_name(name)?;
        match self.qualified_source(&parts, scope) {
            Some(source) => Ok(Expr::WholeRow { source, extent }),
            None => Err(refuse::unsupported(
                "a whole row of a source that is not known",
                self.position(extent.start),
            )),
        }
    }

    /// The expressions of a window definition.
    pub(super) fn window(
        &mut self,
        spec: &WindowSpec,
        scope: &Scope<'_>,
    ) -> Result<Vec<Expr>, Refusal> {
        let WindowSpec {
            window_name,
            partition_by,
            order_by,
            window_frame,
        } = spec;
        if let Some(name) = window_name {
            self.name(name)?;
        }
        let mut operands = self.list(partition_by, scope)?;
        for OrderByExpr {
            expr,
            options: _,
            with_fill: _,
        } in order_by
        {
            operands.push(self.expr(expr, scope)?);
        }
        if let Some(WindowFrame {
            units: _,
            start_bound,
            end_bound,
        }) = window_frame
        {
            for bound in std::iter::once(start_bound).chain(end_bound) {
                match bound {
                    WindowFrameBound::CurrentRow
                    | WindowFrameBound::Preceding(None)
                    | WindowFrameBound::Following(None) => {}
                    WindowFrameBound::Preceding(Some(e)) | WindowFrameBound::Following(Some(e)) => {
                        operands.push(self.expr(e, scope)?)
                    }
                }
            }
        }
        Ok(operands)
    }
}

/// Columns every table has (manual, 5.5); `oid` is left out, it is none since PostgreSQL 12.
const SYSTEM_COLUMNS: &[&str] = &["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"];

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

fn unwrap_nested(expr: &SqlExpr) -> &SqlExpr {
    match expr {
        SqlExpr::Nested(inner) => unwrap_nested(inner),
        other => other,
    }
}

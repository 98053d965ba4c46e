//! Calls: functions, aggregates, windows. Only `count` of one argument may stand over a treated attribute.
//!
//! Refuses the functions that could reach a treated relation by its name. Knows no attribute's treatment.

use std::iter;

use sqlparser::ast::{
    DuplicateTreatment, Expr as SqlExpr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgOperator, FunctionArgumentClause, FunctionArgumentList, FunctionArguments,
    ObjectName, OrderByExpr, WindowFrame, WindowFrameBound, WindowSpec, WindowType,
};

use super::Resolver;
use super::absent::absent;
use super::scope::Scope;
use crate::statement::plan::Refusal;
use crate::statement::reach::Mention;
use crate::statement::refuse;
use crate::statement::tree::{Expr, Form};

impl Resolver<'_> {
    /// Binds a call.
    pub(super) fn function(
        &mut self,
        function: &Function,
        scope: &Scope<'_>,
    ) -> Result<Expr, Refusal> {
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
        match over {
            None => {}
            Some(WindowType::WindowSpec(spec)) => operands.extend(self.window(spec, scope)?),
            Some(WindowType::NamedWindow(name)) => {
                self.name(name)?;
            }
        }
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
                form: call_form(name),
                operands,
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
            Some(source) => Ok(self.whole_row(source, extent)),
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
            for bound in iter::once(start_bound).chain(end_bound) {
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

/// The form of a call by its function's name: decides which search word its refusal names.
fn call_form(name: String) -> Form {
    match name.as_str() {
        "lower" | "upper" => Form::Case(name),
        "min" | "max" | "greatest" | "least" => Form::Range("min, max, greatest or least"),
        "like" | "ilike" | "strpos" | "starts_with" | "regexp_match" | "regexp_matches"
        | "regexp_like" => Form::Pattern("a pattern match"),
        _ => Form::Function(name),
    }
}

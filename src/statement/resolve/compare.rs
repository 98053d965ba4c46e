//! Comparisons of every form that equality answers: `=`, IS DISTINCT FROM, IS NULL, IN, ANY and ALL.
//!
//! A comparison whose tokens do not stand exactly as the tree says is [`Expr::Other`]. Knows no attribute's
//! treatment.

use std::iter;

use sqlparser::ast::{Array, BinaryOperator, Expr as SqlExpr, Query as SqlQuery};

use super::Resolver;
use super::scope::Scope;
use crate::statement::plan::Refusal;
use crate::statement::tree::{Expr, Extent, Form};

impl Resolver<'_> {
    /// Binds `left op right`: a comparison for `=` and `<>` only.
    pub(super) fn binary(
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

    /// Binds `IS [NOT] DISTINCT FROM`, which is written in these words.
    pub(super) fn distinct(
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

    /// Binds `IS [NOT] NULL`, which is written in these words.
    pub(super) fn null_test(
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

    /// Binds `left [NOT] IN (list)`.
    pub(super) fn in_list(
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
                let operands = iter::once(left).chain(list).collect();
                Expr::Other {
                    form: Form::Named("this IN list"),
                    operands,
                    extent: None,
                }
            }
        })
    }

    /// Binds `left [NOT] IN (query)`.
    pub(super) fn in_query(
        &mut self,
        left: &SqlExpr,
        query: &SqlQuery,
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

    /// `left = ANY (…)` and `left <> ALL (…)`.
    pub(super) fn any_all(
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
                return Ok(Expr::InArray {
                    left: Box::new(left),
                    list,
                    extent,
                });
            }
            let operands = iter::once(left).chain(list).collect();
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

    /// Behind `[NOT] IN (`, if that stands at `at`.
    fn behind_in(&self, at: usize, negated: bool) -> Option<usize> {
        let at = if negated {
            self.is_word(at, "not").then_some(at + 1)?
        } else {
            at
        };
        (self.is_word(at, "in") && self.is_symbol(at + 1, "(")).then_some(at + 2)
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
}

fn unwrap_nested(expr: &SqlExpr) -> &SqlExpr {
    match expr {
        SqlExpr::Nested(inner) => unwrap_nested(inner),
        other => other,
    }
}

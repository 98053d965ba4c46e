//! Authorised → Plan: rules in order, each of which emits edits of the client's text.
//!
//! The text sent is the client's text with spans replaced; nothing is reprinted. Rules hold no keys: what has
//! to be sealed becomes a slot.

mod cast;
mod constant;
mod distinct;
mod group;
mod head;
mod parameter;
mod relation;
mod target;

use super::authorise::Authorised;
use super::infer::Ty;
use super::lex::Token;
use super::plan::{ColumnPlan, LiteralSlot, ParameterPlan, Piece, Plan, Refusal, StatementPlan};
use super::refuse;
use super::tree::{Extent, Node, Origin, Source};
use super::verify;
use crate::ident::{RelationName, RoleName};
use crate::secret::Secret;

/// A change of the text: tokens of the client's, replaced.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Edit {
    /// the tokens replaced
    pub extent: Extent,
    /// what stands there then
    pub with: Replacement,
}

/// What replaces tokens.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Replacement {
    /// this text (empty: the tokens are dropped)
    Text(String),
    /// a value sealed or tokenised when the plan is filled: the constant of these tokens
    Slot(LiteralSlot, Extent),
    /// what stands there, which the audit does not see
    Same,
}

/// How a text is rewritten, whatever the constants say that its slots are of: edits of its tokens, and what the plan has
/// beside the text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rewrite {
    /// in order; their slots hold no constant
    edits: Vec<Edit>,
    statements: Vec<StatementPlan>,
    parameters: Vec<ParameterPlan>,
}

#[cfg(test)]
impl Rewrite {
    /// One that drops a token.
    pub(super) fn dropping(token: usize) -> Self {
        let extent = Extent {
            start: token,
            end: token + 1,
        };
        let with = Replacement::Text(String::new());
        Self {
            edits: vec![Edit { extent, with }],
            statements: Vec::new(),
            parameters: Vec::new(),
        }
    }
}

/// What the rules read.
pub(super) struct Draft<'a> {
    /// the authorised statement
    pub authorised: &'a Authorised,
    /// the role it was authorised for
    pub role: &'a RoleName,
}

/// A rewrite rule: the edits it wants.
type Rule = fn(&Draft<'_>) -> Result<Vec<Edit>, Refusal>;

/// The rules, in order. No two may edit the same token.
const RULES: &[Rule] = &[
    relation::replace_relations,
    group::name_dependent_columns,
    target::replace_mentions,
    constant::slot_constants,
    cast::drop_casts,
    head::compare_heads,
    distinct::distinct_by_heads,
    parameter::drop_parameter_casts,
];

/// Finds how an authorised statement is rewritten, and makes its plan; None when nothing of it has to change.
///
/// # Errors
/// 0A000 when a postcondition does not hold.
pub(super) fn rewrite(
    authorised: &Authorised,
    role: &RoleName,
) -> Result<Option<(Rewrite, Plan)>, Refusal> {
    let draft = Draft { authorised, role };
    let mut edits = Vec::new();
    for rule in RULES {
        edits.extend(rule(&draft)?);
    }
    edits.sort_by_key(|edit| (edit.extent.start, edit.extent.end));
    edits.dedup_by(|a, b| a.extent == b.extent && same_text(&a.with, &b.with));
    edits.retain(|edit| edit.extent.start < edit.extent.end);
    let parameters = parameter::parameters(&draft)?;
    let opens = authorised
        .inferred
        .outputs
        .iter()
        .flatten()
        .flatten()
        .any(|ty| matches!(ty, Ty::Held(_)));
    verify::grouping(&authorised.inferred)?;
    if edits.is_empty() && parameters.is_empty() && !opens {
        return Ok(None);
    }
    let rewrite = Rewrite {
        edits,
        statements: statements(authorised),
        parameters,
    };
    let resolved = &authorised.inferred.resolved;
    let plan = rewrite.plan(&resolved.text, &resolved.tokens)?;
    verify::postconditions(authorised, &plan)?;
    Ok(Some((rewrite, plan)))
}

fn same_text(a: &Replacement, b: &Replacement) -> bool {
    matches!((a, b), (Replacement::Text(a), Replacement::Text(b)) if a == b)
}

impl Rewrite {
    /// The plan of a text of these tokens.
    ///
    /// # Errors
    /// 0A000 for a constant of a form that cannot be sealed, and where two edits meet.
    pub(super) fn plan(&self, text: &str, tokens: &[Token]) -> Result<Plan, Refusal> {
        let mut pieces = Vec::with_capacity(2 * self.edits.len() + 1);
        let mut audit_text = String::with_capacity(text.len());
        let mut at = 0;
        for Edit { extent, with } in &self.edits {
            let (start, end) = (tokens[extent.start].start, tokens[extent.end - 1].end);
            if start < at {
                return Err(refuse::unsupported("two changes at one place", Some(start)));
            }
            // White space on both sides: a replaced token must not grow together with its neighbours.
            pieces.push(Piece::Text(format!("{} ", &text[at..start])));
            audit_text.push_str(&text[at..start]);
            match with {
                Replacement::Text(with) => {
                    pieces.push(Piece::Text(format!("{with} ")));
                    audit_text.push_str(&text[start..end]);
                }
                Replacement::Slot(slot, constant) => {
                    let said = constant::said(text, &tokens[constant.start..constant.end])?;
                    pieces.push(Piece::Slot(LiteralSlot {
                        text: Secret::new(said),
                        ..slot.clone()
                    }));
                    pieces.push(Piece::Text(" ".to_owned()));
                    audit_text.push('?');
                }
                Replacement::Same => {
                    pieces.push(Piece::Text(format!("{} ", &text[start..end])));
                    audit_text.push('?');
                }
            }
            at = end;
        }
        pieces.push(Piece::Text(text[at..].to_owned()));
        audit_text.push_str(&text[at..]);
        Ok(Plan {
            pieces,
            statements: self.statements.clone(),
            parameters: self.parameters.clone(),
            audit_text,
        })
    }

    /// Bytes it takes, about.
    pub(super) fn bytes(&self) -> usize {
        let texts = self.edits.iter().map(|edit| match &edit.with {
            Replacement::Text(text) => text.len(),
            Replacement::Slot(..) | Replacement::Same => 0,
        });
        let columns = self.statements.iter().filter_map(|s| s.columns.as_ref());
        size_of::<Self>()
            + self.edits.len() * size_of::<Edit>()
            + texts.sum::<usize>()
            + self.statements.len() * size_of::<StatementPlan>()
            + columns
                .map(|c| c.len() * size_of::<ColumnPlan>())
                .sum::<usize>()
            + self.parameters.len() * size_of::<ParameterPlan>()
    }
}

fn statements(authorised: &Authorised) -> Vec<StatementPlan> {
    let resolved = &authorised.inferred.resolved;
    let relations = treated_relations(authorised);
    resolved
        .statements
        .iter()
        .zip(&authorised.columns)
        .map(|((node, kind), columns)| StatementPlan {
            kind,
            columns: columns.clone(),
            relations: if matches!(node, Node::Untouched) {
                Vec::new()
            } else {
                relations.clone()
            },
        })
        .collect()
}

/// The relations with treated attributes that the text names.
fn treated_relations(authorised: &Authorised) -> Vec<RelationName> {
    let treated = |s: &&Source| {
        s.columns
            .iter()
            .flatten()
            .any(|c| matches!(c.origin, Origin::Treated(_)))
    };
    let mut names: Vec<_> = authorised
        .inferred
        .resolved
        .sources
        .iter()
        .filter(treated)
        .filter_map(|s| s.relation.as_ref().map(|r| r.name.clone()))
        .collect();
    names.sort();
    names.dedup();
    names
}

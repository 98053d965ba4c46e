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
use super::plan::{LiteralSlot, ParameterPlan, Piece, Plan, Refusal, StatementPlan};
use super::refuse;
use super::tree::{Extent, Node, Origin, Source};
use super::verify;
use crate::ident::{RelationName, RoleName};

/// A change of the text: tokens of the client's, replaced.
#[derive(Debug)]
pub(super) struct Edit {
    /// the tokens replaced
    pub extent: Extent,
    /// what stands there then
    pub with: Replacement,
}

/// What replaces tokens.
#[derive(Debug)]
pub(super) enum Replacement {
    /// this text (empty: the tokens are dropped)
    Text(String),
    /// a value sealed or tokenised when the plan is filled
    Slot(LiteralSlot),
    /// what stands there, which the audit does not see
    Same,
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

/// Makes the plan of an authorised statement; None when nothing of it has to change.
///
/// # Errors
/// 0A000 when a postcondition does not hold.
pub(super) fn rewrite(authorised: &Authorised, role: &RoleName) -> Result<Option<Plan>, Refusal> {
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
    let plan = assemble(authorised, edits, parameters)?;
    verify::postconditions(authorised, &plan)?;
    Ok(Some(plan))
}

fn same_text(a: &Replacement, b: &Replacement) -> bool {
    matches!((a, b), (Replacement::Text(a), Replacement::Text(b)) if a == b)
}

fn assemble(
    authorised: &Authorised,
    edits: Vec<Edit>,
    parameters: Vec<ParameterPlan>,
) -> Result<Plan, Refusal> {
    let resolved = &authorised.inferred.resolved;
    let mut pieces = Vec::with_capacity(2 * edits.len() + 1);
    let mut audit_text = String::with_capacity(resolved.text.len());
    let mut at = 0;
    for Edit { extent, with } in edits {
        let (start, end) = (
            resolved.tokens[extent.start].start,
            resolved.tokens[extent.end - 1].end,
        );
        if start < at {
            return Err(refuse::unsupported("two changes at one place", Some(start)));
        }
        // White space on both sides: a replaced token must not grow together with its neighbours.
        pieces.push(Piece::Text(format!("{} ", &resolved.text[at..start])));
        audit_text.push_str(&resolved.text[at..start]);
        match with {
            Replacement::Text(text) => {
                pieces.push(Piece::Text(format!("{text} ")));
                audit_text.push_str(&resolved.text[start..end]);
            }
            Replacement::Slot(slot) => {
                pieces.push(Piece::Slot(slot));
                pieces.push(Piece::Text(" ".to_owned()));
                audit_text.push('?');
            }
            Replacement::Same => {
                pieces.push(Piece::Text(format!("{} ", &resolved.text[start..end])));
                audit_text.push('?');
            }
        }
        at = end;
    }
    pieces.push(Piece::Text(resolved.text[at..].to_owned()));
    audit_text.push_str(&resolved.text[at..]);
    Ok(Plan {
        pieces,
        statements: statements(authorised),
        parameters,
        audit_text,
    })
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

//! A parameter that meets an attribute: its cast is dropped, its value sealed at Bind.
//!
//! before: `WHERE email = $1::text`
//! after:  `WHERE email = $1`, with `$1` declared bytea upstream and text to the client

use std::collections::BTreeMap;

use super::{Draft, Edit, Replacement};
use crate::policy::decide::Store;
use crate::seal::Comparison;
use crate::statement::infer::Site;
use crate::statement::lex::TokenKind;
use crate::statement::plan::{ParameterPlan, Refusal};
use crate::statement::refuse;

/// Drops the casts of parameters that will carry sealed values; a token keeps the type, and so its cast.
pub(super) fn drop_parameter_casts(draft: &Draft<'_>) -> Result<Vec<Edit>, Refusal> {
    let mut edits = Vec::new();
    for adapted in draft.authorised.inferred.adapted.values() {
        let (Site::Parameter(number), Some((_, typmod))) = (adapted.site, adapted.cast) else {
            continue;
        };
        match &adapted.attribute.store {
            Store::Encrypt { .. } => edits.push(Edit {
                extent: adapted.extent,
                with: Replacement::Text(format!("${number}")),
            }),
            Store::Tokenise(_) if typmod == -1 => {}
            Store::Tokenise(_) | Store::Plain => {
                let position = draft
                    .authorised
                    .inferred
                    .resolved
                    .tokens
                    .get(adapted.extent.start)
                    .map(|t| t.start);
                return Err(refuse::not_computable(
                    &adapted.attribute.name,
                    "a comparison with a cast that cuts",
                    position,
                ));
            }
        }
    }
    Ok(edits)
}

/// The parameters that meet attributes. One that also stands elsewhere, or meets two forms, is refused.
pub(super) fn parameters(draft: &Draft<'_>) -> Result<Vec<ParameterPlan>, Refusal> {
    let inferred = &draft.authorised.inferred;
    let mut mentions: BTreeMap<u16, usize> = BTreeMap::new();
    for token in &inferred.resolved.tokens {
        if let TokenKind::Parameter(number) = token.kind {
            *mentions.entry(number).or_default() += 1;
        }
    }
    let mut plans: BTreeMap<u16, (ParameterPlan, usize)> = BTreeMap::new();
    for adapted in inferred.adapted.values() {
        let Site::Parameter(number) = adapted.site else {
            continue;
        };
        let plan = ParameterPlan {
            number,
            attribute: adapted.attribute.clone(),
            shape: adapted.shape,
            cast: adapted.cast,
            assigned: adapted.assigned,
            listed: adapted.listed.clone().unwrap_or_default(),
            token: adapted.attribute.is_compared_by_token(draft.role).cloned(),
        };
        match plans.get_mut(&number) {
            None => {
                plans.insert(number, (plan, 1));
            }
            Some((first, count)) if agrees(first, &plan) => {
                *count += 1;
                first.assigned |= plan.assigned;
            }
            Some(_) => return Err(two_meanings(number)),
        }
    }
    if plans
        .iter()
        .any(|(number, (_, count))| mentions.get(number) != Some(count))
    {
        let number = plans
            .iter()
            .find(|(number, (_, count))| mentions.get(number) != Some(count))
            .map_or(0, |(n, _)| *n);
        return Err(two_meanings(number));
    }
    Ok(plans.into_values().map(|(plan, _)| plan).collect())
}

fn agrees(first: &ParameterPlan, second: &ParameterPlan) -> bool {
    let (a, b) = (&first.attribute, &second.attribute);
    a.domain == b.domain
        && a.store == b.store
        && a.logical == b.logical
        && first.shape == second.shape
        && first.cast == second.cast
        && first.token == second.token
        && first.listed == second.listed
        && (first.assigned == second.assigned
            || (a.logical.typmod() == -1 && a.comparison() != Comparison::Heads))
}

fn two_meanings(number: u16) -> Refusal {
    refuse::unsupported(
        format!("parameter ${number} with two meanings: use two parameters; it"),
        None,
    )
}

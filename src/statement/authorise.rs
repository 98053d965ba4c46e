//! What the statement does × what the policy lets the role do.

use std::sync::Arc;

use super::infer::{Inferred, Ty, Use};
use super::plan::{ColumnPlan, Refusal};
use super::refuse;
use crate::ident::RoleName;
use crate::policy::decide::{Search, Show, Store, Treated};
use crate::seal::Comparison;

/// An inferred statement whose every use the policy allows. Only [`authorise`] makes one.
#[derive(Debug)]
pub(super) struct Authorised {
    /// what was inferred
    pub inferred: Inferred,
    /// what happens to the output columns of every statement
    pub columns: Vec<Option<Vec<ColumnPlan>>>,
}

/// Asks the policy about every use and chooses what the role is shown.
///
/// # Errors
/// 42501 where the policy does not allow a use, 0A000 where it does but what is stored cannot answer.
pub(super) fn authorise(inferred: Inferred, role: &RoleName) -> Result<Authorised, Refusal> {
    for (attribute, what, position) in &inferred.uses {
        allow(attribute, *what, role, *position)?;
    }
    let columns = inferred
        .outputs
        .iter()
        .map(|types| {
            types
                .as_ref()
                .map(|types| types.iter().map(|ty| column(ty, role)).collect())
        })
        .collect();
    Ok(Authorised { inferred, columns })
}

fn column(ty: &Ty, role: &RoleName) -> ColumnPlan {
    match ty {
        Ty::Plain | Ty::Constant => ColumnPlan::Pass,
        Ty::Held(attribute) => ColumnPlan::Open {
            attribute: attribute.clone(),
            show: attribute.sight(role).show.clone(),
        },
    }
}

fn allow(
    attribute: &Arc<Treated>,
    what: Use,
    role: &RoleName,
    position: Option<usize>,
) -> Result<(), Refusal> {
    let plain_sight = attribute.sight(role).show == Show::Plain;
    match what {
        Use::Assign if attribute.may_assign(role) => Ok(()),
        Use::Assign => Err(refuse::denied(&attribute.name, "assign", position)),
        Use::Conflict if plain_sight => Ok(()),
        Use::Conflict => Err(refuse::denied(
            &attribute.name,
            "compare, by ON CONFLICT,",
            position,
        )),
        Use::NullTest if plain_sight => Ok(()),
        Use::NullTest | Use::CompareHeads => compare(attribute, role, position),
        Use::Compare => {
            compare(attribute, role, position)?;
            match attribute.comparison() {
                Comparison::Bytes => Ok(()),
                // What is stored differs for equal values: only its head may be compared.
                Comparison::Heads | Comparison::Never => {
                    Err(refuse::needs_head(&attribute.name, position))
                }
            }
        }
    }
}

fn compare(attribute: &Treated, role: &RoleName, position: Option<usize>) -> Result<(), Refusal> {
    let sight = attribute.sight(role);
    let allowed = sight.show == Show::Plain || sight.compare.contains(&Search::Equal);
    if !allowed {
        return Err(refuse::denied(&attribute.name, "compare", position));
    }
    if !attribute.compares_equal() {
        return Err(refuse::search_missing(
            &attribute.name,
            "equality",
            "equal",
            position,
        ));
    }
    match (&sight.show, &attribute.store) {
        // Turned back into its value, the token would stand plain in the statement, where EXPLAIN shows it.
        (Show::Token(_), Store::Plain) => Err(refuse::token_over_plain(&attribute.name, position)),
        _ => Ok(()),
    }
}

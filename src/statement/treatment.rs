//! What a treated attribute is to one role inside a statement.

use super::plan::Refusal;
use super::refuse;
use crate::ident::RoleName;
use crate::policy::decide::{Show, Sight, Store, Treated};

/// How the analysis has to treat every mention of an attribute.
#[derive(Debug, Clone)]
pub(super) enum Treatment {
    /// stored plain and seen plain: as if the policy did not name it
    Free,
    /// stored plain, seen through this SQL expression over the column
    Masked,
    /// stored in a form, or shown in a form, that SQL cannot or must not compute (a key would show in EXPLAIN), or
    /// to be compared though masked: shown at the output, compared where allowed
    Held,
    /// not to be mentioned
    Denied(Refusal),
}

/// The treatment of an attribute for a role.
pub(super) fn treatment(treated: &Treated, role: &RoleName) -> Treatment {
    if let Some(why) = &treated.not_ready {
        return Treatment::Denied(refuse::not_ready(&treated.name, why));
    }
    let Sight { show, compare } = treated.sight(role);
    if *show == Show::Refuse {
        return Treatment::Denied(refuse::denied(&treated.name, "see", None));
    }
    match (&treated.store, show) {
        (Store::Plain, Show::Plain | Show::Stored) => Treatment::Free,
        (Store::Plain, _) if compare.is_empty() && masked_sql(treated, role, "x").is_some() => {
            Treatment::Masked
        }
        (Store::Plain | Store::Encrypt { .. } | Store::Tokenise(_), _) => Treatment::Held,
    }
}

/// The SQL form of what a role sees of an attribute stored plain; None when it has none.
pub(super) fn masked_sql(treated: &Treated, role: &RoleName, column: &str) -> Option<String> {
    match &treated.sight(role).show {
        Show::Mask(mask) => mask.sql(treated.logical, column),
        Show::Null | Show::Refuse => Some(format!("NULL::{}", treated.logical.sql())),
        Show::Plain | Show::Stored => Some(column.to_owned()),
        Show::Token(_) => None,
    }
}

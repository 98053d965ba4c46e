//! One rule against one attribute of the catalog: can it be so, and is it so?
//!
//! Each check returns what stands in the way; none knows of the others.

use super::{Hindrance, Obstacle};
use crate::catalog::{Attribute, Relation, RelationKind, Snapshot, Stored, Untreatable};
use crate::document::Position;
use crate::ident::{DomainId, DomainName, RoleName};
use crate::policy::decide::{Search, Show, Sight, Store};
use crate::policy::rule::Rule;
use crate::types::{Equality, LogicalType, TypeClass, has_normal_form, oid};

/// What the relation or the attribute is, against what the policy wants of it.
pub(super) fn unfit_kind(
    rule: &Rule,
    relation: &Relation,
    attribute: &Attribute,
) -> Vec<Hindrance> {
    let mut hindrances = Vec::new();
    let what = match relation.kind {
        RelationKind::Table | RelationKind::PartitionedTable => None,
        RelationKind::View => Some("a view"),
        RelationKind::MaterialisedView => Some("a materialised view"),
        RelationKind::ForeignTable => Some("a foreign table"),
        RelationKind::Other => Some("no table"),
    };
    if let Some(what) = what {
        let message = format!("{} is {what}", relation.name);
        let help = "a policy treats columns of tables; name the table behind it";
        hindrances.push(Hindrance::new(Obstacle::Unfit, rule.at, message, help));
    }
    if attribute.generated && rule.store != Store::Plain {
        let message =
            "a generated column is computed by the server and cannot be sealed or tokenised";
        hindrances.push(Hindrance::new(
            Obstacle::Unfit,
            rule.store_at,
            message,
            "drop the expression, or mask the column where it is shown",
        ));
    }
    hindrances
}

/// A type that is not treated.
pub(super) fn untreated_type(at: Position, why: &Untreatable) -> Hindrance {
    let help = match why {
        Untreatable::Unknown(_) => "policies/REFERENCE.md lists the types that are treated",
        Untreatable::Domain {
            promise: "NOT NULL",
            ..
        } => "ALTER TABLE … ALTER COLUMN … SET NOT NULL",
        Untreatable::Domain { .. } => {
            "ALTER TABLE … ALTER COLUMN … TYPE the domain's base type, and give the column its own default"
        }
        Untreatable::TooMany => "restart pgveil",
    };
    Hindrance::new(Obstacle::Unfit, at, why.to_string(), help)
}

/// What the type cannot do.
pub(super) fn unfit_type(rule: &Rule, logical: LogicalType) -> Vec<Hindrance> {
    let mut hindrances = Vec::new();
    let mut unfit = |at: Position, message: String, help: &str| {
        hindrances.push(Hindrance::new(Obstacle::Unfit, at, message, help));
    };
    match &rule.store {
        Store::Encrypt { search } if search.contains(&Search::Equal) => {
            if let Some(why) = no_equality(logical) {
                let message = format!("`equal` on {} {why}", logical.sql());
                unfit(rule.store_at, message, "write `search: []`");
            }
        }
        Store::Tokenise(format) => {
            if let Err(why) = format.fits(logical) {
                unfit(
                    rule.store_at,
                    why,
                    "choose a format that fits the type, or `encrypt`",
                );
            }
        }
        Store::Plain | Store::Encrypt { .. } => {}
    }
    let mut seen: Vec<&Show> = Vec::new();
    for (role, Sight { show, .. }) in &rule.sight {
        if seen.contains(&show) {
            continue;
        }
        seen.push(show);
        let at = show_at(rule, role);
        match show {
            Show::Mask(mask) => {
                if let Err(why) = mask.fits(logical) {
                    unfit(at, why, "choose a mask that fits the type, or `null`");
                }
            }
            Show::Token(format) => {
                if let Err(why) = format.fits(logical) {
                    unfit(
                        at,
                        why,
                        "choose a format that fits the type, or a mask, or `null`",
                    );
                }
            }
            Show::Plain | Show::Null | Show::Stored | Show::Refuse => {}
        }
    }
    hindrances
}

/// Sealed floats are printed with the shortest digits that read back, whatever a session that nobody tells of says.
pub(super) fn cut_float(
    rule: &Rule,
    logical: LogicalType,
    snapshot: &Snapshot,
) -> Option<Hindrance> {
    let element = match logical {
        LogicalType::Array(array) => array.element,
        other => other,
    };
    let is_sealed = matches!(rule.store, Store::Encrypt { .. });
    (snapshot.floats_are_cut && is_sealed && element.class() == TypeClass::Float).then(|| {
        Hindrance::new(
            Obstacle::Unfit,
            rule.store_at,
            "extra_float_digits is 0 or less for the server, the database or a role of it",
            "RESET it there: sealed floats are printed with the shortest digits",
        )
    })
}

/// A citext is equal by the server's `lower()`, and a term has to stay what it is for as long as values do: only where
/// `lower()` is of ASCII alone is it known to. A dump restored where it is not is so found here, and nothing is missed.
pub(super) fn folded_otherwise(
    rule: &Rule,
    logical: LogicalType,
    snapshot: &Snapshot,
) -> Option<Hindrance> {
    let class = logical.element_class().unwrap_or(logical.class());
    let compared =
        matches!(&rule.store, Store::Encrypt { search } if search.contains(&Search::Equal));
    (class == TypeClass::Citext && compared && !snapshot.lower_is_ascii).then(|| {
        Hindrance::new(
            Obstacle::Unfit,
            rule.store_at,
            "`equal` on citext needs a database whose LC_CTYPE is C: elsewhere lower() changes with the system",
            "write `search: []`",
        )
    })
}

/// Why values of the type cannot be compared where they are sealed.
fn no_equality(logical: LogicalType) -> Option<&'static str> {
    match logical.equality() {
        Equality::Identity => None,
        Equality::NeedsTerm if has_normal_form(logical) => None,
        Equality::NeedsTerm => Some("would be finer than PostgreSQL's equality"),
        Equality::None => Some("has no meaning: PostgreSQL has no equality for it"),
    }
}

fn show_at(rule: &Rule, role: &RoleName) -> Position {
    rule.show_at.get(role).copied().unwrap_or(rule.at)
}

/// How the values lie, against how the policy says.
pub(super) fn unlike_stored(rule: &Rule, attribute: &Attribute) -> Vec<Hindrance> {
    let hindrance = |obstacle, message: &str, help: &str| {
        vec![Hindrance::new(obstacle, rule.store_at, message, help)]
    };
    let apply_again = "run `pgveil revert` with the policy it was applied by, then `pgveil apply`";
    match (&rule.store, &attribute.stored) {
        (_, Stored::Altered { how }) => hindrance(
            Obstacle::Altered,
            how,
            "bring it back to what apply left, or restore the column",
        ),
        (Store::Plain, Stored::Plain | Stored::OnRecord { .. }) => Vec::new(),
        (Store::Plain, Stored::Sealed { .. } | Stored::Tokenised { .. }) => hindrance(
            Obstacle::NotReverted,
            "the policy stores it plain, the database holds it sealed or tokenised",
            "run `pgveil revert`, or write how it is stored",
        ),
        (Store::Encrypt { .. } | Store::Tokenise(_), Stored::Plain | Stored::OnRecord { .. }) => {
            hindrance(
                Obstacle::NotApplied,
                "the policy seals or tokenises it, the database holds it plain",
                "run `pgveil apply`",
            )
        }
        (store, Stored::Sealed { treatment, .. } | Stored::Tokenised { treatment, .. })
            if store.recorded().as_deref() != Some(treatment.as_str()) =>
        {
            let message = format!(
                "the policy says `{}`, apply left `{treatment}`",
                store.recorded().unwrap_or_default()
            );
            hindrance(Obstacle::AppliedOtherwise, &message, apply_again)
        }
        (Store::Encrypt { .. }, Stored::Sealed { .. }) => {
            if attribute.physical.oid != oid::BYTEA {
                let message = "it is sealed, and its physical type is no longer bytea";
                hindrance(Obstacle::Altered, message, "restore the column")
            } else if !attribute.has_prefix_check {
                let message = "the CHECK that keeps plain values out of it is missing";
                hindrance(Obstacle::Altered, message, apply_again)
            } else {
                Vec::new()
            }
        }
        (Store::Tokenise(_), Stored::Tokenised { .. }) => {
            if attribute.physical == attribute.logical {
                Vec::new()
            } else {
                let message = "it holds tokens, and its type was changed since";
                hindrance(Obstacle::Altered, message, apply_again)
            }
        }
        (Store::Encrypt { .. }, Stored::Tokenised { .. })
        | (Store::Tokenise(_), Stored::Sealed { .. }) => hindrance(
            Obstacle::AppliedOtherwise,
            "what apply left is of another kind than the policy says",
            apply_again,
        ),
    }
}

/// What was sealed under one domain's key must not be read or written under another's.
pub(super) fn unlike_domain(
    rule: &Rule,
    attribute: &Attribute,
    domain_id: &impl Fn(&DomainName) -> Option<DomainId>,
) -> Option<Hindrance> {
    let recorded = match &attribute.stored {
        Stored::Sealed { domain, .. } | Stored::Tokenised { domain, .. } => *domain,
        Stored::Plain | Stored::OnRecord { .. } | Stored::Altered { .. } => return None,
    };
    if rule.store == Store::Plain {
        return None;
    }
    let (message, help) = match domain_id(&rule.domain) {
        Some(id) if id == recorded => return None,
        Some(_) => (
            format!(
                "it was applied under another key domain than `{}`",
                rule.domain
            ),
            "name the domain it was applied under, or revert and apply",
        ),
        None => (
            format!("the keyring has no domain `{}`", rule.domain),
            "use the keyring it was applied with",
        ),
    };
    Some(Hindrance::new(
        Obstacle::AppliedOtherwise,
        rule.store_at,
        message,
        help,
    ))
}

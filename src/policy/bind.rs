//! A policy × a database's catalog → what the analysis decides by, and what stands in the way.
//!
//! Pure. What does not fit makes the attribute *not ready*: statements on it are refused, the rest goes on.
//! Which key domain has which number is asked of the caller; no key is seen here.

mod fit;

use std::collections::{BTreeMap, HashSet};

use self::fit::{
    cut_float, folded_otherwise, unfit_kind, unfit_type, unlike_domain, unlike_stored,
    untreated_type,
};
use super::decide::{Bound, Store, Treated};
use super::roles::Allow;
use super::rule::{Policy, Rule};
use crate::catalog::{Attribute, Relation, Snapshot, Stored};
use crate::document::{Fault, Position, nearest};
use crate::ident::{AttributeName, DomainId, DomainName, KeyVersion};
use crate::types::{ArrayType, Equality, LogicalType, TypeClass};

/// What stands between an attribute and its policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Obstacle {
    /// The table or the column is not there.
    Missing,
    /// The policy seals or tokenises what the database holds plain: `apply` has work.
    NotApplied,
    /// The database holds sealed or tokenised what the policy stores plain or does not name: `revert` has work.
    NotReverted,
    /// It was applied by another policy: other search words, another format, another domain.
    AppliedOtherwise,
    /// Another hand changed it since it was applied: its type, its name, its CHECK.
    Altered,
    /// It is on record under a name that the policy treats on reading, and is called otherwise now.
    Renamed,
    /// The policy asks of the column what its type or kind cannot do.
    Unfit,
}

/// An attribute that is not as the policy says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindFault {
    /// which
    pub attribute: AttributeName,
    /// what stands in the way
    pub obstacle: Obstacle,
    /// the same for a person, with the place in the policy; line 0 for what the policy does not name
    pub fault: Fault,
}

/// Binds a policy to a catalog. `version` is the [`Bound`]'s; `domain_id` gives a domain's number in the keyring,
/// None when the keyring has no such domain.
///
/// An attribute whose table or column is missing is in the faults only. All others are bound, with `not_ready`
/// where a fault stands.
pub fn bind(
    policy: &Policy,
    snapshot: &Snapshot,
    version: u64,
    domain_id: impl Fn(&DomainName) -> Option<DomainId>,
) -> (Bound, Vec<BindFault>) {
    let mut binder = Binder {
        policy,
        snapshot,
        treated: Vec::new(),
        faults: Vec::new(),
        classes: BTreeMap::new(),
        versions: BTreeMap::new(),
    };
    for rule in policy.rules() {
        binder.rule(rule, &domain_id);
    }
    binder.unnamed();
    let bound = Bound::new(
        version,
        binder.treated,
        policy.trusted_functions().clone(),
        policy.roles_allowed(Allow::DoBlocks),
    );
    let missing = binder
        .faults
        .iter()
        .filter(|f| f.obstacle == Obstacle::Missing);
    let bound = bound.with_missing(missing.map(|f| f.attribute.clone()));
    (bound, binder.faults)
}

struct Binder<'a> {
    policy: &'a Policy,
    snapshot: &'a Snapshot,
    treated: Vec<Treated>,
    faults: Vec<BindFault>,
    /// the canonical form of each named domain, and who brought it
    classes: BTreeMap<&'a DomainName, (Form, &'a AttributeName)>,
    /// the key version of each named domain that can be compared, and who brought it
    versions: BTreeMap<&'a DomainName, (KeyVersion, &'a AttributeName)>,
}

/// What the values of one domain must have in common to be equal bytes when they are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Form {
    class: TypeClass,
    /// a numeric's canonical form has the digits of its scale, in an array too
    scale: Option<i16>,
    /// whether equality lies in the canonical form or in a term
    equality: Equality,
    /// enums are equal only within their type, arrays within that of their elements
    element: Option<u32>,
    /// some tokens depend on the width of the type
    token_of: Option<LogicalType>,
}

impl Form {
    fn of(logical: LogicalType, store: &Store) -> Self {
        let scale = match logical {
            LogicalType::Numeric { scale, .. } => Some(scale),
            // The server compares arrays of any two scales.
            LogicalType::Array(ArrayType {
                element: LogicalType::Numeric { scale, .. },
                ..
            }) => Some(*scale),
            _ => None,
        };
        let element = match logical {
            LogicalType::Enum(named) => Some(named.oid),
            LogicalType::Array(array) => Some(array.element_oid),
            _ => None,
        };
        Self {
            class: logical.class(),
            scale,
            equality: logical.equality(),
            element,
            token_of: matches!(store, Store::Tokenise(format) if format.depends_on_width())
                .then_some(logical),
        }
    }
}

/// One thing in the way of one attribute.
struct Hindrance {
    obstacle: Obstacle,
    at: Position,
    message: String,
    help: Option<String>,
}

impl Hindrance {
    fn new(obstacle: Obstacle, at: Position, message: impl Into<String>, help: &str) -> Self {
        Self {
            obstacle,
            at,
            message: message.into(),
            help: (!help.is_empty()).then(|| help.to_owned()),
        }
    }
}

impl<'a> Binder<'a> {
    fn rule(&mut self, rule: &'a Rule, domain_id: &impl Fn(&DomainName) -> Option<DomainId>) {
        let found = match find(rule, self.snapshot) {
            Ok(found) => found,
            Err(hindrance) => {
                self.note(&rule.name, hindrance);
                return;
            }
        };
        let (relation, attribute) = found;
        let mut hindrances = unfit_kind(rule, relation, attribute);
        let logical = self.snapshot.logical_type(attribute);
        match &logical {
            Err(why) => hindrances.push(untreated_type(rule.at, why)),
            Ok(logical) => {
                let logical = *logical;
                hindrances.extend(unfit_type(rule, logical));
                hindrances.extend(cut_float(rule, logical, self.snapshot));
                hindrances.extend(folded_otherwise(rule, logical, self.snapshot));
                hindrances.extend(self.unfit_class(rule, logical));
            }
        }
        hindrances.extend(unlike_stored(rule, attribute));
        hindrances.extend(unlike_domain(rule, attribute, domain_id));
        hindrances.extend(self.unlike_version(rule, attribute));
        self.treated.push(Treated {
            name: rule.name.clone(),
            relation_oid: relation.oid,
            attnum: attribute.attnum,
            // A type that is not treated has a hindrance: nothing is ever read or written as this stand-in.
            logical: logical.unwrap_or(LogicalType::Text),
            store: rule.store.clone(),
            domain: rule.domain.clone(),
            domain_is_own: !rule.domain_is_named,
            not_ready: hindrances.first().map(|h| h.message.clone()),
            sight: rule.sight.clone(),
        });
        for hindrance in hindrances {
            self.note(&rule.name, hindrance);
        }
    }

    fn note(&mut self, attribute: &AttributeName, hindrance: Hindrance) {
        let message = format!("{attribute}: {}", hindrance.message);
        let mut fault = self.policy.fault(hindrance.at, message);
        fault.help = hindrance.help;
        self.faults.push(BindFault {
            attribute: attribute.clone(),
            obstacle: hindrance.obstacle,
            fault,
        });
    }

    /// Attributes of one named domain have one canonical form, else equal values were not equal bytes.
    fn unfit_class(&mut self, rule: &'a Rule, logical: LogicalType) -> Option<Hindrance> {
        if !rule.domain_is_named {
            return None;
        }
        let mine = (Form::of(logical, &rule.store), &rule.name);
        let (form, other) = *self.classes.entry(&rule.domain).or_insert(mine);
        (form != mine.0).then(|| {
            let message = format!(
                "in the domain `{}`, {other} has another kind of type",
                rule.domain
            );
            let help =
                "columns of one domain have one kind of type: text and varchar, int4 and int8, numerics of one scale, …";
            Hindrance::new(Obstacle::Unfit, rule.at, message, help)
        })
    }

    /// Attributes that are compared with each other hold one key version, else equal values were not equal bytes.
    fn unlike_version(&mut self, rule: &'a Rule, attribute: &Attribute) -> Option<Hindrance> {
        let version = match (&rule.store, &attribute.stored) {
            (Store::Encrypt { search }, Stored::Sealed { version, .. }) if !search.is_empty() => {
                *version
            }
            (Store::Tokenise(_), Stored::Tokenised { version, .. }) => *version,
            _ => return None,
        };
        if !rule.domain_is_named {
            return None;
        }
        let (first, other) = *self
            .versions
            .entry(&rule.domain)
            .or_insert((version, &rule.name));
        (first != version).then(|| {
            let message = format!("{other} of its domain holds another key version");
            let help = "run `pgveil revert`, then `pgveil apply`";
            Hindrance::new(Obstacle::AppliedOtherwise, rule.store_at, message, help)
        })
    }

    /// Whether a table that the policy does not name could be one that it names, under another name: one of the
    /// policy's is not there, and apply has been at this one. Then what the policy only masks has to stay masked.
    fn may_have_moved(&self, relation: &Relation) -> bool {
        let rules = self.policy.rules();
        let is_named = rules.iter().any(|rule| rule.name.relation == relation.name);
        let one_is_missing = || {
            rules
                .iter()
                .any(|rule| self.snapshot.relation(&rule.name.relation).is_none())
        };
        !is_named && relation.attributes.iter().any(|a| !a.stored.is_plain()) && one_is_missing()
    }

    /// What apply left in the database and the policy does not name: nobody may touch it, for what is written
    /// there would lie plain, or as a value in place of a token.
    fn unnamed(&mut self) {
        let policy = self.policy;
        let named: HashSet<&AttributeName> = policy.rules().iter().map(|rule| &rule.name).collect();
        for relation in self.snapshot.relations() {
            let moved = self.may_have_moved(relation);
            for attribute in &relation.attributes {
                let name = AttributeName::new(relation.name.clone(), attribute.name.clone());
                let Some((obstacle, message, help)) = stray(attribute, moved, &named) else {
                    continue;
                };
                if named.contains(&name) {
                    continue;
                }
                let logical = self.snapshot.logical_type(attribute);
                self.treated.push(Treated {
                    domain: DomainName::new(name.to_string()),
                    name: name.clone(),
                    relation_oid: relation.oid,
                    attnum: attribute.attnum,
                    logical: logical.unwrap_or(LogicalType::Text),
                    store: Store::Plain,
                    domain_is_own: true,
                    not_ready: Some(message.clone()),
                    sight: BTreeMap::new(),
                });
                let hindrance = Hindrance::new(obstacle, Position::default(), message, help);
                self.note(&name, hindrance);
            }
        }
    }
}

/// What is said of an attribute that the policy does not name; None where there is nothing to say. `moved`: its table
/// may be one of the policy's.
fn stray(
    attribute: &Attribute,
    moved: bool,
    named: &HashSet<&AttributeName>,
) -> Option<(Obstacle, String, &'static str)> {
    let reverted =
        "name it in the policy, or run `pgveil revert` with the policy it was applied by";
    match &attribute.stored {
        Stored::OnRecord { name } if named.contains(name) => Some((
            Obstacle::Renamed,
            format!("it is on record as {name}, which the policy treats, and was renamed since"),
            "name it in the policy as it is called now, or take its row out of pgveil.attribute",
        )),
        Stored::Plain | Stored::OnRecord { .. } => moved.then(|| {
            let message = "a table of the policy is missing, and this one may be it";
            (Obstacle::NotReverted, message.to_owned(), reverted)
        }),
        Stored::Sealed { .. } | Stored::Tokenised { .. } | Stored::Altered { .. } => Some((
            Obstacle::NotReverted,
            "the database holds it sealed or tokenised, and the policy does not name it".to_owned(),
            reverted,
        )),
    }
}

fn find<'s>(
    rule: &Rule,
    snapshot: &'s Snapshot,
) -> Result<(&'s Relation, &'s Attribute), Hindrance> {
    let name = &rule.name;
    let missing = |message: String, near: Option<String>| Hindrance {
        obstacle: Obstacle::Missing,
        at: rule.at,
        message,
        help: near.map(|near| format!("did you mean `{near}`?")),
    };
    let Some(relation) = snapshot.relation(&name.relation) else {
        let all: Vec<String> = snapshot
            .relations()
            .iter()
            .map(|r| r.name.to_string())
            .collect();
        let near = nearest(&name.relation.to_string(), all.iter().map(String::as_str));
        let message = format!("the database has no table {}", name.relation);
        return Err(missing(message, near.map(str::to_owned)));
    };
    let Some(attribute) = relation.attribute(&name.attribute) else {
        let all = relation.attributes.iter().map(|a| a.name.as_str());
        let near = nearest(&name.attribute, all);
        let message = format!("the table has no column `{}`", name.attribute);
        return Err(missing(message, near.map(str::to_owned)));
    };
    Ok((relation, attribute))
}

#[cfg(test)]
mod tests;

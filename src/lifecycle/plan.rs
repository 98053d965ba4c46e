//! What lies between a database and its policy: for each table the changes that `apply` would make.
//!
//! Pure: it holds a bound policy against a catalog snapshot. It changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::hindrance::Hindrance;
use crate::catalog::{Attribute, RelationKind, Snapshot, Stored, TypeRef};
use crate::ident::{AttributeName, DomainId, DomainName, RelationName};
use crate::policy::bind::{BindFault, Obstacle};
use crate::policy::decide::{Bound, Store, Treated};
use crate::policy::trust::TrustedFunctions;

/// What happens to one attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// its plain values are sealed, its type becomes bytea
    Seal,
    /// its plain values become tokens, its type stays
    Tokenise,
    /// it is sealed, and the CHECK on the prefix of its values is missing
    AddCheck {
        /// the domain whose prefix the CHECK is on
        domain: DomainId,
    },
}

/// One attribute to change.
#[derive(Debug, Clone)]
pub struct Change {
    /// the attribute as the policy treats it
    pub treated: Arc<Treated>,
    /// what happens to it
    pub kind: ChangeKind,
    /// the type it was declared with, a domain where it is one
    pub declared: TypeRef,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.kind {
            ChangeKind::Seal => "seal",
            ChangeKind::Tokenise => "tokenise",
            ChangeKind::AddCheck { .. } => "add the CHECK on the prefix of",
        };
        write!(f, "{verb} {}", self.treated.name)?;
        if let Some(words) = self.treated.store.recorded() {
            write!(f, " ({words}; domain {})", self.treated.domain)?;
        }
        Ok(())
    }
}

/// One table's changes.
#[derive(Debug, Clone)]
pub struct TableWork {
    /// `pg_class.oid`
    pub oid: u32,
    /// schema and name
    pub name: RelationName,
    /// the changes, in order of attribute number
    pub changes: Vec<Change>,
    /// functions the policy vouches for: `(schema, name)`
    pub trusted: TrustedFunctions,
}

/// An attribute stored plain that the policy treats on reading, and that is not on record under its name.
#[derive(Debug, Clone)]
pub struct Entry {
    /// the attribute as the policy treats it
    pub treated: Arc<Treated>,
    /// the type it has
    pub declared: TypeRef,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {}", self.treated.name)?;
        f.write_str(" (treated on reading; to be known again when it is renamed)")
    }
}

/// What `apply` would do to one database.
#[derive(Debug, Clone, Default)]
pub struct Work {
    /// the tables to change, by name
    pub tables: Vec<TableWork>,
    /// what is to be put on record without any change of the table, by name
    pub entries: Vec<Entry>,
    /// the treated attributes that the keyring has no key or number for yet
    pub keys: BTreeSet<AttributeName>,
    /// what the policy wants and this version has no way to: known without asking the database
    pub hindrances: BTreeSet<Hindrance>,
}

impl Work {
    /// Whether the database is as its policy wants it.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
            && self.entries.is_empty()
            && self.keys.is_empty()
            && self.hindrances.is_empty()
    }
}

/// Holds the bound policy against the snapshot it was bound to. What of `faults` no change of ours mends is a
/// hindrance.
///
/// `domain_id` answers the number of a domain that the keyring has already. Which keys are to be made is for who
/// has the keyring: [`Work::keys`] stays empty here.
pub fn work(
    snapshot: &Snapshot,
    bound: &Bound,
    faults: &[BindFault],
    domain_id: impl Fn(&DomainName) -> Option<DomainId>,
) -> Work {
    let mut work = Work::default();
    let unfit = unfit(faults, &mut work.hindrances);
    let mut tables: BTreeMap<RelationName, TableWork> = BTreeMap::new();
    for treated in bound
        .treated()
        .filter(|treated| !unfit.contains(&treated.name))
    {
        let Some(relation) = snapshot.relation_by_oid(treated.relation_oid) else {
            continue; // bound to another snapshot: the next one settles it
        };
        let Some(attribute) = relation
            .attributes
            .iter()
            .find(|attribute| attribute.attnum == treated.attnum)
        else {
            continue;
        };
        match need(attribute, treated, domain_id(&treated.domain)) {
            Ok(None) if treated.store != Store::Plain || is_on_record(attribute, treated) => {}
            Ok(None) => work.entries.push(Entry {
                treated: Arc::clone(treated),
                declared: attribute.physical,
            }),
            Ok(Some(_)) if relation.kind != RelationKind::Table => {
                work.hindrances.insert(hindrance(
                    treated,
                    "kind",
                    "only an ordinary table's own columns can be sealed or tokenised",
                ));
            }
            Ok(Some(kind)) => tables
                .entry(relation.name.clone())
                .or_insert_with(|| TableWork {
                    oid: relation.oid,
                    name: relation.name.clone(),
                    changes: Vec::new(),
                    trusted: bound.trusted_functions.clone(),
                })
                .changes
                .push(Change {
                    treated: Arc::clone(treated),
                    kind,
                    declared: attribute.logical,
                }),
            Err(what) => {
                work.hindrances.insert(hindrance(treated, "stored", &what));
            }
        }
    }
    work.entries
        .sort_by(|a, b| a.treated.name.cmp(&b.treated.name));
    work.tables = tables.into_values().collect();
    for table in &mut work.tables {
        table.changes.sort_by_key(|change| change.treated.attnum);
    }
    work
}

/// The attributes that no change of ours brings to their policy, each put among the hindrances.
fn unfit<'a>(
    faults: &'a [BindFault],
    hindrances: &mut BTreeSet<Hindrance>,
) -> BTreeSet<&'a AttributeName> {
    let mut unfit = BTreeSet::new();
    for fault in faults {
        match fault.obstacle {
            Obstacle::NotApplied | Obstacle::Altered => continue, // the attribute itself is looked at
            Obstacle::Missing
            | Obstacle::NotReverted
            | Obstacle::AppliedOtherwise
            | Obstacle::Renamed
            | Obstacle::Unfit => {}
        }
        unfit.insert(&fault.attribute);
        hindrances.insert(Hindrance {
            on: fault.attribute.to_string(),
            kind: "policy",
            what: fault.fault.to_string(),
        });
    }
    unfit
}

fn is_on_record(attribute: &Attribute, treated: &Treated) -> bool {
    matches!(&attribute.stored, Stored::OnRecord { name } if *name == treated.name)
}

fn hindrance(treated: &Treated, kind: &'static str, what: &str) -> Hindrance {
    Hindrance {
        on: treated.name.to_string(),
        kind,
        what: what.to_owned(),
    }
}

/// What one attribute needs: nothing, a change, or something this version cannot do.
fn need(
    attribute: &Attribute,
    treated: &Treated,
    domain: Option<DomainId>,
) -> Result<Option<ChangeKind>, String> {
    let wanted = treated.store.recorded();
    match (&attribute.stored, &treated.store) {
        (Stored::Plain | Stored::OnRecord { .. }, store) => Ok(match store {
            Store::Plain => None,
            Store::Encrypt { .. } => Some(ChangeKind::Seal),
            Store::Tokenise(_) => Some(ChangeKind::Tokenise),
        }),
        (Stored::Altered { how }, _) => Err(format!("{how}; bring it back to what apply left")),
        (
            Stored::Sealed {
                domain: now,
                treatment,
                ..
            }
            | Stored::Tokenised {
                domain: now,
                treatment,
                ..
            },
            _,
        ) => {
            if wanted.as_deref() != Some(treatment) {
                return Err(format!(
                    "it is stored as `{treatment}` and the policy wants `{}`; this version changes plain columns only",
                    wanted.as_deref().unwrap_or("plain")
                ));
            }
            if domain != Some(*now) {
                return Err(format!(
                    "it is stored under domain number {}, which is not what the keyring has for domain {}",
                    now.0, treated.domain
                ));
            }
            let sealed = matches!(attribute.stored, Stored::Sealed { .. });
            Ok((sealed && !attribute.has_prefix_check)
                .then_some(ChangeKind::AddCheck { domain: *now }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Relation, TypeRef};
    use crate::ident::{DomainName, KeyVersion};
    use crate::policy::decide::Search;
    use crate::types::LogicalType;

    fn attribute(stored: Stored, has_prefix_check: bool) -> Attribute {
        let text = TypeRef {
            oid: 25,
            typmod: -1,
        };
        Attribute {
            name: "email".to_owned(),
            attnum: 2,
            logical: text,
            physical: text,
            not_null: false,
            stored,
            has_prefix_check,
            generated: false,
        }
    }

    fn sealed(treatment: &str, domain: u32) -> Stored {
        Stored::Sealed {
            domain: DomainId(domain),
            version: KeyVersion(1),
            treatment: treatment.to_owned(),
        }
    }

    fn against(stored: Stored, has_prefix_check: bool, kind: RelationKind) -> Work {
        let name = RelationName::new("public", "contacts");
        let snapshot = Snapshot::new(
            1,
            vec![Relation {
                oid: 7,
                name: name.clone(),
                kind,
                attributes: vec![attribute(stored, has_prefix_check)],
                primary_key: Vec::new(),
                reaches: Vec::new(),
                calls: Vec::new(),
            }],
            Vec::new(),
        );
        let treated = Treated {
            name: AttributeName::new(name, "email"),
            relation_oid: 7,
            attnum: 2,
            logical: LogicalType::Text,
            store: Store::Encrypt {
                search: BTreeSet::from([Search::Equal]),
            },
            domain: DomainName::new("d"),
            domain_is_own: false,
            not_ready: None,
            sight: BTreeMap::new(),
        };
        let bound = Bound::new(
            1,
            vec![treated],
            TrustedFunctions::default(),
            BTreeSet::new(),
        );
        work(&snapshot, &bound, &[], |_| Some(DomainId(4)))
    }

    #[test]
    fn a_plain_column_is_to_be_sealed() {
        let work = against(Stored::Plain, false, RelationKind::Table);
        assert_eq!(work.tables[0].changes[0].kind, ChangeKind::Seal);
        assert!(work.hindrances.is_empty());
    }

    #[test]
    fn what_apply_left_needs_nothing() {
        assert!(against(sealed("encrypt equal", 4), true, RelationKind::Table).is_empty());
    }

    #[test]
    fn a_missing_check_is_added() {
        let work = against(sealed("encrypt equal", 4), false, RelationKind::Table);
        assert_eq!(
            work.tables[0].changes[0].kind,
            ChangeKind::AddCheck {
                domain: DomainId(4)
            }
        );
    }

    #[test]
    fn what_cannot_be_done_is_named() {
        let altered = Stored::Altered {
            how: "renamed".to_owned(),
        };
        for (stored, kind) in [
            (sealed("encrypt", 4), RelationKind::Table),
            (sealed("encrypt equal", 5), RelationKind::Table),
            (altered, RelationKind::Table),
            (Stored::Plain, RelationKind::View),
            (Stored::Plain, RelationKind::PartitionedTable),
        ] {
            let work = against(stored, true, kind);
            assert!(work.tables.is_empty());
            assert_eq!(work.hindrances.len(), 1);
        }
    }
}

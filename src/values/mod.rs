//! Values between client and server: what a plan's slots and parameters become, and what result columns become.
//!
//! A [`Vault`] holds the keys of one bound policy, scheduled once. [`Vault::fill`] and [`Vault::fill_parameter`] turn
//! what a client sent into what lies in the database; [`Vault::show`] turns what lies there into what a role gets.
//! Only this module turns a plan into [`Ready`], the text that may go upstream.
//!
//! Knows keys, plans and types. Knows nothing of roles (a plan says what is shown), of frames or of connections.
//!
//! **Invariant:** what is assigned has gone through [`types::coerce`](crate::types::coerce) for the attribute's type
//! modifier; what is compared has not. So `c = 1.234` on a `numeric(10,2)` seals 1.234, which no row holds, and gives
//! what PostgreSQL gives; the same holds for texts longer than their `varchar(n)`, integers beyond int4, and
//! timestamps finer than their precision.
//!
//! **Invariant:** a compared value that has no token equals no stored token, and is sent as what is nobody's token (the
//! empty text, the lowest integer, the date -infinity): the comparison runs and finds nothing, and the value itself
//! does not reach the server.

mod fault;
mod fill;
mod keys;
mod read;
mod ready;
mod show;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

pub use fault::{FillFault, KeyFault, ShowFault};
pub use fill::{Given, parameter_format, parameter_oid};
pub use keys::{AttributeKeys, StoreFault, StoredValue};
pub use read::list_type;
pub use ready::Ready;
pub use show::{Formats, shown_type};

use crate::catalog::{Snapshot, Stored};
use crate::ident::AttributeName;
use crate::keyring::Keyring;
use crate::policy::decide::{Bound, Treated};

/// The keys of one bound policy. Built when policy, catalog or keyring change; shared by the sessions.
pub struct Vault {
    version: u64,
    entries: HashMap<(u32, i16), Entry, foldhash::fast::RandomState>,
}

/// One treated attribute and its keys, or why they cannot be used.
struct Entry {
    treated: Arc<Treated>,
    keys: Result<AttributeKeys, KeyFault>,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault")
            .field("version", &self.version)
            .field("attributes", &self.entries.len())
            .finish_non_exhaustive()
    }
}

impl Vault {
    /// Schedules the keys of every treated attribute.
    ///
    /// An attribute whose keys are missing, or that the database records under another domain's number than the
    /// keyring does, has none: [`Vault::faults`] names it, and every value of it is refused.
    pub fn new(keyring: &Keyring, bound: &Bound, snapshot: &Snapshot) -> Self {
        let entries = bound
            .treated()
            .map(|treated| {
                let keys = recorded(snapshot, treated)
                    .and_then(|stored| AttributeKeys::recorded(keyring, treated, stored));
                let treated = Arc::clone(treated);
                let place = (treated.relation_oid, treated.attnum);
                (place, Entry { treated, keys })
            })
            .collect();
        Self {
            version: bound.version,
            entries,
        }
    }

    /// The version of the bound policy it was built for.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The attributes whose keys cannot be used, and why; those that `apply` has not treated yet are among them.
    pub fn faults(&self) -> impl Iterator<Item = (&AttributeName, &KeyFault)> {
        self.entries
            .values()
            .filter_map(|entry| Some((&entry.treated.name, entry.keys.as_ref().err()?)))
    }

    /// The keys of an attribute as a plan has it.
    fn keys(&self, planned: &Arc<Treated>) -> Result<&AttributeKeys, KeyFault> {
        let entry = self
            .entries
            .get(&(planned.relation_oid, planned.attnum))
            .ok_or(KeyFault::OtherPolicy)?;
        // A plan of an earlier policy or catalog is good here only if it says the same of the attribute.
        if !Arc::ptr_eq(&entry.treated, planned) && !is_same_but_cast(&entry.treated, planned) {
            return Err(KeyFault::OtherPolicy);
        }
        entry.keys.as_ref().map_err(Clone::clone)
    }
}

/// Whether a plan's attribute is the bound one, cast at most to another type of its class (whose canonical form is
/// the same).
fn is_same_but_cast(bound: &Treated, planned: &Treated) -> bool {
    let Treated {
        name,
        relation_oid,
        attnum,
        logical,
        store,
        domain,
        domain_is_own,
        not_ready,
        sight,
    } = planned;
    bound.logical.class() == logical.class()
        && (bound.relation_oid, bound.attnum) == (*relation_oid, *attnum)
        && bound.domain_is_own == *domain_is_own
        && bound.name == *name
        && bound.store == *store
        && bound.domain == *domain
        && bound.not_ready == *not_ready
        && bound.sight == *sight
}

/// What `apply` recorded of an attribute.
fn recorded<'s>(snapshot: &'s Snapshot, treated: &Treated) -> Result<&'s Stored, KeyFault> {
    snapshot
        .relation_by_oid(treated.relation_oid)
        .and_then(|relation| {
            let mut attributes = relation.attributes.iter();
            attributes.find(|attribute| attribute.attnum == treated.attnum)
        })
        .map(|attribute| &attribute.stored)
        .ok_or(KeyFault::NotApplied)
}

#[cfg(test)]
mod tests;

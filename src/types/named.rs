//! Types that only a database knows: enums and citext by name and OID, arrays by their element.
//!
//! A description lives as long as the process, so that a [`LogicalType`] stays a small copy on the way of every
//! value. Equal descriptions are one: only a type that is created or altered in a database adds to them.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::{LazyLock, Mutex, PoisonError};

use super::{LogicalType, ValueFault};
use crate::ident::SqlState;
use crate::limits::TYPE_DESCRIPTIONS_MAX;

/// An enum, or citext.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct NamedType {
    /// `pg_type.oid`
    pub oid: u32,
    /// the OID of its array type
    pub array_oid: u32,
    /// schema and name as SQL, quoted where they must be
    pub sql: String,
    /// an enum's labels, in their order; none of citext
    pub labels: Vec<String>,
}

/// An array type.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ArrayType {
    /// `pg_type.oid`
    pub oid: u32,
    /// the OID of the element's type, a domain's own where it is one
    pub element_oid: u32,
    /// what an element is; no array
    pub element: LogicalType,
}

static NAMED: LazyLock<Mutex<HashSet<&'static NamedType>>> = LazyLock::new(Mutex::default);
static ARRAYS: LazyLock<Mutex<HashSet<&'static ArrayType>>> = LazyLock::new(Mutex::default);

impl NamedType {
    /// Keeps the description; None when there are more than [`TYPE_DESCRIPTIONS_MAX`].
    pub fn keep(self) -> Option<&'static Self> {
        keep(&NAMED, self)
    }

    /// The enum's own label of that text (enum.c, enum_in).
    ///
    /// # Errors
    /// 22P02 for a text that is none.
    pub(super) fn label(&self, text: &str) -> Result<&str, ValueFault> {
        let label = self.labels.iter().find(|label| *label == text);
        label.map(String::as_str).ok_or_else(|| {
            ValueFault::new(
                SqlState::INVALID_TEXT_REPRESENTATION,
                format!("invalid input value for enum {}", self.sql),
            )
        })
    }

    /// A stored label as it is shown.
    ///
    /// # Errors
    /// 55000 when the enum has no such label any more: it was renamed after the value was stored.
    pub(super) fn stored(&self, canonical: &[u8]) -> Result<Vec<u8>, ValueFault> {
        if self
            .labels
            .iter()
            .any(|label| label.as_bytes() == canonical)
        {
            return Ok(canonical.to_vec());
        }
        Err(ValueFault::new(
            SqlState::NOT_IN_PREREQUISITE_STATE,
            format!("a stored value is no label of {} any more", self.sql),
        ))
    }
}

impl ArrayType {
    /// Keeps the description; None when there are more than [`TYPE_DESCRIPTIONS_MAX`].
    pub fn keep(self) -> Option<&'static Self> {
        keep(&ARRAYS, self)
    }
}

fn keep<T: Eq + Hash>(all: &Mutex<HashSet<&'static T>>, one: T) -> Option<&'static T> {
    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(kept) = all.get(&one) {
        return Some(*kept);
    }
    if all.len() >= TYPE_DESCRIPTIONS_MAX {
        return None;
    }
    let kept: &'static T = Box::leak(Box::new(one));
    all.insert(kept);
    Some(kept)
}

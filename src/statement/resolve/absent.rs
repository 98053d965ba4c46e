//! Clauses of other dialects that sqlparser's structs carry: each must be absent.

use crate::statement::plan::Refusal;
use crate::statement::refuse;

/// What it means for a clause not to be there.
pub(super) trait Absent {
    /// Whether the clause is not there.
    fn is_absent(&self) -> bool;
}

impl Absent for bool {
    fn is_absent(&self) -> bool {
        !self
    }
}

impl<T> Absent for Option<T> {
    fn is_absent(&self) -> bool {
        self.is_none()
    }
}

impl<T> Absent for Vec<T> {
    fn is_absent(&self) -> bool {
        self.is_empty()
    }
}

/// Refuses unless every clause is absent.
///
/// # Errors
/// 0A000 naming the first clause that is there.
pub(super) fn absent(clauses: &[(&'static str, &dyn Absent)]) -> Result<(), Refusal> {
    match clauses.iter().find(|(_, clause)| !clause.is_absent()) {
        Some((name, _)) => Err(refuse::unsupported(*name, None)),
        None => Ok(()),
    }
}

//! The functions that a DBA vouches for.

use std::collections::BTreeSet;

/// Functions whose bodies neither show nor change a treated attribute in a way the policy would not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedFunctions {
    /// schema and name
    names: BTreeSet<(String, String)>,
    /// schemas all of whose functions are
    schemas: BTreeSet<String>,
}

impl TrustedFunctions {
    /// Trusts the functions of a name.
    pub(super) fn trust(&mut self, schema: String, name: String) {
        self.names.insert((schema, name));
    }

    /// Trusts all functions of a schema.
    pub(super) fn trust_schema(&mut self, schema: String) {
        self.schemas.insert(schema);
    }

    /// Whether a function is among them.
    pub fn trusts(&self, schema: &str, name: &str) -> bool {
        self.schemas.contains(schema) || self.names.contains(&(schema.to_owned(), name.to_owned()))
    }
}

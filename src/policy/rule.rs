//! The validated policy: roles in order, and one rule for each treated attribute.
//!
//! Made by [`mod@super::load`] only. Knows no catalog: what is named here may not exist in a database.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::decide::{Sight, Store};

use super::roles::{Allow, Caller, Role};
use super::trust::TrustedFunctions;
use crate::document::{Fault, Position};
use crate::ident::{AttributeName, DomainName, RoleName};

/// A policy without a fault of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    file: Arc<str>,
    roles: Vec<Role>,
    trusted_functions: TrustedFunctions,
    rules: Vec<Rule>,
}

/// What the policy says of one attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// schema, table, column
    pub name: AttributeName,
    /// where the column stands in the file
    pub at: Position,
    /// where `store` stands, or the column when it is left out
    pub store_at: Position,
    /// where each role's `show` stands
    pub show_at: BTreeMap<RoleName, Position>,
    /// how its values lie in the database
    pub store: Store,
    /// its key domain
    pub domain: DomainName,
    /// whether the policy named the domain (else it is the attribute's own)
    pub domain_is_named: bool,
    /// what each role gets: every role of the policy is there
    pub sight: BTreeMap<RoleName, Sight>,
}

impl Policy {
    pub(super) fn new(
        file: Arc<str>,
        roles: Vec<Role>,
        trusted_functions: TrustedFunctions,
        rules: Vec<Rule>,
    ) -> Self {
        Self {
            file,
            roles,
            trusted_functions,
            rules,
        }
    }

    /// The file it came from, as it was named.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The roles, in the order they are tried.
    pub fn roles(&self) -> &[Role] {
        &self.roles
    }

    /// The role of that name.
    pub fn role(&self, name: &RoleName) -> Option<&Role> {
        self.roles.iter().find(|role| role.name() == name)
    }

    /// The first role that a login matches; None: the login is refused (28000).
    pub fn role_for(&self, caller: Caller<'_>) -> Option<&Role> {
        self.roles.iter().find(|role| role.matches(caller))
    }

    /// One rule for each treated attribute, in the order of the file.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The functions a DBA vouches for, schema and name.
    pub fn trusted_functions(&self) -> &TrustedFunctions {
        &self.trusted_functions
    }

    /// The domains whose keys sealing or tokens need, each once.
    pub fn key_domains(&self) -> BTreeSet<&DomainName> {
        self.rules
            .iter()
            .filter(|rule| rule.needs_key())
            .map(|rule| &rule.domain)
            .collect()
    }

    /// The roles that may do that.
    pub fn roles_allowed(&self, what: Allow) -> BTreeSet<RoleName> {
        self.roles
            .iter()
            .filter(|role| role.allows(what))
            .map(|role| role.name().clone())
            .collect()
    }

    /// A fault at a place of this policy's file.
    pub(super) fn fault(&self, at: Position, message: impl Into<String>) -> Fault {
        Fault {
            file: self.file.clone(),
            line: at.line,
            column: at.column,
            message: message.into(),
            help: None,
        }
    }
}

impl Rule {
    /// Whether its values lie otherwise than as the client sent them, or a token of them is shown.
    pub fn needs_key(&self) -> bool {
        self.store != Store::Plain || self.sight.values().any(Sight::needs_key)
    }
}

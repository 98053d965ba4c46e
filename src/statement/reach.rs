//! The fast path: could this text reach a treated attribute at all?
//!
//! One set of names for each role, computed when policy or catalog change: relations that are treated or
//! lead to one that is, functions whose body names one, and functions and views that reach everything. A
//! text in which none of them stands as a word is not parsed.

use std::collections::HashSet;

use super::lex::{Token, TokenKind};
use crate::catalog::indirect::{QUERY_TEXT, STORED, STORED_VALUES};
use crate::catalog::{Function, Snapshot};
use crate::ident::RoleName;
use crate::policy::decide::{Bound, Show, Store, Treated};

/// What a mention of a name means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mention {
    /// a relation with attributes treated for the role, or one that leads to them
    Relation,
    /// a function that reaches, or could reach, a treated relation
    Function,
    /// an object closed to the role
    Closed,
}

/// The names through which a role could reach a treated attribute.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    relations: HashSet<String>,
    relation_oids: HashSet<u32>,
    functions: HashSet<String>,
    closed: HashSet<String>,
    attributes: HashSet<String>,
    /// the role does not see every treated attribute plain
    pub(super) restricted: bool,
    /// the policy treats nothing for this role: every statement is untouched
    pub(super) nothing: bool,
}

/// Whether an attribute is treated as far as this role is concerned.
pub(super) fn concerns(treated: &Treated, role: &RoleName) -> bool {
    let plain = treated.sight(role).show == Show::Plain;
    !(plain && treated.store == Store::Plain && treated.not_ready.is_none())
}

impl Reach {
    /// Computes the names for a role.
    pub fn new(snapshot: &Snapshot, bound: &Bound, role: &RoleName) -> Self {
        let treated: Vec<_> = bound.treated().filter(|t| concerns(t, role)).collect();
        if treated.is_empty() && bound.relations_missing_some().next().is_none() {
            return Self {
                nothing: true,
                ..Self::default()
            };
        }
        let mut oids: HashSet<u32> = treated.iter().map(|t| t.relation_oid).collect();
        // A treated relation that the catalog does not have (dropped, renamed) is known by its name alone.
        let mut relations: HashSet<String> = treated
            .iter()
            .map(|t| t.name.relation.name.clone())
            .collect();
        relations.extend(
            bound
                .relations_missing_some()
                .map(|relation| relation.name.clone()),
        );
        // Its attribute may stand in it under another name.
        oids.extend(
            bound
                .relations_missing_some()
                .filter_map(|name| Some(snapshot.relation(name)?.oid)),
        );
        let restricted = bound.is_restricted(role);
        // What shows stored values, as far as the role may not see them.
        let mut closed: HashSet<String> = HashSet::new();
        let mut closed_oids: HashSet<u32> = HashSet::new();
        if restricted {
            closed.extend(STORED_VALUES.iter().map(|&name| name.to_owned()));
            closed_oids.insert(STORED);
        }
        let mut functions: HashSet<String> = HashSet::new();
        let mut function_oids: HashSet<u32> = HashSet::new();
        let any_in =
            |these: &[u32], among: &HashSet<u32>| these.iter().any(|oid| among.contains(oid));
        loop {
            let before = (oids.len(), function_oids.len(), closed_oids.len());
            for relation in snapshot.relations() {
                if any_in(&relation.reaches, &oids) || any_in(&relation.calls, &function_oids) {
                    oids.insert(relation.oid);
                }
                if oids.contains(&relation.oid) {
                    relations.insert(relation.name.name.clone());
                }
                if relation.is_view() && any_in(&relation.reaches, &closed_oids) {
                    closed_oids.insert(relation.oid);
                    closed.insert(relation.name.name.clone());
                }
            }
            for function in &snapshot.functions {
                let trusted = bound
                    .trusted_functions
                    .trusts(&function.schema, &function.name);
                if !trusted && body_reaches(function, &[&relations, &functions, &closed]) {
                    function_oids.insert(function.oid);
                    functions.insert(function.name.clone());
                }
            }
            if before == (oids.len(), function_oids.len(), closed_oids.len()) {
                break;
            }
        }
        functions.extend(QUERY_TEXT.iter().map(|&name| name.to_owned()));
        Self {
            relations,
            relation_oids: oids,
            functions,
            closed,
            attributes: treated.iter().map(|t| t.name.attribute.clone()).collect(),
            restricted,
            nothing: false,
        }
    }

    /// For a database that passes untreated.
    pub fn none() -> Self {
        Self {
            nothing: true,
            ..Self::default()
        }
    }

    /// Whether every name that reaches something is pure ASCII.
    pub(super) fn is_ascii(&self) -> bool {
        [&self.relations, &self.functions, &self.closed]
            .into_iter()
            .flatten()
            .all(|name| name.is_ascii())
    }

    /// What a word of the text would mean if it is a name.
    pub(super) fn mention(&self, name: &str) -> Option<Mention> {
        if self.relations.contains(name) {
            Some(Mention::Relation)
        } else if self.functions.contains(name) {
            Some(Mention::Function)
        } else if self.closed.contains(name) || (self.restricted && name.starts_with("pg_toast_")) {
            Some(Mention::Closed)
        } else {
            None
        }
    }

    /// Whether the relation is one with attributes treated for the role, or leads to them.
    pub(super) fn holds(&self, relation: u32) -> bool {
        self.relation_oids.contains(&relation)
    }

    /// Whether the name is that of a treated attribute, of whatever relation.
    pub(super) fn is_attribute(&self, name: &str) -> bool {
        self.attributes.contains(name)
    }

    /// Whether any word of these tokens is a name that reaches something treated.
    pub(super) fn touches(&self, tokens: &[Token]) -> bool {
        tokens.iter().any(|token| match &token.kind {
            TokenKind::Word { name, .. } => self.mention(name).is_some(),
            _ => false,
        })
    }

    /// For a text that could not be cut into tokens, or the text of a function body: whether any name stands
    /// in it, however it is written.
    pub(super) fn touches_raw(&self, text: &str) -> bool {
        let lower = text.to_lowercase();
        lower.contains("u&")
            || lower.contains("\\")
            || [&self.relations, &self.functions, &self.closed]
                .into_iter()
                .flatten()
                .any(|name| lower.contains(&name.to_lowercase()))
    }
}

/// Whether a function's body names something that reaches, builds statements at run time, or cannot be read.
fn body_reaches(function: &Function, names: &[&HashSet<String>]) -> bool {
    let Some(body) = &function.body else {
        return true;
    };
    let is_word = |name: &str| {
        name.chars()
            .all(|c| c.is_alphanumeric() || c == '_' || c == '$')
    };
    let lower = body.to_lowercase();
    let words: HashSet<String> = words(body).collect();
    let stands = |name: &str| {
        let name = name.to_lowercase();
        match is_word(&name) {
            true => words.contains(&name),
            false => lower.contains(&name),
        }
    };
    lower.contains("u&\"")
        || words.contains("execute")
        || names
            .iter()
            .any(|names| names.iter().any(|name| stands(name)))
        || QUERY_TEXT.iter().any(|name| stands(name))
}

/// The words of a text, folded, with no regard for quotes: more than the names it holds, never fewer.
fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'))
        .filter(|w| !w.is_empty())
        .map(str::to_lowercase)
}

//! The fast path: could this text reach a treated attribute at all?
//!
//! One set of names for each role, computed when policy or catalog change: relations that are treated or
//! lead to one that is, functions whose body names one, and functions and views that reach everything. A
//! text in which none of them stands as a word is not parsed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

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
    /// what each of them means: every word of every text is looked up here
    names: HashMap<String, Mention, foldhash::fast::RandomState>,
    relation_oids: HashSet<u32>,
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
        let mut found = Found::new(snapshot, bound, role, &treated);
        while found.follow(snapshot, bound) {}
        let listed = QUERY_TEXT.iter().map(|&name| name.to_owned());
        found.functions.extend(listed);
        let meant = [
            (found.closed, Mention::Closed),
            (found.functions, Mention::Function),
            (found.relations, Mention::Relation),
        ];
        let mut names = HashMap::default();
        for (these, mention) in meant {
            names.extend(these.into_iter().map(|name| (name, mention)));
        }
        Self {
            names,
            relation_oids: found.relation_oids,
            attributes: treated.iter().map(|t| t.name.attribute.clone()).collect(),
            restricted: bound.is_restricted(role),
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
        self.names.keys().all(|name| name.is_ascii())
    }

    /// What a word of the text would mean if it is a name.
    pub(super) fn mention(&self, name: &str) -> Option<Mention> {
        match self.names.get(name) {
            Some(mention) => Some(*mention),
            None if self.restricted && name.starts_with("pg_toast_") => Some(Mention::Closed),
            None => None,
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
            || self
                .names
                .keys()
                .any(|name| lower.contains(&name.to_lowercase()))
    }
}

/// What was found to reach a treated attribute so far, by name and by OID.
struct Found {
    relations: HashSet<String>,
    relation_oids: HashSet<u32>,
    functions: HashSet<String>,
    function_oids: HashSet<u32>,
    /// what shows stored values, as far as the role may not see them
    closed: HashSet<String>,
    closed_oids: HashSet<u32>,
}

impl Found {
    /// The treated relations themselves, and what the server has.
    fn new(snapshot: &Snapshot, bound: &Bound, role: &RoleName, treated: &[&Arc<Treated>]) -> Self {
        // A relation that lacks one of its attributes is known by its name, and may have it under another name.
        let missing = || bound.relations_missing_some();
        let oids = treated.iter().map(|t| t.relation_oid);
        let found = missing().filter_map(|name| Some(snapshot.relation(name)?.oid));
        let names = treated.iter().map(|t| &t.name.relation).chain(missing());
        let (mut closed, mut closed_oids) = (HashSet::new(), HashSet::new());
        if bound.is_restricted(role) {
            closed.extend(STORED_VALUES.iter().map(|&name| name.to_owned()));
            closed_oids.insert(STORED);
        }
        Self {
            relations: names.map(|name| name.name.clone()).collect(),
            relation_oids: oids.chain(found).collect(),
            functions: HashSet::new(),
            function_oids: HashSet::new(),
            closed,
            closed_oids,
        }
    }

    /// Goes one step from what was found; whether there was more.
    fn follow(&mut self, snapshot: &Snapshot, bound: &Bound) -> bool {
        let size = |this: &Self| {
            this.relation_oids.len() + this.function_oids.len() + this.closed_oids.len()
        };
        let before = size(self);
        let any_in =
            |these: &[u32], among: &HashSet<u32>| these.iter().any(|oid| among.contains(oid));
        for relation in snapshot.relations() {
            if any_in(&relation.reaches, &self.relation_oids)
                || any_in(&relation.calls, &self.function_oids)
            {
                self.relation_oids.insert(relation.oid);
            }
            if self.relation_oids.contains(&relation.oid) {
                self.relations.insert(relation.name.name.clone());
            }
            if relation.is_view() && any_in(&relation.reaches, &self.closed_oids) {
                self.closed_oids.insert(relation.oid);
                self.closed.insert(relation.name.name.clone());
            }
        }
        let trusted = &bound.trusted_functions;
        for function in &snapshot.functions {
            let known = self.function_oids.contains(&function.oid);
            if !known && !trusted.trusts(&function.schema, &function.name) && self.is_in(function) {
                self.function_oids.insert(function.oid);
                self.functions.insert(function.name.clone());
            }
        }
        size(self) > before
    }

    /// Whether a function's body names something found, builds statements at run time, or cannot be read.
    fn is_in(&self, function: &Function) -> bool {
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
            || [&self.relations, &self.functions, &self.closed]
                .into_iter()
                .flatten()
                .any(|name| stands(name))
            || QUERY_TEXT.iter().any(|name| stands(name))
    }
}

/// The words of a text, folded, with no regard for quotes: more than the names it holds, never fewer.
fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'))
        .filter(|w| !w.is_empty())
        .map(str::to_lowercase)
}

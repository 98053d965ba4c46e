//! The fast path: could this text reach a treated attribute at all?
//!
//! One set of names for each role, computed when policy or catalog change: relations that are treated or
//! lead to one that is, functions whose body names one, and functions and views that reach everything. A
//! text in which none of them stands as a word is not parsed.

use std::collections::HashSet;

use super::lex::{Token, TokenKind};
use crate::catalog::{Function, Snapshot};
use crate::ident::RoleName;
use crate::policy::decide::{Bound, Show, Store, Treated};

/// Functions that run a query, or read a relation, given as text: they reach any relation.
const FUNCTIONS_WITH_QUERY_TEXT: &[&str] = &[
    "query_to_xml",
    "query_to_xmlschema",
    "query_to_xml_and_xmlschema",
    "table_to_xml",
    "table_to_xmlschema",
    "table_to_xml_and_xmlschema",
    "schema_to_xml",
    "schema_to_xmlschema",
    "schema_to_xml_and_xmlschema",
    "database_to_xml",
    "database_to_xmlschema",
    "database_to_xml_and_xmlschema",
    "cursor_to_xml",
    "cursor_to_xmlschema",
    "ts_stat",
    "ts_rewrite",
    "dblink",
    "dblink_exec",
    "dblink_open",
    "dblink_fetch",
    "dblink_send_query",
    "dblink_get_result",
    "dblink_build_sql_insert",
    "dblink_build_sql_update",
    "dblink_build_sql_delete",
    "crosstab",
    "crosstab2",
    "crosstab3",
    "crosstab4",
    "crosstabn",
    "connectby",
    "xpath_table",
    "plpgsql_call_handler",
    "pg_logical_slot_get_changes",
    "pg_logical_slot_peek_changes",
    "pg_logical_slot_get_binary_changes",
    "pg_logical_slot_peek_binary_changes",
];

/// What shows stored or other sessions' values by another road: closed to roles with restricted sight.
const CLOSED_TO_RESTRICTED: &[&str] = &[
    "pg_stats",
    "pg_statistic",
    "pg_statistic_ext_data",
    "pg_stats_ext",
    "pg_stats_ext_exprs",
    "pg_stat_activity",
    "pg_stat_get_activity",
    "pg_stat_get_backend_activity",
    "pg_stat_statements",
    "pg_largeobject",
    "pg_read_file",
    "pg_read_binary_file",
    "pg_ls_dir",
    "pg_stat_file",
    "lo_get",
    "lo_put",
    "lo_open",
    "lo_import",
    "lo_export",
    "lo_from_bytea",
    "loread",
    "lowrite",
    "get_raw_page",
    "heap_page_items",
    "heap_page_item_attrs",
    "bt_page_items",
    "bt_metap",
    "gin_leafpage_items",
    "gist_page_items",
    "hash_page_items",
    "brin_page_items",
    "tuple_data_split",
    "page_header",
    "bt_index_check",
    "bt_index_parent_check",
    "verify_heapam",
    "pg_cursors",
    "pg_prepared_statements",
];

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
        let mut functions: HashSet<String> = HashSet::new();
        loop {
            let before = (relations.len(), oids.len(), functions.len());
            for relation in snapshot.relations() {
                if oids.contains(&relation.oid)
                    || relation.reaches.iter().any(|oid| oids.contains(oid))
                {
                    oids.insert(relation.oid);
                    relations.insert(relation.name.name.clone());
                }
            }
            for function in &snapshot.functions {
                let trusted = bound
                    .trusted_functions
                    .contains(&(function.schema.clone(), function.name.clone()));
                if !trusted && body_reaches(function, &relations, &functions) {
                    functions.insert(function.name.clone());
                }
            }
            if before == (relations.len(), oids.len(), functions.len()) {
                break;
            }
        }
        functions.extend(
            FUNCTIONS_WITH_QUERY_TEXT
                .iter()
                .map(|&name| name.to_owned()),
        );
        let restricted = bound.is_restricted(role);
        let closed = if restricted {
            CLOSED_TO_RESTRICTED
        } else {
            &[]
        };
        Self {
            relations,
            functions,
            closed: closed.iter().map(|&name| name.to_owned()).collect(),
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
fn body_reaches(
    function: &Function,
    relations: &HashSet<String>,
    functions: &HashSet<String>,
) -> bool {
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
        || relations.iter().any(|name| stands(name))
        || functions.iter().any(|name| stands(name))
        || FUNCTIONS_WITH_QUERY_TEXT.iter().any(|name| stands(name))
}

/// The words of a text, folded, with no regard for quotes: more than the names it holds, never fewer.
fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'))
        .filter(|w| !w.is_empty())
        .map(str::to_lowercase)
}

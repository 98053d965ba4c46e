//! An immutable snapshot of what the analysis must know of a database: relations, attributes, views, functions.
//!
//! Loaded by `upstream::catalog`; this module holds and answers, and never reaches a server.

pub mod indirect;
mod types;

use std::collections::{BTreeMap, BTreeSet, HashMap};

pub use types::{TypeEntry, TypeKind, Untreatable};

use crate::ident::{AttributeName, DomainId, KeyVersion, RelationName};

/// What a relation is (`pg_class.relkind`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelationKind {
    /// an ordinary table
    Table,
    /// a partitioned table
    PartitionedTable,
    /// a view
    View,
    /// a materialised view
    MaterialisedView,
    /// a foreign table
    ForeignTable,
    /// anything else that can stand in FROM (sequence, composite type, TOAST)
    Other,
}

/// How `apply` left an attribute, from `pgveil.attribute` in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// never treated by apply
    Plain,
    /// Plain; apply recorded that the policy treats it on reading, so that it is known again under another name.
    OnRecord {
        /// what it was called then
        name: AttributeName,
    },
    /// sealed values, physical type bytea
    Sealed {
        /// the key domain's number
        domain: DomainId,
        /// what the values were sealed with when written by apply
        version: KeyVersion,
        /// the treatment in words, as [`crate::policy::decide::Store::recorded`] gives it
        treatment: String,
    },
    /// tokens, physical type as the logical one
    Tokenised {
        /// the key domain's number
        domain: DomainId,
        /// the only version whose tokens this attribute holds
        version: KeyVersion,
        /// the treatment in words, as [`crate::policy::decide::Store::recorded`] gives it
        treatment: String,
    },
    /// Recorded by apply, and changed since by another hand (renamed, retyped, restored): never trusted.
    Altered {
        /// what differs from the record, with names
        how: String,
    },
}

impl Stored {
    /// The treatment on record of an attribute that is stored plain and treated on reading.
    pub const ON_RECORD: &'static str = "show";

    /// Whether the values lie as clients wrote them.
    pub fn is_plain(&self) -> bool {
        match self {
            Self::Plain | Self::OnRecord { .. } => true,
            Self::Sealed { .. } | Self::Tokenised { .. } | Self::Altered { .. } => false,
        }
    }
}

/// A type by its OID and modifier, as RowDescription carries them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TypeRef {
    /// `pg_type.oid`
    pub oid: u32,
    /// the type modifier, -1 for none
    pub typmod: i32,
}

/// One attribute of a relation, dropped ones left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// `pg_attribute.attname`
    pub name: String,
    /// `pg_attribute.attnum`; apply keeps it, so it is the logical place too
    pub attnum: i16,
    /// the type clients are shown
    pub logical: TypeRef,
    /// the type the server has
    pub physical: TypeRef,
    /// NOT NULL
    pub not_null: bool,
    /// what apply recorded
    pub stored: Stored,
    /// whether a CHECK on the sealed prefix stands on it (sealed attributes only)
    pub has_prefix_check: bool,
    /// GENERATED ALWAYS AS (…) STORED
    pub generated: bool,
}

/// One relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// `pg_class.oid`
    pub oid: u32,
    /// schema and name
    pub name: RelationName,
    /// what it is
    pub kind: RelationKind,
    /// its attributes in order of attnum
    pub attributes: Vec<Attribute>,
    /// the primary key's attribute numbers in key order; empty when there is none
    pub primary_key: Vec<i16>,
    /// relations whose rows can be reached through this one: what a view's or rule's query, a partition or
    /// inheritance link, a policy, default or trigger function mentions (direct edges; `pg_class.oid`, and
    /// [`indirect::STORED`])
    pub reaches: Vec<u32>,
    /// functions that a view's query calls, by operators too (`pg_proc.oid`)
    pub calls: Vec<u32>,
}

impl Relation {
    /// Whether it shows the rows of a query: a view, or a materialised one.
    pub fn is_view(&self) -> bool {
        matches!(
            self.kind,
            RelationKind::View | RelationKind::MaterialisedView
        )
    }

    /// The attribute of that name.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|a| a.name == name)
    }
}

/// A function outside `pg_catalog` and not of an extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// `pg_proc.oid`
    pub oid: u32,
    /// the schema it stands in
    pub schema: String,
    /// its name; overloads appear once each
    pub name: String,
    /// the body's text (`prosrc`), or for one of standard SQL the names of what it uses; None where it has none that
    /// can be read (C, internal)
    pub body: Option<String>,
}

/// The catalog of one database at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// counts up with every load that differs
    pub version: u64,
    /// records of apply whose attribute is gone, and other things a DBA should hear of; with names, no values
    pub notices: Vec<String>,
    /// bare names of permanent relations that a temporary relation of some session also has: there the
    /// bare name may mean another relation than the snapshot's
    pub shadowed: BTreeSet<String>,
    relations: Vec<Relation>,
    by_oid: HashMap<u32, usize>,
    by_name: HashMap<String, Vec<usize>>,
    /// functions outside `pg_catalog`
    pub functions: Vec<Function>,
    /// whether the server, the database or a role of it sets `extra_float_digits` to 0 or less
    pub floats_are_cut: bool,
    /// whether the database's `lower()` changes the letters of ASCII and no other, whatever becomes of its system
    pub lower_is_ascii: bool,
    /// enums, domains and citext, by OID
    pub types: BTreeMap<u32, TypeEntry>,
}

impl Snapshot {
    /// Builds a snapshot from what a loader found (system relations included or not, as the loader likes).
    pub fn new(version: u64, relations: Vec<Relation>, functions: Vec<Function>) -> Self {
        let mut by_oid = HashMap::with_capacity(relations.len());
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, relation) in relations.iter().enumerate() {
            by_oid.insert(relation.oid, index);
            by_name
                .entry(relation.name.name.clone())
                .or_default()
                .push(index);
        }
        Self {
            version,
            notices: Vec::new(),
            shadowed: BTreeSet::new(),
            relations,
            by_oid,
            by_name,
            functions,
            floats_are_cut: false,
            lower_is_ascii: false,
            types: BTreeMap::new(),
        }
    }

    /// Whether the two say the same, their versions left out.
    pub fn same_content(&self, other: &Self) -> bool {
        self.relations == other.relations
            && self.functions == other.functions
            && self.types == other.types
            && self.floats_are_cut == other.floats_are_cut
            && self.lower_is_ascii == other.lower_is_ascii
            && self.notices == other.notices
            && self.shadowed == other.shadowed
    }

    /// All relations.
    pub fn relations(&self) -> &[Relation] {
        &self.relations
    }

    /// The relation with that OID.
    pub fn relation_by_oid(&self, oid: u32) -> Option<&Relation> {
        self.by_oid.get(&oid).map(|&i| &self.relations[i])
    }

    /// The relation with that qualified name.
    pub fn relation(&self, name: &RelationName) -> Option<&Relation> {
        self.relations_named(&name.name)
            .find(|r| r.name.schema == name.schema)
    }

    /// Every relation with that bare name, in any schema.
    pub fn relations_named(&self, name: &str) -> impl Iterator<Item = &Relation> {
        self.by_name
            .get(name)
            .into_iter()
            .flatten()
            .map(|&i| &self.relations[i])
    }
}

//! A policy bound to one database's catalog: which attributes are treated, and what each role gets of them.
//!
//! Pure. Everything the analysis of a statement asks of a policy is asked here.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::trust::TrustedFunctions;
use crate::ident::{AttributeName, DomainName, RelationName, RoleName};
use crate::mask::Mask;
use crate::seal::Comparison;
use crate::token::TokenFormat;
use crate::types::{Equality, LogicalType};

/// How an attribute's values lie in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store {
    /// as the client sent them
    Plain,
    /// sealed; the words say what the server can compute on them
    Encrypt {
        /// the search words; only [`Search::Equal`] is enforced yet
        search: BTreeSet<Search>,
    },
    /// tokens; equality is always computable
    Tokenise(TokenFormat),
}

/// What a sealed attribute can be searched by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Search {
    /// `=`, `IN`, `JOIN`, `GROUP BY`, `DISTINCT`
    Equal,
    /// ranges and sorting
    Order,
    /// equality of `lower()`
    Nocase,
    /// `LIKE '%…%'`
    Substring,
}

impl Store {
    /// The treatment in words, as `pgveil.attribute.treatment` records it: whatever changes the bytes that
    /// lie in the database changes it. None for what lies plain.
    pub fn recorded(&self) -> Option<String> {
        match self {
            Self::Plain => None,
            Self::Encrypt { search } => {
                let words = search.iter().map(|word| match word {
                    Search::Equal => " equal",
                    Search::Order => " order",
                    Search::Nocase => " nocase",
                    Search::Substring => " substring",
                });
                Some(std::iter::once("encrypt").chain(words).collect())
            }
            Self::Tokenise(format) => Some(format!("tokenise {}", format.recorded())),
        }
    }
}

/// What a role gets of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Show {
    /// the value
    Plain,
    /// a mask of it
    Mask(Mask),
    /// a token of it
    Token(TokenFormat),
    /// NULL
    Null,
    /// what lies in the database; a sealed attribute shows bytea
    Stored,
    /// nothing: the statement is refused
    Refuse,
}

/// What one role may do with one attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// what it is shown
    pub show: Show,
    /// what it may still compare by, without plain sight
    pub compare: BTreeSet<Search>,
}

impl Sight {
    /// What a role gets that the policy does not speak of: nothing.
    const NONE: &'static Self = &Self {
        show: Show::Refuse,
        compare: BTreeSet::new(),
    };

    /// Whether a key is needed to show it (beside opening what is sealed).
    pub fn needs_key(&self) -> bool {
        match &self.show {
            Show::Token(_) => true,
            Show::Mask(mask) => mask.needs_key(),
            Show::Plain | Show::Null | Show::Stored | Show::Refuse => false,
        }
    }
}

/// A treated attribute, bound to the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Treated {
    /// schema, relation, attribute
    pub name: AttributeName,
    /// `pg_class.oid`
    pub relation_oid: u32,
    /// `pg_attribute.attnum`
    pub attnum: i16,
    /// the type clients are shown
    pub logical: LogicalType,
    /// how its values lie in the database
    pub store: Store,
    /// its key domain; named `schema.table.column` when the policy names none (also for plain storage: masks
    /// and tokens shown may need a key)
    pub domain: DomainName,
    /// whether the domain has this attribute only (then the attribute's id is associated data)
    pub domain_is_own: bool,
    /// why statements on it are refused with 55000: the database does not hold it as the policy says
    pub not_ready: Option<String>,
    /// what each role of the policy gets (total: every role of the policy is there)
    pub sight: BTreeMap<RoleName, Sight>,
}

impl Treated {
    /// How what is stored is compared.
    pub fn comparison(&self) -> Comparison {
        match &self.store {
            Store::Plain | Store::Tokenise(_) => Comparison::Bytes,
            Store::Encrypt { search } if !search.contains(&Search::Equal) => Comparison::Never,
            Store::Encrypt { .. } => match self.logical.equality() {
                Equality::Identity => Comparison::Bytes,
                Equality::NeedsTerm => Comparison::Heads,
                Equality::None => Comparison::Never,
            },
        }
    }

    /// Whether equality is computable over what is stored.
    pub fn compares_equal(&self) -> bool {
        self.comparison() != Comparison::Never
    }

    /// What a role gets; a role the policy does not speak of gets nothing.
    pub fn sight(&self, role: &RoleName) -> &Sight {
        self.sight.get(role).unwrap_or(Sight::NONE)
    }

    /// Whether a role sees the value itself.
    pub fn is_plain_to(&self, role: &RoleName) -> bool {
        self.sight(role).show == Show::Plain
    }

    /// Whether a role may assign it, by INSERT, UPDATE or COPY: only who sees what he would overwrite.
    pub fn may_assign(&self, role: &RoleName) -> bool {
        self.is_plain_to(role)
    }

    /// Whether a role compares it as it lies: plain, or by the tokens that it is shown.
    pub fn is_compared_as_it_lies(&self, role: &RoleName) -> bool {
        match &self.store {
            Store::Plain => true,
            Store::Tokenise(_) => self.sight(role).show == Show::Stored,
            Store::Encrypt { .. } => false,
        }
    }

    /// The format of the tokens that a role compares it by, where they are not what is stored.
    pub fn is_compared_by_token(&self, role: &RoleName) -> Option<&TokenFormat> {
        match (&self.store, &self.sight(role).show) {
            (Store::Encrypt { .. }, Show::Token(format)) => Some(format),
            _ => None,
        }
    }

    /// Whether a role may compare it for equality over what is stored: it is computable there, and the role sees
    /// the value or the policy lets it compare.
    pub fn may_compare_equal(&self, role: &RoleName) -> bool {
        let sight = self.sight(role);
        let allowed = sight.show == Show::Plain || sight.compare.contains(&Search::Equal);
        allowed && self.compares_equal()
    }
}

/// A policy bound to one catalog snapshot.
#[derive(Debug, Clone, Default)]
pub struct Bound {
    /// changes with every reload of the policy or the catalog
    pub version: u64,
    /// the treated attributes by relation OID, then attribute number
    by_relation: HashMap<u32, Vec<Arc<Treated>>, foldhash::fast::RandomState>,
    /// the functions a DBA vouches for, `schema.name`
    pub trusted_functions: TrustedFunctions,
    /// roles that may run DO blocks
    pub allow_do_blocks: BTreeSet<RoleName>,
    /// what the policy names and the catalog does not have, by relation: it may have been renamed
    missing: BTreeMap<RelationName, AttributeName>,
}

impl Bound {
    /// Builds it from its attributes.
    pub fn new(
        version: u64,
        treated: Vec<Treated>,
        trusted_functions: TrustedFunctions,
        allow_do_blocks: BTreeSet<RoleName>,
    ) -> Self {
        let mut by_relation: HashMap<u32, Vec<Arc<Treated>>, _> = HashMap::default();
        for attribute in treated {
            by_relation
                .entry(attribute.relation_oid)
                .or_default()
                .push(Arc::new(attribute));
        }
        Self {
            version,
            by_relation,
            trusted_functions,
            allow_do_blocks,
            missing: BTreeMap::new(),
        }
    }

    /// The same, with the attributes that the policy names and the catalog does not have.
    #[must_use]
    pub fn with_missing(self, missing: impl Iterator<Item = AttributeName>) -> Self {
        let missing = missing
            .map(|attribute| (attribute.relation.clone(), attribute))
            .collect();
        Self { missing, ..self }
    }

    /// The attribute of a relation that the policy names and the catalog does not have. Its values may stand under
    /// another name, so nothing of the relation may be shown.
    pub fn missing(&self, relation: &RelationName) -> Option<&AttributeName> {
        self.missing.get(relation)
    }

    /// The relations with such an attribute.
    pub fn relations_missing_some(&self) -> impl Iterator<Item = &RelationName> {
        self.missing.keys()
    }

    /// Whether some treated attribute is not shown to the role as it is.
    pub fn is_restricted(&self, role: &RoleName) -> bool {
        self.treated().any(|t| !t.is_plain_to(role))
    }

    /// Whether the database holds every treated attribute as the policy says: no statement is refused with 55000.
    pub fn is_ready(&self) -> bool {
        self.missing.is_empty() && self.treated().all(|t| t.not_ready.is_none())
    }

    /// The treated attributes of a relation; empty when it has none.
    pub fn relation(&self, oid: u32) -> &[Arc<Treated>] {
        self.by_relation.get(&oid).map_or(&[], Vec::as_slice)
    }

    /// The treated attribute at that place.
    pub fn attribute(&self, oid: u32, attnum: i16) -> Option<&Arc<Treated>> {
        self.relation(oid).iter().find(|t| t.attnum == attnum)
    }

    /// The treated attribute of that name.
    pub fn named(&self, relation: &RelationName, attribute: &str) -> Option<&Arc<Treated>> {
        self.treated()
            .find(|t| t.name.relation == *relation && t.name.attribute == attribute)
    }

    /// Every treated attribute.
    pub fn treated(&self) -> impl Iterator<Item = &Arc<Treated>> {
        self.by_relation.values().flatten()
    }
}

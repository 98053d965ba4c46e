//! Names → relations and attributes; `*` expanded; sqlparser's tree → [`tree`](super::tree).
//!
//! Unqualified relation names are resolved by being the only ones of that name in the database: what is
//! ambiguous is refused. sqlparser's structs are destructured without `..`, so that a clause it learns stops
//! the build here. Knows no role.

mod absent;
mod account;
mod call;
mod cast;
mod compare;
mod dml;
mod expr;
mod form;
mod from;
mod insert;
mod key;
mod query;
mod scope;
mod select;
mod source;

use sqlparser::ast::{Ident, ObjectName, ObjectNamePart, Statement};

use super::lex::{Token, TokenKind, fold};
use super::parse::{parse, token_index};
use super::plan::Refusal;
use super::reach::{Mention, Reach};
use super::refuse;
use super::tree::{
    Column, Extent, NamedRelation, Node, Origin, Place, Query, QueryId, Resolved, Source, SourceId,
    Used,
};
use super::utility::{self, Kind, is_symbol};
use crate::catalog::{Relation, RelationKind, Snapshot};
use crate::policy::decide::Bound;

/// What names are resolved against.
pub(super) struct Names<'a> {
    /// the catalog
    pub snapshot: &'a Snapshot,
    /// the policy bound to it
    pub bound: &'a Bound,
    /// what reaches a treated attribute
    pub reach: &'a Reach,
    /// whether DO blocks are allowed to the role
    pub allow_do_blocks: bool,
    /// how the tokens' strings were read
    pub standard_conforming_strings: bool,
}

/// Binds every name of a text that the fast path did not let through.
///
/// # Errors
/// A [`Refusal`] for what is not understood.
pub(super) fn resolve(
    text: &str,
    tokens: Vec<Token>,
    names: &Names<'_>,
) -> Result<Resolved, Refusal> {
    let mut resolver = Resolver {
        text,
        accounted: vec![false; tokens.len()],
        tokens: &tokens,
        names,
        sources: Vec::new(),
        queries: Vec::new(),
        ctes: Vec::new(),
        forward_ctes: Vec::new(),
    };
    let mut statements = Vec::new();
    for (start, end) in split(text, &tokens) {
        statements.push(resolver.statement(start, end)?);
    }
    let unaccounted = resolver.account(&statements)?;
    let Resolver {
        sources, queries, ..
    } = resolver;
    let statements = statements.into_iter().map(|s| (s.node, s.word)).collect();
    let standard_conforming_strings = names.standard_conforming_strings;
    let words = tokens.iter().filter_map(|token| match &token.kind {
        TokenKind::Word { name, .. } => Some(name.to_string()),
        _ => None,
    });
    Ok(Resolved {
        words: words.collect(),
        text: text.to_owned(),
        standard_conforming_strings,
        tokens,
        statements,
        sources,
        queries,
        unaccounted,
    })
}

/// The token ranges of the statements of a text; empty ones left out.
fn split(text: &str, tokens: &[Token]) -> Vec<(usize, usize)> {
    let mut ranges = Vec::new();
    let mut start = 0;
    for (index, token) in tokens.iter().enumerate() {
        if is_symbol(text, token, ";") {
            ranges.push((start, index));
            start = index + 1;
        }
    }
    ranges.push((start, tokens.len()));
    ranges.retain(|(start, end)| start < end);
    ranges
}

/// A statement bound, and the tokens it was bound from.
struct Bounded {
    node: Node,
    word: &'static str,
    extent: Extent,
}

/// The state of one text's resolution.
struct Resolver<'a> {
    text: &'a str,
    tokens: &'a [Token],
    names: &'a Names<'a>,
    /// whether the word at that index was understood as a name
    accounted: Vec<bool>,
    sources: Vec<Source>,
    queries: Vec<Query>,
    /// the WITH names in sight, innermost last, with their columns where those are known
    ctes: Vec<(String, Option<Vec<Column>>)>,
    /// names of a WITH RECURSIVE that stand further down
    forward_ctes: Vec<String>,
}

impl Resolver<'_> {
    fn statement(&mut self, start: usize, end: usize) -> Result<Bounded, Refusal> {
        let tokens = &self.tokens[start..end];
        let extent = Extent { start, end };
        let kind = utility::kind(self.text, tokens);
        let reaches = self.names.reach.touches(tokens)
            || utility::reaches_unseen(self.text, tokens, self.names.reach);
        match kind {
            _ if !reaches => {
                let word = match kind {
                    Some(Kind::Dml(word) | Kind::Utility(word)) => word,
                    None => "EMPTY",
                };
                Ok(Bounded {
                    node: Node::Untouched,
                    word,
                    extent,
                })
            }
            Some(Kind::Dml(word)) => {
                let statement = parse(self.text, self.tokens, start, end)?;
                let node = self.dml(&statement, start)?;
                Ok(Bounded { node, word, extent })
            }
            Some(Kind::Utility(word)) => {
                utility::decide(
                    self.text,
                    tokens,
                    self.names.reach,
                    self.names.allow_do_blocks,
                )?;
                Ok(Bounded {
                    node: Node::Untouched,
                    word,
                    extent,
                })
            }
            None => Err(refuse::unsupported("this statement", self.position(start))),
        }
    }

    fn dml(&mut self, statement: &Statement, start: usize) -> Result<Node, Refusal> {
        match statement {
            Statement::Query(query) => Ok(Node::Query(self.query(query, None)?)),
            Statement::Insert(insert) => self.insert(insert, None),
            Statement::Update(update) => self.update(update, None),
            Statement::Delete(delete) => self.delete(delete, None),
            _ => Err(refuse::unsupported("this statement", self.position(start))),
        }
    }

    /// Marks the identifier as understood and gives its folded name and token index.
    fn name(&mut self, ident: &Ident) -> Result<(String, usize), Refusal> {
        let Ident {
            value,
            quote_style,
            span,
        } = ident;
        let name = fold(value, quote_style.is_some());
        let index = token_index(*span)
            .filter(|&index| matches!(self.tokens.get(index).map(|t| &t.kind), Some(TokenKind::Word { name: word, .. }) if *word == name))
            .ok_or_else(|| refuse::unsupported("an identifier whose place is not known", None))?;
        self.accounted[index] = true;
        Ok((name.into(), index))
    }

    /// The parts of a possibly qualified name, and the tokens they stand in.
    fn object_name(&mut self, name: &ObjectName) -> Result<(Vec<String>, Extent), Refusal> {
        let mut parts = Vec::with_capacity(name.0.len());
        let mut extent: Option<Extent> = None;
        for part in &name.0 {
            let ObjectNamePart::Identifier(ident) = part else {
                return Err(refuse::unsupported("a computed name", None));
            };
            let (part, index) = self.name(ident)?;
            parts.push(part);
            let start = extent.map_or(index, |e| e.start);
            extent = Some(Extent {
                start,
                end: index + 1,
            });
        }
        let extent = extent.ok_or_else(|| refuse::unsupported("an empty name", None))?;
        if extent.end - extent.start != 2 * parts.len() - 1 {
            return Err(refuse::unsupported(
                "a name written in this way",
                self.position(extent.start),
            ));
        }
        Ok((parts, extent))
    }

    /// The relation a name in FROM or of a target means; None for one the catalog does not know.
    fn relation(&self, parts: &[String], index: usize) -> Result<Option<&Relation>, Refusal> {
        let position = self.position(index);
        let (schema, name) = match parts {
            [name] => (None, name),
            [schema, name] | [_, schema, name] => (Some(schema), name),
            _ => return Err(refuse::unsupported("a name of this many parts", position)),
        };
        if self.names.reach.mention(name) == Some(Mention::Closed) {
            return Err(refuse::denied_object(format!("{name:?}"), position));
        }
        let reaches = self.names.reach.mention(name) == Some(Mention::Relation);
        if schema.is_none() && reaches && self.names.snapshot.shadowed.contains(name) {
            return Err(refuse::unsupported(
                format!(
                    "the name {name:?}, which a temporary relation also has, without its schema,"
                ),
                position,
            ));
        }
        let mut candidates = self
            .names
            .snapshot
            .relations_named(name)
            .filter(|r| schema.is_none_or(|s| r.name.schema == *s));
        let first = candidates.next();
        let rest: Vec<&Relation> = candidates.collect();
        let found = match first {
            Some(only) if rest.is_empty() => Some(only),
            Some(first) => {
                if self.leads_to_treated(first) || rest.iter().any(|r| self.leads_to_treated(r)) {
                    return Err(refuse::unsupported(
                        format!(
                            "the name {name:?}, which several schemas have, without its schema,"
                        ),
                        position,
                    ));
                }
                None
            }
            None => None,
        };
        if let Some(relation) = found {
            if let Some(attribute) = self.names.bound.missing(&relation.name) {
                return Err(refuse::not_ready(attribute, "the catalog does not have it"));
            }
            self.check_lineage(relation, position)?;
        }
        Ok(found)
    }

    fn leads_to_treated(&self, relation: &Relation) -> bool {
        !self.names.bound.relation(relation.oid).is_empty() || self.names.reach.holds(relation.oid)
    }

    /// A relation that only leads to treated ones (a view, a partition, a trigger's table) is refused until its lineage is followed.
    fn check_lineage(&self, relation: &Relation, position: Option<usize>) -> Result<(), Refusal> {
        let treated = !self.names.bound.relation(relation.oid).is_empty();
        let leads = relation
            .reaches
            .iter()
            .any(|&oid| self.names.reach.holds(oid));
        match relation.kind {
            RelationKind::Table if treated && !leads => Ok(()),
            _ if self.names.reach.holds(relation.oid) => Err(refuse::unsupported(
                format!(
                    "{}, which leads to a treated relation or is one of an unusual kind,",
                    relation.name
                ),
                position,
            )),
            _ => Ok(()),
        }
    }

    /// Enters a relation as a source.
    fn relation_source(
        &mut self,
        parts: &[String],
        extent: Extent,
        place: Place,
    ) -> Result<SourceId, Refusal> {
        let found = self.relation(parts, extent.end - 1)?.cloned();
        let columns = found.as_ref().map(|relation| {
            relation
                .attributes
                .iter()
                .map(|attribute| Column {
                    name: attribute.name.clone(),
                    origin: self
                        .names
                        .bound
                        .attribute(relation.oid, attribute.attnum)
                        .map_or(Origin::Plain, |t| Origin::Treated(t.clone())),
                })
                .collect()
        });
        // A treated relation of which the catalog knows nothing cannot be analysed.
        if found.is_none()
            && parts
                .last()
                .is_some_and(|name| self.names.reach.mention(name) == Some(Mention::Relation))
        {
            return Err(refuse::unsupported(
                "a treated relation that the catalog does not show",
                self.position(extent.start),
            ));
        }
        let relation = found.map(|r| {
            let index = |key: &i16| r.attributes.iter().position(|a| a.attnum == *key);
            NamedRelation {
                name: r.name,
                extent,
                primary_key: r.primary_key.iter().filter_map(index).collect(),
                attributes: r.attributes.into_iter().map(|a| a.name).collect(),
            }
        });
        let name = parts.last().cloned().unwrap_or_default();
        Ok(self.add_source(Source {
            name,
            columns,
            place,
            relation,
            aliased: false,
            used: Used::default(),
        }))
    }

    fn add_source(&mut self, source: Source) -> SourceId {
        self.sources.push(source);
        SourceId(self.sources.len() - 1)
    }

    fn add_query(&mut self, query: Query) -> QueryId {
        self.queries.push(query);
        QueryId(self.queries.len() - 1)
    }

    /// The byte offset of a token.
    fn position(&self, index: usize) -> Option<usize> {
        self.tokens.get(index).map(|t| t.start)
    }

    fn is_symbol(&self, index: usize, symbol: &str) -> bool {
        self.tokens
            .get(index)
            .is_some_and(|t| is_symbol(self.text, t, symbol))
    }

    /// Whether the token is this unquoted word (lower case).
    fn is_word(&self, index: usize, word: &str) -> bool {
        matches!(self.tokens.get(index).map(|t| &t.kind), Some(TokenKind::Word { name, quoted: false }) if name == word)
    }
}

//! The names of a session: prepared statements and portals, as far as the server has confirmed them.
//!
//! A pipeline runs ahead of its replies. A definition that is sent but not yet confirmed may be used only by
//! the pipeline that made it: there, if it failed, the server skips every user of it too. Past the next Sync
//! its users wait. So pgveil never takes a name for something else than the server does. What a
//! statement's plan means is not known here.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::settle::{Lexing, Text};
use crate::statement::plan::{ColumnPlan, LiteralSlot, ParameterPlan, Piece, Plan};

/// A prepared statement.
pub(super) struct Statement {
    /// what the client sent
    pub text: Arc<Text>,
    /// how it was read (the server keeps its own parse tree: later settings do not change it)
    pub lexing: Lexing,
    /// None when it passes untouched
    pub plan: Option<Arc<Plan>>,
    /// what is sent in place of the text; empty when it passes untouched
    pub sent: Arc<str>,
    /// the parameter types the client declared
    pub declared: Vec<u32>,
    /// the version of policy and catalog it was last analysed under
    pub version: AtomicU64,
    /// whether a RowDescription of it passed the net
    pub described: AtomicBool,
}

impl Statement {
    /// Whether it was analysed under that version.
    pub fn is_of(&self, version: u64) -> bool {
        self.version.load(Ordering::Relaxed) == version
    }
}

/// A portal.
pub(super) struct Portal {
    /// what it runs
    pub statement: Arc<Statement>,
    /// the result formats as the client asked for them
    pub formats: Vec<i16>,
    /// how many parameters were bound
    pub parameter_count: usize,
    /// whether a Describe of it was sent
    pub described: AtomicBool,
}

/// What a name means for the pipeline that asks.
pub(super) enum Found<T> {
    /// this
    Known(Arc<T>),
    /// nothing that pgveil has seen
    Unknown,
    /// an earlier pipeline may be changing it: wait for its end
    Unsettled,
}

/// What a pipeline, by its number, changes a name to.
type Tentative<T> = (u64, Option<Arc<T>>);

/// Names of one kind.
pub(super) struct Names<T> {
    confirmed: ByName<Arc<T>>,
    /// the pipeline that changes a name, and what to (None: closed)
    tentative: ByName<Tentative<T>>,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self {
            confirmed: ByName::default(),
            tentative: ByName::default(),
        }
    }
}

/// A map by name. The empty name, which most drivers use most, is found without a look-up.
struct ByName<T> {
    unnamed: Option<T>,
    named: HashMap<Box<[u8]>, T, foldhash::quality::RandomState>,
}

impl<T> Default for ByName<T> {
    fn default() -> Self {
        Self {
            unnamed: None,
            named: HashMap::default(),
        }
    }
}

impl<T> ByName<T> {
    fn get(&self, name: &[u8]) -> Option<&T> {
        match name {
            b"" => self.unnamed.as_ref(),
            _ => self.named.get(name),
        }
    }

    fn set(&mut self, name: &[u8], to: Option<T>) {
        match (name, to) {
            (b"", to) => self.unnamed = to,
            (_, Some(to)) => drop(self.named.insert(name.into(), to)),
            (_, None) => drop(self.named.remove(name)),
        }
    }

    fn retain(&mut self, keeps: impl Fn(&T) -> bool) {
        self.unnamed = self.unnamed.take().filter(&keeps);
        if !self.named.is_empty() {
            self.named.retain(|_, of| keeps(of));
        }
    }

    fn len(&self) -> usize {
        self.named.len() + usize::from(self.unnamed.is_some())
    }
}

impl<T> Names<T> {
    /// What `name` means in that pipeline.
    pub fn find(&self, name: &[u8], pipeline: u64) -> Found<T> {
        let known = match self.tentative.get(name) {
            Some((by, _)) if *by != pipeline => return Found::Unsettled,
            Some((_, change)) => change.as_ref(),
            None => self.confirmed.get(name),
        };
        known.map_or(Found::Unknown, |t| Found::Known(Arc::clone(t)))
    }

    /// That a message of that pipeline makes `name` mean this (None: closes it), if it succeeds.
    pub fn change(&mut self, name: &[u8], pipeline: u64, to: Option<Arc<T>>) {
        self.tentative.set(name, Some((pipeline, to)));
    }

    /// The server said that it did.
    pub fn confirm(&mut self, name: &[u8], to: Option<Arc<T>>) {
        self.confirmed.set(name, to);
    }

    /// That pipeline has ended: what it did not confirm did not happen.
    pub fn settle(&mut self, pipeline: u64) {
        self.tentative.retain(|(by, _)| *by > pipeline);
    }

    /// All confirmed names are gone (end of a transaction for portals, DISCARD ALL, DEALLOCATE ALL).
    pub fn forget(&mut self) {
        self.confirmed.retain(|_| false);
    }

    /// How many names are held.
    pub fn count(&self) -> usize {
        self.confirmed.len() + self.tentative.len()
    }
}

/// Whether two plans of the same text send and show the same.
pub(super) fn same_plan(one: &Plan, other: &Plan) -> bool {
    fn all<T>(one: &[T], other: &[T], same: impl Fn(&T, &T) -> bool) -> bool {
        one.len() == other.len() && one.iter().zip(other).all(|(a, b)| same(a, b))
    }
    let columns = |a: &ColumnPlan, b: &ColumnPlan| match (a, b) {
        (ColumnPlan::Pass, ColumnPlan::Pass) => true,
        (
            ColumnPlan::Open { attribute, show },
            ColumnPlan::Open {
                attribute: a,
                show: s,
            },
        ) => attribute == a && show == s,
        (ColumnPlan::Pass, ColumnPlan::Open { .. })
        | (ColumnPlan::Open { .. }, ColumnPlan::Pass) => false,
    };
    all(one.pieces(), other.pieces(), |a, b| match (a, b) {
        (Piece::Text(a), Piece::Text(b)) => a == b,
        (Piece::Slot(a), Piece::Slot(b)) => same_slot(a, b),
        (Piece::Text(_), Piece::Slot(_)) | (Piece::Slot(_), Piece::Text(_)) => false,
    }) && all(one.statements(), other.statements(), |a, b| {
        a.kind == b.kind
            && a.relations == b.relations
            && match (&a.columns, &b.columns) {
                (Some(a), Some(b)) => all(a, b, columns),
                (None, None) => true,
                (Some(_), None) | (None, Some(_)) => false,
            }
    }) && all(one.parameters(), other.parameters(), same_parameter)
}

fn same_slot(a: &LiteralSlot, b: &LiteralSlot) -> bool {
    a.attribute == b.attribute
        && a.text == b.text
        && a.shape == b.shape
        && a.cast == b.cast
        && a.assigned == b.assigned
        && a.token == b.token
}

fn same_parameter(a: &ParameterPlan, b: &ParameterPlan) -> bool {
    a.number == b.number
        && a.attribute == b.attribute
        && a.shape == b.shape
        && a.cast == b.cast
        && a.assigned == b.assigned
        && a.listed == b.listed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(found: Found<u8>) -> Option<u8> {
        match found {
            Found::Known(t) => Some(*t),
            Found::Unknown => None,
            Found::Unsettled => panic!("unsettled"),
        }
    }

    #[test]
    fn a_definition_serves_its_own_pipeline_before_it_is_confirmed() {
        let mut names = Names::default();
        names.change(b"s", 1, Some(Arc::new(7)));
        assert_eq!(known(names.find(b"s", 1)), Some(7));
        assert!(matches!(names.find(b"s", 2), Found::Unsettled));
        names.confirm(b"s", Some(Arc::new(7)));
        names.settle(1);
        assert_eq!(known(names.find(b"s", 2)), Some(7));
    }

    #[test]
    fn what_failed_never_happened() {
        let mut names = Names::default();
        names.confirm(b"s", Some(Arc::new(1)));
        names.change(b"s", 4, None);
        assert_eq!(known(names.find(b"s", 4)), None);
        names.change(b"s", 4, Some(Arc::new(2)));
        assert_eq!(known(names.find(b"s", 4)), Some(2));
        names.settle(4);
        assert_eq!(known(names.find(b"s", 5)), Some(1));
    }
}

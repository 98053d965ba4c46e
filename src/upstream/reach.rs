//! Which relations can be reached through which: the edges of [`Relation::reaches`](crate::catalog::Relation).
//!
//! Pure: it works on the rows the catalog loader read. Function bodies are not parsed: a body that holds a
//! relation's name as a word is taken to reach it, which errs on the safe side.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::catalog::indirect::{QUERY_TEXT, STORED};

/// Something with a text that can mention relations and functions: a function's body, a foreign table's options.
#[derive(Debug, Clone)]
pub(super) struct Body {
    /// `pg_proc.oid`
    pub(super) oid: u32,
    /// the function's bare name
    pub(super) name: String,
    /// its text, where it has one
    pub(super) text: Option<String>,
}

/// What the loader read about who depends on whom.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    /// relation → relation, recorded by the server (rules, policies, defaults, inheritance in both directions)
    pub(super) relations: Vec<(u32, u32)>,
    /// relation → function (triggers, rules, policies, defaults, generated columns, CHECK, index expressions; for those
    /// of views see [`Evidence::calls`])
    pub(super) functions: Vec<(u32, u32)>,
    /// relation → name of [`crate::catalog::indirect`] that one of its expressions or queries uses
    pub(super) indirect: Vec<(u32, String)>,
    /// foreign table → its options' text
    pub(super) foreign: Vec<(u32, String)>,
}

impl Evidence {
    /// Takes out what views call: whether a view reaches what its functions do lies with the policy, which may trust them.
    pub(super) fn calls(&mut self, views: &BTreeSet<u32>) -> HashMap<u32, BTreeSet<u32>> {
        let mut calls: HashMap<u32, BTreeSet<u32>> = HashMap::new();
        self.functions.retain(|(relation, function)| {
            let of_view = views.contains(relation);
            if of_view {
                calls.entry(*relation).or_default().insert(*function);
            }
            !of_view
        });
        calls
    }
}

/// The direct edges of each relation, by OID. `names` are the bare names of the relations that hold rows.
pub(super) fn edges(
    names: &[(u32, String)],
    bodies: &[Body],
    evidence: &Evidence,
) -> HashMap<u32, BTreeSet<u32>> {
    let known: BTreeSet<u32> = names.iter().map(|(oid, _)| *oid).collect();
    let words = Words::new(names, bodies);
    let mut edges: HashMap<u32, BTreeSet<u32>> = HashMap::new();
    for &(from, to) in &evidence.relations {
        if from != to && known.contains(&to) {
            edges.entry(from).or_default().insert(to);
        }
    }
    let reached = words.reached_by_functions(bodies);
    for (from, function) in &evidence.functions {
        if let Some(found) = reached.get(function) {
            edges.entry(*from).or_default().extend(found);
        }
    }
    for (from, text) in &evidence.foreign {
        edges
            .entry(*from)
            .or_default()
            .extend(words.relations_in(text));
    }
    for (from, name) in &evidence.indirect {
        let reached = edges.entry(*from).or_default();
        if QUERY_TEXT.contains(&name.as_str()) {
            reached.extend(&known);
        } else {
            reached.insert(STORED);
        }
    }
    for (from, reached) in &mut edges {
        reached.remove(from);
    }
    edges
}

/// An index from words to the relations and functions that bear them, case folded.
struct Words {
    relations: BTreeMap<String, Vec<u32>>,
    /// names that are no single word (with spaces, points …): sought as substrings
    odd_relations: Vec<(String, u32)>,
    functions: BTreeMap<String, Vec<u32>>,
}

impl Words {
    fn new(names: &[(u32, String)], bodies: &[Body]) -> Self {
        let mut relations: BTreeMap<String, Vec<u32>> = BTreeMap::new();
        let mut odd_relations = Vec::new();
        for (oid, name) in names {
            let folded = name.to_lowercase();
            if folded.chars().all(is_word) {
                relations.entry(folded).or_default().push(*oid);
            } else {
                odd_relations.push((folded, *oid));
            }
        }
        let mut functions: BTreeMap<String, Vec<u32>> = BTreeMap::new();
        for body in bodies {
            functions
                .entry(body.name.to_lowercase())
                .or_default()
                .push(body.oid);
        }
        Self {
            relations,
            odd_relations,
            functions,
        }
    }

    fn relations_in(&self, text: &str) -> BTreeSet<u32> {
        let mut found = BTreeSet::new();
        for word in words_of(text) {
            found.extend(self.relations.get(&word).into_iter().flatten());
        }
        if !self.odd_relations.is_empty() {
            let folded = text.to_lowercase();
            for (name, oid) in &self.odd_relations {
                if folded.contains(name.as_str()) {
                    found.insert(*oid);
                }
            }
        }
        found
    }

    fn functions_in(&self, text: &str) -> BTreeSet<u32> {
        words_of(text)
            .filter_map(|word| self.functions.get(&word))
            .flatten()
            .copied()
            .collect()
    }

    /// For each function the relations its body mentions, itself or through the functions it mentions.
    fn reached_by_functions(&self, bodies: &[Body]) -> HashMap<u32, BTreeSet<u32>> {
        let mut direct: HashMap<u32, BTreeSet<u32>> = HashMap::new();
        let mut calls: HashMap<u32, BTreeSet<u32>> = HashMap::new();
        for body in bodies {
            if let Some(text) = &body.text {
                direct.insert(body.oid, self.relations_in(text));
                calls.insert(body.oid, self.functions_in(text));
            }
        }
        bodies
            .iter()
            .map(|body| (body.oid, closure(body.oid, &direct, &calls)))
            .collect()
    }
}

/// Follows calls from one function; each function is visited once, so a recursive one ends too.
fn closure(
    start: u32,
    direct: &HashMap<u32, BTreeSet<u32>>,
    calls: &HashMap<u32, BTreeSet<u32>>,
) -> BTreeSet<u32> {
    let mut seen = BTreeSet::from([start]);
    let mut waiting = vec![start];
    let mut found = BTreeSet::new();
    while let Some(function) = waiting.pop() {
        found.extend(direct.get(&function).into_iter().flatten());
        for &called in calls.get(&function).into_iter().flatten() {
            if seen.insert(called) {
                waiting.push(called);
            }
        }
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

fn words_of(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !is_word(c))
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}

/// Whether the text holds the name as a word, case folded; names that are no single word are sought anywhere.
pub fn mentions(text: &str, name: &str) -> bool {
    let folded = name.to_lowercase();
    if folded.chars().all(is_word) {
        words_of(text).any(|word| word == folded)
    } else {
        text.to_lowercase().contains(&folded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<(u32, String)> {
        vec![
            (1, "contacts".to_owned()),
            (2, "orders".to_owned()),
            (3, "Odd Name".to_owned()),
        ]
    }

    fn body(oid: u32, name: &str, text: &str) -> Body {
        Body {
            oid,
            name: name.to_owned(),
            text: Some(text.to_owned()),
        }
    }

    #[test]
    fn a_trigger_reaches_what_its_functions_call() {
        let bodies = [
            body(10, "touch", "begin perform copy_out(); return new; end"),
            body(11, "copy_out", "insert into log select * from CONTACTS"),
        ];
        let evidence = Evidence {
            functions: vec![(2, 10)],
            ..Evidence::default()
        };
        let edges = edges(&names(), &bodies, &evidence);
        assert_eq!(edges[&2], BTreeSet::from([1]));
    }

    #[test]
    fn recursion_between_functions_ends() {
        let bodies = [
            body(10, "a", "select b()"),
            body(11, "b", "select a() from orders"),
        ];
        let evidence = Evidence {
            functions: vec![(1, 10)],
            ..Evidence::default()
        };
        assert_eq!(edges(&names(), &bodies, &evidence)[&1], BTreeSet::from([2]));
    }

    #[test]
    fn a_view_over_query_text_reaches_everything() {
        let evidence = Evidence {
            indirect: vec![(9, "query_to_xml".to_owned())],
            ..Evidence::default()
        };
        assert_eq!(
            edges(&names(), &[], &evidence)[&9],
            BTreeSet::from([1, 2, 3])
        );
    }

    #[test]
    fn what_shows_stored_values_is_reached() {
        let evidence = Evidence {
            indirect: vec![(3, "pg_stat_activity".to_owned())],
            ..Evidence::default()
        };
        assert_eq!(
            edges(&names(), &[], &evidence)[&3],
            BTreeSet::from([STORED])
        );
    }

    #[test]
    fn what_a_view_calls_is_no_edge_of_it() {
        let bodies = [body(10, "f", "select from orders")];
        let mut evidence = Evidence {
            functions: vec![(1, 10), (3, 10), (3, 11)],
            ..Evidence::default()
        };
        let views = BTreeSet::from([3]);
        assert_eq!(
            evidence.calls(&views),
            HashMap::from([(3, BTreeSet::from([10, 11]))])
        );
        let edges = edges(&names(), &bodies, &evidence);
        assert_eq!(edges[&1], BTreeSet::from([2]));
        assert!(!edges.contains_key(&3));
    }

    #[test]
    fn part_of_a_word_is_no_mention() {
        assert!(!mentions("select * from contacts_old", "contacts"));
        assert!(mentions("select * from public.\"Contacts\"", "contacts"));
        assert!(mentions("x from \"odd name\"", "Odd Name"));
    }

    #[test]
    fn no_relation_reaches_itself() {
        let bodies = [body(10, "f", "select from orders")];
        let evidence = Evidence {
            relations: vec![(2, 2)],
            functions: vec![(2, 10)],
            ..Evidence::default()
        };
        assert!(
            edges(&names(), &bodies, &evidence)
                .get(&2)
                .is_none_or(BTreeSet::is_empty)
        );
    }
}

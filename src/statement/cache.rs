//! The plan cache: how a text is rewritten, kept by the text's shape, so that the same statement with other constants is
//! not analysed again.
//!
//! A shape is the text's tokens, in which constants at plain places (beside a comparison or a LIKE, in a list of values,
//! behind LIMIT; under a cast too) count by their form alone; all others count as they are written. A shape is kept when it comes for the second
//! time, and only where the analysis of the same text *with other constants* gives the same rewriting: whatever depends
//! on a constant is analysed each time, and so is a text with more in it than queries. Refusals are not kept. Holds no text and none of those constants: the key is a
//! salted digest. One cache belongs to one role's view of one catalog under one policy, and goes with it.

mod constants;

use std::fmt;
use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use sha2::{Digest as _, Sha256};

use self::constants::{Constant, constants, with_others};
use super::lex::{Token, lex};
use super::plan::{Plan, Refusal};
use super::rewrite::Rewrite;
use crate::limits::{PLAN_CACHE_BYTES_MAX, PLAN_CACHE_TEXT_BYTES_MAX, PLAN_CACHE_TYPICAL_BYTES};

/// What the analysis of one text gives: how it is rewritten, and the plan; None where nothing is.
pub(super) type Analysed = Result<Option<(Rewrite, Plan)>, Refusal>;

/// A digest of a shape.
type Key = [u8; 32];

/// What is known of a shape.
#[derive(Clone)]
enum Entry {
    /// it came once
    Seen,
    /// its plan depends on its constants
    Varies,
    /// nothing in it has to change
    Untouched,
    /// it is rewritten so
    Rewritten(Arc<Rewrite>),
}

#[derive(Clone)]
struct Bytes;

impl Weighter<Key, Entry> for Bytes {
    fn weight(&self, _: &Key, entry: &Entry) -> u64 {
        let beside = match entry {
            Entry::Seen | Entry::Varies | Entry::Untouched => 0,
            Entry::Rewritten(rewrite) => rewrite.bytes(),
        };
        (size_of::<Key>() + size_of::<Entry>() + beside) as u64
    }
}

/// The rewritings of one role, bounded in bytes.
pub struct PlanCache {
    entries: Cache<Key, Entry, Bytes>,
    salt: [u8; 16],
    /// hears of every look-up whether it hit
    heard: Box<dyn Fn(bool) + Send + Sync>,
}

impl fmt::Debug for PlanCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PlanCache({})", self.entries.len())
    }
}

impl PlanCache {
    /// An empty one; `heard` is told of every look-up whether it hit.
    pub fn new(heard: impl Fn(bool) + Send + Sync + 'static) -> Self {
        let items = PLAN_CACHE_BYTES_MAX / PLAN_CACHE_TYPICAL_BYTES;
        Self {
            entries: Cache::with_weighter(items, PLAN_CACHE_BYTES_MAX as u64, Bytes),
            salt: rand::random(),
            heard: Box::new(heard),
        }
    }

    /// The plan of a text, by what is kept of its shape or by its analysis.
    pub(super) fn plan(
        &self,
        (text, tokens): (&str, Vec<Token>),
        conforming: bool,
        analyse: impl Fn(&str, Vec<Token>) -> Analysed,
    ) -> Result<Option<Plan>, Refusal> {
        if text.len() > PLAN_CACHE_TEXT_BYTES_MAX {
            return Ok(analyse(text, tokens)?.map(|(_, plan)| plan));
        }
        let constants = constants(text, &tokens);
        let key = self.key((text, &tokens), conforming, &constants);
        let known = self.entries.get(&key);
        let hit = matches!(known, Some(Entry::Untouched | Entry::Rewritten(_)));
        (self.heard)(hit);
        let other = match known {
            Some(Entry::Untouched) => return Ok(None),
            Some(Entry::Rewritten(rewrite)) => return rewrite.plan(text, &tokens).map(Some),
            Some(Entry::Seen) => Some(with_others(text, &tokens, &constants)),
            Some(Entry::Varies) | None => None,
        };
        let found = analyse(text, tokens)?;
        match other {
            Some(other) => {
                let entry = entry(&found, &other, conforming, analyse);
                self.entries.insert(key, entry);
            }
            None if known.is_none() => self.entries.insert(key, Entry::Seen),
            None => {}
        }
        Ok(found.map(|(_, plan)| plan))
    }

    fn key(
        &self,
        (text, tokens): (&str, &[Token]),
        conforming: bool,
        constants: &[Constant],
    ) -> Key {
        let mut shape = Vec::with_capacity(text.len() + 2 * tokens.len() + 32);
        shape.extend_from_slice(&self.salt);
        shape.push(u8::from(conforming));
        let mut constants = constants.iter().peekable();
        for (index, token) in tokens.iter().enumerate() {
            // No token holds a NUL, so what stands behind one is no part of a token.
            shape.push(0);
            match constants.next_if(|constant| constant.index == index) {
                Some(constant) => shape.extend_from_slice(&[0, constant.form as u8]),
                None => shape.extend_from_slice(&text.as_bytes()[token.start..token.end]),
            }
        }
        Sha256::digest(&shape).into()
    }
}

/// What becomes of a shape that came before: `found` is what `analyse` gave for the text, `other` the text with other
/// constants.
fn entry(
    found: &Option<(Rewrite, Plan)>,
    other: &str,
    conforming: bool,
    analyse: impl Fn(&str, Vec<Token>) -> Analysed,
) -> Entry {
    let Ok(tokens) = lex(other, conforming) else {
        return Entry::Varies;
    };
    match (found, analyse(other, tokens)) {
        (None, Ok(None)) => Entry::Untouched,
        (Some((rewrite, _)), Ok(Some((same, _)))) if *rewrite == same => {
            Entry::Rewritten(Arc::new(rewrite.clone()))
        }
        _ => Entry::Varies,
    }
}

#[cfg(test)]
mod tests;

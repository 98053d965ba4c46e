//! The account of identifiers: every word that could name something treated was understood as a name.
//!
//! Knows the names of the catalog; what a statement itself calls a held column is known once types are inferred.

use super::{Bounded, Resolver};
use crate::statement::lex::TokenKind;
use crate::statement::plan::Refusal;
use crate::statement::refuse;
use crate::statement::tree::Node;

impl Resolver<'_> {
    /// Refuses a word that names something treated and was not understood as a name; gives the other words that were not.
    pub(super) fn account(&self, statements: &[Bounded]) -> Result<Vec<usize>, Refusal> {
        let mut unaccounted = Vec::new();
        for statement in statements
            .iter()
            .filter(|s| !matches!(s.node, Node::Untouched))
        {
            for index in statement.extent.start..statement.extent.end {
                let TokenKind::Word { name, .. } = &self.tokens[index].kind else {
                    continue;
                };
                if self.accounted[index] {
                    continue;
                }
                let reach = self.names.reach;
                if reach.mention(name).is_some() || reach.is_attribute(name) {
                    return Err(refuse::unsupported(
                        format!("the word {name:?} at this place"),
                        self.position(index),
                    ));
                }
                unaccounted.push(index);
            }
        }
        Ok(unaccounted)
    }
}

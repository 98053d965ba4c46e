//! The second account of identifiers, by what the statement itself calls a held column.
//!
//! A net under the binding of names: where sqlparser or `resolve` takes a word for less than PostgreSQL does.

use std::collections::HashSet;

use super::{Inference, Ty};
use crate::statement::lex::TokenKind;
use crate::statement::plan::Refusal;
use crate::statement::refuse;
use crate::statement::treatment::{Treatment, treatment};
use crate::statement::tree::{Origin, Resolved};
use crate::statement::utility::is_symbol;

impl Inference<'_> {
    /// Refuses a word that was understood as no name and is what the statement calls a held column: PostgreSQL may
    /// well take it for that column.
    pub(super) fn account(&self) -> Result<(), Refusal> {
        let mut names: HashSet<&str> = HashSet::new();
        for (query, types) in self.resolved.queries.iter().zip(&self.types) {
            let outputs = query.outputs.iter().flatten().zip(types.iter().flatten());
            names.extend(outputs.filter_map(|(name, ty)| match ty {
                Ty::Held(_) => Some(name.as_str()),
                Ty::Plain | Ty::Constant => None,
            }));
        }
        for column in self
            .resolved
            .sources
            .iter()
            .flat_map(|s| s.columns.iter().flatten())
        {
            let held = match &column.origin {
                Origin::Treated(t) => {
                    !matches!(treatment(t, self.role), Treatment::Free | Treatment::Masked)
                }
                Origin::Output(query, index) => matches!(
                    self.types
                        .get(query.0)
                        .and_then(|t| t.as_ref()?.get(*index)),
                    Some(Ty::Held(_))
                ),
                Origin::Plain => false,
            };
            if held {
                names.insert(&column.name);
            }
        }
        for &index in &self.resolved.unaccounted {
            if let TokenKind::Word { name, .. } = &self.resolved.tokens[index].kind
                && names.contains(name.as_str())
                && !self.names_a_type(index)
            {
                let position = Some(self.resolved.tokens[index].start);
                return Err(refuse::unsupported(
                    format!("the word {name:?} at this place"),
                    position,
                ));
            }
        }
        Ok(())
    }

    /// Whether the word is the type of a cast or of a constant.
    fn names_a_type(&self, index: usize) -> bool {
        let Resolved { text, tokens, .. } = self.resolved;
        let cast = index
            .checked_sub(1)
            .is_some_and(|before| is_symbol(text, &tokens[before], "::"));
        cast || matches!(
            tokens.get(index + 1).map(|t| &t.kind),
            Some(TokenKind::Text(_))
        )
    }
}

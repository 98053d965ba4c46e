//! The proof that a text may go upstream: it met nothing treated, or every slot of its plan is filled.
//!
//! **Invariant:** [`Ready`] is made in this folder only, so that upstream cannot be handed a text that nobody looked
//! at. Knows texts; knows no key.

use std::fmt;

use crate::statement::plan::Outcome;

/// A statement text that may be sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Ready(String);

impl Ready {
    /// The client's own text, when the analysis says that it meets nothing treated; None otherwise.
    pub fn untouched(outcome: &Outcome, text: &str) -> Option<Self> {
        match outcome {
            Outcome::Untouched => Some(Self(text.to_owned())),
            Outcome::Plan(_) | Outcome::Refused(_) => None,
        }
    }

    /// A plan's text with its slots filled.
    pub(super) fn filled(text: String) -> Self {
        Self(text)
    }

    /// The text to send.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Ready {
    /// The text's literals are the client's: only its length is told.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ready({} bytes)", self.0.len())
    }
}

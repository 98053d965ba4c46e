//! The refusals of the analysis, each with its SQLSTATE, reason and hint. Never with a value.

use std::fmt::Display;

use super::plan::Refusal;
use crate::ident::{AttributeName, SqlState};

/// Not understood around a treated attribute.
pub(super) fn unsupported(what: impl Display, position: Option<usize>) -> Refusal {
    Refusal {
        sqlstate: SqlState::FEATURE_NOT_SUPPORTED,
        message: format!("{what} is not supported where a treated attribute could be met"),
        hint: "Write the statement without it, or ask the DBA whether the attribute needs its treatment. \
               `pgveil explain` shows what is understood."
            .to_owned(),
        position,
        reason: "unsupported",
    }
}

/// The text could not be parsed and names something treated.
pub(super) fn unparsed(what: impl Display, position: Option<usize>) -> Refusal {
    Refusal {
        sqlstate: SqlState::FEATURE_NOT_SUPPORTED,
        message: format!("the statement names a treated relation and could not be analysed: {what}"),
        hint: "If PostgreSQL accepts this statement, write it in a simpler form; `pgveil explain` tells what is understood.".to_owned(),
        position,
        reason: "parse",
    }
}

/// An operation that what is stored cannot answer.
pub(super) fn search_missing(
    attribute: &AttributeName,
    what: &str,
    word: &str,
    position: Option<usize>,
) -> Refusal {
    Refusal {
        sqlstate: SqlState::FEATURE_NOT_SUPPORTED,
        message: format!("{what} cannot be computed over {attribute} as it is stored"),
        hint: format!("It needs the search word `{word}` in the policy of {attribute}."),
        position,
        reason: "search_missing",
    }
}

/// A comparison of whole stored values, where equal values may be stored differently.
pub(super) fn needs_head(attribute: &AttributeName, position: Option<usize>) -> Refusal {
    Refusal {
        sqlstate: SqlState::FEATURE_NOT_SUPPORTED,
        message: format!(
            "grouping or matching rows by {attribute} cannot be computed as it is stored: equal values of its type can differ"
        ),
        hint: format!(
            "{attribute} can be compared by =, <>, IN, ANY, JOIN … ON, count(DISTINCT …) and SELECT DISTINCT; not by GROUP BY, DISTINCT ON, UNION, USING or ON CONFLICT."
        ),
        position,
        reason: "unsupported",
    }
}

/// A use of a treated attribute that no search word would make possible.
pub(super) fn not_computable(
    attribute: &AttributeName,
    what: &str,
    position: Option<usize>,
) -> Refusal {
    Refusal {
        sqlstate: SqlState::FEATURE_NOT_SUPPORTED,
        message: format!("{what} cannot be computed over {attribute} as it is stored"),
        hint: format!(
            "Select {attribute} itself and compute in the application; it can be compared with literals and parameters."
        ),
        position,
        reason: "unsupported",
    }
}

/// A comparison by a token with what is stored plain.
pub(super) fn token_over_plain(attribute: &AttributeName, position: Option<usize>) -> Refusal {
    Refusal {
        hint: format!(
            "Store {attribute} tokenised and show it `stored`, or seal it with the search word `equal`: then tokens can be compared."
        ),
        ..not_computable(attribute, "a comparison by a token", position)
    }
}

/// The policy does not let the role do this.
pub(super) fn denied(attribute: &AttributeName, what: &str, position: Option<usize>) -> Refusal {
    Refusal {
        sqlstate: SqlState::INSUFFICIENT_PRIVILEGE,
        message: format!("the policy does not allow this role to {what} {attribute}"),
        hint: "Ask the DBA who keeps the policy; `show` and `compare` of the attribute decide."
            .to_owned(),
        position,
        reason: "policy",
    }
}

/// The policy does not let the role run this kind of statement, or use this object, at all.
pub(super) fn denied_object(what: impl Display, position: Option<usize>) -> Refusal {
    Refusal {
        sqlstate: SqlState::INSUFFICIENT_PRIVILEGE,
        message: format!("{what} is not open to this role"),
        hint: "It could show treated attributes by another road. The DBA can name it in the policy (`allow`, `functions.trust`) \
               or give the role plain sight."
            .to_owned(),
        position,
        reason: "policy",
    }
}

/// The database does not hold the attribute as the policy says.
pub(super) fn not_ready(attribute: &AttributeName, why: &str) -> Refusal {
    Refusal {
        sqlstate: SqlState::NOT_IN_PREREQUISITE_STATE,
        message: format!("{attribute} is not stored as its policy says: {why}"),
        hint: "Run `pgveil check`, then `pgveil apply`.".to_owned(),
        position: None,
        reason: "not_ready",
    }
}

/// Nested too deeply.
pub(super) fn too_deep(position: Option<usize>) -> Refusal {
    Refusal {
        sqlstate: SqlState::STATEMENT_TOO_COMPLEX,
        message: "the statement is nested too deeply to be analysed".to_owned(),
        hint: "Nest fewer parentheses and subqueries.".to_owned(),
        position,
        reason: "too_deep",
    }
}

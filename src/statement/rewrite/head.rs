//! A column whose equality lies in a term is compared by its head: what is behind it differs for equal values.
//!
//! before: `WHERE document = '{"a": 1.0}'`
//! after:  `WHERE pg_catalog.substring(document, 1, 26) = ⟨slot⟩`, filled with a head

use super::{Draft, Edit, Replacement};
use crate::seal::HEAD_BYTES;
use crate::statement::plan::Refusal;
use crate::statement::tree::Extent;

/// Wraps every such column.
pub(super) fn compare_heads(draft: &Draft<'_>) -> Result<Vec<Edit>, Refusal> {
    let inferred = &draft.authorised.inferred;
    let resolved = &inferred.resolved;
    let wrap = |extent: &Extent| {
        let (first, last) = (
            &resolved.tokens[extent.start],
            &resolved.tokens[extent.end - 1],
        );
        let column = &resolved.text[first.start..last.end];
        let head = format!("pg_catalog.substring({column}, 1, {HEAD_BYTES})");
        Edit {
            extent: *extent,
            with: Replacement::Text(head),
        }
    };
    Ok(inferred.heads.iter().map(wrap).collect())
}

//! A cast around a held column that changes no value is dropped: the stored form is the same.
//!
//! before: `SELECT email::text FROM contacts`
//! after:  `SELECT email FROM contacts`, with the column shown as text

use super::{Draft, Edit, Replacement};
use crate::statement::plan::Refusal;

/// Drops the tokens of such casts.
pub(super) fn drop_casts(draft: &Draft<'_>) -> Result<Vec<Edit>, Refusal> {
    let drops = draft
        .authorised
        .inferred
        .drops
        .iter()
        .filter(|e| e.start < e.end);
    Ok(drops
        .map(|&extent| Edit {
            extent,
            with: Replacement::Text(String::new()),
        })
        .collect())
}

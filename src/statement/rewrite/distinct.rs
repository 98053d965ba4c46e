//! DISTINCT over a column whose equality lies in a term goes by its head; the other columns are named by their places,
//! so that nothing is computed twice. Of equal values one stands, as PostgreSQL has it: which one is not said.
//!
//! before: `SELECT DISTINCT o.id, o.document FROM orders o`
//! after:  `SELECT DISTINCT ON (1, pg_catalog.substring(o.document, 1, 26)) o.id, o.document FROM orders o`

use super::{Draft, Edit, Replacement};
use crate::ident::quote_ident;
use crate::seal::HEAD_BYTES;
use crate::statement::infer::DistinctHeads;
use crate::statement::plan::Refusal;
use crate::statement::refuse;
use crate::statement::tree::ColumnRef;

/// Rewrites every such DISTINCT.
pub(super) fn distinct_by_heads(draft: &Draft<'_>) -> Result<Vec<Edit>, Refusal> {
    let inferred = &draft.authorised.inferred;
    inferred.distinct.iter().map(|d| edit(d, draft)).collect()
}

fn edit(distinct: &DistinctHeads, draft: &Draft<'_>) -> Result<Edit, Refusal> {
    let DistinctHeads { word, keys } = distinct;
    let mut on = Vec::with_capacity(keys.len());
    for (place, key) in (1..).zip(keys) {
        on.push(match key {
            Some(column) => head(*column, draft)?,
            None => format!("{place}"),
        });
    }
    Ok(Edit {
        extent: *word,
        with: Replacement::Text(format!("DISTINCT ON ({})", on.join(", "))),
    })
}

fn head(column: ColumnRef, draft: &Draft<'_>) -> Result<String, Refusal> {
    let source = &draft.authorised.inferred.resolved.sources[column.source.0];
    let columns = source.columns.as_ref();
    let name = columns.and_then(|all| all.get(column.column));
    let name = name.ok_or_else(|| refuse::unsupported("DISTINCT over this column", None))?;
    let (source, name) = (quote_ident(&source.name), quote_ident(&name.name));
    Ok(format!(
        "pg_catalog.substring({source}.{name}, 1, {HEAD_BYTES})"
    ))
}

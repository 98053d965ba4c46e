//! GROUP BY a relation's primary key lets the other columns stand beside aggregates (manual, GROUP BY); a subselect has
//! no primary key, so the columns that are used are named too. They depend on the key: the groups stay the same.
//!
//! before: `SELECT c.id, c.notes, count(*) FROM contacts c … GROUP BY c.id`
//! after:  `SELECT c.id, c.notes, count(*) FROM (SELECT …) c … GROUP BY c.id, c.notes`

use super::{Draft, Edit, Replacement};
use crate::ident::quote_ident;
use crate::statement::infer::is_replaced;
use crate::statement::plan::Refusal;
use crate::statement::tree::{Body, ColumnRef, Extent, Select, SourceId};

/// Names the columns that a primary key in GROUP BY stands for, of every relation that is replaced.
pub(super) fn name_dependent_columns(draft: &Draft<'_>) -> Result<Vec<Edit>, Refusal> {
    let resolved = &draft.authorised.inferred.resolved;
    let mut edits = Vec::new();
    for query in &resolved.queries {
        if let Body::Select(select) = &query.body {
            let added = query.sources.iter();
            let added = added.filter_map(|&source| dependent(source, select, draft));
            edits.extend(added);
        }
    }
    Ok(edits)
}

fn dependent(id: SourceId, select: &Select, draft: &Draft<'_>) -> Option<Edit> {
    let resolved = &draft.authorised.inferred.resolved;
    let source = &resolved.sources[id.0];
    let key = &source.relation.as_ref()?.primary_key;
    let place = |column: usize| -> Option<Extent> {
        let wanted = ColumnRef { source: id, column };
        let found = select.group_columns.iter().find(|(is, _)| *is == wanted);
        found.map(|(_, extent)| *extent)
    };
    let last = *key.last()?;
    if !key.iter().all(|&column| place(column).is_some())
        || !is_replaced(source, resolved, draft.role)
    {
        return None;
    }
    let extent = place(last)?;
    let columns = source.columns.as_ref()?;
    let all = 0..columns.len();
    let missing = all.filter(|column| {
        let used = source.used.unnamed || source.used.columns.contains(column);
        used && place(*column).is_none()
    });
    let qualifier = quote_ident(&source.name);
    let missing = missing.map(|c| format!(", {qualifier}.{}", quote_ident(&columns[c].name)));
    let missing: String = missing.collect();
    // The last token only: what stands before it may be replaced too.
    let token = &resolved.tokens[extent.end - 1];
    let extent = Extent {
        start: extent.end - 1,
        end: extent.end,
    };
    let text = format!("{}{missing}", &resolved.text[token.start..token.end]);
    (!missing.is_empty()).then_some(Edit {
        extent,
        with: Replacement::Text(text),
    })
}

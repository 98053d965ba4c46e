//! A relation with attributes stored plain that the role sees masked is replaced by a subselect, so that every
//! mention in the statement meets the masked value.
//!
//! before: `SELECT public.contacts.notes FROM contacts`
//! after:  `SELECT contacts.notes FROM (SELECT CASE … END AS notes FROM public.contacts) AS contacts`
//!
//! The subselect has the columns that the text may use, and no others: a login may have been granted some only. A text
//! that uses none of those that are masked keeps the relation.

use super::{Draft, Edit, Replacement};
use crate::ident::{RoleName, quote_ident};
use crate::statement::infer::is_replaced;
use crate::statement::plan::Refusal;
use crate::statement::refuse;
use crate::statement::treatment::{Treatment, masked_sql, treatment};
use crate::statement::tree::{NamedRelation, Origin, Source};

/// Replaces every such relation in FROM.
pub(super) fn replace_relations(draft: &Draft<'_>) -> Result<Vec<Edit>, Refusal> {
    let resolved = &draft.authorised.inferred.resolved;
    let mut edits = Vec::new();
    for source in &resolved.sources {
        if is_replaced(source, resolved, draft.role) {
            edits.extend(replace(source, draft)?);
            edits.extend(source.used.schemas.iter().map(|&extent| Edit {
                extent,
                with: Replacement::Text(String::new()),
            }));
        }
    }
    Ok(edits)
}

fn replace(source: &Source, draft: &Draft<'_>) -> Result<Option<Edit>, Refusal> {
    let (Some(relation), Some(columns)) = (&source.relation, &source.columns) else {
        return Ok(None);
    };
    let NamedRelation {
        name,
        extent,
        attributes,
        primary_key: _,
    } = relation;
    let resolved = &draft.authorised.inferred.resolved;
    let used = columns.iter().zip(attributes);
    let used = used.filter(|(_, attribute)| resolved.may_use(source, attribute));
    let items = used.map(|(column, attribute)| item(attribute, &column.origin, draft.role));
    let mut items: Vec<String> = items.collect();
    if source.used.unnamed && !source.used.system.is_empty() {
        let position = resolved.tokens.get(extent.start).map(|t| t.start);
        return Err(refuse::unsupported(
            "a system column beside `*` or a whole row of a relation with masked attributes",
            position,
        ));
    }
    items.extend(source.used.system.iter().cloned());
    let alias = if source.aliased {
        String::new()
    } else {
        format!(" AS {}", quote_ident(&source.name))
    };
    let text = format!(
        "(SELECT {} FROM {}){alias}",
        items.join(", "),
        name.to_sql()
    );
    Ok(Some(Edit {
        extent: *extent,
        with: Replacement::Text(text),
    }))
}

/// A column of the subselect.
fn item(attribute: &str, origin: &Origin, role: &RoleName) -> String {
    let column = quote_ident(attribute);
    let Origin::Treated(treated) = origin else {
        return column;
    };
    let sql = match treatment(treated, role) {
        Treatment::Free | Treatment::Held => return column,
        Treatment::Denied(_) => None,
        Treatment::Masked => masked_sql(treated, role, &column),
    };
    // Without an SQL form nothing of the value may show.
    let sql = sql.unwrap_or_else(|| format!("NULL::{}", treated.logical.sql()));
    format!("{sql} AS {column}")
}

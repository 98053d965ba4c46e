//! A relation with attributes stored plain that the role sees masked is replaced by a subselect, so that every
//! mention in the statement meets the masked value.
//!
//! before: `FROM contacts c`
//! after:  `FROM (SELECT id, …, CASE … END AS notes FROM public.contacts) c`

use super::{Draft, Edit, Replacement};
use crate::ident::{RoleName, quote_ident};
use crate::statement::plan::Refusal;
use crate::statement::treatment::{Treatment, masked_sql, treatment};
use crate::statement::tree::{NamedRelation, Origin, Place, Source};

/// Replaces every such relation in FROM.
pub(super) fn replace_relations(draft: &Draft<'_>) -> Result<Vec<Edit>, Refusal> {
    let sources = draft.authorised.inferred.resolved.sources.iter();
    Ok(sources
        .filter(|s| s.place == Place::From)
        .filter_map(|s| replace(s, draft))
        .collect())
}

fn replace(source: &Source, draft: &Draft<'_>) -> Option<Edit> {
    let NamedRelation {
        name,
        extent,
        attributes,
    } = source.relation.as_ref()?;
    let columns = source.columns.as_ref()?;
    let mut masked = false;
    let mut items = Vec::with_capacity(columns.len());
    for (column, attribute) in columns.iter().zip(attributes) {
        let (item, is_masked) = item(attribute, &column.origin, draft.role);
        masked |= is_masked;
        items.push(item);
    }
    if !masked {
        return None;
    }
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
    Some(Edit {
        extent: *extent,
        with: Replacement::Text(text),
    })
}

fn item(attribute: &str, origin: &Origin, role: &RoleName) -> (String, bool) {
    let column = quote_ident(attribute);
    let Origin::Treated(treated) = origin else {
        return (column, false);
    };
    match treatment(treated, role) {
        Treatment::Free | Treatment::Held => (column, false),
        Treatment::Denied(_) => (
            format!("NULL::{} AS {column}", treated.logical.sql()),
            false,
        ),
        Treatment::Masked => match masked_sql(treated, role, &column) {
            Some(sql) => (format!("{sql} AS {column}"), true),
            // Masked says there is an SQL form; without one nothing of the value may show.
            None => (format!("NULL::{} AS {column}", treated.logical.sql()), true),
        },
    }
}

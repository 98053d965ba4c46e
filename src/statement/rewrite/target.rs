//! The target of UPDATE, DELETE and ON CONFLICT cannot be replaced: each mention of a masked attribute becomes
//! the mask expression.
//!
//! before: `UPDATE contacts SET seen = true WHERE notes = 'x' RETURNING notes`
//! after:  `UPDATE contacts SET seen = true WHERE (CASE …) = 'x' RETURNING (CASE …) AS notes`

use super::{Draft, Edit, Replacement};
use crate::ident::quote_ident;
use crate::statement::infer::MaskedMention;
use crate::statement::lex::TokenKind;
use crate::statement::plan::Refusal;
use crate::statement::refuse;
use crate::statement::treatment::masked_sql;
use crate::statement::tree::Origin;

/// Replaces every such mention.
pub(super) fn replace_mentions(draft: &Draft<'_>) -> Result<Vec<Edit>, Refusal> {
    draft
        .authorised
        .inferred
        .masked
        .iter()
        .map(|mention| replace(mention, draft))
        .collect()
}

fn replace(mention: &MaskedMention, draft: &Draft<'_>) -> Result<Edit, Refusal> {
    let MaskedMention {
        column,
        extent,
        label,
    } = mention;
    let resolved = &draft.authorised.inferred.resolved;
    let source = &resolved.sources[column.source.0];
    let Some((name, Origin::Treated(treated))) = source
        .columns
        .as_ref()
        .and_then(|c| c.get(column.column))
        .map(|c| (&c.name, &c.origin))
    else {
        return Err(refuse::unsupported(
            "this mention of a masked attribute",
            None,
        ));
    };
    let qualified = format!("{}.{}", quote_ident(&source.name), quote_ident(name));
    let Some(sql) = masked_sql(treated, draft.role, &qualified) else {
        return Err(refuse::not_computable(&treated.name, "its mask", None));
    };
    let aliased = matches!(
        resolved.tokens.get(extent.end).map(|t| &t.kind),
        Some(TokenKind::Word { .. })
    );
    let label = label
        .as_ref()
        .filter(|_| !aliased)
        .map(|name| format!(" AS {}", quote_ident(name)))
        .unwrap_or_default();
    Ok(Edit {
        extent: *extent,
        with: Replacement::Text(format!("({sql}){label}")),
    })
}

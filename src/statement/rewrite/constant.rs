//! A constant that meets an attribute becomes a slot; one that is compared with what lies as the role sees it stays.
//!
//! before: `WHERE email = 'a@b.c'`
//! after:  `WHERE email = ⟨slot⟩`, filled as `'\xd556…'::pg_catalog.bytea`

use super::{Draft, Edit, Replacement};
use crate::secret::Secret;
use crate::statement::infer::{Adapted, Site};
use crate::statement::lex::TokenKind;
use crate::statement::plan::{LiteralSlot, Refusal};
use crate::statement::refuse;
use crate::statement::tree::{ConstantKind, Extent};

/// Emits a slot for every adapted constant, `NULL` for a NULL with its casts.
pub(super) fn slot_constants(draft: &Draft<'_>) -> Result<Vec<Edit>, Refusal> {
    let mut edits = Vec::new();
    for adapted in draft.authorised.inferred.adapted.values() {
        let Site::Constant(kind, tokens) = adapted.site else {
            continue;
        };
        let with = match kind {
            ConstantKind::Null => Replacement::Text("NULL".to_owned()),
            _ if adapted.attribute.is_compared_as_it_lies(draft.role) => Replacement::Same,
            _ => Replacement::Slot(slot(draft, adapted, tokens)?),
        };
        edits.push(Edit {
            extent: adapted.extent,
            with,
        });
    }
    Ok(edits)
}

fn slot(draft: &Draft<'_>, adapted: &Adapted, tokens: Extent) -> Result<LiteralSlot, Refusal> {
    let Adapted {
        attribute,
        extent: _,
        site: _,
        shape,
        cast,
        assigned,
        listed,
    } = adapted;
    let resolved = &draft.authorised.inferred.resolved;
    let mut text = String::new();
    for token in &resolved.tokens[tokens.start..tokens.end] {
        match &token.kind {
            TokenKind::Text(value) => text.push_str(value),
            TokenKind::Number | TokenKind::Symbol
                if matches!(&resolved.text[token.start..token.end], "(" | ")") => {}
            TokenKind::Number | TokenKind::Symbol | TokenKind::Word { .. } => {
                text.push_str(&resolved.text[token.start..token.end])
            }
            TokenKind::OtherText | TokenKind::Parameter(_) => {
                return Err(refuse::unsupported(
                    "a constant of this form",
                    Some(token.start),
                ));
            }
        }
    }
    Ok(LiteralSlot {
        attribute: attribute.clone(),
        text: Secret::new(text),
        shape: *shape,
        cast: *cast,
        assigned: *assigned,
        listed: listed.is_some(),
        token: attribute.is_compared_by_token(draft.role).cloned(),
    })
}

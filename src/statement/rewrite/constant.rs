//! A constant that meets an attribute becomes a slot; one that is compared with what lies as the role sees it stays.
//!
//! before: `WHERE email = 'a@b.c'`
//! after:  `WHERE email = ⟨slot⟩`, filled as `'\xd556…'::pg_catalog.bytea`

use super::{Draft, Edit, Replacement};
use crate::secret::Secret;
use crate::statement::infer::{Adapted, Site};
use crate::statement::lex::{Token, TokenKind};
use crate::statement::plan::{LiteralSlot, Refusal};
use crate::statement::refuse;
use crate::statement::tree::ConstantKind;

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
            _ => {
                let resolved = &draft.authorised.inferred.resolved;
                // Said here already, so that what cannot be sealed is refused with all else that is refused.
                said(&resolved.text, &resolved.tokens[tokens.start..tokens.end])?;
                Replacement::Slot(slot(draft, adapted), tokens)
            }
        };
        edits.push(Edit {
            extent: adapted.extent,
            with,
        });
    }
    Ok(edits)
}

fn slot(draft: &Draft<'_>, adapted: &Adapted) -> LiteralSlot {
    let Adapted {
        attribute,
        extent: _,
        site: _,
        shape,
        cast,
        assigned,
        listed,
    } = adapted;
    LiteralSlot {
        attribute: attribute.clone(),
        text: Secret::default(),
        shape: *shape,
        cast: *cast,
        assigned: *assigned,
        listed: listed.is_some(),
        token: attribute.is_compared_by_token(draft.role).cloned(),
    }
}

/// What the constant of these tokens says, escapes resolved.
///
/// # Errors
/// 0A000 for a constant of a form of its own.
pub(super) fn said(text: &str, tokens: &[Token]) -> Result<String, Refusal> {
    let mut said = String::new();
    for token in tokens {
        let written = &text[token.start..token.end];
        match &token.kind {
            TokenKind::Text(value) => said.push_str(value),
            TokenKind::Number | TokenKind::Symbol if matches!(written, "(" | ")") => {}
            TokenKind::Number | TokenKind::Symbol | TokenKind::Word { .. } => {
                said.push_str(written);
            }
            TokenKind::OtherText | TokenKind::Parameter(_) => {
                return Err(refuse::unsupported(
                    "a constant of this form",
                    Some(token.start),
                ));
            }
        }
    }
    Ok(said)
}

//! What becomes of a statement: `lex → parse → resolve → infer → authorise → rewrite → verify`.
//!
//! Pure: no I/O, no clock, no key. The only user of sqlparser. What is not understood is refused.

mod authorise;
mod cache;
mod encoding;
mod fingerprint;
mod infer;
mod lex;
mod parse;
pub mod plan;
mod reach;
mod refuse;
mod resolve;
mod rewrite;
mod treatment;
mod tree;
mod utility;
mod verify;

use std::sync::Arc;

pub use self::cache::PlanCache;
pub use self::encoding::ClientEncoding;
pub use self::fingerprint::fingerprint;
pub use self::reach::Reach;

use self::lex::{Token, TokenKind};
use self::plan::{Outcome, Refusal};
use self::utility::Kind;
use crate::catalog::Snapshot;
use crate::ident::{RoleName, SqlState};
use crate::limits::STATEMENT_BYTES_MAX;
use crate::policy::decide::Bound;

/// What a text is analysed against.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// the catalog of the session's database
    pub snapshot: &'a Snapshot,
    /// the policy bound to it
    pub bound: &'a Bound,
    /// what the role could reach, computed from the two
    pub reach: &'a Reach,
    /// the session's role
    pub role: &'a RoleName,
    /// `standard_conforming_strings` as the server last reported it
    pub standard_conforming_strings: bool,
    /// `client_encoding` as the server last reported it
    pub client_encoding: ClientEncoding,
    /// what is known of texts of the same shape; None: each is analysed
    pub cache: Option<&'a PlanCache>,
}

/// Decides what becomes of a text, which may hold several statements.
pub fn analyse(text: &str, context: &Context<'_>) -> Outcome {
    analyse_and_fingerprint(text, context).0
}

/// The same, and the text's [`fingerprint()`] if that was found on the way: a text is cut into tokens only once.
pub fn analyse_and_fingerprint(text: &str, context: &Context<'_>) -> (Outcome, Option<u64>) {
    let mut shape = None;
    let outcome = match stages(text, context, &mut shape) {
        Ok(Some(plan)) => Outcome::Plan(Arc::new(plan)),
        Ok(None) => Outcome::Untouched,
        Err(refusal) => Outcome::Refused(refusal),
    };
    (outcome, shape)
}

/// The stages, one a line; None where the fast path or the analysis finds nothing to change.
fn stages(
    text: &str,
    context: &Context<'_>,
    shape: &mut Option<u64>,
) -> Result<Option<plan::Plan>, Refusal> {
    let reach = context.reach;
    if reach.nothing {
        return Ok(None);
    }
    match context.client_encoding {
        ClientEncoding::Utf8 => {}
        // Its other letters are not read as what they are, and stand in no name that reaches anything.
        ClientEncoding::SingleByte if reach.is_ascii() => {}
        ClientEncoding::SingleByte | ClientEncoding::Other if text.is_ascii() => {}
        ClientEncoding::SingleByte | ClientEncoding::Other => settled(context)?,
    }
    let Ok(tokens) = lex::lex(text, context.standard_conforming_strings) else {
        return unlexed(text, reach);
    };
    if context.standard_conforming_strings {
        *shape = fingerprint::of_tokens(text, &tokens);
    }
    let touches = reach.touches(&tokens);
    if !touches
        && !statements(text, &tokens).any(|tokens| utility::reaches_unseen(text, tokens, reach))
    {
        return Ok(None);
    }
    if touches {
        settled(context)?;
    }
    bounded(text)?;
    let names = resolve::Names {
        snapshot: context.snapshot,
        bound: context.bound,
        reach,
        allow_do_blocks: context.bound.allow_do_blocks.contains(context.role),
        standard_conforming_strings: context.standard_conforming_strings,
    };
    let analyse = |text: &str, tokens| {
        let resolved = resolve::resolve(text, tokens, &names)?;
        let inferred = infer::infer(resolved, context.role)?;
        let authorised = authorise::authorise(inferred, context.role)?;
        rewrite::rewrite(&authorised, context.role)
    };
    // What else a text holds (a SET, a DO) may ask what a constant says.
    let queries = statements(text, &tokens)
        .all(|tokens| matches!(utility::kind(text, tokens), Some(Kind::Dml(_))));
    match context.cache.filter(|_| queries) {
        Some(cache) => cache.plan((text, tokens), context.standard_conforming_strings, analyse),
        None => Ok(analyse(text, tokens)?.map(|(_, plan)| plan)),
    }
}

/// A text that is no sequence of tokens to pgveil: the server will say so, unless it could name something treated
/// or run code.
fn unlexed(text: &str, reach: &Reach) -> Result<Option<plan::Plan>, Refusal> {
    if reach.restricted || reach.touches_raw(text) {
        Err(refuse::unparsed("its tokens are not understood", None))
    } else {
        Ok(None)
    }
}

/// Whether a text names anything that reaches something treated for the role.
pub fn mentions(text: &str, reach: &Reach, standard_conforming_strings: bool) -> bool {
    if reach.nothing {
        return false;
    }
    match lex::lex(text, standard_conforming_strings) {
        Ok(tokens) => reach.touches(&tokens),
        Err(_) => reach.touches_raw(text),
    }
}

/// What must hold before a text that touches something treated is read any further.
fn settled(context: &Context<'_>) -> Result<(), Refusal> {
    if context.client_encoding != ClientEncoding::Utf8 {
        return Err(refuse::unsupported(
            "a client_encoding other than UTF8",
            None,
        ));
    }
    Ok(())
}

/// What is read any further has a length that can be read.
fn bounded(text: &str) -> Result<(), Refusal> {
    if text.len() > STATEMENT_BYTES_MAX {
        return Err(Refusal {
            sqlstate: SqlState::STATEMENT_TOO_COMPLEX,
            ..refuse::unsupported("a statement of this length", None)
        });
    }
    Ok(())
}

/// The token ranges of the statements of a text.
fn statements<'t>(text: &'t str, tokens: &'t [Token]) -> impl Iterator<Item = &'t [Token]> {
    tokens
        .split(move |t| utility::is_symbol(text, t, ";"))
        .filter(|s| !s.is_empty())
}

/// The kinds of the statements of a text, for audit and metrics: a closed set of words.
pub fn kinds(text: &str, standard_conforming_strings: bool) -> Vec<&'static str> {
    let Ok(tokens) = lex::lex(text, standard_conforming_strings) else {
        return vec!["OTHER"];
    };
    statements(text, &tokens)
        .map(|tokens| match utility::kind(text, tokens) {
            Some(Kind::Dml(word) | Kind::Utility(word)) => word,
            None => "OTHER",
        })
        .collect()
}

/// A text with every constant replaced by `?` and comments dropped: for the audit of what was refused.
///
/// `standard_conforming_strings` may stand either way here: where the two readings differ, nothing of the text
/// is shown but that it was there.
pub fn redact(text: &str) -> String {
    match (lex::lex(text, true), lex::lex(text, false)) {
        (Ok(conforming), Ok(escaping)) if same_places(&conforming, &escaping) => {
            redacted(text, &conforming)
        }
        _ => "?".to_owned(),
    }
}

/// Whether two readings of a text cut it into the same tokens.
fn same_places(left: &[Token], right: &[Token]) -> bool {
    left.len() == right.len()
        && left
            .iter()
            .zip(right)
            .all(|(l, r)| (l.start, l.end) == (r.start, r.end))
}

fn redacted(text: &str, tokens: &[Token]) -> String {
    let mut redacted = String::with_capacity(text.len());
    let mut end = 0;
    for token in tokens {
        if token.start > end && end > 0 {
            redacted.push(' ');
        }
        match token.kind {
            TokenKind::Text(_) | TokenKind::OtherText | TokenKind::Number => redacted.push('?'),
            TokenKind::Word { .. } | TokenKind::Parameter(_) | TokenKind::Symbol => {
                redacted.push_str(&text[token.start..token.end]);
            }
        }
        end = token.end;
    }
    redacted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_is_shown_without_constants() {
        assert_eq!(
            redact("SELECT a  FROM t WHERE b='x' AND c IN (1,$2) -- y"),
            "SELECT a FROM t WHERE b=? AND c IN (?,$2)"
        );
        assert_eq!(redact("SELECT '\\' OR secret = ' x'"), "?");
        assert_eq!(redact("SELECT 'unterminated"), "?");
    }
}

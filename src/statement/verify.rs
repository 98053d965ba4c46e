//! The postconditions of every plan: what is sent groups as it was analysed, and is the client's text but for
//! the edits.

use super::authorise::Authorised;
use super::infer::Inferred;
use super::lex::{TokenKind, lex};
use super::plan::{Piece, Plan, Refusal};
use super::refuse;
use super::tree::Extent;
use super::utility::is_symbol;

/// Words that may stand right before a comparison over a held attribute: none binds tighter than it.
const BEFORE: &[&str] = &[
    "select",
    "distinct",
    "all",
    "where",
    "on",
    "and",
    "or",
    "not",
    "having",
    "when",
    "then",
    "else",
    "case",
    "by",
    "returning",
    "filter",
    "set",
];

/// Words that may stand right behind one.
const BEHIND: &[&str] = &[
    "and",
    "or",
    "as",
    "from",
    "where",
    "group",
    "order",
    "having",
    "limit",
    "offset",
    "fetch",
    "for",
    "union",
    "intersect",
    "except",
    "then",
    "when",
    "else",
    "end",
    "returning",
    "join",
    "inner",
    "left",
    "right",
    "full",
    "cross",
    "natural",
    "window",
    "using",
    "on",
    "into",
];

/// Checks that PostgreSQL groups what touches held attributes as the tree did, whatever sqlparser's precedence.
///
/// # Errors
/// 0A000 that asks for parentheses.
pub(super) fn grouping(inferred: &Inferred) -> Result<(), Refusal> {
    for extent in &inferred.grouped {
        if !(bounded_before(inferred, *extent) && bounded_behind(inferred, *extent)) {
            let position = inferred.resolved.tokens.get(extent.start).map(|t| t.start);
            return Err(refuse::unsupported(
                "an expression of a treated attribute without parentheses",
                position,
            ));
        }
    }
    Ok(())
}

fn bounded_before(inferred: &Inferred, extent: Extent) -> bool {
    let Some(index) = extent.start.checked_sub(1) else {
        return true;
    };
    neighbour(inferred, index, BEFORE, &["(", ",", ";"]) || closes_distinct_on(inferred, index)
}

/// Whether the token closes the list of a DISTINCT ON: a select list begins behind it.
fn closes_distinct_on(inferred: &Inferred, index: usize) -> bool {
    let is = |at: usize, symbol: &str| {
        is_symbol(
            &inferred.resolved.text,
            &inferred.resolved.tokens[at],
            symbol,
        )
    };
    let is_word = |at: usize, word: &str| matches!(&inferred.resolved.tokens[at].kind, TokenKind::Word { name, quoted: false } if name == word);
    if !is(index, ")") {
        return false;
    }
    let mut depth = 0usize;
    for at in (0..=index).rev() {
        if is(at, ")") {
            depth += 1;
        } else if is(at, "(") {
            depth -= 1;
            if depth == 0 {
                return at >= 2 && is_word(at - 1, "on") && is_word(at - 2, "distinct");
            }
        }
    }
    false
}

fn bounded_behind(inferred: &Inferred, extent: Extent) -> bool {
    if extent.end >= inferred.resolved.tokens.len() {
        return true;
    }
    // An output column may carry an alias: a word that is no operator follows and then an end.
    let alias = extent.end - extent.start <= 3 && is_alias(inferred, extent.end);
    alias || neighbour(inferred, extent.end, BEHIND, &[")", ",", ";"])
}

/// A bare alias: a word with a comma, a bracket, FROM or the end behind it.
fn is_alias(inferred: &Inferred, index: usize) -> bool {
    const OPERATORS: &[&str] = &[
        "is", "isnull", "notnull", "in", "like", "ilike", "similar", "between", "not", "collate",
        "at", "operator", "overlaps", "over",
    ];
    let word = matches!(&inferred.resolved.tokens[index].kind, TokenKind::Word { name, quoted } if *quoted || !OPERATORS.contains(&name.as_str()));
    word && (index + 1 >= inferred.resolved.tokens.len()
        || neighbour(
            inferred,
            index + 1,
            &["from", "where", "union", "order", "limit"],
            &[")", ",", ";"],
        ))
}

/// Whether the token is one of these words or symbols.
fn neighbour(inferred: &Inferred, index: usize, words: &[&str], symbols: &[&str]) -> bool {
    let token = &inferred.resolved.tokens[index];
    match &token.kind {
        TokenKind::Word {
            name,
            quoted: false,
        } if words.contains(&name.as_str()) => true,
        TokenKind::Symbol => symbols.contains(&&inferred.resolved.text[token.start..token.end]),
        _ => false,
    }
}

/// Checks a finished plan: every adapted constant became a slot, and no two tokens grew together.
///
/// # Errors
/// 0A000; such a plan is never sent.
pub(super) fn postconditions(authorised: &Authorised, plan: &Plan) -> Result<(), Refusal> {
    let broken = || refuse::unsupported("a statement whose rewriting could not be verified", None);
    let inferred = &authorised.inferred;
    let conforming = inferred.resolved.standard_conforming_strings;
    if plan.statements.len() != inferred.resolved.statements.len() {
        return Err(broken());
    }
    // Lexed piece by piece and as a whole, the text must have the same tokens.
    let mut whole = String::new();
    let mut apart = 0;
    for piece in &plan.pieces {
        let text = match piece {
            Piece::Text(text) => text.as_str(),
            Piece::Slot(_) => "0",
        };
        // A backslash of ours would mean one thing or another by a setting of the session's.
        if !conforming && !inferred.resolved.text.contains(text.trim_end()) && text.contains('\\') {
            return Err(broken());
        }
        apart += lex(text, conforming).map_err(|_| broken())?.len();
        whole.push_str(text);
    }
    if lex(&whole, conforming).map_err(|_| broken())?.len() != apart {
        return Err(broken());
    }
    Ok(())
}

//! What kind of statement begins here, and what becomes of those that are no DML.
//!
//! Looks at tokens only. A utility statement that could touch a treated attribute is refused unless it stands
//! in the short list of those that show and move no value.

use super::lex::{Token, TokenKind};
use super::plan::Refusal;
use super::reach::{Mention, Reach};
use super::refuse;

/// What has to be done with a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// SELECT, INSERT, UPDATE, DELETE, VALUES, WITH: analysed in full
    Dml(&'static str),
    /// everything else, by its first word
    Utility(&'static str),
}

/// The words statements begin with (manual, VI.I), for audit and metrics: a closed set of labels.
const WORDS: &[&str] = &[
    "ABORT",
    "ALTER",
    "ANALYZE",
    "ANALYSE",
    "BEGIN",
    "CALL",
    "CHECKPOINT",
    "CLOSE",
    "CLUSTER",
    "COMMENT",
    "COMMIT",
    "COPY",
    "CREATE",
    "DEALLOCATE",
    "DECLARE",
    "DISCARD",
    "DO",
    "DROP",
    "END",
    "EXECUTE",
    "EXPLAIN",
    "FETCH",
    "GRANT",
    "IMPORT",
    "LISTEN",
    "LOAD",
    "LOCK",
    "MERGE",
    "MOVE",
    "NOTIFY",
    "PREPARE",
    "REASSIGN",
    "REFRESH",
    "REINDEX",
    "RELEASE",
    "RESET",
    "REVOKE",
    "ROLLBACK",
    "SAVEPOINT",
    "SECURITY",
    "SET",
    "SHOW",
    "START",
    "TRUNCATE",
    "UNLISTEN",
    "VACUUM",
];

/// Statements that may name a treated relation: they show no value and move none.
const HARMLESS: &[&str] = &[
    "ANALYZE",
    "ANALYSE",
    "CLUSTER",
    "GRANT",
    "LOCK",
    "REINDEX",
    "REVOKE",
    "TRUNCATE",
    "VACUUM",
    "LISTEN",
    "NOTIFY",
    "UNLISTEN",
    "SAVEPOINT",
    "RELEASE",
    "ROLLBACK",
    "DEALLOCATE",
    "CLOSE",
];

/// The kind of the statement that these tokens make up; None when there are none.
pub(super) fn kind(text: &str, tokens: &[Token]) -> Option<Kind> {
    let first = tokens.iter().find(|t| !is_symbol(text, t, "("))?;
    let TokenKind::Word {
        name,
        quoted: false,
    } = &first.kind
    else {
        return Some(Kind::Utility("OTHER"));
    };
    Some(match name.as_str() {
        "select" => Kind::Dml("SELECT"),
        "insert" => Kind::Dml("INSERT"),
        "update" => Kind::Dml("UPDATE"),
        "delete" => Kind::Dml("DELETE"),
        "values" => Kind::Dml("VALUES"),
        "with" => Kind::Dml("WITH"),
        "table" => Kind::Dml("TABLE"),
        other => Kind::Utility(
            WORDS
                .iter()
                .copied()
                .find(|w| w.eq_ignore_ascii_case(other))
                .unwrap_or("OTHER"),
        ),
    })
}

/// Whether a statement of this kind reaches a treated attribute by a road that names none.
pub(super) fn reaches_unseen(text: &str, tokens: &[Token], reach: &Reach) -> bool {
    match kind(text, tokens) {
        Some(Kind::Utility("DO")) => true,
        Some(Kind::Utility(word)) => reach.restricted && closed_form(word, tokens).is_some(),
        _ => false,
    }
}

/// Decides a utility statement that mentions something that reaches, or is of a kind that needs leave.
///
/// # Errors
/// The refusal, unless the statement is harmless or the role has leave.
pub(super) fn decide(
    text: &str,
    tokens: &[Token],
    reach: &Reach,
    allow_do_blocks: bool,
) -> Result<(), Refusal> {
    let position = tokens.first().map(|t| t.start);
    let Some(Kind::Utility(word)) = kind(text, tokens) else {
        return Err(refuse::unsupported("this statement", position));
    };
    if word == "DO" {
        let text_reaches = tokens
            .iter()
            .any(|t| matches!(&t.kind, TokenKind::Text(body) if reach.touches_raw(body)));
        return match (allow_do_blocks, text_reaches) {
            (false, _) => Err(refuse::denied_object("a DO block", position)),
            (true, true) => Err(refuse::unsupported(
                "a DO block that names a treated relation",
                position,
            )),
            (true, false) => Ok(()),
        };
    }
    if let (true, Some(what)) = (reach.restricted, closed_form(word, tokens)) {
        return Err(refuse::denied_object(format!("{word} {what}"), position));
    }
    for token in tokens {
        let TokenKind::Word { name, .. } = &token.kind else {
            continue;
        };
        match reach.mention(name) {
            Some(Mention::Closed) => {
                return Err(refuse::denied_object(
                    format!("{name:?}"),
                    Some(token.start),
                ));
            }
            Some(Mention::Function) => {
                return Err(refuse::unsupported(
                    format!("function {name:?}"),
                    Some(token.start),
                ));
            }
            Some(Mention::Relation) if !HARMLESS.contains(&word) => {
                return Err(refuse::unsupported(
                    format!("{word} on {name:?}"),
                    Some(token.start),
                ));
            }
            Some(Mention::Relation) | None => {}
        }
    }
    Ok(())
}

/// What a statement does that is closed to roles with restricted sight, though it names nothing treated.
fn closed_form(word: &str, tokens: &[Token]) -> Option<&'static str> {
    let has = |wanted: &str| {
        let is_wanted = |t: &Token| matches!(&t.kind, TokenKind::Word { name, quoted: false } if name == wanted);
        tokens.iter().skip(1).any(is_wanted)
    };
    match word {
        "CREATE" | "ALTER" if creates_code(tokens) => {
            Some("of functions, triggers, rules and the like")
        }
        // A schema's own elements may be triggers.
        "CREATE" if has("schema") && has("trigger") => Some("of triggers"),
        // Another server, or this one by another road, under names that the catalog does not show.
        "CREATE" | "ALTER" if has("foreign") || has("server") || has("mapping") => {
            Some("of foreign tables and servers")
        }
        "IMPORT" => Some("of a foreign schema"),
        // What the protocol prepared or opened is sent rewritten: its rows must not come by another road.
        "CREATE" | "EXPLAIN" if has("execute") => Some("of a prepared statement's rows"),
        "EXECUTE" => Some("of a prepared statement"),
        "FETCH" => Some("from a cursor"),
        _ => None,
    }
}

/// CREATE or ALTER of something that runs code of its author's on other occasions.
fn creates_code(tokens: &[Token]) -> bool {
    const CODE: &[&str] = &[
        "function",
        "procedure",
        "routine",
        "trigger",
        "rule",
        "aggregate",
        "operator",
        "cast",
        "policy",
        "event",
        "language",
        "extension",
        "type",
        "domain",
        "conversion",
        "transform",
    ];
    const MODIFIERS: &[&str] = &[
        "or",
        "replace",
        "constraint",
        "trusted",
        "procedural",
        "default",
    ];
    tokens
        .iter()
        .skip(1)
        .find_map(|t| match &t.kind {
            TokenKind::Word {
                name,
                quoted: false,
            } if MODIFIERS.contains(&name.as_str()) => None,
            TokenKind::Word {
                name,
                quoted: false,
            } => Some(CODE.contains(&name.as_str())),
            _ => Some(false),
        })
        .unwrap_or(false)
}

/// Whether the token is this symbol.
pub(super) fn is_symbol(text: &str, token: &Token, symbol: &str) -> bool {
    token.kind == TokenKind::Symbol && &text[token.start..token.end] == symbol
}

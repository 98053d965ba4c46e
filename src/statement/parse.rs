//! Tokens → sqlparser's tree, one statement at a time.
//!
//! sqlparser is given pgveil's own tokens: strings empty (so that no value reaches its errors or its tree)
//! and spans that are token indexes. What it cannot parse is refused by the caller.

use sqlparser::ast::Statement;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Span, Token as SqlToken, TokenWithSpan, Tokenizer};

use super::lex::{Token, TokenKind};
use super::plan::Refusal;
use super::refuse;
use crate::limits::NESTING_MAX;

/// Nesting that sqlparser follows; its stack frames are large (measured: 50 levels stay below 1 MiB).
const PARSER_RECURSION_MAX: usize = 50;

/// Parses the statement in `tokens[start..end]`.
///
/// # Errors
/// 54001 when nested too deeply, 0A000 when it is not understood.
pub(super) fn parse(
    text: &str,
    tokens: &[Token],
    start: usize,
    end: usize,
) -> Result<Statement, Refusal> {
    check_depth(text, &tokens[start..end])?;
    let mut given = Vec::with_capacity(end - start);
    for (offset, token) in tokens[start..end].iter().enumerate() {
        given.push(TokenWithSpan {
            token: convert(text, token)?,
            span: span(start + offset),
        });
    }
    let position = tokens.get(start).map(|t| t.start);
    let mut parser = Parser::new(&PostgreSqlDialect {})
        .with_recursion_limit(PARSER_RECURSION_MAX)
        .with_tokens_with_locations(given);
    let statement = parser.parse_statement().map_err(|error| match error {
        ParserError::RecursionLimitExceeded => refuse::too_deep(position),
        ParserError::TokenizerError(_) | ParserError::ParserError(_) => {
            refuse::unparsed("its grammar is not understood", position)
        }
    })?;
    match parser.peek_token().token {
        SqlToken::EOF => Ok(statement),
        _ => Err(refuse::unparsed(
            "something follows that is not understood",
            position,
        )),
    }
}

/// The token index a span begins at; None for an empty span.
pub(super) fn token_index(span: Span) -> Option<usize> {
    (span.start.line == 1)
        .then(|| usize::try_from(span.start.column).ok()?.checked_sub(1))
        .flatten()
}

fn span(index: usize) -> Span {
    let column = index as u64 + 1;
    Span {
        start: Location { line: 1, column },
        end: Location {
            line: 1,
            column: column + 1,
        },
    }
}

fn check_depth(text: &str, tokens: &[Token]) -> Result<(), Refusal> {
    let mut depth = 0usize;
    for token in tokens {
        match (&token.kind, &text[token.start..token.end]) {
            (TokenKind::Symbol, "(" | "[") => depth += 1,
            (TokenKind::Symbol, ")" | "]") => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > NESTING_MAX {
            return Err(refuse::too_deep(Some(token.start)));
        }
    }
    Ok(())
}

fn convert(text: &str, token: &Token) -> Result<SqlToken, Refusal> {
    let raw = &text[token.start..token.end];
    Ok(match &token.kind {
        TokenKind::Word { name, quoted: true } => SqlToken::make_word(name, Some('"')),
        TokenKind::Word { quoted: false, .. } => SqlToken::make_word(raw, None),
        TokenKind::Text(_) => SqlToken::SingleQuotedString(String::new()),
        TokenKind::OtherText => SqlToken::NationalStringLiteral(String::new()),
        TokenKind::Number => SqlToken::Number(raw.to_owned(), false),
        TokenKind::Parameter(number) => SqlToken::Placeholder(format!("${number}")),
        TokenKind::Symbol => symbol(raw)
            .ok_or_else(|| refuse::unparsed("an operator is not understood", Some(token.start)))?,
    })
}

/// sqlparser's own token for an operator whose bounds pgveil's lexer has fixed.
fn symbol(raw: &str) -> Option<SqlToken> {
    Some(match raw {
        "," => SqlToken::Comma,
        "(" => SqlToken::LParen,
        ")" => SqlToken::RParen,
        "[" => SqlToken::LBracket,
        "]" => SqlToken::RBracket,
        "." => SqlToken::Period,
        ":" => SqlToken::Colon,
        "::" => SqlToken::DoubleColon,
        ";" => SqlToken::SemiColon,
        "=" => SqlToken::Eq,
        "<>" | "!=" => SqlToken::Neq,
        "+" => SqlToken::Plus,
        "-" => SqlToken::Minus,
        "*" => SqlToken::Mul,
        "/" => SqlToken::Div,
        _ => {
            let mut tokens = Tokenizer::new(&PostgreSqlDialect {}, raw).tokenize().ok()?;
            if tokens.len() != 1 {
                return None;
            }
            tokens.pop()?
        }
    })
}

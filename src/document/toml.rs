//! TOML text → tree.

use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::tree::{Entry, Kind, Node, first_line};
use super::{Fault, Position};

/// Parses the text.
pub(super) fn parse(file: &Arc<str>, text: &str) -> Result<Node, Vec<Fault>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(Node {
            at: position(text, 0),
            kind: toml_table(table.into_inner(), text),
        });
    }
    let fault = |error: &toml::de::Error| {
        let at = position(text, error.span().map_or(0, |span| span.start));
        Fault {
            file: file.clone(),
            line: at.line,
            column: at.column,
            message: format!("this is not TOML: {}", first_line(error.message())),
            help: None,
        }
    };
    Err(errors.iter().map(fault).collect())
}

fn toml_table(table: DeTable<'_>, text: &str) -> Kind {
    let mut entries: Vec<(usize, Entry)> = table
        .into_iter()
        .map(|(key, value)| {
            let start = key.span().start;
            let entry = Entry {
                key: key.get_ref().to_string(),
                key_at: position(text, start),
                value: toml_node(value, text),
            };
            (start, entry)
        })
        .collect();
    entries.sort_by_key(|(start, _)| *start);
    Kind::Map(entries.into_iter().map(|(_, entry)| entry).collect())
}

fn toml_node(value: toml::Spanned<DeValue<'_>>, text: &str) -> Node {
    let at = position(text, value.span().start);
    let plain = |text: String| Kind::Scalar {
        text,
        quoted: false,
    };
    let kind = match value.into_inner() {
        DeValue::String(text) => Kind::Scalar {
            text: text.into_owned(),
            quoted: true,
        },
        DeValue::Integer(number) => plain(number.to_string()),
        DeValue::Float(number) => plain(number.to_string()),
        DeValue::Boolean(truth) => plain(truth.to_string()),
        DeValue::Datetime(time) => plain(time.to_string()),
        DeValue::Array(items) => Kind::List(
            items
                .into_iter()
                .map(|item| toml_node(item, text))
                .collect(),
        ),
        DeValue::Table(table) => toml_table(table, text),
    };
    Node { at, kind }
}

/// Line and column of a byte offset.
fn position(text: &str, offset: usize) -> Position {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |n| n + 1);
    let column = before[start..].chars().count() + 1;
    Position {
        source: 0,
        line: u32::try_from(line).unwrap_or(u32::MAX),
        column: u32::try_from(column).unwrap_or(u32::MAX),
    }
}

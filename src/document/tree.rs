//! YAML or TOML text → one tree of scalars, lists and maps, each with its position.
//!
//! Knows the two syntaxes and nothing of what is written in them. Duplicate keys are faults here already.

use std::sync::Arc;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Location, Spanned};
use toml::de::{DeTable, DeValue};

use super::{Fault, Position};
use crate::limits::{DOCUMENT_BYTES_MAX, DOCUMENT_DEPTH_MAX};

/// A parsed file with the names of what its positions point into.
#[derive(Debug, Clone)]
pub struct Document {
    pub(super) root: Node,
    pub(super) faults: Vec<Fault>,
    /// `sources[0]` is the file
    sources: Vec<Arc<str>>,
}

/// One value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub at: Position,
    pub kind: Kind,
}

/// What a value is.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// nothing, or the literal word `null`
    Null { written: bool },
    /// a scalar, as text; `quoted` scalars are no numbers
    Scalar { text: String, quoted: bool },
    /// a list
    List(Vec<Node>),
    /// a map in the order of the file
    Map(Vec<Entry>),
}

/// One key and its value.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub key: String,
    pub key_at: Position,
    pub value: Node,
}

impl Document {
    /// Parses YAML.
    ///
    /// # Errors
    /// A fault with its position when the text is no YAML, longer than [`DOCUMENT_BYTES_MAX`], or nested
    /// deeper than [`DOCUMENT_DEPTH_MAX`].
    pub fn from_yaml(file: &str, text: &str) -> Result<Self, Vec<Fault>> {
        let name: Arc<str> = file.into();
        check_length(file, text)?;
        let options = serde_saphyr::options! {
            duplicate_keys: DuplicateKeyPolicy::PassThrough,
            budget: serde_saphyr::budget! { max_depth: DOCUMENT_DEPTH_MAX },
        };
        let raw: Spanned<Raw> =
            serde_saphyr::from_str_with_options(text, options).map_err(|error| {
                let at = error.location().unwrap_or(Location::UNKNOWN);
                vec![Fault {
                    file: name.clone(),
                    line: u32::try_from(at.line()).unwrap_or(0),
                    column: u32::try_from(at.column()).unwrap_or(0),
                    message: format!("this is not YAML: {}", first_line(error.without_snippet())),
                    help: None,
                }]
            })?;
        let mut document = Self {
            root: Node {
                at: Position::default(),
                kind: Kind::Null { written: false },
            },
            faults: Vec::new(),
            sources: vec![name],
        };
        document.root = document.yaml_node(raw, text);
        Ok(document)
    }

    /// Parses TOML.
    ///
    /// # Errors
    /// Faults with their positions when the text is no TOML or longer than [`DOCUMENT_BYTES_MAX`].
    pub fn from_toml(file: &str, text: &str) -> Result<Self, Vec<Fault>> {
        let name: Arc<str> = file.into();
        check_length(file, text)?;
        let (table, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            return Err(errors
                .iter()
                .map(|error| {
                    let at = position(text, error.span().map_or(0, |span| span.start));
                    Fault {
                        file: name.clone(),
                        line: at.line,
                        column: at.column,
                        message: format!("this is not TOML: {}", first_line(error.message())),
                        help: None,
                    }
                })
                .collect());
        }
        Ok(Self {
            root: Node {
                at: position(text, 0),
                kind: toml_table(table.into_inner(), text),
            },
            faults: Vec::new(),
            sources: vec![name],
        })
    }

    /// Sets a scalar at a path of keys (a number addresses an element of a list), for an override from outside
    /// the file. `source` is what faults name as its file.
    ///
    /// # Errors
    /// A fault when the path leads through something that is neither a map nor a list with that element.
    pub fn set(&mut self, path: &[&str], text: &str, source: &str) -> Result<(), Fault> {
        let at = Position {
            source: u32::try_from(self.sources.len()).unwrap_or(u32::MAX),
            line: 0,
            column: 0,
        };
        let mut node = &mut self.root;
        for key in path {
            if let Kind::Null { .. } = node.kind {
                node.kind = Kind::Map(Vec::new());
            }
            node = match &mut node.kind {
                Kind::Map(entries) => child(entries, key, at),
                Kind::List(items) => key.parse().ok().and_then(|n: usize| items.get_mut(n)),
                Kind::Scalar { .. } | Kind::Null { .. } => None,
            }
            .ok_or_else(|| Fault::of_file(source, format!("nothing can be set at `{key}`")))?;
        }
        *node = Node {
            at,
            kind: Kind::Scalar {
                text: text.to_owned(),
                quoted: false,
            },
        };
        self.sources.push(source.into());
        Ok(())
    }

    /// The file, as it was named.
    pub fn file(&self) -> Arc<str> {
        self.sources[0].clone()
    }

    /// A fault at a position of this document.
    pub fn fault(&self, at: Position, message: impl Into<String>) -> Fault {
        let source = usize::try_from(at.source).unwrap_or(0);
        Fault {
            file: self.sources.get(source).unwrap_or(&self.sources[0]).clone(),
            line: at.line,
            column: at.column,
            message: message.into(),
            help: None,
        }
    }

    fn yaml_node(&mut self, raw: Spanned<Raw>, text: &str) -> Node {
        let at = yaml_position(raw.referenced);
        let kind = match raw.value {
            Raw::Null => Kind::Null {
                written: source_text(raw.defined, text).starts_with("null"),
            },
            Raw::Typed => Kind::Scalar {
                text: scalar_text(raw.defined, text),
                quoted: false,
            },
            Raw::Text(value) => Kind::Scalar {
                text: value,
                quoted: source_text(raw.defined, text).starts_with(['"', '\'']),
            },
            Raw::List(items) => {
                Kind::List(items.into_iter().map(|i| self.yaml_node(i, text)).collect())
            }
            Raw::Map(pairs) => Kind::Map(self.yaml_entries(pairs, text)),
        };
        Node { at, kind }
    }

    fn yaml_entries(&mut self, pairs: Vec<(Spanned<Raw>, Spanned<Raw>)>, text: &str) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::with_capacity(pairs.len());
        for (key, value) in pairs {
            let key_at = yaml_position(key.referenced);
            let key = match key.value {
                Raw::Text(key) => key,
                Raw::Typed => scalar_text(key.defined, text),
                Raw::Null | Raw::List(_) | Raw::Map(_) => {
                    let fault = self.fault(key_at, "a key must be a word");
                    self.faults.push(fault);
                    continue;
                }
            };
            if let Some(first) = entries.iter().find(|e| e.key == key) {
                let message = format!("`{key}` stands here a second time");
                let help = format!("the first is at line {}", first.key_at.line);
                let fault = self.fault(key_at, message).with_help(help);
                self.faults.push(fault);
                continue;
            }
            let value = self.yaml_node(value, text);
            entries.push(Entry { key, key_at, value });
        }
        entries
    }
}

fn child<'a>(entries: &'a mut Vec<Entry>, key: &str, at: Position) -> Option<&'a mut Node> {
    let index = entries.iter().position(|e| e.key == key);
    let index = index.unwrap_or_else(|| {
        entries.push(Entry {
            key: key.to_owned(),
            key_at: at,
            value: Node {
                at,
                kind: Kind::Null { written: false },
            },
        });
        entries.len() - 1
    });
    entries.get_mut(index).map(|e| &mut e.value)
}

fn check_length(file: &str, text: &str) -> Result<(), Vec<Fault>> {
    if text.len() > DOCUMENT_BYTES_MAX {
        let message = format!("longer than {DOCUMENT_BYTES_MAX} bytes");
        return Err(vec![Fault::of_file(file, message)]);
    }
    Ok(())
}

fn first_line(message: impl ToString) -> String {
    let message = message.to_string();
    message.lines().next().unwrap_or_default().to_owned()
}

/// What serde-saphyr makes of a node before positions are settled. `Typed` is a plain scalar that YAML takes
/// for a number or truth value: its text is taken from the source, so that `007` stays `007`.
enum Raw {
    Null,
    Typed,
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<Raw>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Raw, E> {
        Ok(Raw::Typed)
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Raw, E> {
        Ok(Raw::Typed)
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Raw, E> {
        Ok(Raw::Typed)
    }

    fn visit_u128<E: de::Error>(self, _: u128) -> Result<Raw, E> {
        Ok(Raw::Typed)
    }

    fn visit_i128<E: de::Error>(self, _: i128) -> Result<Raw, E> {
        Ok(Raw::Typed)
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Raw, E> {
        Ok(Raw::Typed)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(Raw::Map(pairs))
    }
}

fn yaml_position(at: Location) -> Position {
    Position {
        source: 0,
        line: u32::try_from(at.line()).unwrap_or(0),
        column: u32::try_from(at.column()).unwrap_or(0),
    }
}

/// The text from where a node begins.
fn source_text(at: Location, text: &str) -> &str {
    at.span()
        .byte_offset()
        .and_then(|offset| usize::try_from(offset).ok())
        .and_then(|offset| text.get(offset..))
        .unwrap_or_default()
}

/// A plain scalar's own text.
fn scalar_text(at: Location, text: &str) -> String {
    let length = at
        .span()
        .byte_len()
        .and_then(|length| usize::try_from(length).ok())
        .unwrap_or(0);
    let source = source_text(at, text);
    source.get(..length).unwrap_or(source).trim().to_owned()
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

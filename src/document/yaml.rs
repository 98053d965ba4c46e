//! YAML text → tree. Duplicate keys, keys that are no words, and other spellings of `null` are faults here already.

use std::sync::Arc;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Location, Spanned};

use super::tree::{Document, Entry, Kind, Node, first_line};
use super::{Fault, Position};
use crate::limits::DOCUMENT_DEPTH_MAX;

/// Parses the text and puts its tree and faults into a document.
pub(super) fn parse(document: &mut Document, text: &str) -> Result<(), Fault> {
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        budget: serde_saphyr::budget! { max_depth: DOCUMENT_DEPTH_MAX },
    };
    let raw: Spanned<Raw> = serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| yaml_fault(document.file(), &error))?;
    document.root = document.yaml_node(raw, text);
    Ok(())
}

impl Document {
    fn yaml_node(&mut self, raw: Spanned<Raw>, text: &str) -> Node {
        let at = yaml_position(raw.referenced);
        let kind = match raw.value {
            Raw::Null => self.yaml_null(at, &scalar_text(raw.defined, text)),
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

    /// YAML has four spellings of null; this language has one.
    fn yaml_null(&mut self, at: Position, spelling: &str) -> Kind {
        if !matches!(spelling, "" | "null") {
            let message = format!("`{spelling}` is not a word known here");
            let fault = self.fault(at, message).with_help("did you mean `null`?");
            self.faults.push(fault);
        }
        Kind::Null {
            written: !spelling.is_empty(),
        }
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

fn yaml_fault(file: Arc<str>, error: &serde_saphyr::Error) -> Fault {
    let error = error.without_snippet();
    let at = yaml_position(error.location().unwrap_or(Location::UNKNOWN));
    let message = match error {
        serde_saphyr::Error::MultipleDocuments { .. } => "a second document begins here".to_owned(),
        _ => {
            // The place stands before the message already.
            let message = first_line(error);
            let place = message.rfind(" at line ").unwrap_or(message.len());
            format!("this is not YAML: {}", &message[..place])
        }
    };
    Fault {
        file,
        line: at.line,
        column: at.column,
        message,
        help: None,
    }
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

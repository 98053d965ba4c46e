//! YAML or TOML text → one tree of scalars, lists and maps, each with its position.
//!
//! Knows neither syntax ([`super::yaml`] and [`super::toml`] do), nor what is written in them.

use std::sync::Arc;

use super::{Fault, Position, toml, yaml};
use crate::limits::DOCUMENT_BYTES_MAX;
#[cfg(doc)]
use crate::limits::DOCUMENT_DEPTH_MAX;

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
        check_length(file, text)?;
        let mut document = Self::empty(file);
        yaml::parse(&mut document, text).map_err(|fault| vec![fault])?;
        Ok(document)
    }

    /// Parses TOML.
    ///
    /// # Errors
    /// Faults with their positions when the text is no TOML or longer than [`DOCUMENT_BYTES_MAX`].
    pub fn from_toml(file: &str, text: &str) -> Result<Self, Vec<Fault>> {
        check_length(file, text)?;
        let mut document = Self::empty(file);
        document.root = toml::parse(&document.file(), text)?;
        Ok(document)
    }

    fn empty(file: &str) -> Self {
        Self {
            root: Node {
                at: Position::default(),
                kind: Kind::Null { written: false },
            },
            faults: Vec::new(),
            sources: vec![file.into()],
        }
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

/// A parser's message without its drawing of the place.
pub(super) fn first_line(message: impl ToString) -> String {
    let message = message.to_string();
    message.lines().next().unwrap_or_default().to_owned()
}

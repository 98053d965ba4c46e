//! A tree → a struct, by serde, with every fault gathered.
//!
//! serde stops at its first error. So a value that does not fit is noted, taken out of the tree, and the tree is
//! read again, until what is left fits or nothing is left; unknown keys are noted on the way. What only lacks
//! because something in it was taken out is not a fault of its own.

mod access;
mod error;

use std::cell::RefCell;
use std::collections::HashSet;

use serde::de::{self, DeserializeOwned, Visitor};

use self::access::{AtReader, EnumReader, MapReader, SeqReader};
pub use self::error::ReadError;
use super::shapes::{AT, ONE_OR_MANY, SHORT};
use super::tree::{Document, Entry, Kind, Node};
use super::{Fault, advice, nearest};
use crate::limits::FAULTS_MAX;

/// Reads a struct from a document.
///
/// # Errors
/// Every fault that could be found, in the order of the file, at most [`FAULTS_MAX`] and a few.
pub fn read<T: DeserializeOwned>(document: &Document) -> Result<T, Vec<Fault>> {
    let pass = Pass {
        document,
        faults: RefCell::new(document.faults.clone()),
        out: RefCell::new(HashSet::new()),
        bereft: RefCell::new(HashSet::new()),
    };
    loop {
        let node = Reader::new(&pass, &document.root);
        let error = match T::deserialize(node) {
            Ok(value) if pass.faults.borrow().is_empty() => return Ok(value),
            Ok(_) => break,
            Err(error) => error,
        };
        let whole = error.out.is_none();
        pass.note(error);
        if whole || pass.faults.borrow().len() >= FAULTS_MAX {
            break;
        }
    }
    let mut faults = pass.faults.into_inner();
    faults.sort_by_key(|f| (f.line, f.column));
    Err(faults)
}

/// What the passes over one tree share. Nodes are known by their address: the tree does not move.
struct Pass<'a> {
    document: &'a Document,
    faults: RefCell<Vec<Fault>>,
    /// nodes taken out
    out: RefCell<HashSet<usize>>,
    /// maps something was taken out of: what they lack is no fault
    bereft: RefCell<HashSet<usize>>,
}

fn address(node: &Node) -> usize {
    std::ptr::from_ref(node).addr()
}

impl Pass<'_> {
    fn note(&self, error: ReadError) {
        if !error.silent {
            let mut fault = self
                .document
                .fault(error.at.unwrap_or_default(), error.message);
            fault.help = error.help;
            self.faults.borrow_mut().push(fault);
        }
        self.out.borrow_mut().extend(error.out);
        self.bereft.borrow_mut().extend(error.bereft);
    }

    fn is_out(&self, node: &Node) -> bool {
        self.out.borrow().contains(&address(node))
    }

    /// A key that is nearly one of the keys is taken for it: that key is then not said to be missing too.
    fn unknown_key(&self, parent: &Node, entry: &Entry, fields: &'static [&'static str]) {
        if nearest(&entry.key, fields.iter().copied()).is_some() {
            self.bereft.borrow_mut().insert(address(parent));
        }
        let mut fault = self
            .document
            .fault(entry.key_at, format!("unknown key `{}`", entry.key));
        fault.help = advice(&entry.key, fields.iter().copied());
        self.faults.borrow_mut().push(fault);
        self.out.borrow_mut().insert(address(&entry.value));
    }
}

/// One node as serde sees it.
struct Reader<'a> {
    pass: &'a Pass<'a>,
    node: &'a Node,
    /// the key a word stands for, see [`SHORT`]
    short: Option<&'static str>,
}

impl<'a> Reader<'a> {
    fn new(pass: &'a Pass<'a>, node: &'a Node) -> Self {
        Self {
            pass,
            node,
            short: None,
        }
    }

    fn plain(&self, what: &str) -> Result<&'a str, ReadError> {
        match &self.node.kind {
            Kind::Scalar {
                text,
                quoted: false,
            } => Ok(text),
            _ => Err(ReadError::expected(what, self.node)),
        }
    }

    fn number<N: std::str::FromStr>(&self) -> Result<N, ReadError> {
        let text = self.plain("a whole number")?;
        text.parse().map_err(|_| {
            ReadError::new("expected a whole number that is not negative and not too large")
                .at(self.node.at)
        })
    }

    fn entries(
        &self,
        fields: Option<&'static [&'static str]>,
    ) -> Result<Vec<&'a Entry>, ReadError> {
        let Kind::Map(entries) = &self.node.kind else {
            return Err(ReadError::expected("a mapping", self.node));
        };
        let mut kept = Vec::with_capacity(entries.len());
        for entry in entries.iter().filter(|e| !self.pass.is_out(&e.value)) {
            match fields {
                Some(fields) if !fields.contains(&entry.key.as_str()) => {
                    self.pass.unknown_key(self.node, entry, fields);
                }
                _ => kept.push(entry),
            }
        }
        Ok(kept)
    }

    fn visit_entries<'de, V: Visitor<'de>>(
        &self,
        entries: Vec<&'a Entry>,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        let access = MapReader {
            pass: self.pass,
            parent: address(self.node),
            entries: entries.into_iter(),
            value: None,
        };
        visitor.visit_map(access).map_err(|mut error| {
            if error.lacks && error.at.is_none() {
                error.silent = self.pass.bereft.borrow().contains(&address(self.node));
            }
            error.at(self.node.at)
        })
    }
}

impl<'de> de::Deserializer<'de> for Reader<'_> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.node.kind {
            Kind::Null { .. } => Err(ReadError::expected("a value", self.node)),
            Kind::Scalar { .. } => self.deserialize_str(visitor),
            Kind::List(_) => self.deserialize_seq(visitor),
            Kind::Map(_) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.plain("`true` or `false`")? {
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            _ => Err(ReadError::expected("`true` or `false`", self.node)),
        }
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_u16(self.number()?)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_u32(self.number()?)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_u64(self.number()?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.node.kind {
            Kind::Scalar { text, .. } if !text.is_empty() => {
                let told = visitor.visit_str::<ReadError>(text);
                told.map_err(|error| error.at(self.node.at))
            }
            _ => Err(ReadError::expected("text", self.node)),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        if name == ONE_OR_MANY {
            let nodes = match &self.node.kind {
                Kind::List(items) if items.is_empty() => {
                    return Err(ReadError::new("this list is empty").at(self.node.at));
                }
                Kind::List(items) => items.iter().collect(),
                _ => vec![self.node],
            };
            return visitor.visit_seq(SeqReader::new(self.pass, nodes));
        }
        if let (Some(key), Kind::Scalar { .. }) = (name.strip_prefix(SHORT), &self.node.kind) {
            self.short = Some(key);
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.node.kind {
            Kind::List(items) => {
                visitor.visit_seq(SeqReader::new(self.pass, items.iter().collect()))
            }
            _ => Err(ReadError::expected("a list", self.node)),
        }
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        if name != AT {
            return Err(ReadError::new("no such shape").at(self.node.at));
        }
        let at = self.node.at;
        visitor.visit_seq(AtReader {
            numbers: [at.source, at.line, at.column].into_iter(),
            value: Some(self),
        })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.visit_entries(self.entries(None)?, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        if let Some(key) = self.short {
            let entry = Entry {
                key: key.to_owned(),
                key_at: self.node.at,
                value: self.node.clone(),
            };
            let inner = Reader::new(self.pass, self.node);
            return inner
                .visit_entries(vec![&entry], visitor)
                .map_err(|error| ReadError { out: None, ..error });
        }
        self.visit_entries(self.entries(Some(fields))?, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        let (word, word_at, content) = match &self.node.kind {
            Kind::Null { written: true } => ("null", self.node.at, None),
            Kind::Scalar { text, .. } if !text.is_empty() => (text.as_str(), self.node.at, None),
            Kind::Map(entries) => match entries.as_slice() {
                [entry] => (entry.key.as_str(), entry.key_at, Some(&entry.value)),
                [_, second, ..] => {
                    let error = ReadError::new(format!("one word too many: `{}`", second.key));
                    return Err(error.at(second.key_at));
                }
                [] => return Err(ReadError::expected(&words(variants), self.node)),
            },
            Kind::Null { written: false } | Kind::Scalar { .. } | Kind::List(_) => {
                return Err(ReadError::expected(&words(variants), self.node));
            }
        };
        let Some(variant) = variants.iter().find(|v| **v == word) else {
            let mut error = ReadError::new(format!("`{word}` is not a word known here"));
            error.help = advice(word, variants.iter().copied());
            return Err(error.at(word_at));
        };
        visitor
            .visit_enum(EnumReader {
                pass: self.pass,
                variant,
                at: self.node.at,
                content,
            })
            .map_err(|error| error.at(self.node.at))
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u128 f32 f64 char bytes byte_buf unit unit_struct tuple ignored_any
    }
}

fn words(variants: &[&str]) -> String {
    let all: Vec<String> = variants.iter().map(|v| format!("`{v}`")).collect();
    format!("one of {}", all.join(", "))
}

//! What went wrong while a tree was read, on its way from the place it was met to the place it is noted.

use std::fmt;

use serde::de;

use crate::document::Position;
use crate::document::tree::{Kind, Node};

/// What serde was told, with the place it concerns once that is known.
#[derive(Debug)]
pub struct ReadError {
    pub(super) message: String,
    pub(super) help: Option<String>,
    pub(super) at: Option<Position>,
    /// the node to take out before the next pass
    pub(super) out: Option<usize>,
    /// the map it is taken out of
    pub(super) bereft: Option<usize>,
    /// a struct that lacks a key
    pub(super) lacks: bool,
    /// follows from a fault already noted
    pub(super) silent: bool,
}

impl ReadError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: None,
            at: None,
            out: None,
            bereft: None,
            lacks: false,
            silent: false,
        }
    }

    pub(super) fn expected(what: &str, node: &Node) -> Self {
        let found = match &node.kind {
            Kind::Null { written: false } => "nothing",
            Kind::Null { written: true } => "`null`",
            Kind::Scalar { text, .. } if text.is_empty() => "empty text",
            Kind::Scalar { quoted: true, .. } => "quoted text",
            Kind::Scalar { quoted: false, .. } => "a word",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
        };
        Self::new(format!("expected {what}, found {found}")).at(node.at)
    }

    pub(super) fn at(mut self, at: Position) -> Self {
        self.at.get_or_insert(at);
        self
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ReadError {}

impl de::Error for ReadError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn missing_field(field: &'static str) -> Self {
        Self {
            lacks: true,
            ..Self::new(format!("`{field}` is missing"))
        }
    }
}

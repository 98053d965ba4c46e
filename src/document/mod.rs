//! Text that people write (the policy in YAML, the configuration in TOML) read into structs, with every fault
//! gathered and each one naming its file, line, column, what was expected, and the nearest valid word.
//!
//! Knows nothing of what the words mean: [`tree`] parses, [`read`] hands the tree to serde, [`shapes`] has the
//! shapes that a struct can ask for (a position, one or many, a map that keeps its order).

pub mod duration;
pub mod read;
pub mod shapes;
mod toml;
pub mod tree;
mod yaml;

use std::fmt;
use std::sync::Arc;

/// Where something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    /// 0: the file; n: the n-th override, see [`tree::Document::set`]
    pub source: u32,
    /// from 1
    pub line: u32,
    /// from 1, in characters
    pub column: u32,
}

/// Something wrong in a file, for the person who wrote it. Holds names and words, never a secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// the file, as it was named to us; or `$NAME` of an environment variable
    pub file: Arc<str>,
    /// from 1; 0 when it concerns the file as a whole
    pub line: u32,
    /// from 1, in characters; 0 when it concerns the file as a whole
    pub column: u32,
    /// what is wrong and what was expected
    pub message: String,
    /// what to do about it, for example the nearest valid word
    pub help: Option<String>,
}

impl Fault {
    /// A fault of the file as a whole: it cannot be read, or is too long.
    pub fn of_file(file: &str, message: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            line: 0,
            column: 0,
            message: message.into(),
            help: None,
        }
    }

    /// The same fault with advice.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {}", self.message)?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Fault {}

/// The valid word that was probably meant, if one is near enough: a third of its characters may differ, never all.
pub fn nearest<'a>(word: &str, valid: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().count();
    let allowed = length.div_ceil(3).min(length.saturating_sub(1));
    valid
        .into_iter()
        .map(|v| {
            let distance = strsim::damerau_levenshtein(&word.to_lowercase(), &v.to_lowercase());
            (distance, v)
        })
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, v)| v)
}

/// Advice for a word that is not one of the valid ones: the nearest, else all of them.
pub fn advice<'a>(word: &str, valid: impl IntoIterator<Item = &'a str> + Clone) -> Option<String> {
    if let Some(near) = nearest(word, valid.clone()) {
        return Some(format!("did you mean `{near}`?"));
    }
    let all: Vec<String> = valid.into_iter().map(|v| format!("`{v}`")).collect();
    match all.as_slice() {
        [] => None,
        [one] => Some(format!("expected {one}")),
        _ => Some(format!("expected one of {}", all.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_near() {
        let words = ["plain", "mask", "token", "null"];
        assert_eq!(nearest("plane", words), Some("plain"));
        assert_eq!(nearest("maks", words), Some("mask"));
        assert_eq!(nearest("Mask", words), Some("mask"));
        assert_eq!(nearest("encrypted", words), None);
        assert_eq!(nearest("", words), None);
        assert_eq!(
            advice("x", words).unwrap(),
            "expected one of `plain`, `mask`, `token`, `null`"
        );
    }

    #[test]
    fn a_fault_reads_like_a_compilers() {
        let fault = Fault {
            file: "crm.yaml".into(),
            line: 3,
            column: 7,
            message: "unknown key `nme`".into(),
            help: Some("did you mean `name`?".into()),
        };
        assert_eq!(
            fault.to_string(),
            "crm.yaml:3:7: unknown key `nme` (did you mean `name`?)"
        );
        assert_eq!(Fault::of_file("f", "gone").to_string(), "f: gone");
    }
}

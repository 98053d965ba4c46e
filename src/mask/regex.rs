//! `regex: { pattern, with }`: everything that a regular expression finds is replaced.
//!
//! The pattern is of the crate `regex` (no look-around, no back-references, time linear in the text), which no
//! server speaks: so there is no SQL form. `with` may name what groups of the pattern found, as `$1` or `${name}`;
//! `$$` is a dollar sign. With `pattern: "^(\\d{3})\\d+", with: "$1***"` the text `13812345678` becomes `138***`.
//!
//! A text in which nothing is found becomes `***`, because what the pattern does not know is not known to be
//! harmless; with `unmatched: keep` it stays as it is. On a `varchar(n)` what is longer than n characters is cut.
//!
//! For texts of at least three characters. What is left: whatever the pattern does not find, and what
//! `with` puts back of it.

use std::hash::{Hash, Hasher};

use ::regex::{Captures, RegexBuilder};

use super::redact::MASKED;
use crate::limits::MASK_REGEX_BYTES_MAX;

/// A compiled `regex` mask.
#[derive(Debug, Clone)]
pub struct Regex {
    compiled: ::regex::Regex,
    with: String,
    keeps_unmatched: bool,
}

impl Regex {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// What is wrong with the pattern or with what `with` names, as a fault of the policy.
    pub fn new(pattern: &str, with: &str, keeps_unmatched: bool) -> Result<Self, String> {
        let compiled = RegexBuilder::new(pattern)
            .size_limit(MASK_REGEX_BYTES_MAX)
            .build()
            .map_err(|fault| match fault {
                ::regex::Error::CompiledTooBig(_) => "the pattern is too large".to_owned(),
                fault => format!(
                    "the pattern is no regular expression: {}",
                    last_line(&fault)
                ),
            })?;
        if with.contains('\0') {
            return Err("`with` cannot hold a zero character, which no text holds".to_owned());
        }
        if let Some(group) = unknown_group(&compiled, with) {
            return Err(format!(
                "`with` names the group `{group}`, which the pattern does not have"
            ));
        }
        Ok(Self {
            compiled,
            with: with.to_owned(),
            keeps_unmatched,
        })
    }

    pub(super) fn apply(&self, text: &str) -> String {
        if !self.keeps_unmatched && !self.compiled.is_match(text) {
            return MASKED.to_owned();
        }
        let put = |found: &Captures<'_>| {
            let mut put = String::new();
            found.expand(&self.with, &mut put);
            put
        };
        self.compiled.replace_all(text, put).into_owned()
    }
}

/// What the crate says of a pattern, without the drawing above it.
fn last_line(fault: &::regex::Error) -> String {
    let said = fault.to_string();
    let line = said.lines().last().unwrap_or_default();
    line.trim_start_matches("error: ").to_owned()
}

/// The first group that `with` names and the pattern does not have: the crate would put nothing there.
fn unknown_group(pattern: &::regex::Regex, with: &str) -> Option<String> {
    let mut rest = with;
    while let Some(at) = rest.find('$') {
        rest = &rest[at + 1..];
        let (name, after) = match rest.strip_prefix('{') {
            Some(braced) => braced.split_once('}')?,
            None => {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                rest.split_at(end.unwrap_or(rest.len()))
            }
        };
        rest = match name {
            "" => rest.strip_prefix('$').unwrap_or(rest),
            _ => after,
        };
        let known = match name.parse::<usize>() {
            Ok(number) => number < pattern.captures_len(),
            Err(_) => pattern.capture_names().flatten().any(|group| group == name),
        };
        if !name.is_empty() && !known {
            return Some(name.to_owned());
        }
    }
    None
}

impl PartialEq for Regex {
    fn eq(&self, other: &Self) -> bool {
        let Self {
            compiled,
            with,
            keeps_unmatched,
        } = self;
        compiled.as_str() == other.compiled.as_str()
            && *with == other.with
            && *keeps_unmatched == other.keeps_unmatched
    }
}

impl Eq for Regex {}

impl Hash for Regex {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.compiled.as_str().hash(state);
        self.with.hash(state);
        self.keeps_unmatched.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(pattern: &str, with: &str, text: &str) -> String {
        Regex::new(pattern, with, false)
            .expect("a pattern")
            .apply(text)
    }

    #[test]
    fn everything_found_is_replaced() {
        assert_eq!(masked("[0-9]", "#", "Flat 12, 3rd"), "Flat ##, #rd");
        assert_eq!(
            masked("^(\\d{3})\\d+$", "${1}****", "13812345678"),
            "138****"
        );
        assert_eq!(masked("(?<first>\\w)\\w*", "$first$$", "Anna Lee"), "A$ L$");
        assert_eq!(masked("\\p{Han}", "某", "王小明 x"), "某某某 x");
    }

    #[test]
    fn where_nothing_is_found_nothing_is_shown() {
        assert_eq!(masked("[0-9]", "#", "no digits"), "***");
        assert_eq!(masked("[0-9]", "#", ""), "***");
        let keeps = Regex::new("[0-9]", "#", true).expect("a pattern");
        assert_eq!(keeps.apply("no digits"), "no digits");
    }

    #[test]
    fn a_pattern_that_cannot_be_meant_is_a_fault() {
        for (pattern, with) in [
            ("(", ""),
            ("(?=x)", ""),
            ("x{1000}{1000}{1000}", ""),
            ("a", "\0"),
            ("(a)", "$2"),
            ("(a)", "$1_"),
            ("(a)", "${b}"),
        ] {
            assert!(
                Regex::new(pattern, with, false).is_err(),
                "{pattern} {with}"
            );
        }
        for with in ["$1-", "$$2", "100 $", "${1}_", "$0"] {
            assert!(Regex::new("(a)", with, false).is_ok(), "{with}");
        }
    }

    #[test]
    fn it_is_known_by_what_is_written() {
        let regex = |pattern, with| Regex::new(pattern, with, false).expect("a pattern");
        assert_eq!(regex("a", "b"), regex("a", "b"));
        assert_ne!(regex("a", "b"), regex("a", "c"));
        assert_ne!(regex("a", "b"), regex("b", "b"));
    }
}

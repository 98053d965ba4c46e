//! Globs for names: `*` stands for any characters, `?` for one. Case counts.
//!
//! Knows nothing of what the names are of.

use std::fmt;

/// A name in which `*` and `?` may stand for others.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern(String);

impl Pattern {
    /// Takes the pattern as written.
    pub fn new(pattern: impl Into<String>) -> Self {
        Self(pattern.into())
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The one name it matches, when nothing in it stands for others.
    pub fn literal(&self) -> Option<&str> {
        (!self.0.contains(['*', '?'])).then_some(self.0.as_str())
    }

    /// Whether the whole name matches. Takes at most length × length steps, whatever the pattern.
    pub fn matches(&self, name: &str) -> bool {
        let pattern: Vec<char> = self.0.chars().collect();
        let name: Vec<char> = name.chars().collect();
        let (mut p, mut n) = (0, 0);
        // Where to go on when what follows the last `*` does not fit: it swallows one character more.
        let mut retry: Option<(usize, usize)> = None;
        while n < name.len() {
            match pattern.get(p) {
                Some('*') => {
                    retry = Some((p + 1, n));
                    p += 1;
                }
                Some(c) if *c == '?' || *c == name[n] => {
                    p += 1;
                    n += 1;
                }
                _ => {
                    let Some((after_star, swallowed)) = retry else {
                        return false;
                    };
                    retry = Some((after_star, swallowed + 1));
                    p = after_star;
                    n = swallowed + 1;
                }
            }
        }
        pattern[p..].iter().all(|c| *c == '*')
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_whole_names() {
        for (pattern, name, expected) in [
            ("crm", "crm", true),
            ("crm", "crm_app", false),
            ("crm", "Crm", false),
            ("support_*", "support_anna", true),
            ("support_*", "support_", true),
            ("support_*", "xsupport_", false),
            ("*", "", true),
            ("*", "anything", true),
            ("?", "", false),
            ("?", "李", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("*.support", "CN=anna.support", true),
            ("", "", true),
            ("", "a", false),
            ("a?c*", "abc", true),
            ("**a", "ba", true),
        ] {
            assert_eq!(
                Pattern::new(pattern).matches(name),
                expected,
                "{pattern} {name}"
            );
        }
    }

    #[test]
    fn a_hostile_name_costs_no_more_than_a_square() {
        let pattern = Pattern::new("*a*a*a*a*a*a*a*a*b");
        assert!(!pattern.matches(&"a".repeat(2_000)));
    }

    #[test]
    fn only_a_name_without_wildcards_is_literal() {
        assert_eq!(Pattern::new("crm").literal(), Some("crm"));
        assert_eq!(Pattern::new("crm*").literal(), None);
    }
}

//! Masks: one way from a value to what a role may see of it. One mask a file.
//!
//! Each has a Rust form and, where it needs no key, an SQL form that gives the same text; a property test
//! holds the two equal. Knows nothing of roles or columns.

/// How a value is masked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Mask {
    /// `***`
    Redact,
    /// Keeps the first and last characters, the rest replaced by `with`; length kept; all of it when first + last ≥ length.
    Partial {
        /// characters kept at the start
        first: u32,
        /// characters kept at the end
        last: u32,
        /// what stands for a hidden character
        with: char,
    },
    /// `a***@example.com`
    Email,
    /// The last digits of a phone number kept.
    Phone,
    /// The first letter of each word, the family name of a Chinese name.
    Name,
    /// Always this text (of the attribute's type).
    Constant(String),
    /// A coarser value of the same type.
    Generalise(Generalise),
}

/// How coarse a generalised value is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Generalise {
    /// 1 January of its year
    Year,
    /// the first of its month
    Month,
    /// 1 January of its decade's first year
    Decade,
    /// the bucket's lower bound; the bucket's width as decimal text
    Bucket(String),
}

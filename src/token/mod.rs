//! Tokens: a value of the same SQL type and shape, by FF1 (NIST SP 800-38G rev. 1). One format a file.
//!
//! Knows nothing of roles or columns.

/// The shape a token keeps.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TokenFormat {
    /// Digits are replaced, other characters stay in place.
    Digits {
        /// digits kept at the start
        keep_first: u32,
        /// digits kept at the end
        keep_last: u32,
    },
    /// The local part is replaced by a longer code, the domain part kept.
    Email,
}

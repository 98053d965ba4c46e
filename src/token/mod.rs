//! Tokens: a value of the same SQL type and shape, by FF1 (NIST SP 800-38G rev. 1). One format a file.
//!
//! A token is deterministic: one value in one domain, format and key version has one token, so that equality,
//! joins and unique constraints work on tokens as on values. The tweak holds the domain, the format and every
//! character that stays, so that equal digits in different surroundings have unrelated tokens. A token carries no
//! tag: with a wrong key it becomes a plausible wrong value, or [`TokenFault::Malformed`].
//!
//! What a token leaks: its format's kept characters, its length, and which values are equal. FF1 needs 10^6
//! possible values to be safe: what has fewer is refused.
//!
//! Values and tokens are in the canonical form of their type. Knows nothing of roles or columns.

mod alphanumeric;
mod bank_card;
mod date;
mod digits;
mod email;
mod format;
mod id_number;
mod integer;
mod permutation;
mod tweak;
mod uuid;

pub use format::{TokenFormat, nobodys};

use crate::ident::{DomainName, SqlState};
use crate::limits::{TOKEN_REPLACED_BYTES_MAX, TOKEN_TEXT_BYTES_MAX};
use crate::types::LogicalType;
use permutation::{VALUES_MIN, Way};

/// Why a value has no token, or a token no value. Never carries either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// Too few digits are left to replace.
    #[error("the token format leaves {replaceable} digits to replace, and FF1 needs {needed}")]
    TooFewDigits {
        /// digits left to replace
        replaceable: usize,
        /// digits that make 10^6 values
        needed: usize,
    },
    /// Too few values are left to replace.
    #[error("the token format leaves {values} possible values, and FF1 needs {VALUES_MIN}")]
    TooFewValues {
        /// values of the shape
        values: u64,
    },
    /// The format has tokens for values of one form, and this is none.
    #[error("the value has no token: it is not {0}")]
    NotOfFormat(&'static str),
    /// The text, or the part of it that is replaced, is too long.
    #[error("a text of this length has no token: {bytes} bytes where {bytes_max} are the most")]
    TooLong {
        /// its length in bytes
        bytes: usize,
        /// the most
        bytes_max: usize,
    },
    /// The token is none of this format, domain and key.
    #[error("the stored token is not of its format and key")]
    Malformed,
}

impl TokenFault {
    /// What a client is told: 22023 for a value that cannot be tokenised, XX001 for a stored token that is none.
    pub fn sqlstate(&self) -> SqlState {
        match self {
            Self::Malformed => SqlState::DATA_CORRUPTED,
            Self::TooFewDigits { .. }
            | Self::TooFewValues { .. }
            | Self::NotOfFormat(_)
            | Self::TooLong { .. } => SqlState::INVALID_PARAMETER_VALUE,
        }
    }
}

/// Makes and reads the tokens of one format under one key.
pub struct Tokeniser(Format);

enum Format {
    Digits(digits::Digits),
    Email(email::Email),
    Alphanumeric(alphanumeric::Alphanumeric),
    BankCard(bank_card::BankCard),
    IdNumber(id_number::IdNumber),
    Uuid(uuid::Uuid),
    Integer(integer::Integer),
    Date(date::Date),
}

impl Tokeniser {
    /// A tokeniser for one domain, format and type, which the format fits. The key is a subkey of the domain's DEK
    /// for tokens alone; the cipher is AES-256.
    pub fn new(key: &[u8; 32], domain: &DomainName, format: TokenFormat, ty: LogicalType) -> Self {
        Self(match format {
            TokenFormat::Digits {
                keep_first,
                keep_last,
            } => Format::Digits(digits::Digits::new(key, domain, keep_first, keep_last)),
            TokenFormat::Email => Format::Email(email::Email::new(key, domain)),
            TokenFormat::Alphanumeric {
                keep_first,
                keep_last,
            } => {
                let kept = [keep_first, keep_last];
                Format::Alphanumeric(alphanumeric::Alphanumeric::new(key, domain, kept))
            }
            TokenFormat::BankCard {
                keep_first,
                keep_last,
            } => {
                let kept = [keep_first, keep_last];
                Format::BankCard(bank_card::BankCard::new(key, domain, kept))
            }
            TokenFormat::IdNumber => Format::IdNumber(id_number::IdNumber::new(key, domain)),
            TokenFormat::Uuid => Format::Uuid(uuid::Uuid::new(key, domain)),
            TokenFormat::Integer => Format::Integer(integer::Integer::new(key, domain, ty)),
            TokenFormat::Date => Format::Date(date::Date::new(key, domain)),
        })
    }

    /// The token of a value.
    ///
    /// # Errors
    /// [`TokenFault`] (22023) when the value has too little to replace, is too long or not of the format.
    pub fn tokenise(&self, value: &[u8]) -> Result<Vec<u8>, TokenFault> {
        self.turned(Way::Tokenise, value)
    }

    /// The value of a token: `detokenise(tokenise(x)) == x` for every x that has a token.
    ///
    /// # Errors
    /// [`TokenFault::Malformed`] (XX001) when the token cannot have been made by this tokeniser.
    pub fn detokenise(&self, token: &[u8]) -> Result<Vec<u8>, TokenFault> {
        self.turned(Way::Detokenise, token)
            .map_err(|_| TokenFault::Malformed)
    }

    fn turned(&self, way: Way, canonical: &[u8]) -> Result<Vec<u8>, TokenFault> {
        let text = || std::str::from_utf8(canonical).map_err(|_| TokenFault::Malformed);
        match (&self.0, way) {
            (Format::Digits(format), Way::Tokenise) => format.tokenise(text()?),
            (Format::Digits(format), Way::Detokenise) => format.detokenise(text()?),
            (Format::Email(format), Way::Tokenise) => format.tokenise(text()?),
            (Format::Email(format), Way::Detokenise) => format.detokenise(text()?),
            (Format::Alphanumeric(format), way) => format.replace(way, text()?),
            (Format::BankCard(format), way) => format.replace(way, text()?),
            (Format::IdNumber(format), way) => format.replace(way, text()?),
            (Format::Uuid(format), way) => return format.replace(way, canonical),
            (Format::Integer(format), way) => return format.replace(way, canonical),
            (Format::Date(format), way) => return format.replace(way, canonical),
        }
        .map(String::into_bytes)
    }
}

impl std::fmt::Debug for Tokeniser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokeniser")
    }
}

/// Refuses texts longer than what a tweak may hold.
fn check_text(text: &str) -> Result<(), TokenFault> {
    check_length(text.len(), TOKEN_TEXT_BYTES_MAX)
}

/// Refuses to replace more than what FF1's quadratic arithmetic does in good time.
fn check_replaced(bytes: usize) -> Result<(), TokenFault> {
    check_length(bytes, TOKEN_REPLACED_BYTES_MAX)
}

fn check_length(bytes: usize, bytes_max: usize) -> Result<(), TokenFault> {
    if bytes > bytes_max {
        Err(TokenFault::TooLong { bytes, bytes_max })
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests;

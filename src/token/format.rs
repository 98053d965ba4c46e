//! The shapes that tokens keep: which type each fits, and how it is recorded.
//!
//! Knows no key.

use super::integer;
use crate::types::LogicalType;

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
    /// Letters and digits are replaced by others of their kind, other characters stay in place.
    Alphanumeric {
        /// letters and digits kept at the start
        keep_first: u32,
        /// letters and digits kept at the end
        keep_last: u32,
    },
    /// Digits are replaced, the Luhn sum stays.
    BankCard {
        /// digits kept at the start
        keep_first: u32,
        /// digits kept at the end
        keep_last: u32,
    },
    /// A Chinese identity number of the same region with its check digit.
    IdNumber,
    /// A UUID of the same version and variant.
    Uuid,
    /// An integer of the same type and sign.
    Integer,
    /// A date of the years 1 to 9999.
    Date,
}

impl TokenFormat {
    /// Whether attributes of the type can hold such tokens.
    ///
    /// # Errors
    /// Why not, as a fault of the policy.
    pub fn fits(&self, ty: LogicalType) -> Result<(), String> {
        // Not char(n) and citext: a token knows neither padding nor case.
        let is_text = matches!(ty, LogicalType::Text | LogicalType::Varchar(_));
        let (word, types, fits) = match self {
            Self::Digits { .. } => ("digits", "text and varchar", is_text),
            Self::Email => ("email", "text and varchar", is_text),
            Self::Alphanumeric { .. } => ("alphanumeric", "text and varchar", is_text),
            Self::BankCard { .. } => ("bank_card", "text and varchar", is_text),
            Self::IdNumber => ("id_number", "text and varchar", is_text),
            Self::Uuid => ("uuid", "uuid", ty == LogicalType::Uuid),
            Self::Integer => {
                let types = "int4 and int8 (an int2 has 65,536 values, and FF1 needs 1,000,000)";
                ("integer", types, integer::nobodys(ty).is_some())
            }
            Self::Date => ("date", "date", ty == LogicalType::Date),
        };
        match fits {
            true => Ok(()),
            false => Err(format!(
                "`{word}` tokens are for {types}, the column is {}",
                ty.sql()
            )),
        }
    }

    /// The format in words, as the database records it: whatever changes the tokens changes it.
    pub fn recorded(&self) -> String {
        match self {
            Self::Digits {
                keep_first,
                keep_last,
            } => format!("digits {keep_first} {keep_last}"),
            Self::Email => "email".to_owned(),
            Self::Alphanumeric {
                keep_first,
                keep_last,
            } => format!("alphanumeric {keep_first} {keep_last}"),
            Self::BankCard {
                keep_first,
                keep_last,
            } => format!("bank_card {keep_first} {keep_last}"),
            Self::IdNumber => "id_number".to_owned(),
            Self::Uuid => "uuid".to_owned(),
            Self::Integer => "integer".to_owned(),
            Self::Date => "date".to_owned(),
        }
    }

    /// Whether the token of a value depends on the width of its type, so that attributes of two types cannot share
    /// a domain.
    pub fn depends_on_width(&self) -> bool {
        *self == Self::Integer
    }
}

/// What no stored token of the type equals, in canonical form: stands for a compared value that has no token.
pub fn nobodys(ty: LogicalType) -> Vec<u8> {
    match integer::nobodys(ty) {
        Some(lowest) => lowest.to_be_bytes().to_vec(),
        None if ty == LogicalType::Date => super::date::NOBODYS.to_be_bytes().to_vec(),
        // No text token is empty, and every UUID has a token.
        None => Vec::new(),
    }
}

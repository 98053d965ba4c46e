//! `integer`: an int4 or int8 becomes another of the same type and sign.
//!
//! Nought counts as positive: 2^31 values of an int4, 2^63 of an int8, and one fewer on the negative side. The lowest
//! value of the type (-2147483648, -9223372036854775808) has no token: it is refused with 22023. An int2 has 32,768
//! values, too few for FF1, and cannot be tokenised. What a token leaks: the sign.
//!
//! How: the distance from nought, or from -1, is permuted among those of its sign.

use super::TokenFault;
use super::permutation::{Permutation, Way};
use super::tweak::Tweak;
use crate::ident::DomainName;
use crate::types::LogicalType;

/// The format's number in the tweak.
const FORMAT: u8 = 7;

pub(super) struct Integer {
    permutation: Permutation,
    tweak: Tweak,
    /// the highest value of the type
    highest: i64,
}

/// The highest value of a type that the format is for.
fn highest(ty: LogicalType) -> Option<i64> {
    match ty {
        LogicalType::Int4 => Some(i32::MAX.into()),
        LogicalType::Int8 => Some(i64::MAX),
        _ => None,
    }
}

/// An integer that is no token: the lowest of the type.
pub(super) fn nobodys(ty: LogicalType) -> Option<i64> {
    highest(ty).map(|highest| -highest - 1)
}

impl Integer {
    pub(super) fn new(key: &[u8; 32], domain: &DomainName, ty: LogicalType) -> Self {
        Self {
            permutation: Permutation::new(key),
            tweak: Tweak::new(FORMAT, domain, [0, 0]),
            // A type that is none of these has no value that is in range of nought.
            highest: highest(ty).unwrap_or(0),
        }
    }

    pub(super) fn replace(&self, way: Way, canonical: &[u8]) -> Result<Vec<u8>, TokenFault> {
        let value = canonical.try_into().map_err(|_| TokenFault::Malformed)?;
        let value = i64::from_be_bytes(value);
        if !(-self.highest..=self.highest).contains(&value) {
            return Err(TokenFault::NotOfFormat(
                "an integer above the lowest of its type",
            ));
        }
        // The width is in the tweak: an int4 and an int8 permute differently.
        let width = 64 - self.highest.leading_zeros();
        let highest = self.highest.unsigned_abs();
        let replaced = match value {
            0.. => {
                let tweak = self.tweak.with(&format!("+{width}"));
                let size = highest + 1;
                let permuted =
                    self.permutation
                        .permute(way, (value.unsigned_abs(), size), &tweak)?;
                permuted as i64
            }
            ..0 => {
                let tweak = self.tweak.with(&format!("-{width}"));
                let rank = value.unsigned_abs() - 1;
                let permuted = self.permutation.permute(way, (rank, highest), &tweak)?;
                // Below the highest: within the type.
                -1 - permuted as i64
            }
        };
        Ok(replaced.to_be_bytes().to_vec())
    }
}

//! `uuid`: a UUID becomes another of the same version and variant (RFC 9562, section 4), 2^122 values.
//!
//! Every UUID has a token. What a token leaks: version and variant, six bits. A version that holds a time or a node
//! holds an invented one afterwards.

use num_bigint::BigUint;

use super::TokenFault;
use super::permutation::{Permutation, Way};
use super::tweak::Tweak;
use crate::ident::DomainName;

/// The format's number in the tweak.
const FORMAT: u8 = 8;

/// Bits that are replaced.
const BITS: u32 = 122;

pub(super) struct Uuid {
    permutation: Permutation,
    tweak: Tweak,
}

impl Uuid {
    pub(super) fn new(key: &[u8; 32], domain: &DomainName) -> Self {
        Self {
            permutation: Permutation::new(key),
            tweak: Tweak::new(FORMAT, domain, [0, 0]),
        }
    }

    pub(super) fn replace(&self, way: Way, canonical: &[u8]) -> Result<Vec<u8>, TokenFault> {
        let id = canonical.try_into().map_err(|_| TokenFault::Malformed)?;
        let id = u128::from_be_bytes(id);
        // From the left: 48 bits, the version in 4, 12 bits, the variant in 2, 62 bits.
        let (version, variant) = (id >> 76 & 0xf, id >> 62 & 0x3);
        let replaced = (id >> 80) << 74 | (id >> 64 & 0xfff) << 62 | (id & ((1 << 62) - 1));
        let tweak = self.tweak.with(&format!("{version:x}{variant}"));
        let size = BigUint::from(1u32) << BITS;
        let permuted = self
            .permutation
            .walk(way, (replaced.into(), &size), &tweak, |_| true)?;
        let permuted = u128::try_from(permuted).map_err(|_| TokenFault::Malformed)?;
        let id = (permuted >> 74) << 80
            | version << 76
            | (permuted >> 62 & 0xfff) << 64
            | variant << 62
            | (permuted & ((1 << 62) - 1));
        Ok(id.to_be_bytes().to_vec())
    }
}

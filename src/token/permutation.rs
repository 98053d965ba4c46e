//! A keyed permutation of the numbers below any size: FF1 on bits, and cycle walking.
//!
//! FF1 permutes the strings of `b` bits, where `2^b` is the least power of two that is not below the size; what comes
//! out as no number that may be is permuted again, until it is one (Black and Rogaway, CT-RSA 2002). That is a
//! permutation of the numbers that may be, because each lies on a cycle that comes back to one. Frozen with the
//! tokens.

use aes::Aes256;
use fpe::ff1::{FF1, FlexibleNumeralString};
use num_bigint::BigUint;

use super::TokenFault;
use crate::limits::TOKEN_WALKS_MAX;

/// Values that FF1 needs at least (NIST SP 800-38G rev. 1, section 5.1).
pub(super) const VALUES_MIN: u64 = 1_000_000;

/// Which way a value goes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way {
    /// from the value to its token
    Tokenise,
    /// from the token to its value
    Detokenise,
}

/// A scheduled key.
pub(super) struct Permutation(FF1<Aes256>);

impl Permutation {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        // Radix 2 is in 2..=2^16 and the key has AES-256's length: FF1::new has nothing to refuse.
        Self(FF1::new(key, 2).expect("radix 2 is FF1's own"))
    }

    /// What a number below `size` becomes among those that may be. It must be one itself.
    ///
    /// # Errors
    /// [`TokenFault::TooFewValues`] below 10^6; [`TokenFault::Malformed`] when the number may not be.
    pub(super) fn walk(
        &self,
        way: Way,
        (number, size): (BigUint, &BigUint),
        tweak: &[u8],
        may_be: impl Fn(&BigUint) -> bool,
    ) -> Result<BigUint, TokenFault> {
        if *size < BigUint::from(VALUES_MIN) {
            let values = size.iter_u64_digits().next().unwrap_or(0);
            return Err(TokenFault::TooFewValues { values });
        }
        if number >= *size || !may_be(&number) {
            return Err(TokenFault::Malformed);
        }
        let bits = (size - 1u32).bits();
        let mut walked = number;
        for _ in 0..TOKEN_WALKS_MAX {
            let string = FlexibleNumeralString::from(
                (0..bits)
                    .rev()
                    .map(|bit| u16::from(walked.bit(bit)))
                    .collect::<Vec<_>>(),
            );
            let permuted = match way {
                Way::Tokenise => self.0.encrypt(tweak, &string),
                Way::Detokenise => self.0.decrypt(tweak, &string),
            };
            let permuted: Vec<u16> = permuted.map_err(|_| TokenFault::Malformed)?.into();
            walked = permuted
                .iter()
                .fold(BigUint::ZERO, |number, &bit| (number << 1) + bit);
            if walked < *size && may_be(&walked) {
                return Ok(walked);
            }
        }
        Err(TokenFault::Malformed)
    }

    /// The same among all numbers below `size`, which 64 bits hold.
    pub(super) fn permute(
        &self,
        way: Way,
        (number, size): (u64, u64),
        tweak: &[u8],
    ) -> Result<u64, TokenFault> {
        let permuted = self.walk(way, (number.into(), &size.into()), tweak, |_| true)?;
        // Below the size, hence of 64 bits.
        Ok(permuted.iter_u64_digits().next().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn it_is_a_permutation_of_what_may_be() {
        let permutation = Permutation::new(&[7; 32]);
        let size = BigUint::from(VALUES_MIN);
        let may_be = |number: &BigUint| (number % 50u32) == BigUint::ZERO;
        let mut seen = HashSet::new();
        for number in (0..1_000_000u32).step_by(5_000) {
            let walk = |way, number| permutation.walk(way, (number, &size), b"t", may_be);
            let there = walk(Way::Tokenise, BigUint::from(number)).expect("a number");
            assert!(there < size && may_be(&there));
            assert_eq!(walk(Way::Detokenise, there.clone()), Ok(number.into()));
            assert!(seen.insert(there));
        }
        assert_eq!(seen.len(), 200);
    }

    #[test]
    fn too_few_values_are_told_with_the_figure() {
        let permutation = Permutation::new(&[7; 32]);
        assert_eq!(
            permutation.permute(Way::Tokenise, (0, 999_999), b""),
            Err(TokenFault::TooFewValues { values: 999_999 })
        );
        assert!(
            permutation
                .permute(Way::Tokenise, (0, 1_000_000), b"")
                .is_ok()
        );
        assert_eq!(
            permutation.permute(Way::Tokenise, (1_000_000, 1_000_000), b""),
            Err(TokenFault::Malformed)
        );
    }
}

//! The key of the masks `hash`, `noise` and `fake`, and what is drawn from it.
//!
//! `HMAC-SHA-256(key, what || 0 || block || value)`: the same value under the same key gives the same draws for one
//! use, and unrelated ones for another. Without the key nothing of it can be computed. A key is a domain's, so that
//! equal values of two attributes meet only where these share the domain.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Bytes of one block of draws.
const BLOCK_BYTES: usize = 32;

/// Bytes of one draw: 128 bits for a choice among at most 2^64, so that none is likelier than another by more than
/// 2^-64.
const DRAW_BYTES: usize = 16;

/// A scheduled key of masks.
#[derive(Clone)]
pub struct MaskKey(Hmac<Sha256>);

impl MaskKey {
    /// Schedules a subkey that is for masks alone.
    pub fn new(key: &[u8; 32]) -> Self {
        Self(Hmac::new_from_slice(key).expect("HMAC takes a key of any length (RFC 2104)"))
    }

    /// What a value draws for one use; `what` names the use and holds no zero byte.
    pub(super) fn draws<'a>(&'a self, what: &'a str, value: &'a [u8]) -> Draws<'a> {
        Draws {
            key: self,
            what,
            value,
            blocks: 0,
            block: [0; BLOCK_BYTES],
            used: BLOCK_BYTES,
        }
    }
}

impl fmt::Debug for MaskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MaskKey")
    }
}

/// A keyed stream of numbers.
pub(super) struct Draws<'a> {
    key: &'a MaskKey,
    what: &'a str,
    value: &'a [u8],
    blocks: u32,
    block: [u8; BLOCK_BYTES],
    used: usize,
}

impl Draws<'_> {
    /// The next 32 bytes.
    pub(super) fn block(&mut self) -> [u8; BLOCK_BYTES] {
        let mut hmac = self.key.0.clone();
        hmac.update(self.what.as_bytes());
        hmac.update(&[0]);
        hmac.update(&self.blocks.to_be_bytes());
        hmac.update(self.value);
        // A value of 2^32 blocks of draws cannot be held; the count only must not panic.
        self.blocks = self.blocks.wrapping_add(1);
        hmac.finalize().into_bytes().into()
    }

    /// A number below `bound`, each as likely; 0 where there is none.
    pub(super) fn below(&mut self, bound: u128) -> u128 {
        self.number().checked_rem(bound).unwrap_or(0)
    }

    /// One of these; the list is not empty.
    pub(super) fn one<T: Copy>(&mut self, list: &[T]) -> T {
        let index = self.below(list.len() as u128) as usize;
        list[index]
    }

    fn number(&mut self) -> u128 {
        if self.used + DRAW_BYTES > BLOCK_BYTES {
            self.block = self.block();
            self.used = 0;
        }
        let bytes = &self.block[self.used..self.used + DRAW_BYTES];
        self.used += DRAW_BYTES;
        bytes
            .iter()
            .fold(0, |number, &b| number << 8 | u128::from(b))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn use_and_value_decide_what_is_drawn() {
        let (key, other) = (MaskKey::new(&[1; 32]), MaskKey::new(&[2; 32]));
        let first = key.draws("hash", b"x").block();
        assert_eq!(key.draws("hash", b"x").block(), first);
        for draws in [
            &mut key.draws("hash", b"y"),
            &mut key.draws("noise", b"x"),
            &mut other.draws("hash", b"x"),
        ] {
            assert_ne!(draws.block(), first);
        }
        let mut draws = key.draws("hash", b"x");
        draws.block();
        assert_ne!(draws.block(), first);
    }

    #[test]
    fn every_choice_is_drawn() {
        let key = MaskKey::new(&[1; 32]);
        let mut draws = key.draws("fake", b"x");
        let mut seen = [0u32; 7];
        for _ in 0..7000 {
            seen[draws.below(7) as usize] += 1;
        }
        assert!(
            seen.iter().all(|count| (800..1200).contains(count)),
            "{seen:?}"
        );
        assert_eq!(draws.below(0), 0);
    }

    #[test]
    fn a_key_is_not_shown() {
        assert_eq!(format!("{:?}", MaskKey::new(&[1; 32])), "MaskKey");
    }
}

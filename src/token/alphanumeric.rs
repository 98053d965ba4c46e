//! `alphanumeric`: every ASCII letter and digit but the first `keep_first` and the last `keep_last` of them is
//! replaced by another of its kind (digits, capital letters, small letters); all other characters stay in place, so
//! that the length stays and a `varchar(n)` holds the token.
//!
//! With `keep_first: 2`, `AB-12 cd/34` may become `AB-74 xm/09`. At least 10^6 values must be left: six digits, five
//! letters, or as many of both as make them (4 letters and 1 digit, 3 and 2, 2 and 4, 1 and 5). Letters outside ASCII
//! stay: they are other characters.
//!
//! How: the replaced characters are the digits of one number, each in the base of its kind, which is permuted among
//! the numbers of that shape; the tweak holds the text with `0`, `a` or `A` in the place of each of them.

use num_bigint::BigUint;

use super::permutation::{Permutation, Way};
use super::tweak::Tweak;
use super::{TokenFault, check_replaced, check_text};
use crate::ident::DomainName;

/// The format's number in the tweak.
const FORMAT: u8 = 3;

pub(super) struct Alphanumeric {
    permutation: Permutation,
    tweak: Tweak,
    keep_first: usize,
    keep_last: usize,
}

/// A kind of character: its first one, and how many there are.
type Kind = (u8, u8);

fn kind_of(byte: u8) -> Option<Kind> {
    match byte {
        b'0'..=b'9' => Some((b'0', 10)),
        b'a'..=b'z' => Some((b'a', 26)),
        b'A'..=b'Z' => Some((b'A', 26)),
        _ => None,
    }
}

impl Alphanumeric {
    pub(super) fn new(
        key: &[u8; 32],
        domain: &DomainName,
        [keep_first, keep_last]: [u32; 2],
    ) -> Self {
        Self {
            permutation: Permutation::new(key),
            tweak: Tweak::new(FORMAT, domain, [keep_first, keep_last]),
            keep_first: keep_first as usize,
            keep_last: keep_last as usize,
        }
    }

    pub(super) fn replace(&self, way: Way, text: &str) -> Result<String, TokenFault> {
        check_text(text)?;
        // ASCII letters and digits are single bytes, and no byte of another character is one.
        let mut bytes = text.as_bytes().to_vec();
        let all: Vec<usize> = (0..bytes.len())
            .filter(|&at| kind_of(bytes[at]).is_some())
            .collect();
        let end = all.len().saturating_sub(self.keep_last);
        let replaced = all.get(self.keep_first..end).unwrap_or_default();
        check_replaced(replaced.len())?;
        let kinds: Vec<Kind> = replaced
            .iter()
            .filter_map(|&at| kind_of(bytes[at]))
            .collect();
        let (mut number, mut size) = (BigUint::ZERO, BigUint::from(1u32));
        for (&at, &(first, count)) in replaced.iter().zip(&kinds) {
            number = number * count + (bytes[at] - first);
            size *= count;
            bytes[at] = first;
        }
        let tweak = self.tweak.with(&String::from_utf8_lossy(&bytes));
        let mut permuted = self
            .permutation
            .walk(way, (number, &size), &tweak, |_| true)?;
        for (&at, &(first, count)) in replaced.iter().zip(&kinds).rev() {
            let digit = &permuted % count;
            bytes[at] = first + digit.iter_u32_digits().next().unwrap_or(0) as u8;
            permuted /= count;
        }
        String::from_utf8(bytes).map_err(|_| TokenFault::Malformed)
    }
}

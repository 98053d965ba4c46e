//! `bank_card`: every ASCII digit but the first `keep_first` and the last `keep_last` is replaced by another, so that
//! the number's Luhn sum (ISO/IEC 7812-1, annex B) stays: a right card number has a right token, a wrong one a wrong
//! one. All other characters stay in place, and so does the length.
//!
//! With `keep_first: 4`, `4539 1488 0343 6467` may become `4539 7120 9938 1142`. One of the replaced digits follows
//! from the others, so that seven must be left for the 10^6 values that FF1 needs: a number of sixteen digits can keep
//! nine, such as the first six and the last three, but not six and four.
//!
//! How: FF1 with radix 10 over the replaced digits but the last, which then is the one that makes the sum; the tweak
//! holds the text with a `#` in the place of each replaced digit, and the sum.

use aes::Aes256;
use fpe::ff1::{FF1, FlexibleNumeralString};

use super::permutation::Way;
use super::tweak::Tweak;
use super::{TokenFault, check_replaced, check_text};
use crate::ident::DomainName;

/// The format's number in the tweak.
const FORMAT: u8 = 4;

/// Replaced digits: six that make FF1's 10^6 values, and the one that follows from them.
const DIGITS_MIN: usize = 7;

/// Stands for a replaced digit in the tweak.
const PLACE: u8 = b'#';

pub(super) struct BankCard {
    cipher: FF1<Aes256>,
    tweak: Tweak,
    keep_first: usize,
    keep_last: usize,
}

impl BankCard {
    pub(super) fn new(
        key: &[u8; 32],
        domain: &DomainName,
        [keep_first, keep_last]: [u32; 2],
    ) -> Self {
        Self {
            // Radix 10 is in 2..=2^16 and the key has AES-256's length: FF1::new has nothing to refuse.
            cipher: FF1::new(key, 10).expect("radix 10 is FF1's own"),
            tweak: Tweak::new(FORMAT, domain, [keep_first, keep_last]),
            keep_first: keep_first as usize,
            keep_last: keep_last as usize,
        }
    }

    pub(super) fn replace(&self, way: Way, text: &str) -> Result<String, TokenFault> {
        check_text(text)?;
        // ASCII digits are single bytes, and no byte of another character is one.
        let mut bytes = text.as_bytes().to_vec();
        let all: Vec<usize> = (0..bytes.len())
            .filter(|&at| bytes[at].is_ascii_digit())
            .collect();
        let end = all.len().saturating_sub(self.keep_last);
        let replaced = all.get(self.keep_first..end).unwrap_or_default();
        let (Some((&last, free)), false) = (replaced.split_last(), replaced.len() < DIGITS_MIN)
        else {
            return Err(TokenFault::TooFewDigits {
                replaceable: replaced.len(),
                needed: DIGITS_MIN,
            });
        };
        check_replaced(replaced.len())?;

        let sum = luhn_sum(&bytes, &all);
        let numerals: Vec<u16> = free.iter().map(|&at| u16::from(bytes[at] - b'0')).collect();
        let mut template = bytes.clone();
        for &at in replaced {
            template[at] = PLACE;
        }
        let tweak = self
            .tweak
            .with(&format!("{}{sum}", String::from_utf8_lossy(&template)));
        let numerals = FlexibleNumeralString::from(numerals);
        let permuted = match way {
            Way::Tokenise => self.cipher.encrypt(&tweak, &numerals),
            Way::Detokenise => self.cipher.decrypt(&tweak, &numerals),
        };
        let permuted: Vec<u16> = permuted.map_err(|_| TokenFault::Malformed)?.into();
        for (&at, numeral) in free.iter().zip(permuted) {
            // Radix 10: a single digit.
            bytes[at] = b'0' + numeral as u8;
        }
        // Whether it is doubled or not, a digit gives each residue once: one of the ten makes the sum.
        for digit in b'0'..=b'9' {
            bytes[last] = digit;
            if luhn_sum(&bytes, &all) == sum {
                break;
            }
        }
        String::from_utf8(bytes).map_err(|_| TokenFault::Malformed)
    }
}

/// The Luhn sum modulo 10 of the digits at these places; 0 for a right number.
fn luhn_sum(bytes: &[u8], digits: &[usize]) -> u32 {
    let values = digits.iter().rev().enumerate().map(|(index, &at)| {
        let digit = u32::from(bytes[at] - b'0');
        match (index % 2, digit) {
            (0, digit) => digit,
            (_, 9) => 9,
            (_, digit) => digit * 2 % 9,
        }
    });
    values.sum::<u32>() % 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn right_numbers_have_the_sum_nought() {
        for (number, sum) in [
            ("4539148803436467", 0),
            ("378282246310005", 0),
            ("79927398713", 0),
            ("79927398710", 7),
            ("4539148803436468", 1),
        ] {
            let places: Vec<usize> = (0..number.len()).collect();
            assert_eq!(luhn_sum(number.as_bytes(), &places), sum, "{number}");
        }
    }
}

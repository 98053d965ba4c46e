//! `digits`: every ASCII digit but the first `keep_first` and the last `keep_last` is replaced by another; all
//! other characters stay in place, so the length stays and a `varchar(n)` holds the token.
//!
//! With `keep_first: 3`, `+49 (30) 123-4567` may become `+49 (35) 820-9174`. At least six digits must be left to
//! replace (10^6 values). FF1 with radix 10 over the replaced digits; the tweak holds the text with a `#` in the
//! place of each of them. Digits outside ASCII stay: they are other characters.

use aes::Aes256;
use fpe::ff1::{FF1, FlexibleNumeralString};

use super::tweak::Tweak;
use super::{TokenFault, check_replaced, check_text};
use crate::ident::DomainName;

/// The format's number in the tweak.
const FORMAT: u8 = 1;

/// Digits that make the 10^6 values FF1 needs (NIST SP 800-38G rev. 1, section 5.1).
const DIGITS_MIN: usize = 6;

/// Stands for a replaced digit in the tweak; the tweak need not tell it from a `#` in the text, whose place a
/// digit cannot have.
const PLACE: char = '#';

pub(super) struct Digits {
    cipher: FF1<Aes256>,
    tweak: Tweak,
    keep_first: usize,
    keep_last: usize,
}

impl Digits {
    pub(super) fn new(
        key: &[u8; 32],
        domain: &DomainName,
        keep_first: u32,
        keep_last: u32,
    ) -> Self {
        Self {
            // Radix 10 is in 2..=2^16 and the key has AES-256's length: FF1::new has nothing to refuse.
            cipher: FF1::new(key, 10).expect("radix 10 is FF1's own"),
            tweak: Tweak::new(FORMAT, domain, [keep_first, keep_last]),
            keep_first: keep_first as usize,
            keep_last: keep_last as usize,
        }
    }

    pub(super) fn tokenise(&self, text: &str) -> Result<String, TokenFault> {
        self.replace(text, |tweak, digits| {
            self.cipher.encrypt(tweak, digits).ok()
        })
    }

    pub(super) fn detokenise(&self, token: &str) -> Result<String, TokenFault> {
        self.replace(token, |tweak, digits| {
            self.cipher.decrypt(tweak, digits).ok()
        })
        .map_err(|_| TokenFault::Malformed)
    }

    fn replace(
        &self,
        text: &str,
        permute: impl FnOnce(&[u8], &FlexibleNumeralString) -> Option<FlexibleNumeralString>,
    ) -> Result<String, TokenFault> {
        check_text(text)?;
        let all = text.bytes().filter(u8::is_ascii_digit).count();
        let replaceable = all.saturating_sub(self.keep_first.saturating_add(self.keep_last));
        if replaceable < DIGITS_MIN {
            return Err(TokenFault::TooFewDigits {
                replaceable,
                needed: DIGITS_MIN,
            });
        }
        check_replaced(replaceable)?;

        let replaced = self.keep_first..all - self.keep_last;
        let mut numerals = Vec::with_capacity(replaceable);
        let mut template = String::with_capacity(text.len());
        let mut index = 0;
        for character in text.chars() {
            let Some(digit) = character.to_digit(10) else {
                template.push(character);
                continue;
            };
            if replaced.contains(&index) {
                numerals.push(digit as u16);
                template.push(PLACE);
            } else {
                template.push(character);
            }
            index += 1;
        }
        let tweak = self.tweak.with(&template);
        let permuted: Vec<u16> = permute(&tweak, &numerals.into())
            .ok_or(TokenFault::Malformed)?
            .into();
        Ok(self.filled(text, &permuted))
    }

    /// The text with its replaceable digits taken from `numerals`.
    fn filled(&self, text: &str, numerals: &[u16]) -> String {
        let mut index: usize = 0;
        text.chars()
            .map(|character| {
                if !character.is_ascii_digit() {
                    return character;
                }
                let numeral = index
                    .checked_sub(self.keep_first)
                    .and_then(|place| numerals.get(place));
                index += 1;
                numeral
                    .and_then(|&numeral| char::from_digit(numeral.into(), 10))
                    .unwrap_or(character)
            })
            .collect()
    }
}

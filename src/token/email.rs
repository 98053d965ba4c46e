//! `email`: the part before the last `@` becomes a code of lower-case letters and digits, the domain part stays.
//!
//! `anna@example.com` may become `k3v7q2mhx4ydn5ra@example.com`. The code is no shorter than 8 characters and
//! grows by 8: ⌈(bytes of the local part + 1) / 5⌉ × 8, so 8 for up to 4 bytes, 16 for up to 9, 24 for up to 14,
//! 104 for the 64 bytes that RFC 5321 allows. A token longer than its `varchar(n)` cannot be stored. Any text has
//! a token: one without `@`, the empty one too, becomes `…@none.invalid` (RFC 2606 keeps `.invalid` from being
//! anyone's) and comes back without it. Upper and lower case are different texts, as for PostgreSQL's `text`.
//!
//! How: the local part's bytes, a mark (1: had an `@`, 2: had none) and zeros up to a multiple of five bytes are
//! written in base 32 (RFC 4648's alphabet in lower case), and FF1 with radix 32 permutes the digits of the same
//! length; the tweak holds the domain part with its `@`. 32^8 values are more than the 10^6 that FF1 needs.

use aes::Aes256;
use fpe::ff1::{FF1, FlexibleNumeralString};

use super::tweak::Tweak;
use super::{TokenFault, check_replaced, check_text};
use crate::ident::DomainName;

/// The format's number in the tweak.
const FORMAT: u8 = 2;

/// RFC 4648, section 6, in lower case.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Bytes that make a whole number of base-32 digits.
const GROUP_BYTES: usize = 5;

/// Digits of a group.
const GROUP_DIGITS: usize = 8;

/// Follows the local part of a text that has an `@`.
const HAD_DOMAIN: u8 = 1;

/// Follows a text that has no `@`.
const HAD_NONE: u8 = 2;

/// The domain part of the token of a text that has no `@`.
const NO_DOMAIN: &str = "@none.invalid";

pub(super) struct Email {
    cipher: FF1<Aes256>,
    tweak: Tweak,
}

impl Email {
    pub(super) fn new(key: &[u8; 32], domain: &DomainName) -> Self {
        Self {
            // Radix 32 is in 2..=2^16 and the key has AES-256's length: FF1::new has nothing to refuse.
            cipher: FF1::new(key, 32).expect("radix 32 is FF1's own"),
            tweak: Tweak::new(FORMAT, domain, [0, 0]),
        }
    }

    pub(super) fn tokenise(&self, text: &str) -> Result<String, TokenFault> {
        check_text(text)?;
        let (local, kept, mark) = match text.rfind('@') {
            Some(at) => (&text[..at], &text[at..], HAD_DOMAIN),
            None => (text, NO_DOMAIN, HAD_NONE),
        };
        check_replaced(local.len())?;
        let numerals = FlexibleNumeralString::from(to_numerals(local, mark));
        let code: Vec<u16> = self
            .cipher
            .encrypt(&self.tweak.with(kept), &numerals)
            .map_err(|_| TokenFault::Malformed)?
            .into();
        let mut token = String::with_capacity(code.len() + kept.len());
        for numeral in code {
            let digit = ALPHABET.get(usize::from(numeral));
            token.push(char::from(*digit.ok_or(TokenFault::Malformed)?));
        }
        token.push_str(kept);
        Ok(token)
    }

    pub(super) fn detokenise(&self, token: &str) -> Result<String, TokenFault> {
        let malformed = TokenFault::Malformed;
        check_text(token).map_err(|_| malformed)?;
        let at = token.rfind('@').ok_or(malformed)?;
        let (code, kept) = token.split_at(at);
        if code.is_empty()
            || !code.len().is_multiple_of(GROUP_DIGITS)
            || code.len() / GROUP_DIGITS * GROUP_BYTES > TOKEN_PADDED_BYTES_MAX
        {
            return Err(malformed);
        }
        let numerals = code.bytes().map(numeral_of).collect::<Option<Vec<u16>>>();
        let numerals = FlexibleNumeralString::from(numerals.ok_or(malformed)?);
        let plain: Vec<u16> = self
            .cipher
            .decrypt(&self.tweak.with(kept), &numerals)
            .map_err(|_| malformed)?
            .into();
        let (local, mark) = from_numerals(&plain).ok_or(malformed)?;
        match mark {
            HAD_DOMAIN => Ok(local + kept),
            HAD_NONE if kept == NO_DOMAIN && !local.contains('@') => Ok(local),
            _ => Err(malformed),
        }
    }
}

/// The longest local part with its mark and zeros.
const TOKEN_PADDED_BYTES_MAX: usize = padded(crate::limits::TOKEN_REPLACED_BYTES_MAX);

/// Bytes of a local part with its mark and zeros.
const fn padded(local_bytes: usize) -> usize {
    (local_bytes / GROUP_BYTES + 1) * GROUP_BYTES
}

fn numeral_of(digit: u8) -> Option<u16> {
    match digit {
        b'a'..=b'z' => Some(u16::from(digit - b'a')),
        b'2'..=b'7' => Some(u16::from(digit - b'2') + 26),
        _ => None,
    }
}

fn to_numerals(local: &str, mark: u8) -> Vec<u16> {
    let mut bytes = Vec::with_capacity(padded(local.len()));
    bytes.extend_from_slice(local.as_bytes());
    bytes.push(mark);
    bytes.resize(padded(local.len()), 0);
    bytes
        .chunks(GROUP_BYTES)
        .flat_map(|group| {
            let bits = group.iter().fold(0u64, |bits, &b| bits << 8 | u64::from(b));
            (0..GROUP_DIGITS)
                .rev()
                .map(move |place| (bits >> (5 * place) & 31) as u16)
        })
        .collect()
}

/// The local part and its mark; None when these numerals cannot have been made by [`to_numerals`].
fn from_numerals(numerals: &[u16]) -> Option<(String, u8)> {
    let mut bytes: Vec<u8> = numerals
        .chunks(GROUP_DIGITS)
        .flat_map(|group| {
            let bits = group.iter().fold(0u64, |bits, &n| bits << 5 | u64::from(n));
            (0..GROUP_BYTES)
                .rev()
                .map(move |place| (bits >> (8 * place)) as u8)
        })
        .collect();
    let length = bytes.len();
    let end = bytes.iter().rposition(|&byte| byte != 0)?;
    let mark = bytes[end];
    bytes.truncate(end);
    if padded(end) != length {
        return None;
    }
    Some((String::from_utf8(bytes).ok()?, mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_grows_by_eight() {
        let email = Email::new(&[7; 32], &DomainName::new("d"));
        for (bytes, digits) in [(0, 8), (4, 8), (5, 16), (9, 16), (10, 24), (64, 104)] {
            let token = email
                .tokenise(&("x".repeat(bytes) + "@y"))
                .expect("a token");
            assert_eq!(token.len() - 2, digits);
        }
    }

    #[test]
    fn an_address_at_the_reserved_domain_is_still_an_address() {
        let email = Email::new(&[7; 32], &DomainName::new("d"));
        let address = email.tokenise("a@none.invalid").expect("a token");
        let word = email.tokenise("a").expect("a token");
        assert_ne!(address, word);
        assert_eq!(email.detokenise(&address).as_deref(), Ok("a@none.invalid"));
        assert_eq!(email.detokenise(&word).as_deref(), Ok("a"));
    }
}

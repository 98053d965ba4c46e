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
//! Knows nothing of roles or columns.

mod digits;
mod email;
mod tweak;

use crate::ident::{DomainName, SqlState};
use crate::limits::{TOKEN_REPLACED_BYTES_MAX, TOKEN_TEXT_BYTES_MAX};

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
}

/// Why a text has no token, or a token no text. Never carries either.
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
    /// What a client is told: 22023 for a text that cannot be tokenised, XX001 for a stored token that is none.
    pub fn sqlstate(&self) -> SqlState {
        match self {
            Self::TooFewDigits { .. } | Self::TooLong { .. } => SqlState::INVALID_PARAMETER_VALUE,
            Self::Malformed => SqlState::DATA_CORRUPTED,
        }
    }
}

/// Makes and reads the tokens of one format under one key.
pub struct Tokeniser(Format);

enum Format {
    Digits(digits::Digits),
    Email(email::Email),
}

impl Tokeniser {
    /// A tokeniser for one domain and format. The key is a subkey of the domain's DEK for tokens alone; the cipher
    /// is AES-256.
    pub fn new(key: &[u8; 32], domain: &DomainName, format: TokenFormat) -> Self {
        Self(match format {
            TokenFormat::Digits {
                keep_first,
                keep_last,
            } => Format::Digits(digits::Digits::new(key, domain, keep_first, keep_last)),
            TokenFormat::Email => Format::Email(email::Email::new(key, domain)),
        })
    }

    /// The token of a text.
    ///
    /// # Errors
    /// [`TokenFault`] (22023) when the text has too little to replace or is too long.
    pub fn tokenise(&self, text: &str) -> Result<String, TokenFault> {
        match &self.0 {
            Format::Digits(format) => format.tokenise(text),
            Format::Email(format) => format.tokenise(text),
        }
    }

    /// The text of a token: `detokenise(tokenise(x)) == x` for every x that has a token.
    ///
    /// # Errors
    /// [`TokenFault::Malformed`] (XX001) when the token cannot have been made by this tokeniser.
    pub fn detokenise(&self, token: &str) -> Result<String, TokenFault> {
        match &self.0 {
            Format::Digits(format) => format.detokenise(token),
            Format::Email(format) => format.detokenise(token),
        }
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tokeniser(key: u8, domain: &str, format: TokenFormat) -> Tokeniser {
        Tokeniser::new(&[key; 32], &DomainName::new(domain), format)
    }

    const PHONE: TokenFormat = TokenFormat::Digits {
        keep_first: 3,
        keep_last: 0,
    };

    proptest! {
        #[test]
        fn every_text_with_digits_enough_comes_back(text in "[a-z +()0-9é０-９-]{0,40}", keep_first in 0u32..4, keep_last in 0u32..4) {
            let tokeniser = tokeniser(1, "d", TokenFormat::Digits { keep_first, keep_last });
            match tokeniser.tokenise(&text) {
                Ok(token) => {
                    prop_assert_eq!(token.chars().count(), text.chars().count());
                    prop_assert_eq!(tokeniser.detokenise(&token), Ok(text));
                }
                Err(fault) => {
                    let digits = text.bytes().filter(u8::is_ascii_digit).count();
                    let replaceable = digits.saturating_sub((keep_first + keep_last) as usize);
                    prop_assert!(replaceable < 6);
                    prop_assert_eq!(fault, TokenFault::TooFewDigits { replaceable, needed: 6 });
                }
            }
        }

        #[test]
        fn every_address_and_every_other_text_comes_back(text in "\\PC{0,60}(@\\PC{0,20})?") {
            let tokeniser = tokeniser(1, "d", TokenFormat::Email);
            let token = tokeniser.tokenise(&text).expect("short enough");
            let (local, _) = token.rsplit_once('@').expect("a token is an address");
            prop_assert!(local.len() >= 8);
            prop_assert!(local.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
            prop_assert_eq!(tokeniser.detokenise(&token), Ok(text));
        }

        #[test]
        fn no_text_is_taken_for_a_token_without_an_answer(text in "\\PC{0,60}@?\\PC{0,20}") {
            let tokeniser = tokeniser(1, "d", TokenFormat::Email);
            if let Ok(plain) = tokeniser.detokenise(&text) {
                prop_assert_eq!(tokeniser.tokenise(&plain), Ok(text));
            }
        }
    }

    #[test]
    fn key_domain_format_and_surroundings_decide_a_token() {
        let token = tokeniser(1, "d", PHONE).tokenise("+49 30 1234567");
        for other in [
            tokeniser(2, "d", PHONE).tokenise("+49 30 1234567"),
            tokeniser(1, "e", PHONE).tokenise("+49 30 1234567"),
            tokeniser(1, "d", PHONE).tokenise("+49 31 1234567"),
            tokeniser(1, "d", PHONE).tokenise("+49-30 1234567"),
        ] {
            let digits = |token: &Result<String, TokenFault>| {
                token.clone().map(|t| t[t.len() - 7..].to_owned())
            };
            assert_ne!(digits(&token), digits(&other));
        }
        let one = tokeniser(1, "d", TokenFormat::Email).tokenise("a@x.org");
        let other = tokeniser(1, "d", TokenFormat::Email).tokenise("a@y.org");
        assert_ne!(one.expect("a token")[..8], other.expect("a token")[..8]);
    }

    #[test]
    fn a_wrong_key_does_not_give_the_address_back() {
        let token = tokeniser(1, "d", TokenFormat::Email)
            .tokenise("anna@example.com")
            .expect("a token");
        assert_eq!(
            tokeniser(2, "d", TokenFormat::Email).detokenise(&token),
            Err(TokenFault::Malformed)
        );
    }

    #[test]
    fn what_is_too_long_is_refused() {
        let digits = "1".repeat(TOKEN_REPLACED_BYTES_MAX + 4);
        let all = "x".repeat(TOKEN_TEXT_BYTES_MAX + 1);
        for (text, format) in [
            (&digits, PHONE),
            (&all, PHONE),
            (&digits, TokenFormat::Email),
            (&all, TokenFormat::Email),
        ] {
            assert!(matches!(
                tokeniser(1, "d", format).tokenise(text),
                Err(TokenFault::TooLong { .. })
            ));
        }
    }

    /// NIST's examples for FF1 with AES-256 (samples 7, 8 and 9): the crate is the standard's.
    #[test]
    fn the_crate_is_sp_800_38g() {
        use fpe::ff1::{FF1, FlexibleNumeralString};
        let key = hex::decode("2b7e151628aed2a6abf7158809cf4f3cef4359d8d580aa4f7f036d6f04fc6a94")
            .unwrap();
        for (radix, tweak, plain, expected) in [
            (10, "", "0123456789", "6657667009"),
            (10, "39383736353433323130", "0123456789", "1001623463"),
            (
                36,
                "3737373770717273373737",
                "0123456789abcdefghi",
                "xs8a0azh2avyalyzuwd",
            ),
        ] {
            let numerals: Vec<u16> = plain
                .chars()
                .map(|c| c.to_digit(36).unwrap() as u16)
                .collect();
            let token: Vec<u16> = FF1::<aes::Aes256>::new(&key, radix)
                .unwrap()
                .encrypt(
                    &hex::decode(tweak).unwrap(),
                    &FlexibleNumeralString::from(numerals),
                )
                .unwrap()
                .into();
            let token: String = token
                .into_iter()
                .map(|n| char::from_digit(n.into(), 36).unwrap())
                .collect();
            assert_eq!(token, expected);
        }
    }

    /// Frozen: a change here loses data.
    #[test]
    fn golden_tokens() {
        let first_last = TokenFormat::Digits {
            keep_first: 1,
            keep_last: 2,
        };
        for (format, text, token) in [
            (PHONE, "+49 (30) 123-4567", "+49 (34) 558-9715"),
            (PHONE, "13812345678", "13870501499"),
            (first_last, "110105194912310021", "147944875686262421"),
            (TokenFormat::Email, "a@example.com", "smlaamxr@example.com"),
            (
                TokenFormat::Email,
                "wei.zhang@example.cn",
                "qjnrmzigzuib2gjv@example.cn",
            ),
            (
                TokenFormat::Email,
                "张伟@例子.中国",
                "v76r5sodrtqedn25@例子.中国",
            ),
            (TokenFormat::Email, "a@b@c", "zbb6nouk@c"),
            (TokenFormat::Email, "none", "jkx5sing@none.invalid"),
            (TokenFormat::Email, "", "g7tkoami@none.invalid"),
        ] {
            let tokeniser = Tokeniser::new(
                &std::array::from_fn(|i| i as u8),
                &DomainName::new("contact"),
                format,
            );
            assert_eq!(tokeniser.tokenise(text).as_deref(), Ok(token), "{text}");
            assert_eq!(tokeniser.detokenise(token).as_deref(), Ok(text));
        }
    }
}

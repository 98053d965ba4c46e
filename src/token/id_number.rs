//! `id_number`: a Chinese identity number (GB 11643) becomes another with the same six digits of the region, another
//! birthday that was or will be, another number within the day, and its check digit.
//!
//! `110105194912310021` may become `110105203807195562`. Birthdays are replaced by days from 1900-01-01 to
//! 2099-12-31, 73,049 of them, with a thousand numbers each: 73,049,000 values. The older numbers of fifteen digits,
//! without a century and a check digit, become others of fifteen: 36,524 days from 1900 to 1999, 36,524,000 values. A
//! right check digit stays right, a wrong one wrong in the same way. A number that ends in a small `x` has a token
//! that does (6,640,818 values at the least). Any other text has no token: it is refused with 22023.
//!
//! How: day × 1000 + number within the day, permuted among its like; the tweak holds the region, the length, and how
//! far the check digit is from the right one. What a token leaks: the region, and what is said above.

use num_bigint::BigUint;

use super::TokenFault;
use super::date;
use super::permutation::{Permutation, Way};
use super::tweak::Tweak;
use crate::ident::DomainName;

/// The format's number in the tweak.
const FORMAT: u8 = 5;

/// Days from 1900-01-01 to 2099-12-31.
const DAYS: u32 = 73_049;
/// Days from 1900-01-01 to 1999-12-31.
const DAYS_OF_OLD: u32 = 36_524;
/// Numbers within a day.
const WITHIN_DAY: u32 = 1000;

/// Weights of the seventeen digits (GB 11643, after ISO 7064 MOD 11-2).
const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
/// The check characters by the weighted sum modulo 11.
const CHECKS: &[u8; 11] = b"10X98765432";

pub(super) struct IdNumber {
    permutation: Permutation,
    tweak: Tweak,
}

/// An identity number taken apart.
struct Parts<'a> {
    region: &'a str,
    /// day × 1000 + number within the day
    rank: u32,
    check: Check,
}

/// What stands behind the digits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Check {
    /// nothing: a number of fifteen digits
    None,
    /// a digit or `X`, so many places from the right one
    Off(usize),
    /// an `x`, so many places from the right one
    Small(usize),
}

impl IdNumber {
    pub(super) fn new(key: &[u8; 32], domain: &DomainName) -> Self {
        Self {
            permutation: Permutation::new(key),
            tweak: Tweak::new(FORMAT, domain, [0, 0]),
        }
    }

    pub(super) fn replace(&self, way: Way, text: &str) -> Result<String, TokenFault> {
        let Parts {
            region,
            rank,
            check,
        } = parts(text).ok_or(TokenFault::NotOfFormat("a Chinese identity number"))?;
        let (days, mark) = match check {
            Check::None => (DAYS_OF_OLD, "15".to_owned()),
            Check::Off(off) => (DAYS, format!("18 {off}")),
            Check::Small(off) => (DAYS, format!("18x {off}")),
        };
        let tweak = self.tweak.with(&format!("{region} {mark}"));
        let size = BigUint::from(days * WITHIN_DAY);
        let may_be = |rank: &BigUint| match check {
            Check::None | Check::Off(_) => true,
            // A small x is an x: the check character of such a token must be one.
            Check::Small(_) => written(region, below(rank), check).is_some(),
        };
        let permuted = self
            .permutation
            .walk(way, (rank.into(), &size), &tweak, may_be)?;
        written(region, below(&permuted), check).ok_or(TokenFault::Malformed)
    }
}

/// A rank: it is below 2^32.
fn below(rank: &BigUint) -> u32 {
    rank.iter_u32_digits().next().unwrap_or(0)
}

fn parts(text: &str) -> Option<Parts<'_>> {
    let (body, last) = match text.len() {
        15 => (text, None),
        18 => (text.get(..17)?, Some(text.as_bytes()[17])),
        _ => return None,
    };
    if !body.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (region, rest) = body.split_at(6);
    let (birthday, within) = rest.split_at(rest.len() - 3);
    let birthday: u32 = birthday.parse().ok()?;
    let year = birthday / 10_000 + if last.is_none() { 1900 } else { 0 };
    if !(1900..=2099).contains(&year) {
        return None;
    }
    let day = date::rank(year, birthday / 100 % 100, birthday % 100)? - date::before_year(1900);
    let check = match last {
        None => Check::None,
        Some(b'x') => Check::Small(off(body, b'X')?),
        Some(check) => Check::Off(off(body, check)?),
    };
    Some(Parts {
        region,
        rank: day * WITHIN_DAY + within.parse::<u32>().ok()?,
        check,
    })
}

/// The place of the right check character of seventeen digits.
fn right(body: &str) -> usize {
    let digits = body.bytes().map(|byte| u32::from(byte - b'0'));
    let sum: u32 = digits
        .zip(WEIGHTS)
        .map(|(digit, weight)| digit * weight)
        .sum();
    (sum % 11) as usize
}

/// How far a check character is from the right one.
fn off(body: &str, check: u8) -> Option<usize> {
    let place = CHECKS.iter().position(|&right| right == check)?;
    Some((place + CHECKS.len() - right(body)) % CHECKS.len())
}

/// The number of that rank; None where its check character is not of the kind asked for.
fn written(region: &str, rank: u32, check: Check) -> Option<String> {
    let (year, month, day) = date::of_rank(rank / WITHIN_DAY + date::before_year(1900));
    let within = rank % WITHIN_DAY;
    let off = match check {
        Check::None => {
            return Some(format!(
                "{region}{:02}{month:02}{day:02}{within:03}",
                year % 100
            ));
        }
        Check::Off(off) | Check::Small(off) => off,
    };
    let body = format!("{region}{year:04}{month:02}{day:02}{within:03}");
    let character = CHECKS[(right(&body) + off) % CHECKS.len()];
    match (check, character) {
        (Check::Small(_), b'X') => Some(body + "x"),
        (Check::Small(_), _) => None,
        (_, character) => Some(body + &char::from(character).to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_character_is_gb_11643_s() {
        // The standard's own examples.
        assert_eq!(CHECKS[right("11010519491231002")], b'X');
        assert_eq!(CHECKS[right("44052418800101001")], b'4');
    }

    #[test]
    fn the_days_are_counted_right() {
        let days = |from: u32, to: u32| date::before_year(to) - date::before_year(from);
        assert_eq!(days(1900, 2100), DAYS);
        assert_eq!(days(1900, 2000), DAYS_OF_OLD);
    }

    #[test]
    fn what_is_no_identity_number_has_no_parts() {
        for text in [
            "",
            "11010519491231002",
            "1101051949123100211",
            "110105194913310021",
            "110105190002290021",
            "110105189912310021",
            "110105210001010021",
            "11010519491231002y",
            "11010519491231 021",
            "110105４912310021",
            "110105490229002",
            "11010549123100X",
        ] {
            assert!(parts(text).is_none(), "{text}");
        }
        assert!(parts("110105480229002").is_some());
    }
}

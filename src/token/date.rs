//! `date`: a date from 0001-01-01 to 9999-12-31 becomes another of these 3,652,059 days.
//!
//! Any other date, BC or infinite, has no token: it is refused with 22023. Nothing of the date is kept. How: the
//! number of the day is permuted.

use super::TokenFault;
use super::permutation::{Permutation, Way};
use super::tweak::Tweak;
use crate::ident::DomainName;

/// The format's number in the tweak.
const FORMAT: u8 = 6;

/// Days from 0001-01-01 to 9999-12-31.
const DAYS: u64 = 3_652_059;

/// 0001-01-01 in days since 2000-01-01, which canonical dates count from.
const FIRST: i64 = -730_119;

/// A date that is no token: -infinity.
pub(super) const NOBODYS: i32 = i32::MIN;

pub(super) struct Date {
    permutation: Permutation,
    tweak: Vec<u8>,
}

impl Date {
    pub(super) fn new(key: &[u8; 32], domain: &DomainName) -> Self {
        Self {
            permutation: Permutation::new(key),
            tweak: Tweak::new(FORMAT, domain, [0, 0]).with(""),
        }
    }

    pub(super) fn replace(&self, way: Way, canonical: &[u8]) -> Result<Vec<u8>, TokenFault> {
        let day = canonical.try_into().map_err(|_| TokenFault::Malformed)?;
        let rank = i64::from(i32::from_be_bytes(day)) - FIRST;
        let rank = u64::try_from(rank)
            .ok()
            .filter(|rank| *rank < DAYS)
            .ok_or(TokenFault::NotOfFormat("a date of the years 1 to 9999"))?;
        let permuted = self.permutation.permute(way, (rank, DAYS), &self.tweak)?;
        // Below DAYS: far within both types.
        let day = (permuted as i64 + FIRST) as i32;
        Ok(day.to_be_bytes().to_vec())
    }
}

/// Days before 1 January of a year, counted from 0001-01-01 (proleptic Gregorian).
pub(super) const fn before_year(year: u32) -> u32 {
    let past = year - 1;
    past * 365 + past / 4 - past / 100 + past / 400
}

const fn is_leap(year: u32) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of(year: u32, month: u32) -> u32 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The number of a day, 0 for 0001-01-01; None for what is no day.
pub(super) fn rank(year: u32, month: u32, day: u32) -> Option<u32> {
    if !(1..=9999).contains(&year) || !(1..=12).contains(&month) {
        return None;
    }
    let before: u32 = (1..month).map(|month| days_of(year, month)).sum();
    (1..=days_of(year, month))
        .contains(&day)
        .then(|| before_year(year) + before + day - 1)
}

/// Year, month and day of a number.
pub(super) fn of_rank(rank: u32) -> (u32, u32, u32) {
    // An average year has 365.2425 days: the guess is at most one too high.
    let mut year = (u64::from(rank) * 400 / 146_097) as u32 + 1;
    while before_year(year + 1) <= rank {
        year += 1;
    }
    while before_year(year) > rank {
        year -= 1;
    }
    let mut rest = rank - before_year(year);
    let mut month = 1;
    while rest >= days_of(year, month) {
        rest -= days_of(year, month);
        month += 1;
    }
    (year, month, rest + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_as_postgresql_counts_them() {
        assert_eq!(u64::from(before_year(10_000)), DAYS);
        assert_eq!(i64::from(before_year(2000)) + FIRST, 0);
        assert_eq!(rank(1, 1, 1), Some(0));
        assert_eq!(rank(1900, 2, 29), None);
        assert!(rank(2000, 2, 29).is_some());
        for day in (0..3_652_059).step_by(97).chain([3_652_058]) {
            let (year, month, of_month) = of_rank(day);
            assert_eq!(rank(year, month, of_month), Some(day));
        }
    }
}

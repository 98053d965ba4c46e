//! The words that inventions are made of: lists of ours, one a file, words apart by white space.

use std::sync::LazyLock;

type Words = LazyLock<Vec<&'static str>>;

macro_rules! words {
    ($file:literal) => {
        LazyLock::new(|| include_str!($file).split_whitespace().collect())
    };
}

/// Given names of any sex.
pub(super) static ENGLISH_GIVEN: Words = words!("english_given.txt");
/// Family names.
pub(super) static ENGLISH_FAMILY: Words = words!("english_family.txt");
/// What companies do.
pub(super) static ENGLISH_TRADE: Words = words!("english_trade.txt");
/// What streets are named after.
pub(super) static ENGLISH_STREET: Words = words!("english_street.txt");
/// Towns that are nowhere.
pub(super) static ENGLISH_TOWN: Words = words!("english_town.txt");
/// Family names of one and two characters.
pub(super) static CHINESE_FAMILY: Words = words!("chinese_family.txt");
/// Characters of given names.
pub(super) static CHINESE_GIVEN: Words = words!("chinese_given.txt");
/// Cities.
pub(super) static CHINESE_CITY: Words = words!("chinese_city.txt");
/// Districts that are nowhere, or somewhere else.
pub(super) static CHINESE_DISTRICT: Words = words!("chinese_district.txt");
/// Characters that companies call themselves by.
pub(super) static CHINESE_COINED: Words = words!("chinese_coined.txt");
/// What companies do.
pub(super) static CHINESE_TRADE: Words = words!("chinese_trade.txt");
/// What roads are named after.
pub(super) static CHINESE_ROAD: Words = words!("chinese_road.txt");

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_list_is_short_or_says_a_word_twice() {
        for list in [
            &ENGLISH_GIVEN,
            &ENGLISH_FAMILY,
            &ENGLISH_TRADE,
            &ENGLISH_STREET,
            &ENGLISH_TOWN,
            &CHINESE_FAMILY,
            &CHINESE_GIVEN,
            &CHINESE_CITY,
            &CHINESE_DISTRICT,
            &CHINESE_COINED,
            &CHINESE_TRADE,
            &CHINESE_ROAD,
        ] {
            assert!((40..400).contains(&list.len()), "{:?}", list[0]);
            let once: HashSet<&&str> = list.iter().collect();
            assert_eq!(once.len(), list.len(), "{:?}", list[0]);
        }
    }
}

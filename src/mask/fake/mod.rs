//! `fake`: an invented name, company, address, telephone number or e-mail, always the same for the same value of one
//! key domain.
//!
//! `fake: name` shows `Anna Lee` as `Harriet Coverdale` and `王小明` as `沈思远`; `fake` alone is a name. The language
//! is that of the value (Chinese where it holds a Han character, else English) or, with `language`, one for all. The
//! words are ours, in the `.txt` files beside this one; cities and family names are real, towns, roads and companies
//! are put together. E-mails end in `example.com`, `.net` or `.org` (RFC 2606). Telephone numbers are nobody's: the
//! English ones have 555-01 after a North American area code, the Chinese ones a local number that begins with 0.
//!
//! What is invented is not unique: there are some 90,000 English names and ten million Chinese ones, so that of
//! many values two may be shown alike. On a `varchar(n)` a name, company or address longer than n characters is cut.
//! It has no SQL form: a key in a statement would show in EXPLAIN and in the server's log.
//!
//! For texts of at least eight characters, of 40 for e-mails, of 17 for telephone numbers. What is left:
//! which values are equal, and the language. A change of the lists changes what is shown, and so is a change of the
//! format.

mod words;

use super::keyed::{Draws, MaskKey};
use super::text_of_at_least;
use crate::types::LogicalType;

/// What is invented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fake {
    /// of which kind
    pub kind: FakeKind,
    /// in which language; None for that of the value
    pub language: Option<FakeLanguage>,
}

/// The kinds of what is invented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FakeKind {
    /// a person's name
    Name,
    /// a company's name
    Company,
    /// a postal address in one line
    Address,
    /// a telephone number
    Phone,
    /// an e-mail address
    Email,
}

/// The languages it is invented in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FakeLanguage {
    /// English
    English,
    /// Chinese, in simplified characters
    Chinese,
}

/// Han characters: the ideographs with their extensions, compatibility ideographs, both ends included.
const HAN: [(u32, u32); 5] = [
    (0x3007, 0x3007),
    (0x3400, 0x4dbf),
    (0x4e00, 0x9fff),
    (0xf900, 0xfaff),
    (0x20000, 0x3ffff),
];

pub(super) fn apply(fake: Fake, key: &MaskKey, text: &str) -> String {
    let language = fake.language.unwrap_or_else(|| language_of(text));
    let mut draws = key.draws(fake.kind.use_of_key(), text.as_bytes());
    match (fake.kind, language) {
        (FakeKind::Name, FakeLanguage::English) => english_name(&mut draws),
        (FakeKind::Name, FakeLanguage::Chinese) => chinese_name(&mut draws),
        (FakeKind::Company, FakeLanguage::English) => english_company(&mut draws),
        (FakeKind::Company, FakeLanguage::Chinese) => chinese_company(&mut draws),
        (FakeKind::Address, FakeLanguage::English) => english_address(&mut draws),
        (FakeKind::Address, FakeLanguage::Chinese) => chinese_address(&mut draws),
        (FakeKind::Phone, FakeLanguage::English) => english_phone(&mut draws),
        (FakeKind::Phone, FakeLanguage::Chinese) => chinese_phone(&mut draws),
        (FakeKind::Email, _) => email(&mut draws),
    }
}

fn language_of(text: &str) -> FakeLanguage {
    let is_han = |character: char| {
        HAN.iter()
            .any(|&(from, to)| (from..=to).contains(&u32::from(character)))
    };
    match text.chars().any(is_han) {
        true => FakeLanguage::Chinese,
        false => FakeLanguage::English,
    }
}

fn english_name(draws: &mut Draws<'_>) -> String {
    let given = draws.one(&words::ENGLISH_GIVEN);
    format!("{given} {}", draws.one(&words::ENGLISH_FAMILY))
}

fn chinese_name(draws: &mut Draws<'_>) -> String {
    let mut name = draws.one(&words::CHINESE_FAMILY).to_owned();
    // One given name in five has one character.
    let characters = if draws.below(5) == 0 { 1 } else { 2 };
    for _ in 0..characters {
        name.push_str(draws.one(&words::CHINESE_GIVEN));
    }
    name
}

fn english_company(draws: &mut Draws<'_>) -> String {
    const FORMS: [&str; 5] = ["Ltd", "Inc.", "LLC", "Group", "& Co."];
    let head = match draws.below(2) {
        0 => draws.one(&words::ENGLISH_FAMILY),
        _ => draws.one(&words::ENGLISH_TOWN),
    };
    let trade = draws.one(&words::ENGLISH_TRADE);
    format!("{head} {trade} {}", draws.one(&FORMS))
}

fn chinese_company(draws: &mut Draws<'_>) -> String {
    const FORMS: [&str; 3] = ["有限公司", "有限责任公司", "股份有限公司"];
    let mut name = draws.one(&words::CHINESE_CITY).to_owned();
    for _ in 0..2 {
        name.push_str(draws.one(&words::CHINESE_COINED));
    }
    name.push_str(draws.one(&words::CHINESE_TRADE));
    name.push_str(draws.one(&FORMS));
    name
}

fn english_address(draws: &mut Draws<'_>) -> String {
    const KINDS: [&str; 8] = [
        "Street", "Road", "Lane", "Avenue", "Close", "Drive", "Court", "Way",
    ];
    let number = draws.below(299) + 1;
    let street = draws.one(&words::ENGLISH_STREET);
    let kind = draws.one(&KINDS);
    format!(
        "{number} {street} {kind}, {}",
        draws.one(&words::ENGLISH_TOWN)
    )
}

fn chinese_address(draws: &mut Draws<'_>) -> String {
    let city = draws.one(&words::CHINESE_CITY);
    let district = draws.one(&words::CHINESE_DISTRICT);
    let road = draws.one(&words::CHINESE_ROAD);
    let number = draws.below(599) + 1;
    let house = draws.below(30) + 1;
    let room = (draws.below(24) + 1) * 100 + draws.below(6) + 1;
    format!("{city}市{district}区{road}路{number}号{house}幢{room}室")
}

fn english_phone(draws: &mut Draws<'_>) -> String {
    // An area code has 2–9 first, and no 11 behind it, which is a service's.
    let area = (draws.below(8) + 2) * 100 + draws.below(9) * 10 + draws.below(8) + 2;
    format!("+1 ({area}) 555-01{:02}", draws.below(100))
}

fn chinese_phone(draws: &mut Draws<'_>) -> String {
    const AREAS: [&str; 10] = [
        "010", "020", "021", "022", "023", "024", "025", "027", "028", "029",
    ];
    let area = draws.one(&AREAS);
    format!("{area}-0{:07}", draws.below(10_000_000))
}

fn email(draws: &mut Draws<'_>) -> String {
    const DOMAINS: [&str; 3] = ["com", "net", "org"];
    let given = draws.one(&words::ENGLISH_GIVEN).to_ascii_lowercase();
    let family = draws.one(&words::ENGLISH_FAMILY).to_ascii_lowercase();
    let number = draws.below(10_000);
    format!("{given}.{family}{number}@example.{}", draws.one(&DOMAINS))
}

impl FakeKind {
    /// What the key is used for, so that two kinds of one value tell nothing of each other.
    fn use_of_key(self) -> &'static str {
        match self {
            Self::Name => "fake name",
            Self::Company => "fake company",
            Self::Address => "fake address",
            Self::Phone => "fake phone",
            Self::Email => "fake email",
        }
    }

    /// Characters that a `varchar(n)` must hold: what may be cut needs a few, what may not all of its longest.
    fn characters_min(self) -> u32 {
        match self {
            Self::Name | Self::Company | Self::Address => 8,
            Self::Phone => 17,
            Self::Email => 40,
        }
    }
}

pub(super) fn fits(fake: Fake, ty: LogicalType) -> Result<(), String> {
    text_of_at_least(fake.kind.characters_min(), "fake", ty)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const KINDS: [FakeKind; 5] = [
        FakeKind::Name,
        FakeKind::Company,
        FakeKind::Address,
        FakeKind::Phone,
        FakeKind::Email,
    ];

    fn shown(kind: FakeKind, language: Option<FakeLanguage>, text: &str) -> String {
        let key = MaskKey::new(&std::array::from_fn(|i| i as u8));
        apply(Fake { kind, language }, &key, text)
    }

    /// What was once shown stays.
    #[test]
    fn golden_inventions() {
        for (kind, text, invented) in [
            (FakeKind::Name, "Anna Lee", "Bianca Jessop"),
            (FakeKind::Name, "王小明", "曹磊"),
            (FakeKind::Company, "Lee & Sons", "Gladwin Plumbing Inc."),
            (FakeKind::Company, "小明公司", "大连方泰印刷有限公司"),
            (
                FakeKind::Address,
                "1 High Street",
                "32 Meadow Road, Saltwick",
            ),
            (
                FakeKind::Address,
                "北京市海淀区1号",
                "九江市莲池区蓝天路536号11幢706室",
            ),
            (FakeKind::Phone, "+49 30 123456", "+1 (829) 555-0178"),
            (FakeKind::Phone, "电话 10086", "010-00512723"),
            (
                FakeKind::Email,
                "anna@corp.invalid",
                "dora.thurston1977@example.net",
            ),
            (FakeKind::Email, "", "logan.percival2625@example.org"),
        ] {
            assert_eq!(shown(kind, None, text), invented, "{text}");
        }
    }

    #[test]
    fn the_language_is_the_value_s_or_the_policy_s() {
        let han = |text: &str| language_of(text) == FakeLanguage::Chinese;
        let english = shown(FakeKind::Name, Some(FakeLanguage::English), "王小明");
        let chinese = shown(FakeKind::Name, Some(FakeLanguage::Chinese), "Anna Lee");
        assert!(!han(&english) && han(&chinese));
        assert!(han(&shown(FakeKind::Company, None, "Lee 公司")));
    }

    #[test]
    fn there_is_variety_and_nothing_outgrows_what_is_asked_for() {
        for kind in KINDS {
            for language in [FakeLanguage::English, FakeLanguage::Chinese] {
                let all: HashSet<String> = (0..1000)
                    .map(|value| shown(kind, Some(language), &value.to_string()))
                    .collect();
                assert!(all.len() > 950, "{kind:?} {language:?}: {}", all.len());
                let longest = all.iter().map(|text| text.chars().count()).max();
                let cut = matches!(kind, FakeKind::Name | FakeKind::Company | FakeKind::Address);
                assert!(
                    cut || longest <= Some(kind.characters_min() as usize),
                    "{kind:?}"
                );
            }
        }
    }

    #[test]
    fn the_longest_email_fits_where_emails_fit() {
        let longest = |list: &[&str]| list.iter().map(|word| word.len()).max().unwrap_or(0);
        let characters = longest(&words::ENGLISH_GIVEN)
            + longest(&words::ENGLISH_FAMILY)
            + ".9999@example.com".len();
        assert!(
            characters <= FakeKind::Email.characters_min() as usize,
            "{characters}"
        );
    }
}

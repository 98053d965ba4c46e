//! Invented people for the demo's CRM: English and Chinese names with phones, e-mails, identity numbers,
//! birthdays, revenue and notes that fit together.
//!
//! Pure: the same random numbers give the same people. None of them exists; phone numbers stand in ranges that
//! are kept for fiction or are not assigned, e-mails in domains kept for examples (RFC 2606).

use jiff::civil::{Date, date};
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

/// A person of the CRM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// given and family name in the order of their language
    pub full_name: String,
    /// unique among the people of one CRM
    pub email: String,
    /// with country code and blanks
    pub phone: String,
    /// a Chinese identity number with a right check digit, or the shape of a British insurance number
    pub national_id: String,
    /// between 1940 and 2005
    pub birth_date: Date,
    /// hundredths of the currency's unit
    pub revenue_cents: i64,
    /// what somebody once typed; None for many
    pub notes: Option<String>,
}

const GIVEN: &[&str] = &[
    "Anna", "Olivia", "Grace", "Emma", "Lucy", "Hannah", "Zoë", "Chloe", "Maria", "Sarah", "Ivan",
    "James", "Oliver", "Henry", "Peter", "Łukasz", "José", "Thomas", "Noah", "Daniel",
];

const FAMILY: &[&str] = &[
    "Smith", "Jones", "Taylor", "Brown", "Williams", "Wilson", "Evans", "Thomas", "Walker",
    "Wright", "Robinson", "Thompson", "Hughes", "Edwards", "Green", "O'Connor", "Lewis", "Müller",
    "Clarke", "Novák",
];

/// Family names with the way an e-mail spells them.
const CHINESE_FAMILY: &[(&str, &str)] = &[
    ("王", "wang"),
    ("李", "li"),
    ("张", "zhang"),
    ("刘", "liu"),
    ("陈", "chen"),
    ("杨", "yang"),
    ("赵", "zhao"),
    ("黄", "huang"),
    ("周", "zhou"),
    ("吴", "wu"),
    ("徐", "xu"),
    ("孙", "sun"),
    ("欧阳", "ouyang"),
    ("司马", "sima"),
    ("诸葛", "zhuge"),
];

/// Given names with the way an e-mail spells them.
const CHINESE_GIVEN: &[(&str, &str)] = &[
    ("小明", "xiaoming"),
    ("芳", "fang"),
    ("娜", "na"),
    ("秀英", "xiuying"),
    ("敏", "min"),
    ("静", "jing"),
    ("伟", "wei"),
    ("磊", "lei"),
    ("洋", "yang"),
    ("勇", "yong"),
    ("艳", "yan"),
    ("杰", "jie"),
    ("涛", "tao"),
    ("建国", "jianguo"),
    ("雪梅", "xuemei"),
    ("志强", "zhiqiang"),
];

const MAIL_DOMAINS: &[&str] = &["example.com", "example.org", "example.net"];

/// Region codes of Chinese identity numbers (GB/T 2260).
const REGIONS: &[&str] = &["110101", "310104", "440305", "330106", "510107", "420106"];

const NOTES: &[&str] = &[
    "Prefers to be called after six.",
    "Asked for a discount on the yearly plan; spouse decides.",
    "Moving to a new office in spring.",
    "Met at the fair in Hanover; sends regards to the team.",
    "Complained about the last invoice, settled by phone.",
    "Card declined twice, pays by transfer since.",
];

const CHINESE_NOTES: &[&str] = &[
    "下周三回电，谈续约。",
    "对价格敏感，可以给九五折。",
    "春节后搬到新办公室。",
    "上次的发票有误，已电话解决。",
];

impl Person {
    /// The next person. `number` makes the e-mail unique; every second one has a Chinese name.
    pub fn invent(random: &mut StdRng, number: u32) -> Self {
        let birth_date = date(random.random_range(1940..=2005), 1, 1)
            .saturating_add(jiff::Span::new().days(random.random_range(0..365)));
        let chinese_name = number.is_multiple_of(2);
        let (full_name, mail_name, phone, national_id) = if chinese_name {
            chinese(random, birth_date)
        } else {
            english(random)
        };
        let notes = if chinese_name { CHINESE_NOTES } else { NOTES };
        let mail_domain = pick(random, MAIL_DOMAINS);
        Self {
            full_name,
            email: format!("{mail_name}{number}@{mail_domain}"),
            phone,
            national_id,
            birth_date,
            revenue_cents: random.random_range(0..=25_000_000),
            notes: random
                .random_bool(0.6)
                .then(|| (*pick(random, notes)).to_owned()),
        }
    }

    /// The revenue as `numeric(12,2)` has it.
    pub fn revenue(&self) -> String {
        format!(
            "{}.{:02}",
            self.revenue_cents / 100,
            self.revenue_cents % 100
        )
    }
}

fn pick<'a, T>(random: &mut StdRng, from: &'a [T]) -> &'a T {
    from.choose(random)
        .expect("the lists of this file are not empty")
}

/// Name, its spelling in an e-mail, phone, identity number.
fn english(random: &mut StdRng) -> (String, String, String, String) {
    let (given, family) = (pick(random, GIVEN), pick(random, FAMILY));
    let mail_name = format!("{given}.{family}")
        .chars()
        .filter_map(plain_letter)
        .collect();
    // Ofcom keeps 07700 900000 to 900999 for fiction: too few for the CRM, so the rest of that block is used.
    let phone = format!("+44 7700 {:06}", random.random_range(900_000..=999_999));
    let national_id = format!(
        "QQ {:02} {:02} {:02} {}",
        random.random_range(0..100),
        random.random_range(0..100),
        random.random_range(0..100),
        pick(random, &['A', 'B', 'C', 'D'])
    );
    (format!("{given} {family}"), mail_name, phone, national_id)
}

/// As [`english`].
fn chinese(random: &mut StdRng, birth_date: Date) -> (String, String, String, String) {
    let (family, family_mail) = pick(random, CHINESE_FAMILY);
    let (given, given_mail) = pick(random, CHINESE_GIVEN);
    let phone = format!(
        "+86 100 {:04} {:04}",
        random.random_range(0..10_000),
        random.random_range(0..10_000)
    );
    let born = birth_date.strftime("%Y%m%d");
    let body = format!(
        "{}{born}{:03}",
        pick(random, REGIONS),
        random.random_range(1..1000)
    );
    let check = check_digit(&body);
    (
        format!("{family}{given}"),
        format!("{given_mail}.{family_mail}"),
        phone,
        format!("{body}{check}"),
    )
}

/// The check digit of a Chinese identity number (GB 11643-1999, ISO 7064 MOD 11-2).
fn check_digit(body: &str) -> char {
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    const CHECKS: [char; 11] = ['1', '0', 'X', '9', '8', '7', '6', '5', '4', '3', '2'];
    let digits = body.chars().filter_map(|c| c.to_digit(10));
    let sum: u32 = digits
        .zip(WEIGHTS)
        .map(|(digit, weight)| digit * weight)
        .sum();
    CHECKS[(sum % 11) as usize]
}

/// The lower-case ASCII letter an e-mail has for a letter of a name; None for what an e-mail leaves out.
fn plain_letter(character: char) -> Option<char> {
    Some(match character {
        'ë' | 'é' => 'e',
        'Ł' | 'ł' => 'l',
        'ü' => 'u',
        'á' => 'a',
        '.' => '.',
        other if other.is_ascii_alphabetic() => other.to_ascii_lowercase(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand::SeedableRng;

    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_people() {
        let people = || {
            let mut random = StdRng::seed_from_u64(7);
            (1..50)
                .map(|n| Person::invent(&mut random, n))
                .collect::<Vec<_>>()
        };
        assert_eq!(people(), people());
    }

    #[test]
    fn emails_are_unique_and_plain() {
        let mut random = StdRng::seed_from_u64(7);
        let emails: HashSet<String> = (0..10_000)
            .map(|n| Person::invent(&mut random, n).email)
            .collect();
        assert_eq!(emails.len(), 10_000);
        assert!(emails.iter().all(|e| e.is_ascii() && !e.contains('\'')));
    }

    #[test]
    fn identity_numbers_have_the_check_digit_of_the_standards_example() {
        assert_eq!(check_digit("11010519491231002"), 'X');
    }
}

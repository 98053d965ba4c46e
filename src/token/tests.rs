//! Properties and golden vectors of the formats.

use proptest::prelude::*;

use super::*;

/// A tokeniser of texts.
struct Texts(Tokeniser);

impl Texts {
    fn tokenise(&self, text: &str) -> Result<String, TokenFault> {
        let token = self.0.tokenise(text.as_bytes())?;
        Ok(String::from_utf8(token).expect("a text"))
    }

    fn detokenise(&self, token: &str) -> Result<String, TokenFault> {
        let text = self.0.detokenise(token.as_bytes())?;
        Ok(String::from_utf8(text).expect("a text"))
    }
}

fn tokeniser(key: u8, domain: &str, format: TokenFormat) -> Texts {
    let domain = DomainName::new(domain);
    Texts(Tokeniser::new(
        &[key; 32],
        &domain,
        format,
        LogicalType::Text,
    ))
}

/// The key of the golden tokens.
fn golden(format: TokenFormat, ty: LogicalType) -> Tokeniser {
    let key = std::array::from_fn(|i| i as u8);
    Tokeniser::new(&key, &DomainName::new("contact"), format, ty)
}

/// A value of a type that is no text goes there and back, as another of the type.
fn there_and_back(format: TokenFormat, ty: LogicalType, value: &[u8]) -> Vec<u8> {
    let tokeniser = Tokeniser::new(&[1; 32], &DomainName::new("d"), format, ty);
    let token = tokeniser.tokenise(value).expect("a token");
    assert_eq!(tokeniser.detokenise(&token).as_deref(), Ok(value));
    token
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

fn kind(character: char) -> Option<u32> {
    match character {
        '0'..='9' => Some(10),
        'a'..='z' | 'A'..='Z' => Some(26),
        _ => None,
    }
}

fn luhn_is_right(text: &str) -> bool {
    let digits = text.chars().rev().filter_map(|c| c.to_digit(10));
    let sum: u32 = digits
        .enumerate()
        .map(|(index, digit)| match index % 2 {
            0 => digit,
            _ => digit * 2 / 10 + digit * 2 % 10,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// The check character of the seventeen digits before it.
fn id_check(body: &str) -> char {
    // 2^(17 - i) modulo 11 weighs the digit at i (ISO 7064 MOD 11-2).
    let sum: u32 = (0u32..)
        .zip(body.chars())
        .map(|(i, c)| c.to_digit(10).expect("a digit") * (2u32.pow(17 - i) % 11))
        .sum();
    ['1', '0', 'X', '9', '8', '7', '6', '5', '4', '3', '2'][sum as usize % 11]
}

proptest! {
    #[test]
    fn every_text_with_letters_and_digits_enough_comes_back(text in "[a-zA-Z0-9 .é０-]{0,30}", keep_first in 0u32..3, keep_last in 0u32..3) {
        let format = TokenFormat::Alphanumeric { keep_first, keep_last };
        match tokeniser(1, "d", format.clone()).tokenise(&text) {
            Ok(token) => {
                prop_assert_eq!(token.chars().count(), text.chars().count());
                for (there, here) in token.chars().zip(text.chars()) {
                    match kind(here) {
                        None => prop_assert_eq!(there, here),
                        Some(_) => prop_assert!(
                            (there.is_ascii_digit(), there.is_ascii_uppercase(), there.is_ascii_lowercase())
                                == (here.is_ascii_digit(), here.is_ascii_uppercase(), here.is_ascii_lowercase())
                        ),
                    }
                }
                let kept = |text: &str| {
                    let all: Vec<char> = text.chars().filter(|c| kind(*c).is_some()).collect();
                    let end = all.len() - keep_last as usize;
                    (all[..keep_first as usize].to_vec(), all[end..].to_vec())
                };
                prop_assert_eq!(kept(&token), kept(&text));
                prop_assert_eq!(tokeniser(1, "d", format).detokenise(&token), Ok(text));
            }
            Err(fault) => {
                let kinds: Vec<u32> = text.chars().filter_map(kind).collect();
                let end = kinds.len().saturating_sub(keep_last as usize);
                let replaced = kinds.get(keep_first as usize..end).unwrap_or_default();
                let values: u64 = replaced.iter().map(|&n| u64::from(n)).product();
                prop_assert!(values < 1_000_000);
                prop_assert_eq!(fault, TokenFault::TooFewValues { values });
            }
        }
    }

    #[test]
    fn every_card_number_comes_back_and_right_ones_are_right(text in "[0-9]{0,4}([ -]?[0-9]{4}){0,5}", keep_first in 0u32..7, keep_last in 0u32..4) {
        let format = TokenFormat::BankCard { keep_first, keep_last };
        let tokeniser = tokeniser(1, "d", format);
        match tokeniser.tokenise(&text) {
            Ok(token) => {
                prop_assert_eq!(luhn_is_right(&token), luhn_is_right(&text));
                let shape = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "#");
                prop_assert_eq!(shape(&token), shape(&text));
                let digits = |text: &str| text.replace([' ', '-'], "");
                let (there, here) = (digits(&token), digits(&text));
                prop_assert_eq!(&there[..keep_first as usize], &here[..keep_first as usize]);
                let end = here.len() - keep_last as usize;
                prop_assert_eq!(&there[end..], &here[end..]);
                prop_assert_eq!(tokeniser.detokenise(&token), Ok(text));
            }
            Err(fault) => {
                let digits = text.chars().filter(char::is_ascii_digit).count();
                let replaceable = digits.saturating_sub((keep_first + keep_last) as usize);
                prop_assert!(replaceable < 7);
                prop_assert_eq!(fault, TokenFault::TooFewDigits { replaceable, needed: 7 });
            }
        }
    }

    #[test]
    fn every_identity_number_comes_back_and_right_ones_are_right(
        region in "[0-9]{6}",
        year in 1900u32..2100,
        month in 1u32..13,
        day in 1u32..29,
        within in 0u32..1000,
        last in "[0-9Xx]?",
    ) {
        let tokeniser = tokeniser(1, "d", TokenFormat::IdNumber);
        let body = match last.is_empty() {
            true => format!("{region}{:02}{month:02}{day:02}{within:03}", year % 100),
            false => format!("{region}{year}{month:02}{day:02}{within:03}"),
        };
        for text in [body.clone() + &last, format!("{body}{}", if last.is_empty() { String::new() } else { id_check(&body).to_string() })] {
            let token = tokeniser.tokenise(&text).expect("a token");
            prop_assert_eq!(token.len(), text.len());
            prop_assert_eq!(&token[..6], &text[..6]);
            if !last.is_empty() {
                let right = |text: &str| text.ends_with(id_check(&text[..17]));
                prop_assert_eq!(right(&token), right(&text));
                prop_assert_eq!(token.ends_with('x'), text.ends_with('x'));
                prop_assert!((1900..2100).contains(&token[6..10].parse::<u32>().expect("a year")));
            }
            let birthday = &token[token.len() - if last.is_empty() { 7 } else { 8 }..];
            prop_assert!((1..=12).contains(&birthday[..2].parse::<u32>().expect("a month")));
            prop_assert!((1..=31).contains(&birthday[2..4].parse::<u32>().expect("a day")));
            prop_assert_eq!(tokeniser.detokenise(&token), Ok(text));
        }
    }

    #[test]
    fn every_uuid_comes_back_with_its_version(id: [u8; 16]) {
        let token = there_and_back(TokenFormat::Uuid, LogicalType::Uuid, &id);
        prop_assert_eq!((token[6] >> 4, token[8] >> 6), (id[6] >> 4, id[8] >> 6));
    }

    #[test]
    fn every_integer_but_the_lowest_comes_back_with_its_sign(value in i64::MIN + 1..) {
        let turned = |ty, value: i64| {
            let token = there_and_back(TokenFormat::Integer, ty, &value.to_be_bytes());
            i64::from_be_bytes(token.try_into().expect("eight bytes"))
        };
        prop_assert_eq!(turned(LogicalType::Int8, value) < 0, value < 0);
        let narrow = i64::from((value as i32).max(i32::MIN + 1));
        let token = turned(LogicalType::Int4, narrow);
        prop_assert!(i32::try_from(token).is_ok_and(|token| token != i32::MIN));
        prop_assert_eq!(token < 0, narrow < 0);
    }

    #[test]
    fn every_date_of_ten_thousand_years_comes_back(day in -730_119i32..=2_921_939) {
        let token = there_and_back(TokenFormat::Date, LogicalType::Date, &day.to_be_bytes());
        let token = i32::from_be_bytes(token.try_into().expect("four bytes"));
        prop_assert!((-730_119..=2_921_939).contains(&token));
    }
}

#[test]
fn what_is_not_of_the_format_has_no_token() {
    let faults = |format, ty, value: &[u8]| {
        let fault = golden(format, ty).tokenise(value).expect_err("no token");
        assert_eq!(fault.sqlstate(), SqlState::INVALID_PARAMETER_VALUE);
    };
    let lowest = i64::from(i32::MIN);
    faults(
        TokenFormat::Integer,
        LogicalType::Int4,
        &lowest.to_be_bytes(),
    );
    faults(
        TokenFormat::Integer,
        LogicalType::Int4,
        &(1i64 << 40).to_be_bytes(),
    );
    faults(
        TokenFormat::Integer,
        LogicalType::Int8,
        &i64::MIN.to_be_bytes(),
    );
    for day in [i32::MIN, i32::MAX, -730_120, 2_921_940] {
        faults(TokenFormat::Date, LogicalType::Date, &day.to_be_bytes());
    }
    faults(
        TokenFormat::IdNumber,
        LogicalType::Text,
        b"110105194913310021",
    );
}

#[test]
fn what_stands_for_no_token_is_none() {
    for (format, ty) in [
        (TokenFormat::Integer, LogicalType::Int4),
        (TokenFormat::Integer, LogicalType::Int8),
        (TokenFormat::Date, LogicalType::Date),
        (TokenFormat::IdNumber, LogicalType::Text),
        (TokenFormat::Email, LogicalType::Text),
    ] {
        let fault = golden(format, ty).detokenise(&nobodys(ty));
        assert_eq!(fault, Err(TokenFault::Malformed), "{ty:?}");
    }
}

#[test]
fn a_format_fits_its_types() {
    let small = LogicalType::Bool;
    for (format, fitting, unfitting) in [
        (TokenFormat::Integer, LogicalType::Int8, LogicalType::Text),
        (TokenFormat::Uuid, LogicalType::Uuid, LogicalType::Text),
        (
            TokenFormat::Date,
            LogicalType::Date,
            LogicalType::Timestamp(None),
        ),
        (TokenFormat::IdNumber, LogicalType::Varchar(Some(18)), small),
        (TokenFormat::Email, LogicalType::Text, LogicalType::Jsonb),
    ] {
        assert_eq!(format.fits(fitting), Ok(()));
        assert!(format.fits(unfitting).is_err());
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
        let digits =
            |token: &Result<String, TokenFault>| token.clone().map(|t| t[t.len() - 7..].to_owned());
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
    let key =
        hex::decode("2b7e151628aed2a6abf7158809cf4f3cef4359d8d580aa4f7f036d6f04fc6a94").unwrap();
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
fn golden_tokens_that_are_no_texts() {
    let int = |value: i64| value.to_be_bytes().to_vec();
    let day = |value: i32| value.to_be_bytes().to_vec();
    let id = |hex: &str| hex::decode(hex).expect("hexadecimal");
    for (format, ty, value, token) in [
        (
            TokenFormat::Integer,
            LogicalType::Int4,
            int(0),
            int(1_593_995_329),
        ),
        (
            TokenFormat::Integer,
            LogicalType::Int4,
            int(-1),
            int(-913_097_666),
        ),
        (
            TokenFormat::Integer,
            LogicalType::Int4,
            int(4711),
            int(1_284_087_588),
        ),
        (
            TokenFormat::Integer,
            LogicalType::Int8,
            int(4711),
            int(1_813_689_871_713_634_544),
        ),
        (
            TokenFormat::Integer,
            LogicalType::Int8,
            int(-4711),
            int(-6_614_674_665_448_955_830),
        ),
        (TokenFormat::Date, LogicalType::Date, day(0), day(2_323_659)),
        (
            TokenFormat::Date,
            LogicalType::Date,
            day(-730_119),
            day(1_088_384),
        ),
        (
            TokenFormat::Uuid,
            LogicalType::Uuid,
            id("8e04df51e04a4ba5bd532b1e01e4b80c"),
            id("6d11a23f268940cfb93902e47beef8a8"),
        ),
        (
            TokenFormat::Uuid,
            LogicalType::Uuid,
            vec![0; 16],
            id("6b466530895502f83fa5332932d8a336"),
        ),
    ] {
        let tokeniser = golden(format, ty);
        assert_eq!(tokeniser.tokenise(&value).as_ref(), Ok(&token));
        assert_eq!(tokeniser.detokenise(&token), Ok(value));
    }
}

/// Frozen: a change here loses data.
#[test]
fn golden_tokens() {
    let plate = TokenFormat::Alphanumeric {
        keep_first: 2,
        keep_last: 0,
    };
    let card = TokenFormat::BankCard {
        keep_first: 4,
        keep_last: 2,
    };
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
        (plate.clone(), "AB-12 cd/34", "AB-38 ms/26"),
        (plate, "passport é E7730412Z", "pavribqu é S6263533N"),
        (card.clone(), "4539 1488 0343 6467", "4539 3267 0746 5267"),
        (card, "4539148803436468", "4539383038115468"),
        (
            TokenFormat::IdNumber,
            "110105194912310021",
            "110105194011238712",
        ),
        (
            TokenFormat::IdNumber,
            "11010519491231002X",
            "110105198601077601",
        ),
        (
            TokenFormat::IdNumber,
            "11010519491231002x",
            "11010519531218719x",
        ),
        (TokenFormat::IdNumber, "110105491231002", "110105171214754"),
    ] {
        let tokeniser = Texts(golden(format, LogicalType::Text));
        assert_eq!(tokeniser.tokenise(text).as_deref(), Ok(token), "{text}");
        assert_eq!(tokeniser.detokenise(token).as_deref(), Ok(text));
    }
}

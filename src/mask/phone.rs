//! `phone`: the last four digits stay, every other digit becomes `*`, all other characters stay in place.
//!
//! `+49 (30) 1234-5678` becomes `+** (**) ****-5678`. With four digits or fewer all of them become `*`: nothing
//! would be hidden otherwise. Letters stay: a column that mixes notes with numbers wants `redact`.
//!
//! Digits are the ASCII ones, the full-width ones (`０`–`９`), and the Arabic, Persian and Devanagari ones.
//!
//! For texts. What is left: four digits, how many there are, and everything that is no digit.

use super::sql;

/// The first digit of each row of ten that counts as digits.
const ZEROS: [char; 5] = ['0', '\u{660}', '\u{6f0}', '\u{966}', '\u{ff10}'];

/// Digits that stay.
const KEPT: usize = 4;

fn is_digit(character: char) -> bool {
    ZEROS
        .iter()
        .any(|&zero| (u32::from(zero)..u32::from(zero) + 10).contains(&u32::from(character)))
}

pub(super) fn apply(text: &str) -> String {
    let digits = text.chars().filter(|&c| is_digit(c)).count();
    let mut hidden = if digits > KEPT { digits - KEPT } else { digits };
    text.chars()
        .map(|character| {
            if hidden > 0 && is_digit(character) {
                hidden -= 1;
                '*'
            } else {
                character
            }
        })
        .collect()
}

pub(super) fn sql(column: &str) -> String {
    let text = sql::text(column);
    let digits: String = ZEROS
        .iter()
        .map(|&zero| {
            let nine = char::from_u32(u32::from(zero) + 9).unwrap_or(zero);
            format!("{}-{}", sql::regex_escape(zero), sql::regex_escape(nine))
        })
        .collect();
    let digit = format!("[{digits}]");
    let other = format!("[^{digits}]*");
    let tail = format!("{}$", format!("{digit}{other}").repeat(KEPT));
    let more = sql::text_literal(&format!("{digit}{other}{tail}"));
    let found = sql::infix(&sql::bytewise(&text), "~", &more);
    // Characters from the first kept digit to the end.
    let kept = sql::char_length(&format!(
        "pg_catalog.\"substring\"({}, {})",
        sql::bytewise(&text),
        sql::text_literal(&tail)
    ));
    let stars = |part: &str| {
        let all: String = ZEROS
            .iter()
            .flat_map(|&zero| (0..10).filter_map(move |i| char::from_u32(u32::from(zero) + i)))
            .collect();
        format!(
            "pg_catalog.translate({part}, {}, {})",
            sql::text_literal(&all),
            sql::text_literal(&"*".repeat(all.chars().count()))
        )
    };
    let minus = sql::infix("0", "-", &kept);
    let shown = sql::infix(
        &stars(&format!("pg_catalog.\"left\"({text}, {minus})")),
        "||",
        &format!("pg_catalog.\"right\"({text}, {kept})"),
    );
    format!("CASE WHEN {found} THEN {shown} ELSE {} END", stars(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_digits_stay_when_there_are_more() {
        assert_eq!(apply("+49 (30) 1234-5678"), "+** (**) ****-5678");
        assert_eq!(apply("12345"), "*2345");
        assert_eq!(apply("1234"), "****");
        assert_eq!(apply("１２３45 6x7"), "***45 6x7");
        assert_eq!(apply("no digits"), "no digits");
    }
}

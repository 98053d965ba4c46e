//! `bank_card`: the last four digits of a card number stay, every other digit becomes `*`, blanks and hyphens stay.
//!
//! `4539 1488 0343 6467` becomes `**** **** **** 6467`. Card numbers have 12 to 19 digits (ISO/IEC 7812), between
//! any two of which one blank or one hyphen may stand. Whether the Luhn digit is right does not matter: a number
//! written down wrongly is as sensitive as a right one. Any other text becomes `***`.
//!
//! For texts of at least three characters. What is left: four digits, how many there are, and the
//! grouping.

use super::redact::MASKED;
use super::sql;

/// Digits of a card number, both ends included.
const DIGITS: [usize; 2] = [12, 19];

/// Digits that stay.
const KEPT: usize = 4;

pub(super) fn apply(text: &str) -> String {
    let Some(digits) = card_digits(text) else {
        return MASKED.to_owned();
    };
    let mut hidden = digits - KEPT;
    text.chars()
        .map(|character| {
            if hidden > 0 && character.is_ascii_digit() {
                hidden -= 1;
                '*'
            } else {
                character
            }
        })
        .collect()
}

/// How many digits the card number has; None where the text is none.
fn card_digits(text: &str) -> Option<usize> {
    let (mut digits, mut after_digit) = (0, false);
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' => digits += 1,
            b' ' | b'-' if after_digit => {}
            _ => return None,
        }
        after_digit = byte.is_ascii_digit();
    }
    (after_digit && (DIGITS[0]..=DIGITS[1]).contains(&digits)).then_some(digits)
}

pub(super) fn sql(column: &str) -> String {
    let text = sql::text(column);
    let [least, most] = DIGITS.map(|digits| digits - 1);
    let card = format!("^[0-9](?:[ -]?[0-9]){{{least},{most}}}$");
    let found = sql::infix(&sql::bytewise(&text), "~", &sql::text_literal(&card));
    let tail = format!("(?:[0-9][ -]?){{{}}}[0-9]$", KEPT - 1);
    // Characters from the first kept digit to the end.
    let kept = sql::char_length(&format!(
        "pg_catalog.\"substring\"({}, {})",
        sql::bytewise(&text),
        sql::text_literal(&tail)
    ));
    let hidden = format!(
        "pg_catalog.\"left\"({text}, {})",
        sql::infix("0", "-", &kept)
    );
    let shown = sql::infix(
        &format!(
            "pg_catalog.translate({hidden}, '0123456789'::pg_catalog.text, '**********'::pg_catalog.text)"
        ),
        "||",
        &format!("pg_catalog.\"right\"({text}, {kept})"),
    );
    format!(
        "CASE WHEN {found} THEN {shown} ELSE {} END",
        sql::of_column(&text, &sql::text_literal(MASKED))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_four_digits_of_a_card_stay() {
        for (number, masked) in [
            ("4539148803436467", "************6467"),
            ("4539 1488 0343 6467", "**** **** **** 6467"),
            ("3782-822463-10005", "****-******-*0005"),
            ("6222 0212 3456 7890 123", "**** **** **** ***0 123"),
            ("123456789012", "********9012"),
            ("12345678901", "***"),
            ("12345678901234567890", "***"),
            ("4539  1488 0343 6467", "***"),
            (" 4539148803436467", "***"),
            ("4539148803436467 ", "***"),
            ("card 4539148803436467", "***"),
            ("", "***"),
        ] {
            assert_eq!(apply(number), masked, "{number}");
        }
    }
}

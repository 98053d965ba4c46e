//! `id_number`: the last four characters of a Chinese identity number stay, every other one becomes `*`.
//!
//! `110105194912310021` becomes `**************0021`. Identity numbers are those of GB 11643: seventeen digits and a
//! digit or `X` (or `x`), and the older ones of fifteen digits. Whether the check digit is right does not matter: a
//! number written down wrongly is as personal as a right one. Any other text becomes `***`.
//!
//! For texts of at least three characters. What is left: the last four characters, which are the number
//! within the day (odd for men, even for women) and the check digit; region and birthday are hidden.

use super::redact::MASKED;
use super::sql;

/// Characters that stay.
const KEPT: usize = 4;

pub(super) fn apply(text: &str) -> String {
    if !is_id_number(text) {
        return MASKED.to_owned();
    }
    // ASCII throughout: bytes are characters.
    let hidden = text.len() - KEPT;
    "*".repeat(hidden) + &text[hidden..]
}

fn is_id_number(text: &str) -> bool {
    let digits = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
    match text.as_bytes() {
        all if all.len() == 15 => digits(all),
        [body @ .., check] if body.len() == 17 => {
            digits(body) && matches!(check, b'0'..=b'9' | b'X' | b'x')
        }
        _ => false,
    }
}

pub(super) fn sql(column: &str) -> String {
    let text = sql::text(column);
    let found = sql::infix(
        &sql::bytewise(&text),
        "~",
        &sql::text_literal("^(?:[0-9]{17}[0-9Xx]|[0-9]{15})$"),
    );
    let hidden = sql::infix(&sql::char_length(&text), "-", &KEPT.to_string());
    let shown = sql::infix(
        &format!("pg_catalog.repeat('*'::pg_catalog.text, {hidden})"),
        "||",
        &format!("pg_catalog.\"right\"({text}, {KEPT})"),
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
    fn the_last_four_of_an_identity_number_stay() {
        for (number, masked) in [
            ("110105194912310021", "**************0021"),
            ("11010519491231002X", "**************002X"),
            ("11010519491231002x", "**************002x"),
            ("110105491231002", "***********1002"),
            ("11010519491231002", "***"),
            ("X10105194912310021", "***"),
            ("1101051949123100 1", "***"),
            ("110105194912310021\n", "***"),
            ("１10105491231002", "***"),
            ("", "***"),
        ] {
            assert_eq!(apply(number), masked, "{number}");
        }
    }
}

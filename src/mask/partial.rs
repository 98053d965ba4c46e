//! `partial { first, last, with }`: keeps the first and the last characters and puts `with` (one character, `*`
//! unless the policy says otherwise) in the place of every other one, so that the length stays.
//!
//! `partial { last: 4 }` shows `4539148803436467` as `************6467`. Where first + last cover the whole value,
//! nothing would be hidden: then every character is replaced.
//!
//! For texts. What is left: the kept characters and the length.

use super::sql;
use crate::limits::MASK_KEPT_CHARACTERS_MAX;

pub(super) fn apply(first: u32, last: u32, with: char, text: &str) -> String {
    let length = text.chars().count();
    let (first, last) = (first as usize, last as usize);
    let (kept_first, kept_last) = if first + last >= length {
        (0, 0)
    } else {
        (first, last)
    };
    let mut masked = String::with_capacity(text.len());
    for (index, character) in text.chars().enumerate() {
        let kept = index < kept_first || index >= length - kept_last;
        masked.push(if kept { character } else { with });
    }
    masked
}

pub(super) fn sql(first: u32, last: u32, with: char, column: &str) -> String {
    let text = sql::text(column);
    let length = sql::char_length(&text);
    let with = sql::text_literal(&with.to_string());
    let kept = first + last;
    let hidden = sql::infix(&length, "-", &kept.to_string());
    let covered = sql::infix(&hidden, "<=", "0");
    let left = format!("pg_catalog.\"left\"({text}, {first})");
    let middle = format!("pg_catalog.repeat({with}, {hidden})");
    let right = format!("pg_catalog.\"right\"({text}, {last})");
    let shown = sql::infix(&sql::infix(&left, "||", &middle), "||", &right);
    let all = sql::of_column(&text, &format!("pg_catalog.repeat({with}, {length})"));
    format!("CASE WHEN {covered} THEN {all} ELSE {shown} END")
}

pub(super) fn fits(first: u32, last: u32, with: char) -> Result<(), String> {
    if first > MASK_KEPT_CHARACTERS_MAX || last > MASK_KEPT_CHARACTERS_MAX {
        return Err(format!(
            "the mask `partial` keeps at most {MASK_KEPT_CHARACTERS_MAX} characters at either end"
        ));
    }
    if with.is_control() {
        return Err("the mask `partial` needs a character that can be shown for `with`".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_both_ends_unless_they_are_all() {
        assert_eq!(apply(1, 2, '*', "abcdef"), "a***ef");
        assert_eq!(apply(1, 2, '*', "abc"), "***");
        assert_eq!(apply(0, 4, '*', "6467"), "****");
        assert_eq!(apply(0, 1, '•', "张小明"), "••明");
        assert_eq!(apply(0, 0, '*', ""), "");
    }

    #[test]
    fn what_postgresql_could_not_hold_does_not_fit() {
        assert!(fits(0, 4, '*').is_ok());
        assert!(fits(u32::MAX, 4, '*').is_err());
        assert!(fits(0, 4, '\0').is_err());
    }
}

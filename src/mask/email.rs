//! `email`: the first character of the local part, `***`, and everything from the last `@` on.
//!
//! `anna@example.com` becomes `a***@example.com`, `@example.com` becomes `***@example.com`. A value without `@`
//! is no address and becomes `***`. On a `varchar(n)` what is longer than n characters is cut.
//!
//! For texts of at least three characters. What is left: the first character and the domain part.

use super::redact::MASKED;
use super::sql;

pub(super) fn apply(text: &str) -> String {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return MASKED.to_owned();
    };
    let mut masked = String::with_capacity(domain.len() + 8);
    masked.extend(local.chars().next());
    masked.push_str(MASKED);
    masked.push('@');
    masked.push_str(domain);
    masked
}

pub(super) fn sql(column: &str) -> String {
    let text = sql::text(column);
    let masked = sql::text_literal(MASKED);
    // Characters from the last `@` to the end, it included; 0 where there is none.
    let tail = format!(
        "pg_catalog.strpos({}, '@'::pg_catalog.text)",
        sql::bytewise(&format!("pg_catalog.reverse({text})"))
    );
    let local = sql::infix(&sql::char_length(&text), "-", &tail);
    let first = format!("pg_catalog.\"left\"({text}, LEAST(1, {local}))");
    let shown = sql::infix(
        &sql::infix(&first, "||", &masked),
        "||",
        &format!("pg_catalog.\"right\"({text}, {tail})"),
    );
    let found = sql::infix(&tail, ">", "0");
    format!(
        "CASE WHEN {found} THEN {shown} ELSE {} END",
        sql::of_column(&text, &masked)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_at_sign_counts() {
        assert_eq!(apply("anna@example.com"), "a***@example.com");
        assert_eq!(apply("a@b@c"), "a***@c");
        assert_eq!(apply("@c"), "***@c");
        assert_eq!(apply("明@c"), "明***@c");
        assert_eq!(apply("none"), "***");
        assert_eq!(apply(""), "***");
    }
}

//! A column's default as the server prints it → the literal in it, when it is a constant.
//!
//! Knows the few shapes in which `pg_get_expr` prints constants; everything else is no constant. The literal
//! is a plain value, so it comes out as a secret and is never sent back.

use crate::secret::Secret;

/// The literal's text; None inside for NULL. None when the expression is no constant of a known shape.
///
/// The shapes are `'text'::type`, `12.5`, `(-1)`, `true`, `NULL::type`, each perhaps in parentheses and cast.
/// A cast with a modifier, as in `::character varying(5)`, can change the value: it is allowed only where it
/// names the column's own type, `column_type` as `format_type` prints it. The text must have been printed with
/// `standard_conforming_strings` on.
pub(super) fn literal(expression: &str, column_type: &str) -> Option<Option<Secret<String>>> {
    let (value, rest) = head(expression.trim())?;
    let plain = skip_casts(rest).is_some_and(str::is_empty);
    let own = rest.strip_prefix("::") == Some(column_type);
    (plain || own).then_some(value)
}

/// A value at the start of the text, and what follows it.
fn head(text: &str) -> Option<(Option<Secret<String>>, &str)> {
    if let Some(inside) = text.strip_prefix('(') {
        let (value, rest) = head(inside)?;
        let rest = skip_casts(rest)?.strip_prefix(')')?;
        return Some((value, rest));
    }
    if let Some(quoted) = text.strip_prefix('\'') {
        return quoted_text(quoted);
    }
    for (word, value) in [
        ("true", Some("true")),
        ("false", Some("false")),
        ("NULL", None),
    ] {
        if let Some(rest) = text.strip_prefix(word)
            && !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_')
        {
            return Some((value.map(|value| Secret::new(value.to_owned())), rest));
        }
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    let length = digits
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(digits.len());
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let (number, rest) = text.split_at(text.len() - digits.len() + length);
    Some((Some(Secret::new(number.to_owned())), rest))
}

/// What stands after an opening quote: the text, its doubled quotes undone, and what follows the closing one.
fn quoted_text(text: &str) -> Option<(Option<Secret<String>>, &str)> {
    let mut value = String::new();
    let mut rest = text;
    loop {
        let end = rest.find('\'')?;
        value.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        let Some(more) = rest.strip_prefix('\'') else {
            return Some((Some(Secret::new(value)), rest));
        };
        value.push('\'');
        rest = more;
    }
}

/// Skips `::type name` as often as it stands there. The type's name is of lower-case words.
fn skip_casts(text: &str) -> Option<&str> {
    let mut rest = text;
    while let Some(cast) = rest.strip_prefix("::") {
        let name = cast
            .find(|c: char| !c.is_ascii_lowercase() && c != ' ')
            .unwrap_or(cast.len());
        if name == 0 {
            return None;
        }
        rest = &cast[name..];
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(expression: &str) -> Option<Option<String>> {
        literal(expression, "character varying(10)")
            .map(|value| value.map(|secret| secret.expose().clone()))
    }

    #[test]
    fn constants_as_the_server_prints_them() {
        let some = |value: &str| Some(Some(value.to_owned()));
        assert_eq!(text("'abc'::character varying"), some("abc"));
        assert_eq!(text("'it''s ''::x'::text"), some("it's '::x"));
        assert_eq!(text("'x'::character varying(10)"), some("x"));
        assert_eq!(text("'-1'::integer"), some("-1"));
        assert_eq!(text("0"), some("0"));
        assert_eq!(text("(0)::numeric"), some("0"));
        assert_eq!(text("('abc'::text)::character varying"), some("abc"));
        assert_eq!(text("12.50"), some("12.50"));
        assert_eq!(text("true"), some("true"));
        assert_eq!(text("NULL::character varying"), Some(None));
        assert_eq!(
            text("'2020-01-01 00:00:00+00'::timestamp with time zone"),
            some("2020-01-01 00:00:00+00")
        );
    }

    #[test]
    fn what_the_server_computes_is_no_constant() {
        for expression in [
            "now()",
            "CURRENT_DATE",
            "(1 + 1)",
            "1 + 1",
            "('a'::text || 'b'::text)",
            "nextval('s'::regclass)",
            "lower('A'::text)",
            "'abcdef'::character varying(3)",
            "('abcdef'::character(3))::text",
            "'a'::text COLLATE \"C\"",
            "trueish",
            "'open",
            "",
            "-",
        ] {
            assert_eq!(text(expression), None, "{expression}");
        }
    }
}

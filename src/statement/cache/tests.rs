//! What the plan cache knows again, and what it must not: shapes, other constants, its bounds.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// The texts of the constants that count by their form.
fn found(text: &str) -> Vec<&str> {
    let tokens = lex(text, true).expect("tokens");
    let constants = constants(text, &tokens);
    constants
        .iter()
        .map(|constant| &tokens[constant.index])
        .map(|token| &text[token.start..token.end])
        .collect()
}

#[test]
fn constants_at_plain_places_count_by_their_form() {
    for (text, constants) in [
        ("SELECT a FROM t WHERE b = 'x' AND c > 5", &["'x'", "5"][..]),
        (
            "SELECT a FROM t WHERE b IN ('x', 'y') LIMIT 3",
            &["'x'", "'y'", "3"],
        ),
        (
            "INSERT INTO t VALUES (1, 'a'), (2, NULL), (3, 'c')",
            &["1", "'a'", "2", "3", "'c'"],
        ),
        (
            "UPDATE t SET a = 1, b = 'x' WHERE c = 2",
            &["1", "'x'", "2"],
        ),
        (
            "SELECT a FROM t WHERE b LIKE 'x%' OR UPPER(c) LIKE UPPER('%y') AND d ILIKE 'z'",
            &["'x%'", "'%y'", "'z'"],
        ),
        (
            "SELECT a FROM t WHERE b BETWEEN 1 AND 2 AND c NOT BETWEEN '3'::date AND '4'::date AND d = 5",
            &["1", "2", "'3'", "'4'", "5"],
        ),
        (
            "SELECT a FROM t WHERE b = '2020-01-01'::timestamptz AND c IN ('x'::uuid, 'y'::uuid)",
            &["'2020-01-01'", "'x'", "'y'"],
        ),
        // What names something, is a place in a list, or belongs to more than its comparison.
        ("SELECT a, 1 FROM t ORDER BY 1, 2", &[]),
        (
            "SELECT a FROM t WHERE b IN (SELECT c FROM u ORDER BY 1, 2)",
            &[],
        ),
        ("SELECT nextval('s'), f('x', 1)", &[]),
        ("SELECT a FROM t WHERE b = 'x'::regclass", &[]),
        (
            "SELECT a FROM t WHERE b BETWEEN 'x'::regclass AND 'y'::regclass",
            &[],
        ),
        ("SELECT a FROM t WHERE b IN ('x'::regclass)", &[]),
        ("SELECT a FROM t WHERE b BETWEEN f(1) AND 2", &[]),
        ("SELECT a FROM t WHERE b BETWEEN 1 AND 2 + 3", &["1"]),
        ("SELECT a FROM t WHERE b LIKE 'x' || c", &[]),
        ("SELECT UPPER(b || 'x')", &[]),
        ("SELECT a FROM t WHERE b = 1 + 2 AND c = -3", &[]),
        ("SELECT a FROM t WHERE b = date '2020-01-01'", &[]),
        ("SELECT a FROM t WHERE b = 'x' COLLATE \"C\"", &[]),
        ("INSERT INTO t VALUES (f('a'), 'b')", &[]),
        ("SELECT a FROM t FETCH FIRST 5 ROWS ONLY", &[]),
        ("SELECT a FROM t WHERE b = 042", &[]),
    ] {
        assert_eq!(found(text), constants, "{text}");
    }
}

#[test]
fn another_constant_has_the_same_form() {
    for (constant, other) in [
        ("'x'", "'a'"),
        ("'a'", "'b'"),
        ("1", "2"),
        ("20", "21"),
        ("2147483647", "2147483641"),
        ("3000000000", "3000000001"),
        ("1.5", "1.1"),
        ("1.", "1."),
        ("1e1", "1e2"),
    ] {
        let text = format!("SELECT a FROM t WHERE b = {constant}");
        let tokens = lex(&text, true).expect("tokens");
        let constants = constants(&text, &tokens);
        let changed = with_others(&text, &tokens, &constants);
        assert_eq!(changed, format!("SELECT a FROM t WHERE b = {other}"));
        let tokens = lex(&changed, true).expect("tokens");
        assert_eq!(super::constants(&changed, &tokens), constants);
    }
}

/// How often a cache had these texts analysed; what is analysed becomes nothing else.
fn analysed(texts: &[&str]) -> usize {
    let cache = PlanCache::new(|_| ());
    let analysed = AtomicUsize::new(0);
    for text in texts {
        let tokens = lex(text, true).expect("tokens");
        let plan = cache.plan((text, tokens), true, |_, _| {
            analysed.fetch_add(1, Ordering::Relaxed);
            Ok(None)
        });
        assert!(matches!(plan, Ok(None)));
    }
    analysed.into_inner()
}

#[test]
fn a_shape_is_known_from_its_second_time_on() {
    let of = |constant: &str| format!("SELECT a FROM t WHERE b = {constant}");
    let texts = ["1", "2", "3", "4"].map(of);
    // Once; again, and with another constant; and never after that.
    assert_eq!(analysed(&texts.each_ref().map(String::as_str)), 3);
    // Other forms are other shapes.
    let texts = ["1", "3000000000", "1.5", "'x'", "99999999999999999999"].map(of);
    assert_eq!(analysed(&texts.each_ref().map(String::as_str)), 5);
    // Constants elsewhere are part of the shape.
    let texts = ["SELECT f(1)", "SELECT f(2)", "SELECT f(3)"];
    assert_eq!(analysed(&texts), 3);
}

/// What a text becomes whose analysis goes by the constant: another rewriting, or none, or a refusal.
fn by_constant(text: &str, of: impl Fn(&str) -> Analysed) -> usize {
    let cache = PlanCache::new(|_| ());
    let analysed = AtomicUsize::new(0);
    for _ in 0..5 {
        let tokens = lex(text, true).expect("tokens");
        let plan = cache.plan((text, tokens), true, |text, _| {
            analysed.fetch_add(1, Ordering::Relaxed);
            of(text)
        });
        assert!(plan.is_ok());
    }
    analysed.into_inner()
}

#[test]
fn what_depends_on_a_constant_is_analysed_each_time() {
    const TEXT: &str = "SELECT a FROM t WHERE b = 1";
    let edited = |text: &str, token: usize| {
        let rewrite = Rewrite::dropping(token);
        let tokens = lex(text, true).expect("tokens");
        let plan = rewrite.plan(text, &tokens)?;
        Ok(Some((rewrite, plan)))
    };
    let refused = || Err(super::super::refuse::unsupported("two", None));
    // Once, again and with another constant, and never after that.
    assert_eq!(by_constant(TEXT, |text| edited(text, 2)), 3);
    // The other one is only tried once.
    for of in [
        &(|text: &str| edited(text, if text == TEXT { 2 } else { 3 })) as &dyn Fn(&str) -> Analysed,
        &|text| {
            if text == TEXT {
                edited(text, 2)
            } else {
                Ok(None)
            }
        },
        &|text| {
            if text == TEXT {
                Ok(None)
            } else {
                edited(text, 2)
            }
        },
        &|text| if text == TEXT { Ok(None) } else { refused() },
    ] {
        assert_eq!(by_constant(TEXT, of), 6);
    }
}

#[test]
fn a_text_that_is_lexed_otherwise_is_another_shape() {
    let cache = PlanCache::new(|_| ());
    let text = r"SELECT a FROM t WHERE b = f('a\b')";
    for (conforming, known) in [(true, false), (true, false), (true, true), (false, false)] {
        let analysed = AtomicUsize::new(0);
        let tokens = lex(text, conforming).expect("tokens");
        let plan = cache.plan((text, tokens), conforming, |_, _| {
            analysed.fetch_add(1, Ordering::Relaxed);
            Ok(None)
        });
        assert!(matches!(plan, Ok(None)));
        assert_eq!(analysed.into_inner() == 0, known);
    }
}

#[test]
fn long_texts_are_not_kept() {
    let text = format!("SELECT a FROM t WHERE b IN ({}1)", "1, ".repeat(10_000));
    assert_eq!(analysed(&[&text, &text, &text, &text]), 4);
}

#[test]
fn it_stays_within_its_bytes() {
    let cache = PlanCache::new(|_| ());
    for n in 0..200_000 {
        let text = format!("SELECT c{n}");
        let tokens = lex(&text, true).expect("tokens");
        let plan = cache.plan((&text, tokens), true, |_, _| Ok(None));
        assert!(matches!(plan, Ok(None)));
    }
    assert!(cache.entries.weight() <= PLAN_CACHE_BYTES_MAX as u64);
    assert!(cache.entries.len() < 200_000);
}

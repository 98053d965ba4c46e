//! Texts: lexed, analysed, redacted, whatever they are. The server's lexer may stand either way.

use pgveil::ident::RoleName;
use pgveil::statement::plan::{Outcome, Piece};
use pgveil::statement::{ClientEncoding, Context, analyse, kinds, mentions, redact};

use super::site::{ROLES, SITE};

/// The first byte says which role asks and how the server lexes; the rest is the text.
pub fn body(data: &[u8]) {
    let Some((&first, text)) = data.split_first() else {
        return;
    };
    let text = String::from_utf8_lossy(text);
    let role = RoleName::new(ROLES[usize::from(first & 1)]);
    let standard_conforming_strings = first & 2 == 0;
    let reach = &SITE.view.roles[&role].reach;
    let context = Context {
        snapshot: &SITE.view.snapshot,
        bound: SITE.bound(),
        reach,
        role: &role,
        standard_conforming_strings,
        client_encoding: match first & 12 {
            0 => ClientEncoding::Utf8,
            4 => ClientEncoding::SingleByte,
            _ => ClientEncoding::Other,
        },
        cache: None,
    };
    match analyse(&text, &context) {
        Outcome::Untouched => {
            // Without a word that reaches something there is nothing to find; with one, it must have been looked at.
            let _ = mentions(&text, reach, standard_conforming_strings);
        }
        Outcome::Refused(refusal) => {
            assert_eq!(refusal.sqlstate.0.len(), 5);
            assert!(
                refusal.position.is_none_or(|at| text.is_char_boundary(at)),
                "a position inside of a letter"
            );
        }
        Outcome::Plan(plan) => {
            let kept: usize = plan
                .pieces()
                .iter()
                .map(|piece| match piece {
                    Piece::Text(text) => text.len(),
                    Piece::Slot(_) => 0,
                })
                .sum();
            assert!(kept > 0, "a plan that sends nothing");
        }
    }
    let _ = kinds(&text, standard_conforming_strings);
    assert!(redact(&text).len() <= 2 * text.len() + 1);
}

/// A statement of each kind, with what is hard to lex.
pub fn seeds() -> Vec<Vec<u8>> {
    const TEXTS: &[&str] = &[
        "SELECT id, email FROM people WHERE email = 'a@b.c' AND birth IS NOT NULL",
        "SELECT p.*, o.person FROM public.people AS p JOIN orders o ON o.person = p.id WHERE p.email IN ('x', $1)",
        "INSERT INTO people (id, email, birth) VALUES (1, 'a', '2000-01-01'), (2, NULL, $1) RETURNING *",
        "UPDATE people SET email = E'a\\'b', salary = 12.50 WHERE id = 1; DELETE FROM people WHERE id = $1",
        "WITH x AS (SELECT email FROM people) SELECT count(*), lower(notes) FROM x, people GROUP BY 2 ORDER BY 1 LIMIT 3",
        "SELECT CASE WHEN phone = '123' THEN U&'\\0061' ELSE $q$ x $q$ END::text FROM people UNION ALL SELECT 'a' 'b'",
        "INSERT INTO people VALUES (1, 'a') ON CONFLICT (id) DO UPDATE SET email = excluded.email",
        "COPY people (email) FROM stdin; EXPLAIN SELECT * FROM people; DO $$ BEGIN PERFORM 1; END $$",
        "SELECT /* a /* b */ c */ \"email\" -- d\n FROM people WHERE (id, email) = (1, 'x') OR NOT EXISTS (TABLE orders)",
        "SELECT reads(), adds(1), array_agg(email), to_jsonb(people) FROM people_view, people WHERE email LIKE 'a%'",
        "PREPARE s AS SELECT email FROM people WHERE email = ANY($1); EXECUTE s('{a,b}')",
        "SELECT (SELECT max(p.email) FROM people p WHERE p.id = o.person) FROM orders o FOR UPDATE OF o NOWAIT",
    ];
    let texts = TEXTS.iter().zip([0_u8, 1, 2, 3].iter().cycle());
    texts
        .map(|(text, first)| [&[*first][..], text.as_bytes()].concat())
        .collect()
}

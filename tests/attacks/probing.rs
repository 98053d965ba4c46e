//! P: roles with restricted sight probe what they may not see.
//!
//! An oracle is any difference between a right guess and a wrong one; a leak is a planted value in an answer.

use tokio_postgres::Client;

use crate::site::{Answer, PLANTED, Site, both, simple};

/// Answers by what they were: refused by the policy (42501), not supported (0A000), another error, rows.
#[derive(Debug, Default)]
struct Count {
    denied: u32,
    unsupported: u32,
    failed: u32,
    shown: u32,
}

impl Count {
    fn add(&mut self, answer: &Answer) {
        let counter = match answer.sqlstate() {
            "" => &mut self.shown,
            "42501" => &mut self.denied,
            "0A000" => &mut self.unsupported,
            _ => &mut self.failed,
        };
        *counter += 1;
    }
}

/// A guess of the same length and shape that is wrong.
fn wrong(guess: &str) -> String {
    let turn = |c: char| match c {
        '1' => '2',
        '7' => '8',
        'a' => 'b',
        'e' => 'i',
        other => other,
    };
    match guess {
        "1971-08-23" => "1971-08-24".to_owned(),
        // Its mask shows the millions to one role.
        "7654321" => "7654322".to_owned(),
        guess => guess.chars().map(turn).collect(),
    }
}

/// How often two answers that differ are asked for again.
const TRIES_MAX: usize = 3;

/// Tries each template with a right and a wrong guess, on every column, as every restricted role, both ways: the
/// answers must not differ, nor show a planted value.
async fn tell_nothing(number: &str, templates: &[&str]) {
    let site = Site::shared().await;
    let mut count = Count::default();
    let mut told = Vec::new();
    for client in &site.restricted().await {
        for template in templates {
            for (column, planted) in PLANTED {
                let text = |guess: &str| template.replace("{c}", column).replace("{v}", guess);
                let guesses = template.contains("{v}");
                let mut right = both(client, &text(planted)).await;
                let mut wrong_one = right.clone();
                // Another test may move a row in between, and with it the order of rows: what tells, tells every time.
                for _ in 0..TRIES_MAX {
                    if guesses {
                        wrong_one = both(client, &text(&wrong(planted))).await;
                    }
                    if right == wrong_one {
                        break;
                    }
                    right = both(client, &text(planted)).await;
                }
                let wrong = wrong_one;
                right.iter().for_each(|answer| count.add(answer));
                let same = right == wrong;
                let leak = right.iter().find_map(quoted_leak(&text(planted)));
                if !same || leak.is_some() {
                    told.push(format!("{}\n    {right:?}\n    {wrong:?}", text(planted)));
                }
            }
        }
    }
    eprintln!("{number}: {count:?}");
    assert!(told.is_empty(), "{number}\n{}", told.join("\n"));
}

/// A planted value in an answer that the client did not send itself.
fn quoted_leak(text: &str) -> impl Fn(&Answer) -> Option<&'static str> {
    move |answer| answer.leak().filter(|leak| !text.contains(leak))
}

/// The attempts are real: `app` gets a right answer for a right guess.
#[tokio::test(flavor = "multi_thread")]
async fn the_role_that_sees_everything_tells_a_right_guess_from_a_wrong_one() {
    let site = Site::shared().await;
    let app: Client = site.login(&site.app).await;
    for (column, planted) in PLANTED {
        if *column == "born" {
            continue;
        }
        let text = |guess: &str| format!("SELECT {column} FROM people WHERE {column} = '{guess}'");
        let right = simple(&app, &text(planted)).await;
        assert_eq!(right.value().as_deref(), Some(*planted), "{column}");
        assert_eq!(simple(&app, &text(&wrong(planted))).await.rows().len(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p01_predicates_tell_nothing() {
    tell_nothing(
        "P01",
        &[
            "SELECT id FROM people WHERE {c} = '{v}'",
            "SELECT id FROM people WHERE '{v}' = {c}",
            "SELECT id FROM people WHERE people.{c} = E'{v}'",
            "SELECT id FROM public.people p WHERE p.{c} = $${v}$$",
            "SELECT id FROM people WHERE {c} <> '{v}'",
            "SELECT id FROM people WHERE NOT ({c} = '{v}')",
            "SELECT id FROM people WHERE {c} IN ('{v}', '{v}')",
            "SELECT id FROM people WHERE {c} NOT IN ('{v}')",
            "SELECT id FROM people WHERE {c} BETWEEN '{v}' AND '{v}'",
            "SELECT id FROM people WHERE {c} > '{v}'",
            "SELECT id FROM people WHERE {c}::text LIKE '{v}%'",
            "SELECT id FROM people WHERE {c}::text ILIKE '{v}'",
            "SELECT id FROM people WHERE {c}::text ~ '^{v}$'",
            "SELECT id FROM people WHERE {c}::text SIMILAR TO '{v}'",
            "SELECT id FROM people WHERE {c}::text = '{v}'",
            "SELECT id FROM people WHERE ({c})::text = '{v}'",
            "SELECT id FROM people WHERE CAST({c} AS text) = '{v}'",
            "SELECT id FROM people WHERE {c} IS DISTINCT FROM '{v}'",
            "SELECT id FROM people WHERE {c} IS NOT DISTINCT FROM '{v}'",
            "SELECT id FROM people WHERE {c}::text = ANY (ARRAY['{v}'])",
            "SELECT id FROM people WHERE {c} = ANY ('{{v}}')",
            "SELECT id FROM people WHERE {c} <> ALL ('{{v}}')",
            "SELECT id FROM people WHERE ({c}, id) = ('{v}', 1)",
            "SELECT id FROM people WHERE ROW({c}) = ROW('{v}')",
            "SELECT id FROM people WHERE {c} = (SELECT '{v}')",
            "SELECT id FROM people WHERE {c}::text IN (SELECT '{v}')",
            "SELECT id FROM people WHERE {c} OPERATOR(pg_catalog.=) '{v}'",
            "SELECT id FROM people WHERE {c}::text COLLATE \"C\" = '{v}'",
            "SELECT id FROM people WHERE nullif({c}, '{v}') IS NULL",
            "SELECT id FROM people WHERE coalesce({c}, '{v}') = '{v}'",
            "SELECT id FROM people WHERE starts_with({c}::text, '{v}')",
            "SELECT id FROM people WHERE position('{v}' in {c}::text) = 1",
            "SELECT id FROM people WHERE length({c}::text) = length('{v}')",
            "SELECT {c} = '{v}' FROM people",
            "SELECT {c} = '{v}' AS x, {c} FROM people ORDER BY 1",
            "DELETE FROM people WHERE {c} = '{v}' AND id = 99",
            "SELECT 1 WHERE EXISTS (SELECT 1 FROM people WHERE {c} = '{v}')",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p02_joins_and_conditions_elsewhere_tell_nothing() {
    tell_nothing(
        "P02",
        &[
            "SELECT u.id FROM untreated u JOIN people p ON p.{c} = '{v}'",
            "SELECT u.id FROM untreated u LEFT JOIN people p ON p.id = u.person AND p.{c} = '{v}' WHERE p.id IS NULL",
            "SELECT 1 FROM people JOIN (SELECT '{v}' AS {c}) g USING ({c})",
            "SELECT 1 FROM people NATURAL JOIN (SELECT 1 AS id, '{v}' AS {c}) g",
            "SELECT 1 FROM (VALUES ('{v}')) g(x) JOIN people ON people.{c}::text = g.x",
            "SELECT count(*) FROM people GROUP BY id HAVING max({c}::text) = '{v}'",
            "SELECT count(*) FROM people HAVING bool_or({c} = '{v}')",
            "SELECT CASE WHEN {c} = '{v}' THEN 1 ELSE 0 END FROM people",
            "SELECT CASE {c} WHEN '{v}' THEN 1 ELSE 0 END FROM people",
            "SELECT count(*) FILTER (WHERE {c} = '{v}') FROM people",
            "SELECT x.y FROM people p, LATERAL (SELECT p.{c} = '{v}' AS y) x",
            "SELECT x.y FROM people p CROSS JOIN LATERAL (SELECT 1 AS y WHERE p.{c} = '{v}') x",
            "SELECT (SELECT count(*) FROM people p WHERE p.id = u.person AND p.{c} = '{v}') FROM untreated u",
            "SELECT id FROM untreated u WHERE EXISTS (SELECT 1 FROM people p WHERE p.id = u.person AND p.{c} = '{v}')",
            "SELECT id FROM untreated u WHERE u.person IN (SELECT id FROM people WHERE {c} = '{v}')",
            "SELECT id FROM untreated u WHERE '{v}' = (SELECT {c}::text FROM people WHERE id = 1)",
            "SELECT a.id FROM people a JOIN people b ON a.{c} = b.{c} WHERE b.id = 1 AND a.{c} = '{v}'",
            "UPDATE untreated u SET body = 'x' FROM people p WHERE p.{c} = '{v}' AND u.id = 99",
            "DELETE FROM untreated u USING people p WHERE p.{c} = '{v}' AND u.id = 99",
            "WITH x AS (SELECT id, {c} = '{v}' AS y FROM people) SELECT y FROM x WHERE id = 1",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p03_sorting_and_grouping_tell_nothing() {
    tell_nothing(
        "P03",
        &[
            "SELECT id FROM (SELECT id, {c}::text AS g FROM people WHERE id = 1 UNION ALL SELECT 0, '{v}') x ORDER BY g, id",
            "SELECT id FROM people ORDER BY {c} = '{v}', id",
            "SELECT id, {c} FROM people ORDER BY 2",
            "SELECT id, {c} AS z FROM people ORDER BY z",
            "SELECT id FROM people ORDER BY {c} DESC NULLS LAST",
            "SELECT id, rank() OVER (ORDER BY {c}) FROM people",
            "SELECT count(*) OVER (PARTITION BY {c} = '{v}') FROM people",
            "SELECT id, lag({c}) OVER (ORDER BY id) FROM people",
            "SELECT first_value({c}) OVER w FROM people WINDOW w AS (ORDER BY {c})",
            "SELECT count(DISTINCT {c}) FROM (SELECT {c} FROM people UNION ALL SELECT '{v}') x",
            "SELECT DISTINCT {c} FROM people",
            "SELECT DISTINCT ON ({c}) id FROM people ORDER BY {c}, id",
            "SELECT {c}, count(*) FROM people GROUP BY {c}",
            "SELECT count(*) FROM people GROUP BY {c} = '{v}'",
            "SELECT count(*) FROM people GROUP BY GROUPING SETS (({c}), ())",
            "SELECT count(*) FROM (SELECT {c}::text FROM people UNION SELECT '{v}') x",
            "SELECT {c} FROM people INTERSECT SELECT '{v}'",
            "SELECT {c} FROM people EXCEPT SELECT '{v}'",
            "SELECT count(*) FROM (SELECT '{v}' EXCEPT SELECT {c}::text FROM people) x",
            "SELECT min({c}::text), max({c}::text) FROM people",
            "SELECT greatest({c}::text, '{v}') = '{v}' FROM people WHERE id = 1",
            "SELECT mode() WITHIN GROUP (ORDER BY {c}) FROM people",
            "SELECT id FROM people ORDER BY {c} FETCH FIRST 1 ROW WITH TIES",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p04_faults_tell_nothing() {
    tell_nothing(
        "P04",
        &[
            "SELECT 1/(CASE WHEN {c} = '{v}' THEN 0 ELSE 1 END) FROM people WHERE id = 1",
            "SELECT 1/(ascii(left({c}::text, 1)) - ascii('{v}')) FROM people WHERE id = 1",
            "SELECT 1/length(replace({c}::text, '{v}', '')) FROM people WHERE id = 1",
            "SELECT {c}::int FROM people WHERE id = 1",
            "SELECT {c}::text::int FROM people WHERE id = 1",
            "SELECT CAST({c} AS date) FROM people",
            "SELECT ('x' || {c})::int FROM people WHERE id = 1",
            "SELECT ('{\"' || {c} || '}')::json FROM people WHERE id = 1",
            "SELECT {c}::text::inet FROM people WHERE id = 1",
            "SELECT {c}::text::regclass FROM people WHERE id = 1",
            "SELECT to_number({c}::text, '99') FROM people WHERE id = 1",
            "SELECT regexp_match('x', '(' || {c}) FROM people WHERE id = 1",
            "SELECT repeat('x', CASE WHEN {c} = '{v}' THEN 2000000000 ELSE 1 END) FROM people WHERE id = 1",
            "SELECT 2147483647 + length({c}::text) FROM people WHERE id = 1",
            "SELECT decode({c}::text, 'hex') FROM people WHERE id = 1",
            "SELECT id FROM people WHERE {c}::text::int > 0",
            "SELECT (ARRAY[1])[CASE WHEN {c} = '{v}' THEN 1 END] FROM people",
            "SELECT to_date({c}::text, 'YYYY') FROM people WHERE id = 1",
            "INSERT INTO untreated (id) SELECT {c}::text::int FROM people WHERE id = 1",
            "UPDATE untreated SET id = (SELECT {c}::text::int FROM people WHERE people.id = 1)",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p05_counts_limits_and_time_tell_nothing() {
    let started = std::time::Instant::now();
    tell_nothing(
        "P05",
        &[
            "SELECT count(*) FROM people WHERE {c} = '{v}'",
            "SELECT EXISTS (SELECT 1 FROM people WHERE {c} = '{v}')",
            "SELECT 1 FROM generate_series(1, 3) LIMIT (SELECT count(*) FROM people WHERE {c} = '{v}')",
            "SELECT 1 FROM generate_series(1, 3) OFFSET (SELECT count(*) FROM people WHERE {c} = '{v}')",
            "SELECT pg_sleep(CASE WHEN {c} = '{v}' THEN 600 ELSE 0 END) FROM people WHERE id = 1",
            "SELECT id FROM people WHERE {c} = '{v}' AND pg_sleep(0.01) IS NOT NULL",
            "SELECT count({c}), count(*) FROM people WHERE {c} = '{v}'",
            "SELECT id FROM people WHERE {c} = '{v}' FOR UPDATE SKIP LOCKED",
            "SELECT generate_series(1, CASE WHEN {c} = '{v}' THEN 2 ELSE 1 END) FROM people WHERE id = 1",
            "SELECT setseed(CASE WHEN {c} = '{v}' THEN 0.5 ELSE 2 END) FROM people WHERE id = 1",
            "UPDATE people SET id = id WHERE {c} = '{v}'",
        ],
    )
    .await;
    assert!(started.elapsed().as_secs() < 600, "nothing slept");
}

#[tokio::test(flavor = "multi_thread")]
async fn p06_whole_rows_tell_nothing() {
    tell_nothing(
        "P06",
        &[
            "SELECT people::text FROM people",
            "SELECT p::text FROM people p",
            "SELECT CAST(p AS text) FROM people p",
            "SELECT row_to_json(p) FROM people p",
            "SELECT row_to_json(people) FROM people",
            "SELECT to_jsonb(p) FROM people p",
            "SELECT to_jsonb(p.*) FROM people p",
            "SELECT jsonb_agg(p) FROM people p",
            "SELECT json_agg(p.*) FROM people p",
            "SELECT p FROM people p",
            "SELECT people FROM people",
            "SELECT public.people FROM public.people",
            "SELECT (p).* FROM people p",
            "SELECT (p).{c} FROM people p",
            "SELECT ((p)).{c} FROM people p",
            "SELECT {c}(p) FROM people p",
            "SELECT p.* FROM people p",
            "SELECT ROW(p.*) FROM people p",
            "SELECT ROW(p.*)::text FROM people p",
            "SELECT array_agg(p) FROM people p",
            "SELECT array_agg(p)::text FROM people p",
            "SELECT p IS NULL FROM people p",
            "SELECT p = p FROM people p",
            "SELECT * FROM people",
            "SELECT x FROM (SELECT * FROM people) x",
            "SELECT x::text FROM (SELECT {c} FROM people) x",
            "WITH x AS (SELECT * FROM people) SELECT row_to_json(x) FROM x",
            "WITH x AS (SELECT p FROM people p) SELECT x.p FROM x",
            "SELECT count(p) FROM people p",
            "SELECT jsonb_each_text(to_jsonb(p)) FROM people p",
            "SELECT xmlforest(p) FROM people p",
            "SELECT concat(p), format('%s', p) FROM people p",
            "SELECT string_agg(p::text, ',') FROM people p",
            "SELECT jsonb_build_object('x', p) FROM people p",
            "SELECT json_object_agg(p.id, p) FROM people p",
            "UPDATE people SET id = 1 WHERE id = 1 RETURNING people",
            "UPDATE people p SET id = 1 WHERE id = 1 RETURNING p::text",
            "UPDATE people SET id = 1 WHERE id = 1 RETURNING *",
            "SELECT (SELECT p FROM people p LIMIT 1)",
            "SELECT (SELECT people FROM people LIMIT 1)::text",
            "SELECT json_populate_record(NULL::people, '{}')",
            "SELECT * FROM ROWS FROM (generate_series(1,1)) g, people",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p07_disguises_tell_nothing() {
    tell_nothing(
        "P07",
        &[
            "SELECT {c} AS id FROM people",
            "SELECT {c} \"{c}\" FROM people",
            "SELECT b FROM people p(a, b, c, d, e, f, g, h, i)",
            "SELECT a, b, c, d, e, f, g, h FROM people p(a, b, c, d, e, f, g, h)",
            "SELECT id FROM people p({c}, id)",
            "WITH x(y) AS (SELECT {c} FROM people) SELECT y FROM x",
            "WITH x AS MATERIALIZED (SELECT {c} AS y FROM people) SELECT reverse(y::text) FROM x",
            "WITH RECURSIVE x AS (SELECT {c}::text AS y, 1 AS n FROM people WHERE id = 1 UNION ALL SELECT y, n + 1 FROM x WHERE n < 2) SELECT y FROM x",
            "SELECT y FROM (SELECT y FROM (SELECT {c} AS y FROM people) a) b",
            "SELECT (SELECT {c} FROM people WHERE id = 1)",
            "SELECT (SELECT {c} FROM people WHERE id = 1)::text || ''",
            "SELECT ARRAY(SELECT {c} FROM people)",
            "SELECT ARRAY[{c}] FROM people",
            "SELECT unnest(ARRAY[{c}]) FROM people",
            "TABLE people",
            "SELECT * FROM (TABLE people) x",
            "SELECT {c}::text FROM people UNION ALL SELECT 'x'",
            "SELECT 'x' UNION ALL SELECT {c}::text FROM people",
            "SELECT {c} FROM people UNION ALL SELECT {c} FROM people",
            "VALUES ((SELECT {c} FROM people WHERE id = 1))",
            "SELECT * FROM (VALUES ((SELECT {c} FROM people WHERE id = 1))) v",
            "SELECT encode({c}::text::bytea, 'hex') FROM people",
            "SELECT encode(convert_to({c}::text, 'UTF8'), 'base64') FROM people",
            "SELECT reverse({c}::text) FROM people",
            "SELECT upper({c}::text) FROM people",
            "SELECT string_agg({c}::text, ',') FROM people",
            "SELECT format('%s', {c}) FROM people",
            "SELECT concat({c}, '') FROM people",
            "SELECT {c} || '' FROM people",
            "SELECT xmlforest({c} AS x) FROM people",
            "SELECT xmlelement(name x, {c}) FROM people",
            "SELECT quote_literal({c}) FROM people",
            "SELECT coalesce({c}, {c}) FROM people",
            "SELECT CASE WHEN true THEN {c} END FROM people",
            "SELECT {c}::text::varchar(100) FROM people",
            "SELECT ({c}) FROM people",
            "SELECT +{c} FROM people",
            "SELECT \"people\".\"{c}\" FROM \"public\".\"people\"",
            "SELECT U&\"\\0070eople\".{c} FROM U&\"\\0070eople\"",
            "SELECT PEOPLE.{c} FROM PeOpLe",
            "SELECT/**/{c}/**/FROM/**/people",
            "SELECT {c} -- x\nFROM people",
            "SELECT x.{c} FROM ONLY people x",
            "SELECT x.{c} FROM people x TABLESAMPLE SYSTEM (100)",
            "SELECT {c} FROM people AS x FOR UPDATE",
            "SELECT p.{c} FROM people AS p JOIN people AS q USING (id)",
            "SELECT q.{c} FROM people AS p JOIN people AS q USING (id)",
            "SELECT {c} FROM (people p JOIN untreated u ON u.person = p.id)",
            "SELECT j.{c} FROM (people p JOIN untreated u ON u.person = p.id) j",
            "SELECT split_part({c}::text, 'x', 1) FROM people",
            "SELECT regexp_split_to_table({c}::text, ',') FROM people",
            "SELECT to_char({c}, '9999999999') FROM people",
            "SELECT {c} + 0 FROM people",
            "SELECT set_config('my.x', {c}::text, false) FROM people WHERE id = 1",
            "SELECT pg_notify('x', {c}::text) FROM people WHERE id = 1",
            "SELECT lag({c}, 1, {c}) OVER () FROM people",
            "UPDATE people SET id = 1 WHERE id = 1 RETURNING {c}",
            "UPDATE people SET id = 1 WHERE id = 1 RETURNING {c}::text || '' AS x",
            "UPDATE untreated u SET id = u.id FROM people p WHERE u.person = p.id RETURNING p.{c}",
            "DELETE FROM untreated u USING people p WHERE u.id = 99 RETURNING p.{c}",
            "WITH x AS (UPDATE people SET id = 1 WHERE id = 1 RETURNING {c}) SELECT * FROM x",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p19_carriers_are_refused_or_hold_no_value() {
    tell_nothing(
        "P19",
        &[
            "SELECT md5(p::text) = md5('{v}') FROM people p",
            "SELECT md5({c}::text) = md5('{v}') FROM people",
            "SELECT hashtext({c}::text) = hashtext('{v}') FROM people",
            "SELECT to_jsonb(p)->>'{c}' = '{v}' FROM people p",
            "SELECT to_jsonb(p)->>'{c}' FROM people p",
            "SELECT row_to_json(p)->>'{c}' FROM people p",
            "SELECT jsonb_build_object('x', {c}) FROM people",
            "SELECT jsonb_path_query(to_jsonb(p), '$.{c}') FROM people p",
            "SELECT encode({c}, 'hex') FROM people",
            "SELECT substr({c}, 1, 3) FROM people",
            "SELECT substring({c} for 8) FROM people",
            "SELECT get_byte({c}, 40) FROM people",
            "SELECT length({c}) FROM people",
            "SELECT octet_length({c}) FROM people",
            "SELECT pg_column_size({c}) FROM people",
            "SELECT pg_typeof({c}) FROM people",
            "SET bytea_output = escape; SELECT {c} FROM people",
            "SET bytea_output = escape; SELECT {c}::text FROM people",
            "RESET bytea_output",
        ],
    )
    .await;
}

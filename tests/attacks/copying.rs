//! P11, P20: what is copied away holds masked values; what only looks sealed is not opened. And what is refused is
//! on record, and was never sent.

use std::fs;

use tokio_postgres::Client;

use crate::site::{PLANTED, Site, both, extended, simple};

const COPYING: &[&str] = &[
    "CREATE TABLE taken AS SELECT * FROM people",
    "CREATE TABLE taken AS TABLE people",
    "CREATE TABLE taken (x) AS SELECT {c}::text FROM people",
    "CREATE TEMP TABLE taken AS SELECT {c} FROM people",
    "CREATE TABLE taken (LIKE people INCLUDING ALL)",
    "SELECT * INTO taken FROM people",
    "SELECT {c}::text AS x INTO taken FROM people",
    "WITH x AS (SELECT {c} FROM people) SELECT * INTO taken FROM x",
    "INSERT INTO untreated (body) SELECT {c} FROM people",
    "INSERT INTO untreated (body) SELECT {c}::text FROM people",
    "INSERT INTO untreated (raw) SELECT {c}::text::bytea FROM people",
    "INSERT INTO untreated (body) VALUES ((SELECT {c}::text FROM people WHERE id = 1))",
    "INSERT INTO untreated (body) TABLE people",
    "INSERT INTO untreated (body) SELECT to_jsonb(p)::text FROM people p",
    "INSERT INTO others (id, email) SELECT 50, {c} FROM people WHERE id = 1",
    "WITH x AS (SELECT {c}::text AS y FROM people) INSERT INTO untreated (body) SELECT y FROM x",
    "WITH x AS (DELETE FROM people WHERE id = 99 RETURNING {c}) INSERT INTO untreated (raw) SELECT {c}::text::bytea FROM x",
    "UPDATE untreated SET body = p.{c} FROM people p WHERE p.id = 1",
    "UPDATE untreated SET body = (SELECT {c}::text FROM people WHERE people.id = 1)",
    "UPDATE people SET notes = {c}::text WHERE id = 1",
    "UPDATE people SET id = 1, notes = email WHERE id = 1",
    "INSERT INTO people (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET notes = people.{c}::text",
    "INSERT INTO untreated (id) VALUES (7) ON CONFLICT DO NOTHING RETURNING (SELECT {c}::text FROM people WHERE id = 1)",
    "MERGE INTO untreated u USING people p ON u.person = p.id WHEN MATCHED THEN UPDATE SET body = p.{c}::text",
    "CREATE VIEW taken_view AS SELECT * FROM people",
    "CREATE OR REPLACE TEMP VIEW taken_view AS SELECT {c} FROM people",
    "CREATE MATERIALIZED VIEW taken AS SELECT * FROM people",
    "CREATE RULE taken AS ON INSERT TO untreated DO ALSO SELECT * FROM people",
    "COPY people TO STDOUT",
    "COPY people ({c}) TO STDOUT (FORMAT binary)",
    "COPY (SELECT {c} FROM people) TO STDOUT",
    "COPY (TABLE people) TO STDOUT",
    "PREPARE taken AS SELECT {c} FROM people",
    "BEGIN; DECLARE taken CURSOR WITH HOLD FOR SELECT {c} FROM people; COMMIT",
    "FETCH ALL FROM taken",
    "EXECUTE taken",
    "EXPLAIN (ANALYZE, VERBOSE) SELECT {c} FROM people WHERE id = 1",
    "DO $$ BEGIN CREATE TABLE taken AS SELECT * FROM people; END $$",
    "CREATE FUNCTION taken() RETURNS text LANGUAGE sql AS 'SELECT {c}::text FROM people'",
    "CREATE FUNCTION taken() RETURNS text LANGUAGE sql RETURN (SELECT {c}::text FROM people)",
    "ALTER TABLE untreated ADD COLUMN taken text DEFAULT (SELECT {c} FROM people)",
    "CREATE INDEX taken ON people ((people::text))",
    "ALTER TABLE people RENAME COLUMN {c} TO taken",
    "ALTER TABLE people ALTER COLUMN notes TYPE text USING {c}::text",
    "COMMENT ON TABLE people IS 'x'",
];

/// Every value of every table but the treated ones, as text.
async fn elsewhere(superuser: &Client) -> String {
    let tables = superuser
        .query(
            "SELECT format('%I.%I', n.nspname, relname) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
             WHERE relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgveil')
             AND relname NOT IN ('people', 'others')",
            &[],
        )
        .await
        .unwrap();
    let mut all = String::new();
    for table in tables {
        let table: String = table.get(0);
        let text = format!("SELECT coalesce(string_agg(t::text, '|'), '') FROM {table} t");
        let row = superuser.query_one(&text, &[]).await.unwrap();
        all.push_str(&row.get::<_, String>(0));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn p11_what_is_copied_away_holds_masked_values() {
    let site = Site::new().await;
    let superuser = site.superuser().await;
    let mut shown = 0;
    for client in &site.restricted().await {
        for template in COPYING {
            for (column, _) in PLANTED {
                let text = template.replace("{c}", column);
                for answer in both(client, &text).await {
                    assert_eq!(answer.leak(), None, "{text}: {answer:?}");
                    shown += u32::from(answer.sqlstate().is_empty());
                }
                let _ = client.batch_execute("ROLLBACK").await;
                let all = elsewhere(&superuser).await;
                for (_, planted) in PLANTED {
                    assert!(!all.contains(planted), "{text}: {all}");
                }
                let hex = all.find("d55676");
                assert_eq!(hex, None, "a sealed value left its column: {text}");
                superuser
                    .batch_execute("DROP TABLE IF EXISTS taken; DELETE FROM untreated; INSERT INTO untreated VALUES (1, 'body', '\\x00', 1)")
                    .await
                    .unwrap();
            }
        }
    }
    eprintln!("P11: {shown} ran, over masks");
    let notes = superuser
        .query_one("SELECT notes FROM people WHERE id = 1", &[])
        .await
        .unwrap();
    assert_eq!(notes.get::<_, &str>(0), "merger-in-may");
}

/// An envelope in an untreated column is a row of bytes like any other, whoever asks.
#[tokio::test(flavor = "multi_thread")]
async fn p20_what_looks_sealed_in_an_untreated_column_is_not_opened() {
    let site = Site::new().await;
    let superuser = site.superuser().await;
    let sealed = superuser
        .query_one("SELECT email FROM people WHERE id = 1", &[])
        .await
        .unwrap();
    let sealed: Vec<u8> = sealed.get(0);
    let hex: String = sealed.iter().map(|b| format!("{b:02x}")).collect();
    for user in [&site.support, &site.app] {
        let client = site.login(user).await;
        let update = format!("UPDATE untreated SET raw = '\\x{hex}', body = '\\x{hex}'");
        client.batch_execute(&update).await.unwrap();
        let answer = simple(&client, "SELECT raw, body FROM untreated").await;
        assert_eq!(
            answer.rows(),
            [[Some(format!("\\x{hex}")), Some(format!("\\x{hex}"))]]
        );
        let parameter = client
            .query_one("SELECT raw, $1::bytea FROM untreated", &[&sealed])
            .await
            .unwrap();
        assert_eq!(parameter.get::<_, Vec<u8>>(0), sealed);
        assert_eq!(parameter.get::<_, Vec<u8>>(1), sealed);
        for text in [
            format!("SELECT '\\x{hex}'::bytea AS email"),
            format!("SELECT '\\x{hex}' AS email, id FROM people"),
            format!("SELECT email FROM (SELECT '\\x{hex}'::bytea AS email) people"),
            "SELECT convert_from(raw, 'SQL_ASCII') FROM untreated".to_owned(),
            "SELECT raw AS email FROM untreated".to_owned(),
            "SELECT u.raw AS email FROM people p JOIN untreated u ON u.person = p.id".to_owned(),
            "SELECT coalesce(u.raw, ''::bytea) AS email FROM people p JOIN untreated u ON u.person = p.id".to_owned(),
            "SELECT to_jsonb(u) FROM untreated u".to_owned(),
            "SELECT email FROM people WHERE false UNION ALL SELECT raw FROM untreated".to_owned(),
            "SELECT email FROM people WHERE false UNION ALL SELECT body FROM untreated".to_owned(),
        ] {
            for answer in both(&client, &text).await {
                assert_eq!(answer.leak(), None, "{text}: {answer:?}");
            }
        }
    }
}

/// "Refused" means: an error with a hint, a metric, a record, and nothing sent upstream.
#[tokio::test(flavor = "multi_thread")]
async fn p01_a_refusal_is_counted_and_recorded_and_the_statement_never_sent() {
    let site = Site::new().await;
    let client = site.login(&site.support).await;
    let text = "SELECT id FROM people WHERE email = 'guess-of-support'";
    for answer in [simple(&client, text).await, extended(&client, text).await] {
        assert_eq!(answer.sqlstate(), "42501");
        assert!(!answer.everything().contains("guess-of-support"));
        assert!(answer.everything().contains("hint: Some"), "{answer:?}");
    }
    let metrics = site.pgveil.page("/metrics");
    let refusals = "pgveil_refusals_total{reason=\"policy\"} 2";
    assert!(metrics.contains(refusals), "{metrics}");
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let mut audit = String::new();
    for file in fs::read_dir(site.pgveil.audit_directory()).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|e| e == "jsonl") {
            audit += &fs::read_to_string(path).unwrap();
        }
    }
    let refused = audit
        .lines()
        .filter(|line| line.contains("\"refused\"") && line.contains("42501"))
        .count();
    assert_eq!(refused, 2, "{audit}");
    assert!(!audit.contains("guess-of-support"));
    // The server logs every statement that failed there.
    let log = fs::read_to_string(crate::support::cluster().log_file()).unwrap();
    assert!(!log.contains("guess-of-support"));
}

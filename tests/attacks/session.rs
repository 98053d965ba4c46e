//! S: games with the session's role, names, lexing and prepared statements.

use std::fs;

use tokio_postgres::Client;

use crate::site::{Answer, POLICY, Site, both, simple};
use crate::support::raw::{Raw, message, query};

/// What a session is shown of the first row.
async fn shown(client: &Client) -> Vec<Vec<Option<String>>> {
    let text = "SELECT email, national, salary, born, phone, notes, score FROM people WHERE id = 1";
    simple(client, text).await.rows()
}

#[tokio::test(flavor = "multi_thread")]
async fn s01_changing_the_servers_role_never_widens_what_is_shown() {
    let site = Site::new().await;
    let superuser = site.superuser().await;
    for member in [&site.support, &site.analyst] {
        let grant = format!("GRANT {} TO {member}", site.app);
        superuser.batch_execute(&grant).await.unwrap();
    }
    for name in [&site.support, &site.analyst] {
        let client = site.login(name).await;
        let before = shown(&client).await;
        let app = &site.app;
        for text in [
            format!("SET ROLE {app}"),
            format!("SET LOCAL ROLE {app}"),
            format!("SET role TO '{app}'"),
            format!("SET SESSION AUTHORIZATION {app}"),
            format!("SELECT set_config('role', '{app}', false)"),
            format!("SELECT set_config('session_authorization', '{app}', false)"),
            format!("UPDATE pg_settings SET setting = '{app}' WHERE name = 'role'"),
            format!("ALTER ROLE {name} SET role = '{app}'"),
            format!("BEGIN; SET LOCAL ROLE {app}; ROLLBACK"),
            "RESET ROLE".to_owned(),
            "DISCARD ALL".to_owned(),
            format!("SET ROLE {app}; SELECT email, notes FROM people"),
            format!("BEGIN; SET ROLE {app}; SELECT notes, score FROM people; ROLLBACK"),
        ] {
            for answer in both(&client, &text).await {
                assert_eq!(answer.leak(), None, "{text}: {answer:?}");
            }
            let _ = client.batch_execute("ROLLBACK").await;
            assert_eq!(shown(&client).await, before, "{text}");
        }
        let url = site.pgveil.url(name, "password", &site.database);
        for options in [
            format!("options=-c%20role%3D{app}"),
            format!("options=-c%20session_authorization%3D{app}"),
            format!("application_name={app}"),
        ] {
            // The server may refuse the option; who comes in sees no more than before.
            let url = format!("{url}?{options}");
            if let Ok((client, connection)) =
                tokio_postgres::connect(&url, tokio_postgres::NoTls).await
            {
                tokio::spawn(connection);
                assert_eq!(shown(&client).await, before, "{options}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s02_names_resolve_as_the_servers_or_are_refused() {
    let site = Site::new().await;
    let superuser = site.superuser().await;
    superuser
        .batch_execute(
            "CREATE SCHEMA decoy; CREATE TABLE decoy.people (id int, email text, notes text);
             INSERT INTO decoy.people VALUES (1, 'decoy', 'decoy');
             CREATE SCHEMA veil; CREATE TABLE veil.untreated (LIKE untreated);
             GRANT ALL ON SCHEMA decoy, veil TO PUBLIC; GRANT ALL ON ALL TABLES IN SCHEMA decoy, veil TO PUBLIC",
        )
        .await
        .unwrap();
    // The catalog is read again within its poll.
    tokio::time::sleep(std::time::Duration::from_secs(7)).await;
    for client in &site.restricted().await {
        for text in [
            "SELECT email, notes FROM people",
            "SET search_path = decoy, public; SELECT notes FROM people",
            "SET search_path = public; SELECT notes FROM people",
            "SELECT set_config('search_path', 'public', false); SELECT notes FROM people",
            "SET search_path = ''; SELECT notes FROM public.people",
            "CREATE TEMP TABLE people (id int, notes text)",
            "CREATE TEMP TABLE untreated AS SELECT 1 AS notes; SELECT notes FROM public.people",
            "CREATE TEMP VIEW people AS SELECT 1 AS notes",
            "CREATE TABLE decoy.others (email text); SELECT email FROM others",
            "ALTER TABLE decoy.people RENAME TO others",
            "ALTER TABLE decoy.people SET SCHEMA public",
            "ALTER TABLE untreated RENAME TO others",
            "ALTER SCHEMA public RENAME TO elsewhere",
            "SELECT notes FROM \"public\".\"people\"",
            "SELECT \"notes\" FROM U&\"!0070ublic\" UESCAPE '!'.people",
            "SELECT notes FROM U&\"p\\0065ople\"",
            "SELECT notes FROM U&\"p!0065ople\" UESCAPE '!'",
            "SELECT nOtEs FROM pUbLiC.pEoPlE",
            "SELECT notes FROM public . people",
            "SELECT notes FROM public/**/./**/people",
            "SELECT people.notes FROM public.people, decoy.people AS d",
            "SELECT x.notes FROM decoy.people d, LATERAL (SELECT * FROM public.people) x",
            "WITH people AS (SELECT * FROM public.people) SELECT notes FROM people",
            "WITH people AS (SELECT 1 AS id) SELECT notes FROM public.people",
            "WITH x AS (WITH people AS (SELECT 1 AS id) SELECT * FROM people) SELECT notes FROM public.people, x",
            "SELECT aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.notes FROM public.people AS aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        ] {
            for answer in both(client, text).await {
                assert_eq!(answer.leak(), None, "{text}: {answer:?}");
            }
        }
        let decoy = simple(client, "SELECT notes FROM decoy.people").await;
        assert_eq!(decoy.value().as_deref(), Some("decoy"));
    }
}

/// A query of raw bytes, and all that comes back.
fn ask(raw: &mut Raw, text: &[u8]) -> Vec<u8> {
    raw.send(&message(b'Q', &[text, &[0]].concat()));
    raw.until(b'Z', 1)
        .into_iter()
        .flat_map(|(_, body)| body)
        .collect()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|w| w == text.as_bytes())
}

/// Each text hides its mention of the table from a lexer that reads it under other settings than the server.
#[tokio::test(flavor = "multi_thread")]
async fn s03_lexing_games_hide_nothing() {
    let site = Site::shared().await;
    let hidden: &[&[u8]] = &[
        br"SELECT '\', notes || '' FROM people -- '",
        br"SELECT '\'', notes || '' FROM people -- '",
        br"SELECT E'\'', notes || '' FROM people -- '",
        br"SELECT E'\\', notes || '' FROM people -- '",
        b"SELECT $a$ $b$, notes || '' FROM people -- $a$ $b$",
        b"SELECT $a$ ' $a$, notes || '' FROM people -- '",
        b"SELECT /* /* */ ' */, notes || '' FROM people -- '",
        b"SELECT 1 /* ' */, notes || '' FROM people -- '",
        b"SELECT 'a'\n'b', notes || '' FROM people -- '",
        b"SELECT 'a' -- '\n'b', notes || '' FROM people -- '",
        b"SELECT 1 --\r, notes || '' FROM people",
        b"SELECT 1 -- \x0b, \n, notes || '' FROM people",
        b"SELECT 1 +-- '\n 2, notes || '' FROM people -- '",
        b"SELECT U&'\\0027', notes || '' FROM people -- '",
        b"SELECT U&'!0027' UESCAPE '!', notes || '' FROM people -- '",
        b"SELECT B'1', X'1F', N'x', notes || '' FROM people -- '",
        b"SELECT 1\xc2\xa0, notes || '' FROM people",
        // A dollar quote's tag in two bytes that are no UTF-8.
        b"SELECT $\xe9$ x $\xe8$ ' $\xe9$, notes || '' FROM people -- '",
        // The second byte of a character of SJIS, BIG5, GBK is a backslash.
        b"SELECT E'\x83\x5c', notes || '' FROM people -- '",
        b"SELECT E'\xc3\x81\x5c', notes || '' FROM people -- '",
        b"SELECT E'\xa5\x5c', notes || '' FROM people -- '",
        b"SELECT ~$x$ 1 $x$, notes || '' FROM people -- $x$",
        b"SELECT '\xff', notes || '' FROM people",
        b"SELECT '\xc3', notes || '' FROM people -- '",
    ];
    let settings = [
        "SET standard_conforming_strings = on",
        "SET standard_conforming_strings = off",
        "SET standard_conforming_strings = off; SET backslash_quote = on",
        "SELECT set_config('standard_conforming_strings', 'off', false)",
        "SET client_encoding = 'SQL_ASCII'",
        "SET client_encoding = 'LATIN1'",
        "SET client_encoding = 'SJIS'",
        "SET client_encoding = 'SHIFT_JIS_2004'",
        "SET client_encoding = 'BIG5'",
        "SET client_encoding = 'GBK'",
        "SET client_encoding = 'GB18030'",
        "SET NAMES 'UHC'",
        "SET client_encoding = 'JOHAB'",
        "SELECT set_config('client_encoding', 'SJIS', false)",
        "UPDATE pg_settings SET setting = 'off' WHERE name = 'standard_conforming_strings'",
        "BEGIN; SET LOCAL standard_conforming_strings = off",
        "BEGIN; SET standard_conforming_strings = off; ROLLBACK",
        "BEGIN; SET client_encoding = 'SJIS'; ROLLBACK",
        "BEGIN; SAVEPOINT a; SET client_encoding = 'SJIS'; ROLLBACK TO a",
        "SET client_encoding = 'SJIS'; BEGIN; SET client_encoding = 'UTF8'; ROLLBACK",
    ];
    for name in [&site.support, &site.analyst] {
        for setting in settings {
            let mut raw = Raw::login(site.pgveil.port(), name, "password", &site.database);
            let said = ask(&mut raw, setting.as_bytes());
            for text in hidden {
                let answer = ask(&mut raw, text);
                let what = String::from_utf8_lossy(text);
                assert!(
                    !holds(&answer, "merger-in-may"),
                    "{setting}: {what}: {} {}",
                    String::from_utf8_lossy(&said),
                    String::from_utf8_lossy(&answer)
                );
                if setting.starts_with("BEGIN") && !setting.contains("ROLLBACK") {
                    ask(&mut raw, b"ROLLBACK");
                    ask(&mut raw, setting.as_bytes());
                }
            }
            // The setting and the text in one write, before anything is reported.
            for text in hidden {
                let mut raw = Raw::login(site.pgveil.port(), name, "password", &site.database);
                let at_once =
                    [query(setting), message(b'Q', &[text, &b"\0"[..]].concat())].concat();
                raw.send(&at_once);
                let frames = raw.until(b'Z', 2);
                let answer: Vec<u8> = frames.into_iter().flat_map(|(_, body)| body).collect();
                assert!(!holds(&answer, "merger-in-may"), "at once: {setting}");
            }
        }
    }
}

/// What is stored is UTF-8: a session of another encoding neither writes nor reads a treated attribute.
#[tokio::test(flavor = "multi_thread")]
async fn s03_another_encoding_neither_writes_nor_reads_what_is_treated() {
    let site = Site::new().await;
    let mut raw = Raw::login(site.pgveil.port(), &site.app, "password", &site.database);
    let parse = |name: &str, text: &str| {
        let body = [name.as_bytes(), b"\0", text.as_bytes(), b"\0\0\0"].concat();
        message(b'P', &body)
    };
    let bind = |name: &str, value: &[u8]| {
        let length = i32::try_from(value.len()).unwrap().to_be_bytes();
        let head = [b"\0", name.as_bytes(), b"\0\0\0\0\x01"].concat();
        message(b'B', &[&head[..], &length, value, b"\0\0"].concat())
    };
    let execute = message(b'E', b"\0\0\0\0\0");
    let sync = message(b'S', b"");
    raw.send(
        &[
            parse("w", "UPDATE people SET email = $1 WHERE id = 2"),
            parse("r", "SELECT email, $1::text FROM people WHERE id = 1"),
            sync.clone(),
        ]
        .concat(),
    );
    raw.until(b'Z', 1);
    ask(&mut raw, b"SET client_encoding = 'LATIN1'");
    raw.send(&[bind("w", b"caf\xe9"), execute.clone(), sync.clone()].concat());
    let answer: Vec<u8> = raw
        .until(b'Z', 1)
        .into_iter()
        .flat_map(|(_, b)| b)
        .collect();
    assert!(
        holds(&answer, "0A000"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    raw.send(&[bind("r", b"x"), execute, sync].concat());
    let answer: Vec<u8> = raw
        .until(b'Z', 1)
        .into_iter()
        .flat_map(|(_, b)| b)
        .collect();
    assert!(
        holds(&answer, "0A000"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    let answer = ask(&mut raw, b"SELECT 'body', id FROM untreated");
    assert!(holds(&answer, "body"), "what is untreated passes");
    ask(&mut raw, b"SET client_encoding = 'UTF8'");
    let answer = ask(&mut raw, b"SELECT email FROM people WHERE id = 2");
    assert!(!holds(&answer, "caf"), "nothing was written");
}

#[tokio::test(flavor = "multi_thread")]
async fn s05_what_was_prepared_is_planned_again_or_refused() {
    let site = Site::new().await;
    let app = site.login(&site.app).await;
    let support = site.login(&site.support).await;
    let text = "SELECT email, notes, score FROM people WHERE id = 1";
    let by_app = app.prepare(text).await.unwrap();
    let by_support = support.prepare(text).await.unwrap();
    let star = support.prepare("SELECT * FROM untreated").await.unwrap();
    let row = app.query_one(&by_app, &[]).await.unwrap();
    assert_eq!(row.get::<_, &str>(1), "merger-in-may");
    // The application's rights are reduced.
    let reduced = POLICY.replace(
        "notes:\n        show: { app: plain, \"*\": { mask: redact } }",
        "notes:\n        show: { \"*\": { mask: redact } }",
    );
    assert_ne!(reduced, POLICY);
    fs::write(site.pgveil.path("policy.yaml"), reduced).unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let now = simple(&app, "SELECT notes FROM people WHERE id = 1").await;
        if now.value().as_deref() == Some("***") {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{now:?}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    match app.query_one(&by_app, &[]).await {
        Ok(row) => assert_eq!(row.get::<_, &str>(1), "***"),
        Err(error) => assert_eq!(error.code().unwrap().code(), "0A000", "{error:?}"),
    }
    // search_path changes beneath a statement, and the table is altered.
    let superuser = site.superuser().await;
    superuser
        .batch_execute(
            "CREATE SCHEMA aside; CREATE TABLE aside.untreated AS SELECT 1 AS id, notes AS body, ''::bytea AS raw, 1 AS person FROM people;
             GRANT ALL ON SCHEMA aside TO PUBLIC; GRANT ALL ON ALL TABLES IN SCHEMA aside TO PUBLIC",
        )
        .await
        .unwrap();
    superuser
        .batch_execute("DROP TABLE aside.untreated")
        .await
        .unwrap();
    support
        .batch_execute("SET search_path = aside, public")
        .await
        .unwrap();
    let before = support
        .query(&by_support, &[])
        .await
        .map(|rows| rows[0].get::<_, String>(1));
    assert_ne!(before.ok().as_deref(), Some("merger-in-may"));
    superuser
        .batch_execute(
            "ALTER TABLE untreated ADD COLUMN more text; ALTER TABLE people ADD COLUMN more text",
        )
        .await
        .unwrap();
    assert!(
        support.query(&star, &[]).await.is_err(),
        "PostgreSQL's own refusal"
    );
    for wait in [0, 7] {
        tokio::time::sleep(std::time::Duration::from_secs(wait)).await;
        if let Ok(rows) = support.query(&by_support, &[]).await {
            assert_ne!(rows[0].get::<_, &str>(1), "merger-in-may");
        }
        let again = simple(&support, "SELECT notes FROM public.people WHERE id = 1").await;
        assert!(matches!(again, Answer::Fault(..)) || again.value().as_deref() == Some("***"));
    }
}

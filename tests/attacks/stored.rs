//! D: somebody on the database's side changes what is stored. X05: the audit cannot be written.

use std::process::Command;

use tokio_postgres::Client;

use crate::site::{Answer, Site, both, extended, simple};

async fn stored(superuser: &Client, column: &str) -> Vec<u8> {
    let text = format!("SELECT {column} FROM people WHERE id = 1");
    superuser.query_one(&text, &[]).await.unwrap().get(0)
}

async fn store(
    superuser: &Client,
    column: &str,
    value: &[u8],
) -> Result<u64, tokio_postgres::Error> {
    let text = format!("UPDATE people SET {column} = $1 WHERE id = 1");
    superuser.execute(&text, &[&value]).await
}

/// Reading ends with XX001, names the attribute and shows no value.
async fn fails_to_open(site: &Site, column: &str, what: &str) {
    let text = format!("SELECT id, {column} FROM people WHERE id = 1");
    for name in [&site.app, &site.support] {
        // What does not open ends the session: one for each way.
        let first = simple(&site.login(name).await, &text).await;
        let second = extended(&site.login(name).await, &text).await;
        for answer in [first, second] {
            let Answer::Fault(sqlstate, said) = &answer else {
                panic!("{what}: {answer:?}")
            };
            assert_eq!(sqlstate, "XX001", "{what}: {said}");
            assert!(
                said.contains(&format!("public.people.{column}")),
                "{what}: {said}"
            );
            assert_eq!(answer.leak(), None, "{what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn d02_a_value_moved_to_another_domain_does_not_open() {
    let site = Site::new().await;
    let superuser = site.superuser().await;
    let (email, national) = (
        stored(&superuser, "email").await,
        stored(&superuser, "national").await,
    );
    // As it is, the CHECK refuses it; with the prefix of its new place it gets in.
    let refused = store(&superuser, "email", &national).await.unwrap_err();
    assert_eq!(refused.code().unwrap().code(), "23514");
    let moved = [&email[..10], &national[10..]].concat();
    store(&superuser, "email", &moved).await.unwrap();
    fails_to_open(&site, "email", "national as email").await;
    store(&superuser, "email", &email).await.unwrap();
    // Between two attributes of the same type, and without the CHECK.
    let other: Vec<u8> = superuser
        .query_one("SELECT email FROM others", &[])
        .await
        .unwrap()
        .get(0);
    let moved = [&email[..10], &other[10..]].concat();
    store(&superuser, "email", &moved).await.unwrap();
    fails_to_open(&site, "email", "others.email as people.email").await;
    store(&superuser, "email", &email).await.unwrap();
    let client = site.login(&site.app).await;
    let answer = simple(&client, "SELECT email FROM people WHERE id = 1").await;
    assert_eq!(answer.value().as_deref(), Some("anna@secret.example"));
}

#[tokio::test(flavor = "multi_thread")]
async fn d03_a_changed_value_does_not_open() {
    let site = Site::new().await;
    let superuser = site.superuser().await;
    for column in ["email", "national", "salary", "born"] {
        let right = stored(&superuser, column).await;
        for plain in [&b"plain text"[..], b"", b"\xd5", &right[..7]] {
            let refused = store(&superuser, column, plain).await.unwrap_err();
            assert_eq!(refused.code().unwrap().code(), "23514", "{column}");
        }
        let mut changed: Vec<(String, Vec<u8>)> = vec![
            ("cut to its prefix".to_owned(), right[..8].to_vec()),
            ("cut by one".to_owned(), right[..right.len() - 1].to_vec()),
            ("longer by one".to_owned(), [&right[..], b"\0"].concat()),
            ("twice".to_owned(), [&right[..], &right[..]].concat()),
            (
                "random".to_owned(),
                [&right[..10], &[0x5a; 40][..]].concat(),
            ),
            (
                "plain behind the prefix".to_owned(),
                [&right[..10], &b"0123456789abcdefplain text"[..]].concat(),
            ),
        ];
        for at in 8..right.len() {
            let mut flipped = right.clone();
            flipped[at] ^= 1 << (at % 8);
            changed.push((format!("byte {at} flipped"), flipped));
        }
        let mut ended = 0;
        for (what, value) in changed {
            store(&superuser, column, &value).await.unwrap();
            let text = format!("SELECT id, {column} FROM people WHERE id = 1");
            let client = site.login(&site.app).await;
            let answer = simple(&client, &text).await;
            let Answer::Fault(sqlstate, said) = &answer else {
                panic!("{column} {what}: {answer:?}")
            };
            assert_eq!(sqlstate, "XX001", "{column} {what}: {said}");
            assert_eq!(answer.leak(), None, "{column} {what}");
            ended += 1;
        }
        eprintln!("D03: {column}: {ended} changes");
        store(&superuser, column, &right).await.unwrap();
    }
}

/// A DBA's change beside pgveil, the attribute or table `/readyz` names, and a statement on it.
const CHANGES: &[(&str, &str, &str)] = &[
    (
        "ALTER TABLE people RENAME COLUMN email TO mail",
        "public.people.email",
        "UPDATE people SET email = 'd05-plain' WHERE id = 1",
    ),
    (
        "ALTER TABLE people RENAME COLUMN email TO mail; ALTER TABLE people ADD COLUMN email text",
        "public.people.email",
        "UPDATE people SET email = 'd05-plain' WHERE id = 1",
    ),
    (
        "ALTER TABLE people DROP CONSTRAINT {check}",
        "public.people.email",
        "UPDATE people SET email = 'd05-plain' WHERE id = 1",
    ),
    (
        "ALTER TABLE people DROP CONSTRAINT {check}, ALTER COLUMN email TYPE text USING id::text",
        "public.people.email",
        "UPDATE people SET email = 'd05-plain' WHERE id = 1",
    ),
    (
        "ALTER TABLE people ALTER COLUMN phone TYPE varchar(500)",
        "public.people.phone",
        "UPDATE people SET phone = '0000000000005' WHERE id = 1",
    ),
    (
        "ALTER TABLE people RENAME COLUMN phone TO telephone",
        "public.people.phone",
        "UPDATE people SET telephone = 'd05-plain' WHERE id = 1",
    ),
    (
        "DROP TABLE people; CREATE TABLE people (id int, email text, national text, salary int, born date, phone text, notes text, score int, hidden text); INSERT INTO people (id) VALUES (1); GRANT ALL ON people TO PUBLIC",
        "public.people.email",
        "UPDATE people SET email = 'd05-plain', phone = 'd05-plain' WHERE id = 1",
    ),
    (
        "ALTER TABLE people RENAME TO persons",
        "public.people",
        "UPDATE persons SET phone = 'd05-plain', notes = 'd05-plain' WHERE id = 1",
    ),
    (
        "CREATE SCHEMA away; GRANT ALL ON SCHEMA away TO PUBLIC; ALTER TABLE people SET SCHEMA away",
        "public.people",
        "UPDATE away.people SET phone = 'd05-plain', notes = 'd05-plain' WHERE id = 1",
    ),
    (
        "DROP TABLE people",
        "public.people",
        "UPDATE people SET email = 'd05-plain'",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn d05_what_another_hand_changed_is_refused_and_named() {
    let mut told = Vec::new();
    let site = Site::new().await;
    let superuser = site.superuser().await;
    let check: String = superuser
        .query_one(
            "SELECT conname::text FROM pg_constraint WHERE conrelid = 'people'::regclass AND conname LIKE 'pgveil_sealed%'
             AND conkey = ARRAY[(SELECT attnum FROM pg_attribute WHERE attrelid = conrelid AND attname = 'email')]",
            &[],
        )
        .await
        .unwrap()
        .get(0);
    drop(site);
    for (change, name, statement) in CHANGES {
        let site = Site::new().await;
        let superuser = site.superuser().await;
        let app = site.login(&site.app).await;
        let support = site.login(&site.support).await;
        superuser
            .batch_execute(&change.replace("{check}", &check))
            .await
            .unwrap();
        // At once, before pgveil could know: by the names that applications know it may fail or be written sealed.
        let known = "UPDATE people SET email = 'd05-plain', phone = '0000000000005' WHERE id = 1";
        let at_once = simple(&app, known).await;
        let page = site
            .until_ready(change, |page| page.contains(" 503 ") && page.contains(name))
            .await;
        let named = page.lines().any(|line| line.contains(name));
        let mut sqlstates = Vec::new();
        for answer in both(&app, statement).await {
            sqlstates.push(answer.sqlstate().to_owned());
        }
        for text in [
            "SELECT email, notes, score FROM people",
            "SELECT phone, notes || '' FROM persons",
            "SELECT notes || '' FROM persons",
            "SELECT notes || '' FROM away.people",
        ] {
            for answer in both(&support, text).await {
                if let Some(leak) = answer.leak() {
                    told.push(format!("{change}: support sees {leak} by {text}"));
                }
            }
        }
        let plain = superuser
            .query("SELECT format('%I.%I', nspname, relname) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relname IN ('people', 'persons') AND relkind = 'r'", &[])
            .await
            .unwrap();
        for table in plain {
            let table: String = table.get(0);
            let rows = superuser
                .query(&format!("SELECT t::text FROM {table} t"), &[])
                .await
                .unwrap();
            let all: String = rows.iter().map(|r| r.get::<_, String>(0)).collect();
            if all.contains("d05-plain") || all.contains("0000000000005") {
                told.push(format!("{change}: written plain: {all}"));
            }
        }
        // Of a table that is gone nothing is known but its name.
        let gone = change.starts_with("DROP TABLE people") && !change.contains("CREATE");
        let due = if gone { "0A000" } else { "55000" };
        let missing = sqlstates.iter().any(|s| s != due);
        if !named || missing {
            told.push(format!("{change}: {sqlstates:?} {at_once:?} {page}"));
        }
        // The rest goes on.
        let other = simple(&app, "SELECT email FROM others").await;
        assert_eq!(
            other.value().as_deref(),
            Some("anna@secret.example"),
            "{change}"
        );
    }
    assert!(told.is_empty(), "{}", told.join("\n"));
}

/// Only masked: nothing in the values says that they were ever treated.
const MASKED_ONLY: &str = r#"
version: 1
roles:
  - { name: app, match: { user: "app_*" } }
  - { name: support, match: { user: "support_*" } }
tables:
  public.people:
    columns:
      notes: { show: { app: plain, "*": { mask: redact } } }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn d05_what_is_masked_only_stays_hidden_under_another_name() {
    let changes = [
        ("ALTER TABLE people RENAME TO persons", "persons", "notes"),
        (
            "ALTER TABLE people RENAME notes TO lines",
            "people",
            "lines",
        ),
        (
            "ALTER TABLE people RENAME notes TO lines; ALTER TABLE people RENAME remark TO notes",
            "people",
            "lines",
        ),
        (
            "ALTER TABLE people RENAME TO persons; CREATE TABLE people (id int, notes text); GRANT ALL ON people TO PUBLIC",
            "persons",
            "notes",
        ),
    ];
    for (change, table, column) in changes {
        let site = Site::with_policy(MASKED_ONLY).await;
        let superuser = site.superuser().await;
        superuser.batch_execute(change).await.unwrap();
        let name = format!("public.{table}.{column}");
        site.until_ready(change, |page| {
            page.contains(" 503 ") && page.contains(&name)
        })
        .await;
        for login in [&site.app, &site.support] {
            let client = site.login(login).await;
            for text in [
                format!("SELECT {column} FROM {table}"),
                format!("SELECT {column} || '' FROM {table}"),
                format!("SELECT * FROM {table}"),
                format!("SELECT {table}::text FROM {table}"),
                format!("UPDATE {table} SET {column} = 'x'"),
            ] {
                for answer in both(&client, &text).await {
                    assert_eq!(answer.sqlstate(), "55000", "{change}: {text}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn d07_a_value_that_looks_sealed_is_data() {
    let site = Site::new().await;
    let superuser = site.superuser().await;
    let app = site.login(&site.app).await;
    let sealed = stored(&superuser, "email").await;
    let hex: String = sealed.iter().map(|b| format!("{b:02x}")).collect();
    let look = format!("\\x{hex}");
    let literal = format!("UPDATE people SET email = '{look}' WHERE id = 2");
    app.batch_execute(&literal).await.unwrap();
    let answer = simple(&app, "SELECT email FROM people WHERE id = 2").await;
    assert_eq!(answer.value().as_deref(), Some(look.as_str()));
    let found = format!("SELECT id FROM people WHERE email = '{look}'");
    assert_eq!(simple(&app, &found).await.value().as_deref(), Some("2"));
    app.execute("UPDATE people SET email = $1 WHERE id = 2", &[&look])
        .await
        .unwrap();
    let row = app
        .query_one("SELECT email FROM people WHERE email = $1", &[&look])
        .await
        .unwrap();
    assert_eq!(row.get::<_, &str>(0), look);
    // As a value of bytea it is of another type, and refused.
    for text in [
        format!("UPDATE people SET email = '{look}'::bytea WHERE id = 2"),
        format!("SELECT id FROM people WHERE email = '{look}'::bytea"),
        "UPDATE people SET email = raw FROM untreated u WHERE people.id = 2".to_owned(),
        "INSERT INTO people (id, email) SELECT 9, raw FROM untreated".to_owned(),
    ] {
        for answer in both(&app, &text).await {
            assert!(matches!(answer, Answer::Fault(..)), "{text}: {answer:?}");
        }
    }
    let bytes = app
        .execute("UPDATE people SET email = $1 WHERE id = 2", &[&sealed])
        .await;
    assert!(bytes.is_err(), "a parameter of bytea");
}

/// The disk that holds the audit is full: what meets treated attributes is refused, and goes on when there is room.
#[tokio::test(flavor = "multi_thread")]
async fn x05_without_an_audit_nothing_treated_is_read_or_written() {
    let mut site = Site::new().await;
    site.pgveil.stop();
    let audit = site.pgveil.audit_directory();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=64k,mode=0700", "none"])
        .arg(&audit)
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        eprintln!("left out: a small disk cannot be mounted here");
        return;
    }
    site.pgveil.serve();
    let client = site.login(&site.app).await;
    let write = "UPDATE people SET salary = 5 WHERE id = 2";
    let mut refused = None;
    for _ in 0..400 {
        match simple(&client, write).await {
            Answer::Fault(sqlstate, said) => {
                refused = Some((sqlstate, said));
                break;
            }
            Answer::Rows(_) => {}
        }
    }
    let page = site.pgveil.page("/readyz");
    site.pgveil.stop();
    let _ = Command::new("umount").arg(&audit).status();
    eprintln!("X05: {refused:?}");
    assert!(refused.is_some(), "the disk has 64 KiB");
    assert!(page.contains(" 503 "), "{page}");
}

//! P14: errors of the server keep their SQLSTATE and the names of objects, and hold no value for restricted sight.

use crate::site::{Answer, PLANTED, Site, both, simple};

/// The role that may write, and each statement with its SQLSTATE and a name that must stay.
#[tokio::test(flavor = "multi_thread")]
async fn p14_errors_on_treated_attributes_hold_no_stored_value() {
    let site = Site::new().await;
    let app = site.login(&site.app).await;
    for (text, sqlstate, name) in [
        (
            "INSERT INTO people (id, email) VALUES (1, 'x@y.z')",
            "23505",
            "people_pkey",
        ),
        (
            "INSERT INTO people (id, email) VALUES (3, 'anna@secret.example')",
            "23505",
            "people_email_key",
        ),
        (
            "INSERT INTO people (id, score) VALUES (3, 7654321)",
            "23505",
            "people_score_key",
        ),
        (
            "UPDATE people SET id = 1 WHERE id = 2",
            "23505",
            "people_pkey",
        ),
        (
            "UPDATE people SET national = NULL WHERE id = 1",
            "23502",
            "national",
        ),
        (
            "INSERT INTO people (id, national, email) VALUES (4, NULL, 'mine')",
            "23502",
            "national",
        ),
        (
            "UPDATE people SET notes = repeat('x', 41) WHERE id = 1",
            "23514",
            "notes_length",
        ),
        (
            "UPDATE people SET national = 'a value that is longer than forty characters' WHERE id = 1",
            "22001",
            "",
        ),
        ("UPDATE people SET salary = 'abc' WHERE id = 1", "22P02", ""),
        (
            "UPDATE people SET salary = '99999999999' WHERE id = 1",
            "22003",
            "",
        ),
        (
            "UPDATE people SET born = '1999-13-45' WHERE id = 1",
            "22008",
            "",
        ),
        ("UPDATE people SET phone = '12' WHERE id = 1", "22023", ""),
        (
            "SELECT 1/(id - 1), email FROM people WHERE notes = 'merger-in-may'",
            "22012",
            "",
        ),
    ] {
        for answer in both(&app, text).await {
            assert_eq!(answer.sqlstate(), sqlstate, "{text}: {answer:?}");
            assert!(
                answer.everything().contains(name),
                "{text} names {name}: {answer:?}"
            );
            assert!(
                !answer.everything().contains("d55676"),
                "{text}: {answer:?}"
            );
        }
        let failing = simple(&app, text).await;
        let stored = ["QQ123456C", "1971-08-23", "0049151987654321", "1234567,"];
        for value in stored {
            assert!(!failing.everything().contains(value), "{text}: {failing:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p14_errors_hold_no_value_for_restricted_sight() {
    let site = Site::new().await;
    let superuser = site.superuser().await;
    // What a role may still do: write what is not treated, in tables with treated attributes.
    superuser
        .batch_execute(
            "ALTER TABLE people ADD CONSTRAINT id_small CHECK (id < 1000);
             ALTER TABLE people ADD COLUMN tag int, ADD CONSTRAINT tag_and_score UNIQUE (tag, notes);
             ALTER TABLE people ADD CONSTRAINT by_notes CHECK (tag <> length(notes));
             UPDATE people SET tag = id;
             INSERT INTO people (id, notes, tag) VALUES (5, 'merger-in-may', 5)",
        )
        .await
        .unwrap();
    site.until_ready("added constraints", |page| page.contains(" 200 "))
        .await;
    for client in &site.restricted().await {
        for (text, sqlstate, name) in [
            (
                "UPDATE people SET id = 5000 WHERE id = 1",
                "23514",
                "id_small",
            ),
            (
                "UPDATE people SET id = 2 WHERE id = 1",
                "23505",
                "people_pkey",
            ),
            (
                "UPDATE people SET tag = 5 WHERE id = 1",
                "23505",
                "tag_and_score",
            ),
            (
                "UPDATE people SET tag = 13 WHERE id = 1",
                "23514",
                "by_notes",
            ),
            ("UPDATE people SET id = NULL WHERE id = 1", "23502", "id"),
            ("INSERT INTO people (id) VALUES (1)", "23505", "people_pkey"),
            ("SELECT notes::int FROM people", "22P02", ""),
            (
                "SELECT id FROM people WHERE notes::date > now()",
                "22007",
                "",
            ),
            ("SELECT id, 1/(id-1) FROM people", "22012", ""),
            (
                "SELECT ('[' || notes)::json FROM people WHERE id = 1",
                "22P02",
                "",
            ),
            ("SELECT 'abc'::int, id FROM people", "22P02", ""),
        ] {
            for answer in both(client, text).await {
                assert_eq!(answer.sqlstate(), sqlstate, "{text}: {answer:?}");
                let said = answer.everything();
                assert!(said.contains(name), "{text} names {name}: {answer:?}");
                assert_eq!(answer.leak(), None, "{text}: {answer:?}");
                assert!(!said.contains("d55676"), "{text}: {answer:?}");
                assert!(said.contains("detail: None"), "{text}: {answer:?}");
                assert!(!said.contains("***"), "{text}: {answer:?}");
            }
        }
    }
}

/// A trigger that shouts the row: as an error, as a notice, as a context.
#[tokio::test(flavor = "multi_thread")]
async fn p14_what_code_on_the_server_raises_holds_no_value() {
    let site = Site::new().await;
    let superuser = site.superuser().await;
    superuser
        .batch_execute(
            "CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                RAISE NOTICE 'row %', OLD;
                RAISE EXCEPTION 'row % of %', OLD.notes, OLD.score
                    USING DETAIL = OLD.notes, HINT = OLD.notes, COLUMN = 'notes';
             END $$;
             CREATE TRIGGER shout BEFORE UPDATE ON people FOR EACH ROW EXECUTE FUNCTION shout()",
        )
        .await
        .unwrap();
    let update = "UPDATE people SET id = 1 WHERE id = 1";
    for client in &site.restricted().await {
        for answer in both(client, update).await {
            assert!(matches!(answer, Answer::Fault(..)), "{answer:?}");
            for (column, planted) in PLANTED {
                let said = answer.everything();
                assert!(!said.contains(planted), "{column}: {said}");
            }
        }
    }
}

//! What is logged and recorded: JSON line by line and without a value, and a record that outlives `kill -9`.

use std::time::Duration;

use serde_json::Value;

use crate::site::{Site, rows};

#[tokio::test(flavor = "multi_thread")]
async fn each_line_of_a_json_log_is_an_object_without_values() {
    let mut site = Site::new().await;
    site.pgveil.set("PGVEIL_LOG__FORMAT", "json");
    site.pgveil.serve();
    let app = site.client(&site.app).await;
    let one = "SELECT phone FROM people WHERE email = 'ann@example.com'";
    assert_eq!(rows(&app, one).await, Ok(vec!["555-0100-2345".to_owned()]));
    assert!(
        rows(&app, "UPDATE people SET email = 'eve@example.com' || note")
            .await
            .is_err()
    );
    let wrong = site.pgveil.url(&site.app, "wrong-password", &site.database);
    assert!(
        tokio_postgres::connect(&wrong, tokio_postgres::NoTls)
            .await
            .is_err()
    );
    site.pgveil.signal("-HUP");
    tokio::time::sleep(Duration::from_millis(300)).await;
    drop(app);
    site.pgveil.signal("-TERM");
    assert_eq!(site.pgveil.ended(Duration::from_secs(20)), Some(0));
    let log = std::fs::read_to_string(site.pgveil.log_file()).expect("its log");
    assert!(log.lines().count() >= 3, "{log}");
    for line in log.lines() {
        let value: Value = serde_json::from_str(line).expect(line);
        let object = value.as_object().expect(line);
        for key in ["timestamp", "level", "fields", "target"] {
            assert!(object.contains_key(key), "{line}");
        }
    }
    for planted in [
        "ann@",
        "eve@",
        "555-0100",
        "wrong-password",
        "correct horse",
        "likes tea",
    ] {
        assert!(!log.contains(planted), "{planted} is in the log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn x05_what_was_answered_is_on_record_after_kill_9() {
    let mut site = Site::new().await;
    site.pgveil.serve();
    let app = site.client(&site.app).await;
    for number in 0..100 {
        let one = format!("SELECT {number}, email FROM people WHERE id = 1");
        assert!(rows(&app, &one).await.is_ok());
    }
    site.pgveil.signal("-KILL");
    assert_eq!(site.pgveil.ended(Duration::from_secs(20)), None);
    let found = site
        .pgveil
        .run_with_config(&["audit", "search", "--user", &site.app]);
    let found = String::from_utf8(found.stdout).expect("lines");
    let begun = |number: &u32| {
        let text = format!("SELECT {number}, email FROM people");
        let mut lines = found.lines();
        lines.any(|line| line.contains(&text) && line.contains("\"begun\""))
    };
    let missing: Vec<u32> = (0..100).filter(|number| !begun(number)).collect();
    assert!(missing.is_empty(), "{missing:?} are not on record");
    // It goes on where it was cut, and what is there holds.
    site.pgveil.serve();
    site.pgveil.stop();
    site.pgveil.run_with_config(&["audit", "verify"]);
}

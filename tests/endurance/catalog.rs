//! A catalog that changes under pgveil, by its own clients and by others: no statement runs under what is no longer so.

use std::time::{Duration, Instant};

use crate::site::{Site, eventually, rows};
use crate::support;
use crate::support::raw::{Raw, query};

/// Well under the time between two looks at the catalog.
const AT_ONCE: Duration = Duration::from_secs(3);
const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_table_made_through_pgveil_is_known_to_the_next_statement() {
    let mut site = Site::new().await;
    site.pgveil.serve();
    let app = site.client(&site.app).await;
    let seen = vec!["ann@example.com|1".to_owned()];
    for number in 0..5 {
        let made = format!("CREATE TABLE visits_{number} AS SELECT 1 AS person");
        assert_eq!(rows(&app, &made).await, Ok(Vec::new()));
        let joined = format!(
            "SELECT p.email, v.person FROM people p JOIN visits_{number} v ON v.person = p.id"
        );
        assert_eq!(rows(&app, &joined).await, Ok(seen.clone()), "{number}");
    }
    // Both at once: the second is read when the first is done.
    let mut raw = Raw::login(site.pgveil.port(), &site.app, "password", &site.database);
    let joined = "SELECT p.email FROM people p JOIN more_visits v ON v.person = p.id";
    raw.send(
        &[
            query("CREATE TABLE more_visits AS SELECT 2 AS person"),
            query(joined),
        ]
        .concat(),
    );
    let frames = raw.until(b'Z', 2);
    let row = frames
        .iter()
        .find(|(kind, _)| *kind == b'D')
        .expect("a row");
    assert!(String::from_utf8_lossy(&row.1).contains("bob@example.com"));
}

#[tokio::test(flavor = "multi_thread")]
async fn d05_an_open_transaction_that_changed_more_than_it_names_is_not_relied_on() {
    let mut site = Site::new().await;
    site.pgveil.serve();
    let app = site.client(&site.app).await;
    let one = "SELECT email FROM people WHERE id = 1";
    let seen = Ok(vec!["ann@example.com".to_owned()]);
    app.batch_execute("BEGIN; CREATE TABLE others (a int)")
        .await
        .expect("a table");
    assert_eq!(
        rows(&app, one).await,
        seen,
        "a table that is named hides nothing"
    );
    app.batch_execute("CREATE FUNCTION nothing() RETURNS int LANGUAGE sql AS 'SELECT 1'")
        .await
        .expect("a function");
    assert_eq!(rows(&app, one).await, Err("0A000".to_owned()));
    app.batch_execute("ROLLBACK").await.expect("its end");
    assert_eq!(rows(&app, one).await, seen);
}

#[tokio::test(flavor = "multi_thread")]
async fn d05_drift_beside_pgveil_is_refused_alarmed_and_mended() {
    let mut site = Site::new().await;
    site.pgveil.serve();
    let app = site.client(&site.app).await;
    let dba = support::connect(&support::cluster().superuser_url(&site.database)).await;
    let one = "SELECT id FROM people WHERE phone = '555-0100-2345'";
    let seen = Ok(vec!["1".to_owned()]);
    assert_eq!(rows(&app, one).await, seen);
    let alarms = || {
        let page = site.pgveil.page("/metrics");
        let line = page
            .lines()
            .find(|l| l.starts_with("pgveil_alarms_total{kind=\"not_ready\"}"));
        let number = line.and_then(|l| l.rsplit(' ').next()?.parse::<u64>().ok());
        number.expect("the alarm's count")
    };
    let by_new_name = "SELECT id FROM persons WHERE phone = '555-0100-2345'";
    let drifts = [
        (
            "ALTER TABLE people RENAME phone TO tel",
            one,
            "ALTER TABLE people RENAME tel TO phone",
        ),
        (
            "ALTER TABLE people RENAME TO persons",
            by_new_name,
            "ALTER TABLE persons RENAME TO people",
        ),
        (
            "ALTER TABLE people ALTER phone TYPE varchar(90)",
            one,
            "ALTER TABLE people ALTER phone TYPE text",
        ),
    ];
    for (drift, asked, mended) in drifts {
        let before = alarms();
        dba.batch_execute(drift).await.expect("drift");
        eventually(drift, AT_ONCE, async || {
            rows(&app, asked).await == Err("55000".to_owned())
        })
        .await;
        for guess in ["tel", "phone"] {
            let written = format!("UPDATE people SET {guess} = '5550000000' WHERE id = 1");
            assert!(rows(&app, &written).await.is_err(), "{drift}: {written}");
            let written = written.replace("people", "persons");
            assert!(rows(&app, &written).await.is_err(), "{drift}: {written}");
        }
        assert!(
            site.pgveil.page("/readyz").starts_with("HTTP/1.1 503"),
            "{drift}"
        );
        eventually("an alarm", SOON, async || alarms() > before).await;
        assert_eq!(rows(&app, "SELECT 1").await, Ok(vec!["1".to_owned()]));
        dba.batch_execute(mended).await.expect("mended");
        eventually(mended, AT_ONCE, async || rows(&app, one).await == seen).await;
        assert!(
            site.pgveil.page("/readyz").starts_with("HTTP/1.1 200"),
            "{mended}"
        );
    }
    dba.batch_execute("DROP EVENT TRIGGER pgveil_catalog; ALTER TABLE people DROP COLUMN phone")
        .await
        .expect("drift that nobody announces");
    let asked = Instant::now();
    eventually("a dropped column", SOON, async || {
        rows(&app, one).await == Err("55000".to_owned())
    })
    .await;
    println!("without the trigger it took {:?}", asked.elapsed());
}

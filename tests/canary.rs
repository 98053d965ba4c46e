//! D01: values planted by every path are in no file of the data directory, WAL or server log, nor in the audit, the
//! trace log or the metrics page. With a policy that seals nothing the same search must find them.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use pgveil::cli::demo::cluster::Cluster;
use support::pgveil::Pgveil;
use tokio_postgres::{Client, NoTls};

const SCHEMA: &str = "
CREATE TABLE people (
    id int PRIMARY KEY,
    email text UNIQUE,
    code varchar(40),
    born date,
    profile jsonb,
    phone text,
    note text
)";

const SEALED: &str = r#"
version: 1
roles:
  - { name: app, match: { user: "app*" } }
tables:
  public.people:
    columns:
      email:   { store: { encrypt: { search: [equal] } }, show: { app: plain } }
      code:    { store: { encrypt: { search: [] } }, show: { app: plain } }
      born:    { store: { encrypt: { search: [] } }, show: { app: plain } }
      profile: { store: { encrypt: { search: [] } }, show: { app: plain } }
      phone:   { store: { tokenise: { format: digits } }, show: { app: plain } }
"#;

/// The same logins and statements, and nothing sealed.
const UNSEALED: &str = r#"
version: 1
roles:
  - { name: app, match: { user: "app*" } }
tables:
  public.people:
    columns:
      email: { show: { app: plain } }
"#;

/// A server that writes down all it can.
fn talkative() -> Cluster {
    support::start(&[
        ("log_statement", "all"),
        ("log_min_duration_statement", "0"),
        ("log_min_messages", "debug1"),
        ("log_min_error_statement", "debug1"),
        ("log_error_verbosity", "verbose"),
        ("log_parameter_max_length", "-1"),
        ("log_parameter_max_length_on_error", "-1"),
        ("debug_print_plan", "on"),
        ("debug_print_parse", "on"),
        ("wal_level", "logical"),
        ("full_page_writes", "on"),
    ])
}

/// Plants values by every path. What each statement answers does not matter here; what it planted does.
async fn plant(url: &str) -> Vec<&'static str> {
    let mut client = support::connect(url).await;
    let mut planted = Vec::new();
    for (value, statement) in LITERALS {
        // A COPY that is not refused leaves this client's connection unusable.
        if client.is_closed() {
            client = support::connect(url).await;
        }
        planted.push(*value);
        let _ = client.simple_query(&statement.replace("{}", value)).await;
        let _ = client.simple_query("ROLLBACK").await;
    }
    for (value, statement) in PARAMETERS {
        planted.push(*value);
        let _ = client.execute(*statement, &[value]).await;
    }
    planted.push(cancelled(&client).await);
    planted.push(pipelined(&client).await);
    planted
}

const LITERALS: &[(&str, &str)] = &[
    (
        "canary-literal-insert",
        "INSERT INTO people (id, email) VALUES (1, '{}')",
    ),
    (
        "canary-second-row",
        "INSERT INTO people (id, email) VALUES (2, 'a'), (3, '{}')",
    ),
    (
        "canary-escape",
        "INSERT INTO people (id, email) VALUES (4, E'{}\\n')",
    ),
    (
        "canary-dollar",
        "INSERT INTO people (id, email) VALUES (5, $tag${}$tag$)",
    ),
    (
        "canary-unicode",
        "INSERT INTO people (id, email) VALUES (6, U&'{}')",
    ),
    (
        "canary-json",
        "INSERT INTO people (id, profile) VALUES (7, '{\"x\": \"{}\"}')",
    ),
    (
        "canary-literal-update",
        "UPDATE people SET email = '{}' WHERE id = 1",
    ),
    (
        "canary-literal-where",
        "SELECT id FROM people WHERE email = '{}'",
    ),
    (
        "canary-literal-in",
        "SELECT id FROM people WHERE email IN ('x', '{}')",
    ),
    (
        "canary-literal-cast",
        "SELECT id FROM people WHERE email = '{}'::varchar(99)",
    ),
    (
        "canary-join",
        "SELECT a.id FROM people a JOIN people b USING (email) WHERE b.email = '{}'",
    ),
    (
        "canary-returning",
        "INSERT INTO people (id, email) VALUES (8, '{}') RETURNING *",
    ),
    ("canary-delete", "DELETE FROM people WHERE email = '{}'"),
    (
        "canary-multi",
        "SELECT 1; INSERT INTO people (id, email) VALUES (9, '{}'); SELECT 2",
    ),
    (
        "canary-transaction",
        "BEGIN; INSERT INTO people (id, email) VALUES (10, '{}'); ROLLBACK",
    ),
    // Failures on the server's side: its messages and its log quote what they can.
    (
        "canary-duplicate-key",
        "INSERT INTO people (id, email) VALUES (1, '{}')",
    ),
    (
        "canary-unique",
        "INSERT INTO people (id, email) VALUES (11, '{}'), (12, '{}')",
    ),
    (
        "canary-no-such-column",
        "INSERT INTO people (id, email, nowhere) VALUES (13, '{}', 1)",
    ),
    (
        "canary-division",
        "SELECT 1/0 FROM people WHERE email = '{}' OR id = 1",
    ),
    (
        "canary-aborted",
        "BEGIN; SELECT 1/0; INSERT INTO people (id, email) VALUES (14, '{}')",
    ),
    // Values that do not fit.
    (
        "canary-which-is-much-longer-than-forty-characters",
        "INSERT INTO people (id, code) VALUES (15, '{}')",
    ),
    (
        "canary-no-date",
        "INSERT INTO people (id, born) VALUES (16, '{}')",
    ),
    (
        "canary-no-json",
        "INSERT INTO people (id, profile) VALUES (17, '{}')",
    ),
    (
        "canary-few-digits",
        "INSERT INTO people (id, phone) VALUES (18, '{}')",
    ),
    (
        "8675309142857",
        "INSERT INTO people (id, phone) VALUES (19, '{}')",
    ),
    ("8675309142858", "SELECT id FROM people WHERE phone = '{}'"),
    // What is refused must not be sent, nor written down.
    (
        "canary-like",
        "SELECT id FROM people WHERE email LIKE '{}%'",
    ),
    (
        "canary-function",
        "SELECT id FROM people WHERE upper(email) = '{}'",
    ),
    ("canary-order", "SELECT id FROM people WHERE email > '{}'"),
    (
        "canary-concatenation",
        "UPDATE people SET email = email || '{}'",
    ),
    (
        "canary-case",
        "SELECT CASE WHEN email = '{}' THEN 1 END FROM people",
    ),
    (
        "canary-copy-to",
        "COPY (SELECT id FROM people WHERE email = '{}') TO STDOUT",
    ),
    (
        "canary-copy-from",
        "COPY people FROM STDIN WHERE email = '{}'",
    ),
    (
        "canary-prepare",
        "PREPARE p AS SELECT id FROM people WHERE email = '{}'",
    ),
    (
        "canary-declare",
        "BEGIN; DECLARE c CURSOR FOR SELECT id FROM people WHERE email = '{}'",
    ),
    (
        "canary-explain",
        "EXPLAIN ANALYZE SELECT id FROM people WHERE email = '{}'",
    ),
    (
        "canary-do",
        "DO $x$ BEGIN PERFORM 1 FROM people WHERE email = '{}'; END $x$",
    ),
    ("canary-syntax", "SELEC id FROM people WHERE email = '{}'"),
    (
        "canary-unterminated",
        "SELECT id FROM people WHERE email = '{}",
    ),
    (
        "canary-create-as",
        "CREATE TABLE copy AS SELECT * FROM people WHERE email = '{}'",
    ),
    (
        "canary-conflict",
        "INSERT INTO people (id, email) VALUES (1, '{}') ON CONFLICT DO NOTHING",
    ),
];

const PARAMETERS: &[(&str, &str)] = &[
    (
        "canary-parameter-insert",
        "INSERT INTO people (id, email) VALUES (30, $1)",
    ),
    (
        "canary-parameter-update",
        "UPDATE people SET email = $1 WHERE id = 2",
    ),
    (
        "canary-parameter-where",
        "SELECT id FROM people WHERE email = $1",
    ),
    (
        "canary-parameter-duplicate",
        "INSERT INTO people (id, email) VALUES (1, $1)",
    ),
    (
        "canary-parameter-twice",
        "UPDATE people SET email = $1 WHERE email = $1 OR id = 5",
    ),
    (
        "canary-parameter-which-is-longer-than-forty-characters",
        "UPDATE people SET code = $1 WHERE id = 3",
    ),
    (
        "canary-parameter-refused",
        "SELECT id FROM people WHERE email LIKE $1",
    ),
    (
        "canary-parameter-division",
        "SELECT 1/0 FROM people WHERE email = $1 OR id = 1",
    ),
    (
        "8675309142859",
        "INSERT INTO people (id, phone) VALUES (32, $1)",
    ),
];

/// The rows that the statements above must leave in the table, sealed or not.
const WRITTEN: &[i32] = &[1, 2, 3, 4, 5, 6, 7, 8, 9, 19, 30, 32, 40];

/// A statement that waits, cancelled through pgveil's own key.
async fn cancelled(client: &Client) -> &'static str {
    let token = client.cancel_token();
    let cancel = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let _ = token.cancel_query(NoTls).await;
    };
    let waiting = "SELECT pg_sleep(20) FROM people WHERE email = 'canary-cancelled' OR id = 1";
    let (_, answer) = tokio::join!(cancel, client.simple_query(waiting));
    assert!(answer.is_err(), "it was cancelled, or refused");
    "canary-cancelled"
}

/// A statement right behind one that fails, both on the way at once.
async fn pipelined(client: &Client) -> &'static str {
    let insert = "INSERT INTO people (id, email) VALUES (40, $1)";
    let statement = client.prepare(insert).await.expect("it is prepared");
    let first = client.execute("SELECT 1/0", &[]);
    let second = client.execute(&statement, &[&"canary-pipelined"]);
    let _ = tokio::join!(first, second);
    "canary-pipelined"
}

/// Every place a planted value was found in, as `file:value`; the value in plain, in hex, or in hex with capitals.
fn search(planted: &[&str], places: &[PathBuf]) -> BTreeSet<String> {
    let hex = planted.iter().map(hex::encode);
    let hex: Vec<String> = hex.flat_map(|h| [h.to_uppercase(), h]).collect();
    let plain = planted.iter().map(|value| (*value).to_owned());
    let patterns = plain.chain(hex).collect::<Vec<_>>().join("\n");
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), patterns).unwrap();
    let mut grep = Command::new("grep");
    grep.env("LC_ALL", "C")
        .args(["--recursive", "--text", "--only-matching"]);
    grep.args(["--fixed-strings", "--with-filename", "--file"])
        .arg(file.path())
        .args(places);
    let output = grep.output().expect("grep");
    let code = output.status.code();
    // 1 is "found nothing"; files that the server removes meanwhile make 2.
    assert!(code.is_some_and(|c| c <= 2), "grep: {output:?}");
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    lines.lines().map(str::to_owned).collect()
}

async fn run(policy: &str) -> (Cluster, Pgveil, Vec<&'static str>) {
    let cluster = talkative();
    let database = support::create_database(&cluster).await;
    support::create_login(&cluster, "app", "app", "").await;
    let superuser = support::connect(&cluster.superuser_url(&database)).await;
    superuser.batch_execute(SCHEMA).await.unwrap();
    superuser
        .batch_execute("GRANT ALL ON people TO app")
        .await
        .unwrap();
    let pgveil = Pgveil::start(&cluster, &database, policy).await;
    let planted = plant(&pgveil.url("app", "app", &database)).await;
    let select = "SELECT id FROM people ORDER BY id";
    let rows = superuser.query(select, &[]).await.unwrap();
    let rows: Vec<i32> = rows.iter().map(|row| row.get(0)).collect();
    let lost: Vec<&i32> = WRITTEN.iter().filter(|id| !rows.contains(id)).collect();
    assert!(lost.is_empty(), "not written: {lost:?} of {rows:?}");
    superuser
        .batch_execute("ANALYZE; CHECKPOINT")
        .await
        .unwrap();
    // The audit's own interval is 100 ms.
    tokio::time::sleep(Duration::from_millis(500)).await;
    (cluster, pgveil, planted)
}

#[tokio::test(flavor = "multi_thread")]
async fn d01_planted_values_are_found_nowhere() {
    let (cluster, pgveil, planted) = run(SEALED).await;
    let metrics = pgveil.path("metrics.txt");
    fs::write(&metrics, pgveil.page("/metrics")).unwrap();
    for place in [
        cluster.data_directory(),
        cluster.log_file(),
        pgveil.audit_directory(),
        pgveil.log_file(),
        metrics,
    ] {
        assert!(place.exists(), "{}", place.display());
        let found = search(&planted, &[place]);
        assert!(found.is_empty(), "{found:#?}");
    }
    let log = fs::read_to_string(pgveil.log_file()).unwrap();
    assert!(!log.is_empty(), "the log was on, at its highest level");
}

/// The search would see a leak: over a table that is not sealed it finds what was planted.
#[tokio::test(flavor = "multi_thread")]
async fn d01_the_search_finds_what_is_not_sealed() {
    let (cluster, _pgveil, planted) = run(UNSEALED).await;
    let in_log = search(&planted, &[cluster.log_file()]);
    let in_data = search(&planted, &[cluster.data_directory()]);
    let has = |found: &BTreeSet<String>, value: &str| found.iter().any(|f| f.ends_with(value));
    for value in [
        "canary-literal-insert",
        "canary-parameter-insert",
        "canary-duplicate-key",
    ] {
        assert!(
            has(&in_log, value),
            "{value} is in the server's log: {in_log:#?}"
        );
    }
    assert!(
        has(&in_data, "canary-returning"),
        "a row of the heap or of the WAL: {in_data:#?}"
    );
}

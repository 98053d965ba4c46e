//! D01: values planted by every path are in no file of the data directory, WAL or server log, nor in
//! `pg_stat_statements`, on the wire to the server, in the audit, the trace log or the metrics page. With a policy that
//! seals nothing the same search must find them.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
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
        ("shared_preload_libraries", "pg_stat_statements"),
        ("pg_stat_statements.track", "all"),
        ("pg_stat_statements.track_utility", "on"),
    ])
}

/// Listens before the server and writes down whatever passes, either way. Answers where it listens.
fn tap(upstream: String, record: &Path) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address").to_string();
    let record = fs::File::create(record).expect("a file");
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(&upstream).expect("the server");
            let (client_too, server_too) = (client.try_clone(), server.try_clone());
            pass(client, server, record.try_clone().expect("the file"));
            let (client, server) = (client_too.expect("a leg"), server_too.expect("a leg"));
            pass(server, client, record.try_clone().expect("the file"));
        }
    });
    address
}

/// Passes bytes on until their end, each of them written down first.
fn pass(mut from: TcpStream, mut to: TcpStream, mut record: fs::File) {
    std::thread::spawn(move || {
        let mut bytes = [0; 16 * 1024];
        while let Ok(n @ 1..) = from.read(&mut bytes) {
            record.write_all(&bytes[..n]).expect("it is written down");
            if to.write_all(&bytes[..n]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
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

/// What of a value's base64 does not depend on where in a longer text it stands, for each of three places.
fn base64_cores(value: &str) -> impl Iterator<Item = String> {
    use base64::Engine as _;
    (0..3).map(move |before| {
        let text = [&b"..."[..before], value.as_bytes()].concat();
        let code = base64::engine::general_purpose::STANDARD_NO_PAD.encode(&text);
        let touched_by_what_is_before = (before * 8).div_ceil(6);
        let whole = text.len() / 3 * 4;
        code[touched_by_what_is_before..whole].to_owned()
    })
}

/// Every place a planted value was found in, as `file:value`; the value in plain, in hex of either case, or in base64.
fn search(planted: &[&str], places: &[PathBuf]) -> BTreeSet<String> {
    let hex = planted.iter().map(hex::encode);
    let hex: Vec<String> = hex.flat_map(|h| [h.to_uppercase(), h]).collect();
    let plain = planted.iter().map(|value| (*value).to_owned());
    let base64 = planted.iter().flat_map(|value| base64_cores(value));
    let patterns = plain.chain(hex).chain(base64);
    let patterns = patterns.collect::<Vec<_>>().join("\n");
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

/// What passed between pgveil and the server.
const WIRE: &str = "wire.bytes";

/// What `pg_stat_statements` gathered.
const STATEMENTS: &str = "pg_stat_statements.txt";

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
    superuser
        .batch_execute("CREATE EXTENSION pg_stat_statements")
        .await
        .unwrap();
    let mut pgveil = Pgveil::prepare(&cluster, &database, policy).await;
    pgveil.apply();
    let tapped = tap(cluster.address(), &pgveil.path(WIRE));
    pgveil.reroute(&cluster.address(), &tapped);
    pgveil.serve();
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
    let statements = "SELECT query FROM pg_stat_statements";
    let statements = superuser.query(statements, &[]).await.unwrap();
    let statements = statements.iter().map(|row| row.get::<_, String>(0));
    let statements = statements.collect::<Vec<_>>().join("\n");
    assert!(statements.contains("people"), "statements are gathered");
    fs::write(pgveil.path(STATEMENTS), statements).unwrap();
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
        pgveil.path(WIRE),
        pgveil.path(STATEMENTS),
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
    let (cluster, pgveil, planted) = run(UNSEALED).await;
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
    let on_wire = search(&planted, &[pgveil.path(WIRE)]);
    for value in ["canary-literal-where", "canary-parameter-where"] {
        assert!(has(&on_wire, value), "{value} passed: {on_wire:#?}");
    }
    // Utility statements are gathered with their constants, where the version does not take them out.
    let in_base64 = pgveil.path("base64.txt");
    fs::write(&in_base64, "x5jYW5hcnktam9pbg==").unwrap();
    let misaligned = search(&["canary-join"], std::slice::from_ref(&in_base64));
    assert!(!misaligned.is_empty(), "base64 is searched for");
}

//! After login, a policy that treats nothing a statement touches is not noticed: both sides see the same bytes with and
//! without pgveil.
//!
//! Each conversation is sent to pgveil and to PostgreSQL, over the same tables in the same state, and every frame that
//! comes back is compared.

#![allow(
    clippy::too_many_lines,
    reason = "a conversation reads best in one piece"
)]

mod support;

use std::time::Duration;

use support::pgveil::Pgveil;
use support::raw::{Raw, cancel, message, query, string};

const POLICY: &str = r#"
version: 1
roles:
  - { name: app, match: { user: "app*" } }
tables:
  public.treated:
    columns:
      secret: { store: { encrypt: { search: [equal] } }, show: { app: plain } }
"#;

const SCHEMA: &str = "
CREATE TABLE treated (id int, secret text);
CREATE TABLE plain (id int PRIMARY KEY, t text, n numeric, j jsonb, b bytea);
CREATE TABLE copied (LIKE plain);
GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC;
";

const RESET: &str = "TRUNCATE plain, copied;
INSERT INTO plain SELECT i, repeat('x', i), i / 3.0, jsonb_build_object('i', i), '\\x00ff' FROM generate_series(1, 20) i";

/// Two connections to one database: through pgveil and straight.
struct Pair {
    database: String,
    login: String,
    pgveil: Pgveil,
}

impl Pair {
    async fn new() -> Self {
        let cluster = support::cluster();
        let database = support::create_database(cluster).await;
        let login = support::fresh_name("app");
        support::create_login(cluster, &login, "app", "").await;
        let superuser = support::connect(&cluster.superuser_url(&database)).await;
        superuser.batch_execute(SCHEMA).await.unwrap();
        let pgveil = Pgveil::start(cluster, &database, POLICY).await;
        Self {
            database,
            login,
            pgveil,
        }
    }

    async fn reset(&self) {
        let superuser = support::connect(&support::cluster().superuser_url(&self.database)).await;
        superuser.batch_execute(RESET).await.unwrap();
    }

    fn ports(&self) -> [u16; 2] {
        [self.pgveil.port(), support::cluster().port()]
    }

    fn connect(&self, port: u16) -> Raw {
        Raw::login(port, &self.login, "app", &self.database)
    }

    /// Holds one conversation with each side: parts to send, each with the number of ReadyForQuery to wait for.
    async fn same(&self, what: &str, parts: &[(Vec<u8>, usize)]) {
        let mut answers = Vec::new();
        for port in self.ports() {
            self.reset().await;
            let mut raw = self.connect(port);
            let mut frames = Vec::new();
            for (bytes, ready) in parts {
                raw.send(bytes);
                frames.extend(raw.until(b'Z', *ready));
            }
            answers.push(frames);
        }
        compare(what, &answers[0], &answers[1]);
    }
}

fn compare(what: &str, through: &[(u8, Vec<u8>)], direct: &[(u8, Vec<u8>)]) {
    for (index, (ours, theirs)) in through.iter().zip(direct).enumerate() {
        let text = |frame: &(u8, Vec<u8>)| {
            format!("{} {}", frame.0 as char, String::from_utf8_lossy(&frame.1))
        };
        assert_eq!(text(ours), text(theirs), "{what}: frame {index}");
        assert_eq!(ours, theirs, "{what}: frame {index}");
    }
    assert_eq!(through.len(), direct.len(), "{what}: the number of frames");
}

fn parse(name: &str, text: &str, types: &[u32]) -> Vec<u8> {
    let mut body = [string(name), string(text)].concat();
    body.extend(u16::try_from(types.len()).unwrap().to_be_bytes());
    types.iter().for_each(|oid| body.extend(oid.to_be_bytes()));
    message(b'P', &body)
}

/// One format for all parameters and one for all results; parameters as text.
fn bind(portal: &str, name: &str, parameters: &[Option<&str>], result_format: u16) -> Vec<u8> {
    let mut body = [string(portal), string(name)].concat();
    body.extend(0_u16.to_be_bytes());
    body.extend(u16::try_from(parameters.len()).unwrap().to_be_bytes());
    for parameter in parameters {
        let length = parameter.map_or(-1, |p| i32::try_from(p.len()).unwrap());
        body.extend(length.to_be_bytes());
        body.extend(parameter.unwrap_or("").as_bytes());
    }
    body.extend(1_u16.to_be_bytes());
    body.extend(result_format.to_be_bytes());
    message(b'B', &body)
}

fn describe(kind: u8, name: &str) -> Vec<u8> {
    message(b'D', &[&[kind][..], &string(name)].concat())
}

fn close(kind: u8, name: &str) -> Vec<u8> {
    message(b'C', &[&[kind][..], &string(name)].concat())
}

fn execute(portal: &str, rows: u32) -> Vec<u8> {
    message(b'E', &[&string(portal)[..], &rows.to_be_bytes()].concat())
}

fn sync() -> Vec<u8> {
    message(b'S', &[])
}

fn flush() -> Vec<u8> {
    message(b'H', &[])
}

#[tokio::test(flavor = "multi_thread")]
async fn the_session_begins_with_the_same_parameters() {
    let pair = Pair::new().await;
    let [through, direct] = pair.ports().map(|port| pair.connect(port).parameters);
    assert_eq!(through, direct);
}

#[tokio::test(flavor = "multi_thread")]
async fn simple_queries_are_the_same_bytes() {
    let pair = Pair::new().await;
    for text in [
        "",
        ";",
        "SELECT * FROM plain ORDER BY id",
        "SELECT 1 AS a, NULL, 'x'::varchar(3), 1.50::numeric(5,2), now() - now()",
        "SELECT 1; SELECT 2; UPDATE plain SET t = 'y' WHERE id < 5; SELECT count(*) FROM plain",
        "SELECT 1; SELECT 1/0; SELECT 2",
        "SELECT * FROM nowhere",
        "SELECT nothing FROM plain",
        "SELEC 1",
        "INSERT INTO plain (id) VALUES (1)",
        "INSERT INTO plain (id, t) VALUES (99, 'ü') RETURNING *",
        "DROP TABLE IF EXISTS nowhere_at_all",
        "SET application_name = 'other'; SHOW application_name",
        "SET DateStyle = 'SQL, DMY'; SELECT date '2024-02-01'; RESET DateStyle",
        "SELECT repeat('long', 300000)",
        "SELECT i, md5(i::text) FROM generate_series(1, 20000) i",
        "EXPLAIN (COSTS off) SELECT * FROM plain WHERE id = 3",
        "WITH x AS (SELECT id FROM plain LIMIT 3) SELECT * FROM x JOIN plain USING (id) ORDER BY 1",
        "CREATE TEMP TABLE mine (a int); INSERT INTO mine VALUES (1); SELECT a + 1 FROM mine",
        "BEGIN; DECLARE c CURSOR FOR SELECT id FROM plain ORDER BY id; FETCH 3 FROM c; MOVE 2 IN c; FETCH c; COMMIT",
        "PREPARE p(int) AS SELECT t FROM plain WHERE id = $1; EXECUTE p(3); DEALLOCATE p",
    ] {
        pair.same(text, &[(query(text), 1)]).await;
    }
    let transaction = ["BEGIN", "SELECT 1/0", "SELECT 1", "ROLLBACK", "COMMIT"];
    let parts: Vec<_> = transaction.iter().map(|text| (query(text), 1)).collect();
    pair.same("a failed transaction", &parts).await;
    let at_once = transaction.map(query).concat();
    pair.same("the same, all at once", &[(at_once, 5)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn extended_queries_are_the_same_bytes() {
    let pair = Pair::new().await;
    let select = "SELECT id, t, n, j, b FROM plain WHERE id > $1 ORDER BY id";
    let whole = [
        parse("", select, &[]),
        describe(b'S', ""),
        bind("", "", &[Some("15")], 0),
        describe(b'P', ""),
        execute("", 0),
        sync(),
    ];
    pair.same("a whole statement", &[(whole.concat(), 1)]).await;
    let binary = [
        parse("s", select, &[23]),
        bind("p", "s", &[Some("3")], 1),
        execute("p", 0),
        sync(),
    ];
    pair.same("binary results", &[(binary.concat(), 1)]).await;
    let by_rows = [
        query("BEGIN"),
        parse("s", select, &[]),
        bind("p", "s", &[Some("0")], 0),
        execute("p", 3),
        execute("p", 4),
        flush(),
        execute("p", 0),
        close(b'P', "p"),
        execute("p", 1),
        sync(),
        query("ROLLBACK"),
    ];
    pair.same("a portal with row limits", &[(by_rows.concat(), 3)])
        .await;
    let failing = [
        parse("a", "SELECT 1", &[]),
        bind("", "a", &[], 0),
        execute("", 0),
        parse("b", "SELECT 1/$1::int", &[]),
        bind("", "b", &[Some("0")], 0),
        execute("", 0),
        parse("c", "SELECT 'skipped'", &[]),
        bind("", "c", &[], 0),
        execute("", 0),
        sync(),
        bind("", "c", &[], 0),
        sync(),
        bind("", "a", &[], 0),
        execute("", 0),
        sync(),
    ];
    pair.same("an error inside a pipeline", &[(failing.concat(), 3)])
        .await;
    let wrong = [
        parse("", "SELECT nothing FROM plain", &[]),
        describe(b'S', "never"),
        sync(),
        describe(b'S', "never"),
        execute("never", 0),
        sync(),
        parse("x", "", &[]),
        bind("", "x", &[], 0),
        execute("", 0),
        sync(),
        parse("x", "SELECT 1", &[]),
        sync(),
        close(b'S', "x"),
        close(b'S', "never"),
        bind("", "x", &[], 0),
        sync(),
    ];
    pair.same("wrong names", &[(wrong.concat(), 5)]).await;
    let nulls = [
        parse(
            "i",
            "INSERT INTO plain VALUES ($1, $2, $3, $4, $5) RETURNING id, t",
            &[],
        ),
        bind(
            "",
            "i",
            &[Some("50"), None, Some("1.5"), Some("{}"), Some("\\x01")],
            0,
        ),
        execute("", 0),
        bind("", "i", &[Some("50"), None, None, None, None], 0),
        execute("", 0),
        bind("", "i", &[Some("51"), None, None, None, None], 0),
        execute("", 0),
        sync(),
        query("SELECT count(*) FROM plain"),
    ];
    pair.same("nulls and a duplicate", &[(nulls.concat(), 2)])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn copy_is_the_same_bytes() {
    let pair = Pair::new().await;
    let out = "COPY plain TO STDOUT";
    pair.same(out, &[(query(out), 1)]).await;
    let binary = "COPY (SELECT id, t, b FROM plain ORDER BY id) TO STDOUT (FORMAT binary)";
    pair.same(binary, &[(query(binary), 1)]).await;
    let rows = (100..5000).map(|n| message(b'd', format!("{n}\tx\t1\t{{}}\t\\\\x00\n").as_bytes()));
    let rows: Vec<u8> = rows.flatten().collect();
    let copy = query("COPY copied FROM STDIN");
    let counted = query("SELECT count(*), min(id) FROM copied");
    let done = [
        copy.clone(),
        rows.clone(),
        message(b'c', &[]),
        counted.clone(),
    ]
    .concat();
    pair.same("COPY in", &[(done, 2)]).await;
    let failed = [
        copy.clone(),
        rows,
        message(b'f', &string("no more")),
        counted.clone(),
    ]
    .concat();
    pair.same("COPY that the client fails", &[(failed, 2)])
        .await;
    let wrong = [
        copy.clone(),
        message(b'd', b"not a number\n"),
        message(b'c', &[]),
        counted,
    ]
    .concat();
    pair.same("COPY of a wrong row", &[(wrong, 2)]).await;
    let extended = [
        parse("", "COPY copied FROM STDIN", &[]),
        bind("", "", &[], 0),
        execute("", 0),
        message(b'd', b"1\t\\N\t\\N\t\\N\t\\N\n"),
        message(b'c', &[]),
        sync(),
        query("SELECT * FROM copied"),
    ];
    pair.same("COPY in the extended protocol", &[(extended.concat(), 2)])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn notifications_are_the_same_bytes() {
    let pair = Pair::new().await;
    let mut listeners = pair.ports().map(|port| pair.connect(port));
    for listener in &mut listeners {
        listener.send(&query("LISTEN news"));
        listener.until(b'Z', 1);
    }
    let superuser = support::connect(&support::cluster().superuser_url(&pair.database)).await;
    superuser
        .batch_execute("NOTIFY news, 'payload ü'")
        .await
        .unwrap();
    let [through, direct] = listeners.each_mut().map(Raw::frame);
    assert_eq!(through.0, b'A');
    assert_eq!(through, direct);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_reaches_the_statement_and_looks_the_same() {
    let pair = Pair::new().await;
    let mut answers = Vec::new();
    for port in pair.ports() {
        let mut raw = pair.connect(port);
        raw.send(&query("SELECT pg_sleep(25)"));
        tokio::time::sleep(Duration::from_millis(500)).await;
        // N07: another's key, one bit away, cancels nothing.
        let mut guessed = raw.cancel_key.clone();
        *guessed.last_mut().unwrap() ^= 1;
        cancel(port, &guessed);
        cancel(port, &raw.cancel_key);
        let mut frames = raw.until(b'Z', 1);
        raw.send(&query("SELECT 'still here'"));
        frames.extend(raw.until(b'Z', 1));
        answers.push(frames);
    }
    compare("a cancelled statement", &answers[0], &answers[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_process_number_is_the_servers_own_and_the_secret_is_not() {
    let pair = Pair::new().await;
    let mut raw = pair.connect(pair.pgveil.port());
    raw.send(&query("SELECT pg_backend_pid()"));
    let frames = raw.until(b'Z', 1);
    let (_, row) = frames.iter().find(|f| f.0 == b'D').expect("a row");
    let process: u32 = String::from_utf8_lossy(&row[6..]).parse().unwrap();
    assert_eq!(raw.cancel_key[..4], process.to_be_bytes());
    raw.send(&query("SELECT pg_sleep(1)"));
    // At the server itself, the client's key is nobody's.
    cancel(pair.ports()[1], &raw.cancel_key);
    let slept = raw.until(b'Z', 1);
    assert!(slept.iter().all(|f| f.0 != b'E'), "it was not cancelled");
}

/// Clients wait for the end of the connection that the cancel went by, and then send their next statement.
#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_has_arrived_when_its_connection_ends() {
    let pair = Pair::new().await;
    let mut raw = pair.connect(pair.pgveil.port());
    for round in 0..30 {
        cancel(pair.pgveil.port(), &raw.cancel_key);
        raw.send(&query("SELECT pg_sleep(0.05)"));
        let slept = raw.until(b'Z', 1);
        let late = slept.iter().any(|f| f.0 == b'E');
        assert!(
            !late,
            "the cancel met the statement after it, round {round}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminate_closes_the_connection() {
    let pair = Pair::new().await;
    for port in pair.ports() {
        let mut raw = pair.connect(port);
        raw.send(&message(b'X', &[]));
        assert!(raw.is_closed());
    }
}

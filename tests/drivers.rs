//! Client libraries and tools with nothing changed but host and port: each does the same through pgveil on sealed and
//! tokenised columns, and directly on plain ones, and must get the same answers.
//!
//! psycopg and node-postgres are tried where `$PGVEIL_DRIVERS` names a folder with `venv/` and `node_modules/`, as
//! `.ci/run` makes it; psql and pgbench where the machine has them.

mod support;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bytes::BytesMut;
use support::pgveil::Pgveil;
use tokio_postgres::types::{Format, FromSql, IsNull, ToSql, Type};
use tokio_postgres::{Client, SimpleQueryMessage, Statement};

const SCHEMA: &str = include_str!("drivers/schema.sql");
const POLICY: &str = include_str!("drivers/policy.yaml");

/// A database with both tables, before it a pgveil; the two connection strings.
struct Sides {
    through: String,
    direct: String,
    _pgveil: Pgveil,
}

async fn sides() -> Sides {
    let cluster = support::cluster();
    let database = support::create_database(cluster).await;
    let login = support::fresh_name("driver");
    support::create_login(cluster, &login, "driver", "").await;
    let superuser = support::connect(&cluster.superuser_url(&database)).await;
    superuser.batch_execute(SCHEMA).await.unwrap();
    let grant = format!("GRANT ALL ON ALL TABLES IN SCHEMA public TO {login}");
    superuser.batch_execute(&grant).await.unwrap();
    let pgveil = Pgveil::start(cluster, &database, POLICY).await;
    Sides {
        through: pgveil.url(&login, "driver", &database),
        direct: cluster.url(&login, "driver", &database),
        _pgveil: pgveil,
    }
}

/// A value as it is on the wire, whatever its type.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Raw(Vec<u8>);

impl<'a> FromSql<'a> for Raw {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(raw.to_vec()))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// A parameter given as text, whatever its type.
#[derive(Debug, Clone, Copy)]
struct Text(&'static str);

impl ToSql for Text {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    fn to_sql_checked(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        self.to_sql(ty, out)
    }
}

const ROW: [Text; 16] = [
    Text("1"),
    Text("Zoë O'Connor \\ \"x\""),
    Text("王小明"),
    Text("-2147483648"),
    Text("9223372036854775807"),
    Text("12345.60"),
    Text("t"),
    Text("1999-12-31"),
    Text("2024-02-29 23:59:59.123456"),
    Text("2024-07-01 12:00:00+02"),
    Text("00112233-4455-6677-8899-aabbccddeeff"),
    Text("\\x00ff275c"),
    Text("{\"b\": [1, 2.50, null], \"a\": \"x\\ny\"}"),
    Text("+44 7700 900123"),
    Text("anna@example.com"),
    Text("plain"),
];

/// The attributes equality is tried on, with their place in [`ROW`].
const COMPARED: [(&str, usize); 13] = [
    ("t", 1),
    ("v", 2),
    ("i4", 3),
    ("i8", 4),
    ("n", 5),
    ("b", 6),
    ("d", 7),
    ("ts", 8),
    ("tz", 9),
    ("u", 10),
    ("phone", 13),
    ("mail", 14),
    ("note", 15),
];

/// What one side answered: the statement's parameters and columns, and the rows as they were on the wire.
type Answer = (Vec<u32>, Vec<(String, u32, i32)>, Vec<Vec<Option<Vec<u8>>>>);

async fn ask(client: &Client, statement: &Statement, parameters: &[Text]) -> Answer {
    let parameters = parameters.iter().map(|p| p as &(dyn ToSql + Sync));
    let parameters: Vec<_> = parameters.collect();
    let rows = client.query(statement, &parameters).await.expect("rows");
    let columns = statement.columns().iter();
    let value = |row: &tokio_postgres::Row, i| row.get::<_, Option<Raw>>(i).map(|raw| raw.0);
    (
        statement.params().iter().map(Type::oid).collect(),
        columns
            .map(|c| (c.name().to_owned(), c.type_().oid(), c.type_modifier()))
            .collect(),
        rows.iter()
            .map(|row| (0..row.len()).map(|i| value(row, i)).collect())
            .collect(),
    )
}

/// Prepares and runs a statement on both sides, three times each, and holds the answers against each other.
async fn same(through: &Client, direct: &Client, statement: &str, parameters: &[Text]) -> Answer {
    let sealed = statement.replace("TABLE", "every_type");
    let plain = statement.replace("TABLE", "twin");
    let sealed = through
        .prepare(&sealed)
        .await
        .unwrap_or_else(|e| panic!("{statement}: {e:?}"));
    let plain = direct.prepare(&plain).await.expect("PostgreSQL takes it");
    let mut answers = Vec::new();
    let times = if statement.starts_with("SELECT") {
        3
    } else {
        1
    };
    for _ in 0..times {
        let answer = ask(through, &sealed, parameters).await;
        assert_eq!(answer, ask(direct, &plain, parameters).await, "{statement}");
        answers.push(answer);
    }
    answers.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn tokio_postgres_reads_each_type_as_from_plain_tables() {
    let sides = sides().await;
    let through = support::connect(&sides.through).await;
    let direct = support::connect(&sides.direct).await;
    let list = "id, t, v, i4, i8, n, b, d, ts, tz, u, bin, j, phone, mail, note";
    let places = (1..=16)
        .map(|n| format!("${n}"))
        .collect::<Vec<_>>()
        .join(", ");
    let insert = format!("INSERT INTO TABLE ({list}) VALUES ({places}) RETURNING *");
    same(&through, &direct, &insert, &ROW).await;
    same(
        &through,
        &direct,
        "INSERT INTO TABLE (id) VALUES ($1) RETURNING *",
        &[Text("2")],
    )
    .await;
    same(&through, &direct, "SELECT * FROM TABLE ORDER BY id", &[]).await;
    for (attribute, place) in COMPARED {
        let statement = format!("SELECT id, {attribute} FROM TABLE WHERE {attribute} = $1");
        let (_, _, rows) = same(&through, &direct, &statement, &[ROW[place]]).await;
        assert_eq!(rows.len(), 1, "{statement}");
        let statement = format!("SELECT id FROM TABLE WHERE {attribute} IS NULL");
        same(&through, &direct, &statement, &[]).await;
    }
    let update = "UPDATE TABLE SET t = $1, n = $2, d = $3 WHERE phone = $4 RETURNING *";
    let changed = [Text("neu"), Text("9.999"), Text("2000-02-29"), ROW[13]];
    let (_, _, rows) = same(&through, &direct, update, &changed).await;
    assert_eq!(rows.len(), 1);
    same(
        &through,
        &direct,
        "SELECT * FROM TABLE WHERE t = $1",
        &[Text("neu")],
    )
    .await;
    same(
        &through,
        &direct,
        "DELETE FROM TABLE WHERE mail = $1 RETURNING id",
        &[ROW[14]],
    )
    .await;
    same(&through, &direct, "SELECT * FROM TABLE ORDER BY id", &[]).await;
}

async fn lines(client: &Client, statement: &str) -> Vec<Vec<Option<String>>> {
    let messages = client.simple_query(statement).await;
    let messages = messages.unwrap_or_else(|e| panic!("{statement}: {e:?}"));
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let value = |row: &tokio_postgres::SimpleQueryRow, i| row.get(i).map(str::to_owned);
    rows.map(|row| (0..row.len()).map(|i| value(row, i)).collect())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_simple_protocol_reads_each_type_as_from_plain_tables() {
    let sides = sides().await;
    let through = support::connect(&sides.through).await;
    let direct = support::connect(&sides.direct).await;
    let literals: Vec<String> = ROW
        .iter()
        .map(|v| format!("'{}'", v.0.replace('\'', "''")))
        .collect();
    let insert = format!(
        "INSERT INTO TABLE (id, t, v, i4, i8, n, b, d, ts, tz, u, bin, j, phone, mail, note) VALUES ({}), (2{})",
        literals.join(", "),
        ", NULL".repeat(15)
    );
    let mut statements = vec![insert, "SELECT * FROM TABLE ORDER BY id".to_owned()];
    for (attribute, place) in COMPARED {
        let literal = &literals[place];
        statements.push(format!(
            "SELECT id FROM TABLE WHERE {attribute} = {literal}"
        ));
        statements.push(format!(
            "SELECT id FROM TABLE x WHERE x.{attribute} IN ({literal})"
        ));
        statements.push(format!(
            "SELECT count(*) FROM TABLE WHERE {attribute} <> {literal}"
        ));
    }
    statements.push("SELECT id FROM TABLE WHERE i4 = -2147483648".to_owned());
    statements
        .push("UPDATE TABLE SET i8 = -5, b = false WHERE id = 1 RETURNING id, i8, b".to_owned());
    statements
        .push("SELECT i8 FROM TABLE WHERE id = 1; SELECT b FROM TABLE WHERE id = 1".to_owned());
    for statement in statements {
        let sealed = lines(&through, &statement.replace("TABLE", "every_type")).await;
        let plain = lines(&direct, &statement.replace("TABLE", "twin")).await;
        assert_eq!(sealed, plain, "{statement}");
    }
}

fn succeeded(what: &str, output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let faults = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {said}{faults}");
    said
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/drivers")
        .join(name)
}

fn libraries() -> Option<PathBuf> {
    let folder = std::env::var_os("PGVEIL_DRIVERS").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("left out: PGVEIL_DRIVERS names no folder with the client libraries");
    }
    folder
}

/// Whether the machine has a program; a message says when not.
fn has(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok();
    if !there {
        eprintln!("left out: this machine has no {program}");
    }
    there
}

#[tokio::test(flavor = "multi_thread")]
async fn psycopg_notices_nothing() {
    let Some(folder) = libraries() else { return };
    let sides = sides().await;
    let mut python = Command::new(folder.join("venv/bin/python"));
    python
        .arg(script("matrix.py"))
        .args([&sides.through, &sides.direct]);
    eprintln!("{}", succeeded("psycopg", &python.output().unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn node_postgres_notices_nothing() {
    let Some(folder) = libraries() else { return };
    let sides = sides().await;
    let mut node = Command::new("node");
    node.current_dir(folder).arg(script("matrix.mjs"));
    node.args([&sides.through, &sides.direct]);
    eprintln!("{}", succeeded("node-postgres", &node.output().unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn psql_prints_the_same() {
    if !has("psql") {
        return;
    }
    let sides = sides().await;
    let run = |url: &str, table: &str| {
        let script = format!(
            "\\set ON_ERROR_STOP on
             INSERT INTO {table} (id, t, i4, n, d, phone) VALUES (1, 'Zoë', 5, 1.50, '2024-02-29', '0123456789');
             SELECT * FROM {table};
             \\x
             SELECT t, n FROM {table} WHERE phone = '0123456789';
             SELECT id FROM {table} WHERE t = 'Zoë' \\gset
             UPDATE {table} SET t = 'neu' WHERE id = :id;
             SELECT t AS \"T\", i4 FROM {table} WHERE d = '2024-02-29';
             DELETE FROM {table} WHERE i4 = 5;"
        );
        let mut psql = Command::new("psql");
        psql.args(["--no-psqlrc", url, "-c", "SELECT 1", "-f", "-"]);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), script).unwrap();
        psql.stdin(std::fs::File::open(file.path()).unwrap());
        succeeded("psql", &psql.output().unwrap())
    };
    assert_eq!(
        run(&sides.through, "every_type"),
        run(&sides.direct, "twin")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pgbench_runs_in_every_mode() {
    if !has("pgbench") {
        return;
    }
    let sides = sides().await;
    let client = support::connect(&sides.through).await;
    for key in 1..=50 {
        let insert = "INSERT INTO every_type (id, i4, t, n, phone) VALUES ($1, $2, $3, $4, $5)";
        let row: [&(dyn ToSql + Sync); 5] = [&key, &key, &"name", &Text("1.50"), &"0123456789"];
        client.execute(insert, &row).await.unwrap();
    }
    for mode in ["simple", "extended", "prepared"] {
        let mut pgbench = Command::new("pgbench");
        pgbench.args(["-n", "-M", mode, "-c", "4", "-j", "2", "-t", "25", "-f"]);
        pgbench.arg(script("bench.sql")).arg(&sides.through);
        let said = succeeded("pgbench", &pgbench.output().unwrap());
        assert!(
            said.contains("actually processed: 100/100"),
            "{mode}: {said}"
        );
    }
}

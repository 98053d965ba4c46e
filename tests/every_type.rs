//! Every type sealed, end to end: literal, text parameter and binary parameter; NULL, ordinary, extreme and invalid
//! values. Through pgveil on a sealed column the same value comes back, or the same SQLSTATE, as on a plain one.

mod support;

use std::fmt::Write as _;
use std::sync::OnceLock;

use support::pgveil::Pgveil;
use support::raw::{Raw, message, query, string};

/// A column: its type, and values of it: two ordinary ones, extreme ones, and such as are none.
struct Kind {
    sql: &'static str,
    ordinary: [&'static str; 2],
    extreme: &'static [&'static str],
    invalid: &'static [&'static str],
}

const fn kind(
    sql: &'static str,
    ordinary: [&'static str; 2],
    extreme: &'static [&'static str],
    invalid: &'static [&'static str],
) -> Kind {
    Kind {
        sql,
        ordinary,
        extreme,
        invalid,
    }
}

#[rustfmt::skip]
const KINDS: &[Kind] = &[
    kind("text", ["anna", "王小明"], &["", "Zoë ''\\ \n"], &[]),
    kind("varchar(5)", ["anna", "王小"], &["", "12345   "], &["123456"]),
    kind("char(5)", ["anna", "王"], &["", "12345   "], &["123456"]),
    kind("bpchar", ["anna", "b "], &["", "   "], &[]),
    kind("citext", ["Anna", "ÉCOLE"], &["", " "], &[]),
    kind("mood", ["happy", "so so"], &["it's ok"], &["Happy", ""]),
    kind("int2", ["1", "-7"], &["32767", "-32768"], &["32768", "x", "", "0x1F", "0b2"]),
    kind("int4", ["1", "-7"], &["2147483647", "-2147483648"], &["2147483648", "1.5", "1_000", "-0x80000000", "2147483649x"]),
    kind("int8", ["1", "-7"], &["9223372036854775807", "-9223372036854775808"], &["9223372036854775808"]),
    kind("float4", ["1.5", "-0.1"], &["3.4028235e38", "1e-45", "-0", "NaN", "-Infinity"], &["1e39", "1e-50", "x"]),
    kind("float8", ["1.5", "-0.1"], &["1.7976931348623157e308", "5e-324", "-0", "NaN", "Infinity"], &["1e309", "1e-400", ""]),
    kind("numeric(10,2)", ["1.5", "-7.005"], &["99999999.99", "NaN"], &["100000000", "Infinity", "x"]),
    kind("numeric", ["1.50", "-7"], &["1e1000", "0.00000000000000000000000000000001", "NaN"], &["1e200000", "x", "Infinity", "0x1F", "1_000", "1e 5"]),
    kind("bool", ["t", "no"], &["1"], &["2", ""]),
    kind("date", ["2024-02-29", "1999-12-31"], &["4713-01-01 BC", "5874897-12-31", "infinity"], &["2023-02-29", "x", "+infinity", "epoch 13"]),
    kind("time", ["10:11:12", "10:11:12.345678"], &["00:00", "24:00"], &["24:00:01", "x"]),
    kind("time(2)", ["10:11:12", "10:11:12.345678"], &["23:59:59.999"], &["25:00"]),
    kind("timetz", ["10:11:12+02", "10:11:12.5-08:30"], &["24:00+15:59:59"], &["10:00+16", "x"]),
    kind("timestamp", ["2024-02-29 10:11:12", "1999-12-31"], &["294276-12-31 23:59:59.999999", "-infinity"], &["294277-01-01", "x"]),
    kind("timestamptz", ["2024-02-29 10:11:12+01", "1999-12-31"], &["4713-01-01 00:00:00 BC", "infinity"], &["2024-13-01", "x"]),
    kind("interval", ["1 day 02:03:04.5", "-1 year 2 mons"], &["178956970 years 7 mons 2147483647 days", "0"], &["178956971 years", "x", "1.05 years", "1.", "day 1", "infinity", "-infinity", "1 week infinity"]),
    kind("interval hour to second(1)", ["02:03:04.56", "1 day"], &["0"], &["9999999999999 days", "infinity"]),
    kind("inet", ["10.0.0.1", "2001:db8::1/64"], &["0.0.0.0/0", "::"], &["10.0.0.256", "x"]),
    kind("cidr", ["10.0.0.0/8", "2001:db8::/32"], &["0.0.0.0/0", "10"], &["10.0.0.1/8", "x"]),
    kind("macaddr", ["08:00:2b:01:02:03", "08002b010203"], &["00:00:00:00:00:00"], &["08:00", "x"]),
    kind("uuid", ["12345678-1234-5678-1234-567812345678", "{ffffffffffffffffffffffffffffffff}"], &["00000000-0000-0000-0000-000000000000"], &["1234", ""]),
    kind("bytea", ["\\x00ff", "abc"], &["", "\\x"], &["\\x0", "\\9"]),
    kind("json", ["{\"b\": 1,  \"a\":[2.50]}", "null"], &["\"\\u0000\"", " [] "], &["{", ""]),
    kind("jsonb", ["{\"b\": 1,  \"a\":[2.50]}", "null"], &["[]", "1e10"], &["{", "\"\\u0000\""]),
    kind("email", ["a@b.example", "x"], &[""], &["a very long address@b.example"]),
    kind("small", ["1", "7"], &["32767"], &["32768", "x"]),
    kind("int4[]", ["{1,2,NULL}", "{}"], &["[0:1]={7,8}", "{2147483647}"], &["{x}", "{1", "{2147483648}"]),
    kind("text[]", ["{a,\"b c\"}", "{NULL,\"NULL\"}"], &["{\"\"}", "{\"\\\"\\\\,{}\"}"], &["a", "{\"}"]),
    kind("varchar(3)[]", ["{a,abc}", "{}"], &["{\"abc  \"}"], &["{abcd}"]),
    kind("float8[]", ["{1.5,-0.1}", "{NaN}"], &["{5e-324,-0}"], &["{1e400}"]),
    kind("timestamptz[]", ["{2024-02-29 10:11:12+01}", "{NULL}"], &["{infinity}"], &["{x}"]),
    kind("mood[]", ["{happy,\"so so\"}", "{}"], &["{NULL}"], &["{sad}"]),
    kind("email[]", ["{a@b.example}", "{x,y}"], &["{NULL}"], &["{a very long address@b.example}"]),
    kind("numeric(4,1)[]", ["{1.25,-7}", "{}"], &["{999.9}"], &["{1000}"]),
    kind("bytea[]", ["{\"\\\\\\\\x00ff\",abc}", "{}"], &["{\"\"}"], &["{\"\\\\\\\\x0\"}"]),
];

/// Columns of types that an older server does not know, or of values that it does not; the version that does.
#[rustfmt::skip]
const NEWER: &[(i32, Kind)] = &[
    (140_000, kind("numeric", ["Infinity", "1"], &["-inf"], &["infinit"])),
    (150_000, kind("numeric(3,-2)", ["1234", "-50"], &["99900", "0"], &["100000"])),
    (160_000, kind("int8", ["0x1F", "1_000"], &["-0x8000000000000000", "0b101"], &["1__0", "0x8000000000000000"])),
    (160_000, kind("numeric(10,2)", ["0o17", "1_000.5"], &["0x5F5E0FF"], &["0x5F5E100", "1_"])),
    (170_000, kind("interval", ["infinity", "1 day"], &["-infinity"], &["infinity ago"])),
    (170_000, kind("interval year to month", ["infinity", "1-2"], &["-infinity"], &["+ infinity"])),
    (170_000, kind("interval[]", ["{infinity,NULL}", "{}"], &["[0:1]={-infinity,1 day}"], &["{day 1"])),
];

/// The columns that the server can have.
fn kinds() -> &'static [&'static Kind] {
    KNOWN.get().expect("the server was asked for its version")
}

static KNOWN: OnceLock<Vec<&'static Kind>> = OnceLock::new();

/// What both sides answered: result columns without their origin, rows, tags, SQLSTATEs.
type Answer = Vec<(u8, Vec<u8>)>;

fn answer(raw: &mut Raw, sent: &[u8], what: &str) -> Answer {
    raw.send(sent);
    let frames = raw.until_ready_or_fatal(what);
    let kept = frames.into_iter().filter_map(|(tag, body)| match tag {
        b'D' => Some((tag, body)),
        b'T' => Some((tag, types_of(&body))),
        b'E' => {
            let code = body
                .split(|byte| *byte == 0)
                .find(|field| field.first() == Some(&b'C'));
            Some((tag, code.unwrap_or_default().to_vec()))
        }
        _ => None,
    });
    kept.collect()
}

/// Type OID, length, modifier and format of each column.
fn types_of(body: &[u8]) -> Vec<u8> {
    let mut types = Vec::new();
    let mut rest = &body[2..];
    while let Some(end) = rest.iter().position(|byte| *byte == 0) {
        types.extend_from_slice(&rest[end + 7..end + 19]);
        rest = &rest[end + 19..];
    }
    types
}

/// Parse, Bind with one parameter, Describe, Execute, Sync; the result in the same format.
fn extended(text: &str, format: u8, value: Option<&[u8]>) -> Vec<u8> {
    let parse = [&string("")[..], &string(text), &[0, 0]].concat();
    let mut bind = vec![0, 0, 0, 1, 0, format, 0, 1];
    match value {
        None => bind.extend_from_slice(&(-1_i32).to_be_bytes()),
        Some(value) => {
            bind.extend_from_slice(&i32::try_from(value.len()).unwrap().to_be_bytes());
            bind.extend_from_slice(value);
        }
    }
    bind.extend_from_slice(&[0, 1, 0, format]);
    [
        message(b'P', &parse),
        message(b'B', &bind),
        message(b'D', &[b'P', 0]),
        message(b'E', &[0, 0, 0, 0, 0]),
        message(b'S', &[]),
    ]
    .concat()
}

fn literal(value: Option<&str>) -> String {
    value.map_or("NULL".to_owned(), |value| {
        format!("'{}'", value.replace('\'', "''"))
    })
}

/// The only value of the only row, where there is one.
fn value_of(answer: &Answer) -> Option<Vec<u8>> {
    let (_, row) = answer.iter().find(|(tag, _)| *tag == b'D')?;
    let size = i32::from_be_bytes(row.get(2..6)?.try_into().ok()?);
    (size >= 0).then(|| row[6..].to_vec())
}

struct Sides {
    through: Raw,
    direct: Raw,
    cells: usize,
    refused: Vec<String>,
    wrong: String,
}

impl Sides {
    /// The same on both tables: one cell of the matrix.
    fn cell(&mut self, what: &str, make: impl Fn(&str) -> Vec<Vec<u8>>) {
        self.cells += 1;
        let run = |raw: &mut Raw, table: &str| {
            make(table)
                .iter()
                .map(|sent| answer(raw, sent, what))
                .collect::<Vec<_>>()
        };
        let (ours, theirs) = (
            run(&mut self.through, "sealed"),
            run(&mut self.direct, "twin"),
        );
        let fault = |answers: &[Answer]| {
            answers
                .iter()
                .flatten()
                .find(|(tag, _)| *tag == b'E')
                .cloned()
        };
        if fault(&ours) == Some((b'E', b"C0A000".to_vec())) && fault(&theirs).is_none() {
            self.refused.push(what.to_owned());
        } else if ours != theirs && (fault(&ours).is_none() || fault(&ours) != fault(&theirs)) {
            writeln!(
                self.wrong,
                "{what}\n  pgveil {ours:?}\n  PostgreSQL {theirs:?}"
            )
            .unwrap();
        }
    }
}

const TYPES: &str =
    "CREATE EXTENSION citext; CREATE TYPE mood AS ENUM ('happy', 'so so', 'it''s ok');
    CREATE DOMAIN email AS varchar(20); CREATE DOMAIN small AS int2;";

fn table(name: &str) -> String {
    let columns: String = kinds()
        .iter()
        .enumerate()
        .map(|(number, kind)| format!(", c{number} {}", kind.sql))
        .collect();
    format!("CREATE TABLE {name} (id int PRIMARY KEY{columns});")
}

fn policy() -> String {
    let mut text = String::from(
        "version: 1\nroles:\n  - name: app\n    match: { user: \"types*\" }\ntables:\n  public.sealed:\n    columns:\n",
    );
    for number in 0..kinds().len() {
        writeln!(
            text,
            "      c{number}: {{ store: {{ encrypt: {{ search: [] }} }}, show: {{ app: plain }} }}"
        )
        .unwrap();
    }
    text
}

const SETTINGS: [&str; 3] = [
    "SET DateStyle = 'ISO, MDY'; SET IntervalStyle = 'postgres'; SET bytea_output = 'hex'; SET TimeZone = 'UTC'",
    "SET DateStyle = 'German, DMY'; SET IntervalStyle = 'iso_8601'; SET bytea_output = 'escape'; SET TimeZone = 'America/New_York'",
    "SET DateStyle = 'SQL, MDY'; SET IntervalStyle = 'sql_standard'; SET extra_float_digits = 3; SET TimeZone = 'Europe/Berlin'",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_type_in_every_form_is_as_on_a_plain_table() {
    let cluster = support::cluster();
    let database = support::create_database(cluster).await;
    let login = support::fresh_name("types");
    support::create_login(cluster, &login, "types", "").await;
    let superuser = support::connect(&cluster.superuser_url(&database)).await;
    superuser.batch_execute(TYPES).await.unwrap();
    let version = support::version(&superuser).await;
    KNOWN.get_or_init(|| {
        let newer = NEWER.iter().filter(|(since, _)| *since <= version);
        KINDS.iter().chain(newer.map(|(_, kind)| kind)).collect()
    });
    let mut id = 0;
    for name in ["sealed", "twin"] {
        superuser.batch_execute(&table(name)).await.unwrap();
        for (number, kind) in kinds().iter().enumerate() {
            for value in kind.ordinary.iter().chain(kind.extreme) {
                id += 1;
                let value = literal(Some(value));
                let sql = format!(
                    "INSERT INTO {name} (id, c{number}) VALUES ({}, {value})",
                    id % 10_000
                );
                superuser
                    .batch_execute(&sql)
                    .await
                    .unwrap_or_else(|error| panic!("{sql}: {error}"));
            }
        }
        id = 10_000;
    }
    let grant = format!("GRANT ALL ON ALL TABLES IN SCHEMA public TO {login}");
    superuser.batch_execute(&grant).await.unwrap();
    let pgveil = Pgveil::start(cluster, &database, &policy()).await;
    let mut sides = Sides {
        through: Raw::login(pgveil.port(), &login, "types", &database),
        direct: Raw::login(cluster.port(), &login, "types", &database),
        cells: 0,
        refused: Vec::new(),
        wrong: String::new(),
    };
    sides.cell("read back after apply", |table| {
        vec![query(&format!("SELECT * FROM {table} ORDER BY id"))]
    });
    let mut next = 100_000;
    for settings in SETTINGS {
        sides.cell(settings, |_| vec![query(settings)]);
        sides.cell("all of it", |table| {
            vec![query(&format!("SELECT * FROM {table} ORDER BY id"))]
        });
        for (number, kind) in kinds().iter().enumerate() {
            let values = kind.ordinary.iter().chain(kind.extreme).chain(kind.invalid);
            for value in std::iter::once(None).chain(values.map(|value| Some(*value))) {
                next += 1;
                column(&mut sides, (number, kind), value, next * 10);
            }
        }
    }
    eprintln!(
        "every type: {} cells, {} refused (0A000):",
        sides.cells,
        sides.refused.len()
    );
    for refused in &sides.refused {
        eprintln!("  {refused}");
    }
    assert!(sides.wrong.is_empty(), "\n{}", sides.wrong);
    assert!(sides.refused.is_empty(), "{} cells", sides.refused.len());
}

/// One value of one column in all three forms.
fn column(sides: &mut Sides, (number, kind): (usize, &Kind), value: Option<&str>, id: usize) {
    let read = |table: &str, id: usize| format!("SELECT c{number} FROM {table} WHERE id = {id}");
    let name = |form: &str| format!("{} {form} {value:?}", kind.sql);
    sides.cell(&name("literal"), |table| {
        let value = literal(value);
        let insert = format!("INSERT INTO {table} (id, c{number}) VALUES ({id}, {value})");
        vec![query(&insert), query(&read(table, id))]
    });
    let insert = |table: &str, id| format!("INSERT INTO {table} (id, c{number}) VALUES ({id}, $1)");
    let by_id = |table: &str| format!("SELECT c{number} FROM {table} WHERE id = $1");
    let text_id = |id: usize| id.to_string().into_bytes();
    sides.cell(&name("text parameter"), |table| {
        let id = id + 1;
        let insert = extended(&insert(table, id), 0, value.map(str::as_bytes));
        vec![insert, extended(&by_id(table), 0, Some(&text_id(id)))]
    });
    // The binary form is what the server sends of the value; of what is none, three bytes.
    let sent = answer(
        &mut sides.direct,
        &extended_binary(&read("twin", id)),
        "binary form",
    );
    let binary = value.map(|_| value_of(&sent).unwrap_or(vec![0xff; 3]));
    sides.cell(&name("binary parameter"), |table| {
        let id = id + 2;
        let insert = extended(&insert(table, id), 1, binary.as_deref());
        let id = i32::try_from(id).unwrap().to_be_bytes();
        vec![insert, extended(&by_id(table), 1, Some(&id))]
    });
}

/// A query without parameters, its result in binary.
fn extended_binary(text: &str) -> Vec<u8> {
    let parse = [&string("")[..], &string(text), &[0, 0]].concat();
    [
        message(b'P', &parse),
        message(b'B', &[0, 0, 0, 0, 0, 0, 0, 1, 0, 1]),
        message(b'E', &[0, 0, 0, 0, 0]),
        message(b'S', &[]),
    ]
    .concat()
}

//! What restricted roles are shown by masks with a key and by tokens, against a real PostgreSQL: the same over the
//! simple and the extended protocol, in text and in binary, and of the type the column has.

mod support;

use std::error::Error;
use std::fs;
use std::time::Duration;

use bytes::BytesMut;
use pgveil::types::{self, LogicalType, ServerVersion, TextSettings};
use support::pgveil::Pgveil;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type};
use tokio_postgres::{Client, SimpleQueryMessage};

const SCHEMA: &str = "
CREATE TABLE people (
    id int PRIMARY KEY,
    name text,
    company varchar(60),
    fee int4,
    price numeric(10,2),
    due date,
    seen timestamptz(3),
    ref uuid,
    remark text,
    national varchar(18),
    sealed text
);
INSERT INTO people SELECT id, 'Anna Lee', '小明公司', 1000, 250.00, '2024-02-29', '2024-02-29 12:00:00.123+00',
    '8e04df51-e04a-4ba5-bd53-2b1e01e4b80c', 'call 555', '110105194912310021', 'sealed value' FROM generate_series(1, 2) id;
INSERT INTO people (id) VALUES (3);
INSERT INTO people VALUES (4, 'Bob Ray', 'Ray Ltd', -1000, -250.00, 'infinity', '-infinity',
    '00000000-0000-0000-0000-000000000000', 'no digits', '11010519491231002X', '');
GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC;
";

const POLICY: &str = r#"
version: 1
roles:
  - { name: app, match: { user: "app_*" } }
  - { name: desk, match: { user: "desk_*" } }
tables:
  public.people:
    columns:
      name: { show: { app: plain, desk: { mask: fake } } }
      company: { show: { app: plain, desk: { mask: { fake: company } } } }
      fee: { show: { app: plain, desk: { mask: noise } } }
      price: { show: { app: plain, desk: { mask: { noise: { percent: 50 } } } } }
      due: { show: { app: plain, desk: { mask: noise } } }
      seen: { show: { app: plain, desk: { mask: { noise: { days: 2 } } } } }
      ref: { show: { app: plain, desk: { mask: hash } } }
      remark: { show: { app: plain, desk: { mask: { regex: { pattern: "[0-9]", with: "N" } } } } }
      national:
        show: { app: plain, desk: { mask: id_number } }
        compare: { desk: [equal] }
      sealed:
        store: { encrypt: { search: [equal] } }
        show: { app: plain, desk: { mask: hash } }
"#;

const TOKENS_SCHEMA: &str = "
CREATE TABLE orders (
    id int PRIMARY KEY,
    number int4 UNIQUE,
    total int8,
    day date,
    ref uuid,
    card varchar(24),
    national varchar(18),
    code text,
    mail text
);
INSERT INTO orders VALUES (1, 4711, -9000000000, '2024-02-29', '8e04df51-e04a-4ba5-bd53-2b1e01e4b80c',
    '4539 1488 0343 6467', '110105194912310021', 'AB-1234 cd', 'anna@example.com');
INSERT INTO orders (id) VALUES (9);
GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC;
";

const TOKENS_POLICY: &str = r#"
version: 1
roles:
  - { name: app, match: { user: "app_*" } }
  - { name: desk, match: { user: "desk_*" } }
tables:
  public.orders:
    columns:
      number: { store: { tokenise: integer }, show: { app: plain, desk: stored }, compare: { desk: [equal] } }
      total: { store: { tokenise: integer }, show: { app: plain, desk: stored } }
      day: { store: { tokenise: date }, show: { app: plain, desk: { token: date } } }
      ref: { store: { tokenise: uuid }, show: { app: plain, desk: stored }, compare: { desk: [equal] } }
      card: { store: { tokenise: { format: bank_card, keep_first: 4 } }, show: { app: plain, desk: stored } }
      national: { store: { tokenise: id_number }, show: { app: plain, desk: { mask: id_number } } }
      code: { store: { tokenise: alphanumeric }, show: { app: plain, desk: stored } }
      mail:
        store: { encrypt: { search: [equal] } }
        show: { app: plain, desk: { token: email } }
        compare: { desk: [equal] }
"#;

/// The tokenised columns with their types, and a sealed one that is shown as a token.
const TOKENS: &[(&str, LogicalType)] = &[
    ("number", LogicalType::Int4),
    ("total", LogicalType::Int8),
    ("day", LogicalType::Date),
    ("ref", LogicalType::Uuid),
    ("card", LogicalType::Varchar(Some(24))),
    ("national", LogicalType::Varchar(Some(18))),
    ("code", LogicalType::Text),
    ("mail", LogicalType::Text),
];

/// The masked columns with their types.
const COLUMNS: &[(&str, LogicalType)] = &[
    ("name", LogicalType::Text),
    ("company", LogicalType::Varchar(Some(60))),
    ("fee", LogicalType::Int4),
    (
        "price",
        LogicalType::Numeric {
            precision: 10,
            scale: 2,
        },
    ),
    ("due", LogicalType::Date),
    ("seen", LogicalType::Timestamptz(Some(3))),
    ("ref", LogicalType::Uuid),
    ("remark", LogicalType::Text),
    ("national", LogicalType::Varchar(Some(18))),
    ("sealed", LogicalType::Text),
];

/// A database under a policy, with a login of each role.
struct Place {
    pgveil: Pgveil,
    superuser: String,
    app: Client,
    desk: Client,
}

impl Place {
    async fn new(schema: &str, policy: &str) -> Self {
        let cluster = support::cluster();
        let database = support::create_database(cluster).await;
        let superuser = support::connect(&cluster.superuser_url(&database)).await;
        superuser.batch_execute(schema).await.expect("the schema");
        let (app, desk) = (support::fresh_name("app"), support::fresh_name("desk"));
        for name in [&app, &desk] {
            support::create_login(cluster, name, "password", "").await;
        }
        let pgveil = Pgveil::start(cluster, &database, policy).await;
        let login = |name: &str| pgveil.url(name, "password", &database);
        let (app, desk) = (login(&app), login(&desk));
        Self {
            superuser: cluster.superuser_url(&database),
            app: support::connect(&app).await,
            desk: support::connect(&desk).await,
            pgveil,
        }
    }
}

impl Place {
    /// All of the audit, once this text stands in it.
    async fn audit_with(&self, text: &str) -> String {
        for _ in 0..100 {
            let files = fs::read_dir(self.pgveil.audit_directory()).expect("a folder");
            let audit: String = files
                .filter_map(|file| fs::read_to_string(file.expect("a file").path()).ok())
                .collect();
            if audit.contains(text) {
                return audit;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the audit does not hold {text}");
    }
}

/// A value as it is on the wire.
struct Wire(Vec<u8>);

impl<'a> FromSql<'a> for Wire {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(raw.to_vec()))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// Those that may stay as they are by chance.
const NOISY: &[&str] = &["fee", "price", "due", "seen"];

fn index_of(name: &&str) -> usize {
    let place = COLUMNS.iter().position(|(column, _)| column == name);
    place.expect("a column")
}

type Row = Vec<Option<String>>;

async fn in_text(client: &Client, text: &str) -> Vec<Row> {
    let messages = client.simple_query(text).await.expect(text);
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    rows.map(|row| {
        (0..row.len())
            .map(|i| row.get(i).map(str::to_owned))
            .collect()
    })
    .collect()
}

/// The same in binary, written as text.
async fn in_binary(client: &Client, text: &str, columns: &[(&str, LogicalType)]) -> Vec<Row> {
    let statement = client.prepare(text).await.expect(text);
    for (column, (name, ty)) in statement.columns().iter().zip(columns) {
        assert_eq!(column.type_().oid(), ty.oid(), "{name}");
    }
    let rows = client.query(&statement, &[]).await.expect(text);
    let value = |row: &tokio_postgres::Row, i: usize| {
        let (name, ty) = columns[i];
        row.get::<_, Option<Wire>>(i).map(|Wire(bytes)| {
            let canonical = types::from_binary(ty, &bytes, ServerVersion::default()).expect(name);
            let shown = types::to_text(ty, &canonical, &TextSettings::default()).expect(name);
            String::from_utf8(shown).expect(name)
        })
    };
    rows.iter()
        .map(|row| (0..row.len()).map(|i| value(row, i)).collect())
        .collect()
}

fn list(columns: &[(&str, LogicalType)]) -> String {
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}

async fn refused(client: &Client, text: &str) -> String {
    let error = client.simple_query(text).await.expect_err(text);
    error.code().expect(text).code().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn masks_with_a_key_are_put_on_in_text_and_in_binary() {
    let place = Place::new(SCHEMA, POLICY).await;
    let text = format!("SELECT {} FROM people ORDER BY id", list(COLUMNS));
    in_text(&place.desk, "SET TimeZone = 'UTC'").await;
    in_text(&place.app, "SET TimeZone = 'UTC'").await;
    let shown = in_text(&place.desk, &text).await;
    assert_eq!(shown, in_binary(&place.desk, &text, COLUMNS).await);
    let plain = in_text(&place.app, &text).await;

    assert_eq!(shown[0], shown[1], "equal values are shown alike");
    assert!(shown[2].iter().all(Option::is_none), "NULL stays NULL");
    for (index, (name, _)) in COLUMNS.iter().enumerate() {
        assert_ne!(shown[0][index], shown[3][index], "{name}");
        if !NOISY.contains(name) {
            assert_ne!(shown[0][index], plain[0][index], "{name}");
        }
    }
    let moved = |name| shown[0][index_of(name)] != plain[0][index_of(name)];
    assert!(NOISY.iter().any(moved), "each may stay by chance, not all");
    let first = |index: usize| shown[0][index].clone().expect("a value");
    let fee: i32 = first(2).parse().expect("an integer");
    assert!((900..=1100).contains(&fee));
    let price: f64 = first(3).parse().expect("a number");
    assert!((125.0..=375.0).contains(&price));
    assert!(first(4).starts_with("2024-0"));
    assert_eq!(first(7), "call NNN");
    assert_eq!(first(8), "**************0021");
    assert_eq!(first(9).len(), 32);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mask_with_a_key_is_met_by_no_predicate_and_compare_by_equality_alone() {
    let place = Place::new(SCHEMA, POLICY).await;
    for text in [
        "SELECT id FROM people WHERE fee > 0",
        "SELECT id FROM people WHERE name = 'Anna Lee'",
        "SELECT sum(fee) FROM people",
        "SELECT id FROM people ORDER BY due",
        "SELECT count(*) FROM people GROUP BY ref",
        "SELECT DISTINCT company FROM people",
        "SELECT id FROM people WHERE national LIKE '1%'",
        "SELECT remark || 'x' FROM people",
        "UPDATE people SET fee = 1",
    ] {
        let sqlstate = refused(&place.desk, text).await;
        assert!(
            ["42501", "0A000"].contains(&sqlstate.as_str()),
            "{text}: {sqlstate}"
        );
    }
    let guess = "110105194912310021";
    let by_literal =
        format!("SELECT id, national FROM people WHERE national = '{guess}' ORDER BY id");
    let found = in_text(&place.desk, &by_literal).await;
    let masked = Some("**************0021".to_owned());
    assert_eq!(
        found,
        [
            [Some("1".to_owned()), masked.clone()],
            [Some("2".to_owned()), masked]
        ]
    );
    let by_parameter = "SELECT id FROM people WHERE national = $1 OR national = ANY ($2)";
    let rows = place
        .desk
        .query(by_parameter, &[&guess, &vec!["11010519491231002X"]])
        .await;
    assert_eq!(rows.expect("rows").len(), 3);
    let audit = place.audit_with("SELECT id, national").await;
    assert!(!audit.contains(guess), "the guess stands in the audit");
}

/// A parameter in binary form, whatever its type.
#[derive(Debug)]
struct Sent(Vec<u8>);

impl ToSql for Sent {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    tokio_postgres::types::to_sql_checked!();
}

/// One table masked by SQL and one that is sealed and masked in the result.
const TWINS: &str = "
CREATE EXTENSION citext;
CREATE TYPE mood AS ENUM ('ok', 'so so', 'bad');
CREATE TABLE plain (id int PRIMARY KEY, code char(8), tag bpchar, mail citext, mood mood);
CREATE TABLE sealed (LIKE plain INCLUDING ALL);
INSERT INTO plain VALUES (1, 'Anna', 'Anna  ', 'Anna@Example.com', 'ok'), (2, '', ' ', '', 'so so'),
    (3, NULL, NULL, NULL, NULL);
INSERT INTO sealed SELECT * FROM plain;
GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC;
";

fn twins_policy() -> String {
    let head = "version: 1\nroles:\n  - { name: app, match: { user: \"app_*\" } }\n  - { name: desk, match: { user: \"desk_*\" } }\ntables:\n";
    let table = |name: &str, store: &str| {
        let columns: String = [
            ("code", "{ partial: { first: 1 } }"),
            ("tag", "{ partial: { last: 1 } }"),
            ("mail", "email"),
            ("mood", "{ constant: bad }"),
        ]
        .map(|(column, mask)| {
            format!(
                "      {column}: {{ {store}show: {{ app: plain, desk: {{ mask: {mask} }} }} }}\n"
            )
        })
        .concat();
        format!("  public.{name}:\n    columns:\n{columns}")
    };
    format!(
        "{head}{}{}",
        table("plain", ""),
        table("sealed", "store: encrypt, ")
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn chars_citexts_and_enums_are_masked_alike_stored_plain_and_sealed() {
    let place = Place::new(TWINS, &twins_policy()).await;
    let direct = support::connect(&place.superuser).await;
    let columns = "SELECT code, tag, mail, mood, code || '.' FROM";
    let expected = "SELECT c::char(8), t::bpchar, m::citext, o::mood, c::char(8) || '.' FROM \
         (VALUES ('A***', '***a', 'A***@Example.com', 'bad'), ('', '', '***', 'bad'), (NULL, NULL, NULL, NULL)) v (c, t, m, o)";
    let sql = format!("{columns} plain ORDER BY id");
    let shown = in_text(&place.desk, &sql).await;
    assert_eq!(shown, in_text(&direct, expected).await);
    assert_eq!(shown[0][0].as_deref(), Some("A***    "));
    // What is sealed is shown and nothing is computed with it.
    let columns = "SELECT code, tag, mail, mood FROM";
    let sql = format!("{columns} sealed ORDER BY id");
    let sealed = in_text(&place.desk, &sql).await;
    let firsts = |rows: &[Row]| rows.iter().map(|r| r[..4].to_vec()).collect::<Vec<_>>();
    assert_eq!(sealed, firsts(&shown));
    for table in ["plain", "sealed"] {
        let sql = format!("{columns} {table} ORDER BY id");
        let ours = place.desk.prepare(&sql).await.expect(&sql);
        let sql = format!("{columns} plain");
        let theirs = direct.prepare(&sql).await.expect(&sql);
        for (ours, theirs) in ours.columns().iter().zip(theirs.columns()) {
            assert_eq!(ours.type_(), theirs.type_());
            assert_eq!(ours.type_modifier(), theirs.type_modifier());
        }
        let rows = place.desk.query(&ours, &[]).await.expect(&sql);
        let binary = rows.iter().map(|row| {
            let value = |i| row.get::<_, Option<Wire>>(i);
            let text = |Wire(bytes)| String::from_utf8(bytes).expect("a text");
            (0..4).map(|i| value(i).map(text)).collect::<Row>()
        });
        assert_eq!(binary.collect::<Vec<_>>(), sealed, "{table}");
    }
}

fn sent(ty: LogicalType, text: &str) -> Sent {
    let canonical = types::from_text(ty, text.as_bytes(), &TextSettings::default());
    Sent(types::to_binary(ty, &canonical.expect(text), ServerVersion::default()).expect(text))
}

const WRITTEN: [&str; 8] = [
    "-815",
    "9000000000",
    "1999-12-31",
    "018f3f6e-1234-7abc-8def-0123456789ab",
    "378282246310005",
    "11010519491231002X",
    "Zz9999zz",
    "bob@example.org",
];

/// Writes rows 2 and 3: by literals, and by parameters in binary.
async fn write(place: &Place) {
    let literals = WRITTEN.map(|value| format!("'{value}'")).join(", ");
    let names = list(TOKENS);
    let insert = format!("INSERT INTO orders (id, {names}) VALUES (2, {literals})");
    place.app.simple_query(&insert).await.expect("by literals");
    let insert =
        format!("INSERT INTO orders (id, {names}) VALUES (3, $1, $2, $3, $4, $5, $6, $7, $8)");
    let values: Vec<Sent> = TOKENS
        .iter()
        .zip(WRITTEN)
        .map(|((name, ty), value)| sent(*ty, if *name == "number" { "815" } else { value }))
        .collect();
    let values: Vec<&(dyn ToSql + Sync)> =
        values.iter().map(|v| v as &(dyn ToSql + Sync)).collect();
    place
        .app
        .execute(&insert, &values)
        .await
        .expect("by parameters");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_every_type_are_written_read_and_compared() {
    let place = Place::new(TOKENS_SCHEMA, TOKENS_POLICY).await;
    write(&place).await;
    let text = format!("SELECT {} FROM orders ORDER BY id", list(TOKENS));
    let plain = in_text(&place.app, &text).await;
    assert_eq!(plain, in_binary(&place.app, &text, TOKENS).await);
    let written = |value: &str| Some(value.to_owned());
    assert_eq!(plain[0][0], written("4711"));
    assert_eq!(plain[0][5], written("110105194912310021"));
    assert_eq!(plain[1], WRITTEN.map(written).to_vec());
    assert_eq!(plain[2][1..], WRITTEN.map(written)[1..]);
    assert!(plain[3].iter().all(Option::is_none));

    let tokens = in_text(&place.desk, &text).await;
    assert_eq!(tokens, in_binary(&place.desk, &text, TOKENS).await);
    let superuser = support::connect(&place.superuser).await;
    let lying = in_text(&superuser, &text).await;
    for row in 0..3 {
        for (index, (name, _)) in TOKENS.iter().enumerate() {
            assert_ne!(lying[row][index], plain[row][index], "{name}");
            if !["national", "mail"].contains(name) {
                assert_eq!(tokens[row][index], lying[row][index], "{name}");
            }
        }
    }
    assert_eq!(
        tokens[1][1..],
        tokens[2][1..],
        "equal values have equal tokens"
    );
    assert_eq!(tokens[0][5], written("**************0021"));

    for (text, rows) in [
        ("SELECT id FROM orders WHERE number = 4711", 1),
        ("SELECT id FROM orders WHERE number IN (4711, 815, 5)", 2),
        (
            "SELECT id FROM orders WHERE number = ANY ('{-815,4711}')",
            2,
        ),
        ("SELECT id FROM orders WHERE number = 3000000000", 0),
        ("SELECT id FROM orders WHERE number <> 3000000000", 3),
        ("SELECT id FROM orders WHERE total = 9000000000", 2),
        ("SELECT id FROM orders WHERE day = '1999-12-31'", 2),
        ("SELECT id FROM orders WHERE day = 'infinity'", 0),
        ("SELECT id FROM orders WHERE day <> '0044-03-15 BC'", 3),
        (
            "SELECT id FROM orders WHERE ref = '018f3f6e-1234-7abc-8def-0123456789ab'",
            2,
        ),
        ("SELECT id FROM orders WHERE card = '378282246310005'", 2),
        ("SELECT id FROM orders WHERE national = 'no number'", 0),
        (
            "SELECT a.id FROM orders a JOIN orders b USING (ref, day) WHERE a.id < b.id",
            1,
        ),
    ] {
        assert_eq!(in_text(&place.app, text).await.len(), rows, "{text}");
    }
    let by_day = "SELECT id FROM orders WHERE day = $1 AND number = ANY ($2)";
    let day = sent(LogicalType::Date, "2024-02-29");
    let found = place.app.query(by_day, &[&day, &vec![4711i32, 3]]).await;
    assert_eq!(found.expect("rows").len(), 1);
    what_has_no_token_is_refused(&place).await;
}

async fn what_has_no_token_is_refused(place: &Place) {
    for (assignment, sqlstate) in [
        ("number = -2147483648", "22023"),
        ("number = 3000000000", "22003"),
        ("day = 'infinity'", "22023"),
        ("national = '110105194913310021'", "22023"),
        ("code = 'A1'", "22023"),
        ("card = '453914'", "22023"),
        ("number = -815", "23505"),
    ] {
        let text = format!("UPDATE orders SET {assignment} WHERE id = 1");
        assert_eq!(refused(&place.app, &text).await, sqlstate, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_is_shown_tokens_compares_by_tokens() {
    let place = Place::new(TOKENS_SCHEMA, TOKENS_POLICY).await;
    write(&place).await;
    let shown = in_text(
        &place.desk,
        "SELECT number, ref, mail FROM orders WHERE id = 2",
    )
    .await;
    for (name, token, value) in [
        ("number", &shown[0][0], "-815"),
        ("ref", &shown[0][1], "018f3f6e-1234-7abc-8def-0123456789ab"),
        ("mail", &shown[0][2], "bob@example.org"),
    ] {
        let found = async |literal: &str| {
            let text = format!("SELECT id FROM orders WHERE {name} = '{literal}'");
            in_text(&place.desk, &text).await.len()
        };
        let token = token.as_deref().expect("a token");
        let rows = if name == "number" { 1 } else { 2 };
        assert_eq!(found(token).await, rows, "{name}");
        assert_eq!(found(value).await, 0, "{name}: the plain value is no token");
    }
    let mail = shown[0][2].clone().expect("a token");
    let by_parameter = "SELECT id FROM orders WHERE mail = $1 OR mail = ANY ($2)";
    let found = place
        .desk
        .query(by_parameter, &[&mail, &vec!["no token", "x@y"]])
        .await;
    assert_eq!(found.expect("rows").len(), 2);
    for text in [
        "SELECT id FROM orders WHERE day = '1999-12-31'",
        "SELECT id FROM orders WHERE total = 1",
        "SELECT id FROM orders ORDER BY number",
        "SELECT max(number) FROM orders",
        "UPDATE orders SET number = 1",
    ] {
        let sqlstate = refused(&place.desk, text).await;
        assert!(
            ["42501", "0A000"].contains(&sqlstate.as_str()),
            "{text}: {sqlstate}"
        );
    }
}

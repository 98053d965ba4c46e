//! What restricted roles are shown by masks with a key and by tokens, against a real PostgreSQL: the same over the
//! simple and the extended protocol, in text and in binary, and of the type the column has.

mod support;

use std::error::Error;
use std::fs;
use std::time::Duration;

use pgveil::types::{self, LogicalType, TextSettings};
use support::pgveil::Pgveil;
use tokio_postgres::types::{FromSql, Type};
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
            let canonical = types::from_binary(ty, &bytes).expect(name);
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

//! Sealed and tokenised values against a plain table on a real PostgreSQL: what is written through the vault compares
//! there as plain values do, and comes back as the plain table's own bytes, in text and in binary form.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::sync::Arc;

use bytes::BytesMut;
use pgveil::catalog::{Attribute, Relation, RelationKind, Snapshot, Stored, TypeRef};
use pgveil::ident::{AttributeName, DomainName, KeyVersion, RelationName, RoleName};
use pgveil::keyring::{KdfParameters, Keyring, Passphrase, create_with};
use pgveil::policy::decide::{Bound, Search, Show, Sight, Store, Treated};
use pgveil::policy::trust::TrustedFunctions;
use pgveil::seal::{Comparison, HEAD_BYTES};
use pgveil::statement::plan::{ColumnPlan, ParameterPlan, Shape};
use pgveil::token::TokenFormat;
use pgveil::types::{DateStyle, LogicalType, SessionZone, TextSettings};
use pgveil::values::{Formats, Given, Vault, parameter_format, parameter_oid};
use tokio_postgres::Client;
use tokio_postgres::types::{Format, FromSql, IsNull, ToSql, Type};

/// A value in either form, as it is on the wire.
#[derive(Debug, Clone, PartialEq)]
struct Wire(Vec<u8>, i16);

impl ToSql for Wire {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        if self.1 == 0 {
            Format::Text
        } else {
            Format::Binary
        }
    }

    tokio_postgres::types::to_sql_checked!();
}

impl<'a> FromSql<'a> for Wire {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(raw.to_vec(), 1))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

const RELATION: u32 = 1;

/// An attribute `c` with its keys.
struct Treatment {
    _folder: tempfile::TempDir,
    vault: Vault,
    attribute: Arc<Treated>,
}

impl Treatment {
    fn new(logical: LogicalType, store: Store) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let passphrase = Passphrase::new("p").expect("a passphrase");
        let kdf = KdfParameters::new(8, 1, 1).expect("parameters");
        let path = folder.path().join("keyring.json");
        let mut keyring = create_with(&path, &passphrase, kdf).expect("a keyring");
        let name = AttributeName::new(RelationName::new("public", "v"), "c");
        let domain = DomainName::new("public.v.c");
        keyring.ensure_domain(&domain).expect("a domain");
        keyring.ensure_attribute(&name).expect("a number");
        let sight = Sight {
            show: Show::Plain,
            compare: BTreeSet::new(),
        };
        let treated = Treated {
            name,
            relation_oid: RELATION,
            attnum: 2,
            logical,
            store,
            domain,
            domain_is_own: true,
            not_ready: None,
            sight: BTreeMap::from([(RoleName::new("app"), sight)]),
        };
        let snapshot = snapshot(&keyring, &treated);
        let bound = Bound::new(
            1,
            vec![treated],
            TrustedFunctions::default(),
            BTreeSet::new(),
        );
        let vault = Vault::new(&keyring, &bound, &snapshot);
        assert_eq!(vault.faults().count(), 0);
        let attribute = Arc::clone(bound.attribute(RELATION, 2).expect("the attribute"));
        Self {
            _folder: folder,
            vault,
            attribute,
        }
    }

    fn plan(&self, shape: Shape, assigned: bool) -> ParameterPlan {
        ParameterPlan {
            number: 1,
            attribute: Arc::clone(&self.attribute),
            shape,
            cast: None,
            assigned,
            listed: Arc::default(),
            token: None,
        }
    }

    fn fill(&self, plan: &ParameterPlan, text: &str, settings: &TextSettings) -> Wire {
        let given = Given {
            oid: 0,
            of_domain: false,
            format: 0,
            value: Some(text.as_bytes()),
            declared: &[],
        };
        let sent = self.vault.fill_parameter(plan, given, settings);
        let sent = sent.expect("a value").expect("not NULL");
        Wire(sent, parameter_format(plan, 0))
    }

    /// What stands in a comparison for `c` of the stored table.
    fn compared(&self) -> String {
        match self.attribute.comparison() {
            Comparison::Never | Comparison::Bytes => "c".to_owned(),
            Comparison::Heads => format!("substring(c, 1, {HEAD_BYTES})"),
        }
    }

    /// The physical type.
    fn physical(&self) -> &'static str {
        match parameter_oid(&self.plan(Shape::Value, true)) {
            17 => "bytea",
            20 => "int8",
            23 => "int4",
            1082 => "date",
            2950 => "uuid",
            _ => "text",
        }
    }

    fn show(&self, stored: &Wire, client: i16, settings: &TextSettings) -> Vec<u8> {
        let plan = ColumnPlan::Open {
            attribute: Arc::clone(&self.attribute),
            show: Show::Plain,
        };
        let formats = Formats { server: 1, client };
        let shown = self.vault.show(&plan, formats, settings, Some(&stored.0));
        shown.expect("it opens").expect("not NULL")
    }
}

fn snapshot(keyring: &Keyring, treated: &Treated) -> Snapshot {
    let domain = keyring.domain(&treated.domain).expect("a domain").id();
    let version = KeyVersion(1);
    let treatment = treated.store.recorded().expect("treated");
    let ty = TypeRef {
        oid: treated.logical.oid(),
        typmod: treated.logical.typmod(),
    };
    let attribute = Attribute {
        name: "c".to_owned(),
        attnum: 2,
        logical: ty,
        physical: ty,
        not_null: false,
        stored: match treated.store {
            Store::Tokenise(_) => Stored::Tokenised {
                domain,
                version,
                treatment,
            },
            Store::Plain | Store::Encrypt { .. } => Stored::Sealed {
                domain,
                version,
                treatment,
            },
        },
        has_prefix_check: true,
        generated: false,
    };
    let relation = Relation {
        oid: RELATION,
        name: RelationName::new("public", "v"),
        kind: RelationKind::Table,
        attributes: vec![attribute],
        primary_key: Vec::new(),
        reaches: Vec::new(),
        calls: Vec::new(),
    };
    Snapshot::new(1, vec![relation], Vec::new())
}

/// Predicates on `c`, the compared value in the place of `$1`.
const PREDICATES: &[&str] = &[
    "c = $1",
    "c <> $1",
    "NOT (c = $1)",
    "c IS DISTINCT FROM $1",
    "c IN ($1)",
    "c NOT IN ($1)",
    "coalesce(c = $1, true)",
];

const PREDICATES_OF_ARRAYS: &[&str] = &["c = ANY($1)", "c <> ALL($1)", "NOT (c = ANY($1))"];

async fn found(
    client: &Client,
    table: &str,
    predicate: &str,
    cast: &str,
    value: &Wire,
) -> Vec<i32> {
    let predicate = predicate.replace("$1", &format!("$1::{cast}"));
    let query = format!("SELECT id FROM {table} WHERE {predicate} ORDER BY id");
    let rows = client.query(&query, &[value]).await.expect("a comparison");
    rows.iter().map(|row| row.get(0)).collect()
}

/// Writes values both ways, compares both ways, reads both ways.
async fn try_both(logical: LogicalType, store: Store, written: &[&str], compared: &[&str]) {
    let database = support::create_database(support::cluster()).await;
    let client = support::connect(&support::cluster().superuser_url(&database)).await;
    let settings = TextSettings {
        version: support::server_version(&client).await,
        date_style: DateStyle::of("SQL, DMY"),
        time_zone: SessionZone::of("America/New_York"),
        ..TextSettings::default()
    };
    let treatment = Treatment::new(logical, store);
    let (ty, physical) = (logical.sql(), treatment.physical());
    client
        .batch_execute(&format!(
            "SET DateStyle = 'SQL, DMY'; SET TimeZone = 'America/New_York';
             CREATE TABLE p (id int, c {ty}); CREATE TABLE v (id int, c {physical});
             INSERT INTO p VALUES (0, NULL); INSERT INTO v VALUES (0, NULL)"
        ))
        .await
        .expect("tables");
    let assigned = treatment.plan(Shape::Value, true);
    for (id, text) in (1i32..).zip(written) {
        let plain = Wire(text.as_bytes().to_vec(), 0);
        let stored = treatment.fill(&assigned, text, &settings);
        for (table, value) in [("p", &plain), ("v", &stored)] {
            let insert = format!("INSERT INTO {table} VALUES ($1, $2)");
            client.execute(&insert, &[&id, value]).await.expect("a row");
        }
    }
    if treatment.attribute.compares_equal() {
        compare(&client, &treatment, compared, &settings).await;
    }
    let plain = client.query(
        "SELECT c, format('%s', c) FROM p WHERE id > 0 ORDER BY id",
        &[],
    );
    let plain = plain.await.expect("plain rows");
    let stored = client.query("SELECT c FROM v WHERE id > 0 ORDER BY id", &[]);
    for (plain, stored) in plain.iter().zip(stored.await.expect("stored rows")) {
        let (binary, text): (Wire, String) = (plain.get(0), plain.get(1));
        let stored: Wire = stored.get(0);
        assert_eq!(
            treatment.show(&stored, 1, &settings),
            binary.0,
            "{logical:?}"
        );
        assert_eq!(
            String::from_utf8_lossy(&treatment.show(&stored, 0, &settings)),
            text,
            "{logical:?}"
        );
    }
}

async fn compare(
    client: &Client,
    treatment: &Treatment,
    compared: &[&str],
    settings: &TextSettings,
) {
    let logical = treatment.attribute.logical;
    let physical = treatment.physical();
    // The type without its modifier, as PostgreSQL reads a compared value.
    let bare = match logical {
        LogicalType::Numeric { .. } => "numeric".to_owned(),
        LogicalType::Varchar(_) => "text".to_owned(),
        LogicalType::Timestamp(_) => "timestamp".to_owned(),
        LogicalType::Timestamptz(_) => "timestamptz".to_owned(),
        other => other.sql(),
    };
    for text in compared {
        let plain = Wire(text.as_bytes().to_vec(), 0);
        let sent = treatment.fill(&treatment.plan(Shape::Value, false), text, settings);
        for predicate in PREDICATES {
            let stored = predicate.replace("c ", &format!("{} ", treatment.compared()));
            assert_eq!(
                found(client, "p", predicate, &bare, &plain).await,
                found(client, "v", &stored, physical, &sent).await,
                "{logical:?}: {predicate} with {text}"
            );
        }
    }
    let quoted: Vec<String> = compared.iter().map(|t| format!("{t:?}")).collect();
    for array in [
        format!("{{{}}}", quoted.join(",")),
        "{}".to_owned(),
        format!("{{NULL,{}}}", quoted[0]),
    ] {
        let plain = Wire(array.as_bytes().to_vec(), 0);
        let sent = treatment.fill(&treatment.plan(Shape::Array, false), &array, settings);
        for predicate in PREDICATES_OF_ARRAYS {
            let stored = predicate.replace("c ", &format!("{} ", treatment.compared()));
            assert_eq!(
                found(client, "p", predicate, &format!("{bare}[]"), &plain).await,
                found(client, "v", &stored, &format!("{physical}[]"), &sent).await,
                "{logical:?}: {predicate} with {array}"
            );
        }
    }
    let groups = "SELECT count(DISTINCT c), count(*) FROM (SELECT c FROM";
    let groups = format!(
        "{groups} p GROUP BY c) AS g UNION ALL {} v) AS g GROUP BY ()",
        groups.replace(
            "SELECT c ",
            &format!("SELECT DISTINCT {} AS c ", treatment.compared())
        )
    );
    let rows = client.query(&groups, &[]).await.expect("groups");
    let counted: Vec<(i64, i64)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(counted[0], counted[1], "{logical:?}: groups");
}

fn equal() -> Store {
    Store::Encrypt {
        search: BTreeSet::from([Search::Equal]),
    }
}

#[tokio::test]
async fn sealed_texts() {
    let written = [
        "", "a", "A", "a ", "e\u{301}", "é", "张三", "a'b\\c", "a", "\n",
    ];
    let compared = ["", "a", "a ", "é", "abcdefghijkl", "a'b\\\\c", "none"];
    try_both(LogicalType::Text, equal(), &written, &compared).await;
    try_both(LogicalType::Varchar(Some(5)), equal(), &written, &compared).await;
    let unsearched = Store::Encrypt {
        search: BTreeSet::new(),
    };
    try_both(LogicalType::Text, unsearched, &written, &[]).await;
}

#[tokio::test]
async fn sealed_numbers() {
    let written = ["0", "-1", "2147483647", "7", "7", "-2147483648"];
    try_both(
        LogicalType::Int4,
        equal(),
        &written,
        &["0", " 7 ", "8", "-2147483648"],
    )
    .await;
    try_both(
        LogicalType::Int8,
        equal(),
        &written,
        &["0", "7", "9223372036854775807"],
    )
    .await;
    let money = LogicalType::Numeric {
        precision: 10,
        scale: 2,
    };
    let written = [
        "0",
        "1.2",
        "1.20",
        "1.23",
        "1.234",
        "-1.235",
        "99999999.99",
        "NaN",
        "1e3",
        "0.001",
    ];
    let compared = [
        "0.00",
        "1.2",
        "1.2000",
        "1.23",
        "1.234",
        "-1.24",
        "1e3",
        "1000.000",
        "123456789012",
        "NaN",
        "0.001",
    ];
    try_both(money, equal(), &written, &compared).await;
    try_both(
        LogicalType::Bool,
        equal(),
        &["t", "false", "on"],
        &["true", "f"],
    )
    .await;
}

#[tokio::test]
async fn sealed_times() {
    let dates = [
        "2024-12-31",
        "31/12/2024",
        "0001-01-01 BC",
        "infinity",
        "5874897-12-31",
    ];
    try_both(
        LogicalType::Date,
        equal(),
        &dates,
        &["31.12.2024", "2024-12-30", "infinity"],
    )
    .await;
    let times = [
        "2024-12-31 23:59:59.123456",
        "31/12/2024 12:00",
        "-infinity",
        "2024-06-30 00:00:00.5",
    ];
    let compared = [
        "2024-12-31 23:59:59.123456",
        "2024-12-31 23:59:59.12",
        "2024-12-31 12:00",
        "2024-06-30 00:00:00.500",
        "2024-07-01",
    ];
    for precision in [None, Some(0), Some(2)] {
        try_both(
            LogicalType::Timestamp(precision),
            equal(),
            &times,
            &compared,
        )
        .await;
        try_both(
            LogicalType::Timestamptz(precision),
            equal(),
            &times,
            &compared,
        )
        .await;
    }
}

#[tokio::test]
async fn sealed_bytes_and_documents() {
    let ids = [
        "00000000-0000-0000-0000-00000000000a",
        "{A0EEBC99-9C0B4EF8-BB6D6BB9-BD380A11}",
    ];
    try_both(
        LogicalType::Uuid,
        equal(),
        &ids,
        &["00000000-0000-0000-0000-00000000000A"],
    )
    .await;
    try_both(
        LogicalType::Bytea,
        equal(),
        &["\\x00ff", "abc", ""],
        &["\\x616263", "x"],
    )
    .await;
    let documents = [
        "{\"b\": 1.50, \"a\": [null, true], \"b\": \"é\\n\"}",
        "1e2",
        "\"x\"",
    ];
    let compared = [
        "{\"a\": [null, true], \"b\": \"é\\u000a\"}",
        "100.0",
        "\"x\"",
        "{}",
    ];
    try_both(LogicalType::Jsonb, equal(), &documents, &compared).await;
    let hidden = Store::Encrypt {
        search: BTreeSet::new(),
    };
    try_both(LogicalType::Jsonb, hidden, &documents, &[]).await;
}

#[tokio::test]
async fn tokens_that_are_no_texts() {
    let int4 = ["0", "1", "-1", "4711", "4711", "2147483647", "-2147483647"];
    let compared = ["4711", "-1", "5", "-2147483648", "0"];
    try_both(
        LogicalType::Int4,
        Store::Tokenise(TokenFormat::Integer),
        &int4,
        &compared,
    )
    .await;
    let int8 = ["0", "-4711", "9223372036854775807", "4711", "4711"];
    let compared = ["4711", "-9223372036854775808", "9223372036854775807"];
    try_both(
        LogicalType::Int8,
        Store::Tokenise(TokenFormat::Integer),
        &int8,
        &compared,
    )
    .await;
    let dates = ["2024-02-29", "0001-01-01", "9999-12-31", "2024-02-29"];
    let compared = [
        "2024-02-29",
        "infinity",
        "-infinity",
        "0044-03-15 BC",
        "1999-01-01",
    ];
    try_both(
        LogicalType::Date,
        Store::Tokenise(TokenFormat::Date),
        &dates,
        &compared,
    )
    .await;
    let ids = [
        "8e04df51-e04a-4ba5-bd53-2b1e01e4b80c",
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "{8e04df51e04a4ba5bd532b1e01e4b80c}",
    ];
    let compared = [ids[0], ids[3], "018f3f6e-0000-7000-8000-000000000000"];
    try_both(
        LogicalType::Uuid,
        Store::Tokenise(TokenFormat::Uuid),
        &ids,
        &compared,
    )
    .await;
}

#[tokio::test]
async fn tokens_of_numbers_written_as_text() {
    let plate = Store::Tokenise(TokenFormat::Alphanumeric {
        keep_first: 2,
        keep_last: 0,
    });
    let plates = ["AB-12 cd/34", "B-MW 4711 x", "AB-12 cd/34", "é X1234567"];
    try_both(
        LogicalType::Varchar(Some(20)),
        plate,
        &plates,
        &["AB-12 cd/34", "A1", "", "é"],
    )
    .await;
    let card = Store::Tokenise(TokenFormat::BankCard {
        keep_first: 4,
        keep_last: 2,
    });
    let cards = [
        "4539 1488 0343 6467",
        "4539148803436467",
        "4539148803436467",
    ];
    try_both(
        LogicalType::Varchar(Some(19)),
        card,
        &cards,
        &[cards[1], "4539", "x"],
    )
    .await;
    let numbers = [
        "110105194912310021",
        "11010519491231002X",
        "11010519491231002x",
        "110105491231002",
    ];
    let compared = [numbers[0], numbers[2], "11010519491231002y", ""];
    try_both(
        LogicalType::Varchar(Some(18)),
        Store::Tokenise(TokenFormat::IdNumber),
        &numbers,
        &compared,
    )
    .await;
}

#[tokio::test]
async fn tokens() {
    let digits = Store::Tokenise(TokenFormat::Digits {
        keep_first: 3,
        keep_last: 1,
    });
    let phones = [
        "+49 (30) 123-4567",
        "13812345678",
        "13812345678",
        "0049301234567",
    ];
    let compared = [
        "13812345678",
        "+49 (30) 123-4567",
        "+49 30 1234567",
        "123",
        "",
        "no phone",
    ];
    try_both(LogicalType::Text, digits, &phones, &compared).await;
    let email = || Store::Tokenise(TokenFormat::Email);
    let written = [
        "anna@example.com",
        "Anna@example.com",
        "张伟@例子.中国",
        "",
        "none",
        "a@b@c",
        "o'neil\\@x.org",
    ];
    let compared = [
        "anna@example.com",
        "ANNA@example.com",
        "",
        "none",
        "a@b@c",
        "o'neil\\\\@x.org",
        "@",
    ];
    try_both(LogicalType::Text, email(), &written, &compared).await;
    try_both(LogicalType::Varchar(Some(60)), email(), &written, &compared).await;
}

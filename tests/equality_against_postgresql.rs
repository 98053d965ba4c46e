//! Comparison terms against a real PostgreSQL: over every pair of many generated values of a type, two heads are equal
//! exactly where the server says that the values are, and so are the normal forms.

mod support;

use pgveil::ident::{DomainName, KeyVersion};
use pgveil::keyring::{KdfParameters, Keyring, Passphrase, create_with};
use pgveil::seal::{Binding, Comparison, HEAD_BYTES, Sealer};
use pgveil::types::{
    ArrayType, Equality, LogicalType, NamedType, ServerVersion, TextSettings, array, coerce,
    from_text, normal,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use std::collections::BTreeSet;

/// Values a type is tried with, all pairs of them.
const VALUES: usize = 400;

fn keyring() -> (tempfile::TempDir, Keyring) {
    let folder = tempfile::tempdir().expect("a folder");
    let passphrase = Passphrase::new("p").expect("a passphrase");
    let kdf = KdfParameters::new(8, 1, 1).expect("parameters");
    let mut keyring = create_with(&folder.path().join("k"), &passphrase, kdf).expect("a keyring");
    keyring
        .ensure_domain(&DomainName::new("d"))
        .expect("a domain");
    (folder, keyring)
}

/// The same values in every run.
fn generated(texts: &BoxedStrategy<String>) -> Vec<String> {
    let mut runner = TestRunner::deterministic();
    let mut next = || texts.new_tree(&mut runner).expect("a value").current();
    (0..VALUES).map(|_| next()).collect()
}

async fn version() -> i32 {
    let client = support::connect(&support::cluster().superuser_url("postgres")).await;
    support::version(&client).await
}

/// Whether the server has what came with a version.
async fn since(number: i32) -> bool {
    version().await >= number
}

/// Pairs of places whose values PostgreSQL calls equal.
async fn equal_to_the_server(logical: LogicalType, texts: &[String]) -> BTreeSet<(i64, i64)> {
    let database = support::create_database_with(support::cluster(), support::IN_C).await;
    let client = support::connect(&support::cluster().superuser_url(&database)).await;
    let ty = logical.sql();
    if ty.contains("citext") {
        let extension = "CREATE EXTENSION citext SCHEMA public";
        client.batch_execute(extension).await.expect("citext");
    }
    let sql = format!(
        "WITH v AS (SELECT x::{ty} AS x, n FROM unnest($1::text[]) WITH ORDINALITY AS u (x, n)) \
         SELECT a.n, b.n FROM v a, v b WHERE a.x = b.x"
    );
    let rows = client.query(&sql, &[&texts]).await.expect("comparisons");
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

async fn agrees(logical: LogicalType, texts: BoxedStrategy<String>) {
    let (comparison, bytes) = match logical.equality() {
        Equality::Identity => (Comparison::Bytes, usize::MAX),
        Equality::NeedsTerm => (Comparison::Heads, HEAD_BYTES),
        Equality::None => panic!("{logical:?} has no equality"),
    };
    let texts = generated(&texts);
    let (_folder, keyring) = keyring();
    let keys = keyring.domain(&DomainName::new("d")).expect("a domain");
    let binding = Binding {
        class: logical.class(),
        element: logical.element_class(),
        attribute: None,
        comparison,
    };
    let sealer = Sealer::new(keys, binding).expect("a sealer");
    assert_eq!(sealer.version(), KeyVersion(1));
    let version = ServerVersion::numbered(version().await.unsigned_abs());
    let settings = TextSettings {
        version,
        ..TextSettings::default()
    };
    let canonical: Vec<Vec<u8>> = texts
        .iter()
        .map(|text| from_text(logical, text.as_bytes(), &settings).expect("a value"))
        .map(|value| coerce(logical, value, true, version).expect("a value that fits"))
        .collect();
    let sealed: Vec<Vec<u8>> = canonical
        .iter()
        .map(|value| sealer.seal(value).expect("sealed"))
        .collect();
    let server = equal_to_the_server(logical, &texts).await;
    let (mut equal, mut differently_written) = (0, 0);
    for (i, one) in (1i64..).zip(0..texts.len()) {
        let head = sealer.seal_compared(&canonical[one]).expect("a head");
        let decides = |sealed: &Vec<u8>| sealed[..bytes.min(sealed.len())] == head;
        assert!(decides(&sealed[one]));
        for (j, other) in (1i64..).zip(0..texts.len()) {
            let expected = server.contains(&(i, j));
            let what = format!("{logical:?}: {:?} and {:?}", texts[one], texts[other]);
            let normals = [one, other].map(|n| {
                normal(logical.class(), logical.element_class(), &canonical[n]).expect("known")
            });
            assert_eq!(normals[0] == normals[1], expected, "{what}");
            assert_eq!(decides(&sealed[other]), expected, "{what}");
            equal += usize::from(expected && i != j);
            differently_written += usize::from(expected && canonical[one] != canonical[other]);
        }
    }
    println!("{logical:?}: {equal} equal pairs, {differently_written} of them written differently");
    assert!(equal > 100, "the values do not try what they are for");
    assert_eq!(
        differently_written > 100,
        logical.equality() == Equality::NeedsTerm
    );
}

/// Numbers as they may be written, few of them different.
fn numbers() -> BoxedStrategy<String> {
    let digits = prop::sample::select(vec![
        "0", "1", "10", "100", "12", "0.1", "0.01", "1.5", "20",
    ]);
    let zeros = prop::sample::select(vec!["", "0", "00"]);
    let exponents = prop::sample::select(vec!["", "", "e0", "e1", "E-1"]);
    (prop::bool::weighted(0.2), digits, zeros, exponents)
        .prop_map(|(minus, digits, zeros, exponent)| {
            let sign = if minus { "-" } else { "" };
            let point = if digits.contains('.') || zeros.is_empty() {
                ""
            } else {
                "."
            };
            format!("{sign}{digits}{point}{zeros}{exponent}")
        })
        .boxed()
}

/// Documents with few different parts, so that many are equal and written differently.
fn documents() -> BoxedStrategy<String> {
    let texts = prop::sample::select(vec![
        r#""""#,
        r#""1.0""#,
        r#""1.00""#,
        r#""a""#,
        r#""\u0061""#,
        r#""\"1.0""#,
        r#""\\""#,
        r#""\\1.0""#,
        r#""é""#,
        r#""\u00e9""#,
        r#""A""#,
        r#""e\u0301""#,
        r#""a ""#,
    ]);
    let words = prop::sample::select(vec!["null", "true", "false", "[]", "{}"]);
    let leaf = prop_oneof![
        8 => numbers(),
        2 => texts.prop_map(str::to_owned),
        1 => words.prop_map(str::to_owned),
    ];
    let keys = prop::sample::select(vec![r#""a""#, r#""a""#, r#""1.0""#, r#""1.00""#]);
    let composed = leaf.prop_recursive(2, 4, 2, move |inner| {
        let members = prop::collection::vec((keys.clone(), inner.clone()), 1..3);
        prop_oneof![
            prop::collection::vec(inner, 1..3).prop_map(|all| format!("[{}]", all.join(","))),
            members.prop_map(|all| {
                let members: Vec<_> = all.iter().map(|(k, v)| format!("{k} :{v}")).collect();
                format!("{{{}}}", members.join(" , "))
            }),
        ]
    });
    prop_oneof![numbers(), composed].boxed()
}

#[tokio::test]
async fn documents_are_equal_as_the_server_says() {
    agrees(LogicalType::Jsonb, documents()).await;
}

fn chosen(texts: &'static [&'static str]) -> BoxedStrategy<String> {
    prop::sample::select(texts).prop_map(str::to_owned).boxed()
}

#[tokio::test]
async fn numbers_are_equal_as_the_server_says() {
    let specials: &'static [&'static str] = match since(140_000).await {
        true => &["NaN", "nan", "Infinity", "-inf"],
        false => &["NaN", "nan"],
    };
    let written = prop_oneof![
        8 => numbers(),
        1 => chosen(specials),
        1 => chosen(&["1e-20", "100000000", "1e8", "1.0e8", "12345678.9000", "1e1000"]),
    ];
    agrees(LogicalType::NumericAny, written.boxed()).await;
    let fixed = LogicalType::Numeric {
        precision: 8,
        scale: 2,
    };
    agrees(fixed, numbers()).await;
}

#[tokio::test]
async fn floats_are_equal_as_the_server_says() {
    let rare = chosen(&[
        "NaN",
        "-NaN",
        "Infinity",
        "-Infinity",
        "0",
        "-0",
        "-0.0",
        "0e0",
        "1e-30",
        "0.1",
        "0.10",
        "0.100000001",
        "0.1000000000000000055",
        "16777216",
        "16777217",
        "-1e-5",
        "-0.00001",
    ]);
    let written = prop_oneof![2 => numbers(), 1 => rare].boxed();
    agrees(LogicalType::Float8, written.clone()).await;
    agrees(LogicalType::Float4, written).await;
}

#[tokio::test]
async fn intervals_are_equal_as_the_server_says() {
    let months = chosen(&[
        "0 mons",
        "1 mon",
        "1 year",
        "12 mons",
        "-1 mons",
        "2 mons",
        "178000000 years",
        "-178000000 years",
    ]);
    let days = chosen(&[
        "0 days", "1 day", "30 days", "-30 days", "60 days", "360 days",
    ]);
    let time = chosen(&[
        "00:00",
        "24:00:00",
        "-24:00:00",
        "12:00",
        "0:0:0.000001",
        "-0:0:0.000001",
        "720:00:00",
        "-720:00:00",
    ]);
    let intervals =
        (months, days, time).prop_map(|(months, days, time)| format!("{months} {days} {time}"));
    // The infinite ones are longer and shorter than the longest and the shortest that are not.
    let ends: &'static [&'static str] = match since(170_000).await {
        true => &[
            "infinity",
            "-infinity",
            "178956970 years 7 mons 2147483647 days",
        ],
        false => &["178956970 years 7 mons 2147483647 days"],
    };
    let intervals = prop_oneof![8 => intervals, 1 => chosen(ends)];
    agrees(interval(), intervals.boxed()).await;
}

/// `interval`, as the catalog has it.
fn interval() -> LogicalType {
    LogicalType::from_oid(1186, -1).expect("interval")
}

#[tokio::test]
async fn blanks_count_as_the_server_says() {
    let texts = || {
        let body = chosen(&["", "a", "A", "ab", "a b", " a", "é", "e\u{301}", "a\t"]);
        let blanks = chosen(&["", " ", "  ", "\n", " \t"]);
        (body, blanks)
            .prop_map(|(body, blanks)| body + &blanks)
            .boxed()
    };
    agrees(LogicalType::Char(None), texts()).await;
    agrees(LogicalType::Char(Some(4)), texts()).await;
    agrees(LogicalType::Text, texts()).await;
}

/// Where PostgreSQL's equality is identity, with every form of writing the same.
#[tokio::test]
async fn times_and_networks_are_equal_as_the_server_says() {
    let times = chosen(&[
        "12:00:00+02",
        "11:00:00+01",
        "12:00+02:00",
        "10:00:00Z",
        "10:00:00+00",
        "12:00:00.000000+02",
        "24:00:00+00",
        "00:00:00+00",
        "23:59:59.9999999+00",
    ]);
    agrees(LogicalType::Timetz(None), times).await;
    let times = chosen(&[
        "12:00",
        "12:00:00.0",
        "24:00",
        "00:00",
        "12:00:00.0000004",
        "11:59:60",
    ]);
    agrees(LogicalType::Time(None), times).await;
    let networks = chosen(&[
        "10.0.0.1",
        "10.0.0.1/32",
        "10.0.0.1/8",
        "10.0.0.0/8",
        "::1",
        "::1/128",
        "0::1",
        "::ffff:10.0.0.1",
        "10.1.0.0/16",
    ]);
    agrees(LogicalType::Inet, networks).await;
}

#[tokio::test]
async fn other_types_are_equal_as_the_server_says() {
    let addresses = chosen(&[
        "08:00:2b:01:02:03",
        "08-00-2b-01-02-03",
        "0800.2b01.0203",
        "08002b010204",
    ]);
    agrees(LogicalType::Macaddr, addresses).await;
    agrees(
        LogicalType::Int8,
        chosen(&["1", "01", "+1", " 1 ", "-1", "-0", "0"]),
    )
    .await;
    agrees(
        LogicalType::Bool,
        chosen(&["t", "true", "yes", "1", "f", "no", "off"]),
    )
    .await;
    agrees(
        LogicalType::Bytea,
        chosen(&["\\x61", "a", "\\141", "", "\\x", "\\x6162"]),
    )
    .await;
    let instants = chosen(&[
        "2024-01-01 00:00+00",
        "2024-01-01 01:00+01",
        "2023-12-31 24:00Z",
        "infinity",
        "-infinity",
        "2024-01-01 00:00:00.0000001+00",
        "January 1, 2024 00:00 UTC",
    ]);
    agrees(LogicalType::Timestamptz(None), instants).await;
    let ids = chosen(&[
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
        "{a0eebc999c0b4ef8bb6d6bb9bd380a11}",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12",
    ]);
    agrees(LogicalType::Uuid, ids).await;
}

/// Arrays of few different elements: empty, with NULLs, with other bounds.
fn arrays(elements: BoxedStrategy<String>) -> BoxedStrategy<String> {
    let element = prop::option::weighted(0.8, elements.prop_map(String::into_bytes));
    let lower = prop::sample::select(vec![1, 1, 1, 0, -1, 2]);
    (prop::collection::vec(element, 0..3), lower)
        .prop_map(|(elements, lower)| {
            let text = String::from_utf8(array::to_text(&elements)).expect("a text");
            let last = lower + elements.len() as i64 - 1;
            match elements.is_empty() || lower == 1 {
                true => text,
                false => format!("[{lower}:{last}]={text}"),
            }
        })
        .boxed()
}

async fn arrays_agree(element: LogicalType, elements: BoxedStrategy<String>) {
    let array = ArrayType {
        oid: element.array_oid(),
        element_oid: element.oid(),
        element,
    };
    let array = LogicalType::Array(array.keep().expect("few types"));
    agrees(array, arrays(elements)).await;
}

#[tokio::test]
async fn arrays_are_equal_as_the_server_says() {
    let scaled = LogicalType::Numeric {
        precision: 8,
        scale: 2,
    };
    let written = || chosen(&["0", "-0.0", "1", "1.0", "1e0", "1.5", "1.50", "NaN", "nan"]);
    arrays_agree(LogicalType::NumericAny, written()).await;
    arrays_agree(scaled, written()).await;
    arrays_agree(LogicalType::Float8, written()).await;
    arrays_agree(LogicalType::Float4, written()).await;
    let lengths = chosen(&[
        "1 mon",
        "30 days",
        "29 days 24:00",
        "1 day",
        "24:00",
        "-1 mon",
    ]);
    arrays_agree(interval(), lengths).await;
    let texts = || chosen(&["a", "a ", "a  ", "", " ", "A", "NULL", "a\"", "{}"]);
    arrays_agree(LogicalType::Char(None), texts()).await;
    arrays_agree(LogicalType::Char(Some(3)), texts()).await;
    arrays_agree(LogicalType::Text, texts()).await;
    let documents = chosen(&["1", "1.0", "{\"a\": 1.0}", "{\"a\":1.00}", "[]", "\"1.0\""]);
    arrays_agree(LogicalType::Jsonb, documents).await;
    let instants = chosen(&["2024-01-01 00:00+00", "2024-01-01 01:00+01", "infinity"]);
    arrays_agree(LogicalType::Timestamptz(None), instants).await;
}

/// In a database whose LC_CTYPE is C: letters beyond ASCII count as they are.
#[tokio::test]
async fn letters_case_counts_as_the_server_says() {
    let citext = NamedType {
        oid: 70_000,
        array_oid: 70_001,
        sql: "public.citext".to_owned(),
        labels: Vec::new(),
    };
    let citext = LogicalType::Citext(citext.keep().expect("few types"));
    let texts = || {
        let piece = chosen(&[
            "a", "A", "b", "B", "z", "Z", "@", "[", "`", "{", "É", "é", "İ", "i", "I", "ı", "Σ",
            "ς", "σ", "ß", "ẞ", "K", "k", "ǅ", "Ǆ", "ﬁ", "ФИ", "фи", "𐐀", "𐐨", " ",
        ]);
        prop::collection::vec(piece, 0..3)
            .prop_map(|pieces| pieces.concat())
            .boxed()
    };
    agrees(citext, texts()).await;
    arrays_agree(citext, chosen(&["a", "A", "É", "é", "i", "I", "İ"])).await;
}

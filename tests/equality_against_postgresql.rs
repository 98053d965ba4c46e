//! Comparison terms against a real PostgreSQL: over every pair of many generated values of a type, two heads are equal
//! exactly where the server says that the values are, and so are the normal forms.

mod support;

use pgveil::ident::{DomainName, KeyVersion};
use pgveil::keyring::{KdfParameters, Keyring, Passphrase, create_with};
use pgveil::seal::{Binding, Comparison, HEAD_BYTES, Sealer};
use pgveil::types::{Equality, LogicalType, TextSettings, from_text, normal};
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

/// Pairs of places whose values PostgreSQL calls equal.
async fn equal_to_the_server(logical: LogicalType, texts: &[String]) -> BTreeSet<(i64, i64)> {
    let database = support::create_database(support::cluster()).await;
    let client = support::connect(&support::cluster().superuser_url(&database)).await;
    let ty = logical.sql();
    let sql = format!(
        "WITH v AS (SELECT x::{ty} AS x, n FROM unnest($1::text[]) WITH ORDINALITY AS u (x, n)) \
         SELECT a.n, b.n FROM v a, v b WHERE a.x = b.x"
    );
    let rows = client.query(&sql, &[&texts]).await.expect("comparisons");
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

async fn agrees(logical: LogicalType, texts: BoxedStrategy<String>) {
    assert_eq!(logical.equality(), Equality::NeedsTerm);
    let texts = generated(&texts);
    let (_folder, keyring) = keyring();
    let keys = keyring.domain(&DomainName::new("d")).expect("a domain");
    let binding = Binding {
        class: logical.class(),
        attribute: None,
        comparison: Comparison::Heads,
    };
    let sealer = Sealer::new(keys, binding).expect("a sealer");
    assert_eq!(sealer.version(), KeyVersion(1));
    let canonical: Vec<Vec<u8>> = texts
        .iter()
        .map(|text| from_text(logical, text.as_bytes(), &TextSettings::default()).expect("a value"))
        .collect();
    let sealed: Vec<Vec<u8>> = canonical
        .iter()
        .map(|value| sealer.seal(value).expect("sealed"))
        .collect();
    let server = equal_to_the_server(logical, &texts).await;
    let (mut equal, mut differently_written) = (0, 0);
    for (i, one) in (1i64..).zip(0..texts.len()) {
        let head = sealer.seal_compared(&canonical[one]).expect("a head");
        assert_eq!(head, sealed[one][..HEAD_BYTES]);
        for (j, other) in (1i64..).zip(0..texts.len()) {
            let expected = server.contains(&(i, j));
            let what = format!("{logical:?}: {:?} and {:?}", texts[one], texts[other]);
            let normals =
                [one, other].map(|n| normal(logical.class(), &canonical[n]).expect("known"));
            assert_eq!(normals[0] == normals[1], expected, "{what}");
            assert_eq!(head == sealed[other][..HEAD_BYTES], expected, "{what}");
            equal += usize::from(expected && i != j);
            differently_written += usize::from(expected && canonical[one] != canonical[other]);
        }
    }
    println!("{logical:?}: {equal} equal pairs, {differently_written} of them written differently");
    assert!(
        differently_written > 100,
        "the values do not try what they are for"
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

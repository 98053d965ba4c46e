//! Every mask in both its forms over generated values: what Rust gives and what PostgreSQL gives are the same
//! bytes, of the same type, modifier and collation, under hostile settings and a hostile `search_path`.

mod support;

use std::error::Error;

use bytes::BytesMut;
use pgveil::mask::{Generalise, Mask};
use pgveil::types::{self, LogicalType, NamedType, ServerVersion, TextSettings};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::string::string_regex;
use proptest::test_runner::TestRunner;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type};

/// Values a type is tried with.
const VALUES: usize = 1500;

/// A value in PostgreSQL's send format, whatever its type.
#[derive(Debug, Clone, PartialEq)]
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

impl<'a> FromSql<'a> for Sent {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(raw.to_vec()))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// Pieces that texts are put together from: every script, class and trap that a mask looks at.
const PIECES: &[&str] = &[
    "a",
    "B",
    "z",
    "Anna",
    "Müller",
    "O'Neil",
    "\\",
    "'",
    "\"",
    "$1",
    "%",
    "_",
    "@",
    "@",
    "@@",
    ".",
    "-",
    "+",
    "(",
    ")",
    "/",
    "#",
    "0",
    "1",
    "23",
    "456",
    "7890",
    "0123456789",
    "０",
    "９",
    "٣",
    "۹",
    "९",
    "²",
    "½",
    " ",
    " ",
    "  ",
    "\t",
    "\n",
    "\r\n",
    "\u{b}",
    "\u{85}",
    "\u{a0}",
    "\u{2003}",
    "\u{200b}",
    "\u{3000}",
    "王",
    "小",
    "明",
    "欧阳",
    "歐陽",
    "司马",
    "上官",
    "諸葛",
    "남궁",
    "김",
    "철수",
    "田中",
    "さ",
    "カ",
    "〇",
    "々",
    "𠮷",
    "é",
    "e\u{301}",
    "\u{301}",
    "👩‍👩‍👧",
    "🙂",
    "ß",
    "İ",
    "ı",
    "ﬁ",
    "\u{feff}",
    "\u{10ffff}",
    "\u{e000}",
    "\u{7f}",
    "\u{1}",
    "ร",
    "ש",
    "ع",
];

fn texts(characters_max: usize) -> BoxedStrategy<Vec<u8>> {
    let any = prop::collection::vec(select(PIECES), 0..12).prop_map(|pieces| pieces.concat());
    let phone = "\\+?[0-9]{0,3}[ ()-]{0,2}[0-9]{2,5}[ -]?[0-9]{0,7}( x[0-9])?";
    let email = "[a-zäñ.+]{0,10}@{0,2}[a-z]{0,10}(\\.[a-z]{2,3})?";
    // Card and identity numbers, and what is nearly one.
    let number = "[0-9]{6} ?(19|20)?[0-9]{9,12}[0-9Xx]?\n?";
    let card = "[0-9]{3,4}([ -]?[0-9]{3,4}){2,4}[ -]{0,2}[0-9]{0,4}";
    let long = (select(PIECES), 1..3000usize).prop_map(|(piece, times)| piece.repeat(times));
    prop_oneof![6 => any, 2 => number, 2 => card, 2 => "\\PC{0,20}", 2 => phone, 2 => email, 1 => long]
        .prop_map(move |text| {
            let cut: String = text.chars().take(characters_max).collect();
            cut.into_bytes()
        })
        .boxed()
}

/// The earliest and the latest date, in days since 2000-01-01.
const DAYS: [i32; 2] = [-2_451_545, 2_145_031_948];

fn days() -> BoxedStrategy<i32> {
    prop_oneof![
        4 => -40_000..40_000i32,
        1 => DAYS[0]..-2_447_000i32,
        1 => -740_000..-720_000i32,
        1 => DAYS[0]..=DAYS[1],
        1 => select(vec![i32::MIN, i32::MAX, DAYS[0], DAYS[1], 0, -1, 59, 60]),
    ]
    .boxed()
}

/// The earliest and the latest timestamp, in microseconds since 2000-01-01 (PostgreSQL: END_TIMESTAMP - 1).
const MICROSECONDS: [i64; 2] = [-211_813_488_000_000_000, 9_223_371_331_199_999_999];

fn microseconds() -> BoxedStrategy<i64> {
    let at = |(day, us): (i32, i64)| i64::from(day) * 86_400_000_000 + us;
    let time = || 0..86_400_000_000i64;
    prop_oneof![
        6 => (-40_000..40_000i32, time()).prop_map(at),
        1 => (DAYS[0]..-2_447_000i32, time()).prop_map(at),
        1 => MICROSECONDS[0]..=MICROSECONDS[1],
        1 => select(vec![i64::MIN, i64::MAX, MICROSECONDS[0], MICROSECONDS[1], 0, -1]),
    ]
    .boxed()
}

fn integers(lowest: i64, highest: i64) -> BoxedStrategy<Vec<u8>> {
    prop_oneof![
        3 => -5000..5000i64,
        2 => lowest..=highest,
        1 => select(vec![lowest, highest, lowest + 1, 0, -1]),
    ]
    .prop_map(|value| value.to_be_bytes().to_vec())
    .boxed()
}

fn numerics(precision: u16, scale: u16) -> BoxedStrategy<String> {
    let digits = usize::from(precision);
    let nines = "9".repeat(digits);
    prop_oneof![
        6 => string_regex(&format!("-?[0-9]{{1,{digits}}}")).expect("a pattern"),
        2 => string_regex(&format!("-?[0-9]{{1,{}}}", digits.min(3))).expect("a pattern"),
        1 => select(vec!["0".to_owned(), nines.clone(), format!("-{nines}"), "NaN".to_owned()]),
    ]
    .prop_map(move |digits| {
        if digits == "NaN" {
            digits
        } else {
            format!("{digits}e-{scale}")
        }
    })
    .boxed()
}

fn read(ty: LogicalType, text: &str) -> Vec<u8> {
    let settings = TextSettings::default();
    let canonical = types::from_text(ty, text.as_bytes(), &settings).expect("a value");
    types::coerce(ty, canonical, false, ServerVersion::default()).expect("a value of the type")
}

/// Canonical values of a type.
fn values(ty: LogicalType) -> BoxedStrategy<Vec<u8>> {
    match ty {
        LogicalType::Text | LogicalType::Varchar(None) => texts(usize::MAX),
        LogicalType::Varchar(Some(n)) => texts(n as usize),
        LogicalType::Citext(_) => texts(usize::MAX),
        LogicalType::Char(limit) => texts(limit.unwrap_or(u32::MAX) as usize)
            .prop_map(move |text| {
                types::coerce(ty, text, true, ServerVersion::default()).expect("a text")
            })
            .boxed(),
        LogicalType::Enum(named) => select(named.labels.clone())
            .prop_map(String::into_bytes)
            .boxed(),
        LogicalType::Date => days().prop_map(|day| day.to_be_bytes().to_vec()).boxed(),
        LogicalType::Timestamp(_) | LogicalType::Timestamptz(_) => microseconds()
            .prop_map(move |us| {
                let us = us.to_be_bytes().to_vec();
                // Rounding carries the last moments out of range.
                types::coerce(ty, us, false, ServerVersion::default())
                    .unwrap_or_else(|_| vec![0; 8])
            })
            .boxed(),
        LogicalType::Int4 => integers(i32::MIN.into(), i32::MAX.into()),
        LogicalType::Int8 => integers(i64::MIN, i64::MAX),
        LogicalType::Numeric { precision, scale } => numerics(precision, scale.unsigned_abs())
            .prop_map(move |text| read(ty, &text))
            .boxed(),
        LogicalType::Bool => any::<bool>().prop_map(|b| vec![u8::from(b)]).boxed(),
        LogicalType::Uuid => any::<[u8; 16]>().prop_map(|id| id.to_vec()).boxed(),
        LogicalType::Bytea => prop::collection::vec(any::<u8>(), 0..20).boxed(),
        LogicalType::Jsonb => select(vec!["1", "{\"a\": [null, \"b\"]}", "\"x\""])
            .prop_map(move |text| read(ty, text))
            .boxed(),
        other => panic!("no values of {} are made here", other.sql()),
    }
}

/// What PostgreSQL receives and sends for a canonical value.
fn sent(ty: LogicalType, canonical: &[u8]) -> Sent {
    Sent(types::to_binary(ty, canonical, ServerVersion::default()).expect("a canonical value"))
}

fn masks(ty: LogicalType) -> Vec<Mask> {
    let partial = |first, last, with| Mask::Partial { first, last, with };
    let bucket = |width: &str| Mask::Generalise(Generalise::Bucket(width.to_owned()));
    let constant = |text: &str| Mask::Constant(text.to_owned());
    let mut masks = vec![
        Mask::Redact,
        partial(0, 0, '*'),
        partial(1, 2, '*'),
        partial(0, 4, '•'),
        partial(3, 0, '\''),
        partial(2, 2, '\\'),
        partial(1, 0, ' '),
        partial(10_485_760, 10_485_760, '*'),
        Mask::Email,
        Mask::Phone,
        Mask::Name,
        Mask::IdNumber,
        Mask::BankCard,
        Mask::Generalise(Generalise::Year),
        Mask::Generalise(Generalise::Month),
        Mask::Generalise(Generalise::Decade),
    ];
    let widths = [
        "1",
        "7",
        "1000",
        "2147483647",
        "9223372036854775807",
        "0.05",
        "2.5",
        "99999",
    ];
    masks.extend(widths.map(bucket));
    let texts = [
        "",
        "hidden",
        "o'cl\\ock",
        "42",
        "-1.50",
        "2001-02-03",
        "0044-03-15 BC",
        "infinity",
        "t",
        "隐",
        "{\"b\": 1.50, \"a\": \"\\n\"}",
        "\\x00ff",
        "00000000-0000-0000-0000-00000000000a",
    ];
    masks.extend(texts.map(constant));
    masks.retain(|mask| mask.fits(ty).is_ok());
    masks
}

/// Sessions that a client may have.
const SETTINGS: &[&str] = &[
    "SET search_path = pg_catalog",
    "SET standard_conforming_strings = off; SET backslash_quote = on; SET search_path = hostile, pg_catalog;
     SET DateStyle = 'SQL, DMY'; SET TimeZone = 'Pacific/Apia'; SET IntervalStyle = 'sql_standard';
     SET bytea_output = 'escape'",
];

/// Whatever a mask might name without its schema gives something else here.
const HOSTILE: &str = r#"
    CREATE SCHEMA hostile;
    CREATE FUNCTION hostile."left"(text, int) RETURNS text LANGUAGE sql AS $$ SELECT 'hostile' $$;
    CREATE FUNCTION hostile."right"(text, int) RETURNS text LANGUAGE sql AS $$ SELECT 'hostile' $$;
    CREATE FUNCTION hostile.char_length(text) RETURNS int LANGUAGE sql AS $$ SELECT 1 $$;
    CREATE FUNCTION hostile.mod(numeric, numeric) RETURNS numeric LANGUAGE sql AS $$ SELECT 1.0 $$;
    CREATE FUNCTION hostile.concat(text, text) RETURNS text LANGUAGE sql AS $$ SELECT 'hostile' $$;
    CREATE FUNCTION hostile.arithmetic(int, int) RETURNS int LANGUAGE sql AS $$ SELECT 7 $$;
    CREATE FUNCTION hostile.truth(int, int) RETURNS bool LANGUAGE sql AS $$ SELECT true $$;
    CREATE FUNCTION hostile.truth(text, text) RETURNS bool LANGUAGE sql AS $$ SELECT true $$;
    CREATE OPERATOR hostile.|| (LEFTARG = text, RIGHTARG = text, FUNCTION = hostile.concat);
    CREATE OPERATOR hostile.- (LEFTARG = int, RIGHTARG = int, FUNCTION = hostile.arithmetic);
    CREATE OPERATOR hostile.+ (LEFTARG = int, RIGHTARG = int, FUNCTION = hostile.arithmetic);
    CREATE OPERATOR hostile.< (LEFTARG = int, RIGHTARG = int, FUNCTION = hostile.truth);
    CREATE OPERATOR hostile.<= (LEFTARG = int, RIGHTARG = int, FUNCTION = hostile.truth);
    CREATE OPERATOR hostile.>= (LEFTARG = int, RIGHTARG = int, FUNCTION = hostile.truth);
    CREATE OPERATOR hostile.~ (LEFTARG = text, RIGHTARG = text, FUNCTION = hostile.truth);
    CREATE DOMAIN hostile.text AS pg_catalog.int4;
    CREATE DOMAIN hostile.date AS pg_catalog.int4;
    CREATE COLLATION hostile."C" FROM pg_catalog."POSIX";
    CREATE EXTENSION citext SCHEMA public;
    CREATE TYPE public."Mood" AS ENUM ('hidden', '42', 'o''cl\ock', '隐', 'so so');
    CREATE COLLATION public.nondeterministic (PROVIDER = icu, LOCALE = 'und-u-ks-level1', DETERMINISTIC = false);
"#;

struct Table {
    client: tokio_postgres::Client,
    ty: LogicalType,
    values: Vec<Vec<u8>>,
}

impl Table {
    /// A table with a column `c` of the type, filled with generated values and one NULL.
    async fn new(database: &str, ty: LogicalType, collation: &str) -> Self {
        let client = support::connect(&support::cluster().superuser_url(database)).await;
        let column = ty.sql();
        client
            .batch_execute(&format!(
                "CREATE TABLE public.v (id int, c {column} {collation})"
            ))
            .await
            .expect("a table");
        let mut runner = TestRunner::deterministic();
        let strategy = values(ty);
        let values: Vec<Vec<u8>> = (0..VALUES)
            .map(|_| strategy.new_tree(&mut runner).expect("a value").current())
            .collect();
        let insert = client
            .prepare("INSERT INTO public.v VALUES ($1, $2)")
            .await
            .expect("prepared");
        client.batch_execute("BEGIN").await.expect("begun");
        for (id, value) in values.iter().enumerate() {
            let id = i32::try_from(id).expect("few");
            let value = sent(ty, value);
            client
                .execute(&insert, &[&id, &value])
                .await
                .expect("inserted");
        }
        client
            .batch_execute("INSERT INTO public.v VALUES (-1, NULL); COMMIT")
            .await
            .expect("committed");
        Self { client, ty, values }
    }

    async fn compare(&self, mask: &Mask) {
        let sql = mask.sql(self.ty, "t.c").expect("an SQL form");
        let rows = self
            .client
            .query(&format!("SELECT t.id, {sql} AS c FROM public.v AS t"), &[])
            .await
            .unwrap_or_else(|fault| panic!("{mask:?} on {:?}: {fault:?}\n{sql}", self.ty));
        assert_eq!(rows.len(), self.values.len() + 1);
        for row in rows {
            let id: i32 = row.get(0);
            let given: Option<Sent> = row.get(1);
            let Ok(id) = usize::try_from(id) else {
                assert_eq!(given, None, "{mask:?}: NULL stays NULL");
                continue;
            };
            let value = &self.values[id];
            let masked = mask.apply(self.ty, value, None).expect("a mask that fits");
            let masked = sent(self.ty, &masked);
            assert_eq!(
                given,
                Some(masked.clone()),
                "{mask:?} on {:?} of {:?} {value:?}: {:?}, in PostgreSQL {:?}",
                self.ty,
                String::from_utf8_lossy(value),
                String::from_utf8_lossy(&masked.0),
                given.as_ref().map(|sent| String::from_utf8_lossy(&sent.0)),
            );
        }
        self.compare_type(mask, &sql).await;
    }

    /// Type, modifier and collation of the masked column are those of the column.
    async fn compare_type(&self, mask: &Mask, sql: &str) {
        let create =
            format!("CREATE TABLE public.m AS SELECT {sql} AS c FROM public.v AS t LIMIT 0");
        self.client
            .batch_execute(&create)
            .await
            .expect("a table of the masked column");
        let differing = self
            .client
            .query(
                "SELECT 1 FROM pg_catalog.pg_attribute AS v, pg_catalog.pg_attribute AS m
                 WHERE v.attrelid = 'public.v'::pg_catalog.regclass AND v.attname = 'c'
                 AND m.attrelid = 'public.m'::pg_catalog.regclass AND m.attname = 'c'
                 AND (v.atttypid, v.atttypmod, v.attcollation) <> (m.atttypid, m.atttypmod, m.attcollation)",
                &[],
            )
            .await
            .expect("a comparison");
        assert!(differing.is_empty(), "{mask:?} changes {:?}", self.ty);
        self.client
            .batch_execute("DROP TABLE public.m")
            .await
            .expect("dropped");
    }
}

async fn try_type(ty: LogicalType, collation: &str) {
    let database = support::create_database(support::cluster()).await;
    let setup = support::connect(&support::cluster().superuser_url(&database)).await;
    setup.batch_execute(HOSTILE).await.expect("set up");
    let table = Table::new(&database, ty, collation).await;
    let masks = masks(ty);
    assert!(!masks.is_empty());
    for settings in SETTINGS {
        table
            .client
            .batch_execute(settings)
            .await
            .expect("settings");
        for mask in &masks {
            table.compare(mask).await;
        }
    }
}

#[tokio::test]
async fn text() {
    try_type(LogicalType::Text, "").await;
}

#[tokio::test]
async fn text_of_another_collation() {
    try_type(LogicalType::Text, "COLLATE \"en-x-icu\"").await;
    try_type(
        LogicalType::Varchar(None),
        "COLLATE public.nondeterministic",
    )
    .await;
}

#[tokio::test]
async fn varchar() {
    try_type(LogicalType::Varchar(Some(5)), "").await;
    try_type(LogicalType::Varchar(Some(40)), "").await;
}

#[tokio::test]
async fn char_padded_and_not() {
    try_type(LogicalType::Char(Some(5)), "").await;
    try_type(LogicalType::Char(Some(40)), "COLLATE \"en-x-icu\"").await;
    try_type(LogicalType::Char(None), "").await;
}

fn named(sql: &str, labels: &[&str]) -> &'static NamedType {
    let named = NamedType {
        oid: 0,
        array_oid: 0,
        sql: sql.to_owned(),
        labels: labels.iter().map(ToString::to_string).collect(),
    };
    named.keep().expect("few types")
}

#[tokio::test]
async fn citext_is_masked_as_text() {
    let citext = LogicalType::Citext(named("public.citext", &[]));
    try_type(citext, "").await;
    try_type(citext, "COLLATE \"en-x-icu\"").await;
}

#[tokio::test]
async fn an_enum_is_masked_by_its_labels() {
    let labels = ["hidden", "42", "o'cl\\ock", "隐", "so so"];
    let mood = LogicalType::Enum(named("public.\"Mood\"", &labels));
    assert_eq!(masks(mood).len(), 4, "{:?}", masks(mood));
    try_type(mood, "").await;
}

#[tokio::test]
async fn dates_and_times() {
    try_type(LogicalType::Date, "").await;
    try_type(LogicalType::Timestamp(None), "").await;
    try_type(LogicalType::Timestamptz(None), "").await;
}

#[tokio::test]
async fn integers_of_both_widths() {
    try_type(LogicalType::Int4, "").await;
    try_type(LogicalType::Int8, "").await;
}

#[tokio::test]
async fn numerics_of_several_scales() {
    for (precision, scale) in [(10, 2), (3, 0), (2, 2), (40, 5), (1000, 500)] {
        try_type(LogicalType::Numeric { precision, scale }, "").await;
    }
}

#[tokio::test]
async fn times_with_a_precision() {
    try_type(LogicalType::Timestamp(Some(0)), "").await;
    try_type(LogicalType::Timestamptz(Some(3)), "").await;
}

#[tokio::test]
async fn types_that_only_a_constant_masks() {
    for ty in [
        LogicalType::Bool,
        LogicalType::Uuid,
        LogicalType::Bytea,
        LogicalType::Jsonb,
    ] {
        try_type(ty, "").await;
    }
}

//! Every type of `pgveil::types` against a real PostgreSQL: what it prints, what it sends, what it refuses and how.
//!
//! Hundreds of written inputs and thousands of generated ones a type. pgveil may say 0A000 where PostgreSQL takes
//! a value; anything else must be the same, byte for byte and SQLSTATE for SQLSTATE.

mod inputs;
mod more;
#[path = "../support/mod.rs"]
mod support;

use std::error::Error;
use std::fmt::Write as _;

use bytes::BytesMut;
use pgveil::types::{
    self, DateStyle, Declared, IntervalFields, IntervalStyle, LogicalType, ServerVersion,
    SessionZone, Target, TextSettings, ValueFault, array,
};
use tokio::sync::OnceCell;
use tokio_postgres::Client;
use tokio_postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};

/// What both sides say of an input: the text printed and the bytes sent, or a SQLSTATE.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    Value { text: String, sent: String },
    Fault(String),
}

/// A dice with a seed: the same cases at every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(high).expect("31 bits") % sides
    }

    fn pick<'p>(&mut self, pool: &[&'p str]) -> &'p str {
        pool[self.roll(pool.len())]
    }

    /// Up to `most` pieces, joined.
    fn join(&mut self, pieces: &[&str], between: &[&str], most: usize) -> String {
        let mut text = self.pick(pieces).to_owned();
        for _ in 0..self.roll(most) {
            text.push_str(self.pick(between));
            text.push_str(self.pick(pieces));
        }
        text
    }
}

const SETUP: &str = "
CREATE FUNCTION probe(value text, type_name text, send text) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE shown text; sent bytea;
BEGIN
    EXECUTE format('SELECT format(''%%s'', v), %s(v) FROM (SELECT $1::%s AS v) AS q', send, type_name)
        INTO shown, sent USING value;
    RETURN ARRAY['', shown, encode(sent, 'hex')];
EXCEPTION WHEN OTHERS THEN
    RETURN ARRAY[SQLSTATE, '', ''];
END $$;
CREATE TABLE assigned (v varchar(5));
CREATE FUNCTION probe_assign(value text) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE shown text;
BEGIN
    INSERT INTO assigned VALUES (value) RETURNING v INTO shown;
    RETURN ARRAY['', shown, encode(textsend(shown), 'hex')];
EXCEPTION WHEN OTHERS THEN
    RETURN ARRAY[SQLSTATE, '', ''];
END $$;";

async fn database() -> Client {
    let cluster = support::cluster();
    let name = support::create_database(cluster).await;
    let client = support::connect(&cluster.superuser_url(&name)).await;
    client.batch_execute(SETUP).await.expect("the probes");
    VERSION.get_or_init(|| support::version(&client)).await;
    client
}

/// The version of the server that every test of this binary asks.
static VERSION: OnceCell<i32> = OnceCell::const_new();

/// The settings of a session that has set none.
fn defaults() -> TextSettings {
    TextSettings {
        version: ServerVersion::numbered(version().unsigned_abs()),
        ..TextSettings::default()
    }
}

fn version() -> i32 {
    *VERSION.get().expect("a database was made")
}

fn since(major: i32) -> bool {
    version() >= major * 10_000
}

async fn set(client: &Client, settings: &TextSettings) {
    let sql = format!(
        "SET DateStyle = '{}'; SET TimeZone = '{}'; SET IntervalStyle = '{}'; SET extra_float_digits = {}; \
         SET bytea_output = '{}'",
        settings.date_style,
        settings.time_zone,
        style_name(settings.interval_style),
        settings.extra_float_digits,
        if settings.bytea_escaped {
            "escape"
        } else {
            "hex"
        }
    );
    client.batch_execute(&sql).await.expect("the settings");
}

fn style_name(style: IntervalStyle) -> &'static str {
    match style {
        IntervalStyle::Postgres | IntervalStyle::Unknown => "postgres",
        IntervalStyle::PostgresVerbose => "postgres_verbose",
        IntervalStyle::SqlStandard => "sql_standard",
        IntervalStyle::Iso8601 => "iso_8601",
    }
}

fn answer_of(row: &[String]) -> Answer {
    match row {
        [sqlstate, text, sent] if sqlstate.is_empty() => Answer::Value {
            text: text.clone(),
            sent: sent.clone(),
        },
        row => Answer::Fault(row.first().cloned().unwrap_or_default()),
    }
}

async fn theirs(client: &Client, logical: LogicalType, inputs: &[String]) -> Vec<Answer> {
    let send = send_function(logical);
    let sql = "SELECT probe(value, $2, $3) FROM unnest($1::text[]) WITH ORDINALITY AS u(value, n) ORDER BY n";
    let rows = client
        .query(sql, &[&inputs, &logical.sql(), &send])
        .await
        .expect("the probes' answers");
    rows.iter()
        .map(|row| answer_of(&row.get::<_, Vec<String>>(0)))
        .collect()
}

fn send_function(logical: LogicalType) -> &'static str {
    match logical {
        LogicalType::Text => "textsend",
        LogicalType::Varchar(_) => "varcharsend",
        LogicalType::Char(_) => "bpcharsend",
        LogicalType::Citext(_) => "citextsend",
        LogicalType::Enum(_) => "enum_send",
        LogicalType::Int2 => "int2send",
        LogicalType::Int4 => "int4send",
        LogicalType::Int8 => "int8send",
        LogicalType::Float4 => "float4send",
        LogicalType::Float8 => "float8send",
        LogicalType::Numeric { .. } | LogicalType::NumericAny => "numeric_send",
        LogicalType::Bool => "boolsend",
        LogicalType::Date => "date_send",
        LogicalType::Time(_) => "time_send",
        LogicalType::Timetz(_) => "timetz_send",
        LogicalType::Timestamp(_) => "timestamp_send",
        LogicalType::Timestamptz(_) => "timestamptz_send",
        LogicalType::Interval(_) => "interval_send",
        LogicalType::Inet => "inet_send",
        LogicalType::Cidr => "cidr_send",
        LogicalType::Macaddr => "macaddr_send",
        LogicalType::Uuid => "uuid_send",
        LogicalType::Bytea => "byteasend",
        LogicalType::Json => "json_send",
        LogicalType::Jsonb => "jsonb_send",
        LogicalType::Array(_) => "array_send",
    }
}

fn printed(
    logical: LogicalType,
    canonical: &[u8],
    settings: &TextSettings,
) -> Result<Answer, ValueFault> {
    let text = types::to_text(logical, canonical, settings)?;
    let sent = types::to_binary(logical, canonical, settings.version)?;
    Ok(Answer::Value {
        text: String::from_utf8(text).expect("printed text is UTF-8"),
        sent: hex::encode(sent),
    })
}

fn ours(logical: LogicalType, input: &[u8], settings: &TextSettings) -> Answer {
    types::from_text(logical, input, settings)
        .and_then(|canonical| types::coerce(logical, canonical, true, settings.version))
        .and_then(|canonical| printed(logical, &canonical, settings))
        .unwrap_or_else(|fault| Answer::Fault(fault.sqlstate.to_string()))
}

/// The two answers agree, or ours is 0A000 where PostgreSQL has a value.
fn agree(ours: &Answer, theirs: &Answer) -> bool {
    ours == theirs
        || matches!((ours, theirs), (Answer::Fault(fault), Answer::Value { .. }) if fault == "0A000")
}

struct Tally {
    cases: usize,
    unsupported: usize,
    wrong: String,
}

impl Tally {
    fn new() -> Self {
        Self {
            cases: 0,
            unsupported: 0,
            wrong: String::new(),
        }
    }

    fn add(&mut self, what: &str, input: &str, ours: &Answer, theirs: &Answer) {
        self.cases += 1;
        if *ours == Answer::Fault("0A000".to_owned()) {
            self.unsupported += 1;
        }
        if !agree(ours, theirs) {
            let input: String = input.chars().take(120).collect();
            writeln!(
                self.wrong,
                "{what} {input:?}: pgveil {ours:?}, PostgreSQL {theirs:?}"
            )
            .expect("a string grows");
        }
    }

    fn end(self, name: &str) {
        println!(
            "{name}: {} cases ({} unsupported)",
            self.cases, self.unsupported
        );
        assert!(self.wrong.is_empty(), "\n{}", self.wrong);
    }
}

async fn compare(
    tally: &mut Tally,
    client: &Client,
    logical: LogicalType,
    inputs: &[String],
    settings: &TextSettings,
) {
    set(client, settings).await;
    let theirs = theirs(client, logical, inputs).await;
    assert_eq!(theirs.len(), inputs.len());
    let what = format!(
        "{} [{}; {}]",
        logical.sql(),
        settings.date_style,
        settings.time_zone
    );
    for (input, theirs) in inputs.iter().zip(&theirs) {
        tally.add(
            &what,
            input,
            &ours(logical, input.as_bytes(), settings),
            theirs,
        );
    }
}

fn owned(inputs: &[&str]) -> Vec<String> {
    inputs.iter().map(|input| (*input).to_owned()).collect()
}

fn settings(date_style: &str, time_zone: &str) -> TextSettings {
    TextSettings {
        date_style: DateStyle::of(date_style),
        time_zone: SessionZone::of(time_zone),
        ..defaults()
    }
}

#[tokio::test]
async fn numbers() {
    let client = database().await;
    let mut tally = Tally::new();
    let mut dice = Dice(0x1357_9bdf);
    let mut inputs = owned(inputs::NUMBERS);
    inputs.push(format!("0.{}1", "0".repeat(16_382)));
    inputs.push(format!("0.{}1", "0".repeat(16_383)));
    inputs.push(format!("{}.5", "0".repeat(3000)));
    inputs.push("9".repeat(1000));
    inputs.push("9".repeat(131_072));
    inputs.push("9".repeat(131_073));
    for _ in 0..1500 {
        inputs.push(dice.join(
            &[
                "0", "1", "5", "9", "49", "995", "00", "12345", "-", "+", ".", "e", "E", " ",
                "4999", "x", "_", "0x", "0o", "0b",
            ],
            &[""],
            7,
        ));
    }
    for _ in 0..1500 {
        let whole = "0".repeat(dice.roll(3)) + &dice.roll(2_000_000_000).to_string();
        let fraction = dice.roll(2_000_000_000).to_string();
        let exponent = dice.roll(24);
        let sign = dice.pick(&["", "-", "+"]);
        let text = match dice.roll(4) {
            0 => format!("{sign}{whole}"),
            1 => format!("{sign}{whole}.{fraction}"),
            2 => format!("{sign}{whole}.{fraction}e-{exponent}"),
            _ => format!("{sign}0.{fraction}e{exponent}"),
        };
        inputs.push(text);
    }
    for logical in [
        LogicalType::Int4,
        LogicalType::Int8,
        inputs::MONEY,
        LogicalType::Numeric {
            precision: 5,
            scale: 0,
        },
        LogicalType::Numeric {
            precision: 5,
            scale: 5,
        },
        LogicalType::Numeric {
            precision: 1000,
            scale: 20,
        },
        LogicalType::Numeric {
            precision: 1000,
            scale: 1000,
        },
    ] {
        compare(&mut tally, &client, logical, &inputs, &defaults()).await;
    }
    tally.end("numbers");
}

#[tokio::test]
async fn words_and_bytes() {
    let client = database().await;
    let mut tally = Tally::new();
    let mut dice = Dice(0x2468_ace0);
    let mut inputs = owned(inputs::WORDS_AND_BYTES);
    for _ in 0..800 {
        inputs.push(dice.join(
            &[
                "t", "r", "u", "e", "f", "o", "n", "y", "s", "0", "1", "a", " ", "\\", "\\x", "7",
                "3", "é",
            ],
            &[""],
            6,
        ));
    }
    for _ in 0..400 {
        let digits: String = (0..dice.roll(4) + 14)
            .map(|_| dice.pick(&["a0", "ff", "9C", "-", "00", "1-2", "{", "}"]))
            .collect();
        inputs.push(digits.clone());
        inputs.push(format!("\\x{digits}"));
        inputs.push(format!("{{{digits}}}"));
    }
    for logical in [
        LogicalType::Bool,
        LogicalType::Uuid,
        LogicalType::Bytea,
        LogicalType::Text,
        LogicalType::Varchar(None),
        LogicalType::Varchar(Some(5)),
        LogicalType::Varchar(Some(1)),
    ] {
        compare(&mut tally, &client, logical, &inputs, &defaults()).await;
    }
    let sql = "SELECT probe_assign(value) FROM unnest($1::text[]) WITH ORDINALITY AS u(value, n) ORDER BY n";
    let rows = client.query(sql, &[&inputs]).await.expect("assignments");
    let short = LogicalType::Varchar(Some(5));
    for (input, row) in inputs.iter().zip(&rows) {
        let ours = types::coerce(short, input.clone().into_bytes(), false, defaults().version)
            .and_then(|canonical| printed(short, &canonical, &defaults()))
            .unwrap_or_else(|fault| Answer::Fault(fault.sqlstate.to_string()));
        let theirs = answer_of(&row.get::<_, Vec<String>>(0));
        tally.add("assignment", input, &ours, &theirs);
    }
    tally.end("words and bytes");
}

#[tokio::test]
async fn documents() {
    let client = database().await;
    let mut tally = Tally::new();
    let mut dice = Dice(0x0bad_cafe);
    let mut inputs = owned(inputs::DOCUMENTS);
    for _ in 0..4000 {
        inputs.push(dice.join(
            &[
                "{",
                "}",
                "[",
                "]",
                ",",
                ":",
                "\"a\"",
                "\"b\"",
                "\"aa\"",
                "1",
                "-2.50",
                "1e3",
                "true",
                "null",
                " ",
                "\"\\u00e9\"",
                "{\"b\":[1,2],\"a\":{}}",
                "[]",
                "{}",
                "\"a\":",
                "\"c\":1,",
                "x",
                "\"",
                "\\",
            ],
            &["", "", ",", " "],
            9,
        ));
    }
    for _ in 0..1000 {
        let members: Vec<String> = (0..dice.roll(6))
            .map(|_| {
                let key = dice.join(&["a", "b", "é", "Z", "_", "0"], &[""], 3);
                let value = dice.pick(&[
                    "1",
                    "\"x\"",
                    "[1, 2]",
                    "{\"z\":1,\"y\":2}",
                    "null",
                    "1.10",
                    "-0",
                ]);
                format!("\"{key}\":{value}")
            })
            .collect();
        inputs.push(format!("{{{}}}", members.join(",")));
    }
    compare(
        &mut tally,
        &client,
        LogicalType::Jsonb,
        &inputs,
        &defaults(),
    )
    .await;
    tally.end("documents");
}

fn moments(dice: &mut Dice) -> Vec<String> {
    let mut inputs = owned(inputs::MOMENTS);
    let between = [" ", " ", " ", "-", "/", ".", ",", "", "t", ":"];
    inputs.extend((0..2500).map(|_| dice.join(inputs::PIECES, &between, 5)));
    inputs.extend((0..2500).map(|_| dice.join(inputs::PIECES, &[" "], 5)));
    for _ in 0..1000 {
        let (year, month, day) = (dice.roll(4000) + 1, dice.roll(13), dice.roll(33));
        let (hour, minute, second) = (dice.roll(26), dice.roll(61), dice.roll(62));
        let (fraction, east) = (dice.roll(10_000_000), dice.roll(17));
        let era = dice.pick(&["", "", "", " BC"]);
        let time = format!("{hour:02}:{minute:02}:{second:02}.{fraction:07}");
        inputs.push(match dice.roll(4) {
            0 => format!("{year:04}-{month:02}-{day:02} {time}+{east:02}{era}"),
            1 => format!("{year:04}-{month:02}-{day:02}T{time}Z{era}"),
            2 => format!("{month}/{day}/{year:04} {time}{era}"),
            _ => format!(
                "{day} {} {year:04} {time}{era}",
                dice.pick(&["jan", "june", "Dec", "Sept"])
            ),
        });
    }
    inputs
}

#[tokio::test]
async fn moments_in_every_style_and_zone() {
    let client = database().await;
    let mut tally = Tally::new();
    let mut dice = Dice(0xfeed_f00d);
    let inputs = moments(&mut dice);
    // A zone of its own, or a link to another: servers differ in how their zones were built, and pgveil has one table.
    let sql = "SELECT '1950-07-01 00:00 EST5EDT'::timestamptz = '1950-07-01 00:00 America/New_York'::timestamptz";
    let row = client.query_one(sql, &[]).await.expect("an answer");
    let linked: bool = row.get(0);
    let zones = [
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Asia/Kolkata",
        "Australia/Lord_Howe",
        "America/Sao_Paulo",
        "<+03>-03",
        if linked {
            "America/New_York"
        } else {
            "EST5EDT"
        },
        "Asia/Shanghai",
        "GMT",
        "Pacific/Apia",
        "Europe/Dublin",
    ];
    let styles = [
        "ISO, MDY",
        "SQL, DMY",
        "Postgres, MDY",
        "German, DMY",
        "ISO, YMD",
        "Postgres, DMY",
        "SQL, MDY",
        "ISO, DMY",
        "Postgres, YMD",
        "German, MDY",
        "SQL, YMD",
        "German, YMD",
    ];
    for (zone, style) in zones.into_iter().zip(styles) {
        let settings = settings(style, zone);
        for logical in [
            LogicalType::Date,
            LogicalType::Timestamp(None),
            LogicalType::Timestamptz(None),
            LogicalType::Timestamp(Some(3)),
            LogicalType::Timestamptz(Some(0)),
        ] {
            compare(&mut tally, &client, logical, &inputs, &settings).await;
        }
    }
    tally.end("moments");
}

#[tokio::test]
async fn lists() {
    let client = database().await;
    let mut tally = Tally::new();
    let mut dice = Dice(0x00dd_ba11);
    let mut inputs = owned(inputs::LISTS);
    for _ in 0..2500 {
        let body = dice.join(
            &[
                "a",
                "b c",
                "\"x\"",
                "\"\"",
                "NULL",
                "\\",
                "\"",
                "é",
                ",",
                " ",
                "\\\"",
                "\"a\\\\b\"",
            ],
            &["", ",", ",", " ,"],
            5,
        );
        inputs.push(format!("{{{body}}}"));
    }
    let sql = "SELECT probe(value, 'text[]', 'array_send') FROM unnest($1::text[]) WITH ORDINALITY AS u(value, n) ORDER BY n";
    let rows = client.query(sql, &[&inputs]).await.expect("answers");
    for (input, row) in inputs.iter().zip(&rows) {
        let theirs = answer_of(&row.get::<_, Vec<String>>(0));
        let ours = array::elements_from_text(input.as_bytes(), defaults().version)
            .and_then(|elements| {
                let sent = array::to_binary(25, &elements)?;
                assert_eq!(array::elements_from_binary(&sent)?, (25, elements.clone()));
                Ok(Answer::Value {
                    text: String::from_utf8(array::to_text(&elements)).expect("UTF-8"),
                    sent: hex::encode(sent),
                })
            })
            .unwrap_or_else(|fault| Answer::Fault(fault.sqlstate.to_string()));
        let nested = input.matches('{').count() > 1;
        // Bounds do not matter to `= ANY`, which these lists are for.
        let bounded = input.trim_start().starts_with('[');
        if !bounded && (!nested || ours != Answer::Fault("0A000".to_owned())) {
            tally.add("text[]", input, &ours, &theirs);
        }
    }
    tally.end("lists");
}

/// A parameter's bytes as they are, whatever the type.
#[derive(Debug)]
struct Raw(Vec<u8>);

impl ToSql for Raw {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Binary
    }

    to_sql_checked!();
}

/// The same in text format.
#[derive(Debug)]
struct RawText(Vec<u8>);

impl ToSql for RawText {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

fn words(words: &[u16]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

fn binary_inputs(logical: LogicalType, dice: &mut Dice) -> Vec<Vec<u8>> {
    let mut inputs: Vec<Vec<u8>> = (0..20).map(|length| vec![0; length]).collect();
    inputs.extend((0..20).map(|length| vec![0xff; length]));
    for _ in 0..150 {
        let length = [1, 2, 4, 8, 12, 16, 17][dice.roll(7)];
        inputs.push(
            (0..length)
                .map(|_| u8::try_from(dice.roll(256)).expect("a byte"))
                .collect(),
        );
    }
    match logical {
        LogicalType::Numeric { .. } | LogicalType::NumericAny => {
            inputs.extend(numeric_inputs(dice));
        }
        LogicalType::Time(_) | LogicalType::Timetz(_) => {
            for time in [-1_i64, 0, 1, 86_399_999_999, 86_400_000_000, 86_400_000_001] {
                for west in [i32::MIN, -57_600, -57_599, 0, 57_599, 57_600] {
                    let time = time.to_be_bytes();
                    inputs.push(time.to_vec());
                    inputs.push([&time[..], &west.to_be_bytes()].concat());
                }
            }
        }
        LogicalType::Inet | LogicalType::Cidr => {
            for head in [
                [2, 24, 0, 4],
                [2, 33, 1, 4],
                [1, 8, 0, 4],
                [2, 8, 0, 16],
                [3, 64, 1, 16],
                [3, 129, 0, 16],
            ] {
                for length in [3, 4, 15, 16, 17] {
                    inputs.push([&head[..], &vec![9; length]].concat());
                    inputs.push([&head[..], &vec![0; length]].concat());
                }
            }
        }
        LogicalType::Json => {
            for document in inputs::BINARY_DOCUMENTS {
                inputs.push(document.as_bytes().to_vec());
            }
        }
        LogicalType::Date => {
            for days in inputs::DAYS {
                inputs.push(days.to_be_bytes().to_vec());
            }
        }
        LogicalType::Timestamp(_) | LogicalType::Timestamptz(_) => {
            for moment in inputs::MICROSECONDS {
                inputs.push(moment.to_be_bytes().to_vec());
            }
        }
        LogicalType::Jsonb => {
            for document in inputs::BINARY_DOCUMENTS {
                for version in [0, 1, 2] {
                    let mut input = vec![version];
                    input.extend_from_slice(document.as_bytes());
                    inputs.push(input);
                }
            }
        }
        _ => {
            for text in inputs::BINARY_TEXTS {
                inputs.push(text.to_vec());
            }
        }
    }
    inputs
}

fn numeric_inputs(dice: &mut Dice) -> Vec<Vec<u8>> {
    let mut inputs = vec![
        words(&[0, 0, 0, 0]),
        words(&[0, 9, 0x4000, 2]),
        words(&[1, 0, 0x4000, 0, 0]),
        words(&[3, 1, 0, 0, 0, 12, 0]),
        words(&[2, 0, 0, 0, 1, 5000]),
        words(&[2, 0, 0, 1, 1, 5999]),
        words(&[2, 0, 0, 3, 1, 5999]),
        words(&[1, 0, 0, 0, 10_000]),
        words(&[1, 0, 0x1234, 0, 1]),
        words(&[1, 0, 0, 0x4000, 1]),
        words(&[1, 0, 0, 0x3fff, 1]),
        words(&[2, 0, 0, 0, 1]),
        words(&[1, 0, 0, 0, 1, 1]),
        words(&[0xffff, 0, 0, 0]),
        words(&[3001, 0, 0, 0]),
        words(&[0, 0, 0xc000, 0]),
        words(&[1, 5, 0xc000, 7, 42]),
        words(&[0, 0, 0xd000, 0]),
        words(&[0, 0, 0xf000, 0x20]),
        words(&[1, 0x7fff, 0, 0, 1]),
        words(&[1, 0x8000, 0, 0, 1]),
        words(&[1, 0xffff, 0, 2, 50]),
        words(&[1, 0xffff, 0, 2, 49]),
        words(&[1, 0xffff, 0, 4, 50]),
        words(&[1, 1, 0, 0, 9999]),
        words(&[2, 1, 0, 0, 9999, 9999]),
        words(&[3, 1, 0, 4, 9999, 9999, 9950]),
    ];
    for _ in 0..600 {
        let count = dice.roll(5);
        let weight = u16::try_from(dice.roll(8)).expect("small").wrapping_sub(4);
        let sign = [0, 0, 0x4000, 0x4000, 0xc000][dice.roll(5)];
        let scale = u16::try_from(dice.roll(20)).expect("small");
        let mut input = vec![u16::try_from(count).expect("small"), weight, sign, scale];
        for _ in 0..count {
            input.push([0, 1, 50, 4999, 5000, 9999, 1234, 100][dice.roll(8)]);
        }
        inputs.push(words(&input));
    }
    inputs
}

/// The types whose binary form is tried.
const RECEIVED: &[LogicalType] = &[
    LogicalType::Text,
    LogicalType::Varchar(None),
    LogicalType::Int4,
    LogicalType::Int8,
    inputs::MONEY,
    LogicalType::Bool,
    LogicalType::Date,
    LogicalType::Timestamp(None),
    LogicalType::Timestamptz(None),
    LogicalType::Timestamptz(Some(3)),
    LogicalType::Uuid,
    LogicalType::Bytea,
    LogicalType::Jsonb,
    LogicalType::Char(Some(4)),
    LogicalType::Int2,
    LogicalType::Float4,
    LogicalType::Float8,
    LogicalType::NumericAny,
    LogicalType::Numeric {
        precision: 3,
        scale: -2,
    },
    LogicalType::Time(None),
    LogicalType::Timetz(Some(2)),
    LogicalType::Interval(IntervalFields::ALL),
    LogicalType::Inet,
    LogicalType::Cidr,
    LogicalType::Macaddr,
    LogicalType::Json,
];

#[tokio::test]
async fn binary_parameters() {
    let client = database().await;
    let mut tally = Tally::new();
    let mut dice = Dice(0x5eed);
    let settings = settings("ISO, MDY", "Europe/Berlin");
    set(&client, &settings).await;
    for logical in RECEIVED
        .iter()
        .copied()
        .filter(|logical| more::exists(*logical))
    {
        let send = send_function(logical);
        let sql = format!(
            "SELECT format('%s', $1::{0}), {send}($1::{0})",
            logical.sql()
        );
        let oid = Type::from_oid(logical.oid()).expect("a built-in type");
        let statement = client
            .prepare_typed(&sql, &[oid])
            .await
            .expect("a statement");
        for input in binary_inputs(logical, &mut dice) {
            let theirs = match client.query_one(&statement, &[&Raw(input.clone())]).await {
                Ok(row) => Answer::Value {
                    text: row.get(0),
                    sent: hex::encode(row.get::<_, Vec<u8>>(1)),
                },
                Err(error) => Answer::Fault(error.code().expect("a SQLSTATE").code().to_owned()),
            };
            let declared = Declared {
                oid: logical.oid(),
                format: 1,
            };
            let target = Target {
                logical: logical.without_fields(),
                assigned: true,
            };
            let ours = types::from_wire(declared, &input, target, &settings)
                .and_then(|canonical| types::coerce(logical, canonical, true, settings.version))
                .and_then(|canonical| printed(logical, &canonical, &settings))
                .unwrap_or_else(|fault| Answer::Fault(fault.sqlstate.to_string()));
            tally.add(&logical.sql(), &hex::encode(&input), &ours, &theirs);
        }
    }
    tally.end("binary parameters");
}

#[tokio::test]
async fn declared_types_compare_as_in_postgresql() {
    let client = database().await;
    let mut tally = Tally::new();
    let settings = settings("ISO, MDY", "America/New_York");
    set(&client, &settings).await;
    let compared = inputs::COMPARED;
    for (column, stored, declared, inputs) in compared.iter().filter(|row| more::exists(row.0)) {
        let oid = Type::from_oid(*declared).expect("a built-in type");
        let sql = format!("SELECT '{stored}'::{} = $1", column.sql());
        let statement = client
            .prepare_typed(&sql, &[oid])
            .await
            .expect("a statement");
        for input in *inputs {
            let verdict = |equal: bool| Answer::Value {
                text: equal.to_string(),
                sent: String::new(),
            };
            let raw = RawText(input.as_bytes().to_vec());
            let theirs = match client.query_one(&statement, &[&raw]).await {
                Ok(row) => verdict(row.get(0)),
                Err(error) => Answer::Fault(error.code().expect("a SQLSTATE").code().to_owned()),
            };
            let kept = types::from_text(*column, stored.as_bytes(), &settings)
                .and_then(|canonical| types::coerce(*column, canonical, false, settings.version));
            let declared = Declared {
                oid: *declared,
                format: 0,
            };
            let target = Target {
                logical: *column,
                assigned: false,
            };
            let ours = types::from_wire(declared, input.as_bytes(), target, &settings)
                .map(|canonical| verdict(Ok(canonical) == kept))
                .unwrap_or_else(|fault| Answer::Fault(fault.sqlstate.to_string()));
            tally.add(
                &format!("{} = ${}", column.sql(), declared.oid),
                input,
                &ours,
                &theirs,
            );
        }
    }
    tally.end("declared types");
}

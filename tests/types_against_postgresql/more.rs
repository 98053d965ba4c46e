//! The types of the second row: floats, times, intervals, addresses, padded texts, json, arrays.

use super::*;

/// Any numeric, and such as have their scale outside their precision.
const NUMERICS: &[LogicalType] = &[
    LogicalType::NumericAny,
    LogicalType::Numeric {
        precision: 3,
        scale: -2,
    },
    LogicalType::Numeric {
        precision: 2,
        scale: 5,
    },
    LogicalType::Int2,
];

/// A scale outside the precision came with 15; what is refused before is the type, not a value.
pub fn exists(logical: LogicalType) -> bool {
    match logical {
        LogicalType::Numeric { precision, scale } => {
            (scale >= 0 && scale.unsigned_abs() <= precision) || since(15)
        }
        _ => true,
    }
}

fn numbers(dice: &mut Dice) -> Vec<String> {
    let mut inputs = owned(inputs::NUMBERS);
    inputs.extend(owned(inputs::FLOATS));
    let pieces = [
        "0", "1", "5", "9", "49", "995", "00", "12345", "-", "+", ".", "e", "E", " ", "4999", "x",
        "inf", "nan", "_", "0x", "0o", "0b", "F",
    ];
    inputs.extend((0..1500).map(|_| dice.join(&pieces, &[""], 7)));
    for _ in 0..1500 {
        let fraction = dice.roll(2_000_000_000);
        let exponent = dice.roll(400);
        let sign = dice.pick(&["", "-", "+"]);
        let minus = dice.pick(&["", "-"]);
        let whole = dice.roll(100);
        inputs.push(format!("{sign}{whole}.{fraction}e{minus}{exponent}"));
    }
    inputs
}

#[tokio::test]
async fn other_numbers() {
    let client = database().await;
    let mut tally = Tally::new();
    let mut dice = Dice(0x0f0f_1234);
    let inputs = numbers(&mut dice);
    let settings = defaults();
    for logical in NUMERICS.iter().filter(|logical| exists(**logical)) {
        compare(&mut tally, &client, *logical, &inputs, &settings).await;
    }
    for extra_float_digits in [1, 3, 0, -3, -15] {
        let settings = TextSettings {
            extra_float_digits,
            ..defaults()
        };
        for logical in [LogicalType::Float4, LogicalType::Float8] {
            compare(&mut tally, &client, logical, &inputs, &settings).await;
        }
    }
    tally.end("other numbers");
}

/// Every bit pattern that a shortest printer can trip over: powers of two and their neighbours, halves of ties.
#[tokio::test]
async fn bits_of_floats() {
    let client = database().await;
    let mut tally = Tally::new();
    let mut dice = Dice(0xb175_f10a);
    let mut patterns: Vec<u64> = (0..4000)
        .map(|_| (dice.roll(1 << 31) as u64) << 33 ^ (dice.roll(1 << 31) as u64) << 2 ^ 3)
        .collect();
    for exponent in 0..2047_u64 {
        patterns.extend([0_u64, 1, (1 << 52) - 1].map(|mantissa| exponent << 52 | mantissa));
    }
    patterns.extend((0..23_u32).flat_map(|power| {
        let exact = 10_f64.powi(power as i32).to_bits();
        [exact - 1, exact, exact + 1]
    }));
    patterns.extend((0..300).map(|power| {
        format!("1e{power}")
            .parse::<f64>()
            .expect("a float")
            .to_bits()
    }));
    let doubles: Vec<Vec<u8>> = patterns
        .iter()
        .map(|bits| bits.to_be_bytes().to_vec())
        .collect();
    let singles: Vec<Vec<u8>> = patterns
        .iter()
        .map(|bits| ((bits >> 29) as u32).to_be_bytes().to_vec())
        .collect();
    for (logical, receive, inputs) in [
        (LogicalType::Float8, "float8", &doubles),
        (LogicalType::Float4, "float4", &singles),
    ] {
        for extra_float_digits in [1, 0, -7] {
            let settings = TextSettings {
                extra_float_digits,
                ..defaults()
            };
            set(&client, &settings).await;
            let sql = format!("SELECT format('%s', $1::{receive}), {receive}send($1::{receive})");
            let oid = Type::from_oid(logical.oid()).expect("a built-in type");
            let statement = client
                .prepare_typed(&sql, &[oid])
                .await
                .expect("a statement");
            let rows = inputs.iter().map(|input| {
                let (client, statement) = (&client, &statement);
                async move { client.query_one(statement, &[&Raw(input.clone())]).await }
            });
            let rows = futures_util::future::join_all(rows).await;
            for (input, row) in inputs.iter().zip(rows) {
                let row = row.expect("a float");
                let theirs = Answer::Value {
                    text: row.get(0),
                    sent: hex::encode(row.get::<_, Vec<u8>>(1)),
                };
                let ours = types::from_binary(logical, input, settings.version)
                    .and_then(|canonical| printed(logical, &canonical, &settings))
                    .unwrap_or_else(|fault| Answer::Fault(fault.sqlstate.to_string()));
                tally.add(&logical.sql(), &hex::encode(input), &ours, &theirs);
            }
        }
    }
    tally.end("bits of floats");
}

#[tokio::test]
async fn times_of_the_day() {
    let client = database().await;
    let mut tally = Tally::new();
    let mut dice = Dice(0x71e5_0fda);
    let mut inputs = moments(&mut dice);
    inputs.extend(owned(inputs::TIMES));
    for _ in 0..1500 {
        let (hour, minute, second) = (dice.roll(26), dice.roll(61), dice.roll(62));
        let (fraction, east) = (dice.roll(10_000_000), dice.roll(17));
        let zone = dice.pick(&["", "+", "-"]);
        inputs.push(match (dice.roll(3), zone) {
            (0, "") => format!("{hour:02}:{minute:02}:{second:02}.{fraction:07}"),
            (1, _) => format!("{hour:02}{minute:02}{second:02}{zone}{east:02}"),
            (_, zone) => format!("{hour}:{minute:02}:{second:02}.{fraction:07}{zone}{east}"),
        });
    }
    for (zone, style) in [
        ("UTC", "ISO, MDY"),
        ("Europe/Berlin", "SQL, DMY"),
        ("<+03>-03", "German, YMD"),
        ("Etc/GMT+5", "Postgres, MDY"),
    ] {
        let settings = settings(style, zone);
        for logical in [
            LogicalType::Time(None),
            LogicalType::Time(Some(2)),
            LogicalType::Timetz(None),
            LogicalType::Timetz(Some(0)),
        ] {
            set(&client, &settings).await;
            let theirs = theirs(&client, logical, &inputs).await;
            for (input, theirs) in inputs.iter().zip(&theirs) {
                let ours = ours(logical, input.as_bytes(), &settings);
                // What needs a clock or an abbreviation is refused before other faults are looked for.
                let both_refuse =
                    ours == Answer::Fault("0A000".to_owned()) && matches!(theirs, Answer::Fault(_));
                if !both_refuse {
                    tally.add(&format!("{} {zone}", logical.sql()), input, &ours, theirs);
                }
            }
        }
    }
    tally.end("times of the day");
}

fn spans(dice: &mut Dice) -> Vec<String> {
    let mut inputs = owned(inputs::SPANS);
    let between = [" ", " ", " ", "", ":", "-", "."];
    inputs.extend((0..2500).map(|_| dice.join(inputs::SPAN_PIECES, &between, 6)));
    inputs.extend((0..2500).map(|_| dice.join(inputs::SPAN_PIECES, &[" "], 6)));
    let iso = [
        "P", "T", "1", "2.5", "-3", "Y", "M", "W", "D", "H", "S", ":", "-", "20240131", "101112",
        "1e2", ".5",
    ];
    inputs.extend((0..2500).map(|_| format!("P{}", dice.join(&iso, &[""], 8))));
    inputs
}

#[tokio::test]
async fn intervals_in_every_style() {
    let client = database().await;
    let mut tally = Tally::new();
    let mut dice = Dice(0x5ba9_5ba9);
    let inputs = spans(&mut dice);
    for style in [
        IntervalStyle::Postgres,
        IntervalStyle::PostgresVerbose,
        IntervalStyle::SqlStandard,
        IntervalStyle::Iso8601,
    ] {
        let settings = TextSettings {
            interval_style: style,
            ..defaults()
        };
        let all = LogicalType::Interval(IntervalFields::ALL);
        compare(&mut tally, &client, all, &inputs, &settings).await;
    }
    // The fields count for a literal only: the probe's parameter is cast, so they only cut and round here.
    for typmod in inputs::SPAN_MODIFIERS {
        let fields = IntervalFields::of_typmod(*typmod).expect("a modifier");
        let settings = defaults();
        let logical = LogicalType::Interval(fields);
        set(&client, &settings).await;
        let theirs = theirs(&client, logical, &inputs).await;
        for (input, theirs) in inputs.iter().zip(&theirs) {
            let ours = types::from_text(logical.without_fields(), input.as_bytes(), &settings)
                .and_then(|canonical| types::coerce(logical, canonical, true, settings.version))
                .and_then(|canonical| printed(logical, &canonical, &settings))
                .unwrap_or_else(|fault| Answer::Fault(fault.sqlstate.to_string()));
            tally.add(&logical.sql(), input, &ours, theirs);
        }
        for input in inputs::SPANS.iter().filter(|input| !input.contains('\'')) {
            let literal = format!(
                "SELECT format('%s', v), interval_send(v) FROM (SELECT '{input}'::{} AS v) AS q",
                logical.sql()
            );
            let theirs = match client.query_one(literal.as_str(), &[]).await {
                Ok(row) => Answer::Value {
                    text: row.get(0),
                    sent: hex::encode(row.get::<_, Vec<u8>>(1)),
                },
                Err(error) => Answer::Fault(error.code().expect("a SQLSTATE").code().to_owned()),
            };
            tally.add(
                &literal,
                input,
                &ours(logical, input.as_bytes(), &settings),
                &theirs,
            );
        }
    }
    tally.end("intervals");
}

#[tokio::test]
async fn addresses() {
    let client = database().await;
    let mut tally = Tally::new();
    let mut dice = Dice(0xadd4_e550);
    let mut inputs = owned(inputs::ADDRESSES);
    let pieces = [
        "1",
        "10",
        "255",
        "256",
        "0",
        "00",
        "fe80",
        "FFFF",
        "a",
        "12345",
        "/",
        "32",
        "/64",
        "x",
        "0x",
        "127.0.0.1",
        "::",
    ];
    inputs.extend((0..4000).map(|_| dice.join(&pieces, &[".", ":", ":", "", "/"], 8)));
    let pairs = [
        "08", "0", "2b", "FF", "1", "100", "g", "0x1", "+1", "-1", " 1", "08002b",
    ];
    inputs.extend((0..3000).map(|_| dice.join(&pairs, &[":", "-", ".", "", ":", ":"], 8)));
    for _ in 0..1000 {
        let octets: Vec<String> = (0..6).map(|_| format!("{:02x}", dice.roll(256))).collect();
        let (a, b, c) = (dice.roll(300), dice.roll(256), dice.roll(40));
        inputs.push(octets.join(dice.pick(&[":", "-", ""])));
        inputs.push(format!("{a}.{b}.0.0/{c}"));
        let words: Vec<String> = (0..8)
            .map(|_| dice.pick(&["0", "0", "0", "1", "ffff", "db8"]).to_owned())
            .collect();
        inputs.push(words.join(":"));
        inputs.push(format!("{}/{}", words.join(":"), dice.roll(140)));
    }
    for logical in [LogicalType::Inet, LogicalType::Cidr, LogicalType::Macaddr] {
        let settings = defaults();
        compare(&mut tally, &client, logical, &inputs, &settings).await;
    }
    tally.end("addresses");
}

#[tokio::test]
async fn padded_texts_bytes_and_json() {
    let client = database().await;
    let mut tally = Tally::new();
    let mut dice = Dice(0x9add_ed00);
    let mut inputs = owned(inputs::WORDS_AND_BYTES);
    let pieces = [
        "a", "é", " ", "  ", "王", "\t", "xyz", "\\", "\u{1}", "\u{7f}",
    ];
    inputs.extend((0..600).map(|_| dice.join(&pieces, &[""], 7)));
    for logical in [
        LogicalType::Char(None),
        LogicalType::Char(Some(1)),
        LogicalType::Char(Some(5)),
    ] {
        let settings = defaults();
        compare(&mut tally, &client, logical, &inputs, &settings).await;
    }
    let settings = TextSettings {
        bytea_escaped: true,
        ..defaults()
    };
    compare(&mut tally, &client, LogicalType::Bytea, &inputs, &settings).await;
    let mut inputs = owned(inputs::DOCUMENTS);
    let pieces = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"a\"",
        "\"b\"",
        "1",
        "-2.50",
        "1e3",
        "true",
        "null",
        " ",
        "\"\\u00e9\"",
        "\"\\u0000\"",
        "[]",
        "{}",
        "\"a\":",
        "\"c\":1,",
        "x",
        "\"",
        "\\",
    ];
    inputs.extend((0..4000).map(|_| dice.join(&pieces, &["", "", ",", " "], 9)));
    let settings = defaults();
    compare(&mut tally, &client, LogicalType::Json, &inputs, &settings).await;
    tally.end("padded texts, bytes and json");
}

/// An array type of a built-in element.
fn array_of(element: LogicalType) -> LogicalType {
    let array = pgveil::types::ArrayType {
        oid: element.array_oid(),
        element_oid: element.oid(),
        element,
    };
    LogicalType::Array(array.keep().expect("there is room"))
}

#[tokio::test]
async fn arrays() {
    let client = database().await;
    let mut tally = Tally::new();
    let mut dice = Dice(0xa44a_7500);
    let mut inputs = owned(inputs::LISTS);
    inputs.extend(owned(inputs::BOUNDED_LISTS));
    let pieces = [
        "1",
        "2.5",
        "t",
        "\"x y\"",
        "\"\"",
        "NULL",
        "\\",
        "\"",
        "é",
        " ",
        "2024-01-31",
        "\"2024-01-31 10:00\"",
        "1 day",
        "10.0.0.1",
        "\"{\\\"a\\\":1}\"",
        "Infinity",
    ];
    for _ in 0..2500 {
        let body = dice.join(&pieces, &[",", ",", " ,", ""], 5);
        let bounds = dice.pick(&["", "", "", "[0:1]=", "[2:2]=", "[-1:1] = ", "[3]="]);
        inputs.push(format!("{bounds}{{{body}}}"));
    }
    let settings = settings("SQL, DMY", "Europe/Berlin");
    for element in [
        LogicalType::Text,
        LogicalType::Varchar(Some(3)),
        LogicalType::Char(Some(4)),
        LogicalType::Int2,
        LogicalType::Int4,
        LogicalType::Float8,
        inputs::MONEY,
        LogicalType::NumericAny,
        LogicalType::Bool,
        LogicalType::Date,
        LogicalType::Timestamp(Some(0)),
        LogicalType::Interval(IntervalFields::ALL),
        LogicalType::Inet,
        LogicalType::Jsonb,
        LogicalType::Bytea,
    ] {
        let logical = array_of(element);
        set(&client, &settings).await;
        let theirs = theirs(&client, logical, &inputs).await;
        for (input, theirs) in inputs.iter().zip(&theirs) {
            let ours = ours(logical, input.as_bytes(), &settings);
            // More than one dimension is refused before its faults are looked for.
            let nested = input.matches('{').count() > 1 || input.matches('[').count() > 1;
            if !(nested && ours == Answer::Fault("0A000".to_owned())) {
                tally.add(&logical.sql(), input, &ours, theirs);
            }
        }
    }
    tally.end("arrays");
}

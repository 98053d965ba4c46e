//! Properties that hold for every type and any bytes.

use proptest::prelude::*;

use super::*;

const ALL: [LogicalType; 15] = [
    LogicalType::Text,
    LogicalType::Varchar(None),
    LogicalType::Varchar(Some(3)),
    LogicalType::Int4,
    LogicalType::Int8,
    LogicalType::Numeric {
        precision: 8,
        scale: 2,
    },
    LogicalType::Bool,
    LogicalType::Date,
    LogicalType::Timestamp(None),
    LogicalType::Timestamp(Some(1)),
    LogicalType::Timestamptz(None),
    LogicalType::Timestamptz(Some(0)),
    LogicalType::Uuid,
    LogicalType::Bytea,
    LogicalType::Jsonb,
];

const DECLARED: [u32; 22] = [
    0, 16, 17, 19, 20, 21, 23, 25, 114, 700, 701, 705, 1042, 1043, 1082, 1114, 1184, 1700, 2950,
    3802, 3807, 9999,
];

fn settings() -> impl Strategy<Value = TextSettings> {
    let styles = ["ISO, MDY", "SQL, DMY", "Postgres, YMD", "German, DMY", "x"];
    let zones = ["UTC", "Europe/Berlin", "America/New_York", "<+03>-03", "x"];
    (0..5_usize, 0..5_usize).prop_map(move |(style, zone)| TextSettings {
        date_style: styles[style].to_owned(),
        time_zone: zones[zone].to_owned(),
    })
}

/// Bytes that get further than arbitrary ones do.
fn input() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        "[-+0-9eE. :/a-zA-Z\\\\x{}\\[\\]\",tTzZ]{0,30}".prop_map(String::into_bytes),
        "[0-9]{1,4}[-/. ][0-9a-z]{1,3}[-/. ][0-9]{1,4}[ tT][0-9:.]{0,12}[-+a-zA-Z0-9/ ]{0,16}"
            .prop_map(String::into_bytes),
        "\\PC{0,20}".prop_map(String::into_bytes),
    ]
}

proptest! {
    #[test]
    fn what_is_read_is_canonical(bytes in input(), settings in settings()) {
        let iso = TextSettings::default();
        for logical in ALL {
            let read = [from_text(logical, &bytes, &settings), from_binary(logical, &bytes)];
            for canonical in read.into_iter().flatten() {
                let shown = to_text(logical, &canonical, &iso);
                let again = shown.and_then(|shown| from_text(logical, &shown, &iso));
                prop_assert_eq!(again.as_ref(), Ok(&canonical), "{:?}", logical);
                let sent = to_binary(logical, &canonical);
                let again = sent.and_then(|sent| from_binary(logical, &sent));
                prop_assert_eq!(again.as_ref(), Ok(&canonical), "{:?}", logical);
                for cast in [false, true] {
                    if let Ok(coerced) = coerce(logical, canonical.clone(), cast) {
                        prop_assert_eq!(&coerce(logical, coerced.clone(), false), &Ok(coerced));
                    }
                }
            }
        }
    }

    #[test]
    fn nothing_panics(bytes in input(), settings in settings()) {
        for logical in ALL {
            let _ = to_text(logical, &bytes, &settings);
            let _ = to_binary(logical, &bytes);
            let _ = coerce(logical, bytes.clone(), true);
            for oid in DECLARED {
                for format in [0, 1, 2] {
                    let _ = from_wire(oid, format, &bytes, logical, &settings);
                }
            }
        }
        let _ = array::elements_from_text(&bytes);
        let _ = array::elements_from_binary(&bytes);
    }

    #[test]
    fn faults_hold_no_value(number in 1_000_000_000_000_u64..) {
        let marked = format!("{number}secret");
        for logical in ALL {
            let written = from_text(logical, marked.as_bytes(), &TextSettings::default())
                .and_then(|canonical| coerce(logical, canonical, false));
            if let Err(fault) = written {
                let said = format!("{fault} {fault:?}");
                prop_assert!(!said.contains("secret") && !said.contains(&number.to_string()));
            }
        }
    }
}

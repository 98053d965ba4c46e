//! Long results: many rows, and rows of many columns, beside plain ones and the server's own decryption.

use std::process::Command;
use std::time::Instant;

use super::client::Wire;
use super::measure::{Median, anonymous_kib};
use super::parts::connected;
use super::place::{PLAIN, Place, Way};
use super::report::Report;
use super::{Settings, crm};
use crate::support::raw::query;

/// Long results with four sealed values a row, beside plain ones and the server's own decryption.
pub fn rows(place: &Place, settings: &Settings, report: &mut Report) {
    const COLUMNS: &str = "id, email, phone, birthdate, national_id";
    in_server_table(place);
    for rows in [10_000_u64, 50_000, 100_000] {
        // Beyond the rows that there are each comes twice.
        let times = rows.div_ceil(crm::CONTACTS);
        let wanted = format!(
            "CROSS JOIN generate_series(1, {times}) WHERE id <= {}",
            rows / times
        );
        let plain = format!("SELECT {COLUMNS} FROM contacts {wanted}");
        let aes = format!(
            "SELECT id, {} FROM in_server {wanted}",
            in_form("decrypt({}_aes, 'sixteen byte key', 'aes')")
        );
        let mut seconds: Vec<[f64; 3]> = Vec::new();
        let mut direct = connected(place, Way::Direct);
        let mut bouncer = connected(place, Way::Bouncer);
        let mut sealed = connected(place, Way::Sealed);
        for _ in 0..settings.rounds * 3 {
            let took = |wire: &mut Wire, text: &str| {
                let began = Instant::now();
                assert_eq!(wire.exchange(&query(text), text), rows);
                began.elapsed().as_secs_f64()
            };
            seconds.push([
                took(&mut bouncer, &plain),
                took(&mut sealed, &plain),
                took(&mut direct, &aes),
            ]);
        }
        let what = format!("{rows} rows, 4 values each");
        let of = |at: usize| Median::of(seconds.iter().map(|s| s[at] * 1e3));
        report.add("Reading", &what, "ms, plain through pgbouncer", of(0));
        report.add("Reading", &what, "ms, sealed through pgveil", of(1));
        report.add(
            "Reading",
            &what,
            "ms, decrypt(…, 'aes') in the server",
            of(2),
        );
        let ratio = |over: usize| Median::of(seconds.iter().map(|s| s[over] / s[1]));
        report.add(
            "Reading",
            &what,
            "rate, pgveil sealed/pgbouncer plain",
            ratio(0),
        );
        report.add(
            "Reading",
            &what,
            "rate, pgveil sealed/decrypt(…, 'aes')",
            ratio(2),
        );
    }
    pgp(place, report);
    let kib = place.process(Way::Sealed).map_or(0.0, anonymous_kib);
    report.add(
        "Reading",
        "after all of it",
        "MiB of pgveil's own memory",
        Median::of([kib / 1024.0]),
    );
}

fn pgp(place: &Place, report: &mut Report) {
    let pgp = format!(
        "SELECT id, {} FROM in_server WHERE id <= 500",
        in_form("pgp_sym_decrypt({}_pgp, 'key')")
    );
    let mut direct = connected(place, Way::Direct);
    let began = Instant::now();
    assert_eq!(direct.exchange(&query(&pgp), &pgp), 500);
    let all = began.elapsed().as_secs_f64() * 20.0;
    report.add(
        "Reading",
        "10000 rows, 4 values each",
        "s, pgp_sym_decrypt (of 500 rows, times 20)",
        Median::of([all]),
    );
}

fn in_form(form: &str) -> String {
    let names = ["email", "phone", "birthdate", "national_id"];
    names.map(|name| form.replace("{}", name)).join(", ")
}

/// What the server would decrypt by itself, with pgcrypto.
fn in_server_table(place: &Place) {
    let superuser = place.cluster.superuser_url(PLAIN);
    let aes = in_form("encrypt(convert_to({}::text, 'UTF8'), 'sixteen byte key', 'aes') AS {}_aes");
    let pgp = in_form("CASE WHEN id <= 500 THEN pgp_sym_encrypt({}::text, 'key') END AS {}_pgp");
    let sql = format!(
        "CREATE EXTENSION IF NOT EXISTS pgcrypto; CREATE TABLE IF NOT EXISTS in_server AS SELECT id, {aes}, {pgp} FROM contacts; \
         CREATE INDEX IF NOT EXISTS in_server_id ON in_server (id); ANALYZE in_server; GRANT SELECT ON in_server TO PUBLIC"
    );
    let out = Command::new("psql")
        .args(["-qX", "-v", "ON_ERROR_STOP=1", "-d", &superuser, "-c", &sql])
        .output();
    let out = out.expect("psql");
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
}

/// How a row's cost grows with its columns, one of which is sealed.
pub fn columns(place: &Place, settings: &Settings, report: &mut Report) {
    let mut bouncer = connected(place, Way::Bouncer);
    let mut sealed = connected(place, Way::Sealed);
    for columns in [1_u32, 10, 100, 1_000] {
        let rows = 10_000 / columns;
        let others = ", id".repeat(columns as usize - 1);
        let text = format!("SELECT email{others} FROM contacts WHERE id <= {rows}");
        let took = |wire: &mut Wire| {
            let began = Instant::now();
            assert_eq!(wire.exchange(&query(&text), &text), u64::from(rows));
            began.elapsed().as_secs_f64() * 1e6 / f64::from(rows * columns)
        };
        let each: Vec<[f64; 2]> = (0..settings.rounds * 3)
            .map(|_| [took(&mut bouncer), took(&mut sealed)])
            .collect();
        let what = format!("rows of {columns} columns");
        let of = |at: usize| Median::of(each.iter().map(|each| each[at]));
        report.add(
            "Reading",
            &what,
            "µs a value, plain through pgbouncer",
            of(0),
        );
        report.add("Reading", &what, "µs a value, sealed through pgveil", of(1));
    }
}

//! pgveil against what would run in its place, end to end: `cargo bench --bench load`.
//!
//! ```text
//! cargo bench --bench load -- [--rounds 5] [--seconds 5] [--only untouched,crm,lookup,read,columns,calls,memory] [--results]
//! ```
//!
//! Starts a PostgreSQL, a pgbouncer (session mode) and two pgveils, and runs each workload by every way in turn, round
//! after round: a machine's noise then meets all of them. Ratios are taken within a round. `--results` writes
//! `benches/RESULTS.md` and `target/load.json`. Needs PostgreSQL's server programs, pgbench and pgbouncer.

#[path = "../../tests/support/mod.rs"]
mod support;

mod client;
mod crm;
mod measure;
mod parts;
mod place;
mod reading;
mod report;

use std::process::Command;

use measure::processor;
use place::Place;
use report::Report;

/// What the command line says.
pub struct Settings {
    /// how often each way is measured
    pub rounds: usize,
    /// how long a run lasts
    pub seconds: u64,
    only: Vec<String>,
    results: bool,
}

impl Settings {
    fn read() -> Self {
        let mut settings = Self {
            rounds: 5,
            seconds: 5,
            only: Vec::new(),
            results: false,
        };
        let mut arguments = std::env::args().skip(1);
        let number = |arguments: &mut dyn Iterator<Item = String>, name: &str| {
            let value = arguments.next().and_then(|v| v.parse().ok());
            value.unwrap_or_else(|| panic!("{name} takes a number"))
        };
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--rounds" => settings.rounds = number(&mut arguments, "--rounds") as usize,
                "--seconds" => settings.seconds = number(&mut arguments, "--seconds"),
                "--only" => {
                    let parts = arguments.next().expect("--only takes parts");
                    settings.only = parts.split(',').map(str::to_owned).collect();
                }
                "--results" => settings.results = true,
                // cargo's own
                "--bench" => {}
                other => panic!("{other} is no argument of this bench"),
            }
        }
        settings
    }

    fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|p| p == part)
    }
}

fn main() {
    let settings = Settings::read();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let place = runtime.block_on(Place::start());
    let date = Command::new("date").arg("--iso").output().expect("date");
    let mut report = Report {
        processor: processor(),
        date: String::from_utf8_lossy(&date.stdout).trim().to_owned(),
        settings: format!("{} rounds of {} s", settings.rounds, settings.seconds),
        lines: Vec::new(),
    };
    for (name, part) in parts::ALL {
        if settings.wants(name) {
            part(&place, &settings, &mut report);
        }
    }
    if settings.results {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/RESULTS.md");
        std::fs::write(page, report.page()).expect("a page");
        let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
        let json = serde_json::to_string_pretty(&report).expect("JSON");
        std::fs::write(std::path::Path::new(&target).join("load.json"), json).expect("a file");
    }
}

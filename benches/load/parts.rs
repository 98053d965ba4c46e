//! The parts of the bench, each a workload by every way.

use std::process::Command;
use std::time::Duration;

use super::Settings;
use super::client::{Load, Outcome, Protocol, Wire, run};
use super::measure::{Median, anonymous_kib, processor_seconds};
use super::place::{PASSWORD, Place, Way};
use super::report::Report;
use super::{client, crm, reading};
use crate::support;
use crate::support::raw::{Raw, query};

type Part = fn(&Place, &Settings, &mut Report);

/// Their names and themselves, in order.
pub const ALL: &[(&str, Part)] = &[
    ("untouched", untouched),
    ("crm", crm_mix),
    ("lookup", lookup),
    ("read", reading::rows),
    ("columns", reading::columns),
    ("calls", calls),
    ("memory", memory),
];

/// What one run by one way came to.
struct Run {
    /// statements a second
    rate: f64,
    /// microseconds of the proxy's processor time a statement
    cpu: f64,
    /// microseconds of latency
    p50: f64,
    p99: f64,
}

/// Every way once a round, in turn; the runs of each way in the order of the rounds.
fn interleaved(rounds: usize, ways: &[Way], mut one: impl FnMut(Way) -> Run) -> Vec<Vec<Run>> {
    let mut runs: Vec<Vec<Run>> = ways.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (way, runs) in ways.iter().zip(&mut runs) {
            runs.push(one(*way));
        }
    }
    runs
}

/// Reports the ratios to the way with this index, and each way's processor time.
fn told(
    report: &mut Report,
    part: &'static str,
    what: &str,
    (ways, runs, base): (&[Way], &[Vec<Run>], usize),
) {
    for (at, (way, own)) in ways.iter().zip(runs).enumerate() {
        if at != base {
            let ratios = own
                .iter()
                .zip(&runs[base])
                .map(|(own, base)| own.rate / base.rate);
            let figure = format!("statements a second, {}/{}", way.name(), ways[base].name());
            report.add(part, what, &figure, Median::of(ratios));
        }
        if *way != Way::Direct {
            let figure = format!("CPU µs a statement, {}", way.name());
            report.add(part, what, &figure, Median::of(own.iter().map(|r| r.cpu)));
        }
    }
}

/// A run of something by one way, with the processor time of its proxy.
fn timed(place: &Place, way: Way, load: impl FnOnce() -> Outcome) -> Run {
    let process = place.process(way);
    let before = process.map_or(0.0, processor_seconds);
    let outcome = load();
    let cpu = process.map_or(0.0, processor_seconds) - before;
    #[expect(clippy::cast_precision_loss, reason = "a count of statements")]
    let statements = outcome.statements as f64;
    Run {
        rate: outcome.rate,
        cpu: cpu / statements * 1e6,
        p50: outcome.percentile(0.5),
        p99: outcome.percentile(0.99),
    }
}

/// pgbench's select-only over tables that no policy names.
fn untouched(place: &Place, settings: &Settings, report: &mut Report) {
    let port = place.cluster.port().to_string();
    pgbench(&["-q", "-i", "-s", "10"], &port);
    let ways = [Way::Direct, Way::Bouncer, Way::Untouched];
    for clients in ["8", "64"] {
        for mode in ["simple", "extended", "prepared"] {
            let runs = interleaved(settings.rounds, &ways, |way| {
                let port = place.door(way).port.to_string();
                let seconds = settings.seconds.to_string();
                timed(place, way, || {
                    let said = pgbench(
                        &[
                            "-n", "-S", "-M", mode, "-c", clients, "-j", "2", "-T", &seconds,
                        ],
                        &port,
                    );
                    let number = |start: &str, end: char| {
                        let line = said.lines().find_map(|l| l.strip_prefix(start));
                        let word = line.and_then(|l| l.split(end).next());
                        word.and_then(|w| w.trim().parse::<f64>().ok())
                            .expect(start)
                    };
                    #[expect(
                        clippy::cast_possible_truncation,
                        clippy::cast_sign_loss,
                        reason = "a count"
                    )]
                    Outcome {
                        rate: number("tps =", '('),
                        statements: number("number of transactions actually processed:", '/')
                            as usize,
                        latencies: Vec::new(),
                    }
                })
            });
            let what = format!("pgbench select-only, {mode}, {clients} clients");
            told(report, "Untouched", &what, (&ways, &runs, 1));
        }
    }
}

fn pgbench(arguments: &[&str], port: &str) -> String {
    let out = Command::new("pgbench")
        .args(arguments)
        .args([
            "-h",
            "127.0.0.1",
            "-p",
            port,
            "-U",
            super::place::OWNER,
            super::place::PLAIN,
        ])
        .env("PGPASSWORD", PASSWORD)
        .output()
        .expect("pgbench");
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(
        out.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&out.stderr)
    );
    said
}

/// The CRM's mix; what its queries find is the same by every way.
fn crm_mix(place: &Place, settings: &Settings, report: &mut Report) {
    for (protocol, name) in [
        (Protocol::Simple, "literals"),
        (Protocol::Prepared, "parameters"),
    ] {
        let ways = [Way::Direct, Way::Bouncer, Way::Untouched, Way::Sealed];
        let load = load_of(settings, protocol);
        let runs = interleaved(settings.rounds, &ways, |way| {
            timed(place, way, || run(place.door(way), crm::MIX, load))
        });
        let what = format!("CRM mix, {name}, {} clients", load.clients);
        told(report, "CRM", &what, (&ways, &runs, 1));
        // A masked role reads only, and does not search by what it sees masked.
        let ways = [Way::Bouncer, Way::Masked];
        let page = &crm::MIX[3..6];
        let runs = interleaved(settings.rounds, &ways, |way| {
            timed(place, way, || run(place.door(way), page, load))
        });
        let what = format!("pages, search and join, {name}, {} clients", load.clients);
        told(report, "CRM", &what, (&ways, &runs, 0));
    }
}

fn load_of(settings: &Settings, protocol: Protocol) -> Load {
    Load {
        clients: 8,
        time: Duration::from_secs(settings.seconds),
        protocol,
        rate: None,
    }
}

/// A sealed look-up by equality, at full load and at half of what the slowest way can do.
fn lookup(place: &Place, settings: &Settings, report: &mut Report) {
    let ways = [Way::Direct, Way::Bouncer, Way::Untouched, Way::Sealed];
    for (protocol, name) in [
        (Protocol::Simple, "literals"),
        (Protocol::Prepared, "parameters"),
    ] {
        let load = load_of(settings, protocol);
        let runs = interleaved(settings.rounds, &ways, |way| {
            timed(place, way, || run(place.door(way), crm::LOOKUP, load))
        });
        let what = format!("look-up by e-mail, {name}, 8 clients");
        told(report, "Look-up", &what, (&ways, &runs, 1));
        let rates = runs.iter().flatten().map(|run| run.rate);
        let rate = Some(rates.fold(f64::INFINITY, f64::min) / 2.0);
        let runs = interleaved(settings.rounds, &ways, |way| {
            timed(place, way, || {
                run(place.door(way), crm::LOOKUP, client::Load { rate, ..load })
            })
        });
        let what = format!("look-up by e-mail, {name}, at half load");
        for (way, own) in ways.iter().zip(&runs) {
            let p50 = Median::of(own.iter().map(|r| r.p50));
            report.add("Look-up", &what, &format!("p50 µs, {}", way.name()), p50);
            let p99 = Median::of(own.iter().map(|r| r.p99));
            report.add("Look-up", &what, &format!("p99 µs, {}", way.name()), p99);
        }
        for (at, way) in ways.iter().enumerate().skip(2) {
            let pairs = || runs[at].iter().zip(&runs[1]);
            let added = Median::of(pairs().map(|(own, bouncer)| own.p50 - bouncer.p50));
            report.add(
                "Look-up",
                &what,
                &format!("added p50 µs, {}", way.name()),
                added,
            );
            let ratio = Median::of(pairs().map(|(own, bouncer)| own.p99 / bouncer.p99));
            report.add(
                "Look-up",
                &what,
                &format!("p99, {}/pgbouncer", way.name()),
                ratio,
            );
        }
    }
}

/// System calls a statement of each proxy, counted by strace where it is there.
fn calls(place: &Place, _: &Settings, report: &mut Report) {
    let port = |way| place.door(way).port.to_string();
    for way in [Way::Bouncer, Way::Untouched] {
        let process = place.process(way).expect("a proxy").to_string();
        let folder = tempfile::tempdir().expect("a folder");
        let counts = folder.path().join("counts");
        let strace = Command::new("strace")
            .args(["-f", "-c", "-U", "name,calls", "-p", &process, "-o"])
            .arg(&counts)
            .stderr(std::process::Stdio::null())
            .spawn();
        let Ok(mut strace) = strace else {
            return println!("without strace no system calls are counted");
        };
        std::thread::sleep(Duration::from_secs(1));
        let said = pgbench(&["-n", "-S", "-c", "8", "-t", "2000"], &port(way));
        assert!(said.contains("16000/16000"), "{said}");
        let pid = strace.id().to_string();
        support::pgveil::signal("-INT", [&pid])
            .status()
            .expect("kill");
        strace.wait().expect("strace");
        for line in std::fs::read_to_string(&counts).expect("counts").lines() {
            let mut words = line.split_whitespace();
            if let (Some(name), Some(Ok(count))) =
                (words.next(), words.next().map(str::parse::<f64>))
                && name != "total"
                && count >= 160.0
            {
                let figure = format!("{name} a statement, {}", way.name());
                let what = "pgbench select-only, simple, 8 clients";
                report.add(
                    "System calls",
                    what,
                    &figure,
                    Median::of([count / 16_000.0]),
                );
            }
        }
    }
}

/// What idle sessions cost.
fn memory(place: &Place, _: &Settings, report: &mut Report) {
    for way in [Way::Bouncer, Way::Untouched, Way::Sealed] {
        let process = place.process(way).expect("a proxy");
        let before = anonymous_kib(process);
        let mut held = Vec::new();
        for count in [1_u32, 100, 1_000] {
            while held.len() < count as usize {
                let mut wire = connected(place, way);
                wire.exchange(
                    &query("SELECT id, email FROM contacts WHERE id = 1"),
                    "one row",
                );
                held.push(wire);
            }
            std::thread::sleep(Duration::from_secs(1));
            let each = (anonymous_kib(process) - before) / f64::from(count);
            let what = format!("{count} idle sessions");
            report.add(
                "Memory",
                &what,
                &format!("KiB a session, {}", way.name()),
                Median::of([each]),
            );
        }
        drop(held);
        std::thread::sleep(Duration::from_secs(2));
    }
}

/// A connection by a way.
pub fn connected(place: &Place, way: Way) -> Wire {
    let door = place.door(way);
    Wire::new(Raw::login(door.port, door.user, door.password, door.database).into_stream())
}

//! What each stage of a statement's way costs, without a server: `cargo bench --bench stages`.
//!
//! The catalog has one treated table of six columns; `app` sees everything, `clerk` sees masks.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pgveil::ident::RoleName;
use pgveil::policy::decide::Show;
use pgveil::session::{Formats, Lexing, Veil};
use pgveil::statement::plan::{ColumnPlan, Outcome, Plan};
use pgveil::statement::{ClientEncoding, Context, analyse, fingerprint};
use pgveil::types::TextSettings;
use site::{PEOPLE, SITE, Site};

#[path = "../tests/fuzz/src/site.rs"]
#[allow(dead_code, reason = "the fuzz targets use more of it")]
mod site;

const LEXING: Lexing = Lexing {
    standard_conforming_strings: true,
    client_encoding: ClientEncoding::Utf8,
};

/// What names nothing treated: pgbench's select-only, an ORM's query, and a long list.
const UNTOUCHED: [(&str, &str); 2] = [
    (
        "short",
        "SELECT abalance FROM pgbench_accounts WHERE aid = 4711;",
    ),
    (
        "orm",
        r#"SELECT "crm_deal"."id", "crm_deal"."title", "crm_deal"."amount", "crm_deal"."stage_id", "crm_deal"."owner_id"
           FROM "crm_deal" INNER JOIN "crm_stage" ON ("crm_deal"."stage_id" = "crm_stage"."id")
           WHERE ("crm_stage"."is_open" AND "crm_deal"."title" LIKE 'Renewal%') ORDER BY "crm_deal"."id" DESC LIMIT 21"#,
    ),
];

/// What meets treated attributes.
const TOUCHED: [(&str, &str); 3] = [
    (
        "literal",
        "SELECT id, email, birth FROM people WHERE email = 'ada@example.com'",
    ),
    (
        "parameter",
        "SELECT id, email, birth FROM people WHERE email = $1",
    ),
    (
        "insert",
        "INSERT INTO people (id, email, birth, salary, phone, notes) VALUES (1, 'ada@example.com', '1985-12-10', 4200.50, '1234567890123', 'a note')",
    ),
];

/// The outcome of a text that is analysed anew.
fn analysed(text: &str, role: &str) -> Outcome {
    let view = &SITE.view;
    let role = RoleName::new(role);
    let context = Context {
        snapshot: &view.snapshot,
        bound: &view.bound,
        reach: &view.roles[&role].reach,
        role: &role,
        standard_conforming_strings: LEXING.standard_conforming_strings,
        client_encoding: LEXING.client_encoding,
        cache: None,
    };
    analyse(text, &context)
}

fn statement(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("statement");
    let app = SITE.role("app");
    for (name, text) in UNTOUCHED {
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(format!("fast path, {name}"), |b| {
            b.iter(|| black_box(app.analyse(black_box(text), LEXING)));
        });
        group.bench_function(format!("fingerprint, {name}"), |b| {
            b.iter(|| black_box(fingerprint(black_box(text))));
        });
    }
    for (name, text) in TOUCHED {
        group.throughput(Throughput::Bytes(text.len() as u64));
        for role in ["app", "clerk"] {
            let view = SITE.role(role);
            if matches!(view.analyse(text, LEXING).0, Outcome::Refused(_)) {
                continue;
            }
            group.bench_function(format!("analysis, {name}, {role}"), |b| {
                b.iter(|| black_box(analysed(black_box(text), role)));
            });
            group.bench_function(format!("cached plan, {name}, {role}"), |b| {
                b.iter(|| black_box(view.analyse(black_box(text), LEXING)));
            });
        }
    }
    group.finish();
}

/// The plan of a text for the role that sees everything.
fn plan(text: &str) -> std::sync::Arc<Plan> {
    match SITE.role("app").analyse(text, LEXING).0 {
        Outcome::Plan(plan) => plan,
        _ => panic!("no plan for {text}"),
    }
}

fn values(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("values");
    let app = SITE.role("app");
    let settings = TextSettings::default();
    for (name, text) in [TOUCHED[0], TOUCHED[2]] {
        let plan = plan(text);
        group.bench_function(format!("fill, {name}"), |b| {
            b.iter(|| black_box(app.fill(black_box(&plan), &settings)));
        });
    }
    let formats = Formats {
        stored: 0,
        shown: 0,
    };
    for (attribute, stored) in &SITE.stored {
        let mut treated = SITE.bound().relation(PEOPLE).iter();
        let treated = treated
            .find(|treated| treated.name.attribute == *attribute)
            .expect("a treated column");
        let column = ColumnPlan::Open {
            attribute: treated.clone(),
            show: Show::Plain,
        };
        let sent = match stored.first() {
            Some(0xd5) => format!("\\x{}", hex::encode(stored)).into_bytes(),
            _ => stored.clone(),
        };
        group.bench_function(format!("show {attribute}"), |b| {
            b.iter(|| {
                black_box(
                    app.show(&column, formats, &settings, black_box(&sent))
                        .is_ok(),
                )
            });
        });
    }
    group.finish();
}

/// How cost grows: with the policy, and with the length of a statement. What is looked up, or read once, must not cost
/// more for each part of a longer one.
fn growth(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("growth");
    for attributes in [10_usize, 1_000] {
        let app = Site::beside(attributes / 10).role("app");
        for (name, text) in [UNTOUCHED[1], TOUCHED[1]] {
            group.bench_function(format!("{name}, {attributes} treated attributes"), |b| {
                b.iter(|| black_box(app.analyse(black_box(text), LEXING)));
            });
        }
    }
    let app = SITE.role("app");
    let settings = TextSettings::default();
    for count in [1_u64, 10, 100, 1_000, 10_000] {
        group.throughput(Throughput::Elements(count));
        let list =
            |item: &dyn Fn(u64) -> String| (1..=count).map(item).collect::<Vec<_>>().join(", ");
        let literals = list(&|n| format!("'{n}@example.com'"));
        let parameters = list(&|n| format!("${n}"));
        let rows = list(&|n| format!("({n}, '{n}@example.com')"));
        let texts = [
            (
                "literals",
                format!("SELECT id FROM people WHERE email IN ({literals})"),
            ),
            (
                "parameters",
                format!("SELECT id FROM people WHERE email IN ({parameters})"),
            ),
            (
                "rows",
                format!("INSERT INTO people (id, email) VALUES {rows}"),
            ),
            (
                "untouched literals",
                format!("SELECT id FROM others WHERE email IN ({literals})"),
            ),
        ];
        for (name, text) in texts {
            group.bench_function(format!("{name}, {count}"), |b| {
                b.iter(|| match analysed(black_box(&text), "app") {
                    Outcome::Plan(plan) => drop(black_box(app.fill(&plan, &settings))),
                    other => drop(black_box(other)),
                });
            });
        }
    }
    group.finish();
}

criterion_group! {
    name = stages;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = statement, values, growth
}
criterion_main!(stages);

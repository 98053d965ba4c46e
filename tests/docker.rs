//! What `docker/` names exists: metrics and labels in what pgveil exports, files in the tree, words in the configuration.
//!
//! No engine runs here. Prometheus' own check of rules and expressions is `promtool`'s, where the machine has it.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use support::pgveil::Pgveil;

const ALERTS: &str = include_str!("../docker/prometheus/alerts.yml");
const DASHBOARD: &str = include_str!("../docker/grafana/dashboards/pgveil.json");
const COMPOSE: &str = include_str!("../docker/compose.yaml");
const SECRETS: &str = include_str!("../docker/secrets.sh");
const CONFIGURATION: &str = include_str!("../docker/pgveil/pgveil.toml");
const POLICY: &str = include_str!("../docker/pgveil/policy.yaml");
const DOCKERFILE: &str = include_str!("../docker/Dockerfile");
const IGNORED: &str = include_str!("../docker/Dockerfile.dockerignore");
const MANIFEST: &str = include_str!("../Cargo.toml");
const LABELS: &str = include_str!("../src/metrics/labels.rs");

fn docker(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("docker")
        .join(path)
}

/// The names of pgveil's metrics in a text, without what Prometheus adds to a histogram's.
fn metrics(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let named = words.filter(|word| word.starts_with("pgveil_"));
    let plain = |word: &str| {
        let cut = ["_bucket", "_sum", "_count"].iter();
        let mut cut = cut.filter_map(|end| word.strip_suffix(end));
        cut.next().unwrap_or(word).to_owned()
    };
    named.map(plain).collect()
}

/// The first words of the paths that the build has to have, beside the sources: the manifest is not read without the
/// folders of the targets that it names.
fn needed() -> BTreeSet<String> {
    let manifest: toml::Table = MANIFEST.parse().expect("a manifest");
    let kinds = [
        ("bench", "benches"),
        ("test", "tests"),
        ("example", "examples"),
    ];
    let named = kinds
        .iter()
        .filter(|(kind, _)| manifest.contains_key(*kind));
    let folders = named.map(|(_, folder)| (*folder).to_owned());
    let others = ["Cargo.toml", "Cargo.lock", "src"].map(str::to_owned);
    folders.chain(others).collect()
}

#[test]
fn the_image_is_built_from_all_that_the_build_needs() {
    let lines = DOCKERFILE.lines().filter_map(|l| l.strip_prefix("COPY "));
    let lines = lines.filter(|line| !line.starts_with("--from"));
    let copied: BTreeSet<String> = lines
        .flat_map(|line| {
            let paths: Vec<&str> = line.split(' ').collect();
            let (_, sources) = paths.split_last().expect("where it goes");
            sources.iter().map(ToString::to_string).collect::<Vec<_>>()
        })
        .collect();
    let let_in = IGNORED.lines().filter_map(|line| line.strip_prefix('!'));
    let let_in: BTreeSet<String> = let_in.map(str::to_owned).collect();
    assert_eq!(copied, let_in);
    assert!(needed().is_subset(&copied), "{:?} of {copied:?}", needed());
}

/// Every expression of the dashboard.
fn expressions() -> Vec<String> {
    let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().expect("targets"));
    targets
        .map(|target| target["expr"].as_str().expect("an expression").to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_of_rules_and_dashboard_is_exported_and_health_asks_the_instance() {
    let cluster = support::cluster();
    let database = support::create_database(cluster).await;
    let login = support::fresh_name("crm_app");
    support::create_login(cluster, &login, "app", "").await;
    let superuser = support::connect(&cluster.superuser_url(&database)).await;
    let table = format!(
        "CREATE TABLE contacts (id int, full_name text, email text, phone text, birth_date date); GRANT ALL ON contacts TO {login}"
    );
    superuser.batch_execute(&table).await.expect("a table");
    let policy = POLICY.replace("user: crm_app ", &format!("user: {login} "));
    let mut pgveil = Pgveil::start(cluster, &database, &policy).await;
    let client = support::connect(&pgveil.url(&login, "app", &database)).await;
    let used =
        "INSERT INTO contacts (id, full_name) VALUES (1, 'a'); SELECT full_name FROM contacts";
    client.batch_execute(used).await.expect("statements");

    let exported = metrics(&pgveil.page("/metrics"));
    let mut named = metrics(ALERTS);
    named.extend(metrics(DASHBOARD));
    assert!(named.len() > 5, "{named:?}");
    let missing: Vec<_> = named.difference(&exported).collect();
    assert!(missing.is_empty(), "not exported: {missing:?}");

    pgveil.run_with_config(&["health"]);
    pgveil.stop();
    let asked = Command::new(env!("CARGO_BIN_EXE_pgveil"))
        .args(["health", "--config"])
        .arg(pgveil.path("pgveil.toml"))
        .output()
        .expect("pgveil");
    assert_eq!(asked.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&asked.stderr).contains("does not answer"));
}

#[test]
fn every_label_value_of_rules_and_dashboard_is_one_that_pgveil_gives() {
    for text in expressions().into_iter().chain([ALERTS.to_owned()]) {
        for label in ["outcome", "reason", "action"] {
            for operator in ["=", "!=", "=~"] {
                let before = format!("{label}{operator}\"");
                for found in text.split(&before).skip(1) {
                    let values = found.split('"').next().expect("a value");
                    for value in values.split('|') {
                        assert!(LABELS.contains(&format!("\"{value}\"")), "{label} {value}");
                    }
                }
            }
        }
    }
}

#[test]
fn promtool_takes_rules_and_expressions() {
    let promtool = |arguments: &[&str]| {
        let run = Command::new("promtool")
            .args(arguments)
            .current_dir(docker("prometheus"))
            .output();
        let Ok(output) = run else { return false };
        let said = [&output.stdout[..], &output.stderr[..]].concat();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&said)
        );
        true
    };
    if !promtool(&["--version"]) {
        eprintln!("left out: this machine has no promtool");
        return;
    }
    promtool(&["check", "config", "prometheus.yml"]);
    promtool(&["test", "rules", "alerts.test.yml"]);
    // The dashboard's expressions as recording rules: their grammar is the same.
    let mut rules = String::from("groups:\n  - name: dashboard\n    rules:\n");
    for (n, expression) in expressions().iter().enumerate() {
        let expression = expression.replace("$__rate_interval", "1m");
        rules.push_str(&format!(
            "      - {{ record: 'r{n}', expr: '{expression}' }}\n"
        ));
    }
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), rules).expect("a file");
    promtool(&["check", "rules", file.path().to_str().expect("a path")]);
}

#[test]
fn the_policy_and_the_words_of_the_configuration_are_known() {
    pgveil::policy::load("policy.yaml", POLICY).expect("a policy");
    let output = Command::new(env!("CARGO_BIN_EXE_pgveil"))
        .args(["setup", "--config"])
        .arg(docker("pgveil/pgveil.toml"))
        .output()
        .expect("pgveil");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let setup = fs::read(docker("postgres/20-setup.sql")).expect("the setup SQL");
    assert!(
        output.stdout == setup,
        "refresh it: cargo run -- setup --config docker/pgveil/pgveil.toml > docker/postgres/20-setup.sql"
    );
}

#[test]
fn every_secret_is_made_and_given() {
    let given: BTreeSet<_> = COMPOSE
        .lines()
        .filter_map(|line| line.split_once("{ file: ./secrets/"))
        .filter_map(|(_, rest)| rest.trim_end_matches(" }").split_once('/'))
        .map(|(_, name)| name)
        .collect();
    assert!(given.len() > 8, "{given:?}");
    for secret in &given {
        let stem = secret.split('.').next().expect("a stem");
        assert!(SECRETS.contains(stem), "secrets.sh makes no {secret}");
    }
    for line in CONFIGURATION.lines().chain(COMPOSE.lines()) {
        for found in line.split("/run/secrets/").skip(1) {
            let end = found.find(|c: char| c == '"' || c.is_whitespace());
            let name = &found[..end.unwrap_or(found.len())];
            assert!(
                given.contains(name),
                "{name} is no secret of the compose file"
            );
        }
    }
}

//! psql and pgbench, where the machine has them.

use std::process::Command;

use super::programs::{missing, script, succeeded};
use super::{sides, support};

/// Whether the machine has a program.
fn has(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok();
    if !there {
        missing(program, "this machine has none");
    }
    there
}

#[tokio::test(flavor = "multi_thread")]
async fn psql_prints_the_same() {
    if !has("psql") {
        return;
    }
    let sides = sides().await;
    let run = |url: &str, table: &str| {
        let script = format!(
            "\\set ON_ERROR_STOP on
             INSERT INTO {table} (id, t, i4, n, d, phone) VALUES (1, 'Zoë', 5, 1.50, '2024-02-29', '0123456789');
             SELECT * FROM {table};
             \\x
             SELECT t, n FROM {table} WHERE phone = '0123456789';
             SELECT id FROM {table} WHERE t = 'Zoë' \\gset
             UPDATE {table} SET t = 'neu' WHERE id = :id;
             SELECT t AS \"T\", i4 FROM {table} WHERE d = '2024-02-29';
             DELETE FROM {table} WHERE i4 = 5;"
        );
        let mut psql = Command::new("psql");
        psql.args(["--no-psqlrc", url, "-c", "SELECT 1", "-f", "-"]);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), script).unwrap();
        psql.stdin(std::fs::File::open(file.path()).unwrap());
        succeeded("psql", &psql.output().unwrap())
    };
    assert_eq!(
        run(&sides.through, "every_type"),
        run(&sides.direct, "twin")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pgbench_runs_in_every_mode() {
    if !has("pgbench") {
        return;
    }
    let sides = sides().await;
    let client = support::connect(&sides.through).await;
    for key in 1..=50 {
        let insert = format!(
            "INSERT INTO every_type (id, i4, t, n, phone) VALUES ({key}, {key}, 'name', 1.50, '0123456789')"
        );
        client.batch_execute(&insert).await.unwrap();
    }
    for mode in ["simple", "extended", "prepared"] {
        let mut pgbench = Command::new("pgbench");
        pgbench.args(["-n", "-M", mode, "-c", "4", "-j", "2", "-t", "25", "-f"]);
        pgbench.arg(script("bench.sql")).arg(&sides.through);
        let said = succeeded("pgbench", &pgbench.output().unwrap());
        assert!(
            said.contains("actually processed: 100/100"),
            "{mode}: {said}"
        );
    }
}

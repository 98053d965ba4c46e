//! The drivers' programs: one a library, run with the data file and the connection strings.
//!
//! A program ends with the line `NAME VERSION: N checks hold`, or with exit code 77 where its library is missing.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::sides;

/// How a program says that its library is missing, as in automake's tests.
const MISSING: i32 = 77;

/// What a program that ended well said; its faults otherwise.
pub fn succeeded(what: &str, output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let faults = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {said}{faults}");
    said
}

/// A file beside this one.
pub fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/drivers")
        .join(name)
}

/// The folder with the client libraries, where there is one.
fn libraries() -> Option<PathBuf> {
    std::env::var_os("PGVEIL_DRIVERS").map(PathBuf::from)
}

/// Says a line past the capture of the test's output: the counts are what a reader of a run looks for.
pub fn say(line: &str) {
    // A closed standard error leaves nobody to tell.
    let _ = writeln!(std::io::stderr(), "driver: {}", line.trim());
}

/// A driver that is not there: said, and a failure where the libraries were promised.
pub fn missing(driver: &str, why: &str) {
    assert!(libraries().is_none(), "{driver} is missing: {why}");
    say(&format!("{driver}: left out, {why}"));
}

/// Runs a driver's program; `program` is None where its language is missing.
async fn matrix(driver: &str, program: Option<Command>) {
    let Some(mut program) = program else {
        return missing(driver, "PGVEIL_DRIVERS names no folder with it");
    };
    let sides = sides().await;
    program.arg(script("attributes.txt"));
    program.args([&sides.through, &sides.direct, &sides.masked, &sides.tokened]);
    match program.output() {
        Err(fault) => missing(driver, &fault.to_string()),
        Ok(output) if output.status.code() == Some(MISSING) => {
            missing(driver, &String::from_utf8_lossy(&output.stdout));
        }
        Ok(output) => {
            let said = succeeded(driver, &output);
            assert!(said.trim().ends_with("checks hold"), "{driver}: {said}");
            say(&said);
        }
    }
}

fn python(name: &str) -> Option<Command> {
    let mut python = Command::new(libraries()?.join("venv/bin/python"));
    // The clone stays as it is.
    python.env("PYTHONDONTWRITEBYTECODE", "1");
    python.arg(script(&format!("python/{name}_matrix.py")));
    Some(python)
}

fn node(name: &str) -> Option<Command> {
    let mut node = Command::new("node");
    node.arg("--no-deprecation").current_dir(libraries()?);
    node.arg(script(&format!("node/{name}.mjs")));
    Some(node)
}

#[tokio::test(flavor = "multi_thread")]
async fn psycopg_2_notices_nothing() {
    matrix("psycopg2", python("psycopg2")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn psycopg_3_notices_nothing() {
    matrix("psycopg", python("psycopg")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asyncpg_notices_nothing() {
    matrix("asyncpg", python("asyncpg")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pg8000_notices_nothing() {
    matrix("pg8000", python("pg8000")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlalchemy_notices_nothing() {
    matrix("SQLAlchemy", python("sqlalchemy")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn django_notices_nothing() {
    matrix("Django", python("django")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn node_postgres_notices_nothing() {
    matrix("node-postgres", node("node_postgres")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_js_notices_nothing() {
    matrix("postgres.js", node("postgres_js")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jdbc_notices_nothing() {
    // Debian's libpostgresql-jdbc-java, and a Java that compiles: what lacks them cannot say so itself.
    let java = libraries().map(|_| {
        let mut java = Command::new("java");
        java.args(["-cp", "/usr/share/java/postgresql.jar"]);
        java.arg(script("java/Matrix.java"));
        java
    });
    matrix("JDBC", java).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn go_notices_nothing() {
    // Debian's golang-github-lib-pq-dev is a tree of sources, as GOPATH was before modules.
    let go = libraries().map(|folder| {
        let mut go = Command::new("go");
        go.envs([("GO111MODULE", "off"), ("GOPATH", "/usr/share/gocode")]);
        go.env("GOCACHE", folder.join("go"));
        go.arg("run").arg(script("go/matrix.go"));
        go
    });
    matrix("Go", go).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn php_notices_nothing() {
    let mut php = Command::new("php");
    php.arg(script("php/matrix.php"));
    matrix("PHP", Some(php)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ruby_notices_nothing() {
    let mut ruby = Command::new("ruby");
    ruby.arg(script("ruby/matrix.rb"));
    matrix("Ruby", Some(ruby)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlx_notices_nothing() {
    // A crate of its own, which `.ci/run` builds.
    let program = libraries().map(|folder| Command::new(folder.join("sqlx/debug/sqlx-matrix")));
    matrix("sqlx", program).await;
}

//! What the tests against a real PostgreSQL share: one private cluster a test binary, databases and logins in it.
#![allow(dead_code, reason = "each test binary uses a part of this")]

pub mod pgveil;
pub mod raw;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use ::pgveil::cli::demo::cluster::{Cluster, ClusterOptions};
use ::pgveil::types::ServerVersion;
use tokio_postgres::NoTls;

/// The cluster that all tests of one binary share. It ends with the process.
pub fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| start(&[]))
}

/// A cluster of the test's own, for settings that others must not have.
pub fn start(settings: &[(&str, &str)]) -> Cluster {
    let options = ClusterOptions {
        durable: false,
        settings: settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    };
    Cluster::start(&options, &|_| ()).expect("a private PostgreSQL cluster")
}

/// A name that no other test of this binary has, for a database or a login: `prefix_N`.
pub fn fresh_name(prefix: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("{prefix}_{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Connects; the connection's task ends with the client.
pub async fn connect(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls)
        .await
        .expect("a connection");
    tokio::spawn(connection);
    client
}

/// Makes a database of its own in the cluster and returns its name.
pub async fn create_database(cluster: &Cluster) -> String {
    create_database_with(cluster, "").await
}

/// The same, with SQL to follow `CREATE DATABASE …`.
pub async fn create_database_with(cluster: &Cluster, options: &str) -> String {
    let name = fresh_name("db");
    let superuser = connect(&cluster.superuser_url("postgres")).await;
    superuser
        .batch_execute(&format!("CREATE DATABASE {name} {options}"))
        .await
        .expect("a database");
    name
}

/// What makes a database whose LC_CTYPE is C.
pub const IN_C: &str = "TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'";

/// Makes a login of that name and password, with SQL to follow `CREATE ROLE … LOGIN` (may be empty).
pub async fn create_login(cluster: &Cluster, name: &str, password: &str, options: &str) {
    let superuser = connect(&cluster.superuser_url("postgres")).await;
    superuser
        .batch_execute(&format!(
            "CREATE ROLE {name} LOGIN PASSWORD '{password}' {options}"
        ))
        .await
        .expect("a login");
}

/// The server's version as `server_version_num` has it, for example 150014.
pub async fn version(client: &tokio_postgres::Client) -> i32 {
    let row = client
        .query_one("SELECT current_setting('server_version_num')::int", &[])
        .await
        .expect("the version");
    row.get(0)
}

/// The same, as pgveil's types ask for it.
pub async fn server_version(client: &tokio_postgres::Client) -> ServerVersion {
    ServerVersion::numbered(version(client).await.unsigned_abs())
}

/// The first version whose grammar knows what a test's SQL uses.
pub fn since(sql: &str) -> i32 {
    /// Column lists and row filters of publications are of 15.
    const NEWER: &[(&str, i32)] = &[
        ("BEGIN ATOMIC", 140_000),
        ("FOR TABLE t (", 150_000),
        ("FOR TABLE t WHERE", 150_000),
    ];
    let found = NEWER.iter().filter(|(words, _)| sql.contains(words));
    found.map(|(_, version)| *version).max().unwrap_or(0)
}

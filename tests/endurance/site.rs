//! The place of these tests: a database with treated columns, a pgveil before it, a login of each role.

use std::time::{Duration, Instant};

use pgveil::cli::demo::cluster::Cluster;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::support;
use crate::support::pgveil::Pgveil;

const SCHEMA: &str = "
CREATE TABLE people (id int PRIMARY KEY, email text UNIQUE, phone text, note text);
CREATE TABLE plain (id int, body text);
INSERT INTO people VALUES (1, 'ann@example.com', '555-0100-2345', 'likes tea'), (2, 'bob@example.com', NULL, NULL);
GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC;
GRANT ALL ON SCHEMA public TO PUBLIC;
";

/// The policy of the place.
pub const POLICY: &str = "\
version: 1
roles:
  - { name: app, match: { user: \"app_*\" } }
  - { name: support, match: { user: \"support_*\" }, idle_timeout: 1s }
tables:
  public.people:
    columns:
      email:
        store: { encrypt: { search: [equal] } }
        show: { app: plain, support: { mask: email } }
      phone:
        store: { tokenise: { format: digits } }
        show: { app: plain, support: stored }
      note:
        show: { app: plain, support: { mask: redact } }
";

/// A row as its values, or the SQLSTATE in their place.
pub type Rows = Result<Vec<String>, String>;

/// A database, a pgveil before it that is not serving yet, and a login of each role.
pub struct Site {
    pub database: String,
    pub pgveil: Pgveil,
    pub app: String,
    pub support: String,
}

impl Site {
    /// In the cluster that the tests share, applied.
    pub async fn new() -> Self {
        Self::in_cluster(support::cluster()).await
    }

    /// In a cluster of the test's own, applied.
    pub async fn in_cluster(cluster: &Cluster) -> Self {
        let database = support::create_database(cluster).await;
        let superuser = support::connect(&cluster.superuser_url(&database)).await;
        superuser.batch_execute(SCHEMA).await.expect("the schema");
        let (app, support) = (support::fresh_name("app"), support::fresh_name("support"));
        for name in [&app, &support] {
            support::create_login(cluster, name, "password", "").await;
        }
        let pgveil = Pgveil::prepare(cluster, &database, POLICY).await;
        pgveil.apply();
        Self {
            database,
            pgveil,
            app,
            support,
        }
    }

    /// A connection string through pgveil.
    pub fn url(&self, user: &str) -> String {
        self.pgveil.url(user, "password", &self.database)
    }

    /// A client of that login.
    pub async fn client(&self, user: &str) -> Client {
        support::connect(&self.url(user)).await
    }

    /// The SQLSTATE that a login is refused with; None when it is let in, or not answered.
    pub async fn refusal(&self, user: &str) -> Option<String> {
        let fault = tokio_postgres::connect(&self.url(user), tokio_postgres::NoTls).await;
        fault.err().and_then(|fault| state(&fault))
    }
}

fn state(fault: &tokio_postgres::Error) -> Option<String> {
    fault.code().map(|code| code.code().to_owned())
}

/// The rows of a statement, values joined by `|`, or its SQLSTATE (`closed` where the connection is gone).
pub async fn rows(client: &Client, sql: &str) -> Rows {
    let messages = client
        .simple_query(sql)
        .await
        .map_err(|fault| state(&fault).unwrap_or_else(|| "closed".to_owned()))?;
    Ok(messages
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                let values = (0..row.len()).map(|n| row.get(n).unwrap_or("NULL"));
                Some(values.collect::<Vec<_>>().join("|"))
            }
            _ => None,
        })
        .collect())
}

/// Waits until something holds.
pub async fn eventually(what: &str, within: Duration, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + within;
    while !holds().await {
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

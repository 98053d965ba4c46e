//! Client libraries and tools with nothing changed but host and port: each does the same through pgveil on sealed,
//! tokenised and masked columns, and directly on plain ones, and must get the same answers.
//!
//! The table comes from `attributes.txt`, one attribute a line. The libraries are tried where `$PGVEIL_DRIVERS` names
//! a folder with `venv/` and `node_modules/`, as `.ci/run` makes it; there a missing one is a failure. Elsewhere it is
//! named as left out.

mod programs;
#[path = "../support/mod.rs"]
mod support;
mod table;
mod tokio_postgres_matrix;
mod tools;

use support::pgveil::Pgveil;

/// A database with the tables, before it a pgveil; the connection strings.
pub struct Sides {
    /// through pgveil, as a role that sees everything
    pub through: String,
    /// the same login, straight to PostgreSQL
    pub direct: String,
    /// through pgveil, as a role that sees what the masks leave
    pub masked: String,
    _pgveil: Pgveil,
}

/// Makes the database and serves it.
pub async fn sides() -> Sides {
    let cluster = support::cluster();
    let database = support::create_database(cluster).await;
    let (driver, masked) = (support::fresh_name("driver"), support::fresh_name("masked"));
    support::create_login(cluster, &driver, "driver", "").await;
    support::create_login(cluster, &masked, "masked", "").await;
    let superuser = support::connect(&cluster.superuser_url(&database)).await;
    superuser.batch_execute(&table::schema()).await.unwrap();
    let grant = format!("GRANT ALL ON ALL TABLES IN SCHEMA public TO {driver}, {masked}");
    superuser.batch_execute(&grant).await.unwrap();
    let pgveil = Pgveil::start(cluster, &database, &table::policy()).await;
    Sides {
        through: pgveil.url(&driver, "driver", &database),
        direct: cluster.url(&driver, "driver", &database),
        masked: pgveil.url(&masked, "masked", &database),
        _pgveil: pgveil,
    }
}

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
    /// through pgveil, as a role that is shown tokens
    pub tokened: String,
    _pgveil: Pgveil,
}

/// Makes the database and serves it.
pub async fn sides() -> Sides {
    let cluster = support::cluster();
    let database = support::create_database_with(cluster, support::IN_C).await;
    let superuser = support::connect(&cluster.superuser_url(&database)).await;
    superuser.batch_execute(&table::schema()).await.unwrap();
    let mut logins = Vec::new();
    for role in ["driver", "masked", "tokened"] {
        let login = support::fresh_name(role);
        support::create_login(cluster, &login, "driver", "").await;
        let grant = format!("GRANT ALL ON ALL TABLES IN SCHEMA public TO {login}");
        superuser.batch_execute(&grant).await.unwrap();
        logins.push(login);
    }
    let pgveil = Pgveil::start(cluster, &database, &table::policy()).await;
    let url = |login: &str| pgveil.url(login, "driver", &database);
    let sides = Sides {
        through: url(&logins[0]),
        direct: cluster.url(&logins[0], "driver", &database),
        masked: url(&logins[1]),
        tokened: url(&logins[2]),
        _pgveil: pgveil,
    };
    table::record(&superuser, &sides.through, &sides.masked, &sides.tokened).await;
    sides
}

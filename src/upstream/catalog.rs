//! The catalog loader: reads one database's catalog over the control connection into a [`Snapshot`].
//!
//! Everything is read in one repeatable-read transaction, so that a snapshot never mixes two moments, and
//! every name is schema-qualified, so that no `search_path` can redirect it. It reads names, types and
//! definitions; it never reads a row of a user's table.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use tokio_postgres::{Client, IsolationLevel, Transaction};

use super::evidence::{evidence, functions};
use super::fault::ServerFault;
use super::reach;
use super::records::{self, checks, records};
use super::types;
use crate::catalog::{Attribute, Relation, RelationKind, Snapshot, Stored, TypeRef};
use crate::ident::RelationName;
use crate::limits::{CATALOG_AGAIN_MS, CATALOG_LOADS_MAX, CATALOG_RELATIONS_MAX};

/// Why a catalog could not be loaded. The snapshot in use stays as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogFault {
    /// The server did not answer, or refused.
    #[error(transparent)]
    Server(#[from] ServerFault),
    /// More relations than pgveil keeps in memory.
    #[error("the database has more than {CATALOG_RELATIONS_MAX} relations")]
    TooLarge,
}

impl CatalogFault {
    /// Whether the server's own function that prints a CHECK may have looked for what another session has dropped
    /// meanwhile: it looks past the snapshot, and calls what is gone an internal error.
    fn is_of_the_moment(&self) -> bool {
        matches!(self, Self::Server(fault) if fault.sqlstate.as_deref() == Some("XX000"))
    }
}

/// Loads the catalog. With `previous` given, a catalog that says the same keeps its version.
///
/// # Errors
/// [`CatalogFault`] when the server does not answer or the catalog exceeds
/// [`CATALOG_RELATIONS_MAX`].
pub async fn load(
    client: &mut Client,
    previous: Option<&Snapshot>,
) -> Result<Snapshot, CatalogFault> {
    let mut again = CATALOG_LOADS_MAX;
    loop {
        match load_once(client, previous).await {
            Err(fault) if again > 0 && fault.is_of_the_moment() => again -= 1,
            loaded => return loaded,
        }
        tokio::time::sleep(Duration::from_millis(CATALOG_AGAIN_MS)).await;
    }
}

async fn load_once(
    client: &mut Client,
    previous: Option<&Snapshot>,
) -> Result<Snapshot, CatalogFault> {
    let fault = |error| ServerFault::new("reading the catalog", &error);
    let transaction = client
        .build_transaction()
        .isolation_level(IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()
        .await
        .map_err(fault)?;
    let found = read(&transaction).await;
    transaction.rollback().await.map_err(fault)?;
    let mut snapshot = found?;
    snapshot.version = match previous {
        Some(old) if old.same_content(&snapshot) => old.version,
        Some(old) => old.version + 1,
        None => 1,
    };
    Ok(snapshot)
}

/// Loads the catalog inside a transaction that is under way, so that `apply` sees what it has locked.
///
/// # Errors
/// As [`load`].
pub async fn load_within(transaction: &Transaction<'_>) -> Result<Snapshot, CatalogFault> {
    read(transaction).await
}

async fn read(transaction: &Transaction<'_>) -> Result<Snapshot, CatalogFault> {
    let fault = |error| ServerFault::new("reading the catalog", &error);
    transaction
        .batch_execute(
            "SET LOCAL search_path = pg_catalog; SET LOCAL bytea_output = hex; \
             SET LOCAL quote_all_identifiers = off; SET LOCAL standard_conforming_strings = on; \
             SET LOCAL jit = off",
        )
        .await
        .map_err(fault)?;
    let mut relations = relations(transaction).await.map_err(fault)?;
    if relations.len() > CATALOG_RELATIONS_MAX {
        return Err(CatalogFault::TooLarge);
    }
    attributes(transaction, &mut relations)
        .await
        .map_err(fault)?;
    let records = records(transaction).await.map_err(fault)?;
    let checks = checks(transaction, &records).await.map_err(fault)?;
    let notices = records::compare(&mut relations, &checks, records);
    let (functions, bodies) = functions(transaction).await.map_err(fault)?;
    let mut evidence = evidence(transaction).await.map_err(fault)?;
    let views = relations.iter().filter(|relation| relation.is_view());
    let mut calls = evidence.calls(&views.map(|view| view.oid).collect());
    let names: Vec<(u32, String)> = relations
        .iter()
        .map(|relation| (relation.oid, relation.name.name.clone()))
        .collect();
    let mut edges = reach::edges(&names, &bodies, &evidence);
    for relation in &mut relations {
        let all = |found: Option<BTreeSet<u32>>| found.into_iter().flatten().collect();
        relation.reaches = all(edges.remove(&relation.oid));
        relation.calls = all(calls.remove(&relation.oid));
    }
    let shadowed = shadowed(transaction).await.map_err(fault)?;
    let mut snapshot = Snapshot::new(0, relations, functions);
    snapshot.types = types::types(transaction).await.map_err(fault)?;
    snapshot.floats_are_cut = types::floats_are_cut(transaction).await.map_err(fault)?;
    snapshot.lower_is_ascii = types::lower_is_ascii(transaction).await.map_err(fault)?;
    snapshot.notices = notices;
    snapshot.shadowed = shadowed;
    Ok(snapshot)
}

/// Schemas whose relations are the server's own or live for one session only.
const USER_SCHEMA: &str =
    "n.nspname <> 'information_schema' AND n.nspname !~ '^pg_(catalog|toast|temp_|toast_temp_)'";

async fn relations(transaction: &Transaction<'_>) -> Result<Vec<Relation>, tokio_postgres::Error> {
    let sql = format!(
        "SELECT c.oid, n.nspname, c.relname, c.relkind::text, \
                (SELECT i.indkey::int2[] FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisprimary) \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c') AND {USER_SCHEMA} \
         ORDER BY c.oid LIMIT {}",
        CATALOG_RELATIONS_MAX + 1
    );
    let rows = transaction.query(sql.as_str(), &[]).await?;
    rows.iter()
        .map(|row| {
            let kind: &str = row.try_get(3)?;
            let key: Option<Vec<i16>> = row.try_get(4)?;
            Ok(Relation {
                oid: row.try_get(0)?,
                name: RelationName::new(row.try_get::<_, String>(1)?, row.try_get::<_, String>(2)?),
                kind: match kind {
                    "r" => RelationKind::Table,
                    "p" => RelationKind::PartitionedTable,
                    "v" => RelationKind::View,
                    "m" => RelationKind::MaterialisedView,
                    "f" => RelationKind::ForeignTable,
                    _ => RelationKind::Other,
                },
                attributes: Vec::new(),
                primary_key: key.unwrap_or_default(),
                reaches: Vec::new(),
                calls: Vec::new(),
            })
        })
        .collect()
}

async fn attributes(
    transaction: &Transaction<'_>,
    relations: &mut [Relation],
) -> Result<(), tokio_postgres::Error> {
    let places: HashMap<u32, usize> = relations
        .iter()
        .enumerate()
        .map(|(place, relation)| (relation.oid, place))
        .collect();
    let sql = format!(
        "SELECT a.attrelid, a.attname, a.attnum, a.atttypid, a.atttypmod, a.attnotnull, a.attgenerated <> '' \
         FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
              JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c') \
               AND {USER_SCHEMA} \
         ORDER BY a.attrelid, a.attnum"
    );
    for row in transaction.query(sql.as_str(), &[]).await? {
        let Some(&place) = places.get(&row.try_get::<_, u32>(0)?) else {
            continue;
        };
        let physical = TypeRef {
            oid: row.try_get(3)?,
            typmod: row.try_get(4)?,
        };
        relations[place].attributes.push(Attribute {
            name: row.try_get(1)?,
            attnum: row.try_get(2)?,
            logical: physical,
            physical,
            not_null: row.try_get(5)?,
            stored: Stored::Plain,
            has_prefix_check: false,
            generated: row.try_get(6)?,
        });
    }
    Ok(())
}

async fn shadowed(
    transaction: &Transaction<'_>,
) -> Result<BTreeSet<String>, tokio_postgres::Error> {
    let sql = "SELECT t.relname FROM pg_catalog.pg_class t \
               JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace \
               WHERE n.nspname ~ '^pg_temp_' AND EXISTS ( \
                   SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace \
                   WHERE c.relname = t.relname AND s.nspname !~ '^pg_')";
    transaction
        .query(sql, &[])
        .await?
        .iter()
        .map(|row| row.try_get(0))
        .collect()
}

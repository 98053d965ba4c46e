//! Brings a database to its policy: one transaction a table, in place, with everything the table has kept.
//!
//! The order is the promise: hindrances of all tables are named first, then every value is tried, then the
//! keyring is saved, and only then is a table changed. In the table's transaction, under an exclusive lock:
//! the values are sealed here and go back by binary COPY into a temporary table (row place and stored form
//! only); `ALTER TABLE … TYPE … USING` then looks each row's value up by its place. So rows keep their order,
//! no trigger fires, indexes are rebuilt by the server, and the old file of the table ends with the commit.
//! No plain value stands in an SQL text, a temporary table or an error.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::Client;

use super::convert::ConverterFault;
use super::hindrance::{self, Findings, Hindrance};
use super::plan::{self, TableWork, Work};
use super::{ddl, fill, settings};
use crate::catalog::Snapshot;
use crate::ident::RelationName;
use crate::keyring::{Keyring, KeyringFault};
use crate::policy::bind::BindFault;
use crate::policy::decide::{Bound, Sight, Treated};
use crate::upstream::catalog::{self, CatalogFault};
use crate::upstream::fault::ServerFault;

/// Why a database was not brought to its policy. Tables done before the fault stay done.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ApplyFault {
    /// Something stands in the way; nothing was changed.
    #[error("{} things stand in the way; nothing was changed", .0.len())]
    Hindered(BTreeSet<Hindrance>),
    /// The database has no `pgveil` schema, or the login may not write there.
    #[error(
        "the database is not set up: run `pgveil setup` and let a superuser run what it prints"
    )]
    NotSetUp,
    /// The table was changed by another hand between looking and locking; run it again.
    #[error("{0} was changed meanwhile; nothing of it was changed here, run apply again")]
    ChangedMeanwhile(RelationName),
    /// After the change the table did not hold as many rows or values as before; it was rolled back.
    #[error("{0} did not hold the same number of values after the change; it was rolled back")]
    CountsDiffer(RelationName),
    /// The server said no.
    #[error(transparent)]
    Server(#[from] ServerFault),
    /// The catalog could not be read.
    #[error(transparent)]
    Catalog(#[from] CatalogFault),
    /// The keyring could not be changed or saved.
    #[error(transparent)]
    Keyring(#[from] KeyringFault),
    /// A key cannot be used.
    #[error(transparent)]
    Converter(#[from] ConverterFault),
}

/// How far it is, for progress bars.
#[derive(Debug, Clone, Copy)]
pub enum Progress<'a> {
    /// every value is tried, nothing is changed
    Try {
        /// the table
        table: &'a RelationName,
        /// rows tried so far
        rows: u64,
    },
    /// values are sealed and handed to the server
    Seal {
        /// the table
        table: &'a RelationName,
        /// rows done so far
        rows: u64,
        /// rows counted when the values were tried
        rows_total: u64,
    },
    /// the server rewrites the table and rebuilds its indexes
    Rewrite(&'a RelationName),
    /// the table's transaction is committed
    Done(&'a RelationName),
}

/// What was done to one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableReport {
    /// the table
    pub table: RelationName,
    /// its rows
    pub rows: u64,
    /// the changes, in words
    pub changes: Vec<String>,
}

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// the tables changed
    pub tables: Vec<TableReport>,
    /// what was put on record beside them, in words
    pub entries: Vec<String>,
    /// what a DBA should know of what survived beside them
    pub warnings: BTreeSet<String>,
}

/// Where old values still lie after apply, whatever it does: printed with every report that changed something.
pub const REMAINS: &str = "\
The tables' and indexes' own files were written anew and the old ones are gone with the commit. The old values
still lie in the write-ahead log, in base backups and dumps, on replicas until they replay and recycle, perhaps in
freed blocks of the disk, and in the catalog's dead rows: column statistics and defaults. When backups are dealt
with, a superuser should run, in this database:
  VACUUM FULL pg_catalog.pg_statistic; VACUUM FULL pg_catalog.pg_attrdef; VACUUM FULL pg_catalog.pg_attribute;
  CHECKPOINT; SELECT pg_catalog.pg_switch_wal();";

/// What `apply` would do for a bound policy and the faults of binding it, and everything that stands in its way as far as the catalog shows it.
///
/// # Errors
/// [`ApplyFault::Server`] when the server does not answer.
pub async fn survey(
    client: &mut Client,
    snapshot: &Snapshot,
    policy: (&Bound, &[BindFault]),
    keyring: &Keyring,
) -> Result<(Work, Findings), ApplyFault> {
    let (bound, faults) = policy;
    let mut work = plan::work(snapshot, bound, faults, |domain| {
        keyring.domain(domain).map(|keys| keys.id())
    });
    work.keys = keyed(bound)
        .filter(|treated| {
            keyring.domain(&treated.domain).is_none()
                || keyring.attribute_id(&treated.name).is_none()
        })
        .map(|treated| treated.name.clone())
        .collect();
    let mut found = Findings {
        hindrances: work.hindrances.clone(),
        ..Findings::default()
    };
    let transaction = settings::read_only(client).await?;
    for table in &work.tables {
        let here = hindrance::find(&transaction, table).await?;
        found.hindrances.extend(here.hindrances);
        found.warnings.extend(here.warnings);
    }
    settings::end(transaction).await?;
    Ok((work, found))
}

/// Brings the database to its policy: what binding it to `snapshot` gave. A second run has nothing to do.
///
/// # Errors
/// [`ApplyFault`]. With [`ApplyFault::Hindered`] nothing was changed; with any other fault the table at hand was
/// rolled back, and tables done before it stay done.
pub async fn apply(
    client: &mut Client,
    snapshot: &Snapshot,
    policy: (&Bound, &[BindFault]),
    keyring: &mut Keyring,
    progress: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<Report, ApplyFault> {
    let (work, found) = survey(client, snapshot, policy, keyring).await?;
    if !found.hindrances.is_empty() {
        return Err(ApplyFault::Hindered(found.hindrances));
    }
    let mut report = Report {
        warnings: found.warnings,
        ..Report::default()
    };
    if !work.tables.is_empty() || !work.entries.is_empty() {
        settings::require_setup(client).await?;
    }
    if !work.keys.is_empty() {
        ensure_keys(policy.0, keyring)?;
    }
    let mut counted = BTreeMap::new();
    let mut hindrances = BTreeSet::new();
    for table in &work.tables {
        let tried = |rows| {
            progress(Progress::Try {
                table: &table.name,
                rows,
            });
        };
        let rows = fill::try_values(client, table, keyring, &mut hindrances, &tried).await?;
        counted.insert(table.oid, rows);
    }
    if !hindrances.is_empty() {
        return Err(ApplyFault::Hindered(hindrances));
    }
    for table in &work.tables {
        let rows_total = counted.get(&table.oid).copied().unwrap_or(0);
        let mut run = TableRun {
            table,
            keyring,
            rows_total,
            progress,
        };
        report.tables.push(run.run(client, snapshot).await?);
        progress(Progress::Done(&table.name));
    }
    if !work.entries.is_empty() {
        ddl::put_on_record(client, &work.entries).await?;
        report.entries = work.entries.iter().map(ToString::to_string).collect();
    }
    Ok(report)
}

/// The attributes whose values, or tokens shown of them, need a key.
fn keyed(bound: &Bound) -> impl Iterator<Item = &Treated> {
    bound.treated().map(|treated| &**treated).filter(|treated| {
        treated.store.recorded().is_some() || treated.sight.values().any(Sight::needs_key)
    })
}

/// Gives every domain and attribute its key and number, and saves them before they are used.
fn ensure_keys(bound: &Bound, keyring: &mut Keyring) -> Result<(), KeyringFault> {
    for treated in keyed(bound) {
        keyring.ensure_domain(&treated.domain)?;
        keyring.ensure_attribute(&treated.name)?;
    }
    keyring.save()
}

/// One table's transaction.
struct TableRun<'a> {
    table: &'a TableWork,
    keyring: &'a Keyring,
    rows_total: u64,
    progress: &'a (dyn Fn(Progress<'_>) + Sync),
}

impl TableRun<'_> {
    async fn run(
        &mut self,
        client: &mut Client,
        seen: &Snapshot,
    ) -> Result<TableReport, ApplyFault> {
        let table = self.table;
        let fault = |error| ServerFault::new(format!("changing {}", table.name), &error);
        let transaction = settings::read_write(client).await?;
        transaction
            .batch_execute(&format!(
                "LOCK TABLE ONLY {} IN ACCESS EXCLUSIVE MODE",
                table.name.to_sql()
            ))
            .await
            .map_err(fault)?;
        let now = catalog::load_within(&transaction).await?;
        settings::pin(&transaction).await?;
        if now.relation_by_oid(table.oid) != seen.relation_by_oid(table.oid) {
            return Err(ApplyFault::ChangedMeanwhile(table.name.clone()));
        }
        let found = hindrance::find(&transaction, table).await?;
        if !found.hindrances.is_empty() {
            return Err(ApplyFault::Hindered(found.hindrances));
        }
        let columns = fill::columns(&transaction, table, self.keyring).await?;
        let defaults = ddl::defaults(&transaction, table).await?;
        let before = match columns.is_empty() {
            true => None,
            false => {
                let filled = |rows| {
                    (self.progress)(Progress::Seal {
                        table: &table.name,
                        rows,
                        rows_total: self.rows_total,
                    });
                };
                Some(fill::fill(&transaction, table, &columns, &filled).await?)
            }
        };
        (self.progress)(Progress::Rewrite(&table.name));
        let pieces = fill::pieces(&columns);
        ddl::rewrite(&transaction, table, &pieces, &defaults).await?;
        let rows = match before {
            None => self.rows_total,
            Some(before) => {
                let after = ddl::counts(&transaction, table, &pieces).await?;
                if after != before {
                    return Err(ApplyFault::CountsDiffer(table.name.clone()));
                }
                before[0]
            }
        };
        transaction.commit().await.map_err(fault)?;
        client
            .batch_execute(&format!("ANALYZE {}", table.name.to_sql()))
            .await
            .map_err(fault)?;
        Ok(TableReport {
            table: table.name.clone(),
            rows,
            changes: table.changes.iter().map(ToString::to_string).collect(),
        })
    }
}

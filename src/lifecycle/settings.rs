//! Transactions whose settings are pinned, so that no default of a login or database changes what apply does.

use tokio_postgres::{Client, GenericClient, IsolationLevel, Transaction};

use super::apply::ApplyFault;
use crate::limits::APPLY_LOCK_WAIT_MS;
use crate::types::ServerVersion;
use crate::upstream::fault::ServerFault;

/// `row_security = off` makes a policy that would hide rows an error instead of a loss.
fn pinned() -> String {
    format!(
        "SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL row_security = off; SET LOCAL statement_timeout = 0; \
         SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL lock_timeout = {APPLY_LOCK_WAIT_MS}; \
         SET LOCAL bytea_output = hex; SET LOCAL standard_conforming_strings = on; SET LOCAL DateStyle = 'ISO, MDY'; \
         SET LOCAL TimeZone = 'UTC'; SET LOCAL IntervalStyle = postgres; SET LOCAL extra_float_digits = 1; \
         SET LOCAL quote_all_identifiers = off; SET LOCAL check_function_bodies = on; SET LOCAL client_encoding = UTF8"
    )
}

/// Pins the settings again, after something else has set its own.
pub(super) async fn pin(transaction: &Transaction<'_>) -> Result<(), ServerFault> {
    transaction
        .batch_execute(&pinned())
        .await
        .map_err(|error| ServerFault::new("pinning the session's settings", &error))
}

/// A transaction that only reads, at one moment.
pub(super) async fn read_only(client: &mut Client) -> Result<Transaction<'_>, ServerFault> {
    let fault = |error| ServerFault::new("starting a transaction", &error);
    let transaction = client
        .build_transaction()
        .isolation_level(IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()
        .await
        .map_err(fault)?;
    pin(&transaction).await?;
    Ok(transaction)
}

/// A transaction that changes a table. Read committed: its lock is taken before it looks.
pub(super) async fn read_write(client: &mut Client) -> Result<Transaction<'_>, ServerFault> {
    let fault = |error| ServerFault::new("starting a transaction", &error);
    let transaction = client
        .build_transaction()
        .isolation_level(IsolationLevel::ReadCommitted)
        .read_only(false)
        .start()
        .await
        .map_err(fault)?;
    pin(&transaction).await?;
    Ok(transaction)
}

/// Ends a transaction that only read.
pub(super) async fn end(transaction: Transaction<'_>) -> Result<(), ServerFault> {
    transaction
        .rollback()
        .await
        .map_err(|error| ServerFault::new("ending a transaction", &error))
}

/// The server's version, by which its values are read.
pub(super) async fn server_version(
    client: &impl GenericClient,
) -> Result<ServerVersion, ServerFault> {
    let fault = |error| ServerFault::new("asking for the server's version", &error);
    let sql = "SELECT pg_catalog.current_setting('server_version_num')::int4";
    let row = client.query_one(sql, &[]).await.map_err(fault)?;
    let number: i32 = row.try_get(0).map_err(fault)?;
    Ok(ServerVersion::numbered(number.unsigned_abs()))
}

/// The database must have the schema `pgveil`, and the login must be able to write its record there.
pub(super) async fn require_setup(client: &Client) -> Result<(), ApplyFault> {
    let sql = "SELECT coalesce(pg_catalog.has_table_privilege(c.oid, 'SELECT') \
                      AND pg_catalog.has_table_privilege(c.oid, 'INSERT') \
                      AND pg_catalog.has_table_privilege(c.oid, 'DELETE'), false) \
               FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
               WHERE n.nspname = 'pgveil' AND c.relname = 'attribute'";
    let row = client
        .query_opt(sql, &[])
        .await
        .map_err(|error| ServerFault::new("looking for the schema pgveil", &error))?;
    let ready = match row {
        Some(row) => row
            .try_get(0)
            .map_err(|error| ServerFault::new("looking for the schema pgveil", &error))?,
        None => false,
    };
    if ready {
        Ok(())
    } else {
        Err(ApplyFault::NotSetUp)
    }
}

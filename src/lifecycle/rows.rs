//! Walks through a table's rows in batches of bounded memory, by a cursor inside a transaction.
//!
//! Knows cursors and raw binary values; knows nothing of what the values mean.

use std::error::Error;

use bytes::{BufMut, BytesMut};
use tokio_postgres::Transaction;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type};

use crate::ident::{RelationName, quote_ident};
use crate::limits::{APPLY_BATCH_BYTES, APPLY_BATCH_ROWS_MAX};

/// A value in binary form as the server sent it; a plain value, so it has no `Debug`.
pub(super) struct Raw<'a>(pub(super) &'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// A stored value in binary form, on its way to the server.
#[derive(Debug)]
pub(super) struct Binary(pub(super) Vec<u8>);

impl ToSql for Binary {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.put_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    tokio_postgres::types::to_sql_checked!();
}

/// A cursor over `ctid` and some columns of one table, children left out.
pub(super) struct Walk<'a, 'c> {
    transaction: &'a Transaction<'c>,
    columns: usize,
    batch_rows: usize,
}

impl<'a, 'c> Walk<'a, 'c> {
    /// Declares the cursor. One walk at a time in a transaction.
    ///
    /// # Errors
    /// The server's.
    pub(super) async fn start(
        transaction: &'a Transaction<'c>,
        table: &RelationName,
        columns: &[&str],
    ) -> Result<Self, tokio_postgres::Error> {
        let list: String = columns
            .iter()
            .map(|column| format!(", {}", quote_ident(column)))
            .collect();
        transaction
            .batch_execute(&format!(
                "DECLARE pgveil_rows NO SCROLL CURSOR FOR SELECT ctid{list} FROM ONLY {}",
                table.to_sql()
            ))
            .await?;
        Ok(Self {
            transaction,
            columns: columns.len(),
            batch_rows: 100,
        })
    }

    /// The next rows, `ctid` first; empty at the end. The batch follows the size of the rows seen.
    ///
    /// # Errors
    /// The server's.
    pub(super) async fn next(&mut self) -> Result<Vec<tokio_postgres::Row>, tokio_postgres::Error> {
        let rows = self
            .transaction
            .query(
                &format!("FETCH FORWARD {} FROM pgveil_rows", self.batch_rows),
                &[],
            )
            .await?;
        let mut bytes = 0usize;
        for row in &rows {
            for column in 1..=self.columns {
                let value: Option<Raw<'_>> = row.try_get(column)?;
                bytes = bytes.saturating_add(value.map_or(0, |value| value.0.len()));
            }
        }
        if let Some(each) = bytes.checked_div(rows.len()) {
            let fit = APPLY_BATCH_BYTES / each.max(1);
            self.batch_rows = fit.clamp(1, APPLY_BATCH_ROWS_MAX);
        }
        Ok(rows)
    }

    /// Closes the cursor.
    ///
    /// # Errors
    /// The server's.
    pub(super) async fn finish(self) -> Result<(), tokio_postgres::Error> {
        self.transaction.batch_execute("CLOSE pgveil_rows").await
    }
}

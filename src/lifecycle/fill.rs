//! A table's values → their stored forms: tried without changing anything, then handed to the server.
//!
//! Values are read in batches of bounded memory. What leaves this file holds row places, stored forms and counts.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;

use bytes::Bytes;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Transaction};

use super::apply::ApplyFault;
use super::convert::Converter;
use super::hindrance::Hindrance;
use super::plan::{ChangeKind, TableWork};
use super::rows::{Binary, Raw, Walk};
use super::{ddl, settings};
use crate::keyring::Keyring;
use crate::limits::{SEALED_INDEX_BYTES_MAX, VALUE_EXAMPLES_MAX};
use crate::seal::Comparison;
use crate::upstream::fault::ServerFault;

/// One column on its way.
pub(super) struct Column {
    attribute: String,
    /// the attribute with its table, for messages
    label: String,
    converter: Converter,
    /// whether an index limits how long its stored form may be
    indexed: bool,
}

/// The columns of a table that get stored forms, each with its keys.
pub(super) async fn columns(
    transaction: &Transaction<'_>,
    table: &TableWork,
    keyring: &Keyring,
) -> Result<Vec<Column>, ApplyFault> {
    let server = settings::server_version(transaction).await?;
    let mut columns = Vec::new();
    for change in &table.changes {
        if matches!(change.kind, ChangeKind::AddCheck { .. }) {
            continue;
        }
        if let Some(converter) = Converter::new(&change.treated, keyring, server)? {
            columns.push(Column {
                attribute: change.treated.name.attribute.clone(),
                label: change.treated.name.to_string(),
                converter,
                // An index over heads takes values of any length.
                indexed: change.kind == ChangeKind::Seal
                    && change.treated.comparison() != Comparison::Heads
                    && ddl::is_indexed(transaction, table.oid, change.treated.attnum).await?,
            });
        }
    }
    Ok(columns)
}

/// The columns as the SQL of apply wants them.
pub(super) fn pieces(columns: &[Column]) -> Vec<ddl::Piece<'_>> {
    columns
        .iter()
        .map(|column| (column.attribute.as_str(), &column.converter))
        .collect()
}

/// The stored forms of one row, and the faults met, by reason.
fn convert(
    columns: &[Column],
    row: &tokio_postgres::Row,
    faults: &mut Faults,
) -> Result<Vec<Option<Binary>>, tokio_postgres::Error> {
    let mut stored = Vec::with_capacity(columns.len());
    for (number, column) in columns.iter().enumerate() {
        let plain: Option<Raw<'_>> = row.try_get(number + 1)?;
        let Some(plain) = plain else {
            stored.push(None);
            continue;
        };
        match column.converter.store(plain.0) {
            Ok(value) if column.indexed && value.len() > SEALED_INDEX_BYTES_MAX => {
                let why = format!(
                    "sealed it is longer than the {SEALED_INDEX_BYTES_MAX} bytes that its index can hold"
                );
                faults.note(column, why, row)?;
            }
            Ok(value) => stored.push(Some(Binary(value))),
            Err(fault) => faults.note(column, fault.to_string(), row)?,
        }
    }
    Ok(stored)
}

/// Values that have no stored form, by column and reason: how many, and where the first ones are.
#[derive(Default)]
struct Faults(BTreeMap<(String, String), (u64, Vec<String>)>);

impl Faults {
    fn note(
        &mut self,
        column: &Column,
        why: String,
        row: &tokio_postgres::Row,
    ) -> Result<(), tokio_postgres::Error> {
        let place: Raw<'_> = row.try_get(0)?;
        let (count, places) = self.0.entry((column.label.clone(), why)).or_default();
        *count += 1;
        if places.len() < VALUE_EXAMPLES_MAX
            && let Some((block, offset)) = place.0.split_first_chunk::<4>()
            && let Ok(offset) = <[u8; 2]>::try_from(offset)
        {
            let (block, offset) = (u32::from_be_bytes(*block), u16::from_be_bytes(offset));
            places.push(format!("({block},{offset})"));
        }
        Ok(())
    }

    fn into_hindrances(self) -> impl Iterator<Item = Hindrance> {
        self.0
            .into_iter()
            .map(|((on, why), (count, places))| Hindrance {
                on,
                kind: "value",
                what: format!(
                    "{count} values: {why}; the first at ctid {}",
                    places.join(", ")
                ),
            })
    }
}

/// Tries every value of a table without changing anything; answers its number of rows.
pub(super) async fn try_values(
    client: &mut Client,
    table: &TableWork,
    keyring: &Keyring,
    hindrances: &mut BTreeSet<Hindrance>,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<u64, ApplyFault> {
    let fault = |error| ServerFault::new(format!("reading {}", table.name), &error);
    let transaction = settings::read_only(client).await?;
    let columns = columns(&transaction, table, keyring).await?;
    let mut faults = Faults::default();
    let mut rows = 0u64;
    if !columns.is_empty() {
        let names: Vec<&str> = columns
            .iter()
            .map(|column| column.attribute.as_str())
            .collect();
        let mut walk = Walk::start(&transaction, &table.name, &names)
            .await
            .map_err(fault)?;
        loop {
            let batch = walk.next().await.map_err(fault)?;
            if batch.is_empty() {
                break;
            }
            for row in &batch {
                convert(&columns, row, &mut faults).map_err(fault)?;
                rows += 1;
            }
            progress(rows);
        }
        walk.finish().await.map_err(fault)?;
    }
    let defaults = ddl::defaults(&transaction, table).await?;
    for (change, default) in table.changes.iter().zip(&defaults) {
        let Some(literal) = default else { continue };
        if let Some(column) = columns
            .iter()
            .find(|column| column.attribute == change.treated.name.attribute)
            && let Err(why) = column.converter.store_literal(literal.expose())
        {
            hindrances.insert(Hindrance {
                on: column.label.clone(),
                kind: "default",
                what: format!("its default has no stored form: {why}"),
            });
        }
    }
    settings::end(transaction).await?;
    hindrances.extend(faults.into_hindrances());
    Ok(rows)
}

/// Fills the temporary table; answers the number of rows, and of values of each column.
pub(super) async fn fill(
    transaction: &Transaction<'_>,
    table: &TableWork,
    columns: &[Column],
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Vec<u64>, ApplyFault> {
    let fault = |error| ServerFault::new(format!("sealing {}", table.name), &error);
    let pieces = pieces(columns);
    ddl::create_holder(transaction, &pieces).await?;
    let names: Vec<&str> = columns
        .iter()
        .map(|column| column.attribute.as_str())
        .collect();
    let mut walk = Walk::start(transaction, &table.name, &names)
        .await
        .map_err(fault)?;
    let mut counts = vec![0u64; columns.len() + 1];
    loop {
        let batch = walk.next().await.map_err(fault)?;
        if batch.is_empty() {
            break;
        }
        let mut faults = Faults::default();
        let mut stored = Vec::with_capacity(batch.len());
        for row in &batch {
            let place: Raw<'_> = row.try_get(0).map_err(fault)?;
            let place = Binary(place.0.to_vec());
            stored.push((place, convert(columns, row, &mut faults).map_err(fault)?));
        }
        if !faults.0.is_empty() {
            return Err(ApplyFault::Hindered(faults.into_hindrances().collect()));
        }
        copy(transaction, columns, &stored).await.map_err(fault)?;
        count(&mut counts, &stored);
        progress(counts[0]);
    }
    walk.finish().await.map_err(fault)?;
    ddl::finish_holder(transaction, &pieces).await?;
    Ok(counts)
}

fn count(counts: &mut [u64], stored: &[(Binary, Vec<Option<Binary>>)]) {
    for (_, values) in stored {
        counts[0] += 1;
        for (count, value) in counts[1..].iter_mut().zip(values) {
            *count += u64::from(value.is_some());
        }
    }
}

/// Hands a batch of places and stored forms to the server, in binary COPY.
async fn copy(
    transaction: &Transaction<'_>,
    columns: &[Column],
    stored: &[(Binary, Vec<Option<Binary>>)],
) -> Result<(), tokio_postgres::Error> {
    let sink = transaction.copy_in::<_, Bytes>(ddl::COPY_HOLDER).await?;
    let mut types = vec![Type::TID];
    types.extend(columns.iter().map(|_| Type::BYTEA)); // the bytes are final; the name does not matter here
    let mut writer = pin!(BinaryCopyInWriter::new(sink, &types));
    for (place, values) in stored {
        let mut fields: Vec<&(dyn ToSql + Sync)> = vec![place];
        fields.extend(values.iter().map(|value| value as &(dyn ToSql + Sync)));
        writer.as_mut().write(&fields).await?;
    }
    writer.finish().await?;
    Ok(())
}

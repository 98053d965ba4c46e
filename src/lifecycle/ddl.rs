//! The SQL of apply: the temporary holder of stored forms, the rewrite of a table, the record of it.
//!
//! Holds no plain value: what stands in its texts is names, sealed values and tokens.

use tokio_postgres::{Client, GenericClient, Transaction};

use super::apply::ApplyFault;
use super::constant;
use super::convert::{ConvertFault, Converter, ConverterFault};
use super::index;
use super::plan::{Change, ChangeKind, Entry, TableWork};
use super::settings;
use crate::catalog::{Stored, TypeRef};
use crate::ident::{DomainId, KeyVersion, quote_ident};
use crate::policy::decide::Treated;
use crate::seal;
use crate::secret::Secret;
use crate::upstream::fault::ServerFault;
use crate::values::KeyFault;

/// Fills the holder.
pub(super) const COPY_HOLDER: &str = "COPY pg_temp.pgveil_stored FROM STDIN (FORMAT binary)";

/// A column's name and what makes its stored form, in the holder's order.
pub(super) type Piece<'a> = (&'a str, &'a Converter);

/// Whether an index or constraint of the table has the column as a key or beside its keys.
pub(super) async fn is_indexed<C: GenericClient>(
    client: &C,
    table: u32,
    attnum: i16,
) -> Result<bool, ServerFault> {
    client
        .query_one(
            "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_index WHERE indrelid = $1 AND $2 = ANY (indkey::int2[]))",
            &[&table, &attnum],
        )
        .await
        .and_then(|row| row.try_get(0))
        .map_err(|error| ServerFault::new("looking at indexes", &error))
}

/// The constant defaults of the columns that change, in the order of the changes; None for no default or NULL.
pub(super) async fn defaults<C: GenericClient>(
    client: &C,
    table: &TableWork,
) -> Result<Vec<Option<Secret<String>>>, ServerFault> {
    let fault = |error| ServerFault::new(format!("reading the defaults of {}", table.name), &error);
    let sql = "SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid), pg_catalog.format_type(a.atttypid, a.atttypmod) \
               FROM pg_catalog.pg_attribute a \
                    JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
               WHERE a.attrelid = $1 AND a.attnum = $2";
    let mut found = Vec::new();
    for change in &table.changes {
        let row = client
            .query_opt(sql, &[&table.oid, &change.treated.attnum])
            .await
            .map_err(fault)?;
        let literal = match (row, change.kind) {
            (Some(row), ChangeKind::Seal | ChangeKind::Tokenise) => {
                let text: &str = row.try_get(0).map_err(fault)?;
                constant::literal(text, row.try_get(1).map_err(fault)?).flatten()
            }
            _ => None,
        };
        found.push(literal);
    }
    Ok(found)
}

/// Makes the holder: a row's place, and its stored forms. It ends with the transaction.
pub(super) async fn create_holder(
    transaction: &Transaction<'_>,
    pieces: &[Piece<'_>],
) -> Result<(), ServerFault> {
    let columns: String = pieces
        .iter()
        .enumerate()
        .map(|(number, (_, converter))| format!(", c{number} {}", converter.holder_type()))
        .collect();
    run(
        transaction,
        "making the temporary table",
        &format!(
            "CREATE TEMPORARY TABLE pgveil_stored (place tid NOT NULL{columns}) ON COMMIT DROP"
        ),
    )
    .await
}

/// Indexes the holder and makes the functions that look a row's stored form up; a row without one is an error.
pub(super) async fn finish_holder(
    transaction: &Transaction<'_>,
    pieces: &[Piece<'_>],
) -> Result<(), ServerFault> {
    let mut sql = String::from(
        "CREATE UNIQUE INDEX pgveil_stored_place ON pg_temp.pgveil_stored (place); ANALYZE pg_temp.pgveil_stored (place);",
    );
    for (number, (_, converter)) in pieces.iter().enumerate() {
        let kind = converter.holder_type();
        sql.push_str(&format!(
            "CREATE FUNCTION pg_temp.pgveil_stored_{number}(tid) RETURNS {kind} LANGUAGE plpgsql STABLE AS $pgveil$ \
             DECLARE stored {kind}; BEGIN \
             SELECT c{number} INTO stored FROM pg_temp.pgveil_stored WHERE place = $1; \
             IF NOT FOUND THEN RAISE EXCEPTION 'a row has no stored form'; END IF; \
             RETURN stored; END $pgveil$;"
        ));
    }
    run(transaction, "indexing the temporary table", &sql).await
}

/// Rewrites the table, puts defaults and CHECKs in place, and records what was done.
pub(super) async fn rewrite(
    transaction: &Transaction<'_>,
    table: &TableWork,
    pieces: &[Piece<'_>],
    defaults: &[Option<Secret<String>>],
) -> Result<(), ApplyFault> {
    let name = table.name.to_sql();
    let mut types = Vec::new();
    for (number, (attribute, converter)) in pieces.iter().enumerate() {
        let column = quote_ident(attribute);
        let kind = column_type(transaction, table, attribute, converter).await?;
        types.push(format!(
            "ALTER COLUMN {column} DROP DEFAULT, ALTER COLUMN {column} TYPE {kind} USING pg_temp.pgveil_stored_{number}(ctid)"
        ));
    }
    if !types.is_empty() {
        let sql = format!("ALTER TABLE ONLY {name} {}", types.join(", "));
        let indexes = index::to_rebuild(transaction, table).await?;
        index::drop(transaction, table, &indexes).await?;
        run(transaction, &format!("rewriting {}", table.name), &sql).await?;
        index::build(transaction, table, &indexes).await?;
        let drops: String = (0..pieces.len())
            .map(|number| format!("DROP FUNCTION pg_temp.pgveil_stored_{number}(tid);"))
            .collect();
        run(transaction, "clearing up", &drops).await?;
    }
    let mut after = Vec::new();
    for (change, default) in table.changes.iter().zip(defaults) {
        let attribute = change.treated.name.attribute.as_str();
        let column = quote_ident(attribute);
        let piece = pieces.iter().find(|(name, _)| *name == attribute);
        if let (Some((_, converter)), Some(literal)) = (piece, default) {
            let literal = converter
                .store_literal(literal.expose())
                .and_then(|stored| sql_literal(converter, &stored))
                .map_err(|_| ApplyFault::ChangedMeanwhile(table.name.clone()))?;
            after.push(format!("ALTER COLUMN {column} SET DEFAULT {literal}"));
        }
        let domain = match change.kind {
            ChangeKind::Tokenise => continue,
            ChangeKind::AddCheck { domain } => domain,
            ChangeKind::Seal => {
                let (_, converter) = piece.ok_or_else(|| ConverterFault {
                    attribute: change.treated.name.to_string(),
                    fault: KeyFault::NotApplied,
                })?;
                after.push(format!("ALTER COLUMN {column} SET STORAGE EXTERNAL"));
                converter.key().0
            }
        };
        after.push(prefix_check(change, domain));
    }
    if !after.is_empty() {
        let sql = format!("ALTER TABLE ONLY {name} {}", after.join(", "));
        run(
            transaction,
            &format!("adding CHECK and defaults to {}", table.name),
            &sql,
        )
        .await?;
    }
    for (change, kind) in table.changes.iter().map(|change| (change, change.kind)) {
        if let (ChangeKind::Seal | ChangeKind::Tokenise, Some((_, converter))) = (
            kind,
            pieces
                .iter()
                .find(|(name, _)| *name == change.treated.name.attribute),
        ) {
            record(transaction, change, converter).await?;
        }
    }
    Ok(())
}

/// The CHECK that keeps everything but values sealed in the domain out of the column.
fn prefix_check(change: &Change, domain: DomainId) -> String {
    let column = quote_ident(&change.treated.name.attribute);
    let prefix = hex::encode(seal::prefix(domain));
    format!(
        "ADD CONSTRAINT pgveil_sealed_{} CHECK (substring({column} for 8) = '\\x{prefix}')",
        change.treated.attnum
    )
}

/// The type the column gets: bytea when sealed, its own with its own collation when tokenised.
async fn column_type(
    transaction: &Transaction<'_>,
    table: &TableWork,
    attribute: &str,
    converter: &Converter,
) -> Result<String, ServerFault> {
    if converter.seals() {
        return Ok("pg_catalog.bytea".to_owned());
    }
    let sql = "SELECT pg_catalog.format_type(a.atttypid, a.atttypmod) || \
                      CASE WHEN k.oid IS NULL THEN '' ELSE pg_catalog.format(' COLLATE %I.%I', n.nspname, k.collname) END \
               FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_collation k ON k.oid = a.attcollation \
                    LEFT JOIN pg_catalog.pg_namespace n ON n.oid = k.collnamespace \
               WHERE a.attrelid = $1 AND a.attname = $2";
    transaction
        .query_one(sql, &[&table.oid, &attribute])
        .await
        .and_then(|row| row.try_get(0))
        .map_err(|error| ServerFault::new(format!("reading the type of {attribute}"), &error))
}

/// A stored form as a default's literal, which is of the column's type by itself.
fn sql_literal(converter: &Converter, stored: &[u8]) -> Result<String, ConvertFault> {
    if converter.seals() {
        return Ok(format!("'\\x{}'::pg_catalog.bytea", hex::encode(stored)));
    }
    let token = converter.token_text(stored)?;
    Ok(format!("'{}'", token.replace('\'', "''")))
}

/// Writes what was done into `pgveil.attribute`, in the same transaction.
async fn record(
    transaction: &Transaction<'_>,
    change: &Change,
    converter: &Converter,
) -> Result<(), ServerFault> {
    match change.treated.store.recorded() {
        Some(treatment) => {
            let by = (treatment.as_str(), converter.key());
            write_record(transaction, &change.treated, change.declared, by).await
        }
        None => Ok(()),
    }
}

/// Writes down what is treated on reading only; no table is changed or locked.
pub(super) async fn put_on_record(
    client: &mut Client,
    entries: &[Entry],
) -> Result<(), ServerFault> {
    let transaction = settings::read_write(client).await?;
    for entry in entries {
        // No value is stored under a key: the numbers say nothing.
        let by = (Stored::ON_RECORD, (DomainId(0), KeyVersion(0)));
        write_record(&transaction, &entry.treated, entry.declared, by).await?;
    }
    let fault = |error| ServerFault::new("recording in pgveil.attribute", &error);
    transaction.commit().await.map_err(fault)
}

/// Writes one row of `pgveil.attribute`: the treatment, and the domain and key version it was done with.
async fn write_record(
    transaction: &Transaction<'_>,
    treated: &Treated,
    declared: TypeRef,
    (treatment, (domain, version)): (&str, (DomainId, KeyVersion)),
) -> Result<(), ServerFault> {
    let fault = |error| ServerFault::new("recording in pgveil.attribute", &error);
    let table = &treated.name.relation;
    transaction
        .execute(
            "DELETE FROM pgveil.attribute WHERE relation = $1 AND attnum = $2",
            &[&treated.relation_oid, &treated.attnum],
        )
        .await
        .map_err(fault)?;
    transaction
        .execute(
            "INSERT INTO pgveil.attribute (relation, schema, name, attribute, attnum, treatment, type_oid, typmod, \
                                           domain, domain_id, key_version, applied_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, pg_catalog.now())",
            &[
                &treated.relation_oid,
                &table.schema,
                &table.name,
                &treated.name.attribute,
                &treated.attnum,
                &treatment,
                &declared.oid,
                &declared.typmod,
                &treated.domain.as_str(),
                &i64::from(domain.0),
                &i32::from(version.0),
            ],
        )
        .await
        .map_err(fault)?;
    Ok(())
}

/// The number of rows, then of values of each column.
pub(super) async fn counts(
    transaction: &Transaction<'_>,
    table: &TableWork,
    pieces: &[Piece<'_>],
) -> Result<Vec<u64>, ServerFault> {
    let fault = |error| ServerFault::new(format!("counting {}", table.name), &error);
    let columns: String = pieces
        .iter()
        .map(|(attribute, _)| format!(", count({})", quote_ident(attribute)))
        .collect();
    let sql = format!("SELECT count(*){columns} FROM ONLY {}", table.name.to_sql());
    let row = transaction
        .query_one(sql.as_str(), &[])
        .await
        .map_err(fault)?;
    (0..row.len())
        .map(|column| {
            let count: i64 = row.try_get(column).map_err(fault)?;
            Ok(u64::try_from(count).unwrap_or(0))
        })
        .collect()
}

async fn run(transaction: &Transaction<'_>, doing: &str, sql: &str) -> Result<(), ServerFault> {
    transaction
        .batch_execute(sql)
        .await
        .map_err(|error| ServerFault::new(doing, &error))
}

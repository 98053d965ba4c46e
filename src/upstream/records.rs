//! What apply recorded in `pgveil.attribute`, held against what is there: a record that no longer fits its
//! attribute is named, and the attribute is never trusted.

use std::collections::BTreeMap;

use tokio_postgres::Transaction;

use crate::catalog::{Attribute, Relation, Stored, TypeRef};
use crate::ident::{AttributeName, DomainId, KeyVersion, RelationName};
use crate::seal;
use crate::types::oid;

/// A CHECK constraint on one column.
pub(super) struct Check {
    /// as `pg_get_constraintdef` prints it
    definition: String,
    /// the column, quoted as the server would quote it
    column: String,
}

/// The CHECK constraints on one column each, by relation and attribute number.
pub(super) type Checks = BTreeMap<(u32, i16), Vec<Check>>;

/// Definitions of the validated CHECK constraints on one column each of the recorded relations, by relation and attribute
/// number. The server prints them from what is there, not from the snapshot: of others nothing is asked.
pub(super) async fn checks(
    transaction: &Transaction<'_>,
    records: &[Record],
) -> Result<Checks, tokio_postgres::Error> {
    let recorded: Vec<u32> = records.iter().map(|record| record.relation).collect();
    let sql = "SELECT k.conrelid, k.conkey[1], pg_catalog.pg_get_constraintdef(k.oid), \
                      pg_catalog.quote_ident(a.attname) \
               FROM pg_catalog.pg_constraint k \
                    JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1] \
               WHERE k.contype = 'c' AND k.convalidated AND k.conrelid = ANY ($1) \
                     AND pg_catalog.cardinality(k.conkey) = 1 \
               ORDER BY 1, 2, 3";
    let mut found = Checks::new();
    for row in transaction.query(sql, &[&recorded]).await? {
        found
            .entry((row.try_get(0)?, row.try_get(1)?))
            .or_default()
            .push(Check {
                definition: row.try_get(2)?,
                column: row.try_get(3)?,
            });
    }
    Ok(found)
}

/// One row of `pgveil.attribute`: how apply left an attribute.
pub(super) struct Record {
    relation: u32,
    name: RelationName,
    attribute: String,
    attnum: i16,
    logical: TypeRef,
    stored: Result<Stored, String>,
    domain: Option<DomainId>,
}

impl Record {
    fn label(&self) -> String {
        format!("{}.{}", self.name, self.attribute)
    }
}

pub(super) async fn records(
    transaction: &Transaction<'_>,
) -> Result<Vec<Record>, tokio_postgres::Error> {
    let there = transaction
        .query_opt(
            "SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = 'pgveil' AND c.relname = 'attribute' AND c.relkind = 'r'",
            &[],
        )
        .await?;
    if there.is_none() {
        return Ok(Vec::new());
    }
    let sql = "SELECT relation, schema::text, name::text, attribute::text, attnum, treatment, type_oid, typmod, \
                      domain_id::int8, key_version::int4 \
               FROM pgveil.attribute ORDER BY relation, attnum";
    let mut found = Vec::new();
    for row in transaction.query(sql, &[]).await? {
        let treatment: String = row.try_get(5)?;
        let domain = u32::try_from(row.try_get::<_, i64>(8)?).map(DomainId);
        let version = u16::try_from(row.try_get::<_, i32>(9)?).map(KeyVersion);
        let name = RelationName::new(row.try_get::<_, String>(1)?, row.try_get::<_, String>(2)?);
        let attribute: String = row.try_get(3)?;
        let label = AttributeName::new(name.clone(), attribute.clone());
        found.push(Record {
            relation: row.try_get(0)?,
            name,
            attribute,
            attnum: row.try_get(4)?,
            logical: TypeRef {
                oid: row.try_get(6)?,
                typmod: row.try_get(7)?,
            },
            domain: domain.ok(),
            stored: match (domain, version) {
                _ if treatment == Stored::ON_RECORD => Ok(Stored::OnRecord { name: label }),
                (Ok(domain), Ok(version)) => stored(treatment, domain, version),
                _ => Err("its record holds a number out of range".to_owned()),
            },
        });
    }
    Ok(found)
}

fn stored(treatment: String, domain: DomainId, version: KeyVersion) -> Result<Stored, String> {
    match treatment.split(' ').next() {
        Some("encrypt") => Ok(Stored::Sealed {
            domain,
            version,
            treatment,
        }),
        Some("tokenise") => Ok(Stored::Tokenised {
            domain,
            version,
            treatment,
        }),
        _ => Err("its record names a treatment this version does not know".to_owned()),
    }
}

/// Holds the records of apply against what is there; answers notices for what is gone.
pub(super) fn compare(
    relations: &mut [Relation],
    checks: &Checks,
    records: Vec<Record>,
) -> Vec<String> {
    let mut notices = Vec::new();
    for record in records {
        if let Ok(stored @ Stored::OnRecord { .. }) = &record.stored {
            on_record(relations, &record, stored);
            continue;
        }
        let by_oid = relations
            .iter()
            .position(|relation| relation.oid == record.relation);
        let place = by_oid.or_else(|| {
            relations
                .iter()
                .position(|relation| relation.name == record.name)
        });
        let Some(relation) = place.map(|place| &mut relations[place]) else {
            notices.push(format!(
                "{}: apply treated it, and the table is gone",
                record.label()
            ));
            continue;
        };
        let same_table = by_oid.is_some();
        let now = relation.name.clone();
        let renamed = now != record.name;
        let attribute = relation.attributes.iter_mut().find(|attribute| {
            if same_table {
                attribute.attnum == record.attnum
            } else {
                attribute.name == record.attribute
            }
        });
        let Some(attribute) = attribute else {
            notices.push(format!(
                "{}: apply treated it, and the column is gone",
                record.label()
            ));
            continue;
        };
        if !same_table {
            attribute.stored = Stored::Altered {
                how: format!(
                    "{now} is not the table that apply recorded (created again, or restored from a dump)"
                ),
            };
        } else if renamed || attribute.name != record.attribute {
            attribute.stored = Stored::Altered {
                how: format!("recorded as {} and renamed since", record.label()),
            };
        } else {
            settle(attribute, relation.oid, &record, checks);
        }
        if attribute.physical.oid == oid::BYTEA {
            attribute.logical = record.logical;
        }
    }
    notices
}

/// What is only shown otherwise is known again by its place alone: another table under its name is treated by that
/// name, and a column that is gone shows nothing.
fn on_record(relations: &mut [Relation], record: &Record, stored: &Stored) {
    let attribute = relations
        .iter_mut()
        .find(|relation| relation.oid == record.relation)
        .and_then(|relation| {
            let mut attributes = relation.attributes.iter_mut();
            attributes.find(|attribute| attribute.attnum == record.attnum)
        });
    if let Some(attribute) = attribute {
        attribute.stored = stored.clone();
    }
}

/// The attribute is the recorded one: its type must be what apply left.
fn settle(attribute: &mut Attribute, relation: u32, record: &Record, checks: &Checks) {
    attribute.stored = match &record.stored {
        Err(how) => Stored::Altered { how: how.clone() },
        Ok(Stored::Sealed { .. }) if attribute.physical.oid != oid::BYTEA => Stored::Altered {
            how: "recorded as sealed, and its type is no longer bytea".to_owned(),
        },
        Ok(Stored::Tokenised { .. }) if attribute.physical != record.logical => Stored::Altered {
            how: "recorded as tokenised, and its type has changed since".to_owned(),
        },
        Ok(stored) => stored.clone(),
    };
    if let (Stored::Sealed { .. }, Some(domain)) = (&attribute.stored, record.domain) {
        attribute.has_prefix_check = checks
            .get(&(relation, attribute.attnum))
            .is_some_and(|found| found.iter().any(|check| check.holds_prefix(domain)));
    }
}

impl Check {
    /// Whether it is the CHECK on a sealed value's prefix, as PostgreSQL 14 and later print it, or earlier ones.
    fn holds_prefix(&self, domain: DomainId) -> bool {
        let column = &self.column;
        let prefix = hex::encode(seal::prefix(domain));
        let wanted = [
            format!("CHECK ((SUBSTRING({column} FROM 1 FOR 8) = '\\x{prefix}'::bytea))"),
            format!("CHECK ((\"substring\"({column}, 1, 8) = '\\x{prefix}'::bytea))"),
        ];
        wanted.contains(&self.definition)
    }
}

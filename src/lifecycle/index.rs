//! Indexes over attributes that are to be sealed: what the server rebuilds by itself, what is built anew over heads,
//! and what cannot be carried.
//!
//! Where equality lies in a term (`seal::Comparison::Heads`), stored forms of equal values differ: an index on the column
//! would find nothing and a unique one would let everything in. Such an index is dropped and built again with its
//! name over `substring(column, 1, 26)`, which is what comparisons are rewritten to. It reads no row.

use tokio_postgres::{GenericClient, Transaction};

use super::hindrance::{Findings, rewrites};
use super::plan::{Change, TableWork};
use crate::seal::{Comparison, HEAD_BYTES};
use crate::upstream::fault::ServerFault;
use crate::upstream::reach;

/// Names what of the table's indexes stands in the way.
pub(super) async fn hindrances<C: GenericClient>(
    client: &C,
    work: &TableWork,
    found: &mut Findings,
) -> Result<(), tokio_postgres::Error> {
    let sql = "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname), m.amname::text, i.indexprs IS NOT NULL, \
                      coalesce(pg_catalog.pg_get_expr(i.indpred, i.indrelid), ''), \
                      $2 = ANY (i.indkey::int2[]), \
                      EXISTS (SELECT 1 FROM ROWS FROM (pg_catalog.unnest(i.indkey::int2[]), pg_catalog.unnest(i.indclass::oid[]), \
                                   pg_catalog.unnest(i.indcollation::oid[])) AS u (attnum, opclass, coll) \
                              JOIN pg_catalog.pg_opclass o ON o.oid = u.opclass \
                              WHERE u.attnum = $2 AND (NOT o.opcdefault OR u.coll NOT IN (0, a.attcollation))), \
                      i.indisprimary, coalesce(k.condeferrable, false), i.indisreplident OR i.indisclustered, \
                      $2 = ANY ((i.indkey::int2[])[i.indnkeyatts:]), k.conname::text \
               FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid \
                    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                    JOIN pg_catalog.pg_am m ON m.oid = c.relam \
                    JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = $2 \
                    LEFT JOIN pg_catalog.pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid \
                         AND k.contype IN ('p', 'u') \
               WHERE i.indrelid = $1 AND ($2 = ANY (i.indkey::int2[]) OR EXISTS ( \
                     SELECT 1 FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass \
                            AND d.objid = i.indexrelid AND d.refclassid = 'pg_catalog.pg_class'::regclass \
                            AND d.refobjid = $1 AND d.refobjsubid = $2))";
    for change in work.changes.iter().filter(|change| rewrites(change)) {
        let attribute = &change.treated.name.attribute;
        for row in client
            .query(sql, &[&work.oid, &change.treated.attnum])
            .await?
        {
            let index = Index {
                name: row.try_get(0)?,
                keyed: row.try_get(4)?,
                is_primary: row.try_get(6)?,
                is_deferrable: row.try_get(7)?,
                is_marked: row.try_get(8)?,
                is_beside: row.try_get(9)?,
                constraint: row.try_get(10)?,
            };
            let method: &str = row.try_get(1)?;
            let predicate: String = row.try_get(3)?;
            if !matches!(method, "btree" | "hash") {
                index.hinders(
                    change,
                    found,
                    &format!(
                        "is a {method} index; only btree and hash indexes work on what is stored"
                    ),
                );
            }
            if row.try_get(2)? && !index.keyed {
                index.hinders(change, found, "is on an expression over it");
            }
            if reach::mentions(&predicate, attribute) {
                index.hinders(change, found, "has it in its WHERE");
            }
            if row.try_get(5)? {
                index.hinders(
                    change,
                    found,
                    "has an operator class or collation of its own on it",
                );
            }
            index.keyed(change, found);
        }
    }
    Ok(())
}

/// An index that has an attribute among its columns, or in an expression.
struct Index {
    name: String,
    /// the attribute is one of its columns
    keyed: bool,
    is_primary: bool,
    is_deferrable: bool,
    /// the table is clustered on it, or it is the replica identity
    is_marked: bool,
    /// the attribute stands in INCLUDE
    is_beside: bool,
    constraint: Option<String>,
}

impl Index {
    fn hinders(&self, change: &Change, found: &mut Findings, what: &str) {
        let what = format!("index {} {what}", self.name);
        found.add(&change.treated.name, "index", what);
    }

    /// What an index on the column itself cannot keep.
    fn keyed(&self, change: &Change, found: &mut Findings) {
        if !self.keyed {
            return;
        }
        match change.treated.comparison() {
            Comparison::Bytes => {}
            Comparison::Never => self.hinders(
                change,
                found,
                "could find nothing: add `equal` to its search words, or drop the index",
            ),
            Comparison::Heads => {
                if self.is_primary {
                    self.hinders(change, found, "is the primary key: equal values of its type have different stored forms, and a key is on columns alone; make another column the key");
                }
                if self.is_deferrable {
                    self.hinders(change, found, "is of a deferrable constraint, which no index over an expression can be; make it NOT DEFERRABLE");
                }
                if self.is_marked {
                    self.hinders(change, found, "is what the table is clustered on, or its replica identity; take that away first");
                }
                if self.is_beside {
                    self.hinders(change, found, "has it in INCLUDE; leave it out there");
                }
                if let Some(constraint) = &self.constraint {
                    found.warnings.insert(format!(
                        "{}: the constraint {constraint} becomes a unique index of its name: equality is decided over an expression",
                        change.treated.name
                    ));
                }
            }
        }
    }
}

/// An index that is built over heads in place of the column.
#[derive(Debug)]
pub(super) struct Rebuild {
    drop: String,
    create: String,
}

/// Of each index of a table `$1` (named `$3`) that has one of the attributes `$2` among its columns: what drops it, and
/// its definition with the first `$4` bytes in their place. The attributes `$5` are rewritten; they have default
/// operator classes and collations before and after.
const DEFINITIONS: &str = "\
    SELECT CASE WHEN k.oid IS NULL THEN pg_catalog.format('DROP INDEX %I.%I', n.nspname, c.relname) \
                ELSE pg_catalog.format('ALTER TABLE ONLY %s DROP CONSTRAINT %I', $3::text, k.conname) END, \
           pg_catalog.concat('CREATE ', CASE WHEN i.indisunique THEN 'UNIQUE ' END, \
               pg_catalog.format('INDEX %I ON ONLY %s USING %I (', c.relname, $3::text, m.amname), \
               parts.keys, ')', ' INCLUDE (' || parts.beside || ')', \
               CASE WHEN pg_catalog.to_jsonb(i) ->> 'indnullsnotdistinct' = 'true' THEN ' NULLS NOT DISTINCT' END, \
               ' WITH (' || (SELECT pg_catalog.string_agg(pg_catalog.format('%I = %L', o.option_name, o.option_value), ', ') \
                             FROM pg_catalog.pg_options_to_table(c.reloptions) o) || ')', \
               ' TABLESPACE ' || pg_catalog.quote_ident(s.spcname), \
               ' WHERE ' || pg_catalog.pg_get_expr(i.indpred, i.indrelid), \
               pg_catalog.format('; COMMENT ON INDEX %I.%I IS %L', n.nspname, c.relname, \
                                 pg_catalog.obj_description(c.oid, 'pg_class'))) \
    FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_catalog.pg_am m ON m.oid = c.relam \
         LEFT JOIN pg_catalog.pg_tablespace s ON s.oid = c.reltablespace \
         LEFT JOIN pg_catalog.pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid AND k.contype = 'u' \
         CROSS JOIN LATERAL ( \
             SELECT pg_catalog.string_agg(CASE WHEN u.opclass IS NOT NULL THEN pg_catalog.concat( \
                        CASE WHEN u.attnum = ANY ($2::int2[]) \
                             THEN pg_catalog.format('pg_catalog.substring(%I, 1, %s)', a.attname, $4::int4) \
                             WHEN u.attnum = 0 \
                             THEN '(' || pg_catalog.pg_get_indexdef(i.indexrelid, u.place::int4, false) || ')' \
                             ELSE pg_catalog.quote_ident(a.attname) END, \
                        CASE WHEN u.attnum <> ALL ($5::int2[]) \
                             THEN coalesce(' COLLATE ' || pg_catalog.quote_ident(ln.nspname) || '.' \
                                           || pg_catalog.quote_ident(l.collname), '') \
                                  || pg_catalog.format(' %I.%I', pn.nspname, p.opcname) END, \
                        CASE WHEN m.amname = 'btree' AND u.how & 1 = 1 THEN ' DESC' END, \
                        CASE WHEN m.amname <> 'btree' THEN NULL \
                             WHEN u.how & 2 = 2 THEN ' NULLS FIRST' ELSE ' NULLS LAST' END) \
                    END, ', ' ORDER BY u.place) AS keys, \
                    pg_catalog.string_agg(CASE WHEN u.opclass IS NULL THEN pg_catalog.quote_ident(a.attname) END, \
                                          ', ' ORDER BY u.place) AS beside \
             FROM ROWS FROM (pg_catalog.unnest(i.indkey::int2[]), pg_catalog.unnest(i.indclass::oid[]), \
                             pg_catalog.unnest(i.indcollation::oid[]), pg_catalog.unnest(i.indoption::int2[])) \
                  WITH ORDINALITY AS u (attnum, opclass, coll, how, place) \
                  LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = u.attnum AND u.attnum <> 0 \
                  LEFT JOIN pg_catalog.pg_opclass p ON p.oid = u.opclass \
                  LEFT JOIN pg_catalog.pg_namespace pn ON pn.oid = p.opcnamespace \
                  LEFT JOIN pg_catalog.pg_collation l ON l.oid = u.coll \
                  LEFT JOIN pg_catalog.pg_namespace ln ON ln.oid = l.collnamespace \
         ) parts \
    WHERE i.indrelid = $1 AND i.indkey::int2[] && $2::int2[] ORDER BY c.relname";

/// The indexes of the table that have to be built anew, with their definitions over heads.
///
/// The client's `search_path` must be `pg_catalog`, so that names come out qualified.
pub(super) async fn to_rebuild(
    transaction: &Transaction<'_>,
    table: &TableWork,
) -> Result<Vec<Rebuild>, ServerFault> {
    let rewritten = || {
        let changes = table.changes.iter().filter(|change| rewrites(change));
        changes.map(|change| &change.treated)
    };
    let all: Vec<i16> = rewritten().map(|treated| treated.attnum).collect();
    let by_term: Vec<i16> = rewritten()
        .filter(|treated| treated.comparison() == Comparison::Heads)
        .map(|treated| treated.attnum)
        .collect();
    let head_bytes = i32::try_from(HEAD_BYTES).unwrap_or(i32::MAX);
    let fault = |error| ServerFault::new(format!("reading the indexes of {}", table.name), &error);
    let rows = transaction
        .query(
            DEFINITIONS,
            &[
                &table.oid,
                &by_term,
                &table.name.to_sql(),
                &head_bytes,
                &all,
            ],
        )
        .await
        .map_err(fault)?;
    let rebuild = |row: &tokio_postgres::Row| {
        Ok(Rebuild {
            drop: row.try_get(0)?,
            create: row.try_get(1)?,
        })
    };
    rows.iter()
        .map(rebuild)
        .collect::<Result<_, _>>()
        .map_err(fault)
}

/// Drops them, before the table is rewritten.
pub(super) async fn drop(
    transaction: &Transaction<'_>,
    table: &TableWork,
    indexes: &[Rebuild],
) -> Result<(), ServerFault> {
    for Rebuild { drop, create: _ } in indexes {
        let fault =
            |error| ServerFault::new(format!("dropping an index of {}", table.name), &error);
        transaction.batch_execute(drop).await.map_err(fault)?;
    }
    Ok(())
}

/// Builds them over what is stored now.
pub(super) async fn build(
    transaction: &Transaction<'_>,
    table: &TableWork,
    indexes: &[Rebuild],
) -> Result<(), ServerFault> {
    for Rebuild { drop: _, create } in indexes {
        let fault =
            |error| ServerFault::new(format!("building an index of {}", table.name), &error);
        transaction.batch_execute(create).await.map_err(fault)?;
    }
    Ok(())
}

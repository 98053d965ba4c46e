//! Reads the types that a database defines: enums, domains, and citext where its extension is there; the one setting
//! of how values look that no session reports; and what `lower()` does.

use std::collections::BTreeMap;

use tokio_postgres::Transaction;

use crate::catalog::{TypeEntry, TypeKind, TypeRef};

/// Types outside the server's own schemas, with all that values of treated attributes need to know.
const TYPES: &str = "\
    SELECT t.oid, pg_catalog.format('%I.%I', n.nspname, t.typname), t.typname::text, t.typarray, t.typtype::text, \
           t.typbasetype, t.typtypmod, t.typnotnull, t.typdefault IS NOT NULL, \
           EXISTS (SELECT 1 FROM pg_catalog.pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c'), \
           ARRAY(SELECT e.enumlabel::text FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder) \
      FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace \
     WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_temp_' \
       AND (t.typtype IN ('e', 'd') OR t.typname = 'citext' AND EXISTS ( \
            SELECT 1 FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension x ON x.oid = d.refobjid \
             WHERE d.classid = 'pg_catalog.pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e' \
               AND d.refclassid = 'pg_catalog.pg_extension'::regclass AND x.extname = 'citext')) \
     ORDER BY t.oid";

/// The types by their OIDs.
pub(super) async fn types(
    transaction: &Transaction<'_>,
) -> Result<BTreeMap<u32, TypeEntry>, tokio_postgres::Error> {
    let mut found = BTreeMap::new();
    for row in transaction.query(TYPES, &[]).await? {
        let kind = match row.try_get::<_, &str>(4)? {
            "e" => TypeKind::Enum(row.try_get(10)?),
            "d" => TypeKind::Domain {
                base: TypeRef {
                    oid: row.try_get(5)?,
                    typmod: row.try_get(6)?,
                },
                has_check: row.try_get(9)?,
                not_null: row.try_get(7)?,
                has_default: row.try_get(8)?,
            },
            _ => TypeKind::Citext,
        };
        let entry = TypeEntry {
            sql: row.try_get(1)?,
            name: row.try_get(2)?,
            array_oid: row.try_get(3)?,
            kind,
        };
        found.insert(row.try_get(0)?, entry);
    }
    Ok(found)
}

/// Whether some session of the database begins with floats printed with a fixed number of digits.
const FLOATS_ARE_CUT: &str = "\
    SELECT pg_catalog.current_setting('extra_float_digits')::int4 <= 0 OR EXISTS ( \
        SELECT 1 FROM pg_catalog.pg_db_role_setting s CROSS JOIN pg_catalog.unnest(s.setconfig) AS c (entry) \
         WHERE s.setdatabase IN (0, (SELECT d.oid FROM pg_catalog.pg_database d \
                                      WHERE d.datname = pg_catalog.current_database())) \
           AND c.entry ~* '^extra_float_digits=(0|-)')";

/// Whether the server, the database or a role of it sets `extra_float_digits` to 0 or less.
pub(super) async fn floats_are_cut(
    transaction: &Transaction<'_>,
) -> Result<bool, tokio_postgres::Error> {
    transaction.query_one(FLOATS_ARE_CUT, &[]).await?.try_get(0)
}

/// Where `LC_CTYPE` is C the server's `lower()` is its own and of ASCII alone (formatting.c, str_tolower). Providers came
/// with PostgreSQL 15, the built-in one with 17: the row is asked, for older servers have no such columns.
const LOWER_IS_ASCII: &str = "\
    SELECT CASE coalesce(r.entry->>'datlocprovider', 'c') \
                WHEN 'c' THEN r.entry->>'datctype' IN ('C', 'POSIX') \
                WHEN 'b' THEN coalesce(r.entry->>'datlocale', '') = 'C' \
                ELSE false END \
      FROM pg_catalog.pg_database d CROSS JOIN LATERAL (SELECT pg_catalog.to_jsonb(d) AS entry) r \
     WHERE d.datname = pg_catalog.current_database()";

/// Whether the database's `lower()` changes the letters of ASCII and no other.
pub(super) async fn lower_is_ascii(
    transaction: &Transaction<'_>,
) -> Result<bool, tokio_postgres::Error> {
    transaction.query_one(LOWER_IS_ASCII, &[]).await?.try_get(0)
}

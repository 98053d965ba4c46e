//! What stands on a table so that `apply` cannot carry it: named before anything is changed.
//!
//! It asks the catalog only, and what it does not know is a hindrance too: an object of a kind that is not
//! listed here is named, never passed over. It reads no row.

use std::collections::BTreeSet;
use std::fmt;

use tokio_postgres::GenericClient;

use super::index;
use super::mentions;
use super::plan::{Change, ChangeKind, TableWork};
use crate::upstream::fault::ServerFault;

/// Something that apply cannot carry over to the treated form. Holds names, never values.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hindrance {
    /// the table or attribute it concerns
    pub on: String,
    /// its kind, for tests and counting: `view`, `foreign_key`, `index`, …
    pub kind: &'static str,
    /// what it is, with its name, and what can be done
    pub what: String,
}

impl fmt::Display for Hindrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.on, self.what)
    }
}

/// What was found on one table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// what forbids the change
    pub hindrances: BTreeSet<Hindrance>,
    /// what survives it, and a DBA should know
    pub warnings: BTreeSet<String>,
}

impl Findings {
    pub(super) fn add(
        &mut self,
        on: impl fmt::Display,
        kind: &'static str,
        what: impl Into<String>,
    ) {
        self.hindrances.insert(Hindrance {
            on: on.to_string(),
            kind,
            what: what.into(),
        });
    }
}

/// Asks the catalog what stands on the attributes that are to change.
///
/// The client's `search_path` must be `pg_catalog`, so that names come out qualified.
///
/// # Errors
/// [`ServerFault`] when the server does not answer.
pub async fn find<C: GenericClient>(client: &C, work: &TableWork) -> Result<Findings, ServerFault> {
    let fault =
        |error| ServerFault::new(format!("looking at what stands on {}", work.name), &error);
    let mut found = Findings::default();
    table(client, work, &mut found).await.map_err(fault)?;
    columns(client, work, &mut found).await.map_err(fault)?;
    dependents(client, work, &mut found).await.map_err(fault)?;
    index::hindrances(client, work, &mut found)
        .await
        .map_err(fault)?;
    mentions::whole_rows(client, work, &mut found)
        .await
        .map_err(fault)?;
    mentions::triggers(client, work, &mut found)
        .await
        .map_err(fault)?;
    mentions::neighbours(client, work, &mut found)
        .await
        .map_err(fault)?;
    Ok(found)
}

async fn table<C: GenericClient>(
    client: &C,
    work: &TableWork,
    found: &mut Findings,
) -> Result<(), tokio_postgres::Error> {
    let sql = "SELECT c.relkind::text, c.relpersistence::text, \
                      EXISTS (SELECT 1 FROM pg_catalog.pg_inherits WHERE inhrelid = c.oid OR inhparent = c.oid), \
                      pg_catalog.pg_has_role(c.relowner, 'USAGE'), c.reloftype <> 0, \
                      pg_catalog.pg_get_userbyid(c.relowner)::text, current_user::text \
               FROM pg_catalog.pg_class c WHERE c.oid = $1";
    let Some(row) = client.query_opt(sql, &[&work.oid]).await? else {
        found.add(&work.name, "gone", "the table is gone");
        return Ok(());
    };
    if row.try_get::<_, &str>(0)? != "r" {
        found.add(
            &work.name,
            "kind",
            "only an ordinary table's own columns can be treated",
        );
    }
    if row.try_get::<_, &str>(1)? == "t" {
        found.add(&work.name, "kind", "a temporary table cannot be treated");
    }
    if row.try_get(2)? {
        found.add(
            &work.name,
            "inheritance",
            "it is a partition, or a parent or child by inheritance; this version changes single tables only",
        );
    }
    if !row.try_get::<_, bool>(3)? {
        let (owner, me): (String, String) = (row.try_get(5)?, row.try_get(6)?);
        found.add(
            &work.name,
            "owner",
            format!(
                "it belongs to {owner}, and {me} is no member of that role; set upstream.owner"
            ),
        );
    }
    if row.try_get(4)? {
        found.add(
            &work.name,
            "typed_table",
            "a table OF a type takes its columns from the type",
        );
    }
    Ok(())
}

async fn columns<C: GenericClient>(
    client: &C,
    work: &TableWork,
    found: &mut Findings,
) -> Result<(), tokio_postgres::Error> {
    let sql = "SELECT a.attidentity <> '', a.attgenerated <> '', t.typtype::text, \
                      coalesce(k.collisdeterministic, true), \
                      pg_catalog.pg_get_expr(d.adbin, d.adrelid), \
                      pg_catalog.pg_get_serial_sequence($3, a.attname), \
                      pg_catalog.format_type(a.atttypid, a.atttypmod) \
               FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
                    LEFT JOIN pg_catalog.pg_collation k ON k.oid = a.attcollation \
                    LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
               WHERE a.attrelid = $1 AND a.attnum = $2 AND NOT a.attisdropped";
    let table = work.name.to_sql();
    for change in &work.changes {
        let name = &change.treated.name;
        let place = change.treated.attnum;
        let Some(row) = client.query_opt(sql, &[&work.oid, &place, &table]).await? else {
            found.add(name, "gone", "the column is gone");
            continue;
        };
        if row.try_get(0)? {
            found.add(
                name,
                "identity",
                "it is an identity column: the server itself makes its values",
            );
        }
        if row.try_get(1)? {
            found.add(
                name,
                "generated",
                "it is a generated column: the server itself makes its values",
            );
        }
        if !matches!(row.try_get::<_, &str>(2)?, "b" | "d" | "e") {
            found.add(
                name,
                "type",
                "its type is composite, a range or a pseudo-type",
            );
        }
        if !row.try_get::<_, bool>(3)? && change.treated.compares_equal() {
            found.add(
                name,
                "collation",
                "its collation is nondeterministic: equal values would have different sealed forms",
            );
        }
        let default: Option<String> = row.try_get(4)?;
        let serial: Option<String> = row.try_get(5)?;
        if let Some(sequence) = serial {
            found.add(
                name,
                "serial",
                format!("the sequence {sequence} makes its values"),
            );
        } else if let Some(text) = default
            && super::constant::literal(&text, row.try_get(6)?).is_none()
            && rewrites(change)
        {
            found.add(
                name,
                "default",
                "its default is not a constant: the server cannot seal what it computes; drop the default",
            );
        }
    }
    Ok(())
}

/// Everything that `pg_depend` has on the columns, but indexes and the columns' own defaults.
async fn dependents<C: GenericClient>(
    client: &C,
    work: &TableWork,
    found: &mut Findings,
) -> Result<(), tokio_postgres::Error> {
    let sql = "SELECT d.classid::regclass::text, pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid), \
                      k.contype::text, c.relkind::text, f.adnum, d.objid = d.refobjid, d.objsubid <> 0 \
               FROM pg_catalog.pg_depend d \
                    LEFT JOIN pg_catalog.pg_constraint k ON d.classid = 'pg_catalog.pg_constraint'::regclass AND k.oid = d.objid \
                    LEFT JOIN pg_catalog.pg_class c ON d.classid = 'pg_catalog.pg_class'::regclass AND c.oid = d.objid \
                    LEFT JOIN pg_catalog.pg_attrdef f ON d.classid = 'pg_catalog.pg_attrdef'::regclass AND f.oid = d.objid \
               WHERE d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = $1 AND d.refobjsubid = $2";
    for change in work.changes.iter().filter(|change| rewrites(change)) {
        let name = &change.treated.name;
        let attnum = change.treated.attnum;
        for row in client.query(sql, &[&work.oid, &i32::from(attnum)]).await? {
            let class: &str = row.try_get(0)?;
            let object: String = row.try_get(1)?;
            let constraint: Option<&str> = row.try_get(2)?;
            let relation: Option<&str> = row.try_get(3)?;
            let default_of: Option<i16> = row.try_get(4)?;
            let own_table: bool = row.try_get(5)?;
            let column: bool = row.try_get(6)?;
            let kind = match (class, constraint, relation) {
                ("pg_class", _, Some("i" | "I")) => continue, // looked at by `index`
                ("pg_constraint", Some("p" | "u" | "n"), _) => continue, // carried with its index
                ("pg_attrdef", _, _) if default_of == Some(attnum) => continue,
                ("pg_attrdef", _, _) => "generated",
                // Before PostgreSQL 15 a generated column depends by itself, not by its expression.
                ("pg_class", _, _) if own_table && column => "generated",
                ("pg_class", _, _) if own_table => "partition_key",
                ("pg_class", _, Some("S")) => "serial",
                ("pg_constraint", Some("f"), _) => "foreign_key",
                ("pg_constraint", Some("c"), _) => "check",
                ("pg_constraint", Some("x"), _) => "exclusion",
                ("pg_rewrite", _, _) => "view",
                ("pg_trigger", _, _) => "trigger",
                ("pg_policy", _, _) => "policy",
                ("pg_statistic_ext", _, _) => "statistics",
                ("pg_publication_rel", _, _) => "publication",
                ("pg_proc", _, _) => "function",
                _ => "dependency",
            };
            found.add(
                name,
                kind,
                format!("{object} depends on it; drop it before apply and create it again in a form that fits"),
            );
        }
    }
    Ok(())
}

/// Whether the change rewrites the column (an added CHECK does not).
pub(super) fn rewrites(change: &Change) -> bool {
    match change.kind {
        ChangeKind::Seal | ChangeKind::Tokenise => true,
        ChangeKind::AddCheck { .. } => false,
    }
}

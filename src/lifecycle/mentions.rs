//! What uses a column without the catalog saying so by column: the whole row, trigger bodies, functions.
//!
//! Bodies are not parsed: a column's name as a word counts as a mention, which errs on the safe side.

use tokio_postgres::GenericClient;

use super::hindrance::{Findings, rewrites};
use super::plan::TableWork;
use crate::upstream::reach::mentions;

/// Uses of the whole row, which `pg_depend` records without a column: they would see the stored form.
pub(super) async fn whole_rows<C: GenericClient>(
    client: &C,
    work: &TableWork,
    found: &mut Findings,
) -> Result<(), tokio_postgres::Error> {
    let sql = "SELECT DISTINCT 'view', pg_catalog.pg_describe_object(d.classid, d.objid, 0) \
                 FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid \
                WHERE d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass \
                      AND d.refobjid = $1 AND (r.ev_action::text LIKE '%:varattno 0 %' OR r.ev_qual::text LIKE '%:varattno 0 %') \
               UNION SELECT 'policy', pg_catalog.pg_describe_object('pg_catalog.pg_policy'::regclass, oid, 0) \
                 FROM pg_catalog.pg_policy WHERE polrelid = $1 \
                      AND pg_catalog.concat(polqual::text, polwithcheck::text) LIKE '%:varattno 0 %' \
               UNION SELECT 'check', pg_catalog.pg_describe_object('pg_catalog.pg_constraint'::regclass, oid, 0) \
                 FROM pg_catalog.pg_constraint WHERE conrelid = $1 AND conbin::text LIKE '%:varattno 0 %' \
               UNION SELECT 'index', pg_catalog.pg_describe_object('pg_catalog.pg_class'::regclass, indexrelid, 0) \
                 FROM pg_catalog.pg_index WHERE indrelid = $1 \
                      AND pg_catalog.concat(indexprs::text, indpred::text) LIKE '%:varattno 0 %' \
               UNION SELECT 'trigger', pg_catalog.pg_describe_object('pg_catalog.pg_trigger'::regclass, oid, 0) \
                 FROM pg_catalog.pg_trigger WHERE tgrelid = $1 AND tgqual::text LIKE '%:varattno 0 %' \
               UNION SELECT 'row_type', pg_catalog.pg_describe_object('pg_catalog.pg_class'::regclass, a.attrelid, a.attnum) \
                 FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.typrelid = $1 \
                WHERE NOT a.attisdropped AND a.atttypid IN (t.oid, t.typarray)";
    for row in client.query(sql, &[&work.oid]).await? {
        let object: String = row.try_get(1)?;
        let kind = match row.try_get::<_, &str>(0)? {
            "view" => "view",
            "policy" => "policy",
            "check" => "check",
            "index" => "index",
            "trigger" => "trigger",
            _ => "row_type",
        };
        found.add(&work.name, kind, format!("{object} uses its whole row"));
    }
    Ok(())
}

/// Triggers by the words of their definition and of their function's body.
pub(super) async fn triggers<C: GenericClient>(
    client: &C,
    work: &TableWork,
    found: &mut Findings,
) -> Result<(), tokio_postgres::Error> {
    let sql = "SELECT t.tgname::text, n.nspname::text, p.proname::text, p.prosrc, pg_catalog.pg_get_triggerdef(t.oid) \
               FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid \
                    JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
               WHERE t.tgrelid = $1 AND NOT t.tgisinternal";
    for row in client.query(sql, &[&work.oid]).await? {
        let trigger: String = row.try_get(0)?;
        let function = (row.try_get::<_, String>(1)?, row.try_get::<_, String>(2)?);
        let text = format!(
            "{} {}",
            row.try_get::<_, &str>(3)?,
            row.try_get::<_, &str>(4)?
        );
        if work.trusted.trusts(&function.0, &function.1) {
            continue;
        }
        for change in work.changes.iter().filter(|change| rewrites(change)) {
            if mentions(&text, &change.treated.name.attribute) {
                found.add(
                    &change.treated.name,
                    "trigger",
                    format!(
                        "trigger {trigger} or its function {}.{} mentions it and would meet the stored form; \
                         drop the trigger, or vouch for the function under functions.trust",
                        function.0, function.1
                    ),
                );
            }
        }
    }
    Ok(())
}

/// What survives and should be known: functions that mention the column, publications of the table.
pub(super) async fn neighbours<C: GenericClient>(
    client: &C,
    work: &TableWork,
    found: &mut Findings,
) -> Result<(), tokio_postgres::Error> {
    let functions = "SELECT n.nspname::text, p.proname::text, p.prosrc \
                     FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
                          JOIN pg_catalog.pg_language l ON l.oid = p.prolang \
                     WHERE l.lanname NOT IN ('c', 'internal') AND n.nspname NOT IN ('pg_catalog', 'information_schema')";
    for row in client.query(functions, &[]).await? {
        let body: &str = row.try_get(2)?;
        if !mentions(body, &work.name.name) {
            continue;
        }
        for change in work.changes.iter().filter(|change| rewrites(change)) {
            if mentions(body, &change.treated.name.attribute) {
                found.warnings.insert(format!(
                    "function {}.{} mentions {} and will meet the stored form",
                    row.try_get::<_, &str>(0)?,
                    row.try_get::<_, &str>(1)?,
                    change.treated.name
                ));
            }
        }
    }
    let published = "SELECT p.pubname::text FROM pg_catalog.pg_publication p \
                     WHERE p.puballtables OR EXISTS (SELECT 1 FROM pg_catalog.pg_publication_rel r \
                           WHERE r.prpubid = p.oid AND r.prrelid = $1)";
    for row in client.query(published, &[&work.oid]).await? {
        found.warnings.insert(format!(
            "publication {} carries {}: its subscribers get the stored form, and need the same column types",
            row.try_get::<_, &str>(0)?,
            work.name
        ));
    }
    Ok(())
}

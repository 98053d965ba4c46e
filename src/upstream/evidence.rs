//! Reads what functions hold, and what depends on what: the evidence for [`reach::edges`](super::reach::edges).
//!
//! Only rows of the catalog are read, as the transaction's snapshot has them. The server's functions that print
//! definitions (`pg_get_viewdef` and its like) are not called: they look past the snapshot, fail over what another
//! session drops meanwhile, and wait for whoever holds one of the view's relations exclusively.

use std::collections::HashMap;

use tokio_postgres::Transaction;

use super::reach::{Body, Evidence};
use crate::catalog::Function;
use crate::catalog::indirect::{QUERY_TEXT, STORED_VALUES};

/// What the server recorded that a function uses: all that its body uses where that is standard SQL, else what its
/// arguments' defaults do.
const USES: &str = "\
    SELECT d.objid, coalesce(c.relname, p.proname, x.proname)::text \
      FROM pg_catalog.pg_depend d \
           LEFT JOIN pg_catalog.pg_class c ON d.refclassid = 'pg_catalog.pg_class'::regclass AND c.oid = d.refobjid \
           LEFT JOIN pg_catalog.pg_proc p ON d.refclassid = 'pg_catalog.pg_proc'::regclass AND p.oid = d.refobjid \
           LEFT JOIN pg_catalog.pg_operator o \
                  ON d.refclassid = 'pg_catalog.pg_operator'::regclass AND o.oid = d.refobjid \
           LEFT JOIN pg_catalog.pg_proc x ON x.oid = o.oprcode \
     WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND coalesce(c.oid, p.oid, x.oid) IS NOT NULL";

/// Functions outside `pg_catalog` that belong to no extension. An aggregate's text names its support functions; that of
/// one in the language `internal` the server's functions that are the same.
pub(super) async fn functions(
    transaction: &Transaction<'_>,
) -> Result<(Vec<Function>, Vec<Body>), tokio_postgres::Error> {
    let sql = format!("{USES} UNION {} ORDER BY 1, 2", indirect(FUNCTION_TREES));
    let mut uses: HashMap<u32, String> = HashMap::new();
    for row in transaction.query(sql.as_str(), &[&listed()]).await? {
        let names = uses.entry(row.try_get(0)?).or_default();
        names.push(' ');
        names.push_str(row.try_get(1)?);
    }
    let sql = "SELECT p.oid, n.nspname, p.proname, \
                CASE WHEN a.aggfnoid IS NOT NULL THEN pg_catalog.concat_ws(' ', a.aggtransfn::text, a.aggfinalfn::text, \
                          a.aggcombinefn::text, a.aggmtransfn::text, a.aggminvtransfn::text, a.aggmfinalfn::text) \
                     WHEN l.lanname = 'c' THEN NULL \
                     WHEN l.lanname = 'internal' THEN ( \
                          SELECT pg_catalog.string_agg(DISTINCT b.proname::text, ' ') FROM pg_catalog.pg_proc b \
                           WHERE b.prolang = p.prolang AND b.prosrc = p.prosrc AND b.oid < 16384) \
                     ELSE p.prosrc END \
         FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
              JOIN pg_catalog.pg_language l ON l.oid = p.prolang \
              LEFT JOIN pg_catalog.pg_aggregate a ON a.aggfnoid = p.oid \
         WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') \
               AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_proc'::regclass \
                               AND d.objid = p.oid AND d.deptype = 'e') \
         ORDER BY p.oid";
    let mut functions = Vec::new();
    let mut bodies = Vec::new();
    for row in transaction.query(sql, &[]).await? {
        let oid = row.try_get(0)?;
        let name: String = row.try_get(2)?;
        let mut text: Option<String> = row.try_get(3)?;
        if let (Some(text), Some(names)) = (&mut text, uses.get(&oid)) {
            text.push_str(names);
        }
        bodies.push(Body {
            oid,
            name: name.clone(),
            text: text.clone(),
        });
        functions.push(Function {
            oid,
            schema: row.try_get(1)?,
            name,
            body: text,
        });
    }
    Ok((functions, bodies))
}

/// What depends on what, as the server recorded it. Foreign keys do not count: their actions stay on keys.
const DEPENDENCIES: &str = "\
    WITH owners AS ( \
        SELECT ev_class AS relation, 'pg_catalog.pg_rewrite'::regclass AS class, oid AS object FROM pg_catalog.pg_rewrite \
        UNION ALL SELECT polrelid, 'pg_catalog.pg_policy'::regclass, oid FROM pg_catalog.pg_policy \
        UNION ALL SELECT adrelid, 'pg_catalog.pg_attrdef'::regclass, oid FROM pg_catalog.pg_attrdef \
        UNION ALL SELECT conrelid, 'pg_catalog.pg_constraint'::regclass, oid FROM pg_catalog.pg_constraint \
                   WHERE contype = 'c' \
        UNION ALL SELECT indrelid, 'pg_catalog.pg_class'::regclass, indexrelid FROM pg_catalog.pg_index), \
    used AS ( \
        SELECT o.relation, d.refclassid, d.refobjid \
          FROM owners o JOIN pg_catalog.pg_depend d ON d.classid = o.class AND d.objid = o.object) \
    SELECT relation, 'relation' AS kind, refobjid AS target FROM used WHERE refclassid = 'pg_catalog.pg_class'::regclass \
    UNION SELECT relation, 'function', refobjid FROM used WHERE refclassid = 'pg_catalog.pg_proc'::regclass \
    UNION SELECT u.relation, 'function', o.oprcode FROM used u JOIN pg_catalog.pg_operator o ON o.oid = u.refobjid \
           WHERE u.refclassid = 'pg_catalog.pg_operator'::regclass \
    UNION SELECT inhrelid, 'relation', inhparent FROM pg_catalog.pg_inherits \
    UNION SELECT inhparent, 'relation', inhrelid FROM pg_catalog.pg_inherits \
    UNION SELECT tgrelid, 'function', tgfoid FROM pg_catalog.pg_trigger WHERE NOT tgisinternal \
    ORDER BY 1, 2, 3";

pub(super) async fn evidence(
    transaction: &Transaction<'_>,
) -> Result<Evidence, tokio_postgres::Error> {
    let mut evidence = Evidence::default();
    for row in transaction.query(DEPENDENCIES, &[]).await? {
        let edge = (row.try_get(0)?, row.try_get(2)?);
        match row.try_get::<_, &str>(1)? {
            "relation" => evidence.relations.push(edge),
            _ => evidence.functions.push(edge),
        }
    }
    let sql = indirect(RELATION_TREES);
    for row in transaction.query(sql.as_str(), &[&listed()]).await? {
        evidence.indirect.push((row.try_get(0)?, row.try_get(1)?));
    }
    let foreign = "SELECT f.ftrelid, pg_catalog.concat_ws(' ', c.relname, pg_catalog.array_to_string(f.ftoptions, ' ')) \
                   FROM pg_catalog.pg_foreign_table f JOIN pg_catalog.pg_class c ON c.oid = f.ftrelid ORDER BY 1";
    for row in transaction.query(foreign, &[]).await? {
        evidence.foreign.push((row.try_get(0)?, row.try_get(1)?));
    }
    Ok(evidence)
}

/// The node trees (`pg_node_tree`) of the rules, policies and defaults of relations. Objects of the server's own have OIDs
/// below 16384 (`FirstNormalObjectId`).
const RELATION_TREES: &str = "\
    SELECT ev_class, pg_catalog.concat(ev_action::text, ev_qual::text) FROM pg_catalog.pg_rewrite WHERE oid >= 16384 \
    UNION ALL SELECT polrelid, pg_catalog.concat(polqual::text, polwithcheck::text) FROM pg_catalog.pg_policy \
    UNION ALL SELECT adrelid, adbin::text FROM pg_catalog.pg_attrdef";

/// The node trees of functions: their arguments' defaults, and their bodies where these are standard SQL, which came with
/// PostgreSQL 14: the row is asked, for older servers have no such column.
const FUNCTION_TREES: &str = "\
    SELECT oid, pg_catalog.concat(CASE WHEN prosrc = '' THEN pg_catalog.to_jsonb(p) ->> 'prosqlbody' END, \
                                  proargdefaults::text) \
      FROM pg_catalog.pg_proc p WHERE oid >= 16384";

/// The names that [`indirect`] asks for, its only parameter.
fn listed() -> Vec<&'static str> {
    [QUERY_TEXT, STORED_VALUES].concat()
}

/// The objects of which a node tree has a node of a function or relation that is listed, each with that one's name. The
/// server records no dependency on what is pinned in it, and its node trees name it by OID.
fn indirect(trees: &str) -> String {
    let node = ":(?:funcid|opfuncid|relid) ";
    format!(
        "(WITH listed AS MATERIALIZED ( \
              SELECT oid, proname::text AS name FROM pg_catalog.pg_proc WHERE proname::text = ANY ($1::text[]) \
              UNION ALL SELECT oid, relname::text FROM pg_catalog.pg_class WHERE relname::text = ANY ($1::text[])), \
          nodes AS MATERIALIZED ( \
              SELECT '{node}(?:' || pg_catalog.string_agg(oid::text, '|') || ') ' AS any_of_them FROM listed), \
          trees (object, tree) AS ({trees}), \
          found AS MATERIALIZED ( \
              SELECT t.object, t.tree FROM trees t CROSS JOIN nodes n WHERE t.tree ~ n.any_of_them) \
          SELECT DISTINCT f.object, l.name \
            FROM found f JOIN listed l ON f.tree ~ ('{node}' || l.oid || ' ') ORDER BY 1, 2)"
    )
}

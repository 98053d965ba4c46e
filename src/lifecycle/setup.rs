//! The SQL of `pgveil setup`: what a superuser runs once in each database, and may run again.
//!
//! It makes the control login, the schema `pgveil`, the table `pgveil.attribute` (what `apply` did, read by every
//! pgveil), the function `pgveil.verifier(text)` (the stored password verifier of a login), and an event trigger that
//! announces changes of the catalog. It sends nothing itself, and holds no password: where one is given, its SCRAM verifier stands in the SQL, so that neither the
//! terminal nor the server's log shows it.
//!
//! *Why the function is safe.* It runs as its superuser owner, so every name in it is schema-qualified, its
//! `search_path` is pinned (PostgreSQL manual, "Writing SECURITY DEFINER Functions Safely"), nobody but the
//! control login may execute it, and the script refuses to go on in a schema `pgveil` that no superuser owns.

use crate::ident::{UserName, quote_ident};
use crate::secret::Secret;
use crate::wire::scram::Verifier;

/// Who works with the schema `pgveil`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetupLogins {
    /// the login of the control connection: reads the catalog and the verifiers; created when missing
    pub control: UserName,
    /// the login that runs `apply` and writes `pgveil.attribute`; must exist, unless it is the control login
    pub owner: UserName,
}

impl SetupLogins {
    /// One login for both, as when the configuration names no owner.
    pub fn control_only(control: UserName) -> Self {
        Self {
            owner: control.clone(),
            control,
        }
    }
}

/// The SQL, idempotent, one transaction. Without a password the control login is created without one (a superuser
/// sets it with `\password`), and an existing login keeps its own.
pub fn setup_sql(logins: &SetupLogins, password: Option<&Secret<String>>) -> String {
    let control = control_login(&logins.control, password);
    let (control_name, grants) = (quote_ident(logins.control.as_str()), grants(logins));
    format!(
        "-- pgveil setup: run once in each database, as a superuser. Running it again changes nothing.\n\
         {BEGIN}{SUPERUSER}{control}{OBJECTS}{VERIFIER}{ANNOUNCE}\n{grants}\
         GRANT EXECUTE ON FUNCTION pgveil.verifier(text) TO {control_name};\nCOMMIT;\n"
    )
}

/// The same where no superuser can be had, for logins that are not checked by the server's verifiers: without
/// `pgveil.verifier` and the event trigger, run by a login that may create roles, and the schema `pgveil` in the database.
pub fn setup_sql_without_verifier(
    logins: &SetupLogins,
    password: Option<&Secret<String>>,
) -> String {
    let control = control_login(&logins.control, password);
    let grants = grants(logins);
    format!(
        "-- pgveil setup: run once in each database, by a login that may create roles and schemas. Running it again\n\
         -- changes nothing.\n{BEGIN}{control}{OBJECTS}\n{grants}COMMIT;\n"
    )
}

const BEGIN: &str = "\
BEGIN;
SET LOCAL search_path = pg_catalog;
SET LOCAL client_min_messages = warning;
";

const SUPERUSER: &str = "
DO $check$
BEGIN
  IF NOT (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname = current_user) THEN
    RAISE EXCEPTION 'pgveil setup needs a superuser' USING ERRCODE = '42501';
  END IF;
  IF EXISTS (SELECT 1 FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_roles r ON r.oid = n.nspowner
             WHERE n.nspname = 'pgveil' AND NOT r.rolsuper) THEN
    RAISE EXCEPTION 'the schema pgveil is there and not owned by a superuser' USING ERRCODE = '42501',
      HINT = 'Look at what is in it, drop it, and run this again.';
  END IF;
END
$check$;
";

const OBJECTS: &str = "
CREATE SCHEMA IF NOT EXISTS pgveil;
COMMENT ON SCHEMA pgveil IS 'what pgveil keeps in this database';

-- One row for each attribute that pgveil apply sealed or tokenised, or that the policy treats on reading.
CREATE TABLE IF NOT EXISTS pgveil.attribute (
  relation    oid         NOT NULL,
  schema      text        NOT NULL,
  name        text        NOT NULL,
  attribute   text        NOT NULL,
  attnum      int2        NOT NULL,
  treatment   text        NOT NULL,
  type_oid    oid         NOT NULL,
  typmod      int4        NOT NULL,
  domain      text        NOT NULL,
  domain_id   int8        NOT NULL CHECK (domain_id BETWEEN 0 AND 4294967295),
  key_version int4        NOT NULL CHECK (key_version BETWEEN 0 AND 65535),
  applied_at  timestamptz NOT NULL DEFAULT pg_catalog.now(),
  UNIQUE (relation, attnum)
);

REVOKE ALL ON SCHEMA pgveil FROM PUBLIC;
REVOKE ALL ON pgveil.attribute FROM PUBLIC;
";

const VERIFIER: &str = "
-- The stored verifier of a login that may log in now; NULL for every other name.
CREATE OR REPLACE FUNCTION pgveil.verifier(login text) RETURNS text
  LANGUAGE sql VOLATILE STRICT SECURITY DEFINER
  SET search_path = pg_catalog
  AS $body$
    SELECT a.rolpassword FROM pg_catalog.pg_authid a
    WHERE a.rolname OPERATOR(pg_catalog.=) $1::pg_catalog.name
      AND pg_catalog.octet_length($1) OPERATOR(pg_catalog.<) 64
      AND a.rolcanlogin
      AND (a.rolvaliduntil IS NULL OR a.rolvaliduntil OPERATOR(pg_catalog.>) pg_catalog.clock_timestamp())
  $body$;
COMMENT ON FUNCTION pgveil.verifier(text) IS 'the stored password verifier of a login, for pgveil alone';
REVOKE ALL ON FUNCTION pgveil.verifier(text) FROM PUBLIC;
";

const ANNOUNCE: &str = "
-- Says that the catalog has changed: every pgveil listens, and reads it again at once instead of in a few seconds.
CREATE OR REPLACE FUNCTION pgveil.announce() RETURNS event_trigger
  LANGUAGE plpgsql
  SET search_path = pg_catalog
  AS $body$
    BEGIN
      -- Temporary objects are no concern of another session's.
      IF TG_TAG OPERATOR(pg_catalog.~~) 'DROP %' OR EXISTS (
           SELECT FROM pg_catalog.pg_event_trigger_ddl_commands() c
           WHERE c.schema_name IS DISTINCT FROM 'pg_temp') THEN
        PERFORM pg_catalog.pg_notify('pgveil_catalog', '');
      END IF;
    END
  $body$;
COMMENT ON FUNCTION pgveil.announce() IS 'tells pgveil that the catalog has changed';

-- Where event triggers cannot be had (some managed services), pgveil looks at the catalog every few seconds.
DO $trigger$
BEGIN
  DROP EVENT TRIGGER IF EXISTS pgveil_catalog;
  CREATE EVENT TRIGGER pgveil_catalog ON ddl_command_end EXECUTE FUNCTION pgveil.announce();
EXCEPTION WHEN insufficient_privilege OR feature_not_supported OR syntax_error THEN
  RAISE WARNING 'pgveil: no event trigger here; changes of the catalog are noticed within a few seconds';
END
$trigger$;

REVOKE ALL ON FUNCTION pgveil.announce() FROM PUBLIC;
";

fn control_login(control: &UserName, password: Option<&Secret<String>>) -> String {
    let name = quote_ident(control.as_str());
    let create = format!("CREATE ROLE {name} LOGIN NOINHERIT");
    // The whole block is one literal: no name can end it.
    let block = format!(
        "BEGIN IF NOT EXISTS (SELECT 1 FROM pg_catalog.pg_roles r WHERE r.rolname = {}) THEN {create}; END IF; END",
        quote_literal(control.as_str())
    );
    let mut sql = format!("\nDO {};\n", quote_literal(&block));
    if let Some(password) = password {
        let verifier = Verifier::new(password).to_stored();
        let literal = quote_literal(verifier.expose());
        sql.push_str(&format!("ALTER ROLE {name} PASSWORD {literal};\n"));
    }
    sql
}

fn grants(logins: &SetupLogins) -> String {
    let control = quote_ident(logins.control.as_str());
    let owner = quote_ident(logins.owner.as_str());
    format!(
        "GRANT USAGE ON SCHEMA pgveil TO {control}, {owner};\n\
         GRANT SELECT ON pgveil.attribute TO {control};\n\
         GRANT SELECT, INSERT, UPDATE, DELETE ON pgveil.attribute TO {owner};\n"
    )
}

/// A string literal that means the same with `standard_conforming_strings` on and off.
fn quote_literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!("E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_quotes() {
        let logins = SetupLogins::control_only(UserName::new("a'b\"c\\d$check$"));
        let sql = setup_sql(&logins, None);
        assert!(sql.contains("\"a'b\"\"c\\d$check$\", \"a'b\"\"c\\d$check$\";"));
        assert!(sql.contains("E'BEGIN IF NOT EXISTS"));
        assert!(sql.contains("rolname = E''a''''b\"c\\\\\\\\d$check$'')"));
    }

    #[test]
    fn a_password_stands_in_it_only_as_a_verifier() {
        let logins = SetupLogins::control_only(UserName::new("pgveil"));
        let sql = setup_sql(&logins, Some(&Secret::new("hush-hush".to_owned())));
        assert!(!sql.contains("hush"));
        assert!(sql.contains("ALTER ROLE pgveil PASSWORD 'SCRAM-SHA-256$4096:"));
    }

    #[test]
    fn without_a_superuser_nothing_is_said_of_verifiers() {
        let logins = SetupLogins::control_only(UserName::new("pgveil"));
        let sql = setup_sql_without_verifier(&logins, None);
        assert!(
            !sql.contains("verifier") && !sql.contains("rolsuper"),
            "{sql}"
        );
        assert!(sql.contains("CREATE TABLE IF NOT EXISTS pgveil.attribute"));
        assert!(
            setup_sql(&logins, None)
                .contains("REVOKE ALL ON FUNCTION pgveil.verifier(text) FROM PUBLIC")
        );
    }
}

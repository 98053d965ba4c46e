-- pgveil setup: run once in each database, as a superuser. Running it again changes nothing.
BEGIN;
SET LOCAL search_path = pg_catalog;
SET LOCAL client_min_messages = warning;

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

DO 'BEGIN IF NOT EXISTS (SELECT 1 FROM pg_catalog.pg_roles r WHERE r.rolname = ''pgveil'') THEN CREATE ROLE pgveil LOGIN NOINHERIT; END IF; END';

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

GRANT USAGE ON SCHEMA pgveil TO pgveil, crm_owner;
GRANT SELECT ON pgveil.attribute TO pgveil;
GRANT SELECT, INSERT, UPDATE, DELETE ON pgveil.attribute TO crm_owner;
GRANT EXECUTE ON FUNCTION pgveil.verifier(text) TO pgveil;
COMMIT;

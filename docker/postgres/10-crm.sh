#!/bin/sh
# Runs once, when the volume of the database is empty: the logins, and the CRM's table.
set -eu
psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
    -v owner="$(cat /run/secrets/owner.password)" \
    -v app="$(cat /run/secrets/app.password)" \
    -v support="$(cat /run/secrets/support.password)" <<'SQL'
CREATE ROLE crm_owner LOGIN PASSWORD :'owner';
CREATE ROLE crm_app LOGIN PASSWORD :'app';
CREATE ROLE crm_support LOGIN PASSWORD :'support';
GRANT CREATE ON DATABASE crm TO crm_owner;
CREATE TABLE contacts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    full_name text NOT NULL,
    email text,
    phone text,
    birth_date date
);
ALTER TABLE contacts OWNER TO crm_owner;
GRANT SELECT, INSERT, UPDATE, DELETE ON contacts TO crm_app;
GRANT SELECT ON contacts TO crm_support;
INSERT INTO contacts (full_name, email, phone, birth_date) VALUES
    ('Anna Lee', 'anna@example.com', '+44 7700 900123', '1990-04-01'),
    ('王小明', 'xiaoming@example.com', '+86 100 5555 0101', '1985-11-23');
SQL

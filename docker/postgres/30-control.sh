#!/bin/sh
# The control login's password, which 20-setup.sql leaves unset.
set -eu
psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
    -v control="$(cat /run/secrets/control.password)" <<'SQL'
ALTER ROLE pgveil PASSWORD :'control';
SQL

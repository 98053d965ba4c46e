#!/bin/sh
# Makes docker/secrets/, as root: random passwords, a CA of its own, certificates for pgveil and PostgreSQL. Overwrites
# nothing. The passphrase and the keyring in pgveil's volume open everything that is sealed: keep copies of both, apart.
#
# Compose mounts the files with the owner and the mode they have here, and pgveil refuses a secret that others can
# read. So each container has a folder, of root and of the group that the container runs as.
set -eu
cd "$(dirname "$0")"
[ "$(id -u)" = 0 ] || { echo 'run it as root: it gives files to the groups of the containers' >&2; exit 1; }
[ ! -e secrets ] || { echo 'docker/secrets is there already' >&2; exit 1; }
pgveil_group=65532
postgres_group=999
grafana_group=0
umask 027
mkdir secrets secrets/pgveil secrets/postgres secrets/grafana secrets/ca
cd secrets
password() { openssl rand -hex 24 | tr -d '\n'; }
for name in superuser owner control app support; do
    password >"postgres/$name.password"
done
cp postgres/owner.password postgres/control.password pgveil/
password >grafana/grafana.password
openssl rand -hex 32 | tr -d '\n' >pgveil/passphrase
openssl req -x509 -newkey rsa:3072 -nodes -days 3650 -subj '/CN=pgveil compose CA' \
    -keyout ca/ca.key -out ca/ca.crt 2>/dev/null
for host in pgveil postgres; do
    openssl req -newkey rsa:3072 -nodes -subj "/CN=$host" -keyout "$host/$host.key" -out "ca/$host.csr" 2>/dev/null
    printf 'subjectAltName=DNS:%s,DNS:localhost,IP:127.0.0.1\n' "$host" >"ca/$host.ext"
    openssl x509 -req -in "ca/$host.csr" -CA ca/ca.crt -CAkey ca/ca.key -CAcreateserial -days 825 \
        -extfile "ca/$host.ext" -out "$host/$host.crt" 2>/dev/null
done
cp ca/ca.crt pgveil/ca.crt
chgrp -R "$pgveil_group" pgveil
chgrp -R "$postgres_group" postgres
chgrp -R "$grafana_group" grafana
chmod 640 pgveil/* postgres/* grafana/*
chmod 700 ca
cp ca/ca.crt ca.crt
chmod 644 ca.crt
chmod 755 .
echo 'docker/secrets made; secrets/ca is needed only to make more certificates'

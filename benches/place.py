"""A private PostgreSQL with a CRM's table in it and a pgveil before it, for the benches of this folder.

Everything lives in a temporary folder and on loopback; what was started is stopped, by its process number. As root
the programs run as `postgres`.
"""

import collections
import glob
import os
import pathlib
import pwd
import re
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request

PASSWORD = "bench"
POLICY = """version: 1
roles:
  - { name: app, match: { user: app } }
  - { name: support, match: { user: support } }
tables:
  public.people:
    columns:
      email:
        store: { encrypt: { search: [equal] } }
        show: { app: plain, support: { mask: email } }
      phone:
        store: { tokenise: { format: digits } }
        show: { app: plain, support: stored }
      note:
        store: encrypt
        show: { app: plain, support: { mask: redact } }
"""
SCHEMA = """
CREATE ROLE app LOGIN PASSWORD 'bench'; CREATE ROLE support LOGIN PASSWORD 'bench';
CREATE TABLE people (id bigint PRIMARY KEY, email text UNIQUE, phone text, note text);
CREATE TABLE plain (id bigint, body text);
CREATE UNLOGGED TABLE sink (id bigint, body text);
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER nothing BEFORE INSERT ON sink FOR EACH ROW EXECUTE FUNCTION nothing();
GRANT ALL ON ALL TABLES IN SCHEMA public TO app, support;
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def as_postgres(command):
    if os.getuid() != 0:
        return command
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] + command


def run(command, **kwargs):
    return subprocess.run(command, check=True, capture_output=True, text=True, **kwargs).stdout


def wait_for(port):
    for _ in range(1200):
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"nothing listens on {port}")


def kib(pid, name):
    """A field of /proc/PID/status that is a number, memory in KiB."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    raise KeyError(name)


class Place:
    def __init__(self, pgveil, rows=0, row_bytes=100, connections=200, listen=""):
        """`connections` is the server's limit of them; `listen` are more lines of pgveil's `[listen]`."""
        self.rows, self.row_bytes, self.connections, self.listen = rows, row_bytes, connections, listen
        self.folder = tempfile.mkdtemp(prefix="pgveil-bench-")
        os.chmod(self.folder, 0o755)
        self.own(self.folder)
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), reverse=True)
        self.bin = os.path.dirname(found[0] if found else shutil.which("initdb"))
        self.server, self.veil, self.http = free_port(), free_port(), free_port()
        self.program = shutil.copy(pgveil, os.path.join(self.folder, "pgveil"))
        os.chmod(self.program, 0o755)
        self.process = None

    def own(self, path):
        if os.getuid() == 0:
            owner = pwd.getpwnam("postgres")
            os.chown(path, owner.pw_uid, owner.pw_gid)

    def file(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, 0o600)
        self.own(path)
        return path

    def pg_ctl(self, *arguments):
        data, log = os.path.join(self.folder, "data"), os.path.join(self.folder, "server.log")
        options = (f"-p {self.server} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off "
                   f"-c max_connections={self.connections}")
        command = [f"{self.bin}/pg_ctl", "-D", data, "-l", log, "-w", "-o", options, *arguments]
        subprocess.run(as_postgres(command), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.folder)

    def psql(self, sql):
        env = dict(os.environ, PGPASSWORD=PASSWORD)
        return run(["psql", "-qAt", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.server), "-U", "owner", "-d",
                    "postgres", "-c", sql], env=env)

    def pgveil(self, *arguments):
        return run(as_postgres([self.program, *arguments, "--config", self.config]), cwd=self.folder)

    def start(self):
        secret = self.file("password", PASSWORD + "\n")
        data = os.path.join(self.folder, "data")
        run(as_postgres([f"{self.bin}/initdb", "-D", data, "-U", "owner", "-A", "scram-sha-256", f"--pwfile={secret}",
                         "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"]), cwd=self.folder)
        self.pg_ctl("start")
        self.psql(SCHEMA)
        self.psql("CREATE DATABASE untreated")
        if self.rows:
            self.psql(f"INSERT INTO people SELECT n, 'p' || n || '@example.com', lpad(n::text, 12, '5'), repeat('n', {self.row_bytes}) "
                      f"FROM generate_series(1, {self.rows}) n")
        self.file("policy.yaml", POLICY)
        self.file("passphrase", "a passphrase for a bench\n")
        self.config = self.file("pgveil.toml", f"""[listen]
address = "127.0.0.1:{self.veil}"
{self.listen}
[upstream]
address = "127.0.0.1:{self.server}"
control = {{ user = "owner", password_file = "password" }}
[[database]]
name = "postgres"
policy = "policy.yaml"
[[database]]
name = "untreated"
policy = "none"
[keyring]
file = "keyring.json"
unlock = {{ passphrase_file = "passphrase" }}
[audit]
directory = "audit"
[http]
address = "127.0.0.1:{self.http}"
""")
        self.psql(self.pgveil("setup"))
        self.pgveil("keys", "init")
        self.pgveil("apply")
        self.serve()

    def serve(self):
        started = time.monotonic()
        with open(os.path.join(self.folder, "pgveil.log"), "w") as log:
            self.process = subprocess.Popen(as_postgres([self.program, "serve", "--config", self.config]), stdout=log,
                                            stderr=log, cwd=self.folder)
        wait_for(self.veil)
        self.start_seconds = time.monotonic() - started
        self.pid = self.process.pid

    def url(self, user, password=PASSWORD, database="postgres"):
        return f"postgresql://{user}:{password}@127.0.0.1:{self.veil}/{database}"

    def metric(self, name):
        page = urllib.request.urlopen(f"http://127.0.0.1:{self.http}/metrics", timeout=20).read().decode()
        return sum(float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if line.split("{")[0].split(" ")[0] == name)

    def open_files(self):
        """How many of each kind: a file by its name, a connection by the port of pgveil's or the server's that it has."""
        ends = {self.veil: "of a client", self.server: "to the server", self.http: "of a reader of metrics"}
        connections = {}
        for line in pathlib.Path(f"/proc/{self.pid}/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            ports = [int(end.rsplit(":", 1)[1], 16) for end in fields[1:3]]
            connections[f"socket:[{fields[9]}]"] = next(("connection " + ends[p] for p in ports if p in ends), "connection")
        kinds = collections.Counter()
        for fd in os.listdir(f"/proc/{self.pid}/fd"):
            try:
                name = os.readlink(f"/proc/{self.pid}/fd/{fd}")
            except FileNotFoundError:
                continue  # closed meanwhile
            # Without numbers: an audit file's are a run's and a day's.
            kinds[connections.get(name) or re.sub("[0-9]+", "", name.removeprefix(self.folder + "/"))] += 1
        return kinds

    def stop(self):
        """Ends pgveil; its exit code."""
        code = None
        if self.process:
            self.process.terminate()
            try:
                code = self.process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return code

    def remove(self):
        try:
            self.pg_ctl("stop", "-m", "immediate")
        except subprocess.CalledProcessError:
            pass
        shutil.rmtree(self.folder, ignore_errors=True)

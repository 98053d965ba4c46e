"""A fresh PostgreSQL cluster with one treated table, and a pgveil before it. Everything is private and on loopback.

As root, servers and suites run as `postgres`; nothing here knows what a suite does.
"""

import contextlib
import glob
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import tempfile
import time

SUPERUSER, PASSWORD = "postgres", "suites"
USER = "postgres"
START_SECONDS = 60

SETTINGS = {"listen_addresses": "127.0.0.1", "fsync": "off"}

TABLE = "CREATE TABLE public.pgveil_treated (id int PRIMARY KEY, secret text);"
ROWS = "INSERT INTO public.pgveil_treated VALUES (1, 'one'), (2, NULL), (3, 'three');"

POLICY = """version: 1
roles:
  - name: clerk
    match: { user: pgveil_clerk }
  - name: app
    match: { user: "*" }
    allow: [function_call, replication, do_blocks]
functions: { trust: [public.*] }
tables:
  public.pgveil_treated:
    columns:
      secret:
        store: { encrypt: { search: [equal] } }
        show: { app: plain, clerk: { mask: redact } }
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def unprivileged(command):
    """The command as a user that PostgreSQL agrees to run as."""
    if os.getuid() != 0:
        return command
    return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", *command]


def hand_over(path):
    """Gives a file or a folder, with all in it, to that user."""
    if os.getuid() != 0:
        return
    owner = pwd.getpwnam(USER)
    os.chown(path, owner.pw_uid, owner.pw_gid)
    for parent, folders, files in os.walk(path):
        for name in folders + files:
            os.chown(os.path.join(parent, name), owner.pw_uid, owner.pw_gid, follow_symlinks=False)


def run(command, **kwargs):
    done = subprocess.run(command, capture_output=True, text=True, **kwargs)
    if done.returncode != 0:
        raise SystemExit(f"{command[0]} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


class Site:
    """A cluster; with a path to the program also a pgveil before it. `database` has the treated table, sealed."""

    def __init__(self, pgveil, database, settings):
        self.pgveil, self.database, self.settings = pgveil, database, {**SETTINGS, **settings}
        self.folder = tempfile.mkdtemp(prefix="pgveil-suites-")
        hand_over(self.folder)
        self.bin = self.server_programs()
        self.server, self.veil, self.http = free_port(), free_port(), free_port()
        self.processes = []

    @staticmethod
    def server_programs():
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), reverse=True)
        return os.path.dirname(found[0] if found else shutil.which("initdb"))

    def __enter__(self):
        try:
            self.start_server()
            self.prepare()
            return self
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.terminate()
        for process in reversed(self.processes):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
            process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        path = self.path(name)
        with open(path, "w", opener=lambda p, f: os.open(p, f, 0o600)) as f:
            f.write(text)
        hand_over(path)
        return path

    def start(self, command, log):
        with open(self.path(log), "w") as out:
            process = subprocess.Popen(
                unprivileged(command), stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=self.folder
            )
        self.processes.append(process)
        return process

    def wait_for(self, port, process, log):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.1)
        raise SystemExit(f"nothing listens on {port}:\n{pathlib.Path(self.path(log)).read_text()[-2000:]}")

    def start_server(self):
        passwords = self.write("superuser.password", PASSWORD)
        initdb = [f"{self.bin}/initdb", "-D", self.path("data"), "-U", SUPERUSER, f"--pwfile={passwords}"]
        run(unprivileged([*initdb, "-A", "scram-sha-256", "-E", "UTF8", "--no-locale", "--no-sync"]))
        command = [f"{self.bin}/postgres", "-D", self.path("data"), "-p", str(self.server), "-k", self.folder]
        for name, value in self.settings.items():
            command += ["-c", f"{name}={value}"]
        self.wait_for(self.server, self.start(command, "server.log"), "server.log")
        deadline = time.monotonic() + START_SECONDS
        while subprocess.run([f"{self.bin}/pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.server)]).returncode:
            if time.monotonic() > deadline:
                raise SystemExit("the server does not become ready")
            time.sleep(0.1)

    def sql(self, text, database):
        """Runs SQL at the server itself."""
        psql = [f"{self.bin}/psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.server)]
        run([*psql, "-U", SUPERUSER, "-d", database], input=text, env={**os.environ, "PGPASSWORD": PASSWORD})

    def configure(self):
        self.write("control.password", PASSWORD)
        self.write("passphrase", "correct horse battery staple")
        self.write("policy.yaml", POLICY)
        upstream = f'address = "127.0.0.1:{self.server}"\n'
        upstream += 'control = { user = "pgveil", password_file = "control.password" }\n'
        upstream += f'owner = {{ user = "{SUPERUSER}", password_file = "superuser.password" }}\n'
        sections = [
            f'[listen]\naddress = "127.0.0.1:{self.veil}"\n',
            f"[upstream]\n{upstream}",
            f'[[database]]\nname = "{self.database}"\npolicy = "policy.yaml"\n',
            '[[database]]\nname = "*"\npolicy = "none"\n',
            '[keyring]\nfile = "keyring.json"\nunlock = { passphrase_file = "passphrase" }\n',
            '[audit]\ndirectory = "audit"\n',
            f'[http]\naddress = "127.0.0.1:{self.http}"\n',
        ]
        return self.write("pgveil.toml", "".join(sections))

    def prepare(self):
        """The database as it is in both runs: sealed by `pgveil apply`, whether or not pgveil then stands before it."""
        if self.database != "postgres":
            self.sql(f"CREATE DATABASE {self.database} TEMPLATE template0", "postgres")
        self.sql(TABLE + ROWS, self.database)
        config = self.configure()
        program = shutil.copy(self.pgveil, self.path("pgveil"))
        hand_over(program)
        self.sql(run(unprivileged([program, "setup", "--config", config]), cwd=self.folder), self.database)
        self.sql(f"ALTER ROLE pgveil PASSWORD '{PASSWORD}'", self.database)
        run(unprivileged([program, "keys", "init", "--config", config]), cwd=self.folder)
        run(unprivileged([program, "apply", "--config", config]), cwd=self.folder)

    def serve(self):
        process = self.start([self.path("pgveil"), "serve", "--config", self.path("pgveil.toml")], "pgveil.log")
        self.wait_for(self.veil, process, "pgveil.log")

    def keep_logs(self, where):
        """What the server and pgveil have written, for whoever asks why a test differs."""
        where.mkdir(exist_ok=True)
        for log in ("server.log", "pgveil.log"):
            if os.path.exists(self.path(log)):
                shutil.copy(self.path(log), where)

    def environment(self, through):
        """libpq's variables for the superuser, to the server itself or through pgveil."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TERM") if name in os.environ}
        return {
            **kept,
            "HOME": self.folder,
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.veil if through else self.server),
            "PGUSER": SUPERUSER,
            "PGPASSWORD": PASSWORD,
            "PGDATABASE": self.database,
        }

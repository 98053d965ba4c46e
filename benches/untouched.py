#!/usr/bin/env python3
"""What pgveil costs where it protects nothing: pgbench select-only direct, through pgbouncer (session mode) and
through pgveil, interleaved, with the processor time each proxy takes for a statement.

    python3 benches/untouched.py --pgveil target/release/pgveil [--seconds 10] [--rounds 5] [--clients 8]

Needs PostgreSQL's server programs, pgbench and pgbouncer. As root it runs them as `postgres`. Everything lives in
a temporary folder and on loopback; it stops what it started. Prints medians of ratios: machines are noisy.
"""

import argparse
import glob
import os
import pathlib
import pwd
import shutil
import statistics
import subprocess
import tempfile
import time

from place import PASSWORD, as_postgres, free_port, run, wait_for

POLICY = """version: 1
roles:
  - name: bench
    match: { user: bench }
tables:
  public.pgveil_bench_other:
    columns:
      note:
        show: { bench: plain, "*": null }
"""


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Bench:
    def __init__(self, args):
        self.args = args
        self.folder = tempfile.mkdtemp(prefix="pgveil-bench-")
        if os.getuid() == 0:
            os.chown(self.folder, pwd.getpwnam("postgres").pw_uid, pwd.getpwnam("postgres").pw_gid)
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), reverse=True)
        self.bin = os.path.dirname(found[0] if found else shutil.which("initdb"))
        self.server, self.bouncer, self.veil = free_port(), free_port(), free_port()
        self.processes = []

    def file(self, name, text, mode=0o600):
        path = os.path.join(self.folder, name)
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, mode)
        if os.getuid() == 0:
            os.chown(path, pwd.getpwnam("postgres").pw_uid, pwd.getpwnam("postgres").pw_gid)
        return path

    def start(self, command, log):
        with open(os.path.join(self.folder, log), "w") as out:
            process = subprocess.Popen(as_postgres(command), stdout=out, stderr=out, cwd=self.folder)
        self.processes.append(process)
        return process.pid

    def psql(self, sql, database="postgres"):
        env = dict(os.environ, PGPASSWORD=PASSWORD)
        run(["psql", "-q", "-h", "127.0.0.1", "-p", str(self.server), "-U", "bench", "-d", database, "-c", sql], env=env)

    def start_all(self):
        data, secret = os.path.join(self.folder, "data"), self.file("password", PASSWORD + "\n")
        run(as_postgres([f"{self.bin}/initdb", "-D", data, "-U", "bench", "-A", "scram-sha-256", f"--pwfile={secret}", "--no-sync"]))
        self.start([f"{self.bin}/postgres", "-D", data, "-p", str(self.server), "-c", "listen_addresses=127.0.0.1",
                    "-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "max_connections=300"], "server.log")
        wait_for(self.server)
        time.sleep(1)
        self.psql("CREATE TABLE pgveil_bench_other (note text)")
        self.file("users", f'"bench" "{PASSWORD}"\n')
        self.file("bouncer.ini", f"""[databases]
postgres = host=127.0.0.1 port={self.server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self.bouncer}
auth_type = scram-sha-256
auth_file = {self.folder}/users
pool_mode = session
default_pool_size = 200
max_client_conn = 300
unix_socket_dir =
""")
        self.bouncer_pid = self.start(["pgbouncer", os.path.join(self.folder, "bouncer.ini")], "bouncer.log")
        self.file("policy.yaml", POLICY)
        self.file("passphrase", "a passphrase for a bench\n")
        config = self.file("pgveil.toml", f"""[listen]
address = "127.0.0.1:{self.veil}"
[upstream]
address = "127.0.0.1:{self.server}"
control = {{ user = "bench", password_file = "password" }}
[[database]]
name = "postgres"
policy = "policy.yaml"
[keyring]
file = "keyring.json"
unlock = {{ passphrase_file = "passphrase" }}
[audit]
directory = "audit"
[http]
address = "127.0.0.1:{free_port()}"
""")
        program = shutil.copy(self.args.pgveil, os.path.join(self.folder, "pgveil"))
        os.chmod(program, 0o755)
        setup = run([program, "setup", "--control", "pgveil_control", "--owner", "bench"])
        self.psql(setup)
        run(as_postgres([program, "keys", "init", "--config", config]), cwd=self.folder)
        self.veil_pid = self.start([program, "serve", "--config", config], "pgveil.log")
        wait_for(self.bouncer)
        wait_for(self.veil)
        env = dict(os.environ, PGPASSWORD=PASSWORD)
        run(["pgbench", "-q", "-i", "-s", "10", "-h", "127.0.0.1", "-p", str(self.server), "-U", "bench", "postgres"], env=env)

    def measure(self, port, pid, mode):
        env = dict(os.environ, PGPASSWORD=PASSWORD)
        before = cpu_seconds(pid) if pid else 0
        out = run(["pgbench", "-n", "-S", "-M", mode, "-c", str(self.args.clients), "-j", "2", "-T", str(self.args.seconds),
                   "-h", "127.0.0.1", "-p", str(port), "-U", "bench", "postgres"], env=env)
        after = cpu_seconds(pid) if pid else 0
        count = int(next(l for l in out.splitlines() if "actually processed" in l).split(":")[1].split("/")[0])
        tps = float(next(l for l in out.splitlines() if l.startswith("tps")).split("=")[1].split("(")[0])
        return tps, (after - before) / count * 1e6

    def stop(self):
        for process in reversed(self.processes):
            process.terminate()
        for process in reversed(self.processes):
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def median(values):
    return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pgveil", required=True)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clients", type=int, default=8)
    args = parser.parse_args()
    bench = Bench(args)
    try:
        bench.start_all()
        print(f"{args.clients} clients, {args.rounds} rounds of {args.seconds} s each, interleaved; median (least–most)")
        for mode in ("simple", "extended", "prepared"):
            rows = []
            for _ in range(args.rounds):
                rows.append((bench.measure(bench.server, None, mode), bench.measure(bench.bouncer, bench.bouncer_pid, mode),
                             bench.measure(bench.veil, bench.veil_pid, mode)))
            print(f"{mode}: pgbouncer/direct {median([b[0] / d[0] for d, b, _ in rows])}, "
                  f"pgveil/direct {median([v[0] / d[0] for d, _, v in rows])}, "
                  f"pgveil/pgbouncer {median([v[0] / b[0] for _, b, v in rows])}; "
                  f"CPU µs a statement: pgbouncer {median([b[1] for _, b, _ in rows])}, pgveil {median([v[1] for _, _, v in rows])}", flush=True)
    finally:
        bench.stop()


if __name__ == "__main__":
    main()

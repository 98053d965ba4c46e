"""How each suite is had, run, and what its tests came to."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as xml

from site_of_suite import hand_over, run, unprivileged

DETAIL_LINES = 12


class PytestSuite:
    """A suite that pytest runs, in a Python of its own."""

    database = "suite"
    # Two-phase commit and replication have tests.
    settings = {"max_prepared_transactions": "10", "wal_level": "logical", "max_connections": "200"}
    packages: list = []
    options: list = []

    def __init__(self, home, source):
        self.home, self.source = home, source
        self.tests = home / self.name
        self.python = home / "venv" / self.name

    def prepare(self):
        if not self.python.exists():
            # A Python that the unprivileged user may run too.
            python = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable
            run([python, "-m", "venv", str(self.python)])
            run([str(self.python / "bin" / "pip"), "install", "-q", *self.packages])
        if not self.tests.exists():
            self.tests.mkdir()
            self.lay()
        hand_over(str(self.tests))

    def run(self, site, through, tests):
        report = site.path("report.xml")
        command = [str(self.python / "bin" / "python"), "-m", "pytest", "-q", "-o", f"cache_dir={site.path('cache')}"]
        command += [f"--junitxml={report}", *self.options, *(tests or ["tests"])]
        environment = self.environment(site, through)
        # psycopg's suite starts a program of its Python's.
        environment["PATH"] = f"{self.python / 'bin'}:{environment['PATH']}"
        with open(self.home / f"{self.name}.{'pgveil' if through else 'direct'}.log", "w") as log:
            subprocess.run(unprivileged(command), cwd=self.tests, env=environment, stdout=log, stderr=log)
        return junit(report)

    def environment(self, site, through):
        return site.environment(through)


def junit(report):
    results = {}
    for case in xml.parse(report).iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        outcome, detail = "passed", ""
        for child in case:
            if child.tag in ("failure", "error"):
                outcome = "failed"
                text = (child.text or child.get("message") or "").strip().splitlines()
                detail = "\n".join(text[-DETAIL_LINES:])
            elif child.tag == "skipped":
                outcome, detail = "skipped", child.get("message", "")
        results[name] = [outcome, detail]
    return results


class Psycopg(PytestSuite):
    """psycopg 3: its tests are in its repository only."""

    name = "psycopg"
    version = "3.3.4"
    packages = [f"psycopg[binary]=={version}", "psycopg-pool==3.3.1", "pytest", "anyio", "pproxy", "dnspython"]
    # Types are checked without a server, for minutes; what is slow tries the client for leaks and for timeouts.
    options = ["--ignore=tests/test_typing.py", "-m", "not slow"]

    def lay(self):
        if not self.source:
            raise SystemExit("--source: psycopg's git repository, with its tags")
        archive = subprocess.run(
            ["git", "-C", self.source, "archive", self.version, "tests", "tools", "pyproject.toml"],
            check=True,
            capture_output=True,
        )
        subprocess.run(["tar", "x", "-C", str(self.tests)], check=True, input=archive.stdout)

    def environment(self, site, through):
        # The suite sets libpq's variables itself, so it must not find any.
        settings = site.environment(through)
        names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}
        dsn = " ".join(f"{key}={settings.pop(name)}" for key, name in names.items())
        return {**settings, "PSYCOPG_TEST_DSN": dsn}


class Asyncpg(PytestSuite):
    """asyncpg: its tests are in its source distribution."""

    name = "asyncpg"
    version = "0.32.0"
    packages = [f"asyncpg=={version}", "pytest", "distro"]
    # How its own source looks is checked without a server.
    options = ["--ignore=tests/test__sourcecode.py"]

    def lay(self):
        source = f"asyncpg-{self.version}"
        archive = self.home / f"{source}.tar.gz"
        pip = [str(self.python / "bin" / "pip"), "download", "-q", "--no-deps", "--no-binary", ":all:"]
        if not archive.exists():
            run([*pip, f"asyncpg=={self.version}", "-d", str(self.home)])
        tar = ["tar", "xzf", str(archive), "-C", str(self.tests), "--strip-components=1"]
        run([*tar, f"{source}/tests"])


class Regress:
    """PostgreSQL's regression tests: SQL and expected output in its source, pg_regress from Debian's client package."""

    name = "regress"
    database = "regression"
    settings: dict = {}
    version = "15.18"

    # What pg_regress sets on the database when it creates it itself.
    DATABASE_SETTINGS = {
        "lc_messages": "C",
        "lc_monetary": "C",
        "lc_numeric": "C",
        "lc_time": "C",
        "bytea_output": "hex",
        "timezone_abbreviations": "Default",
    }

    def __init__(self, home, source):
        self.home, self.source = home, source
        self.tests = home / self.name

    def prepare(self):
        if self.tests.exists():
            return
        if not self.source:
            raise SystemExit("--source: PostgreSQL's source, as `apt-get source postgresql-15` unpacks it")
        regress = pathlib.Path(self.source) / "src/test/regress"
        shutil.copytree(regress, self.tests)
        # The functions in C that the tests load, and two modules of contrib.
        include = run(["pg_config", "--includedir-server"]).strip()
        libraries = self.tests / "lib"
        libraries.mkdir()
        run(["cc", "-shared", "-fPIC", "-O1", "-w", f"-I{include}", str(regress / "regress.c"), "-o", str(libraries / "regress.so")])
        for module in ("refint.so", "autoinc.so"):
            shutil.copy(os.path.join(run(["pg_config", "--pkglibdir"]).strip(), module), libraries)
        hand_over(str(self.tests))

    def run(self, site, through, tests):
        for name, value in self.DATABASE_SETTINGS.items():
            site.sql(f"ALTER DATABASE {self.database} SET {name} TO '{value}'", "postgres")
        out = site.path("out")
        os.mkdir(out)
        hand_over(out)
        libraries = run(["pg_config", "--pkglibdir"]).strip()
        environment = site.environment(through)
        command = [f"{libraries}/pgxs/src/test/regress/pg_regress", f"--inputdir={self.tests}", f"--outputdir={out}"]
        command += [f"--bindir={site.bin}", f"--dlpath={self.tests}/lib", "--use-existing", f"--dbname={self.database}"]
        command += [f"--host={environment['PGHOST']}", f"--port={environment['PGPORT']}", f"--user={environment['PGUSER']}"]
        command += [f"--schedule={self.tests}/parallel_schedule"] if not tests else tests
        with open(self.home / f"{self.name}.{'pgveil' if through else 'direct'}.log", "w+") as log:
            subprocess.run(unprivileged(command), cwd=out, env=environment, stdout=log, stderr=log)
            log.seek(0)
            found = re.findall(r"^\s*(?:test )?\s*(\S+)\s+\.\.\. (ok|FAILED)", log.read(), re.MULTILINE)
        kept = self.home / f"{self.name}.{'pgveil' if through else 'direct'}.results"
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(os.path.join(out, "results"), kept)
        return {test: ["passed" if outcome == "ok" else "failed", self.differences(out, test)] for test, outcome in found}

    def differences(self, out, test):
        """How the output differs from the expected one that is nearest; without the names of the files."""
        expected = [self.tests / "expected" / f"{test}{variant}.out" for variant in ("", "_1", "_2", "_3")]
        got = os.path.join(out, "results", f"{test}.out")
        diffs = [
            subprocess.run(["diff", "-U3", str(path), got], capture_output=True, errors="replace", text=True).stdout
            for path in expected
            if path.exists()
        ]
        return "\n".join(min(diffs, key=len, default="").splitlines()[2:])


SUITES = {suite.name: suite for suite in (Psycopg, Asyncpg, Regress)}

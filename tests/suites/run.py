#!/usr/bin/env python3
"""Other people's test suites, direct and through pgveil, compared test by test.

    python3 tests/suites/run.py psycopg --source PATH-OF-ITS-REPOSITORY
    python3 tests/suites/run.py asyncpg
    python3 tests/suites/run.py regress

Each run has a fresh cluster of its own, in which pgveil treats one table of the suite's database. Suites, their
Python and their results lie in PGVEIL_SUITES (default /var/tmp/pgveil-suites); results of an earlier direct run are
used again unless --fresh is given. Prints each test that ends differently; exit code 1 when there is one.
"""

import argparse
import collections
import json
import os
import pathlib
import sys

from site_of_suite import Site
from suites import SUITES


def outcomes(suite, args, through):
    """What each test came to: `{name: [outcome, detail]}`."""
    logs = suite.home / f"{suite.name}.{'pgveil' if through else 'direct'}.servers"
    with Site(args.pgveil, suite.database, suite.settings) as site:
        if through:
            site.serve()
        try:
            return suite.run(site, through, args.tests)
        finally:
            site.keep_logs(logs)


def remembered(path, fresh, make):
    if path.exists() and not fresh:
        return json.loads(path.read_text())
    made = make()
    path.write_text(json.dumps(made, indent=1))
    return made


def show(name, results):
    counts = collections.Counter(outcome for outcome, _ in results.values())
    print(f"{name}: " + ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("suite", choices=sorted(SUITES))
    parser.add_argument("--source", help="where the suite lies, when it is not to be downloaded")
    parser.add_argument("--pgveil", default="target/debug/pgveil", help="the program")
    parser.add_argument("--fresh", action="store_true", help="run the direct side again too")
    parser.add_argument("tests", nargs="*", help="only these tests, by the suite's own names")
    args = parser.parse_intermixed_args()
    home = pathlib.Path(os.environ.get("PGVEIL_SUITES", "/var/tmp/pgveil-suites"))
    home.mkdir(parents=True, exist_ok=True)
    suite = SUITES[args.suite](home, args.source)
    suite.prepare()
    results = home / "results"
    results.mkdir(exist_ok=True)
    some = ".some" if args.tests else ""
    direct_file = results / f"{args.suite}.direct{some}.json"
    direct = remembered(direct_file, args.fresh or bool(some), lambda: outcomes(suite, args, False))
    show("direct", direct)
    through = remembered(results / f"{args.suite}.pgveil{some}.json", True, lambda: outcomes(suite, args, True))
    show("through pgveil", through)
    missing = ["missing", ""]
    differ = [
        (test, direct.get(test, missing), through.get(test, missing))
        for test in sorted(direct.keys() | through.keys())
        if direct.get(test, missing)[0] != through.get(test, missing)[0]
    ]
    for test, (before, _), (after, detail) in differ:
        print(f"\n{test}: {before} direct, {after} through pgveil\n{detail}")
    print(f"\n{len(differ)} differ")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())

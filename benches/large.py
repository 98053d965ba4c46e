#!/usr/bin/env python3
"""What pgveil holds in memory while large results and a large COPY pass: its peak, phase by phase.

    python3 benches/large.py --pgveil target/release/pgveil [--gigabytes 5] [--sealed-gigabytes 1]

Needs PostgreSQL's server programs, psql, psycopg 3, and Linux' /proc. Also prints how long pgveil took to start, its
memory at rest, and the size of the program.
"""

import argparse
import os
import time

import psycopg

from place import Place, kib

ROW = 8192
SEALED_ROWS, SEALED_BYTES = 50_000, 2048


def phase(place, name, work):
    """Runs it, and prints what passed and the peak of pgveil's memory meanwhile."""
    with open(f"/proc/{place.pid}/clear_refs", "w") as f:
        f.write("5")
    started = time.monotonic()
    passed = work()
    seconds = time.monotonic() - started
    print(f"{name}: {passed / 1e9:.2f} GB in {seconds:.0f} s ({passed / 1e6 / seconds:.0f} MB/s), peak RSS "
          f"{kib(place.pid, 'VmHWM') / 1024:.1f} MiB, after it {kib(place.pid, 'VmRSS') / 1024:.1f} MiB", flush=True)


def untouched(place, rows):
    passed = 0
    with psycopg.connect(place.url("app"), autocommit=True) as connection:
        sql = f"SELECT repeat('x', {ROW}) FROM generate_series(1, {rows})"
        for (value,) in connection.cursor().stream(sql):
            passed += len(value)
    assert passed == rows * ROW
    return passed


def sealed(place, times):
    passed = 0
    with psycopg.connect(place.url("app"), autocommit=True) as connection:
        for _ in range(times):
            for email, note in connection.cursor().stream("SELECT email, note FROM people"):
                assert note[:4] == "nnnn" and email.endswith("@example.com")
                passed += len(email) + len(note)
    return passed


def one_value(place, size):
    """A single row of that size: PostgreSQL's own limit is 1 GB."""
    with psycopg.connect(place.url("app"), autocommit=True) as connection:
        (value,) = connection.execute(f"SELECT repeat('x', {size})").fetchone()
    assert len(value) == size
    return size


def copy_in(place, rows):
    block = b"".join(b"%d\t%s\n" % (n, b"y" * ROW) for n in range(16))
    passed = 0
    with psycopg.connect(place.url("app"), autocommit=True) as connection:
        with connection.cursor().copy("COPY sink FROM STDIN") as copy:
            for _ in range(rows // 16):
                copy.write(block)
                passed += len(block)
    return passed


def copy_out(place, rows):
    passed = 0
    with psycopg.connect(place.url("app"), autocommit=True) as connection:
        with connection.cursor().copy(f"COPY (SELECT repeat('x', {ROW}) FROM generate_series(1, {rows})) TO STDOUT") as copy:
            for data in copy:
                passed += len(data)
    return passed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pgveil", required=True)
    parser.add_argument("--gigabytes", type=float, default=5)
    parser.add_argument("--sealed-gigabytes", type=float, default=1)
    args = parser.parse_args()
    place = Place(args.pgveil, SEALED_ROWS, SEALED_BYTES)
    try:
        place.start()
        time.sleep(2)
        print(f"program {os.path.getsize(args.pgveil) / 2**20:.1f} MiB; listens {place.start_seconds:.2f} s after its start; at rest "
              f"{kib(place.pid, 'VmRSS') / 1024:.1f} MiB, {kib(place.pid, 'Threads')} threads, {place.open_files().total()} files", flush=True)
        rows = int(args.gigabytes * 1e9) // ROW
        phase(place, "untouched result", lambda: untouched(place, rows))
        phase(place, "untouched COPY in", lambda: copy_in(place, rows))
        phase(place, "untouched COPY out", lambda: copy_out(place, rows // 5))
        phase(place, "one value", lambda: one_value(place, 256 * 1024 * 1024))
        times = max(1, round(args.sealed_gigabytes * 1e9 / (SEALED_ROWS * SEALED_BYTES)))
        phase(place, "result with sealed columns", lambda: sealed(place, times))
        print(f"ended with exit code {place.stop()}")
    finally:
        place.stop()
        place.remove()


if __name__ == "__main__":
    main()

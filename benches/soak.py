#!/usr/bin/env python3
"""Mixed load for a long time, with a restart of the server every minute: what pgveil holds must stay as it is.

    python3 benches/soak.py --pgveil target/release/pgveil [--minutes 30] [--restart-seconds 60]

Clients read and write untouched, sealed, tokenised and masked columns, make mistakes, are refused, cancel, vanish in the
middle of a statement, and give wrong passwords. Every error must be one of those that are due; what is read must be
what was written. Samples memory, open files, threads and tasks of pgveil, fits a line through each after a warm-up, and
fails when one rises, or when what is open afterwards is not, kind by kind, what was open at rest. Needs PostgreSQL's
server programs, psql, psycopg 3, and Linux' /proc.
"""

import argparse
import collections
import random
import subprocess
import threading
import time

import psycopg

from place import Place, kib

# What a restart of the server looks like to a client: its own words, pgveil's, or a connection that ends.
OF_A_RESTART = {"57P01", "57P02", "57P03", "08006", "08001", "08003", "closed"}
# Seconds that pgveil has to come to rest: its watcher of files starts a moment after it listens, connections that were
# closed or answered end a moment later, and lost control connections open again within five seconds.
REST_SECONDS = 15
# A share of the time that is not looked at: allocators and caches fill.
WARM_UP = 0.25


class Fault(Exception):
    """Something that is not due."""


class Load:
    def __init__(self, place):
        self.place = place
        self.ending = threading.Event()
        self.counts = collections.Counter()
        self.faults = []
        self.lock = threading.Lock()
        self.next_id = 1_000_000

    def count(self, what):
        with self.lock:
            self.counts[what] += 1

    def fresh(self):
        with self.lock:
            self.next_id += 1
            return self.next_id

    def worker(self, step, user):
        connection = None
        while not self.ending.is_set():
            try:
                if connection is None or connection.closed:
                    connection = psycopg.connect(self.place.url(user), autocommit=True, connect_timeout=20)
                connection = step(self, connection)
                self.count(step.__name__)
            except psycopg.Error as error:
                state = error.sqlstate or "closed"
                self.count(f"error {state}")
                if state not in OF_A_RESTART:
                    self.faults.append(f"{step.__name__}: {state} {error}")
                if connection is not None:
                    connection.close()
                connection = None
                time.sleep(0.2)
            except Fault as fault:
                self.faults.append(f"{step.__name__}: {fault}")
        if connection is not None:
            connection.close()


def must(condition, what):
    if not condition:
        raise Fault(what)


def fails_with(connection, state, sql, parameters=None):
    """The statement must fail so; a restart in between passes on."""
    try:
        connection.execute(sql, parameters)
    except psycopg.Error as error:
        if error.sqlstate == state:
            return
        raise
    raise Fault(f"{sql} did not fail with {state}")


def untouched(load, connection):
    number = load.fresh()
    connection.execute("INSERT INTO plain VALUES (%s, %s)", (number, "body " * 20))
    rows = connection.execute("SELECT body FROM plain WHERE id = %s", (number,)).fetchall()
    must(rows == [("body " * 20,)], "an untouched row is not what was written")
    connection.execute("DELETE FROM plain WHERE id = %s", (number,))
    with connection.cursor() as cursor:
        cursor.execute("SELECT n, repeat('x', 500) FROM generate_series(1, 500) n")
        must(len(cursor.fetchall()) == 500, "rows are missing")
    return connection


def sealed(load, connection):
    number = load.fresh()
    email, note = f"s{number}@example.com", f"note {number}"
    connection.execute("INSERT INTO people VALUES (%s, %s, %s, %s)", (number, email, f"{number:012}", note))
    with connection.cursor(binary=bool(number % 2)) as cursor:
        cursor.execute("SELECT id, email, phone, note FROM people WHERE email = %s", (email,))
        must(cursor.fetchall() == [(number, email, f"{number:012}", note)], "a sealed row is not what was written")
    with connection.transaction():
        connection.execute("UPDATE people SET phone = %s WHERE email = %s", (f"9{number:011}", email))
        connection.execute("DELETE FROM people WHERE phone = %s", (f"9{number:011}",))
    return connection


def masked(load, connection):
    rows = connection.execute("SELECT email, note FROM people WHERE id <= 20").fetchall()
    must(len(rows) == 20, "rows are missing")
    must(all(email == "p***@example.com" and note == "***" for email, note in rows), "a mask is missing")
    return connection


def mistaken(load, connection):
    fails_with(connection, "42601", "SELEC 1")
    fails_with(connection, "42P01", "SELECT * FROM nowhere")
    fails_with(connection, "23505", "INSERT INTO people VALUES (1, 'x@example.com', '123456', 'x')")
    fails_with(connection, "0A000", "SELECT id FROM people ORDER BY email")
    time.sleep(0.02)
    return connection


def refused(load, connection):
    fails_with(connection, "42501", "UPDATE people SET email = 'x@example.com' WHERE id = 1")
    fails_with(connection, "42501", "SELECT id FROM people WHERE email = 'p1@example.com'")
    time.sleep(0.02)
    return connection


def cancelled(load, connection):
    # Asked again and again: a request that comes before the statement, or during a restart, cancels nothing.
    done = threading.Event()

    def cancel():
        while not done.wait(0.1):
            try:
                connection.cancel_safe()
            except psycopg.Error:
                pass

    thread = threading.Thread(target=cancel)
    thread.start()
    try:
        fails_with(connection, "57014", "SELECT pg_sleep(30)")
    finally:
        done.set()
        thread.join()
    return connection


def vanishing(load, connection):
    connection.pgconn.send_query(b"SELECT email, pg_sleep(0.01) FROM people WHERE id <= 20")
    time.sleep(random.random() / 10)
    connection.close()
    return connection


def stranger(load, connection):
    try:
        psycopg.connect(load.place.url("app", "wrong"), connect_timeout=20)
    except psycopg.OperationalError as error:
        words = str(error)
        known = ["password authentication failed", "cannot be checked now", "unexpectedly", "shut"]
        must(any(word in words for word in known), words)
    time.sleep(0.2)
    return connection


STEPS = [(untouched, "app", 2), (sealed, "app", 2), (masked, "support", 2), (mistaken, "app", 1), (refused, "support", 1),
         (cancelled, "app", 1), (vanishing, "app", 1), (stranger, "app", 1)]


def slope(samples):
    """Of the line fitted through (seconds, value), a second."""
    n = len(samples)
    mean_t = sum(t for t, _ in samples) / n
    mean_v = sum(v for _, v in samples) / n
    below = sum((t - mean_t) ** 2 for t, _ in samples)
    return sum((t - mean_t) * (v - mean_v) for t, v in samples) / below if below else 0.0, mean_v


def restarts(place, load, seconds, counted):
    mode = "fast"
    while not load.ending.wait(seconds):
        place.pg_ctl("restart", "-m", mode)
        counted.append(mode)
        mode = "immediate" if mode == "fast" else "fast"


def rest(place):
    """What is open once a login was served: the connection that reads verifiers opens with the first, and stays."""
    with psycopg.connect(place.url("app")) as connection:
        connection.execute("SELECT 1")
    time.sleep(REST_SECONDS)
    return place.open_files()


def sample(place, load, seconds):
    series = collections.defaultdict(list)
    started = time.monotonic()
    told = 0
    while (now := time.monotonic() - started) < seconds and place.process.poll() is None:
        for name, value in [("RSS MiB", kib(place.pid, "VmRSS") / 1024), ("open files", place.open_files().total()),
                            ("threads", kib(place.pid, "Threads")), ("tasks", place.metric("pgveil_tasks"))]:
            series[name].append((now, value))
        if now >= told:
            told += 300
            print(f"{now / 60:4.0f} min: " + ", ".join(f"{name} {values[-1][1]:.1f}" for name, values in series.items())
                  + f"; {sum(load.counts.values())} steps, {len(load.faults)} faults", flush=True)
        time.sleep(2)
    return series


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pgveil", required=True)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--restart-seconds", type=float, default=60)
    args = parser.parse_args()
    place = Place(args.pgveil, 200)
    failed = []
    try:
        place.start()
        at_rest = rest(place)
        load, counted = Load(place), []
        threads = [threading.Thread(target=load.worker, args=(step, user)) for step, user, many in STEPS for _ in range(many)]
        threads.append(threading.Thread(target=restarts, args=(place, load, args.restart_seconds, counted)))
        for thread in threads:
            thread.start()
        series = sample(place, load, args.minutes * 60)
        load.ending.set()
        for thread in threads:
            thread.join()
        if place.process.poll() is not None:
            failed.append(f"pgveil ended with {place.process.poll()}")
        print(f"{len(counted)} restarts; " + ", ".join(f"{what} {n}" for what, n in sorted(load.counts.items())))
        for name, values in series.items():
            steady = [(t, v) for t, v in values if t >= values[-1][0] * WARM_UP]
            rise, mean = slope(steady)
            rise *= steady[-1][0] - steady[0][0]
            print(f"{name}: mean {mean:.1f}, least {min(v for _, v in steady):.1f}, most {max(v for _, v in steady):.1f}, "
                  f"rise over the time {rise:+.2f}")
            if rise > 0.1 * mean:
                failed.append(f"{name} rises")
        afterwards = rest(place)
        left = place.metric("pgveil_sessions"), place.metric("pgveil_audit_lag_records")
        print(f"afterwards {left[0]:.0f} sessions, {left[1]:.0f} audit records waiting, {afterwards.total()} open files "
              f"({at_rest.total()} at rest)")
        if left[0] != 0 or afterwards != at_rest:
            failed.append(f"something is left of the sessions: more of {dict(afterwards - at_rest)}, less of "
                          f"{dict(at_rest - afterwards)}")
        failed += load.faults[:20]
        code = place.stop()
        print(f"ended with exit code {code}; " + place.pgveil("audit", "verify").splitlines()[-1])
        if code != 0:
            failed.append(f"exit code {code}")
    except subprocess.CalledProcessError as error:
        failed.append(f"{error.cmd}: {error.stderr}")
    finally:
        place.stop()
        place.remove()
    print("\n".join(failed) or "flat, and nothing that was not due")
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()

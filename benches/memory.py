#!/usr/bin/env python3
"""What a connection costs pgveil in memory: half-open ones, and sessions that wait for their next statement.

    python3 benches/memory.py --pgveil target/release/pgveil [--half-open 1000 5000] [--sessions 1000]

Half-open are those that have sent nothing, and those that have sent a startup packet and no password; pgveil holds
4,096 of them and sends the oldest away. Sessions log in one after another; they are measured after the login and after
statements, small ones and one with a large result, in a database that passes untreated and in one under a policy.
Prints what pgveil has more than at rest, for each connection: VmRSS, and what of it is private and dirty (the rest
the system may take back); what the allocator itself keeps differs by some MiB, so only a thousand say something. The
sockets' buffers are the kernel's and not in these figures. Needs PostgreSQL's server programs, psql, psycopg 3,
Linux' /proc, and a limit of open files of two for each connection.
"""

import argparse
import pathlib
import socket
import struct
import time

import psycopg

from place import Place, kib

# What half-open connections wait for at the most, so that none ends while it is measured.
LOGIN_SECONDS = 300
# What pgveil and its allocator have to give back what they no longer need; the catalog is looked at every five.
SETTLE_SECONDS = 6
SMALL = ["SELECT 1", "SELECT id, email FROM people WHERE email = 'p1@example.com'"]
LARGE = "SELECT repeat('x', 1000) FROM generate_series(1, 1000)"


def resident(place):
    """VmRSS and what of it is private and dirty, KiB."""
    time.sleep(SETTLE_SECONDS)
    rollup = pathlib.Path(f"/proc/{place.pid}/smaps_rollup").read_text().splitlines()
    dirty = sum(int(line.split()[1]) for line in rollup if line.startswith("Private_Dirty:"))
    return kib(place.pid, "VmRSS"), dirty


class Told:
    """A pgveil just started; says what it has more than then."""

    def __init__(self, place):
        place.stop()
        place.serve()
        for database in ("postgres", "untreated"):
            psycopg.connect(place.url("app", database=database)).close()
        self.place, self.before = place, resident(place)

    def say(self, what, count):
        more = [now - before for now, before in zip(resident(self.place), self.before)]
        each = ", ".join(f"{name} {kibs / count:.1f}" for name, kibs in zip(("VmRSS", "dirty"), more))
        print(f"{count} {what}: KiB each: {each}", flush=True)


def half_open(place, count, packet):
    told = Told(place)
    opened = []
    for _ in range(count):
        connection = socket.create_connection(("127.0.0.1", place.veil))
        opened.append(connection)
        connection.sendall(packet)
        if packet:
            connection.recv(1)
    time.sleep(SETTLE_SECONDS)
    held = place.open_files()["connection of a client"] - 1
    told.say(f"half-open, {count} opened, " + ("that sent a startup packet" if packet else "that sent nothing"), held)
    for connection in opened:
        connection.close()


def sessions(place, count, database, statements):
    told = Told(place)
    opened = [psycopg.connect(place.url("app", database=database), autocommit=True) for _ in range(count)]
    told.say(f"sessions, {database}, after their login", count)
    for what, texts in [("small statements", statements), ("a large result", [LARGE]), ("a small one again", SMALL[:1])]:
        for connection in opened:
            for text in texts:
                connection.execute(text).fetchall()
        told.say(f"sessions, {database}, after {what}", count)
    for connection in opened:
        connection.close()
    told.say(f"sessions, {database}, that have ended", count)


def startup_packet():
    body = struct.pack("!i", 196608) + b"user\0app\0database\0postgres\0\0"
    return struct.pack("!i", len(body) + 4) + body


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pgveil", required=True)
    parser.add_argument("--half-open", type=int, nargs="*", default=[1000, 5000])
    parser.add_argument("--sessions", type=int, nargs="*", default=[1000])
    args = parser.parse_args()
    most = max([0, *args.sessions])
    listen = f'login_timeout = "{LOGIN_SECONDS}s"\nsessions_max = {most + 10}'
    place = Place(args.pgveil, 200, connections=most + 20, listen=listen)
    try:
        place.start()
        rss, dirty = Told(place).before
        print(f"at rest: VmRSS {rss / 1024:.1f} MiB, dirty {dirty / 1024:.1f} MiB", flush=True)
        for count in args.sessions:
            sessions(place, count, "untreated", SMALL[:1])
            sessions(place, count, "postgres", SMALL)
        for count in args.half_open:
            half_open(place, count, b"")
            half_open(place, count, startup_packet())
        print(f"ended with exit code {place.stop()}")
    finally:
        place.stop()
        place.remove()


if __name__ == "__main__":
    main()

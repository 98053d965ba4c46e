"""psycopg 3 against pgveil and against PostgreSQL itself: the same calls must give the same answers.

Usage: matrix.py THROUGH_PGVEIL DIRECT   (connection strings). Prints the number of comparisons.
"""

import datetime
import decimal
import sys
import uuid

import psycopg
from psycopg.types.json import Jsonb

COLUMNS = "id, t, v, i4, i8, n, b, d, ts, tz, u, bin, j, phone, mail, note"
UTC = datetime.timezone.utc
ROWS = [
    (
        1, "Zoë O'Connor \\ \"x\"", "王小明", -2147483648, 9223372036854775807, decimal.Decimal("12345.60"), True,
        datetime.date(1999, 12, 31), datetime.datetime(2024, 2, 29, 23, 59, 59, 123456),
        datetime.datetime(2024, 7, 1, 12, 0, tzinfo=UTC), uuid.UUID("00112233-4455-6677-8899-aabbccddeeff"),
        b"\x00\xff'\\", Jsonb({"a": [1, 2.50, None], "ü": "x\ny"}), "+44 7700 900123", "anna@example.com", "plain",
    ),
    (2,) + (None,) * 15,
    (
        3, "", "x" * 20, 0, 0, decimal.Decimal("-0.01"), False, datetime.date(1, 1, 1),
        datetime.datetime(1, 1, 1), datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), uuid.UUID(int=0),
        b"", Jsonb([]), "0123456789", "b.c@example.org", "",
    ),
]
LOOKUPS = [
    ("t", ROWS[0][1]), ("v", ROWS[0][2]), ("i4", ROWS[0][3]), ("i8", ROWS[0][4]), ("n", ROWS[0][5]),
    ("b", ROWS[0][6]), ("d", ROWS[0][7]), ("ts", ROWS[0][8]), ("tz", ROWS[0][9]), ("u", ROWS[0][10]),
    ("phone", ROWS[0][13]), ("mail", ROWS[0][14]), ("note", "plain"), ("i4", 5), ("t", "nobody"),
]
checks = 0


def same(what, through, direct):
    global checks
    checks += 1
    if through != direct:
        sys.exit(f"{what}: the answers differ\n  pgveil: {through!r}\n  direct: {direct!r}")


def described(cursor):
    return [(c.name, c.type_code, c.internal_size, c.precision, c.scale) for c in cursor.description or []]


def fails(connection, statement, parameters):
    try:
        with connection.transaction():
            connection.execute(statement, parameters)
    except psycopg.Error as error:
        return error.sqlstate
    return None


class Pair:
    """One connection through pgveil to `every_type`, one direct to `twin`."""

    def __init__(self, through, direct, binary):
        self.sides = [(psycopg.connect(through, autocommit=True), "every_type"),
                      (psycopg.connect(direct, autocommit=True), "twin")]
        self.binary = binary

    def run(self, statement, parameters=None, prepare=None):
        answers = []
        for connection, table in self.sides:
            cursor = connection.cursor(binary=self.binary)
            cursor.execute(statement.replace("TABLE", table), parameters, prepare=prepare)
            rows = cursor.fetchall() if cursor.description else None
            answers.append((cursor.statusmessage, described(cursor), rows))
        same(f"{statement} binary={self.binary}", *answers)
        return answers[0]

    def close(self):
        for connection, _ in self.sides:
            connection.close()


def values(pair):
    placeholders = ", ".join(["%b" if pair.binary else "%s"] * 16)
    pair.run("DELETE FROM TABLE")
    insert = f"INSERT INTO TABLE ({COLUMNS}) VALUES ({placeholders})"
    for row in ROWS:
        pair.run(insert + " RETURNING *", row)
    pair.run(f"SELECT {COLUMNS} FROM TABLE ORDER BY id")
    pair.run("SELECT * FROM TABLE ORDER BY id")


def lookups(pair):
    for attribute, value in LOOKUPS:
        for prepare in (False, True):
            pair.run(f"SELECT id, {attribute} FROM TABLE WHERE {attribute} = %s", [value], prepare)
        pair.run(f"SELECT count(*) FROM TABLE WHERE {attribute} <> %s", [value])
        pair.run(f"SELECT id FROM TABLE WHERE {attribute} IS NULL ORDER BY id")
    pair.run("SELECT id FROM TABLE WHERE t = ANY(%s) ORDER BY id", [[ROWS[0][1], "", "nobody"]])
    pair.run("SELECT id FROM TABLE WHERE i4 IN (%s, %s) ORDER BY id", [0, 99])


def changes(pair):
    pair.run("UPDATE TABLE SET t = %s, i8 = %s, n = %s WHERE mail = %s", ["neu", 17, decimal.Decimal("9.999"), "b.c@example.org"])
    pair.run("UPDATE TABLE SET j = %s, u = NULL, phone = %s WHERE id = %s RETURNING id, j, u, phone", [Jsonb({"z": 1}), "+49 151 1234567", 1])
    pair.run("SELECT * FROM TABLE ORDER BY id")
    pair.run("DELETE FROM TABLE WHERE t = %s RETURNING id", ["neu"])
    pair.run("SELECT * FROM TABLE ORDER BY id")


def faults(pair):
    for statement, parameters in [
        ("UPDATE TABLE SET v = %s WHERE id = 1", ["x" * 21]),
        ("UPDATE TABLE SET n = %s WHERE id = 1", [decimal.Decimal("99999999999.00")]),
        ("INSERT INTO TABLE (id) VALUES (%s)", [1]),
        ("SELECT * FROM TABLE WHERE nowhere = %s", ["x"]),
    ]:
        codes = [fails(c, statement.replace("TABLE", table), parameters) for c, table in pair.sides]
        same(statement, *codes)


def pipelines(pair):
    answers = []
    for connection, table in pair.sides:
        with connection.pipeline():
            first = connection.execute(f"SELECT t, i4 FROM {table} WHERE id = %s", [1])
            second = connection.execute(f"SELECT id FROM {table} WHERE t = %s", [ROWS[0][1]])
            third = connection.execute("SELECT 1")
        answers.append([first.fetchall(), second.fetchall(), third.fetchall()])
    same("a pipeline", *answers)
    answers = []
    for connection, table in pair.sides:
        with connection.transaction():
            cursor = connection.cursor()
            cursor.executemany(f"INSERT INTO {table} (id, t, i8, d) VALUES (%s, %s, %s, %s)",
                               [(n, f"name {n}", n * 1000, datetime.date(2000, 1, n)) for n in range(10, 20)])
        answers.append(cursor.rowcount)
    same("executemany", *answers)
    pair.run("SELECT id, t, i8, d FROM TABLE WHERE id >= 10 ORDER BY id")
    pair.run("DELETE FROM TABLE WHERE id >= 10")


def literals(through, direct):
    """The client side cursor inlines every value, as Django does."""
    answers = []
    for url, table in ((through, "every_type"), (direct, "twin")):
        with psycopg.connect(url, cursor_factory=psycopg.ClientCursor, autocommit=True) as connection:
            connection.execute(f"DELETE FROM {table}")
            for row in ROWS:
                connection.execute(f"INSERT INTO {table} ({COLUMNS}) VALUES ({', '.join(['%s'] * 16)})", row)
            rows = connection.execute(f"SELECT * FROM {table} ORDER BY id").fetchall()
            found = [connection.execute(f"SELECT id FROM {table} WHERE {a} = %s", [v]).fetchall() for a, v in LOOKUPS]
        answers.append((rows, found))
    same("inlined literals", *answers)


def main():
    through, direct = sys.argv[1:3]
    for binary in (False, True):
        pair = Pair(through, direct, binary)
        for part in (values, lookups, changes, faults, pipelines):
            part(pair)
        pair.close()
    literals(through, direct)
    print(f"psycopg {psycopg.__version__}: {checks} comparisons hold")


main()

"""What every Python driver is asked to do, through pgveil and directly, and how the answers are held together.

A driver is a class with `ask(statement, values)`, `batch(statement, rows)` and `close()`, which speak `$1`, `$2`, ...;
with `sqlstate(error)`, and `given(value, type)` where a value that it has read is not what it takes. It knows nothing of
the plan.
"""

import collections
import re
import sys

Attribute = collections.namedtuple(
    "Attribute", "name type store ordinary lowest highest beyond invalid mask masked token tokened found")
MISSING = 77


def arguments():
    """The attributes of the data file, and the connection strings: through pgveil, direct, masked, tokened."""
    path, *urls = sys.argv[1:6]
    with open(path, encoding="utf-8") as file:
        lines = [line.rstrip("\n").split(" | ") for line in file if not line.startswith("#")]
    return [Attribute(*(cell.strip() for cell in line)) for line in lines], urls


def missing(error):
    print(f"missing: {error}")
    sys.exit(MISSING)


def in_order(statement):
    """The statement with `%s` for `$1`, `$2`, ..., as the DB-API's drivers want it."""
    return re.sub(r"\$\d+", "%s", statement)


def shown(answer):
    """An answer to be compared: values with the names of their classes, because 1 == 1.0 == True."""
    if isinstance(answer, (list, tuple)):
        return [shown(value) for value in answer]
    return f"{type(answer).__name__} {bytes(answer)!r}" if isinstance(answer, memoryview) else f"{type(answer).__name__} {answer!r}"


def first_difference(one, other):
    """The first two parts in which two answers differ; None when they are the same."""
    if one == other:
        return None
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return next(filter(None, map(first_difference, one, other)))
    return one, other


class Plan:
    """One connection of the driver through pgveil to `every_type`, one direct to `twin`, two as other roles."""

    def __init__(self, attributes, through, direct, masked, tokened):
        self.attributes = attributes
        self.sides = [(through, "every_type"), (direct, "twin")]
        self.masked, self.tokened = masked, tokened
        self.checks = 0
        self.names = [a.name for a in attributes]
        self.list = ", ".join(["id", *self.names])
        self.rows = [[place + 1, *(self.native(a, a[3 + place]) for a in attributes)] for place in range(3)]
        self.rows.append([4, *(None for _ in attributes)])

    def native(self, attribute, value):
        """The driver's own object for a value of the data file."""
        driver = self.sides[1][0]
        cast = f"CAST({value} AS {attribute.type})"
        if attribute.type.endswith("[]") and getattr(driver, "arrays_as_text", False):
            cast = f"CAST({cast} AS text)"
        native = driver.ask(f"SELECT {cast}", [])[-1][0][0]
        given = getattr(driver, "given", None)
        return given(native, attribute.type) if given else native

    def literal(self, attribute, value):
        """A value of the data file as one literal."""
        statement = f"SELECT quote_literal(CAST(CAST({value} AS {attribute.type}) AS text))"
        return self.sides[1][0].ask(statement, [])[-1][0][0]

    def same(self, what, through, direct):
        self.checks += 1
        difference = first_difference(shown(through), shown(direct))
        if difference:
            sys.exit(f"{what}: the answers differ\n  pgveil: {difference[0]}\n  direct: {difference[1]}")

    def told(self, driver, statement, values):
        """The answer, or the class and the SQLSTATE of the driver's own exception."""
        try:
            return driver.ask(statement, values)
        except Exception as error:  # also what a driver raises for a value that it has no object for
            return [type(error).__name__, driver.sqlstate(error)]

    def run(self, statement, values=()):
        answers = [self.told(driver, statement.replace("TABLE", table), list(values)) for driver, table in self.sides]
        self.same(statement, *answers)
        return answers[0]

    def must(self, statement, values=()):
        """As `run`, and PostgreSQL must have taken it."""
        answer = self.run(statement, values)
        if len(answer) == 2:
            sys.exit(f"{statement}: {answer}")
        return answer

    def compared(self):
        return [(place, a) for place, a in enumerate(self.attributes) if "search: []" not in a.store]

    def emptied(self):
        for driver, table in self.sides:
            driver.ask(f"DELETE FROM {table}", [])

    def values(self):
        places = ", ".join(f"${n + 1}" for n in range(len(self.names) + 1))
        self.emptied()
        for row in self.rows:
            self.must(f"INSERT INTO TABLE ({self.list}) VALUES ({places}) RETURNING *", row)
        self.must("SELECT * FROM TABLE ORDER BY id")
        for attribute in self.attributes:
            self.must(f"SELECT id, {attribute.name} FROM TABLE WHERE {attribute.name} IS NULL")
            self.must(f"INSERT INTO TABLE (id, {attribute.name}) VALUES (5, {self.literal(attribute, attribute.beyond)})")
            self.run(f"SELECT {attribute.name} FROM TABLE WHERE id = 5")
            self.must("DELETE FROM TABLE WHERE id = $1", [5])

    def lookups(self):
        for place, attribute in self.compared():
            # Some drivers declare a list as an array of another type, which PostgreSQL does not compare.
            must = self.run if attribute.type.endswith("[]") else self.must
            for row in self.rows[:3]:
                for _ in range(3):
                    answer = must(f"SELECT id, {attribute.name} FROM TABLE WHERE {attribute.name} = $1 ORDER BY id", [row[place + 1]])
                    # Of char(n) psycopg makes a text in binary, to which its padding counts.
                    padded = attribute.type.startswith("char") and getattr(self.sides[1][0], "binary", False)
                    if row is self.rows[0] and not answer[-1] and not padded:
                        sys.exit(f"{attribute.name}: a value is not found")
            must(f"SELECT count(*) FROM TABLE WHERE {attribute.name} <> $1", [self.rows[0][place + 1]])
            must(f"SELECT id FROM TABLE WHERE {attribute.name} IN ($1, $2) ORDER BY id",
                 [self.rows[0][place + 1], self.rows[1][place + 1]])

    def changes(self):
        for place, name in enumerate(self.names):
            for row in (1, 3, 0):
                self.must(f"UPDATE TABLE SET {name} = $1 WHERE id = $2 RETURNING id, {name}", [self.rows[row][place + 1], 3])
        self.must("SELECT * FROM TABLE WHERE id = $1", [3])
        self.must("DELETE FROM TABLE WHERE id = $1 RETURNING *", [3])

    def faults(self):
        for attribute in self.attributes:
            if attribute.invalid != "-":
                self.run(f"UPDATE TABLE SET {attribute.name} = {attribute.invalid} WHERE id = 1")
                self.run(f"UPDATE TABLE SET {attribute.name} = $1 WHERE id = $2", ["no such value", 1])
        self.run("INSERT INTO TABLE (id) VALUES ($1)", [1])
        self.run("SELECT nowhere FROM TABLE")
        self.run("SELEKT 1")
        self.must("SELECT * FROM TABLE ORDER BY id")

    def batches(self):
        places = ", ".join(f"${n + 1}" for n in range(len(self.names) + 1))
        rows = [[100 + n, *self.rows[n % 4][1:]] for n in range(30)]
        counts = [driver.batch(f"INSERT INTO {table} ({self.list}) VALUES ({places})", rows) for driver, table in self.sides]
        self.same("a batch", *counts)
        self.must("SELECT * FROM TABLE WHERE id >= 100 ORDER BY id")
        self.must("DELETE FROM TABLE WHERE id >= $1", [100])

    def cursors(self):
        """DECLARE is refused over the treated table, and works over others."""
        driver = self.sides[0][0]
        driver.ask("BEGIN", [])
        refused = self.told(driver, "DECLARE page CURSOR FOR SELECT * FROM every_type", [])
        driver.ask("ROLLBACK", [])
        self.same("DECLARE", refused[1], "0A000")
        answers = []
        for driver, _ in self.sides:
            driver.ask("BEGIN", [])
            driver.ask("DECLARE page CURSOR FOR SELECT * FROM shown ORDER BY id", [])
            answers.append(driver.ask("FETCH 2 FROM page", []))
            driver.ask("COMMIT", [])
        self.same("FETCH", *answers)

    def others(self):
        """Other roles see of `every_type` what `shown` and `tokens` have, with the same description."""
        self.emptied()
        places = ", ".join(f"${n + 1}" for n in range(len(self.names) + 1))
        for row in self.rows:
            self.must(f"INSERT INTO TABLE ({self.list}) VALUES ({places})", row)
        direct = self.sides[1][0]
        for role, table in ((self.masked, "shown"), (self.tokened, "tokens")):
            for tail, values in (("ORDER BY id", []), ("WHERE id = $1", [1])):
                self.same(f"{table} {tail}", role.ask(f"SELECT * FROM every_type {tail}", values),
                          direct.ask(f"SELECT * FROM {table} {tail}", values))
            for name in self.names:
                self.same(f"{table} {name}", role.ask(f"SELECT id, {name} FROM every_type ORDER BY id", []),
                          direct.ask(f"SELECT id, {name} FROM {table} ORDER BY id", []))
            refused = self.told(role, "UPDATE every_type SET t = $1", ["x"])
            self.same("assigned by a role without plain sight", refused[1], "42501")

    def found(self):
        """The masked role finds rows by plain values, the other by the tokens it is shown."""
        direct = self.sides[1][0]
        for place, attribute in self.compared():
            name, found = attribute.name, attribute.found == "found"
            tokens = direct.ask(f"SELECT {name} FROM tokens ORDER BY id", [])[-1] if found else []
            for row in range(3):
                self.look(self.masked, f"SELECT id FROM TABLE WHERE {name} = $1 ORDER BY id", "twin", self.rows[row][place + 1])
                if found:
                    text = f"SELECT id, {name} FROM TABLE WHERE {name} = $1 ORDER BY id"
                    if not self.look(self.tokened, text, "tokens", tokens[row][0])[-1]:
                        sys.exit(f"{name}: a token is not found")

    def look(self, role, statement, table, value):
        answers = [self.told(driver, statement.replace("TABLE", name), [value])
                   for driver, name in ((role, "every_type"), (self.sides[1][0], table))]
        self.same(f"{statement}, {table}", *answers)
        return answers[0]

    def whole(self):
        for part in (self.values, self.lookups, self.changes, self.faults, self.batches, self.cursors, self.others, self.found):
            part()


def run(name, driver, modes=({},)):
    """The whole plan in each mode of the driver; `driver(url, **mode)` connects."""
    attributes, urls = arguments()
    checks = 0
    for mode in modes:
        drivers = [driver(url, **mode) for url in urls]
        plan = Plan(attributes, *drivers)
        plan.whole()
        special = getattr(driver, "special", None)
        if special:
            special(plan)
        checks += plan.checks
        for one in drivers:
            one.close()
    print(f"{name}: {checks} checks hold")

"""psycopg 3: text and binary, prepared or not, values inlined by the client, pipelines, named cursors, COPY."""

import plan

try:
    import psycopg
    from psycopg.types.json import Json, Jsonb
except ImportError as error:
    plan.missing(error)


class Open(str):
    """A text whose type is left open: in binary psycopg would declare it as text, which is of no other type."""


class Driver:
    def __init__(self, url, binary=False, prepare=None, inlined=False):
        factory = psycopg.ClientCursor if inlined else psycopg.Cursor
        self.connection = psycopg.connect(url, autocommit=True, cursor_factory=factory)
        self.binary, self.prepare, self.inlined = binary, prepare, inlined

    def placed(self, statement, values):
        parts = plan.in_order(statement).split("%s")
        places = ["%b" if self.binary and not isinstance(value, Open) else "%s" for value in values]
        return parts[0] + "".join(place + part for place, part in zip(places, parts[1:]))

    def ask(self, statement, values):
        cursor = self.connection.cursor() if self.inlined else self.connection.cursor(binary=self.binary)
        cursor.execute(self.placed(statement, values), values or None, prepare=self.prepare)
        described = [(c.name, c.type_code, c.internal_size, c.precision, c.scale) for c in cursor.description or ()]
        return [cursor.statusmessage, described, cursor.fetchall() if described else None]

    def batch(self, statement, rows):
        if self.inlined:
            # executemany is one pipeline without Syncs: there a text with values inside that lexes by a setting is
            # refused, because what ran before it may have changed the setting.
            return sum(self.connection.execute(self.placed(statement, row), row).rowcount for row in rows)
        cursor = self.connection.cursor()
        cursor.executemany(self.placed(statement, rows[0]), rows)
        return cursor.rowcount

    def given(self, value, name):
        if name in ("mood", "citext", "macaddr"):
            # psycopg has no object for these: in binary it leaves the bytes.
            if isinstance(value, bytes):
                value = value.hex(":") if name == "macaddr" else value.decode()
            return Open(value)
        if self.binary and value == [] and name != "text[]":
            return None  # an empty list is declared as text[], which PostgreSQL does not take for another
        return {"json": Json, "jsonb": Jsonb}.get(name, lambda one: one)(value)

    @staticmethod
    def sqlstate(error):
        return getattr(error, "sqlstate", None)

    def close(self):
        self.connection.close()

    @staticmethod
    def special(the_plan):
        Driver.pipelines(the_plan)
        Driver.named_cursors(the_plan)

    @staticmethod
    def pipelines(the_plan):
        answers = []
        for driver, table in the_plan.sides:
            if driver.inlined:
                return
            connection, value = driver.connection, the_plan.rows[0][1]
            with connection.pipeline():
                cursors = [connection.execute(f"SELECT * FROM {table} WHERE id = %s", [1]),
                           connection.execute(f"SELECT id FROM {table} WHERE t = %s", [value]),
                           connection.execute("SELECT 1")]
            answers.append([cursor.fetchall() for cursor in cursors])
        the_plan.same("a pipeline", *answers)

    @staticmethod
    def named_cursors(the_plan):
        def named(connection, table):
            try:
                with connection.transaction(), psycopg.ServerCursor(connection, "some") as cursor:
                    cursor.execute(f"SELECT * FROM {table} ORDER BY id")
                    return cursor.fetchmany(2)
            except psycopg.Error as error:
                return type(error).__name__, error.sqlstate

        (driver, _), (direct, _) = the_plan.sides
        the_plan.same("a named cursor", named(driver.connection, "every_type"), ("FeatureNotSupported", "0A000"))
        the_plan.same("a named cursor", named(driver.connection, "shown"), named(direct.connection, "shown"))


plan.run(f"psycopg {psycopg.__version__}", Driver, [
    {}, {"binary": True}, {"prepare": True}, {"binary": True, "prepare": True}, {"inlined": True}])

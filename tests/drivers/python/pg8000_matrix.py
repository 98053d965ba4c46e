"""pg8000: written in Python alone, the extended protocol with parameters in text, prepared statements by name."""

import json
import warnings

import plan

try:
    import pg8000.dbapi
    import pg8000.native
except ImportError as error:
    plan.missing(error)

# dateutil says on every value before Christ that it does not know the zone BC.
warnings.filterwarnings("ignore", module="dateutil")


class Driver:
    def __init__(self, url):
        login, place = url.removeprefix("postgresql://").split("@")
        user, password = login.split(":")
        address, database = place.split("/")
        host, port = address.split(":")
        self.parameters = {"user": user, "password": password, "host": host, "port": int(port), "database": database}
        self.connect()

    def connect(self):
        self.connection = pg8000.dbapi.connect(**self.parameters)
        self.connection.autocommit = True

    def ask(self, statement, values):
        try:
            return self.answer(statement, values)
        except (ValueError, OverflowError):
            # A value that Python has no object for: pg8000 leaves the rest of the answer unread.
            self.connect()
            raise

    def answer(self, statement, values):
        cursor = self.connection.cursor()
        cursor.execute(plan.in_order(statement), values)
        described = [tuple(column) for column in cursor.description or ()]
        return [cursor.rowcount, described, cursor.fetchall() if described else None]

    def batch(self, statement, rows):
        cursor = self.connection.cursor()
        cursor.executemany(plan.in_order(statement), rows)
        return cursor.rowcount

    @staticmethod
    def given(value, name):
        """pg8000 reads JSON into Python's own objects, and would write a list as an array."""
        return json.dumps(value) if name in ("json", "jsonb") else value

    @staticmethod
    def sqlstate(error):
        return error.args[0].get("C") if error.args and isinstance(error.args[0], dict) else None

    def close(self):
        self.connection.close()

    @staticmethod
    def special(the_plan):
        """pg8000's native interface prepares by name."""
        answers = []
        for driver, table in the_plan.sides:
            native = pg8000.native.Connection(**driver.parameters)
            prepared = native.prepare(f"SELECT * FROM {table} WHERE t = :t")
            answers.append([prepared.run(t=the_plan.rows[0][1]) for _ in range(3)])
            prepared.close()
            native.close()
        the_plan.same("prepared", *answers)


plan.run(f"pg8000 {pg8000.__version__}", Driver)

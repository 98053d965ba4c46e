"""psycopg 2: every value is inlined by the client, every statement is a simple Query."""

import plan

try:
    import psycopg2
    import psycopg2.extras
except ImportError as error:
    plan.missing(error)

psycopg2.extras.register_uuid()


class Driver:
    def __init__(self, url):
        self.connection = psycopg2.connect(url)
        self.connection.autocommit = True

    def ask(self, statement, values):
        with self.connection.cursor() as cursor:
            cursor.execute(plan.in_order(statement), values or None)
            described = [tuple(column) for column in cursor.description or ()]
            return [cursor.statusmessage, described, cursor.fetchall() if described else None]

    def batch(self, statement, rows):
        with self.connection.cursor() as cursor:
            psycopg2.extras.execute_batch(cursor, plan.in_order(statement), rows[:10])
            cursor.executemany(plan.in_order(statement), rows[10:20])
            head = plan.in_order(statement).split(" VALUES ")[0]
            psycopg2.extras.execute_values(cursor, head + " VALUES %s", rows[20:])
            return cursor.rowcount

    # A list would be inlined as ARRAY[…]: see below.
    arrays_as_text = True

    @staticmethod
    def given(value, name):
        return psycopg2.extras.Json(value) if name in ("json", "jsonb") else value

    @staticmethod
    def sqlstate(error):
        return getattr(error, "pgcode", None)

    def close(self):
        self.connection.close()

    @staticmethod
    def special(the_plan):
        """A named cursor is DECLARE."""
        (driver, _), (direct, _) = the_plan.sides

        def named(connection, table):
            connection.autocommit = False
            try:
                with connection.cursor("some") as cursor:
                    cursor.execute(f"SELECT * FROM {table} ORDER BY id")
                    return cursor.fetchmany(2)
            except psycopg2.Error as error:
                return type(error).__name__, error.pgcode
            finally:
                connection.rollback()
                connection.autocommit = True

        the_plan.same("a named cursor", named(driver.connection, "every_type"), ("FeatureNotSupported", "0A000"))
        the_plan.same("a named cursor", named(driver.connection, "shown"), named(direct.connection, "shown"))


plan.run(f"psycopg2 {psycopg2.__version__.split()[0]}", Driver)

"""asyncpg: binary only, every statement prepared and described first, portals fetched in parts, COPY."""

import asyncio

import plan

try:
    import asyncpg
except ImportError as error:
    plan.missing(error)

LOOP = asyncio.new_event_loop()


class Driver:
    def __init__(self, url, **mode):
        self.connection = LOOP.run_until_complete(asyncpg.connect(url, **mode))

    def ask(self, statement, values):
        return LOOP.run_until_complete(self.answer(statement, values))

    async def answer(self, statement, values):
        if not values and not statement.startswith("SELECT") and "RETURNING" not in statement and "FETCH" not in statement:
            return [await self.connection.execute(statement), [], None]
        prepared = await self.connection.prepare(statement)
        rows = await prepared.fetch(*values)
        described = [(a.name, tuple(a.type)) for a in prepared.get_attributes()]
        described.append([parameter.name for parameter in prepared.get_parameters()])
        return [prepared.get_statusmsg(), described, [tuple(row) for row in rows]]

    def batch(self, statement, rows):
        LOOP.run_until_complete(self.connection.executemany(statement, rows))
        return len(rows)

    @staticmethod
    def sqlstate(error):
        return getattr(error, "sqlstate", None)

    def close(self):
        LOOP.run_until_complete(self.connection.close())

    @staticmethod
    def special(the_plan):
        """A cursor is a portal from which some rows are fetched at a time."""
        answers = []
        for driver, table in the_plan.sides:
            answers.append(LOOP.run_until_complete(portal(driver.connection, table)))
        the_plan.same("a portal", *answers)


async def portal(connection, table):
    async with connection.transaction():
        cursor = await connection.cursor(f"SELECT * FROM {table} ORDER BY id")
        parts = [await cursor.fetch(2), await cursor.fetch(1), await cursor.fetch(5)]
        found = [row async for row in connection.cursor(f"SELECT id, t FROM {table} ORDER BY id", prefetch=2)]
    return [[tuple(row) for row in part] for part in [*parts, found]]


plan.run(f"asyncpg {asyncpg.__version__}", Driver, [{}, {"statement_cache_size": 0}])

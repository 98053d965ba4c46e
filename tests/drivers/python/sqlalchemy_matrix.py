"""SQLAlchemy over psycopg: Core and ORM, batches, streams; the tables are mapped from the plain twin's description."""

import datetime

import plan

try:
    import psycopg
    import sqlalchemy
    from sqlalchemy import delete, exc, func, insert, orm, select, text, update
except ImportError as error:
    plan.missing(error)


class Side:
    """One engine, and the class that is mapped to its table."""

    def __init__(self, url, twin, table):
        self.engine = sqlalchemy.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
        self.table = twin.to_metadata(sqlalchemy.MetaData(), name=table)
        self.entity = type("Entity", (), {})
        orm.registry().map_imperatively(self.entity, self.table)


class Matrix:
    def __init__(self):
        self.attributes, (through, direct, masked, tokened) = plan.arguments()
        engine = sqlalchemy.create_engine(direct.replace("postgresql://", "postgresql+psycopg://"))
        twin = sqlalchemy.Table("twin", sqlalchemy.MetaData(), autoload_with=engine)
        self.sides = [Side(through, twin, "every_type"), Side(direct, twin, "twin")]
        self.masked = [Side(masked, twin, "every_type"), Side(direct, twin, "shown")]
        self.tokened = tokened
        self.names = [a.name for a in self.attributes]
        with engine.connect() as connection:
            values = [[connection.exec_driver_sql(f"SELECT CAST({a[3 + row]} AS {a.type})").scalar() for a in self.attributes]
                      for row in range(3)]
        values.append([None] * len(self.names))
        self.rows = [dict(zip(["id", *self.names], [n + 1, *row])) for n, row in enumerate(values)]
        self.checks = 0

    def same(self, what, work, sides=None):
        """Does the same on both sides; faults are compared by class and SQLSTATE."""
        answers = []
        for side in sides or self.sides:
            try:
                answers.append(work(side))
            except exc.DBAPIError as error:
                answers.append([type(error).__name__, type(error.orig).__name__, error.orig.sqlstate])
        self.checks += 1
        difference = plan.first_difference(*map(plan.shown, answers))
        if difference:
            raise SystemExit(f"{what}: the answers differ\n  pgveil: {difference[0]}\n  direct: {difference[1]}")
        return answers[0]

    def core(self):
        for row in self.rows:
            self.same("insert", lambda s: self.run(s, insert(s.table).returning(s.table), row))
        self.same("select", lambda s: self.run(s, select(s.table).order_by(s.table.c.id)))
        for place, attribute in enumerate(self.attributes):
            if "search: []" in attribute.store:
                continue
            for row in self.rows[:3]:
                value = row[attribute.name]
                found = self.same(attribute.name, lambda s: self.run(
                    s, select(s.table).where(s.table.c[attribute.name] == value).order_by(s.table.c.id)))
                if row is self.rows[0] and not found:
                    raise SystemExit(f"{attribute.name}: a value is not found")
                def listed(side):
                    column = side.table.c[attribute.name]
                    return self.run(side, select(side.table.c.id).where(column.in_([value, self.rows[0][attribute.name]])).order_by(side.table.c.id))

                # SQLAlchemy casts each element: where that decides what they are compared as, it is refused.
                if attribute.type == "char(10)":
                    self.refused(f"{attribute.name} in", lambda: listed(self.sides[0]))
                else:
                    self.same(f"{attribute.name} in", listed)
            self.same(f"{attribute.name} is null", lambda s: self.run(s, select(s.table.c.id).where(s.table.c[attribute.name].is_(None))))
            self.same(f"update {attribute.name}", lambda s: self.run(
                s, update(s.table).where(s.table.c.id == 4).values({attribute.name: self.rows[0][attribute.name]}).returning(s.table)))
        self.same("count", lambda s: self.run(s, select(func.count()).select_from(s.table)))
        self.same("unique", lambda s: self.run(s, insert(s.table), self.rows[0]))
        self.same("executemany", lambda s: self.run(s, insert(s.table), [{**self.rows[n % 4], "id": 100 + n} for n in range(30)]))
        self.same("delete", lambda s: self.run(s, delete(s.table).where(s.table.c.id >= 100)))
        self.same("all", lambda s: self.run(s, select(s.table).order_by(s.table.c.id)))

    @staticmethod
    def run(side, statement, values=None):
        with side.engine.begin() as connection:
            result = connection.execute(statement, values) if values is not None else connection.execute(statement)
            return [tuple(row) for row in result] if result.returns_rows else result.rowcount

    def mapped(self):
        def told(entity):
            return [getattr(entity, name) for name in ["id", *self.names]]

        def session(side):
            with orm.Session(side.engine) as session:
                for row in self.rows:
                    entity = side.entity()
                    for name, value in row.items():
                        setattr(entity, name, value)
                    entity.id += 200
                    session.add(entity)
                session.commit()
                one = session.scalars(select(side.entity).where(side.table.c.mail == self.rows[0]["mail"], side.table.c.id > 200)).one()
                before = told(one)
                one.t, one.d = "neu", datetime.date(2020, 2, 29)
                session.commit()
                session.refresh(one)
                after = told(one)
                with session.begin_nested():
                    session.delete(one)
                session.commit()
                left = session.scalars(select(side.entity).order_by(side.table.c.id)).all()
                return [before, after, [told(entity) for entity in left]]

        self.same("the ORM", session)

    def streams(self):
        """A stream is a named cursor, which is DECLARE."""
        def stream(side):
            with side.engine.connect().execution_options(stream_results=True, max_row_buffer=2) as connection:
                return [tuple(row) for row in connection.execute(select(side.table).order_by(side.table.c.id))]

        self.refused("a stream", lambda: stream(self.sides[0]))

    def refused(self, what, work):
        try:
            work()
        except exc.NotSupportedError as error:
            if error.orig.sqlstate != "0A000":
                raise
            self.checks += 1
        else:
            raise SystemExit(f"{what} is not refused over the treated table")

    def masks(self):
        for side in self.sides:
            self.run(side, delete(side.table))
            for row in self.rows:
                self.run(side, insert(side.table), row)
        self.same("masked", lambda s: self.run(s, select(s.table).order_by(s.table.c.id)), self.masked)
        # Of other types than the twin where what is stored is shown.
        engine = self.sides[1].engine
        tokens = sqlalchemy.Table("tokens", sqlalchemy.MetaData(), autoload_with=engine)
        sides = [Side(self.tokened, tokens, "every_type"), Side(engine.url.render_as_string(False), tokens, "tokens")]
        self.same("tokened", lambda s: self.run(s, select(s.table).order_by(s.table.c.id)), sides)


matrix = Matrix()
for side in matrix.sides:
    matrix.run(side, delete(side.table))
for part in (matrix.core, matrix.mapped, matrix.streams, matrix.masks):
    part()
print(f"SQLAlchemy {sqlalchemy.__version__} over psycopg {psycopg.__version__}: {matrix.checks} checks hold")

"""Django's ORM over psycopg: models of every type that Django has a field for, and what its querysets send."""

import plan

try:
    import django
    from django.conf import settings
except ImportError as error:
    plan.missing(error)

ATTRIBUTES, (THROUGH, DIRECT, MASKED, TOKENED) = plan.arguments()


def database(url):
    login, place = url.removeprefix("postgresql://").split("@")
    user, password = login.split(":")
    address, name = place.split("/")
    host, port = address.split(":")
    return {"ENGINE": "django.db.backends.postgresql", "NAME": name, "USER": user, "PASSWORD": password, "HOST": host,
            "PORT": port, "OPTIONS": {}}


settings.configure(USE_TZ=True, TIME_ZONE="UTC", DEFAULT_AUTO_FIELD="django.db.models.AutoField",
                   DATABASES={"default": database(DIRECT), "through": database(THROUGH), "masked": database(MASKED),
                              "tokened": database(TOKENED)})
django.setup()

from django.db import DatabaseError, connections, models, transaction  # noqa: E402


def char(length):
    return lambda **o: models.CharField(max_length=length, **o)


def decimal(digits, **rest):
    return lambda **o: models.DecimalField(max_digits=digits, **rest, **o)


FIELDS = {
    "text": models.TextField, "int4": models.IntegerField, **{f"varchar({n})": char(n) for n in (18, 20, 24, 60)},
    "int8": models.BigIntegerField, "int2": models.SmallIntegerField, "float8": models.FloatField, "bool": models.BooleanField,
    "numeric(12,2)": decimal(12, decimal_places=2), "amount": decimal(10, decimal_places=2), "date": models.DateField,
    "time": models.TimeField, "timestamptz": models.DateTimeField, "uuid": models.UUIDField, "bytea": models.BinaryField,
    "jsonb": models.JSONField, "inet": models.GenericIPAddressField, "interval": models.DurationField,
}
NAMES = [a.name for a in ATTRIBUTES if a.type in FIELDS]


def model(table):
    fields = {a.name: FIELDS[a.type](null=True) for a in ATTRIBUTES if a.type in FIELDS}
    meta = type("Meta", (), {"managed": False, "db_table": table, "app_label": "matrix"})
    return type(table.title().replace("_", ""), (models.Model,),
                {"id": models.IntegerField(primary_key=True), **fields, "Meta": meta, "__module__": __name__})


SEALED, PLAIN, SHOWN, TOKENS = (model(table) for table in ("every_type", "twin", "shown", "tokens"))
SIDES = [SEALED.objects.using("through"), PLAIN.objects.using("default")]
CHECKS = 0


def same(what, work, sides=SIDES):
    global CHECKS
    answers = []
    for side in sides:
        try:
            answers.append(work(side))
        except DatabaseError as error:
            answers.append([type(error).__name__, getattr(error.__cause__, "sqlstate", None)])
    CHECKS += 1
    difference = plan.first_difference(*map(plan.shown, answers))
    if difference:
        raise SystemExit(f"{what}: the answers differ\n  pgveil: {difference[0]}\n  direct: {difference[1]}")
    return answers[0]


def told(entities):
    return [[getattr(entity, name) for name in ["id", *NAMES]] for entity in entities]


def everything(side):
    return told(side.order_by("id"))


def rows():
    """Values as Django itself reads them, from `shown`'s neighbours: written as literals, read by a model."""
    with connections["default"].cursor() as cursor:
        cursor.execute("DELETE FROM untreated")
        for row in range(3):
            values = ", ".join(a[3 + row] for a in ATTRIBUTES)
            cursor.execute(f"INSERT INTO untreated (id, {', '.join(a.name for a in ATTRIBUTES)}) VALUES ({row + 1}, {values})")
        cursor.execute("INSERT INTO untreated (id) VALUES (4)")
    found = model("untreated").objects.using("default").order_by("id")
    return [{name: getattr(entity, name) for name in ["id", *NAMES]} for entity in found]


def main():
    values = rows()
    for side in SIDES:
        side.all().delete()
    for row in values:
        same("create", lambda s: told([s.create(**row)]))
    same("all", everything)
    for attribute in ATTRIBUTES:
        name = attribute.name
        if name not in NAMES or "search: []" in attribute.store:
            continue
        if attribute.type == "bool":
            # `filter(b=True)` is `WHERE b`: a sealed attribute is no condition in this version.
            refused(f"{name} filter", lambda: told(SIDES[0].filter(**{name: True})))
            continue
        for row in values[:3]:
            value = row[name]
            if not same(f"{name} filter", lambda s: told(s.filter(**{name: value}).order_by("id"))):
                raise SystemExit(f"{name}: a value is not found")
            same(f"{name} in", lambda s: told(s.filter(**{f"{name}__in": [value, values[0][name]]}).order_by("id")))
            same(f"{name} exclude", lambda s: told(s.exclude(**{name: value}).order_by("id")))
            same(f"{name} exists", lambda s: s.filter(**{name: value}).exists())
        same(f"{name} null", lambda s: told(s.filter(**{f"{name}__isnull": True})))
        same(f"{name} values", lambda s: list(s.order_by("id").values_list("id", name)))
        same(f"{name} update", lambda s: s.filter(id=4).update(**{name: values[0][name]}))
        same(f"{name} updated", everything)
    same("count", lambda s: s.filter(t=values[0]["t"]).count())
    same("get", lambda s: told([s.get(mail=values[1]["mail"])]))
    same("save", saved)
    same("bulk_create", lambda s: len(s.bulk_create([s.model(**{**values[n % 4], "id": 100 + n}) for n in range(30)])))
    same("after bulk_create", everything)
    same("in_bulk", lambda s: told(found for _, found in sorted(s.in_bulk([1, 101]).items())))
    same("unique", lambda s: s.create(**values[0]))
    same("too long", lambda s: s.filter(id=1).update(v="more than twenty characters"))
    same("delete", lambda s: s.filter(id__gte=100).delete()[0])
    same("slices", lambda s: told(s.order_by("id")[1:3]))
    cursors()
    for side in SIDES:
        side.all().delete()
        for row in values:
            side.create(**row)
    same("masked", everything, [SEALED.objects.using("masked"), SHOWN.objects.using("default")])
    same("tokened", everything, [SEALED.objects.using("tokened"), TOKENS.objects.using("default")])
    print(f"Django {django.__version__} over psycopg ({len(NAMES)} attributes): {CHECKS} checks hold")


def saved(side):
    entity = side.get(id=3)
    entity.t = "neu"
    entity.save()
    with transaction.atomic(using=side.db):
        locked = side.select_for_update().get(id=3)
        locked.note = None
        locked.save(update_fields=["note"])
    return everything(side)


def refused(what, work):
    global CHECKS
    try:
        work()
    except DatabaseError as error:
        if error.__cause__.sqlstate != "0A000":
            raise
        CHECKS += 1
    else:
        raise SystemExit(f"{what} over a treated table is not refused")


def cursors():
    """`iterator()` is a named cursor, unless the setting that Django has for poolers turns it off."""
    refused("iterator()", lambda: list(SIDES[0].order_by("id").iterator(chunk_size=2)))
    for name in ("through", "default"):
        connections[name].settings_dict["DISABLE_SERVER_SIDE_CURSORS"] = True
    same("iterator", lambda s: told(s.order_by("id").iterator(chunk_size=2)))


main()

"""Tables: created with their storage attributes, changed without losing a row, read back."""

from __future__ import annotations

import datetime as dt

import pytest
from django.apps.registry import Apps
from django.db import DatabaseError, DataError, NotSupportedError, connection, models

from horizon_shards.backends.redshift.storage import Storage
from tests.redshift.warehouse.models import Customer, Declared, Old

pytestmark = pytest.mark.django_db(transaction=True)


def stored(table):
    with connection.cursor() as cursor:
        return connection.introspection.get_storage(cursor, table)


def lines(table):
    with connection.cursor() as cursor:
        return {line.name: line for line in connection.introspection.get_table_description(cursor, table)}


def constraints(table):
    with connection.cursor() as cursor:
        return connection.introspection.get_constraints(cursor, table)


def test_created_with_all_attributes():
    visit = stored("warehouse_visit")
    assert (visit.diststyle, visit.distkey) == ("key", "customer_id")
    assert (visit.sortkey, visit.sortstyle) == (("at", "customer_id"), "compound")
    assert visit.encode == {"path": "zstd", "pages": "az64"}
    customer = stored("warehouse_customer")
    assert (customer.diststyle, customer.sortkey) == ("all", ("name",))
    old = stored("warehouse_old")
    assert (old.distkey, old.sortkey) == ("group", ("created",))


def test_constraints_are_declared_only_where_the_model_says_so():
    assert constraints("warehouse_visit") == constraints("warehouse_customer") == {}
    found = list(constraints("warehouse_declared").values())
    assert sorted(tuple(entry["columns"]) for entry in found if entry["unique"]) == [
        ("code",),
        ("customer_id", "code"),
        ("id",),
    ]
    assert [entry["foreign_key"] for entry in found if entry["foreign_key"]] == [("warehouse_customer", "id")]


def test_nothing_is_enforced():
    ann = Customer.objects.create(name="Ann")
    for _ in range(2):
        Declared.objects.create(code="same", customer=ann)
    assert Declared.objects.count() == 2


@pytest.fixture
def thing():
    """A table of its own for each test, with three rows."""
    apps = Apps()

    class Thing(models.Model):
        name = models.CharField(max_length=10, default="x")
        number = models.IntegerField(null=True)
        tenant = models.IntegerField()

        class Meta:
            app_label = "warehouse"
            constraints = [
                Storage(name="thing", distkey="tenant", sortkey=("number",), encode={"name": "zstd"}),
                models.UniqueConstraint(fields=["tenant", "name"], name="thing_once"),
            ]

    del apps
    with connection.schema_editor() as editor:
        editor.create_model(Thing)
    Thing.objects.bulk_create([Thing(name=f"n{n}", number=n or None, tenant=n) for n in range(3)])
    yield Thing
    from django.apps import apps as installed

    installed.all_models["warehouse"].pop("thing", None)
    with connection.schema_editor() as editor:
        editor.delete_model(Thing)


def new(model, name, field):
    field.set_attributes_from_name(name)
    field.model = model
    return field


def alter(model, name, field, *, atomic=True):
    with connection.schema_editor(atomic=atomic) as editor:
        editor.alter_field(model, model._meta.get_field(name), new(model, name, field))


def rows(table="warehouse_thing", what='"name", "number", "tenant"'):
    with connection.cursor() as cursor:
        cursor.execute(f'SELECT {what} FROM "{table}" ORDER BY "tenant"')
        return cursor.fetchall()


def test_another_type_replaces_the_table_and_keeps_rows_and_keys(thing):
    ids = rows(what='"id"')
    alter(thing, "number", models.BigIntegerField(null=True))
    assert rows() == [("n0", None, 0), ("n1", 1, 1), ("n2", 2, 2)]
    assert rows(what='"id"') == ids
    after = stored("warehouse_thing")
    assert (after.distkey, after.sortkey, after.encode) == ("tenant", ("number",), {"name": "zstd"})
    assert lines("warehouse_thing")["id"].is_autofield
    assert list(lines("warehouse_thing")) == ["id", "name", "number", "tenant"]


def test_not_null_fills_in_the_default(thing):
    alter(thing, "number", models.IntegerField(default=-1))
    assert rows() == [("n0", -1, 0), ("n1", 1, 1), ("n2", 2, 2)]
    assert not lines("warehouse_thing")["number"].null_ok


def test_text_grows_in_place_outside_of_a_transaction(thing, django_assert_num_queries):
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as grown:
        alter(thing, "name", models.CharField(max_length=20), atomic=False)
    assert any("TYPE varchar(80)" in query["sql"] for query in grown)
    assert not any("DROP TABLE" in query["sql"] for query in grown)
    with CaptureQueriesContext(connection) as replaced:
        alter(thing, "name", models.CharField(max_length=30))
    assert any("DROP TABLE" in query["sql"] for query in replaced)


def test_text_that_would_be_cut_off_stops_the_change_and_the_old_table_is_whole(thing):
    before = rows(), stored("warehouse_thing")
    with connection.cursor() as cursor:
        cursor.execute('UPDATE "warehouse_thing" SET "name" = %s', ["123456789"])
    before = rows(), stored("warehouse_thing")
    with pytest.raises(DataError):
        alter(thing, "name", models.CharField(max_length=2))
    assert (rows(), stored("warehouse_thing")) == before


def test_views_keep_a_table_from_being_replaced(thing):
    with connection.cursor() as cursor:
        cursor.execute('CREATE VIEW "seen_things" AS SELECT "name" FROM "warehouse_thing"')
    try:
        with pytest.raises(NotSupportedError, match="seen_things"):
            alter(thing, "number", models.BigIntegerField(null=True))
        assert len(rows()) == 3
    finally:
        with connection.cursor() as cursor:
            cursor.execute('DROP VIEW "seen_things"')


def test_a_column_is_renamed_in_place(thing):
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as queries, connection.schema_editor() as editor:
        editor.alter_field(thing, thing._meta.get_field("number"), new(thing, "count", models.IntegerField(null=True)))
    assert not any("DROP TABLE" in query["sql"] for query in queries)
    assert stored("warehouse_thing").sortkey == ("count",)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (models.IntegerField(null=True), None),
        (models.IntegerField(default=7), 7),
        (models.CharField(max_length=5, default="a'b\\"), "a'b\\"),
        (models.DateField(default=dt.date(2026, 1, 2)), dt.date(2026, 1, 2)),
        (models.BooleanField(default=True), True),
        (models.CharField(max_length=3, unique=True, null=True), None),
    ],
)
def test_a_column_is_added_with_its_default(thing, field, value):
    with connection.schema_editor() as editor:
        editor.add_field(thing, new(thing, "more", field))
    assert rows(what='"more"') == [(value,)] * 3


def test_a_column_that_add_column_cannot_fill_replaces_the_table(thing):
    with connection.schema_editor() as editor:
        editor.add_field(thing, new(thing, "data", models.JSONField(default=dict)))
    assert rows(what='JSON_SERIALIZE("data")') == [("{}",)] * 3
    assert stored("warehouse_thing").distkey == "tenant"


@pytest.mark.parametrize("name", ["tenant", "number", "name"])
def test_a_column_is_dropped_also_where_it_is_a_key(thing, name):
    with connection.schema_editor() as editor:
        editor.remove_field(thing, thing._meta.get_field(name))
    after = stored("warehouse_thing")
    assert name not in lines("warehouse_thing")
    assert after.distkey == (None if name == "tenant" else "tenant")
    assert after.sortkey == (() if name == "number" else ("number",))


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"diststyle": "all"}, ("all", None, (), "auto")),
        ({"diststyle": "even", "sortkey": ("name",)}, ("even", None, ("name",), "compound")),
        ({"distkey": "number", "sortkey": ("tenant", "name")}, ("key", "number", ("tenant", "name"), "compound")),
        (
            {"sortkey": ("tenant", "name"), "sortstyle": "interleaved"},
            ("auto", None, ("tenant", "name"), "interleaved"),
        ),
    ],
)
def test_storage_changes_and_the_rows_stay(thing, wanted, expected):
    with connection.schema_editor() as editor:
        editor.add_constraint(thing, Storage(name="thing", **wanted))
    after = stored("warehouse_thing")
    assert (after.diststyle, after.distkey, after.sortkey, after.sortstyle) == expected
    assert len(rows()) == 3


def test_encodings_change(thing):
    with connection.schema_editor() as editor:
        editor.add_constraint(thing, Storage(name="thing", encode={"name": "lzo", "number": "az64"}))
    assert stored("warehouse_thing").encode == {"name": "lzo", "number": "az64"}


def test_comments_stay_with_a_table_that_is_replaced(thing):
    commented = new(thing, "number", models.IntegerField(null=True, db_comment="how many"))
    with connection.schema_editor() as editor:
        editor.alter_field(thing, thing._meta.get_field("number"), commented)
    assert lines("warehouse_thing")["number"].comment == "how many"
    with connection.schema_editor() as editor:
        editor.alter_field(thing, commented, new(thing, "number", models.BigIntegerField(null=True, db_comment="many")))
        editor.add_field(thing, new(thing, "more", models.IntegerField(null=True, db_comment="more")))
    assert {name: line.comment for name, line in lines("warehouse_thing").items() if line.comment} == {
        "number": "many",
        "more": "more",
    }


def test_another_primary_key_leaves_the_former_one_until_it_is_removed(thing):
    key = new(thing, "tenant", models.CharField(primary_key=True, max_length=9))
    with connection.schema_editor() as editor:
        editor.alter_field(thing, thing._meta.get_field("tenant"), key)
    assert rows() == [("n0", None, "0"), ("n1", 1, "1"), ("n2", 2, "2")]
    with connection.schema_editor() as editor:
        editor.remove_field(thing, thing._meta.get_field("id"))
    assert list(lines("warehouse_thing")) == ["name", "number", "tenant"]


def test_the_numbers_of_a_replaced_table_go_on(thing):
    alter(thing, "number", models.BigIntegerField(null=True))
    connection.settings_dict["OPTIONS"]["primary_keys"] = "max"
    try:
        made = thing.objects.create(name="next", tenant=9)
    finally:
        del connection.settings_dict["OPTIONS"]["primary_keys"]
    assert thing.objects.get(pk=made.pk).name == "next"
    assert len({row for (row,) in rows(what='"id"')}) == 4


def test_a_long_name_has_another_for_the_table_that_replaces_it():
    long = type(
        "Long",
        (models.Model,),
        {
            "number": models.IntegerField(),
            "__module__": __name__,
            "Meta": type("Meta", (), {"app_label": "warehouse", "db_table": "l" * 63, "apps": Apps()}),
        },
    )
    with connection.schema_editor() as editor:
        editor.create_model(long)
    try:
        alter(long, "number", models.BigIntegerField())
        assert lines("l" * 63)["number"].type_code == 20
    finally:
        with connection.schema_editor() as editor:
            editor.delete_model(long)


def test_all_statements_of_a_string_run_in_one_transaction():
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE two (a int, b varchar(5)); INSERT INTO two VALUES (1, 'x;y'); SELECT b FROM two")
        assert cursor.fetchall() == [("x;y",)]
        with pytest.raises(DatabaseError):
            cursor.execute("DELETE FROM two; SELECT no_such_column FROM two")
        cursor.execute("SELECT count(*) FROM two")
        assert cursor.fetchone() == (1,)
        with pytest.raises(DatabaseError, match="returning"):
            cursor.execute("DELETE FROM two; DELETE FROM two RETURNING a")
        lines = connection.introspection.get_table_description(cursor, "two")
        assert [line.display_size for line in lines][1] == 5
        cursor.execute("DROP TABLE two")


def test_a_foreign_key_is_declared_to_the_table_that_it_refers_to_now():
    old = Declared._meta.get_field("customer")
    to_old = new(Declared, "customer", models.ForeignKey(Old, models.CASCADE))
    for before, after, target in ((old, to_old, "warehouse_old"), (to_old, old, "warehouse_customer")):
        with connection.schema_editor() as editor:
            editor.alter_field(Declared, before, after)
        keys = [entry["foreign_key"] for entry in constraints("warehouse_declared").values() if entry["foreign_key"]]
        assert keys == [(target, "id")]


def test_a_field_that_is_unique_no_more_leaves_the_constraints_of_the_model():
    once = models.UniqueConstraint(fields=["code"], name="code_once")
    unique, plain = Declared._meta.get_field("code"), new(Declared, "code", models.CharField(max_length=10))
    Declared._meta.constraints.append(once)
    try:
        with connection.schema_editor() as editor:
            editor.add_constraint(Declared, once)
            editor.alter_field(Declared, unique, plain)
        assert [name for name, entry in constraints("warehouse_declared").items() if entry["columns"] == ["code"]] == [
            "code_once"
        ]
    finally:
        Declared._meta.constraints.remove(once)
        with connection.schema_editor() as editor:
            editor.remove_constraint(Declared, once)
            editor.alter_field(Declared, plain, unique)


@pytest.mark.skipif(not hasattr(models, "DB_CASCADE"), reason="Django 6.1 has it")
def test_what_the_database_would_have_to_delete_is_refused_before_the_table_is_made():
    class Gone(models.Model):
        customer = models.ForeignKey(Customer, models.DB_CASCADE)

        class Meta:
            app_label = "warehouse"
            apps = Apps()

    with pytest.raises(NotSupportedError, match="use CASCADE"), connection.schema_editor() as editor:
        editor.create_model(Gone)
    assert "warehouse_gone" not in connection.introspection.table_names()

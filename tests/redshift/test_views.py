"""Views by migration operations: what they show, and that a late-binding one leaves its table free."""

from __future__ import annotations

import pytest
from django.db import NotSupportedError, ProgrammingError, connection, connections, models
from django.db.migrations import Migration
from django.db.migrations.state import ProjectState
from django.db.migrations.writer import MigrationWriter

from horizon_shards.backends.redshift.views import CreateLateBindingView, CreateMaterializedView, refresh
from horizon_shards.testing.redshift import check_sql
from tests.redshift.warehouse.models import Incoming

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")

NAMES = CreateMaterializedView(
    "names",
    'SELECT "id", "name" FROM "warehouse_incoming"',
    auto_refresh=True,
    backup=False,
    distkey="id",
    sortkey=["name"],
)
LATE = CreateLateBindingView("late_names", 'SELECT "id", "name" || \'!\' AS "name" FROM {schema}"warehouse_incoming"')


def forwards(operation, alias="default"):
    with connections[alias].schema_editor() as editor:
        operation.database_forwards("warehouse", editor, ProjectState(), ProjectState())


def backwards(operation, alias="default"):
    with connections[alias].schema_editor() as editor:
        operation.database_backwards("warehouse", editor, ProjectState(), ProjectState())


def read(name, alias="default"):
    with connections[alias].cursor() as cursor:
        cursor.execute(f'SELECT "name" FROM "{name}" ORDER BY "id"')
        return [name for (name,) in cursor.fetchall()]


@pytest.fixture
def view(request):
    forwards(request.param)
    yield request.param.name
    backwards(request.param)


@pytest.mark.parametrize("view", [NAMES], indirect=True)
def test_a_materialized_view_shows_what_was_there_when_it_was_refreshed(view):
    Incoming.objects.create(pk=1, name="Ann")
    assert read(view) == []
    refresh(connection, view)
    assert read(view) == ["Ann"]


@pytest.mark.parametrize("view", [LATE], indirect=True)
def test_a_late_binding_view_lets_its_table_be_replaced(view):
    Incoming.objects.create(pk=1, name="Ann")
    assert read(view) == ["Ann!"]
    name, wider = Incoming._meta.get_field("name"), models.CharField(max_length=50, null=True)
    wider.set_attributes_from_name("name")
    wider.model = Incoming
    for before, after in ((name, wider), (wider, name)):
        with connection.schema_editor() as editor:
            editor.alter_field(Incoming, before, after)
        assert read(view) == ["Ann!"]


def test_a_plain_view_does_not():
    with connection.cursor() as cursor:
        cursor.execute('CREATE VIEW "bound" AS SELECT "name" FROM "warehouse_incoming"')
        with pytest.raises(NotSupportedError, match="bound"), connection.schema_editor() as editor:
            name = models.IntegerField()
            name.set_attributes_from_name("name")
            editor.alter_field(Incoming, Incoming._meta.get_field("name"), name)
        cursor.execute('DROP VIEW "bound"')


def test_all_attributes_are_written_and_are_redshift():
    sql = NAMES._create(connection)
    assert 'BACKUP NO DISTSTYLE KEY DISTKEY ("id") SORTKEY ("name") AUTO REFRESH YES AS SELECT' in sql
    assert check_sql(sql) == check_sql(NAMES._drop(connection)) == check_sql(LATE._create(connection)) == []


@pytest.mark.parametrize("operation", [NAMES, LATE])
def test_elsewhere_it_is_a_plain_view(operation):
    forwards(operation, "elsewhere")
    Incoming.objects.using("elsewhere").create(pk=1, name="Ann")
    assert read(operation.name, "elsewhere")[0].startswith("Ann")
    refresh(connections["elsewhere"], operation.name)
    backwards(operation, "elsewhere")
    with pytest.raises(Exception, match="no such table"):
        read(operation.name, "elsewhere")


def test_a_migration_can_be_written():
    migration = Migration("0001_initial", "warehouse")
    migration.operations = [NAMES, LATE]
    text = MigrationWriter(migration).as_string()
    assert "import horizon_shards.backends.redshift.views" in text
    assert "sortkey=['name']" in text
    assert NAMES.describe() == "Create materialized view names"


def test_a_late_binding_view_names_the_schema():
    with connection.cursor() as cursor, pytest.raises(ProgrammingError, match="late-binding"):
        cursor.execute("CREATE VIEW v AS SELECT name FROM warehouse_incoming WITH NO SCHEMA BINDING")

"""Migrations: what makemigrations writes, what migrate makes of it, and what inspectdb reads back."""

from __future__ import annotations

import datetime as dt
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection, models
from django.db.migrations import AlterField, CreateModel, RemoveField
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.state import ModelState, ProjectState

from horizon_shards.backends.redshift.storage import storage_of
from tests.redshift.test_schema import lines, stored
from tests.redshift.warehouse.models import Customer, Old, Visit

pytestmark = pytest.mark.django_db(transaction=True)


def state_of(*found):
    state = ProjectState()
    for model in found:
        state.add_model(ModelState.from_model(model))
    return state


def detected(before, after):
    return MigrationAutodetector(before, after)._detect_changes().get("warehouse", [])


def applied(migrations, state):
    for migration in migrations:
        state = migration.mutate_state(state)
    return state


def test_makemigrations_writes_storage_without_help_and_finds_nothing_afterwards():
    state = applied(detected(ProjectState(), state_of(Customer, Visit, Old)), ProjectState())
    assert storage_of(state.apps.get_model("warehouse", "Visit")) == storage_of(Visit)
    assert storage_of(state.apps.get_model("warehouse", "Old")).distkey == "group"
    assert detected(state, state_of(Customer, Visit, Old)) == []


def test_a_migration_as_it_is_written_makes_the_table_with_its_attributes():
    from django.db.migrations.writer import MigrationWriter

    text = "".join(MigrationWriter(each).as_string() for each in detected(ProjectState(), state_of(Customer, Visit)))
    assert "storage.Storage(" in text
    assert "distkey='customer'" in text
    assert "sortkey=('at', 'customer')" in text


def test_a_changed_key_type_changes_those_who_refer_to_it():
    state = state_of(Customer, Visit)
    operation = AlterField("customer", "id", models.CharField(primary_key=True, max_length=20))
    changed = state.clone()
    operation.state_forwards("warehouse", changed)
    ann = Customer.objects.create(pk=7, name="Ann")
    Visit.objects.create(customer=ann, at=dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc))
    try:
        with connection.schema_editor() as editor:
            operation.database_forwards("warehouse", editor, state, changed)
        assert lines("warehouse_visit")["customer_id"].type_code == lines("warehouse_customer")["id"].type_code
        assert stored("warehouse_visit").distkey == "customer_id"
        assert changed.apps.get_model("warehouse", "visit").objects.get().customer.pk == "7"
    finally:
        with connection.schema_editor() as editor:
            operation.database_backwards("warehouse", editor, changed, state)
    assert Visit.objects.get().customer == ann


def test_a_foreign_key_is_removed():
    state = state_of(Customer, Visit)
    operation = RemoveField("visit", "customer")
    changed = state.clone()
    operation.state_forwards("warehouse", changed)
    try:
        with connection.schema_editor() as editor:
            operation.database_forwards("warehouse", editor, state, changed)
        assert "customer_id" not in lines("warehouse_visit")
        assert (stored("warehouse_visit").distkey, stored("warehouse_visit").sortkey) == (None, ())
    finally:
        with connection.schema_editor() as editor:
            editor.delete_model(Visit)
            editor.create_model(Visit)


def test_a_number_gives_way_to_another_key():
    before = ProjectState()
    made = CreateModel("Swap", [("id", models.BigAutoField(primary_key=True)), ("code", models.IntegerField())])
    operations = [
        made,
        RemoveField("swap", "id"),
        AlterField("swap", "code", models.CharField(max_length=9, primary_key=True)),
    ]
    after = before
    try:
        with connection.schema_editor() as editor:
            for operation in operations:
                before, after = after, after.clone()
                operation.state_forwards("warehouse", after)
                operation.database_forwards("warehouse", editor, before, after)
        assert list(lines("warehouse_swap")) == ["code"]
        assert after.apps.get_model("warehouse", "swap").objects.create(code="x").pk == "x"
    finally:
        with connection.cursor() as cursor:
            cursor.execute('DROP TABLE IF EXISTS "warehouse_swap"')


def test_inspectdb_writes_storage_back():
    out = StringIO()
    call_command("inspectdb", "warehouse_visit", stdout=out)
    text = out.getvalue()
    assert "class Redshift:" in text
    assert "distkey = 'customer_id'" in text
    assert "sortkey = ('at', 'customer_id')" in text
    assert "'path': 'zstd'" in text
    assert "data = models.JSONField()" in text

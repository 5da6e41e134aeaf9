"""Composite foreign keys in migrations: written once, found unchanged, renamed along, and applied."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from django.db import connections, migrations, models
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.questioner import MigrationQuestioner
from django.db.migrations.state import ModelState, ProjectState
from django.db.migrations.writer import MigrationWriter

from horizon_shards.fields import CompositeForeignKey
from tests.composite.models import Clerk, Coat, Offer, Sign

MODELS = list(apps.get_app_config("composite").get_models())


def state_of(*models_: Any) -> ProjectState:
    state = ProjectState()
    for model in models_:
        state.add_model(ModelState.from_model(model) if isinstance(model, type) else model)
    return state


def changes(before: ProjectState, after: ProjectState, questioner: Any = None) -> list[Any]:
    found = MigrationAutodetector(before, after, questioner)._detect_changes()
    return [operation for migration in found.get("composite", []) for operation in migration.operations]


def test_nothing_changes_by_itself() -> None:
    assert changes(state_of(*MODELS), state_of(*MODELS)) == []


def test_what_was_written_is_read_again(tmp_path: Any) -> None:
    """The text of a migration, executed, gives models that the installed ones do not differ from."""
    operations = changes(ProjectState(), state_of(*MODELS))
    migration = type("Migration", (migrations.Migration,), {"operations": operations})("0001", "composite")
    text = MigrationWriter(migration).as_string()
    assert "to_fields={'code': 'code', 'kind': horizon_shards.fields.RawFieldValue('alpha')}" in text
    assert "null_if_equal=[('desk_number', 0)]" in text
    assert "nullable_fields={'desk_number': 0}" in text
    written = [line for line in text.splitlines() if "horizon_shards.fields.Composite" in line]
    assert len(written) == 13
    assert not any("serialize" in line or "from_fields" in line for line in written)
    namespace: dict[str, Any] = {}
    exec(text, namespace)
    state = namespace["Migration"]("0001", "composite").mutate_state(ProjectState())
    assert changes(state, state_of(*MODELS)) == []


@pytest.mark.parametrize("model", [Clerk, Coat, Offer, Sign])
def test_a_clone_is_equal(model: Any) -> None:
    field = next(field for field in model._meta.fields if isinstance(field, CompositeForeignKey))
    assert field.clone().deconstruct()[1:] == field.deconstruct()[1:]
    assert field.clone().on_delete is field.on_delete


class Yes(MigrationQuestioner):
    """Says that what looks renamed was renamed."""

    def ask_rename(self, *args: Any) -> bool:
        return True


def small(local: str = "number", remote: str = "number") -> ProjectState:
    number = models.IntegerField
    home = ModelState(
        "composite", "Home", [("id", models.AutoField(primary_key=True)), ("street", number()), (remote, number())]
    )
    relation = CompositeForeignKey(
        "composite.Home", models.CASCADE, {"street": "street", remote: local}, related_name="+"
    )
    cat = ModelState(
        "composite",
        "Cat",
        [("id", models.AutoField(primary_key=True)), ("street", number()), (local, number()), ("home", relation)],
    )
    return state_of(home, cat)


@pytest.mark.parametrize("names", [("house", "number"), ("number", "house")])
def test_renaming_a_column_renames_it_in_the_relation(names: tuple[str, str]) -> None:
    before = small()
    operations = changes(before, small(*names), Yes())
    assert [type(operation).__name__ for operation in operations] == ["RenameField"]
    for operation in operations:
        operation.state_forwards("composite", before)
    assert changes(before, small(*names)) == []


@pytest.mark.django_db(databases="__all__", transaction=True)
def test_the_relation_is_added_altered_and_removed_without_a_column() -> None:
    connection = connections["oracle"]
    state = small()
    cat = state.models["composite", "cat"]
    relation = cat.fields.pop("home")
    operations = [
        migrations.AddField("Cat", "home", relation),
        migrations.AlterField(
            "Cat",
            "home",
            CompositeForeignKey("composite.Home", models.PROTECT, {"street": "street", "number": "number"}),
        ),
        migrations.RenameField("Cat", "number", "house"),
        migrations.RenameField("Cat", "home", "place"),
        migrations.RemoveField("Cat", "place"),
    ]
    made = [state.apps.get_model("composite", name) for name in ("home", "cat")]
    with connection.schema_editor() as editor:
        for model in made:
            editor.create_model(model)
    try:
        states = [state]
        for operation in operations:
            after = states[-1].clone()
            operation.state_forwards("composite", after)
            with connection.schema_editor() as editor:
                operation.database_forwards("composite", editor, states[-1], after)
            states.append(after)
            if len(states) == 4:
                home, cat = (after.apps.get_model("composite", name) for name in ("home", "cat"))
                home.objects.using("oracle").create(street=1, number=2)
                cat.objects.using("oracle").create(street=1, house=2)
                assert cat.objects.using("oracle").get(home__number=2).home.street == 1
        for operation, before, after in reversed(list(zip(operations, states, states[1:], strict=False))):
            with connection.schema_editor() as editor:
                operation.database_backwards("composite", editor, after, before)
    finally:
        with connection.schema_editor() as editor:
            for model in reversed(made):
                editor.delete_model(model)


def test_no_migration_is_missing_for_the_package() -> None:
    loader = MigrationLoader(None)
    found = MigrationAutodetector(loader.project_state(), ProjectState.from_apps(apps)).changes(graph=loader.graph)
    assert "horizon_shards" not in found

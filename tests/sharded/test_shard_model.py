"""A model of somebody else's app, sharded by ``shard_model()``."""

from __future__ import annotations

import pytest
from django.db import models
from django.db.transaction import atomic

from horizon_shards import forbid_scatter
from horizon_shards.declarations import declaration_of, declaration_of_label, forget, key_of
from horizon_shards.exceptions import InvalidShardKey, ShardKeyUpdate
from horizon_shards.models import ShardedModel, move_row, shard_model
from horizon_shards.testing import assert_single_shard
from horizon_shards.topology import get_group
from tests.foreign_app.models import Kind, Note, Untouched
from tests.sharded.rows import rows_of_shard

pytestmark = pytest.mark.django_db(databases=["default", "track"])
SHARDS = ("track-1", "track-2", "track-3", "track-4")


@pytest.fixture
def notes(db: None) -> list[Note]:
    """A note of each of 24 owners."""
    return Note.objects.bulk_create([Note(owner=owner, text=f"note {owner}") for owner in range(24)])


def owner_elsewhere(owner: int) -> int:
    """An owner on another shard."""
    mapping = get_group("track").mapping
    return next(n for n in range(24) if mapping.place(n) != mapping.place(owner))


def test_it_is_declared_without_a_class_of_its_own() -> None:
    assert not issubclass(Note, ShardedModel)
    assert not hasattr(Note, "Sharding")
    declaration = declaration_of(Note)
    assert declaration is not None
    assert (declaration.database, declaration.kind, declaration.key) == ("track", "sharded", ("owner",))
    assert declaration_of_label("foreign_app.NOTE") == declaration
    assert declaration_of(Kind).kind == "reference"  # type: ignore[union-attr]
    assert declaration_of(Untouched) is None
    assert key_of(Note(owner="7")) == 7


def test_its_rows_are_on_the_shards_of_their_keys(notes: list[Note]) -> None:
    mapping = get_group("track").mapping
    for shard in SHARDS:
        assert rows_of_shard(Note, shard) == {note.pk for note in notes if mapping.resolve(note.owner) == shard}
    assert list(Note.objects.order_by("owner")) == notes
    with assert_single_shard():
        assert Note.objects.get(owner=5) == notes[5]


def test_an_instance_keeps_to_its_shard(notes: list[Note]) -> None:
    for note in notes:
        with assert_single_shard(), forbid_scatter():
            note.text = "changed"
            note.save()
            note.save(update_fields=["text"])
            note.refresh_from_db()
            assert note.text == "changed"
    assert Note.objects.filter(text="changed").count() == 24


def test_the_apps_own_methods_go_on_working(notes: list[Note]) -> None:
    Note.deleted.clear()
    with assert_single_shard(), forbid_scatter():
        assert notes[3].delete() == (1, {"foreign_app.Note": 1})
    assert Note.deleted == ["note 3"]
    assert Note.objects.count() == 23
    assert Note.delete.alters_data  # type: ignore[attr-defined]


def test_the_key_is_needed_and_not_changed_by_saving(notes: list[Note]) -> None:
    note = notes[0]
    note.owner = owner_elsewhere(0)
    with pytest.raises(ShardKeyUpdate, match=r"foreign_app\.Note.*\(owner\).*move_row"), atomic(using="track"):
        note.save()
    note.owner = None  # type: ignore[assignment]
    with pytest.raises(InvalidShardKey, match=r"foreign_app\.Note is None"), atomic(using="track"):
        note.save()
    assert Note.objects.get(pk=note.pk).owner == 0


def test_its_row_moves_by_the_call_for_it(notes: list[Note]) -> None:
    pk, target = notes[0].pk, owner_elsewhere(0)
    assert move_row(notes[0], owner=target).pk == pk
    assert Note.objects.count() == 24
    with assert_single_shard():
        assert Note.objects.filter(owner=target).count() == 2


def test_a_reference_model_is_copied(db: None) -> None:
    kind = Kind.objects.create(name="x")
    kind.name = "y"
    kind.save()
    for shard in SHARDS:
        assert rows_of_shard(Kind, shard) == {kind.pk}
    kind.delete()
    assert [rows_of_shard(Kind, shard) for shard in SHARDS] == [set()] * 4


def test_the_rest_of_the_app_stays_where_it_was(db: None) -> None:
    assert Untouched.objects.create(name="x")._state.db == "default"


def test_a_declaration_can_come_before_the_model() -> None:
    shard_model("foreign_app.Later", database="track", key="owner")
    try:

        class Later(models.Model):
            owner = models.IntegerField()

            class Meta:
                app_label = "foreign_app"

        declaration = declaration_of(Later)
        assert declaration is not None
        assert declaration.key == ("owner",)
        assert Later._do_update.__name__ == "_do_update"
        assert vars(Later)["_horizon_adopted"]
    finally:
        forget("foreign_app.Later")
        Note._meta.apps.all_models["foreign_app"].pop("later", None)
        Note._meta.apps.clear_cache()


def test_declaring_twice_adopts_once() -> None:
    saved = vars(Note)["delete"]
    shard_model(Note, database="track", key="owner")
    assert vars(Note)["delete"] is saved

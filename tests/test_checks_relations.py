"""Each check of a relation speaks for its fault, and is silent for good relations."""

from __future__ import annotations

import itertools
import uuid
from typing import Any

import django
import pytest
from django.db import models
from django.test.utils import isolate_apps

from horizon_shards.fields import ShardedIdField
from horizon_shards.models import ReferenceModel, ShardedModel
from horizon_shards.models.deletion import SHARD_CASCADE, SHARD_PROTECT, SHARD_SET_NULL
from tests.shop.models import Account, Country, Customer, Entry, Site, Tag, Visitor
from tests.test_checks_models import Keyed, found, the

isolated = isolate_apps("tests")
number = itertools.count()
needs_61 = pytest.mark.skipif(django.VERSION < (6, 1), reason="on_delete in the database is new in Django 6.1")


def relating(field: Any, *, parent: type[models.Model] = ShardedModel, **attributes: Any) -> type[models.Model]:
    """A model of ``track`` with one relation ``other``."""
    members = {
        "__module__": __name__,
        "Meta": type("Meta", (), {"app_label": "tests"}),
        "id": ShardedIdField(primary_key=True),
        "site": models.ForeignKey(Site, models.DO_NOTHING, db_constraint=False, related_name="+"),
        "other": field,
        "Sharding": Keyed,
        **attributes,
    }
    return type(f"Relating{next(number)}", (parent,), members)


def unsharded(field: Any) -> type[models.Model]:
    """An unsharded model with one relation ``other``."""
    members = {"__module__": __name__, "Meta": type("Meta", (), {"app_label": "tests"}), "other": field}
    return type(f"Unsharded{next(number)}", (models.Model,), members)


@isolated
def test_a_constraint_to_an_unsharded_model() -> None:
    model = relating(models.ForeignKey(Site, models.DO_NOTHING, related_name="+"))
    assert found(model) == ["E301"]
    assert "db_constraint=False" in str(the(model, "E301").hint)


@isolated
def test_a_constraint_to_another_group() -> None:
    assert found(relating(models.ForeignKey(Customer, models.DO_NOTHING, related_name="+"))) == ["E301", "W305"]


@isolated
def test_a_relation_to_another_group() -> None:
    model = relating(models.ForeignKey(Customer, models.DO_NOTHING, db_constraint=False, related_name="+"))
    assert found(model) == ["W305"]
    assert "'crm'" in the(model, "W305").msg


@isolated
def test_a_foreign_object_to_another_group() -> None:
    other = models.ForeignObject(
        Entry, models.DO_NOTHING, from_fields=["region"], to_fields=["region"], related_name="+", null=True
    )
    assert found(relating(other, region=models.CharField(max_length=9))) == ["W305"]


@isolated
def test_a_constraint_to_a_row_that_may_be_on_another_shard() -> None:
    model = relating(models.ForeignKey(Account, models.CASCADE, related_name="+"))
    assert found(model) == ["E302"]
    assert found(relating(models.ForeignKey(Account, models.CASCADE, db_constraint=False, related_name="+"))) == []


@isolated
def test_a_constraint_between_colocated_models() -> None:
    assert found(relating(models.ForeignKey(Visitor, models.CASCADE, related_name="+"))) == []
    assert found(relating(models.ForeignKey("self", models.CASCADE, null=True, related_name="+"))) == []


@isolated
def test_a_model_keyed_by_a_foreign_key_is_colocated_with_what_it_refers_to() -> None:
    class Keyed:
        database = "track"
        key = "other"

    assert found(relating(models.ForeignKey(Account, models.CASCADE, related_name="+"), Sharding=Keyed)) == []


@isolated
def test_plain_keys_of_the_same_name_and_type_are_colocated() -> None:
    class OfTenant:
        database = "crm"
        key = "tenant"

    field = models.ForeignKey(Customer, models.CASCADE, related_name="+")
    text, number = models.CharField(max_length=100), models.IntegerField()
    pk = models.UUIDField(primary_key=True, default=uuid.uuid4)
    assert found(relating(field, id=pk, tenant=text, Sharding=OfTenant)) == []
    field = models.ForeignKey(Customer, models.CASCADE, related_name="+")
    pk = models.UUIDField(primary_key=True, default=uuid.uuid4)
    assert found(relating(field, id=pk, tenant=number, Sharding=OfTenant)) == ["E302"]


@isolated
def test_a_relation_to_a_reference_model() -> None:
    assert found(relating(models.ForeignKey(Country, models.PROTECT, related_name="+"))) == []


@isolated
@pytest.mark.parametrize("on_delete", [models.CASCADE, models.PROTECT, models.RESTRICT, models.SET_NULL, models.SET(1)])
def test_a_handler_that_looks_in_the_wrong_database(on_delete: Any) -> None:
    field = models.ForeignKey(Site, on_delete, null=True, db_constraint=False, related_name="+")
    model = relating(field)
    assert found(model) == ["E303"]
    assert "SHARD_CASCADE" in str(the(model, "E303").hint)


@isolated
@pytest.mark.parametrize("on_delete", [SHARD_CASCADE, SHARD_PROTECT, SHARD_SET_NULL, models.DO_NOTHING])
def test_handlers_that_look_on_the_shards(on_delete: Any) -> None:
    assert found(relating(models.ForeignKey(Site, on_delete, null=True, db_constraint=False, related_name="+"))) == []


@isolated
def test_the_handler_of_a_reference_model_matters_too() -> None:
    field = models.ForeignKey(Site, models.CASCADE, db_constraint=False, related_name="+")
    sharding = type("Sharding", (), {"database": "track"})
    assert found(relating(field, parent=ReferenceModel, Sharding=sharding, site=None)) == ["E303"]


@needs_61
@isolated
@pytest.mark.parametrize("name", ["DB_CASCADE", "DB_SET_NULL"])
def test_the_database_cannot_cascade_to_other_databases(name: str) -> None:
    on_delete = getattr(models, name)
    elsewhere = models.ForeignKey(Site, on_delete, null=True, db_constraint=False, related_name="+")
    assert found(relating(elsewhere)) == ["E304"]
    other_key = models.ForeignKey(Account, on_delete, null=True, db_constraint=False, related_name="+")
    assert found(relating(other_key)) == ["E304"]
    no_constraint = models.ForeignKey(Visitor, on_delete, null=True, db_constraint=False, related_name="+")
    assert found(relating(no_constraint)) == ["E304"]


@needs_61
@isolated
def test_the_database_cannot_set_a_default_elsewhere() -> None:
    field = models.ForeignKey(Site, models.DB_SET_DEFAULT, db_default=1, db_constraint=False, related_name="+")
    assert found(relating(field)) == ["E304"]


@needs_61
@isolated
def test_the_database_can_cascade_on_one_shard() -> None:
    assert found(relating(models.ForeignKey(Visitor, models.DB_CASCADE, related_name="+"))) == []
    assert found(relating(models.ForeignKey(Country, models.DB_CASCADE, related_name="+"))) == []


@isolated
def test_a_reference_model_that_refers_to_a_sharded_one() -> None:
    sharding = type("Sharding", (), {"database": "track"})
    field = models.ForeignKey(Visitor, models.CASCADE, related_name="+")
    assert found(relating(field, parent=ReferenceModel, Sharding=sharding, site=None)) == ["E307"]
    field = models.ForeignKey(Country, models.CASCADE, related_name="+")
    assert found(relating(field, parent=ReferenceModel, Sharding=sharding, site=None)) == []


@isolated
def test_an_unsharded_model_that_refers_to_a_sharded_one() -> None:
    assert found(unsharded(models.ForeignKey(Visitor, models.CASCADE, related_name="+"))) == ["E301", "W308"]
    field = models.ForeignKey(Visitor, models.CASCADE, db_constraint=False, related_name="+")
    assert found(unsharded(field)) == ["W308"]
    field = models.ForeignKey(Customer, models.DO_NOTHING, db_constraint=False, related_name="+")
    assert found(unsharded(field)) == ["W308"]


@isolated
def test_an_unsharded_model_may_refer_to_a_sharded_id_without_a_handler() -> None:
    field = models.ForeignKey(Visitor, models.DO_NOTHING, db_constraint=False, related_name="+")
    assert found(unsharded(field)) == []


@isolated
def test_relations_between_unsharded_models_are_nobodys_business() -> None:
    assert found(unsharded(models.ForeignKey(Site, models.CASCADE, related_name="+"))) == []
    assert found(unsharded(models.ManyToManyField(Site, related_name="+"))) == []


@isolated
def test_an_automatic_many_to_many_table_without_sharded_ids() -> None:
    pk = models.UUIDField(primary_key=True, default=uuid.uuid4)
    model = relating(models.ManyToManyField(Tag, related_name="+"), id=pk)
    assert found(model) == ["E306"]
    assert "through=" in str(the(model, "E306").hint)


@isolated
def test_an_automatic_many_to_many_table_with_sharded_ids() -> None:
    assert found(relating(models.ManyToManyField(Tag, related_name="+"))) == []
    assert found(relating(models.ManyToManyField(Country, related_name="+"))) == []


@isolated
def test_a_bucket_tells_nothing_where_the_directory_has_a_row_for_each_key() -> None:
    class OfTenant:
        database = "crm"
        key = "tenant"

    tenant = models.CharField(max_length=9)
    model = relating(models.ManyToManyField(Customer, related_name="+"), tenant=tenant, Sharding=OfTenant)
    assert found(model) == ["E306"]


@isolated
def test_an_automatic_many_to_many_table_between_different_keys() -> None:
    assert found(relating(models.ManyToManyField(Account, related_name="+"))) == ["E302"]
    assert found(relating(models.ManyToManyField(Account, db_constraint=False, related_name="+"))) == []


@isolated
def test_an_explicit_through_model_needs_no_cure() -> None:
    pk = models.UUIDField(primary_key=True, default=uuid.uuid4)
    model = relating(models.ManyToManyField(Tag, through="Between", related_name="+"), id=pk)

    class Between(ShardedModel):
        id = ShardedIdField(primary_key=True)
        site = models.ForeignKey(Site, SHARD_CASCADE, db_constraint=False, related_name="+")
        relating = models.ForeignKey(model, models.CASCADE, related_name="+")
        tag = models.ForeignKey(Tag, models.CASCADE, related_name="+")
        Sharding = Keyed

        class Meta:
            app_label = "tests"

    assert (found(model), found(Between)) == ([], [])


@isolated
def test_many_to_many_between_sharded_and_unsharded() -> None:
    assert found(relating(models.ManyToManyField(Site, related_name="+"))) == ["E309"]
    assert found(unsharded(models.ManyToManyField(Visitor, related_name="+"))) == ["W308"]


@isolated
def test_many_to_many_between_groups() -> None:
    assert found(relating(models.ManyToManyField(Customer, related_name="+"))) == ["W305"]


@isolated
def test_many_to_many_of_a_reference_model() -> None:
    sharding = type("Sharding", (), {"database": "track"})
    field = models.ManyToManyField(Visitor, related_name="+")
    assert found(relating(field, parent=ReferenceModel, Sharding=sharding, site=None)) == ["E307"]

"""Each check of a declaration, a key or a unique constraint speaks for its fault, and is silent for good models."""

from __future__ import annotations

import itertools
import uuid
from typing import Any

import pytest
from django.apps import apps
from django.core.checks import CheckMessage
from django.db import models
from django.db.models.functions import Lower
from django.test.utils import isolate_apps

from horizon_shards.checks import check_model, check_models
from horizon_shards.fields import ShardedIdField
from horizon_shards.models import ReferenceModel, ShardedModel
from horizon_shards.models.deletion import SHARD_CASCADE
from tests.settings import ENGINE
from tests.shop.models import Site, Visitor

isolated = isolate_apps("tests")
number = itertools.count()
#: On MySQL a text key that names no collation is compared without regard to case.
TEXT_KEY = ["W206"] if ENGINE == "mysql" else []


class Keyed:
    """``class Sharding`` of most models here."""

    database = "track"
    key = "site"


class Sharded(ShardedModel):
    """Gives the models here a label; this module is of no app."""

    class Meta:
        abstract = True
        app_label = "tests"


class Reference(ReferenceModel):
    class Meta:
        abstract = True
        app_label = "tests"


class Plain(models.Model):
    class Meta:
        abstract = True
        app_label = "tests"


def found(model: type[models.Model]) -> list[str]:
    """The ids of what the checks say of a model; every message has a hint."""
    messages: list[CheckMessage] = check_model(model)
    assert all(message.hint and message.msg for message in messages)
    return [str(message.id).removeprefix("horizon_shards.") for message in messages]


def the(model: type[models.Model], code: str) -> CheckMessage:
    """The one message with this id."""
    (message,) = [message for message in check_model(model) if message.id == f"horizon_shards.{code}"]
    return message


def test_the_good_models_of_the_tests_say_nothing() -> None:
    assert check_models(app_configs=[apps.get_app_config("shop")]) == []


def test_models_of_other_apps_are_not_asked_of() -> None:
    assert check_models(app_configs=[apps.get_app_config("auth")]) == []


@isolated
def test_a_good_model_says_nothing() -> None:
    class Good(Sharded):
        id = ShardedIdField(primary_key=True)
        site = models.IntegerField()
        Sharding = Keyed

    assert found(Good) == []


@isolated
@pytest.mark.parametrize("stated", [{"database": "track", "kee": "site"}, {"key": "site"}, {"database": None}])
def test_a_wrong_class_sharding(stated: dict[str, Any]) -> None:
    class Wrong(Sharded):
        id = ShardedIdField(primary_key=True)
        site = models.IntegerField()
        Sharding = type("Sharding", (), stated)

    assert found(Wrong) == ["E201"]


@isolated
def test_a_database_that_is_no_logical_one() -> None:
    class Misspelt(Sharded):
        id = ShardedIdField(primary_key=True)
        site = models.IntegerField()

        class Sharding:
            database = "trak"
            key = "site"

    assert found(Misspelt) == ["E202"]
    assert "'track'" in str(the(Misspelt, "E202").hint)


@isolated
def test_a_physical_database_is_no_logical_one() -> None:
    class Physical(Sharded):
        id = ShardedIdField(primary_key=True)
        site = models.IntegerField()

        class Sharding:
            database = "default"
            key = "site"

    assert found(Physical) == ["E202"]


LOOSE: dict[str, dict[str, Any]] = {
    "unique_together": {"unique_together": [("code", "name")]},
    "constraint": {"constraints": [models.UniqueConstraint(fields=["code"], name="c")]},
    "condition": {"constraints": [models.UniqueConstraint(fields=["code"], name="c", condition=models.Q(code__gt=""))]},
    "expression": {"constraints": [models.UniqueConstraint(Lower("code"), name="c")]},
    "key inside an expression": {"constraints": [models.UniqueConstraint(Lower("name"), "code", name="c")]},
}
BOUND: dict[str, dict[str, Any]] = {
    "unique_together": {"unique_together": [("site", "code")]},
    "constraint": {"constraints": [models.UniqueConstraint(fields=["code", "site"], name="c")]},
    "expression": {"constraints": [models.UniqueConstraint("site", Lower("code"), name="c")]},
    "id": {"constraints": [models.UniqueConstraint(fields=["id", "code"], name="c")]},
    "foreign key to a colocated sharded id": {
        "constraints": [models.UniqueConstraint(fields=["visitor", "code"], name="c")]
    },
    "uuid": {"constraints": [models.UniqueConstraint(fields=["token"], name="c")]},
    "no unique one": {"constraints": [models.CheckConstraint(condition=models.Q(code__gt=""), name="c")]},
}


def with_meta(meta: dict[str, Any], **attributes: Any) -> type[models.Model]:
    """A sharded model with this ``Meta``."""
    fields = {
        "__module__": __name__,
        "id": ShardedIdField(primary_key=True),
        "site": models.ForeignKey(Site, SHARD_CASCADE, db_constraint=False, related_name="+"),
        "visitor": models.ForeignKey(Visitor, models.CASCADE, related_name="+"),
        "code": models.CharField(max_length=9),
        "name": models.CharField(max_length=9),
        "token": models.UUIDField(default=uuid.uuid4),
        "Sharding": Keyed,
        "Meta": type("Meta", (), {"app_label": "tests", **meta}),
        **attributes,
    }
    return type(f"WithMeta{next(number)}", (ShardedModel,), fields)


@isolated
@pytest.mark.parametrize("meta", LOOSE.values(), ids=LOOSE)
def test_a_unique_constraint_without_the_key_holds_for_each_shard_only(meta: dict[str, Any]) -> None:
    model = with_meta(meta)
    assert found(model) == ["W207"]
    assert "site" in str(the(model, "W207").hint)


@isolated
@pytest.mark.parametrize("meta", BOUND.values(), ids=BOUND)
def test_a_unique_constraint_with_the_key_or_a_sharded_id_holds(meta: dict[str, Any]) -> None:
    assert found(with_meta(meta)) == []


@isolated
def test_a_unique_field() -> None:
    assert found(with_meta({}, code=models.CharField(max_length=9, unique=True))) == ["W207"]
    assert "'code'" in the(with_meta({}, code=models.CharField(max_length=9, unique=True)), "W207").msg


@isolated
def test_a_unique_shard_key() -> None:
    assert found(with_meta({}, site=models.IntegerField(unique=True), visitor=None)) == []


@isolated
def test_a_part_of_a_composite_key_does_not_make_a_constraint_hold() -> None:
    class Part(Sharded):
        id = models.UUIDField(primary_key=True, default=uuid.uuid4)
        region = models.CharField(max_length=9)
        day = models.DateField()

        class Meta(Sharded.Meta):
            abstract = False
            constraints = [
                models.UniqueConstraint(fields=["region"], name="part"),
                models.UniqueConstraint(fields=["region", "day"], name="whole"),
            ]

        class Sharding:
            database = "log"
            key = ("region", "day")

    assert found(Part) == ["W207"]
    assert "'part'" in the(Part, "W207").msg


@isolated
def test_a_reference_model_may_be_unique_as_it_likes() -> None:
    class Copied(Reference):
        code = models.CharField(max_length=2, unique=True)

        class Sharding:
            database = "track"

    assert found(Copied) == []


@isolated
def test_an_automatic_number_as_primary_key() -> None:
    class Counted(Sharded):
        site = models.IntegerField()
        Sharding = Keyed

    assert found(Counted) == ["E208"]


@isolated
def test_a_primary_key_that_is_unique_for_each_shard_only() -> None:
    class Coded(Sharded):
        code = models.CharField(max_length=9, primary_key=True)
        site = models.IntegerField()
        Sharding = Keyed

    assert found(Coded) == ["W209"]


@isolated
def test_a_composite_primary_key_without_the_shard_key() -> None:
    class Composite(Sharded):
        pk = models.CompositePrimaryKey("code", "number")
        code = models.CharField(max_length=9)
        number = models.IntegerField()
        site = models.IntegerField()
        Sharding = Keyed

    assert found(Composite) == ["W209"]


@isolated
def test_primary_keys_that_hold() -> None:
    class WithKey(Sharded):
        pk = models.CompositePrimaryKey("site_id", "number")
        site = models.ForeignKey(Site, SHARD_CASCADE, db_constraint=False)
        number = models.IntegerField()
        Sharding = Keyed

    class TheKey(Sharded):
        site = models.CharField(max_length=9, primary_key=True)
        Sharding = Keyed

    class OneToOne(Sharded):
        visitor = models.OneToOneField(Visitor, models.CASCADE, primary_key=True)
        site = models.ForeignKey(Site, SHARD_CASCADE, db_constraint=False)
        Sharding = Keyed

    assert (found(WithKey), found(TheKey), found(OneToOne)) == ([], TEXT_KEY, [])


@isolated
def test_multi_table_inheritance() -> None:
    class Parent(Sharded):
        id = ShardedIdField(primary_key=True)
        site = models.IntegerField()
        Sharding = Keyed

    class Child(Parent):
        pass

    assert found(Parent) == []
    assert "E210" in found(Child)
    assert "Parent" in the(Child, "E210").msg


@isolated
def test_a_sharded_child_of_an_unsharded_parent() -> None:
    class Parent(Plain):
        pass

    class Child(Parent, Sharded):
        site = models.IntegerField()
        Sharding = Keyed

    assert "E210" in found(Child)


@isolated
def test_an_abstract_parent_passes_its_declaration_on() -> None:
    class Parent(Sharded):
        id = ShardedIdField(primary_key=True)
        site = models.IntegerField()
        Sharding = Keyed

        class Meta(Sharded.Meta):
            abstract = True

    class Child(Parent):
        pass

    assert found(Child) == []


@isolated
def test_a_sharded_model_without_a_declaration() -> None:
    class Undeclared(Sharded):
        id = ShardedIdField(primary_key=True)

    class Keyless(Sharded):
        id = ShardedIdField(primary_key=True)

        class Sharding:
            database = "track"

    assert (found(Undeclared), found(Keyless)) == (["E211"], ["E211"])


@isolated
def test_a_reference_model_with_a_key_or_without_a_declaration() -> None:
    class WithKey(Reference):
        id = ShardedIdField(primary_key=True)
        site = models.IntegerField()
        Sharding = Keyed

    class Undeclared(Reference):
        pass

    assert (found(WithKey), found(Undeclared)) == (["E211"], ["E211"])

"""Each check of a composite foreign key speaks for its fault, and is silent for good ones."""

from __future__ import annotations

import itertools
from typing import Any

import django
from django.apps import apps
from django.db import models
from django.test.utils import isolate_apps

from horizon_shards.checks import check_model
from horizon_shards.fields import CompositeForeignKey, CompositeOneToOneField
from horizon_shards.models.deletion import SHARD_SET_NULL
from tests.composite.models import Desk
from tests.shop.models import Account, Ticket, Visitor
from tests.test_checks_models import found, the
from tests.test_checks_relations import needs_61, relating, unsharded

isolated = isolate_apps("tests")
number = models.IntegerField
count = itertools.count()


def key(*args: Any, **kwargs: Any) -> Any:
    """A composite foreign key to a desk."""
    return CompositeForeignKey(Desk, *(args or (models.CASCADE,)), ("branch", "number"), related_name="+", **kwargs)


def of_desk(field: Any, **attributes: Any) -> type[models.Model]:
    """A model with the columns of a desk's key, which cannot be NULL, and one relation ``other``."""
    members = {"__module__": __name__, "Meta": type("Meta", (), {"app_label": "tests"}), "other": field}
    columns = {"branch": number(), "number": number()}
    return type(f"OfDesk{next(count)}", (models.Model,), {**members, **columns, **attributes})


def test_the_models_of_the_tests_are_right() -> None:
    for model in (*apps.get_app_config("composite").get_models(), Ticket):
        assert [message.id for message in check_model(model) if message.id != "horizon_shards.W314"] == [], model
        assert [message.id for message in model.check() if "E310" not in message.id] == [], model


@isolated
def test_columns_that_are_not_there() -> None:
    assert found(of_desk(key(), branch=None)) == ["E310"]
    assert "'colour'" in the(of_desk(key(null_if_equal=[("colour", 1)], null=True)), "E310").msg
    assert found(of_desk(key(null=True, nullable_fields=["colour"]))) == ["E310"]
    inner = CompositeForeignKey(Desk, models.CASCADE, {"branch": "branch", "number": "other"}, related_name="+")
    assert found(of_desk(key(), inner=inner)) == ["E310"]


@isolated
def test_null_that_no_column_takes() -> None:
    nullable = {"number": number(null=True)}
    assert found(of_desk(key(models.SET_NULL))) == ["E311"]
    assert found(of_desk(key(SHARD_SET_NULL), **nullable)) == ["E311"]
    assert found(of_desk(key(models.SET_NULL, null=True))) == ["E311"]
    assert found(of_desk(key(null_if_equal=[("number", 0)]), **nullable)) == ["E311"]
    assert found(of_desk(key(models.SET_NULL, null=True, nullable_fields=["branch"]), **nullable)) == ["E311"]
    assert found(of_desk(key(models.SET_NULL, null=True), **nullable)) == []
    assert found(of_desk(key(models.SET_NULL, null=True, nullable_fields={"number": 0}))) == []


@isolated
def test_a_default_that_is_not_there() -> None:
    assert found(of_desk(key(models.SET_DEFAULT))) == ["E312"]
    assert found(of_desk(key(models.SET_DEFAULT), number=number(default=0))) == []


@needs_61
@isolated
def test_a_deletion_by_the_database() -> None:
    assert django.VERSION >= (6, 1)
    assert found(of_desk(key(models.DB_CASCADE))) == ["E312"]


@isolated
def test_the_shard_key_left_out() -> None:
    columns = {"name": models.CharField(max_length=9), "visitor_no": models.BigIntegerField()}
    without = CompositeForeignKey(Visitor, models.CASCADE, {"id": "visitor_no", "name": "name"}, related_name="+")
    model = relating(without, **columns)
    assert found(model) == ["W313"]
    assert "Add site to to_fields" in str(the(model, "W313").hint)
    good = CompositeForeignKey(Visitor, models.CASCADE, {"site": "site", "id": "visitor_no"}, related_name="+")
    assert found(relating(good, **columns)) == []
    another = CompositeForeignKey(Account, models.CASCADE, {"id": "visitor_no"}, related_name="+")
    assert found(relating(another, **columns)) == ["W313"]


@isolated
def test_a_one_to_one_relation_that_nothing_makes_unique() -> None:
    def one() -> Any:
        return CompositeOneToOneField(Desk, models.CASCADE, ("branch", "number"), related_name="+")

    assert found(of_desk(one())) == ["W314"]
    constraint = models.UniqueConstraint(fields=["number", "branch"], name="one")
    assert found(of_desk(one(), Meta=type("Meta", (), {"app_label": "tests", "constraints": [constraint]}))) == []
    assert found(of_desk(one(), number=number(unique=True))) == []


@isolated
def test_a_one_to_one_relation_with_the_shard_key_is_unique_over_the_shards() -> None:
    one = CompositeOneToOneField(Visitor, models.CASCADE, {"site": "site", "id": "visitor_no"}, related_name="+")
    assert found(relating(one, visitor_no=models.BigIntegerField())) == ["W314"]


@isolated
def test_handlers_that_look_in_the_wrong_database() -> None:
    to_desk = CompositeForeignKey(
        Desk, models.CASCADE, {"branch": "visitor_no", "number": "visitor_no"}, related_name="+"
    )
    assert found(relating(to_desk, visitor_no=models.BigIntegerField())) == ["E303"]
    to_visitor = CompositeForeignKey(Visitor, models.CASCADE, {"id": "id"}, related_name="+")
    assert found(unsharded(to_visitor)) == ["W308"]

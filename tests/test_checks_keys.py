"""Each check of a shard key speaks for its fault, and is silent for good keys."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections, models

from horizon_shards.fields import ShardedIdField
from horizon_shards.models.deletion import SHARD_CASCADE
from tests.changed_databases import databases
from tests.settings import sqlite
from tests.shop.models import Account, Site, Visitor
from tests.test_checks_models import TEXT_KEY, Keyed, Plain, Sharded, found, isolated, the


@isolated
def test_a_key_that_is_no_field() -> None:
    class Missing(Sharded):
        id = ShardedIdField(primary_key=True)
        website = models.IntegerField()

        class Sharding:
            database = "track"
            key = "websit"

    assert found(Missing) == ["E203"]
    assert "'website'" in str(the(Missing, "E203").hint)


@isolated
def test_a_key_without_a_column() -> None:
    class Many(Sharded):
        id = ShardedIdField(primary_key=True)
        site = models.ManyToManyField(Visitor, through="Between")
        Sharding = Keyed

    class Between(Plain):
        many = models.ForeignKey(Many, models.CASCADE)
        visitor = models.ForeignKey(Visitor, models.CASCADE)

    assert "E203" in found(Many)


@isolated
def test_a_key_that_can_be_null() -> None:
    class Nullable(Sharded):
        id = ShardedIdField(primary_key=True)
        site = models.IntegerField(null=True)
        Sharding = Keyed

    assert found(Nullable) == ["E204"]


@isolated
def test_one_part_of_a_composite_key_that_can_be_null() -> None:
    class Nullable(Sharded):
        id = models.UUIDField(primary_key=True, default=uuid.uuid4)
        region = models.CharField(max_length=9)
        day = models.DateField(null=True)

        class Sharding:
            database = "log"
            key = ("region", "day")

    assert found(Nullable) == ["E204"]


class Converted(models.IntegerField):
    def from_db_value(self, value: Any, *_: Any) -> Any:
        return -value


UNFIT: dict[str, Any] = {
    "float": models.FloatField,
    "bool": models.BooleanField,
    "decimal": lambda: models.DecimalField(max_digits=5, decimal_places=2),
    "datetime": models.DateTimeField,
    "json": models.JSONField,
    "binary": models.BinaryField,
    "duration": models.DurationField,
    "time": models.TimeField,
    "converted": Converted,
}


@isolated
@pytest.mark.parametrize("make", UNFIT.values(), ids=UNFIT)
def test_a_type_that_cannot_be_a_key(make: Any) -> None:
    class Unfit(Sharded):
        id = ShardedIdField(primary_key=True)
        site = make()
        Sharding = Keyed

    assert found(Unfit) == ["E205"]


FIT: dict[str, Any] = {
    "big": models.BigIntegerField,
    "small": models.PositiveSmallIntegerField,
    "char": lambda: models.CharField(max_length=9),
    "slug": models.SlugField,
    "uuid": models.UUIDField,
    "date": models.DateField,
    "foreign": lambda: models.ForeignKey(Site, SHARD_CASCADE, db_constraint=False),
    "foreign sharded": lambda: models.ForeignKey(Account, models.CASCADE, db_constraint=False),
}


@isolated
@pytest.mark.parametrize("kind", FIT)
def test_types_that_can_be_keys(kind: str) -> None:
    class Fit(Sharded):
        id = ShardedIdField(primary_key=True)
        site = FIT[kind]()
        Sharding = Keyed

    assert found(Fit) == (TEXT_KEY if kind in ("char", "slug") else [])


@isolated
def test_the_type_is_that_of_the_field_a_foreign_key_refers_to() -> None:
    class Priced(Plain):
        price = models.FloatField(unique=True)

    class Unfit(Sharded):
        id = ShardedIdField(primary_key=True)
        site = models.ForeignKey(Priced, models.DO_NOTHING, to_field="price", db_constraint=False)
        Sharding = Keyed

    assert found(Unfit) == ["E205"]


COMPUTED: dict[str, Any] = {
    "default": lambda: models.IntegerField(db_default=1),
    "generated": lambda: models.GeneratedField(
        expression=models.F("base") + 1, output_field=models.IntegerField(), db_persist=True
    ),
}


@isolated
@pytest.mark.parametrize("make", COMPUTED.values(), ids=COMPUTED)
def test_a_key_that_the_database_computes(make: Any) -> None:
    class Computed(Sharded):
        id = ShardedIdField(primary_key=True)
        base = models.IntegerField()
        site = make()
        Sharding = Keyed

    assert found(Computed) == ["E212"]


MYSQL = {**sqlite("mysqlish"), "ENGINE": "tests.mysql_named"}


def keyed_by(field: models.Field[Any, Any]) -> type[models.Model]:
    """A model of a group without a directory."""

    class Tenanted(Sharded):
        id = models.UUIDField(primary_key=True, default=uuid.uuid4)
        tenant = field

        class Sharding:
            database = "log"
            key = "tenant"

    return Tenanted


def text(collation: str | None) -> models.CharField[str, str]:
    return models.CharField(max_length=9, db_collation=collation)


@pytest.fixture
def on_mysql() -> Iterator[None]:
    """What says to be MySQL below that group."""
    with databases(log=copy.deepcopy(connections.settings["log"]), log_1=MYSQL, log_2=MYSQL):
        yield


@isolated
@pytest.mark.usefixtures("on_mysql")
@pytest.mark.parametrize(
    ("collation", "codes"), [(None, ["W206"]), ("utf8mb4_general_ci", ["W206"]), ("utf8mb4_bin", []), ("binary", [])]
)
def test_a_text_key_on_mysql(collation: str | None, codes: list[str]) -> None:
    assert found(keyed_by(text(collation))) == codes


@isolated
@pytest.mark.parametrize(("collation", "codes"), [(None, []), ("NOCASE", ["W206"])])
def test_a_text_key_elsewhere(collation: str | None, codes: list[str]) -> None:
    assert found(keyed_by(text(collation))) == codes


@isolated
@pytest.mark.usefixtures("on_mysql")
def test_a_number_as_key_on_mysql_has_no_collation() -> None:
    assert found(keyed_by(models.IntegerField())) == []

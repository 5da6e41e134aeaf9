"""Each check of a declaration, a key or a unique constraint speaks for its fault, and is silent for good models."""

from __future__ import annotations

import copy
import itertools
import uuid
from typing import Any

import pytest
from django.apps import apps
from django.core.checks import CheckMessage
from django.db import connections, models
from django.db.models.functions import Lower
from django.test.utils import isolate_apps

from horizon_shards.checks import check_model, check_models
from horizon_shards.fields import ShardedIdField
from horizon_shards.models import ReferenceModel, ShardedModel
from horizon_shards.models.deletion import SHARD_CASCADE
from tests.changed_databases import databases
from tests.settings import ENGINE, sqlite
from tests.shop.models import Account, Site, Visitor

isolated = isolate_apps("tests")
number = itertools.count()


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


UNFIT: dict[str, Any] = {
    "float": models.FloatField,
    "bool": models.BooleanField,
    "decimal": lambda: models.DecimalField(max_digits=5, decimal_places=2),
    "datetime": models.DateTimeField,
    "json": models.JSONField,
    "binary": models.BinaryField,
    "duration": models.DurationField,
    "time": models.TimeField,
}


@isolated
@pytest.mark.parametrize("make", UNFIT.values(), ids=UNFIT)
def test_a_type_that_cannot_be_a_key(make: Any) -> None:
    class Unfit(Sharded):
        id = ShardedIdField(primary_key=True)
        site = make()
        Sharding = Keyed

    assert found(Unfit) == ["E205"]


#: On MySQL a text key that names no collation is compared without regard to case.
TEXT_KEY = ["W206"] if ENGINE == "mysql" else []
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


@isolated
def test_a_key_that_the_database_computes() -> None:
    class Computed(Sharded):
        id = ShardedIdField(primary_key=True)
        site = models.IntegerField(db_default=1)
        Sharding = Keyed

    assert found(Computed) == ["E212"]


@isolated
def test_a_generated_key() -> None:
    class Generated(Sharded):
        id = ShardedIdField(primary_key=True)
        base = models.IntegerField()
        site = models.GeneratedField(
            expression=models.F("base") + 1, output_field=models.IntegerField(), db_persist=True
        )
        Sharding = Keyed

    assert found(Generated) == ["E212"]


MYSQL = {**sqlite("mysqlish"), "ENGINE": "tests.mysql_named"}


@isolated
@pytest.mark.parametrize(
    ("collation", "codes"), [(None, ["W206"]), ("utf8mb4_general_ci", ["W206"]), ("utf8mb4_bin", []), ("binary", [])]
)
def test_a_text_key_on_mysql(collation: str | None, codes: list[str]) -> None:
    class Text(Sharded):
        id = models.UUIDField(primary_key=True, default=uuid.uuid4)
        tenant = models.CharField(max_length=9, db_collation=collation)

        class Sharding:
            database = "log"
            key = "tenant"

    with databases(log=copy.deepcopy(connections.settings["log"]), log_1=MYSQL, log_2=MYSQL):
        assert found(Text) == codes


@isolated
@pytest.mark.parametrize(("collation", "codes"), [(None, []), ("NOCASE", ["W206"])])
def test_a_text_key_elsewhere(collation: str | None, codes: list[str]) -> None:
    class Text(Sharded):
        id = models.UUIDField(primary_key=True, default=uuid.uuid4)
        tenant = models.CharField(max_length=9, db_collation=collation)

        class Sharding:
            database = "log"
            key = "tenant"

    assert found(Text) == codes


@isolated
def test_a_number_as_key_on_mysql_has_no_collation() -> None:
    class Number(Sharded):
        id = models.UUIDField(primary_key=True, default=uuid.uuid4)
        tenant = models.IntegerField()

        class Sharding:
            database = "log"
            key = "tenant"

    with databases(log=copy.deepcopy(connections.settings["log"]), log_1=MYSQL, log_2=MYSQL):
        assert found(Number) == []


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

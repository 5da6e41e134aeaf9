"""The factories for items of DynamoDB, on moto's server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import factory
import pytest
from pynamodb.attributes import NumberAttribute, TTLAttribute, UnicodeAttribute, VersionAttribute
from pynamodb.exceptions import PutError
from pynamodb.models import Model
from pynamodb.signals import pre_dynamodb_send

from horizon_shards.testing.dynamodb import PynamoFactory
from tests.aws.conftest import CREDENTIALS


class Parcel(Model):
    class Meta:
        table_name = "parcels"
        region = CREDENTIALS["region_name"]

    street = UnicodeAttribute(hash_key=True)
    number = NumberAttribute(range_key=True)
    label = UnicodeAttribute()
    expires = TTLAttribute()
    version = VersionAttribute()


class ParcelFactory(PynamoFactory[Parcel]):
    class Meta:
        model = Parcel

    street = "Elm Street"
    number = factory.Sequence(int)
    label = factory.LazyAttribute(lambda parcel: f"{parcel.street} {parcel.number}")
    expires = timedelta(hours=1)


@pytest.fixture
def calls() -> Iterator[list[str]]:
    """The operations that PynamoDB asks for from here on."""
    seen: list[str] = []

    def note(sender: Any, operation_name: str, **kwargs: Any) -> None:
        seen.append(operation_name)

    pre_dynamodb_send.connect(note)
    yield seen
    pre_dynamodb_send.disconnect(note)


@pytest.fixture
def table(aws: Any, moto_url: str) -> type[Parcel]:
    """Parcels on the emulator."""
    Parcel.Meta.host = moto_url
    Parcel._connection = None
    Parcel.create_table(billing_mode="PAY_PER_REQUEST", wait=True)
    return Parcel


def test_what_is_built_is_nowhere_but_here(calls: list[str]) -> None:
    """No call is made: there is not even a table."""
    one, *others = [ParcelFactory.build(street="Oak Street"), *ParcelFactory.build_batch(3)]
    assert (one.label, one.version) == (f"Oak Street {one.number}", None)
    assert len({parcel.number for parcel in others}) == 3
    assert calls == []


def test_what_is_created_is_stored(table: type[Parcel]) -> None:
    """With its version, and refused where it is there already."""
    made = ParcelFactory(label="mine")
    found = table.get(made.street, made.number)
    assert (found.label, found.version, found.expires) == ("mine", 1, made.expires)
    with pytest.raises(PutError, match="ConditionalCheckFailed"):
        ParcelFactory(number=made.number)


def test_a_batch_is_written_together(table: type[Parcel], calls: list[str]) -> None:
    """25 items with a call; each can be saved afterwards."""
    made = ParcelFactory.create_batch(30, street="Long Street")
    assert calls == ["BatchWriteItem", "BatchWriteItem"]
    stored = list(table.query("Long Street"))
    assert [parcel.label for parcel in stored] == [parcel.label for parcel in made]
    stored[0].save()
    assert table.get("Long Street", stored[0].number).version == 1

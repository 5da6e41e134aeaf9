"""UUIDs over shards come in the order of the database: on MariaDB that is not the order of their bytes."""

from __future__ import annotations

from random import Random
from uuid import UUID

import pytest
from django.db import connections
from django.db.models import QuerySet

from horizon_shards.backends.sharded import mariadb_uuid
from horizon_shards.exceptions import QueryNotSupported
from tests import settings
from tests.shop.models import Session, Site, Visit, Visitor

pytestmark = pytest.mark.django_db(databases=["default", "track"])


def tokens() -> list[UUID]:
    """UUIDs of all versions, alike enough that each part of them decides somewhere."""
    random = Random(1)
    parts = ("%08x", "%04x", "{version}%03x", "a%03x", "%012x")
    text = "-".join(parts)
    made = {
        UUID(text.format(version=version) % tuple(random.choice((0, 1, 0xFFF)) for _ in range(5)))
        for version in range(9)
        for _ in range(40)
    }
    return sorted(made)


def store(sites: list[Site]) -> tuple[QuerySet[Visit], QuerySet[Visit]]:
    """The same tokens on one shard, and spread over all."""
    first, *others = sites
    visitors = {site.pk: Visitor.objects.create(site=site, name="x") for site in sites}
    Visit.objects.bulk_create(
        Visit(site_id=key, visitor=visitors[key], path="/", token=token)
        for number, token in enumerate(tokens())
        for key in (first.pk, others[number % len(others)].pk)
    )
    return Visit.objects.filter(site=first), Visit.objects.exclude(site=first)


def test_the_order_is_that_of_one_database(sites: list[Site]) -> None:
    one, all_shards = store(sites)
    for order in ("token", "-token"):
        expected = list(one.order_by(order).values_list("token", flat=True))
        assert list(all_shards.order_by(order).values_list("token", flat=True)) == expected
        assert list(all_shards.order_by(order).values_list("token", flat=True)[7:60]) == expected[7:60]
    assert list(all_shards.order_by("token").values_list("token", flat=True).distinct()) == expected[::-1]
    assert all_shards.values("token").distinct().count() == len(expected)


def test_rows_with_a_sharded_uuid_have_a_first_and_a_last(sites: list[Site]) -> None:
    made = [Session.objects.create(site=site) for site in sites * 2]
    first, last = Session.objects.first(), Session.objects.last()
    assert first is not None
    assert last is not None
    assert {first, last} <= set(made)
    in_order = list(Session.objects.order_by("pk"))
    assert (in_order[0], in_order[-1]) == (first, last)
    assert list(Session.objects.order_by("pk").iterator(chunk_size=5)) == in_order


@pytest.mark.skipif(settings.ENGINE != "mysql", reason="only MariaDB has an order of its own")
def test_an_order_that_is_not_known_is_refused(sites: list[Site], monkeypatch: pytest.MonkeyPatch, db: None) -> None:
    connection = connections["track_1"]
    if not connection.features.has_native_uuid_field:
        pytest.skip("MySQL has no UUID type")
    monkeypatch.setattr(mariadb_uuid, "_keys", {connection.mysql_server_info: None})
    with pytest.raises(QueryNotSupported, match="UUIDField"):
        Session.objects.first()

"""The log of the logical connection: a statement on each shard it runs on, a transaction's own statements once."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, connections, transaction
from django.test.utils import CaptureQueriesContext

from horizon_shards.topology import get_group
from tests.shop.models import Country, Site

pytestmark = pytest.mark.django_db(databases=["default", "track"])


def first_words(queries: CaptureQueriesContext) -> list[str]:
    return [query["sql"].split()[0] for query in queries]


def test_a_savepoint_on_all_shards_is_logged_once(sites: list[Site]) -> None:
    with CaptureQueriesContext(connections["track"]) as queries:
        with transaction.atomic(using="track"):
            Country.objects.create(code="de", name="Germany")
        Country.objects.get(code="de")
    inserts = ["INSERT"] * len(get_group("track").shard_names)
    assert first_words(queries) == ["SAVEPOINT", *inserts, "RELEASE", "SELECT"]
    assert sorted(query["shard"] for query in list(queries)[1:-2]) == sorted(get_group("track").shard_names)


@pytest.mark.django_db(databases=["default", "track"], transaction=True)
def test_the_first_query_of_a_transaction_logs_no_begin_of_its_shard() -> None:
    with CaptureQueriesContext(connections["track"]) as queries, transaction.atomic(using="track"):
        Country.objects.count()
    assert first_words(queries) == ["BEGIN", "SELECT", "COMMIT"]


def test_a_savepoint_that_is_not_there_cannot_be_rolled_back_to() -> None:
    with pytest.raises(DatabaseError, match="has no savepoint 'gone'"), transaction.atomic(using="track"):
        connections["track"].savepoint_rollback("gone")

"""The log of the logical connection: a statement on each shard it runs on; a transaction's own, and copies, once."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, connections, transaction
from django.test.utils import CaptureQueriesContext

from tests.shop.models import Country, Site

pytestmark = pytest.mark.django_db(databases=["default", "track"])


def first_words(queries: CaptureQueriesContext) -> list[str]:
    return [query["sql"].split()[0] for query in queries]


def test_a_savepoint_on_all_shards_is_logged_once(sites: list[Site]) -> None:
    with CaptureQueriesContext(connections["track"]) as queries:
        with transaction.atomic(using="track"):
            Country.objects.create(code="de", name="Germany")
        Country.objects.get(code="de")
    assert first_words(queries) == ["SAVEPOINT", "INSERT", "RELEASE", "SELECT"]


def test_a_write_to_all_copies_is_logged_once_under_the_names_of_all(sites: list[Site]) -> None:
    with CaptureQueriesContext(connections["track"]) as queries:
        country = Country.objects.create(code="de", name="Germany")
        Country.objects.filter(pk=country.pk).update(name="Deutschland")
        Country.objects.filter(pk=country.pk).delete()
    writes = [query for query in queries if query["sql"].split()[0] in ("INSERT", "UPDATE", "DELETE")]
    assert [query["sql"].split()[0] for query in writes] == ["INSERT", "UPDATE", "DELETE"]
    assert {query["shard"] for query in writes} == {"track-1, track-2, track-3, track-4"}
    with CaptureQueriesContext(connections["track"]) as queries:
        Country.objects.count()
    assert [query["shard"] for query in queries] == ["track-1"]


@pytest.mark.parametrize("number", [1, 4])
def test_the_log_of_each_shard_has_its_own_statement(number: int) -> None:
    with CaptureQueriesContext(connections[f"track_{number}"]) as queries:
        Country.objects.create(code="de", name="Germany")
    assert first_words(queries).count("INSERT") == 1


@pytest.mark.django_db(databases=["default", "track"], transaction=True)
def test_the_first_query_of_a_transaction_logs_no_begin_of_its_shard() -> None:
    with CaptureQueriesContext(connections["track"]) as queries, transaction.atomic(using="track"):
        Country.objects.count()
    assert first_words(queries) == ["BEGIN", "SELECT", "COMMIT"]


def test_a_savepoint_that_is_not_there_cannot_be_rolled_back_to() -> None:
    with pytest.raises(DatabaseError, match="has no savepoint 'gone'"), transaction.atomic(using="track"):
        connections["track"].savepoint_rollback("gone")

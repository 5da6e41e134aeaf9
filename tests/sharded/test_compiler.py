"""Queries that need no shard: of raw SQL, of values alone, and those that find nothing."""

from __future__ import annotations

import pytest
from django.db.models import Q
from django.test import SimpleTestCase

from horizon_shards.context import using_shard
from horizon_shards.exceptions import QueryNotSupported
from horizon_shards.topology import get_group
from tests.shop.models import Country, Visit, Visitor


class NothingIsAsked(SimpleTestCase):
    """A test that may use no database."""

    def test_queries_that_cannot_find_anything_ask_no_database(self) -> None:
        for queryset in (Visitor.objects.none(), Visitor.objects.filter(pk__in=[]), Country.objects.filter(pk__in=[])):
            assert list(queryset) == []
            assert list(queryset.values("pk")) == []
            assert queryset.count() == 0
            assert not queryset.exists()

    def test_a_query_can_be_looked_at(self) -> None:
        assert "shop_visitor" in str(Visitor.objects.filter(site_id=3).query)


@pytest.mark.django_db(databases=["default", "track"])
def test_raw_queries_go_to_the_pinned_shard(visits: list[Visit]) -> None:
    table = Visitor._meta.db_table
    with pytest.raises(QueryNotSupported, match="Raw SQL"):
        list(Visitor.objects.raw(f"SELECT * FROM {table}"))
    found = []
    for shard in get_group("track").shard_names:
        with using_shard(shard):
            found += [visitor.name for visitor in Visitor.objects.raw(f"SELECT * FROM {table}")]
    assert sorted(found) == sorted(Visitor.objects.values_list("name", flat=True))


@pytest.mark.django_db(databases=["default", "track"])
def test_constraints_are_validated_with_values_alone() -> None:
    """Django's ``Q.check()``, behind ``CheckConstraint.validate()``."""
    assert Q(ms__gt=3).check({"ms": 5}, using="track")
    assert not Q(ms__gt=3).check({"ms": 1}, using="track")

"""Aggregates over shards of what can have no rows are what Django makes of it without asking a database."""

from __future__ import annotations

import pytest
from django.db import connections, models
from django.db.models import Count, F, Max, Q, Sum
from django.db.models.functions import Coalesce
from django.test.utils import CaptureQueriesContext

from tests.shop.models import Country, Site, Visit

pytestmark = pytest.mark.django_db(databases=["default", "track"])


def test_what_can_have_no_rows_has_the_value_of_none(spread: list[Visit]) -> None:
    """Not what the database makes of no rows: MySQL's BIT_AND has all bits then."""
    nothing = Visit.objects.filter(ms__in=[])
    for rows in (
        nothing.order_by("path").values("path")[:1],
        Visit.objects.filter(country__visit__ms__in=[]),
        Visit.objects.filter(country__in=Country.objects.filter(visit__ms__in=[])),
        Visit.objects.filter(Q(country__visit__in=nothing) | Q(country__visit__ms__in=[])).order_by("path")[:9],
    ):
        with CaptureQueriesContext(connections["track"]) as captured:
            assert rows.aggregate(n=Count("ms"), total=Sum("ms")) == {"n": 0, "total": None}
            if getattr(connections["track"].features, "supports_bit_aggregations", False):
                assert rows.aggregate(a=models.BitAnd("ms")) == {"a": None}
        assert not captured.captured_queries, rows.query


def test_a_condition_that_can_never_hold_counts_as_in_one_database(sites: list[Site], visits: list[Visit]) -> None:
    """Django writes a constant for the whole expression around such an aggregate."""
    never = Count("pk", filter=Q(path__in=[]))
    here = Visit.objects.filter(site=sites[0])
    for asked in (
        {"a": never, "z": F("a") * 3 - 1},
        {"z": Coalesce(Sum("ms", filter=Q(path__in=[])), 7)},
        {"n": Count("pk"), "z": never + 5},
    ):
        found = Visit.objects.aggregate(**asked)
        assert {**found, "n": 0} == {**here.aggregate(**asked), "n": 0}
    groups = [query.values("path").annotate(a=never).filter(a__lt=F("a") + 1) for query in (Visit.objects, here)]
    assert len(groups[0]) == len(groups[1])
    merged = [query.values("path").distinct() for query in (Visit.objects, here)]
    for what in (
        {"n": Count("path"), "z": Sum("ms", filter=Q(pk__in=[]), default=0)},
        {"n": Count("path"), "z": never},
    ):
        several, one = (query.aggregate(**what) for query in merged)
        assert (several["z"], bool(several["n"])) == (one["z"], bool(one["n"]))
    counted = [query.annotate(k=Count("tags")) for query in (Visit.objects, here)]
    for what in ({"z": Sum("k", filter=Q(pk__in=[]), default=3), "m": Max("k")}, {"z": never, "m": Max("k")}):
        assert counted[0].aggregate(**what) == counted[1].aggregate(**what)

"""Refusals that show only while a query runs: federation takes over where it is on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.db.models import Count, F, Q, Subquery, Sum, Value
from django.db.models.functions import Coalesce

from horizon_shards import allow_federation
from horizon_shards.exceptions import KeyLimitExceeded, QueryNotSupported, RowLimitExceeded
from horizon_shards.signals import query_federated
from tests.settings import ENGINE
from tests.shop.models import Country, Site, Tag, Visit

pytestmark = pytest.mark.django_db(databases=["default", "track"])


@pytest.fixture
def few_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most 5 values are bound."""
    group = connections["track"].group
    monkeypatch.setattr(group, "config", replace(group.config, max_keys=5))


@pytest.fixture
def tags(visits: list[Visit]) -> list[Tag]:
    return [Tag.objects.create(site=visits[n].site, name=f"/{n}") for n in range(9)]


@contextmanager
def federation() -> Iterator[list[str]]:
    """Federation is on; what it answered."""
    seen: list[str] = []

    def remember(sender: Any, plan: Any, **kwargs: Any) -> None:
        seen.append(plan.why)

    query_federated.connect(remember)
    try:
        with allow_federation(1_000):
            yield seen
    finally:
        query_federated.disconnect(remember)


@pytest.mark.skipif(ENGINE == "mysql", reason="MySQL compares texts by its own sort keys")
def test_more_keys_than_are_bound(few_keys: None, visits: list[Visit], tags: list[Tag]) -> None:
    query = Visit.objects.filter(path__in=Tag.objects.filter(pk__gt=0).order_by("pk").values("name")[:8])
    with pytest.raises(KeyLimitExceeded, match="turn federation on") as refused:
        list(query)
    assert refused.value.count == 8
    with federation() as seen:
        assert len(query.exclude(path="/0")) == 48
        assert query.count() == 60
        assert query.exists()
        assert query.aggregate(total=Sum("ms")) == {"total": 120}
        assert dict(query.values_list("path").annotate(n=Count("pk"))) == {f"/{n}": 12 for n in range(5)}
    assert len(seen) == 5
    assert "more than MAX_KEYS = 5" in seen[0]


def test_more_far_keys_than_are_bound(few_keys: None, visits: list[Visit]) -> None:
    query = Visit.objects.filter(site__name__startswith="site")
    with pytest.raises(KeyLimitExceeded):
        list(query.values("site__name"))
    with federation() as seen:
        assert sorted({row["site__name"] for row in query.values("site__name")}) == sorted(
            f"site {n}" for n in range(12)
        )
        assert len(query.order_by("site__name", "pk")[3:9]) == 6
        assert {visit.name for visit in query.annotate(name=F("site__name"))} == {f"site {n}" for n in range(12)}
    assert len(seen) == 3


def test_writes_by_more_keys_than_are_bound(few_keys: None, visits: list[Visit]) -> None:
    query = Visit.objects.filter(site__name__startswith="site", ms__lt=2)
    with federation() as seen:
        assert query.update(ms=F("ms") + 100) == 24
        assert Visit.objects.filter(ms__gte=100).count() == 24
        assert Visit.objects.filter(site__name__startswith="site", ms=100).delete()[0] == 12
    assert len(seen) == 2
    assert Visit.objects.count() == 48
    with pytest.raises(KeyLimitExceeded):
        query.update(ms=1)


def test_rows_that_a_join_repeats(visits: list[Visit]) -> None:
    joined = Visit.objects.filter(country__visit__ms=1)
    with federation() as seen:
        assert joined.count() == 60 * 12
        assert len(joined.order_by("pk")[:30]) == 30
        assert joined.aggregate(total=Sum("ms")) == {"total": 120 * 12}
        assert [row["n"] for row in joined.values("country").annotate(n=Count("pk"))] == [60 * 12]
    assert len(seen) == 4
    outer = Country.objects.filter(Q(visit__ms__gte=5) | Q(visit__isnull=True))
    Country.objects.create(code="fr", name="France")
    with federation():
        assert outer.count() == 1


def test_an_expression_on_rows_that_are_not_there(visits: list[Visit]) -> None:
    visits[0].editor = User.objects.create(username="ann")
    visits[0].save()
    named = Visit.objects.annotate(name=Coalesce("editor__username", Value("nobody")))
    with pytest.raises(QueryNotSupported, match="has no row for some"):
        list(named)
    with federation() as seen:
        assert sorted(visit.name for visit in named) == ["ann", *["nobody"] * 59]
        assert {visit.pk: visit.path for visit in named} == {visit.pk: visit.path for visit in visits}
        assert sorted(named.values_list("name", flat=True)) == ["ann", *["nobody"] * 59]
    assert len(seen) == 2


def test_rows_given_out_are_not_taken_back(visits: list[Visit]) -> None:
    named = Visit.objects.annotate(name=Coalesce("editor__username", Value("nobody")))
    with federation() as seen, pytest.raises(QueryNotSupported, match="does not take over from iterator"):
        list(named.iterator())
    assert not seen


def test_what_a_join_answers_is_not_federated(visits: list[Visit]) -> None:
    with federation() as seen:
        assert len(Visit.objects.order_by("site__name", "pk").values_list("pk", "site__name")[:7]) == 7
        assert len(Visit.objects.values("site__name")) == 60
    assert not seen


def test_several_rows_for_one_value_are_an_error(visits: list[Visit], tags: list[Tag]) -> None:
    """One database refuses them, or picks one: nothing that federation should repeat."""
    with federation() as seen, pytest.raises(QueryNotSupported, match="more than one row") as refused:
        list(Visit.objects.annotate(tag=Subquery(Tag.objects.filter(pk__gt=0).values("name"))))
    assert refused.value.reason == "several-rows"
    assert not seen


def test_the_limit_of_federation_holds(few_keys: None, visits: list[Visit]) -> None:
    query = Visit.objects.filter(site__name__startswith="site")
    with allow_federation(30), pytest.raises(RowLimitExceeded, match="60 rows of shop_visit") as refused:
        list(query)
    assert "more than MAX_KEYS = 5" in str(refused.value.__cause__)
    assert Site.objects.count() == 12

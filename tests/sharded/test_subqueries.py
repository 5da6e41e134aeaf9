"""Queries inside queries: what each shard can answer for itself, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from django.db.models import Count, Exists, F, OuterRef, Q, Window
from django.db.models.functions import RowNumber
from django.db.models.lookups import Exact

from horizon_shards.exceptions import QueryNotSupported
from tests.shop.models import Basket, Country, Site, Tag, Visit, Visitor

pytestmark = pytest.mark.django_db(databases=["default", "track"])


def test_a_union_of_reference_models_may_stand_in_a_condition(visits: list[Visit]) -> None:
    Country.objects.create(code="fr", name="France")
    Country.objects.create(code="it", name="Italy")
    codes = Country.objects.filter(code="de").values("pk").union(Country.objects.filter(code="it").values("pk"))
    assert sorted(Country.objects.filter(pk__in=codes).values_list("code", flat=True)) == ["de", "it"]
    assert Visit.objects.filter(country__in=codes).count() == len(visits)


def test_a_union_with_a_sharded_model_in_a_condition_runs_first(visits: list[Visit]) -> None:
    Country.objects.create(code="fr", name="France")
    Country.objects.create(code="it", name="Italy")
    used = Visit.objects.values("country").union(Country.objects.filter(code="it").values("pk"))
    assert sorted(Country.objects.filter(pk__in=used).values_list("code", flat=True)) == ["de", "it"]
    assert Visit.objects.filter(country__in=used).count() == len(visits)


def test_a_window_over_a_reference_model_may_stand_in_a_condition(visits: list[Visit]) -> None:
    Country.objects.create(code="at", name="Austria")
    numbered = Country.objects.annotate(place=Window(RowNumber(), order_by=F("code").asc()))
    first = numbered.filter(place=1).values("pk")
    assert [country.code for country in Country.objects.filter(pk__in=first)] == ["at"]


def test_the_same_row_is_on_the_same_shard(visits: list[Visit]) -> None:
    """Django asks of some exclusions whether the row itself, joined, is among those that are left out."""
    queryset = Visitor.objects.exclude(visits__isnull=True).filter(pk=visits[0].visitor_id)
    assert queryset.explain().startswith("single select on track")
    assert queryset.count() == 1
    assert Visitor.objects.exclude(visits__isnull=True).count() == 12


def test_an_inner_query_may_name_the_logical_database(visits: list[Visit]) -> None:
    """As the managers of many-to-many relations do; Django then compares the name with that of the compiling shard."""
    inner = Visit.objects.using("track").filter(ms=1)
    outer = Visit.objects.using("track").filter(visitor__in=Visitor.objects.using("track").filter(visits__in=inner))
    assert outer.count() == len(outer) == Visit.objects.filter(visitor__visits__ms=1).distinct().count() > 0
    assert Visit.objects.filter(pk__in=inner).aggregate(Count("pk"))["pk__count"] == inner.count() == 12
    with pytest.raises(ValueError, match="different databases"):
        list(Site.objects.using("default").filter(pk__in=inner.values("site")))


def test_many_to_many_rows_are_cleared_and_set(sites: list[Site]) -> None:
    basket = Basket.objects.create(site=sites[0])
    tags = [Tag.objects.create(site=sites[0], name=name) for name in "abc"]
    basket.tags.set(tags)
    basket.tags.remove(tags[0])
    assert set(basket.tags.all()) == set(tags[1:])
    tags[1].baskets.clear()
    assert list(basket.tags.all()) == tags[2:]
    tags[2].baskets.set(Basket.objects.none())
    assert not basket.tags.exists()


def test_a_constraint_looks_for_rows_on_all_shards(visits: list[Visit]) -> None:
    """Conditional unique constraints validate an instance by a query of no table, with a subquery inside."""
    for visit in visits[::7]:
        assert Q(Exists(Visit.objects.filter(pk=visit.pk))).check({}, using="track")
        assert Q(Exists(Visit.objects.filter(ms=visit.ms, path=visit.path))).check({}, using="track")
        assert (Q(ms=1) & Exists(Visit.objects.filter(token=visit.token))).check({"ms": 1}, using="track")
    assert not Q(Exists(Visit.objects.filter(path="/none"))).check({}, using="track")
    assert not Q(~Exists(Visit.objects.filter(path="/1"))).check({}, using="track")


class OtherThan(Exact):
    lookup_name = "other_than"

    def get_rhs_op(self, connection: Any, rhs: str) -> str:
        return f"<> {rhs}"


def test_what_only_derives_from_an_equality_ties_nothing(visits: list[Visit]) -> None:
    """Rows of other sites are on other shards."""
    for name in ("site", "pk", "visitor"):
        others = Visit.objects.filter(OtherThan(F(name), OuterRef(name)), ms=3)
        with pytest.raises(QueryNotSupported, match="may need rows of other shards"):
            Visit.objects.filter(Exists(others)).exists()

"""Queries inside queries: what each shard can answer for itself, and what is refused."""

from __future__ import annotations

import pytest
from django.db.models import F, Window
from django.db.models.functions import RowNumber

from tests.shop.models import Country, Visit, Visitor

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

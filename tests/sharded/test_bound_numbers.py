"""Numbers and times that a subquery gave are those of its database, or refused."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connections
from django.db.models import (
    BigIntegerField,
    Case,
    CharField,
    Count,
    DecimalField,
    ExpressionWrapper,
    F,
    IntegerField,
    Max,
    Min,
    Subquery,
    Sum,
    Value,
    When,
)
from django.db.models.functions import Cast, Coalesce, ExtractYear, Length, TruncDay

from horizon_shards.exceptions import QueryNotSupported
from tests.sharded.rows import COLUMNS
from tests.shop.models import Label, Visit

pytestmark = pytest.mark.django_db(databases=["default", "track", "crm"])


def test_sqlite_holds_a_whole_decimal_as_an_integer(one: Any) -> None:
    """As its column does: it divides without a fraction, and has none as a text."""
    if connections["track"].vendor != "sqlite":
        pytest.skip("SQLite's rules")
    there, here = one
    here.update(ms=3)
    for price, quotient, text in (("10.00", 0, "10"), ("2.50", Decimal("1.2"), "2.5")):
        there.update(price=Decimal(price))
        value = Subquery(there.values("price"))
        found = here.annotate(part=F("ms") / value, text=Cast(value, CharField()))
        assert found.values_list("part", "text").get() == (quotient, text)


def test_the_smallest_number_has_a_type(one: Any) -> None:
    """A cast binds closer than a minus."""
    _, here = one
    Label.objects.create(code="x", title="y")
    low = Label.objects.annotate(low=Value(-(2**63), output_field=BigIntegerField())).values("low")
    assert here.filter(id__gt=Subquery(low)).exists()
    assert Visit.objects.values("bot").annotate(low=Min(F("id") * 0 + -(2**63))).filter(low__lt=3).exists()


COMPUTED: list[tuple[str, Any]] = [
    ("ratio", F("ratio") / 3),
    ("price", F("price") / 3),
    ("ms", ExpressionWrapper(F("ms") * 0.5, output_field=IntegerField())),
    ("ms", Coalesce(ExpressionWrapper(F("ratio") * 1, output_field=IntegerField()), "ms")),
]
EXACT: list[tuple[str, Any, Any]] = [
    ("ms", F("ms") * 2 - 1, 13),
    ("ms", Length("path"), 2),
    ("ms", Coalesce("ms", 0), 7),
    ("ms", Case(When(ms=7, then=F("ms")), default=Value(None)), 7),
    ("ms", Cast("price", IntegerField()), 3),
    ("ms", ExtractYear("at"), 2026),
    ("ms", Sum("ms"), 7),
    ("ms", Count("pk"), 1),
    ("price", Max("price"), Decimal("3.00")),
    ("ratio", Min("ratio"), 0.25),
    ("took", F("took") + timedelta(1), timedelta(1, 3.5)),
]


@pytest.mark.parametrize(("name", "computed"), COMPUTED)
def test_numbers_computed_elsewhere_are_shown_alone(one: Any, name: str, computed: Any) -> None:
    """The database compares them with more digits, or as another type, than Python shows."""
    there, here = one
    values = there.annotate(x=computed).values("x")
    found = here.annotate(x=Subquery(values))
    assert found.get().x == values.get()["x"]
    assert not found.filter(x__isnull=True).exists()
    refused = [
        lambda: here.filter(**{f"{name}__in": values}).exists(),
        lambda: here.filter(**{name: Subquery(values[:1])}).exists(),
        lambda: found.filter(x__gt=values.get()["x"]).exists(),
        lambda: list(found.annotate(y=F("x") + F(name))),
        lambda: found.aggregate(y=Max("x")),
        lambda: found.distinct().aggregate(y=Max("x")),
        lambda: here.update(**{name: Subquery(values)}),
    ]
    for query in refused:
        with pytest.raises(QueryNotSupported, match="pass them as a list"):
            query()


@pytest.mark.parametrize(("name", "computed", "value"), EXACT)
def test_numbers_that_are_shown_as_they_are_compare(one: Any, name: str, computed: Any, value: Any) -> None:
    there, here = one
    there.update(price=Decimal("3.00"))
    values = there.order_by().values("path").annotate(x=computed).values("x")
    here.update(**{name: value})
    assert here.filter(**{f"{name}__in": values}).exists()
    assert here.filter(**{name: Subquery(values[:1])}).exists()
    assert not here.annotate(x=Subquery(values[:1])).filter(x__gt=F(name)).exists()


def test_decimals_with_more_places_are_not_listed(one: Any) -> None:
    """Django rounds those of a list to the places of the column beside it."""
    there, here = one
    more = there.annotate(x=Cast("price", DecimalField(max_digits=12, decimal_places=4))).values("x")
    with pytest.raises(QueryNotSupported, match="pass them as a list"):
        here.filter(price__in=more).exists()


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_times_cut_off_in_another_zone_stay_there(one: Any, zone: str) -> None:
    """They are local to that zone, and no points in time, which a literal would be."""
    if zone != "UTC" and not connections["track_1"].features.has_zoneinfo_database:
        pytest.skip("MySQL's tables of time zones are empty")
    there, here = one
    here.update(at=COLUMNS["at"])
    day = TruncDay("at", tzinfo=ZoneInfo(zone))
    values = there.annotate(x=day).values("x")
    found = here.annotate(y=day)
    queries = [found.filter(y__in=values), found.filter(y=Subquery(values[:1])), here.annotate(x=Subquery(values))]
    for query in queries:
        if zone == "UTC":
            assert query.exists()
            continue
        with pytest.raises(QueryNotSupported, match="another zone"):
            list(query)

"""Aggregates over shards have the digits, the limits and the errors of one database."""

from __future__ import annotations

import statistics
from decimal import Decimal

import pytest
from django.db import NotSupportedError, OperationalError, connections
from django.db.models import Avg, Count, DecimalField, F, Q, StdDev, Sum, Variance

from tests.sharded.rows import VALUES, known
from tests.shop.models import Site, Visit, Visitor

pytestmark = pytest.mark.django_db(databases=["default", "track"])


def test_whole_numbers_are_divided_as_the_engine_does(spread: list[Visit]) -> None:
    """SQLite and PostgreSQL leave the fraction out; the answer is the engine's own, also on one shard."""
    everywhere = Visit.objects.aggregate(x=Sum("ms") / Count("*"))["x"]
    Visit.objects.all().delete()
    visitor = Visitor.objects.order_by("pk")[0]
    Visit.objects.bulk_create(Visit(site_id=visitor.site_id, visitor=visitor, path="/", ms=value) for value in VALUES)
    assert everywhere == Visit.objects.filter(site=visitor.site_id).aggregate(x=Sum("ms") / Count("*"))["x"]


def test_decimals_stay_exact(spread: list[Visit]) -> None:
    if connections["track"].vendor == "sqlite":
        pytest.skip("SQLite keeps decimals as floats")
    big = Decimal("9999999999.99")
    Visit.objects.update(price=big)
    wide = DecimalField(max_digits=60, decimal_places=20)
    found = Visit.objects.aggregate(
        total=Sum("price"), huge=Sum(F("price") * Decimal("1e20"), output_field=wide), d=Sum("price", distinct=True)
    )
    assert found == {"total": big * 12, "huge": big * 12 * Decimal("1e20"), "d": big}


def test_an_average_has_the_digits_of_the_engine(spread: list[Visit]) -> None:
    """A third of a decimal, over shards and on one."""
    Visit.objects.update(price=Decimal("0.01"))
    Visit.objects.filter(pk__in=[visit.pk for visit in spread[:4]]).update(price=Decimal("100.00"))
    everywhere = Visit.objects.aggregate(a=Avg("price"), b=Avg("price", distinct=True))
    prices = list(Visit.objects.values_list("price", flat=True))
    Visit.objects.all().delete()
    visitor = Visitor.objects.order_by("pk")[0]
    Visit.objects.bulk_create(Visit(site_id=visitor.site_id, visitor=visitor, path="/", price=p) for p in prices)
    one = Visit.objects.filter(site=visitor.site_id).aggregate(a=Avg("price"), b=Avg("price", distinct=True))
    assert everywhere == one


def test_variances_with_a_large_offset(spread: list[Visit]) -> None:
    """Chan's formula loses no digits to the size of the values."""
    offset = 2_000_000_000
    Visit.objects.filter(ms__isnull=False).update(ms=F("ms") + offset)
    found = Visit.objects.filter(ms__isnull=False).aggregate(v=Variance("ms"), s=StdDev("ms", sample=True))
    assert found["v"] == pytest.approx(statistics.pvariance(known()), rel=1e-6)
    assert found["s"] == pytest.approx(statistics.stdev(known()), rel=1e-6)


def test_variances_of_little(spread: list[Visit]) -> None:
    one = Visit.objects.filter(ms=11)
    assert one.aggregate(a=Variance("ms"), b=Variance("ms", sample=True), c=StdDev("ratio")) == {
        "a": 0,
        "b": None,
        "c": 0,
    }
    two = Visit.objects.filter(ms__in=[8, 11])
    assert two.aggregate(a=Variance("ms"), b=Variance("ms", sample=True)) == {"a": 2.25, "b": 4.5}
    assert two.aggregate(a=Variance("ms"), n=Count("path", distinct=True)) == {"a": 2.25, "n": 1}
    assert Visit.objects.filter(ms=99).aggregate(a=Variance("ms"), b=StdDev("ms")) == {"a": None, "b": None}


def test_a_sum_beyond_64_bits_fails_as_on_one_database(sites: list[Site]) -> None:
    if connections["track"].vendor != "sqlite":
        pytest.skip("other engines have wider sums")
    visitors = [Visitor.objects.create(site=site, name="x") for site in sites]
    ids = Visitor.objects.filter(pk__in=[visitor.pk for visitor in visitors])
    with pytest.raises(OperationalError, match="integer overflow"):
        ids.aggregate(Sum("pk"))


def test_an_average_of_numbers_whose_sum_is_beyond_64_bits(sites: list[Site]) -> None:
    ids = [Visitor.objects.create(site=site, name=f"x{number % 2}").pk for number, site in enumerate(sites)]
    assert Visitor.objects.aggregate(a=Avg("pk"))["a"] == pytest.approx(statistics.mean(ids), rel=1e-15)
    assert Visitor.objects.order_by("pk")[:7].aggregate(a=Avg("pk"))["a"] == pytest.approx(
        statistics.mean(sorted(ids)[:7]), rel=1e-15
    )
    groups = {row["name"]: row["a"] for row in Visitor.objects.values("name").annotate(a=Avg("pk"))}
    assert groups == {f"x{n}": pytest.approx(statistics.mean(ids[n::2]), rel=1e-15) for n in range(2)}
    assert Visitor.objects.filter(name="y").aggregate(a=Avg("pk")) == {"a": None}


def test_what_the_engine_does_not_have_is_its_own_refusal(spread: list[Visit]) -> None:
    if connections["track"].vendor != "sqlite":
        pytest.skip("about SQLite")
    with pytest.raises(NotSupportedError):
        Visit.objects.aggregate(Sum("at"))


def test_a_condition_on_decimals_of_merged_rows(spread: list[Visit]) -> None:
    Visit.objects.filter(ms=11).update(price=Decimal("0.00"))
    rows = Visit.objects.values("path").distinct()
    found = rows.aggregate(a=Count("id", filter=Q(price=Decimal("0.00"))), b=Count("id", filter=Q(price__gt=-1)))
    prices = list(Visit.objects.values_list("price", flat=True))
    assert found["a"] == prices.count(Decimal(0)) > 0
    assert found["b"] == sum(1 for price in prices if price is not None and price > -1)

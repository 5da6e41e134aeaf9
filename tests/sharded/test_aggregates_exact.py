"""Aggregates over shards have the digits, the limits and the errors of one database."""

from __future__ import annotations

import operator
import statistics
from datetime import timedelta
from decimal import Decimal
from functools import partial, reduce
from typing import Any

import django
import pytest
from django.db import IntegrityError, NotSupportedError, OperationalError, connections, models
from django.db.models import (
    Avg,
    Count,
    DecimalField,
    ExpressionWrapper,
    F,
    FloatField,
    IntegerField,
    Max,
    Q,
    StdDev,
    Sum,
    TextField,
    Value,
    Variance,
)
from django.db.models.functions import Cast, Ceil, Coalesce, Length, Round
from django.db.transaction import atomic

from horizon_shards.exceptions import QueryNotSupported
from tests.settings import ENGINE
from tests.sharded.rows import VALUES, known
from tests.shop.models import Site, Ticket, Visit, Visitor

pytestmark = pytest.mark.django_db(databases=["default", "track"])


def test_whole_numbers_are_divided_as_the_engine_does(spread: list[Visit]) -> None:
    """SQLite and PostgreSQL leave the fraction out; the answer is the engine's own, also on one shard."""
    everywhere = Visit.objects.aggregate(x=Sum("ms") / Count("*"))["x"]
    Visit.objects.all().delete()
    visitor = Visitor.objects.order_by("pk")[0]
    Visit.objects.bulk_create(Visit(site_id=visitor.site_id, visitor=visitor, path="/", ms=value) for value in VALUES)
    assert everywhere == Visit.objects.filter(site=visitor.site_id).aggregate(x=Sum("ms") / Count("*"))["x"]


def test_whole_numbers_of_merged_rows_are_divided_as_the_engine_does(spread: list[Visit]) -> None:
    """PostgreSQL's sum of ``integer`` is whole, that of ``bigint`` a decimal: computed with, another number."""

    def asked(rows: Any) -> list[Any]:
        found = (rows.order_by("pk")[:20], rows.values("ms").distinct(), rows.values("ms").annotate(n=Max("ms") + 1))
        wide = rows.annotate(n=Length("path") + F("ms")).order_by("pk")[:20]
        return [
            *(one.aggregate(s=Sum("ms") / 4, x=F("s") * 4) for one in found),
            found[2].aggregate(s=Sum("n") / 4, x=F("s") * 4),
            wide.aggregate(s=Sum("n") / 4, x=F("s") * 4),
        ]

    everywhere = asked(Visit.objects.all())
    values = list(Visit.objects.values("path", "ms"))
    Visit.objects.all().delete()
    visitor = Visitor.objects.order_by("pk")[0]
    Visit.objects.bulk_create(Visit(site_id=visitor.site_id, visitor=visitor, **row) for row in values)
    assert everywhere == asked(Visit.objects.filter(site=visitor.site_id))


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
    """A third of a decimal and of whole numbers, over shards and on one."""
    asked = {"a": Avg("price"), "b": Avg("price", distinct=True), "c": Avg("ms", distinct=True)}
    asked |= {"d": Avg("took", distinct=True), "e": Avg("took"), "f": Avg(Ceil("price"), distinct=True)}
    Visit.objects.update(price=Decimal("0.01"), ms=0, took=timedelta(microseconds=1))
    Visit.objects.filter(pk__in=[visit.pk for visit in spread[:4]]).update(price=Decimal("100.00"), ms=1)
    Visit.objects.filter(pk=spread[4].pk).update(ms=3, took=timedelta(microseconds=2))
    everywhere = Visit.objects.aggregate(**asked)
    rows = list(Visit.objects.values("price", "ms", "took"))
    Visit.objects.all().delete()
    visitor = Visitor.objects.order_by("pk")[0]
    Visit.objects.bulk_create(Visit(site_id=visitor.site_id, visitor=visitor, path="/", **row) for row in rows)
    one = Visit.objects.filter(site=visitor.site_id).aggregate(**asked)
    assert everywhere == one


@pytest.mark.skipif(ENGINE != "mysql", reason="other engines have no average of booleans, or a float")
def test_mysql_averages_of_distinct_booleans_are_decimals(spread: list[Visit]) -> None:
    Visit.objects.filter(pk=spread[0].pk).update(bot=True)
    assert repr(Visit.objects.aggregate(a=Avg("bot", distinct=True))["a"]) == "Decimal('0.5000')"


@pytest.mark.skipif(ENGINE != "postgresql", reason="the others have floats, or few digits")
def test_an_average_of_whole_numbers_is_a_decimal(spread: list[Visit]) -> None:
    """In PostgreSQL, which has no remainder of floats, and rounds them otherwise."""
    asked = {
        "text": Cast(Avg("ms"), TextField()), "rest": Avg("ms") % 2, "round": Round(Avg("ms") / 2),
        "distinct": Cast(Avg("ms", distinct=True), TextField()), "shown": Avg("ms"),
    }  # fmt: skip
    everywhere = Visit.objects.aggregate(**asked)
    Visit.objects.all().delete()
    visitor = Visitor.objects.order_by("pk")[0]
    Visit.objects.bulk_create(Visit(site_id=visitor.site_id, visitor=visitor, path="/", ms=value) for value in VALUES)
    assert everywhere == Visit.objects.filter(site=visitor.site_id).aggregate(**asked)
    assert type(everywhere["shown"]) is float


def test_averages_are_cut_and_rounded_as_the_engine_does(spread: list[Visit]) -> None:
    """MySQL's of whole numbers have four digits, of five places nine that are cut off, of durations none."""
    exact = Cast("ms", DecimalField(max_digits=20, decimal_places=5))
    asked = {"a": Avg("ms"), "b": Avg("ms", distinct=True), "c": Avg(exact), "d": Avg(exact, distinct=True)}
    spans = {"e": Avg("took"), "f": Avg("took", distinct=True), "g": Avg("took") + timedelta(microseconds=1)}
    values = [0, 1, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4]
    for visit, value in zip(spread, values, strict=True):
        Visit.objects.filter(pk=visit.pk).update(ms=value, took=timedelta(microseconds=min(value, 3)))
    if connections["track"].vendor == "sqlite":  # has no numbers but floats
        asked = {"a": Avg("ms"), "b": Avg("ms", distinct=True)}
    everywhere = Visit.objects.aggregate(**asked), Visit.objects.filter(ms__lt=2).aggregate(**spans)
    rows = list(Visit.objects.values("ms", "took"))
    Visit.objects.all().delete()
    visitor = Visitor.objects.order_by("pk")[0]
    Visit.objects.bulk_create(Visit(site_id=visitor.site_id, visitor=visitor, path="/", **row) for row in rows)
    one = Visit.objects.filter(site=visitor.site_id)
    assert everywhere == (one.aggregate(**asked), one.filter(ms__lt=2).aggregate(**spans))


def test_variances_with_a_large_offset(spread: list[Visit]) -> None:
    """Chan's formula loses no digits to the size of the values, nor to MariaDB, which shows few."""
    offset = 2_000_000_000
    Visit.objects.filter(ms__isnull=False).update(ms=F("ms") + offset)
    found = Visit.objects.filter(ms__isnull=False).aggregate(v=Variance("ms"), s=StdDev("ms", sample=True))
    assert found["v"] == pytest.approx(statistics.pvariance(known()), rel=1e-8)
    assert found["s"] == pytest.approx(statistics.stdev(known()), rel=1e-8)


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


def test_a_sum_of_distinct_numbers_beyond_64_bits(sites: list[Site]) -> None:
    if connections["track"].vendor == "sqlite":
        pytest.skip("SQLite has no wider sums")
    numbers = [2**62, 2**61, 2**62 + 1, 2**62, 7]
    Ticket.objects.bulk_create(Ticket(site=s, visitor_no=n) for s, n in zip(sites * 5, numbers * 12, strict=True))
    found = Ticket.objects.aggregate(a=Sum("visitor_no", distinct=True), b=Sum("visitor_no"))
    assert found == {"a": sum(set(numbers)), "b": 12 * sum(numbers)}


def test_halves_of_a_sum_of_distinct_numbers(sites: list[Site]) -> None:
    """PostgreSQL's sum of ``bigint`` is ``numeric``, whose half has a fraction, and so on shards."""
    for site in sites:
        Ticket.objects.bulk_create(Ticket(site=site, visitor_no=number) for number in (1, 2, 4))
    twice = Sum("visitor_no", distinct=True) / 2 * 2
    everywhere = Ticket.objects.aggregate(a=twice)
    assert everywhere == Ticket.objects.filter(site=sites[0]).aggregate(a=twice)


def test_a_sum_of_distinct_foreign_keys(visits: list[Visit]) -> None:
    """Django leaves it of the type that the database gives, which is the same without ``distinct``."""
    rows = Visit.objects.filter(visitor__in=[visit.visitor_id for visit in visits[:10]])
    found = rows.filter(path="/1").aggregate(a=Sum("visitor"), b=Sum("visitor", distinct=True))
    assert found["a"] == found["b"] > 0
    assert type(found["a"]) is type(found["b"])


def test_an_average_of_numbers_whose_sum_is_beyond_64_bits(sites: list[Site]) -> None:
    ids = [Visitor.objects.create(site=site, name=f"x{number % 2}").pk for number, site in enumerate(sites)]
    assert Visitor.objects.aggregate(a=Avg("pk"))["a"] == pytest.approx(statistics.mean(ids), rel=1e-15)
    assert Visitor.objects.order_by("pk")[:7].aggregate(a=Avg("pk"))["a"] == pytest.approx(
        statistics.mean(sorted(ids)[:7]), rel=1e-15
    )
    groups = {row["name"]: row["a"] for row in Visitor.objects.values("name").annotate(a=Avg("pk"))}
    assert groups == {f"x{n}": pytest.approx(statistics.mean(ids[n::2]), rel=1e-15) for n in range(2)}
    assert Visitor.objects.aggregate(a=Avg("pk", distinct=True), n=Count("name", distinct=True)) == {
        "a": pytest.approx(statistics.mean(ids), rel=1e-15),
        "n": 2,
    }
    assert Visitor.objects.filter(name="y").aggregate(a=Avg("pk")) == {"a": None}


def digits() -> float:
    """How exact the spread of numbers near 2**61 is: MySQL computes it in floats."""
    return 1e-2 if connections["track"].vendor == "mysql" else 1e-9


def test_foreign_keys_whose_sum_is_beyond_64_bits(sites: list[Site]) -> None:
    visitors = [Visitor.objects.create(site=site, name="x") for site in sites]
    Visit.objects.bulk_create(Visit(site=visitor.site, visitor=visitor, path="/") for visitor in visitors)
    found = Visit.objects.aggregate(a=Avg("visitor"), v=Variance("visitor"), s=StdDev("visitor"))
    ids = [visitor.pk for visitor in visitors]
    expected = {"a": statistics.mean(ids), "v": statistics.pvariance(ids), "s": statistics.pstdev(ids)}
    assert {name: float(value) for name, value in found.items()} == pytest.approx(expected, rel=digits())


def test_variances_of_numbers_whose_squares_are_beyond_64_bits(sites: list[Site]) -> None:
    ids = [Visitor.objects.create(site=site, name=f"x{number % 2}").pk for number, site in enumerate(sites)]
    found = Visitor.objects.aggregate(v=Variance("pk"), s=StdDev("pk"), w=Variance("pk", sample=True))
    expected = {"v": statistics.pvariance(ids), "s": statistics.pstdev(ids), "w": statistics.variance(ids)}
    assert found == pytest.approx(expected, rel=digits())
    groups = {row["name"]: row["s"] for row in Visitor.objects.values("name").annotate(s=StdDev("pk", sample=True))}
    assert groups == {f"x{n}": pytest.approx(statistics.stdev(ids[n::2]), rel=digits()) for n in range(2)}
    assert Visitor.objects.filter(pk=ids[0]).aggregate(v=Variance("pk"), s=StdDev("pk")) == {"v": 0, "s": 0}


def test_a_whole_variance_beyond_64_bits(sites: list[Site]) -> None:
    """Django on one SQLite database has no words for it."""
    numbers = [(site, number) for site in sites for number in (0, 2**41)]
    Ticket.objects.bulk_create(Ticket(site=site, visitor_no=number) for site, number in numbers)
    assert Ticket.objects.aggregate(v=Variance("visitor_no"), s=StdDev("visitor_no")) == {"v": 2**80, "s": 2**40}


def test_variances_of_large_numbers_that_are_close(sites: list[Site]) -> None:
    """The means of the shards keep all digits, above zero and below; floats do not."""
    if connections["track"].vendor == "mysql":
        pytest.skip("computes variances in floats")
    for offset in (2**60, -(2**60)):
        Ticket.objects.all().delete()
        Ticket.objects.bulk_create(Ticket(site=site, visitor_no=offset + n) for n, site in enumerate(sites))
        found = Ticket.objects.aggregate(v=Variance("visitor_no"), s=StdDev("visitor_no", sample=True))
        numbers = range(len(sites))
        assert found == pytest.approx({"v": statistics.pvariance(numbers), "s": statistics.stdev(numbers)}, rel=1e-12)


def test_variances_of_fractions_that_are_called_whole(spread: list[Visit]) -> None:
    """SQLite keeps what it is given: an expression may lie about its type."""
    halves = ExpressionWrapper(F("ratio") * 1.5, output_field=IntegerField())
    expected = statistics.pvariance([value / 2 * 1.5 for value in known()])
    assert Visit.objects.filter(ms__isnull=False).aggregate(v=Variance(halves))["v"] == pytest.approx(
        expected, rel=1e-12
    )


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


@pytest.mark.skipif(django.VERSION < (6, 0), reason="PostgreSQL's alone before Django 6")
def test_any_value_and_bits(spread: list[Visit]) -> None:
    features = connections["track"].features
    if features.supports_any_value:
        assert Visit.objects.filter(bot=True).aggregate(x=models.AnyValue("bot"))["x"] is True
        groups = Visit.objects.values("path").annotate(x=models.AnyValue("path"))
        assert all(row["x"] == row["path"] for row in groups)
    if getattr(features, "supports_bit_aggregations", False):
        found = Visit.objects.filter(ms__gt=0).aggregate(
            a=models.BitAnd("ms"), o=models.BitOr("ms"), x=models.BitXor("ms")
        )
        values = [value for value in known() if value > 0]
        assert found == {
            "a": reduce(operator.and_, values),
            "o": reduce(operator.or_, values),
            "x": reduce(operator.xor, values),
        }


def test_what_mysql_computes_without_a_sign_has_none_over_shards(spread: list[Visit]) -> None:
    if not getattr(connections["track"].features, "supports_bit_aggregations", False):
        pytest.skip("Django 6.1's, or PostgreSQL's")
    none = Visit.objects.filter(ms=0)
    below = partial(none.aggregate, a=models.BitOr("ms"), z=F("a") - 1)
    if connections["track"].vendor != "mysql":
        assert below() == {"a": 0, "z": -1}
        return
    with pytest.raises(IntegrityError, match="UNSIGNED value is out of range"), atomic(using="track"):
        below()
    assert none.aggregate(a=models.BitOr("ms"), z=F("a") + 1) == {"a": 0, "z": 1}
    unknown = Visit.objects.filter(ms=None).order_by("path")[:5]
    assert unknown.aggregate(a=models.BitAnd("ms")) == {"a": 2**64 - 1}


def rounds_quotients() -> bool:
    """Whether the server computes with a quotient as it shows it: some of MySQL 9.7 do."""
    with connections["track_1"].cursor() as cursor:
        cursor.execute("SELECT 1 / 3 * 3 < 1")
        return bool(cursor.fetchone()[0])


@pytest.mark.skipif(ENGINE != "mysql", reason="other engines show all digits that they add")
def test_sums_of_quotients_have_the_digits_that_mysql_does_not_show(spread: list[Visit]) -> None:
    """Each shard's own sum would be rounded to what it shows."""
    Visit.objects.update(price=Decimal("0.10"))
    assert Visit.objects.aggregate(a=Sum(F("price") / 3), b=Avg(F("price") / 7)) == {
        "a": Decimal("0.399996" if rounds_quotients() else "0.400000"),
        "b": Decimal("0.0142860000" if rounds_quotients() else "0.0142857140"),
    }
    assert Visit.objects.filter(ms=99_999).aggregate(a=Sum(F("price") / 3), b=Avg(F("price") / 3)) == {
        "a": None,
        "b": None,
    }
    beside = {"n": Count("path", distinct=True)}
    with pytest.raises(QueryNotSupported, match="quotient"):
        Visit.objects.aggregate(a=Sum(F("price") / 3), **beside)
    assert Visit.objects.aggregate(a=Sum(F("price") * 3), **beside)["a"] == Decimal("3.60")


@pytest.mark.skipif(ENGINE != "mysql", reason="other engines show all digits that they compute with")
def test_mysql_computes_with_more_digits_of_an_average_than_it_shows(spread: list[Visit]) -> None:
    """A third is 0.3333 where it is shown, and 0.333333333 where it is multiplied."""
    Visit.objects.update(ms=0, price=0)
    Visit.objects.filter(pk__in=[visit.pk for visit in spread[:3]]).update(path="/third")
    Visit.objects.filter(pk=spread[0].pk).update(ms=1, price=1)
    thirds = Visit.objects.filter(path="/third")
    if rounds_quotients():
        with pytest.raises(QueryNotSupported, match="more digits of an Avg"):
            thirds.aggregate(a=Avg("ms") * 3)
        with pytest.raises(QueryNotSupported, match="more digits of an Avg"):
            thirds.aggregate(a=Avg(Cast("ms", FloatField())) * 3)  # to MySQL, a decimal
        assert thirds.aggregate(a=Avg("ratio") * 3)["a"] is not None
        with pytest.raises(QueryNotSupported, match="more digits of an Avg"):
            list(thirds.values("path").annotate(a=Cast(Avg("price"), DecimalField(max_digits=20, decimal_places=9))))
        assert thirds.aggregate(c=Avg("ms"), d=Avg("ms", default=9)) == {"c": 0.3333, "d": 0.3333}
        assert thirds.values("path").annotate(a=Avg("ms")).filter(a__gt=0.3333).count() == 1
        return
    average = {"a": Avg("ms") * 3, "b": Avg("price") * 3, "c": Avg("ms"), "d": Avg("ms", default=9)}
    assert thirds.aggregate(**average) == {"a": 1.0, "b": Decimal(1), "c": 0.3333, "d": 0.3333}
    groups = thirds.values("path").annotate(**average).filter(a__gt=0.9999)
    assert list(groups.values_list("a", "b", "c", "d")) == [(1.0, Decimal(1), 0.3333, 0.3333)]


@pytest.mark.skipif(ENGINE != "mysql", reason="other engines show all digits that they add")
def test_nothing_is_computed_with_sums_of_quotients(spread: list[Visit]) -> None:
    third = Sum(F("price") / 3)
    for computed in (third + third, Coalesce(third, Value(Decimal(0))) * 3, Round(third, 2)):
        with pytest.raises(QueryNotSupported, match="quotient"):
            Visit.objects.aggregate(s=computed)
    whole = Sum(Cast(F("price") / 3, DecimalField(max_digits=20, decimal_places=2)))
    assert Visit.objects.aggregate(s=whole + whole, t=Coalesce(third, Value(Decimal(0))))


@pytest.mark.parametrize("kind", [Sum, Avg])
@pytest.mark.parametrize("distinct", [False, True])
def test_texts_are_not_added(spread: list[Visit], kind: Any, distinct: bool) -> None:
    with pytest.raises(QueryNotSupported, match="adds texts"):
        Visit.objects.aggregate(s=kind("path", distinct=distinct))


def test_distinct_times_are_not_added(spread: list[Visit]) -> None:
    with pytest.raises(QueryNotSupported, match="adds times"):
        Visit.objects.aggregate(s=Sum("at", distinct=True))


@pytest.mark.skipif(ENGINE != "mysql", reason="sums of other engines are whole")
def test_mysql_sums_are_decimals(spread: list[Visit]) -> None:
    """Django makes numbers of those of its own fields, not of a foreign key's."""
    Visit.objects.update(editor=5)
    found = Visit.objects.aggregate(a=Sum("editor_id"), b=Sum("editor_id", distinct=True), c=Sum("ms", distinct=True))
    assert [type(value) for value in found.values()] == [Decimal, Decimal, int]
    assert found["b"] == 5

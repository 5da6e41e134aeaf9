"""Aggregates over shards: of distinct values, inside expressions, over groups, slices and distinct rows."""

from __future__ import annotations

import statistics
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from typing import Any

import django
import pytest
from django.db import NotSupportedError, connections
from django.db.models import (
    Avg,
    Case,
    CharField,
    Count,
    ExpressionWrapper,
    F,
    FloatField,
    Max,
    Min,
    Q,
    StdDev,
    Sum,
    Value,
    Variance,
    When,
)
from django.db.models.functions import Cast, Coalesce, Concat, Greatest, Length, Lower, Now, Upper

from horizon_shards.exceptions import QueryNotSupported, RowLimitExceeded
from horizon_shards.testing import capture_shards
from tests.changed_databases import limited
from tests.sharded.rows import VALUES, known
from tests.shop.models import Country, Order, Site, Ticket, Visit, Visitor

pytestmark = pytest.mark.django_db(databases=["default", "track"])


def test_distinct_values_are_told_apart_over_shards(spread: list[Visit]) -> None:
    distinct = set(known())
    found = Visit.objects.aggregate(
        n=Count("ms", distinct=True),
        total=Sum("ms", distinct=True),
        mean=Avg("ms", distinct=True),
        prices=Count("price", distinct=True),
        price=Sum("price", distinct=True),
        took=Sum("took", distinct=True),
        bots=Count("ms", distinct=True, filter=Q(bot=True)),
        nothing=Count("ms", distinct=True, filter=Q(ms=99)),
        no_sum=Sum("ms", distinct=True, filter=Q(ms=99)),
        all=Count("*"),
        plain=Sum("ms"),
        low=Min("ms"),
        spread=Variance("ms", filter=Q(ms__isnull=False)),
        paths=Count("path", distinct=True),
        names=Count("visitor__name", distinct=True),
        ids=Count("pk", distinct=True),
    )  # fmt: skip
    assert found == {
        "n": len(distinct),
        "total": sum(distinct),
        "mean": pytest.approx(sum(distinct) / len(distinct), rel=1e-4),  # MySQL has four digits
        "prices": len(distinct),
        "price": Decimal(sum(distinct)) / 4,
        "took": timedelta(seconds=sum(distinct)),
        "bots": len(set(known(bot=True))),
        "nothing": 0,
        "no_sum": None,
        "all": 12,
        "plain": sum(known()),
        "low": -5,
        "spread": pytest.approx(statistics.pvariance(known())),
        "paths": 3,
        "names": 5,
        "ids": 12,
    }


def test_distinct_values_of_nothing(sites: list[Site]) -> None:
    found = Visit.objects.aggregate(a=Count("ms", distinct=True), b=Sum("ms", distinct=True), c=Count("*"), d=Max("ms"))
    assert found == {"a": 0, "b": None, "c": 0, "d": None}
    one = Visit.objects.values(kind=Value("all")).annotate(n=Count("ms", distinct=True))
    assert list(one) == [{"kind": "all", "n": 0}]


def test_texts_that_are_missing_are_no_text_of_another_kind(spread: list[Visit]) -> None:
    """MySQL knows no collation of a bare NULL."""
    Ticket.objects.create(site=spread[0].site, visitor=spread[0].visitor, text="x")
    Ticket.objects.create(site=spread[1].site, visitor=spread[1].visitor, visit=spread[1], text="y")
    assert Ticket.objects.order_by("visit__path").values("visit__path").distinct().aggregate(n=Count("id")) == {"n": 2}


def test_distinct_values_of_ids_stay_on_their_shards(spread: list[Visit]) -> None:
    """An id is on one shard: its shards' counts are added, no value travels."""
    with capture_shards(), limited("track", max_rows=4):
        assert Visit.objects.aggregate(n=Count("pk", distinct=True), m=Count("site", distinct=True)) == {
            "n": 12,
            "m": 12,
        }
    with limited("track", max_rows=4), pytest.raises(RowLimitExceeded):
        Visit.objects.aggregate(n=Count("ms", distinct=True))


def test_distinct_values_of_groups(spread: list[Visit]) -> None:
    rows = Visit.objects.values("path").annotate(
        n=Count("ms", distinct=True), total=Sum("ms", distinct=True), all=Count("pk", distinct=True), sum=Sum("ms")
    )
    values = {path: [v for v in VALUES[number::3] if v is not None] for number, path in enumerate(("/0", "/1", "/2"))}
    assert list(rows.order_by("path")) == [
        {"path": path, "n": len(set(own)), "total": sum(set(own)), "all": 4, "sum": sum(own)}
        for path, own in values.items()
    ]


def test_expressions_over_aggregates(spread: list[Visit]) -> None:
    total, count = sum(known()), len(known())
    found = Visit.objects.aggregate(
        a=Sum("ms"),
        twice=Sum("ms") * 2,
        difference=Sum("ms") - Count("ms"),
        mean=ExpressionWrapper(Sum("ratio") / Count("ms"), FloatField()),
        share=Cast(Sum("ms"), FloatField()) / Count("ms"),
        price=Sum("price") * Decimal("1.10"),
        coalesced=Coalesce(Sum("ms", filter=Q(ms=99)), Value(-1)),
        default=Sum("ms", filter=Q(ms=99), default=Count("*")),
        case=Case(When(a__gt=5, then=Value("many")), default=Value("few"), output_field=CharField()),
        more=F("a") + 1,
        nothing=Sum("ms", filter=Q(ms=99)) + 1,
        time=Sum("took") + timedelta(seconds=1),
        span=Max("at") - Min("at"),
        both=Greatest(Max("ms"), Count("*")),
        text=Concat(Min("path"), Value(" to "), Max("path")),
    )
    assert found == {
        "a": total,
        "twice": 2 * total,
        "difference": total - count,
        "mean": pytest.approx(total / 2 / count),
        "share": pytest.approx(total / count),
        "price": Decimal(total) / 4 * Decimal("1.10"),
        "coalesced": -1,
        "default": 12,
        "case": "many",
        "more": total + 1,
        "nothing": None,
        "time": timedelta(seconds=total + 1),
        "span": timedelta(days=11),
        "both": 12,
        "text": "/0 to /2",
    }


def test_expressions_over_aggregates_of_groups(spread: list[Visit]) -> None:
    rows = (
        Visit.objects.values("path")
        .annotate(a=Sum("ms"), b=Count("pk"))
        .annotate(
            c=F("a") - F("b"),
            d=Case(When(a__gt=12, then=Value("high")), default=Value("low")),
            e=Coalesce(Sum("ms", filter=Q(ms__gt=7)), Value(0)),
            f=F("a") + Length("path"),
            g=Upper(Max("visitor__name")),
            h=Sum("price", default=Decimal("0.5")) * 2,
        )
    )
    sums = {f"/{n}": sum(v for v in VALUES[n::3] if v is not None) for n in range(3)}
    found = {row.pop("path"): row for row in rows}
    for path, row in found.items():
        own = [v for v in VALUES[int(path[1]) :: 3] if v is not None]
        assert row == {
            "a": sums[path], "b": 4, "c": sums[path] - 4, "d": "high" if sums[path] > 12 else "low",
            "e": sum(v for v in own if v > 7), "f": sums[path] + 2,
            "g": max(f"V{n % 5}" for n in range(int(path[1]), 12, 3)), "h": Decimal(sums[path]) / 2,
        }  # fmt: skip
    assert [row["path"] for row in rows.order_by("-c", "path")] == sorted(sums, key=lambda p: (-sums[p], p))
    assert [row["path"] for row in rows.order_by("c").filter(c__gt=0)[1:]] == sorted(
        (p for p in sums if sums[p] > 4), key=sums.__getitem__
    )[1:]


def test_having_as_the_database_decides_it(spread: list[Visit]) -> None:
    rows = Visit.objects.values("path").annotate(n=Count("pk"), a=Sum("ms"), last=Max("visitor__name"))
    sums = {f"/{n}": sum(v for v in VALUES[n::3] if v is not None) for n in range(3)}

    def paths(*args: Any, **kwargs: Any) -> list[str]:
        return sorted(row["path"] for row in rows.filter(*args, **kwargs))

    assert paths(a__gt=F("n") * 3) == [p for p in sums if sums[p] > 12]
    assert paths(last__startswith="v4") == ["/0", "/1"]
    assert paths(last__iexact="V4") == ["/0", "/1"]
    assert paths(last__in=["v3"]) == ["/2"]
    assert paths(Q(a=sums["/0"]) ^ Q(path="/1")) == ["/0", "/1"]
    assert paths(~Q(a=sums["/0"])) == [p for p in sums if sums[p] != sums["/0"]]
    assert paths(Q(a=sums["/0"]) | Q(path="/1")) == ["/0", "/1"]
    assert paths(a__in=[F("n") * 2, sums["/2"]]) == [p for p in sums if sums[p] in (8, sums["/2"])]
    assert paths(n__in=[]) == []
    assert paths(a=Value(None)) == []
    assert [row["path"] for row in rows.order_by("-last", "-path")[:1]] == ["/1"]


def test_groups_of_constants_and_of_the_time(spread: list[Visit]) -> None:
    """What has one value for the whole query makes no groups, whatever each shard's clock says."""
    rows = list(Visit.objects.values("path").annotate(n=Count("pk"), kind=Value("x"), now=Now()).order_by("path"))
    assert [(row["path"], row["n"], row["kind"]) for row in rows] == [("/0", 4, "x"), ("/1", 4, "x"), ("/2", 4, "x")]


def test_aggregates_over_groups(spread: list[Visit]) -> None:
    groups = Visit.objects.values("path").annotate(n=Count("pk"), a=Sum("ms"))
    sums = [sum(v for v in VALUES[n::3] if v is not None) for n in range(3)]
    assert groups.aggregate(Sum("n"), Max("a"), mean=Avg("a"), d=Count("n", distinct=True), c=Count("*")) == {
        "n__sum": 12,
        "a__max": max(sums),
        "mean": pytest.approx(sum(sums) / 3, rel=1e-4),
        "d": 1,
        "c": 3,
    }
    assert groups.filter(a__gt=min(sums)).aggregate(x=Sum("a") * 2 + Count("*")) == {
        "x": 2 * sum(s for s in sums if s > min(sums)) + sum(s > min(sums) for s in sums)
    }
    assert groups.filter(n__gt=99).aggregate(Sum("n"), c=Count("*")) == {"n__sum": None, "c": 0}
    assert groups.filter(n__gt=99).count() == 0
    assert groups.order_by("-a")[:2].aggregate(Sum("a")) == {"a__sum": sum(sorted(sums)[1:])}


def test_aggregates_over_slices_and_distinct_rows(spread: list[Visit]) -> None:
    ordered = sorted(known())
    cut = Visit.objects.filter(ms__isnull=False).order_by("ms", "pk")[2:7]
    assert cut.aggregate(Sum("ms"), Min("ms"), n=Count("ms", distinct=True), s=StdDev("ms")) == {
        "ms__sum": sum(ordered[2:7]),
        "ms__min": ordered[2],
        "n": len(set(ordered[2:7])),
        "s": pytest.approx(statistics.pstdev(ordered[2:7])),
    }
    assert Visit.objects.order_by("pk")[50:].aggregate(Sum("ms"), Count("pk")) == {"ms__sum": None, "pk__count": 0}
    distinct = set(known())
    assert Visit.objects.values("ms").distinct().aggregate(Sum("ms"), Count("ms"), n=Count("*")) == {
        "ms__sum": sum(distinct),
        "ms__count": len(distinct),
        "n": len(distinct) + 1,
    }
    texts = Visit.objects.values("path", "bot").distinct()
    assert texts.aggregate(Max("path"), n=Count("path", distinct=True)) == {"path__max": "/2", "n": 3}
    assert Visit.objects.values("price").distinct().aggregate(s=Sum("price")) == {"s": Decimal(sum(distinct)) / 4}
    assert Visit.objects.values("took").distinct().aggregate(s=Sum("took")) == {"s": timedelta(seconds=sum(distinct))}
    with limited("track", max_rows=7), pytest.raises(RowLimitExceeded):
        Visit.objects.values("ms", "path").distinct().aggregate(Sum("ms"))


def test_many_merged_rows_are_sent_in_parts(sites: list[Site]) -> None:
    visitors = [Visitor.objects.create(site=site, name="x") for site in sites]
    Visit.objects.bulk_create(
        Visit(site=v.site, visitor=v, path=f"/{n}", ms=n, ratio=n) for v in visitors[:4] for n in range(300)
    )
    rows = Visit.objects.order_by("ms", "pk")[:1100]
    expected = sorted(n for n in range(300) for _ in range(4))[:1100]
    assert rows.aggregate(Sum("ms"), Count("ms", distinct=True), v=Variance("ratio")) == {
        "ms__sum": sum(expected),
        "ms__count": len(set(expected)),
        "v": pytest.approx(statistics.pvariance(expected)),
    }
    groups = Visit.objects.values("path").annotate(n=Sum("ms") * 2).filter(n__gt=F("ms") * 0).order_by("-n")
    assert [row["n"] for row in Visit.objects.values("path").annotate(n=Sum("ms") * 2).order_by("-n")] == [
        8 * n for n in reversed(range(300))
    ]
    assert groups.count() == 299


def test_related_rows_are_counted(spread: list[Visit]) -> None:
    rows = Visitor.objects.annotate(n=Count("visits"), d=Count("visits__path", distinct=True), x=Count("visits") * 3)
    assert {(row.n, row.d, row.x) for row in rows} == {(1, 1, 3)}
    by_name = Visitor.objects.values("name").annotate(n=Count("visits__path", distinct=True), m=Count("visits"))
    expected = {f"v{n}": len({f"/{i % 3}" for i in range(n, 12, 5)}) for n in range(5)}
    assert {row["name"]: row["n"] for row in by_name} == expected
    assert Visitor.objects.annotate(n=Count("visits")).aggregate(Sum("n"), Max("n")) == {"n__sum": 12, "n__max": 1}


def test_whole_groups_are_ordered_by_what_is_computed_of_a_text(spread: list[Visit]) -> None:
    for n, visit in enumerate(spread):
        visit.path = "aBCd"[n % 4]
    Visit.objects.bulk_update(spread, ["path"])
    groups = Visitor.objects.annotate(n=Count("visits")).order_by(Lower("visits__path").desc(), "pk")
    counted = Counter((visit.visitor_id, visit.path.lower()) for visit in spread)
    expected = sorted(counted, key=lambda group: (-ord(group[1]), group[0]))
    assert list(groups.values_list("pk", "n")) == [(visitor, counted[visitor, path]) for visitor, path in expected]


@pytest.mark.skipif(django.VERSION < (6, 0), reason="StringAgg is PostgreSQL's before Django 6")
def test_texts_in_a_row(spread: list[Visit]) -> None:
    from django.db.models import StringAgg

    whole = Visit.objects.aggregate(
        x=StringAgg("path", Value(",")), none=StringAgg("path", Value(","), filter=Q(ms=99))
    )
    assert sorted(whole["x"].split(",")) == sorted(f"/{n % 3}" for n in range(12))
    assert whole["none"] is None
    groups = Visit.objects.values("bot").annotate(x=StringAgg("path", Value("|")))
    assert {row["bot"]: sorted(row["x"].split("|")) for row in groups} == {
        bot: sorted(f"/{n % 3}" for n in range(12) if (n % 2 == 0) == bot) for bot in (False, True)
    }
    takes_two = connections["track"].features.supports_aggregate_distinct_multiple_argument
    if takes_two or django.VERSION >= (6, 1):  # Django 6.0 does not see that SQLite's own separator is the comma
        distinct = Visit.objects.aggregate(x=StringAgg("path", Value(","), distinct=True))
        assert sorted(distinct["x"].split(",")) == ["/0", "/1", "/2"]
    if not takes_two:
        with pytest.raises(NotSupportedError, match="distinct with multiple expressions"):
            Visit.objects.aggregate(x=StringAgg("path", Value(";"), distinct=True))
    if not connections["track"].features.supports_aggregate_order_by_clause:
        with pytest.raises(NotSupportedError):
            Visit.objects.aggregate(x=StringAgg("path", Value(","), order_by="ms"))
        return
    found = Visit.objects.aggregate(
        x=StringAgg("visitor__name", Value(","), order_by=[F("ms").desc(), "pk"], filter=Q(ms__gt=2)),
        n=Count("ms"),
    )
    rows = sorted(
        ((-v, visit.pk, f"v{n % 5}") for n, (v, visit) in enumerate(zip(VALUES, spread, strict=True)) if v and v > 2)
    )
    assert found == {"x": ",".join(name for _, _, name in rows), "n": 11}


def test_a_reference_model_is_counted_once(spread: list[Visit]) -> None:
    Country.objects.create(code="de", name="Germany")
    assert Country.objects.aggregate(n=Count("name", distinct=True) * 2) == {"n": 2}
    assert Order.objects.aggregate(x=Coalesce(Sum("amount"), 0) + 1) == {"x": 1}


def test_the_plan_says_what_is_computed_where(spread: list[Visit]) -> None:
    with capture_shards() as captured:
        list(Visit.objects.values("path").annotate(n=Sum("ms") * 2).filter(n__gt=1))
    steps = " ".join(captured[-1].plan.merge.steps)
    assert "partial values" in steps
    assert "computed by one shard" in steps
    assert "HAVING" in steps


def test_a_union_is_only_counted(spread: list[Visit]) -> None:
    union = Visit.objects.filter(ms__gt=3).values("ms").union(Visit.objects.filter(ms__lt=5).values("ms"))
    assert union.count() == len(set(known()))
    together = Visit.objects.filter(ms__gt=3).union(Visit.objects.filter(ms__lt=5))
    assert together.count() == len(known())
    with pytest.raises(QueryNotSupported, match=r"union\(\).*Q\(") as caught:
        together.aggregate(s=Sum("ms"))
    assert caught.value.reason == "aggregate-over-rows"

"""GROUP BY over groups that several shards have parts of."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.db import connections
from django.db.models import (
    Avg,
    BooleanField,
    Case,
    CharField,
    Count,
    Exists,
    ExpressionWrapper,
    F,
    Func,
    IntegerField,
    Max,
    Min,
    OuterRef,
    Q,
    StdDev,
    Subquery,
    Sum,
    Value,
    Variance,
    When,
)
from django.db.models.functions import Cast, Collate, Concat, Length, Lower, Random

from horizon_shards.exceptions import QueryNotSupported, RowLimitExceeded
from tests.changed_databases import limited
from tests.settings import ENGINE
from tests.shop.models import Site, Visit, Visitor

pytestmark = pytest.mark.django_db(databases=["default", "track"])


def test_groups_are_put_together(visits: list[Visit]) -> None:
    rows = Visit.objects.values("path").annotate(
        n=Count("pk"),
        total=Sum("ms"),
        mean=Avg("ratio"),
        price=Sum("price"),
        low=Min("site"),
        high=Max("visitor__name"),
    )
    found = {row["path"]: row for row in rows.order_by("path")}
    assert list(found) == ["/0", "/1", "/2", "/3", "/4"]
    assert found["/3"] | {"low": None, "high": None} == {
        "path": "/3",
        "n": 12,
        "total": 36,
        "mean": 0.75,
        "price": Decimal(36),
        "low": None,
        "high": None,
    }
    assert found["/3"]["low"] == min(visit.site_id for visit in visits)
    assert found["/3"]["high"] == max(f"visitor {visit.site_id}" for visit in visits)


def test_having_ordering_and_slices_on_whole_groups(sites: list[Site], visits: list[Visit]) -> None:
    Visit.objects.filter(site__in=sites[:6], path="/0").delete()
    groups = Visit.objects.values("path").annotate(n=Count("pk"), most=Max("ms"))
    assert list(groups.filter(n__lt=12).values_list("path", "n")) == [("/0", 6)]
    assert [row["path"] for row in groups.order_by("-n", "-path")[:2]] == ["/4", "/3"]
    assert [row["path"] for row in groups.order_by("most")[1:3]] == ["/1", "/2"]
    assert [row["path"] for row in groups.filter(Q(n=6) | ~Q(most__in=[1, 2, 3])).order_by("path")] == ["/0", "/4"]
    assert [row["path"] for row in groups.filter(n__range=(7, 20), most__isnull=False).order_by("path")][:1] == ["/1"]
    assert groups.count() == 5
    assert groups.filter(n__gt=6).count() == 4
    assert groups.filter(n__gt=6).exists()
    assert not groups.filter(n__gt=60).exists()
    assert groups.order_by("path").first() == {"path": "/0", "n": 6, "most": 0}
    assert groups.distinct().count() == 5


def test_groups_of_null_and_of_expressions(sites: list[Site]) -> None:
    for number, site in enumerate(sites):
        Visitor.objects.create(site=site, name="x" * (number % 3), nick=None if number % 2 else "n")
    by_nick = Visitor.objects.values_list("nick").annotate(n=Count("*")).order_by(F("nick").asc(nulls_last=True))
    assert list(by_nick) == [("n", 6), (None, 6)]
    by_length = Visitor.objects.annotate(size=Length("name")).values("size").annotate(n=Count("pk")).order_by("size")
    assert list(by_length) == [{"size": size, "n": 4} for size in (0, 1, 2)]


def test_groups_of_what_a_subquery_alone_says_of_the_row(visits: list[Visit]) -> None:
    """No column of the row stands in the expression but inside the subquery."""
    quick = Case(When(Q(Exists(Visit.objects.filter(visitor=OuterRef("pk"), path="/1"))), then=1), default=0)
    with_one = {visit.visitor_id for visit in visits if visit.path == "/1"}
    Visit.objects.filter(path="/1", visitor__in=sorted(with_one)[:5]).delete()
    found = Visitor.objects.annotate(quick=quick).order_by("quick").values_list("quick").annotate(n=Count("id"))
    assert list(found) == [(0, Visitor.objects.count() - len(with_one) + 5), (1, len(with_one) - 5)]


def test_groups_by_a_condition_on_texts_that_a_collation_calls_equal(spread: list[Visit]) -> None:
    """Grouped by is the condition, and not the column, of whose values that are equal it does not say the same."""
    for number, visit in enumerate(spread):
        Visit.objects.filter(pk=visit.pk, site=visit.site_id).update(path="aA"[number % 2], ms=number % 3, bot=False)
    has_small = Q(path__regex="a")
    for condition in (has_small, ~has_small, has_small | Q(path__regex="^a"), Q(has_small, Q(bot=False) | Q(ms__lt=3))):
        groups = Visit.objects.annotate(e=condition).values_list("e").annotate(n=Count("pk")).order_by("e")
        assert list(groups) == [(False, 6), (True, 6)]
        assert len(Visit.objects.annotate(e=condition).values_list("bot", "e").annotate(n=Count("pk"))) == 2
    quick = Visit.objects.annotate(e=Q(ms__gt=0)).values("e").annotate(n=Count("pk"))
    assert list(quick.order_by("e").values_list("e", "n")) == [(False, 4), (True, 8)]
    assert [row["n"] for row in quick.annotate(again=F("e"))] == [4, 4, 4]


def test_groups_beside_a_condition_are_by_the_columns_below_it(visits: list[Visit]) -> None:
    """As Django groups by what is selected after the values."""
    groups = Visit.objects.values("bot").annotate(n=Count("pk"))
    assert list(groups.annotate(e=Q(ms__gt=1)).order_by("e").values_list("n", "e")) == [
        *[(12, False)] * 2,
        *[(12, True)] * 3,
    ]
    assert len(groups.order_by(ExpressionWrapper(Q(ms__gt=1), output_field=BooleanField()))) == 2
    of_visitor = Subquery(Visitor.objects.filter(pk=OuterRef("visitor")).values("name")[:1])
    assert len(groups.annotate(e=Case(When(Q(ms__gt=1), then=1), default=0))) == 2
    assert len(groups.annotate(e=of_visitor)) == 12


def test_an_ordering_that_is_not_selected_makes_more_groups(visits: list[Visit]) -> None:
    rows = Visit.objects.values("bot").annotate(n=Count("pk")).order_by("ms")
    assert list(rows) == [{"bot": False, "n": 12}] * 5
    assert len(rows.distinct()) == 5
    assert list(Visit.objects.values("bot", "path").annotate(n=Count("pk")).values("bot", "n").distinct()) == [
        {"bot": False, "n": 12}
    ]


def test_spread_over_shards(sites: list[Site]) -> None:
    visitors = [Visitor.objects.create(site=site, name="x") for site in sites]
    values = [3, 7, 7, 19, 1, 4, 1_000_003, 8, 0, -5, 11, 2]
    Visit.objects.bulk_create(
        Visit(site=visitor.site, visitor=visitor, path="/", ms=value, ratio=value)
        for visitor, value in zip(visitors, values, strict=True)
    )
    mean = sum(values) / 12
    variance = sum((value - mean) ** 2 for value in values) / 12
    found = Visit.objects.aggregate(
        a=Variance("ms"), b=Variance("ratio", sample=True), c=StdDev("ms"), d=StdDev("ratio", sample=True),
        e=Variance("ms", filter=Q(ms=3), sample=True), f=StdDev("ms", filter=Q(ms=99)),
    )  # fmt: skip
    assert found["a"] == pytest.approx(variance)
    assert found["b"] == pytest.approx(variance * 12 / 11)
    assert found["c"] == pytest.approx(variance**0.5)
    assert found["d"] == pytest.approx((variance * 12 / 11) ** 0.5)
    assert (found["e"], found["f"]) == (None, None)
    (row,) = Visit.objects.values("path").annotate(spread=Variance("ms"))
    assert row["spread"] == pytest.approx(variance)


def test_too_many_groups(visits: list[Visit]) -> None:
    with limited("track", max_rows=4), pytest.raises(RowLimitExceeded, match=r"groups|rows"):
        list(Visit.objects.values("path").annotate(n=Count("pk")))


def test_groups_are_explained(visits: list[Visit]) -> None:
    text = Visit.objects.values("path").annotate(n=Count("pk")).explain()
    assert text.startswith("scatter select on track")
    assert connections["track"].vendor


def spelled(row: dict[str, str]) -> str:
    """The name of a group, whichever of its spellings that are equal on MySQL the database chose."""
    return row["name"].lower().strip().replace("ä", "a")


def test_groups_of_text_are_in_the_order_of_the_database(sites: list[Site]) -> None:
    names = ["b", "B", "None", "aB", "Ab", "z", "ä", "", "a", "A ", "c", "Z"]
    for number, name in enumerate(names):
        Visitor.objects.create(site=sites[number], name=name)
        Visitor.objects.create(site=sites[0], name=name, nick="one shard")
    groups = Visitor.objects.values("name").annotate(n=Count("pk"))
    for order in ("name", "-name"):
        several = [spelled(row) for row in groups.filter(nick=None).order_by(order)]
        one = [spelled(row) for row in groups.filter(site=sites[0], nick="one shard").order_by(order)]
        assert several == one


@pytest.mark.skipif(ENGINE != "mysql", reason="where texts compare as if filled up with blanks")
def test_blanks_that_weigh_the_same_are_one_group(visits: list[Visit]) -> None:
    for number, text in enumerate(("a", "A ", "a\u00a0", "a \u00a0", "", "\u00a0", "ab")):
        Visit.objects.filter(ms=number % 5, site__in=[visit.site_id for visit in visits[number * 5 :: 30]]).update(
            path=text
        )
    name = Collate("path", "utf8mb4_unicode_ci")
    one = Visit.objects.filter(pk__gt=0).annotate(name=name)
    groups = one.values("name").annotate(n=Count("pk"))
    found = {str(row["name"]).strip().lower(): row["n"] for row in groups}
    assert sum(found.values()) == 60
    assert len(groups) == len(found) == one.values("name").distinct().count()


def test_groups_are_counted_whose_order_is_of_an_aggregate_that_can_never_hold(visits: list[Visit]) -> None:
    rows = Visit.objects.values("id", "site").annotate(n=Count("id", filter=Q(path__in=[])))
    for order in (("id", "n"), ("-n",), (F("n").desc(),)):
        # Django itself counts none on one database, as of 6.1.
        assert rows.order_by(*order).count() in (0, 60)
    assert len(rows.order_by("n", "id")[:3]) == 3
    in_an_expression = rows.order_by((F("n") * 2).desc())
    # Here Django lets the aggregate empty the whole answer, but on MySQL, and before Django 6 its count.
    assert len(in_an_expression) in (0, 60)
    assert in_an_expression.count() in (len(in_an_expression), 60)


def test_groups_by_a_constant_are_none_where_there_are_no_rows(sites: list[Site], visits: list[Visit]) -> None:
    """Django groups by a function of constants, and by no constant alone: then there is one group, of no rows too."""
    rows = Visit.objects.annotate(a=Value("a"), low=Lower(Value("A")))
    counted = rows.values("a").annotate(n=Count("pk"))
    texts = rows.values("a").annotate(n=Concat(Lower("a"), Cast(Count("pk"), CharField())))
    distinct = rows.values("a").annotate(n=Count("ms", distinct=True))
    for groups, size in (
        (counted, 1),
        (counted.order_by(Lower("a")), 0),
        (rows.values("low").annotate(n=Count("pk")), 0),
        (counted.filter(Q(n__gt=-1) | Q(low="b")), 0),
        (distinct.order_by(Lower("a")), 0),
        (texts, 0),
    ):
        none, some = groups.filter(ms=99), groups.filter(ms=1)
        assert len(none) == len(none.filter(site=sites[0])) == size
        assert len(some) == len(some.filter(site=sites[0])) == 1
        assert some[0]["n"] in (12, "a12", 1)


def test_without_group_by_or_an_aggregate_in_the_sql_each_row_is_one(sites: list[Site], visits: list[Visit]) -> None:
    """Django groups by no constant alone, and leaves out an aggregate that is not selected."""
    rows = Visit.objects.filter(ms=1).annotate(a=Value("a")).values("a")
    assert list(rows.annotate(n=Count("pk")).values("a")) == [{"a": "a"}] * 12
    assert list(rows.filter(ms=99).annotate(n=Count("pk")).values("a")) == []
    assert len(rows.annotate(n=Count("pk")).values("a").distinct()) == 1
    assert len(rows.annotate(n=Count("pk")).values("a")[3:5]) == 2
    with limited("track", max_rows=11), pytest.raises(RowLimitExceeded, match="rows"):
        list(rows.annotate(n=Count("pk")).values("a"))


@pytest.mark.skipif(ENGINE == "mysql", reason="Django counts a CASE there: an aggregate is in the SQL")
def test_without_group_by_an_aggregate_that_never_holds_is_of_each_row(sites: list[Site], visits: list[Visit]) -> None:
    rows = Visit.objects.filter(ms=1).annotate(a=Value("a")).values("a")
    of_site = Visit.objects.filter(ms=1, site=sites[0]).count()
    never = Q(path__in=[])
    for aggregate, value in (
        (Count("pk", filter=never), 0),
        (Count("path", distinct=True, filter=never), 0),
        (Sum("ms", default=7, filter=never), 7),
    ):
        groups = rows.annotate(n=aggregate).order_by("n")
        assert list(groups) == [{"a": "a", "n": value}] * 12
        assert list(groups.filter(site=sites[0])) == [{"a": "a", "n": value}] * of_site
        assert len(rows.annotate(n=aggregate, m=Count("pk"))) == 1


class Ungrouped(Func):
    function = "ABS"

    def get_group_by_cols(self) -> list[Any]:
        return []


def test_groups_by_what_the_database_does_not_group_by(visits: list[Visit]) -> None:
    """Each row has another such value: partial groups of the shards would not be put together."""
    groups = Visit.objects.values("bot").annotate(n=Count("pk"))
    for order in ("?", Random().desc(), Ungrouped(F("ms"))):
        for query in (groups.order_by(order), groups.filter(n__gt=1).order_by("n", order)):
            with pytest.raises(QueryNotSupported, match="does not group by"):
                list(query)
    with pytest.raises(QueryNotSupported, match="does not group by"):
        list(Visit.objects.values("bot", r=Random()).annotate(n=Count("pk")))
    assert len(Visit.objects.values("site").annotate(n=Count("pk")).order_by("?")) == 12


class Shown(IntegerField):
    def select_format(self, compiler: Any, sql: str, params: Any) -> Any:
        return f"ABS({sql})", params


def test_values_that_selecting_changes_are_not_put_together(visits: list[Visit]) -> None:
    shown = Visit.objects.annotate(k=ExpressionWrapper(F("ms") - 2, output_field=Shown()))
    assert {visit.k for visit in shown} == {0, 1, 2}
    for ask in (lambda: shown.aggregate(Sum("k")), lambda: list(shown.values("k").annotate(n=Count("pk")))):
        with pytest.raises(QueryNotSupported, match="select_format"):
            ask()

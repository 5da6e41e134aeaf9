"""Queries of one shape have one plan, and the plan that is remembered is what the full planner makes."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from django.db.models import (
    Avg,
    Case,
    CharField,
    Count,
    Exists,
    F,
    Func,
    Max,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
    Value,
    When,
    Window,
)
from django.db.models.expressions import RawSQL
from django.db.models.functions import Cast, Concat, Length, Lower, Now, Random, Rank, Round, TruncDate
from django.db.models.sql.subqueries import UpdateQuery

from horizon_shards.backends.sharded import planner
from horizon_shards.backends.sharded.plan import Plan
from horizon_shards.backends.sharded.planner import plan_query
from horizon_shards.exceptions import QueryNotSupported, ShardKeyUpdate
from horizon_shards.topology import get_group
from tests.shop.models import Basket, Country, Customer, Entry, Invoice, Tag, Visit, Visitor

pytestmark = pytest.mark.django_db(databases=["default", "track", "crm", "log"])


def plan_of(queryset: Any) -> Plan:
    return plan_query(queryset.query, get_group(queryset.db), "select")[0]


def outcome(queryset: Any) -> Plan | str:
    """The plan, or why there is none."""
    try:
        return plan_of(queryset)
    except QueryNotSupported as refusal:
        return str(refusal)


def full_outcomes(monkeypatch: pytest.MonkeyPatch, querysets: list[Any]) -> list[Plan | str]:
    with monkeypatch.context() as patch:
        patch.setattr(planner, "shape_of", lambda *args: None)
        return [outcome(queryset) for queryset in querysets]


def plain(n: int, text: str) -> list[Any]:
    """One query of each plain shape, over all shards."""
    visits = Visit.objects.all()
    return [
        visits,
        visits[:n],
        visits.filter(ms__gt=n, path=text),
        visits.exclude(ms__in=[n, n + 1]).order_by("-path")[:n],
        visits.filter(Q(ms=n) | Q(path__startswith=text) & ~Q(ms__range=(n, n + 1)), bot=True).distinct(),
        visits.filter(visitor__name=text).select_related("visitor", "country"),
        visits.filter(country__code=text),
        visits.filter(Q(ms=n) ^ Q(path=text)).only("path").values_list("path", "visitor__name"),
        visits.values("path").annotate(n=Count("id"), total=Sum("ms"), mean=Avg("visitor__id")),
        visits.filter(ms=n).order_by("country__name"),
        Visitor.objects.filter(visits__path=text).annotate(n=Count("visits")),
        Entry.objects.filter(line=text),
        Customer.objects.filter(name=text),
        visits.filter(ms__gt=F("price") + n, at__year=2000 + n, extra__a=text),
        visits.filter(ms__in=[F("price"), n]).order_by(F("ms").desc(nulls_last=True)),
        visits.annotate(low=Lower("path"), kind=kind_of(n)).filter(low=text).order_by("kind", Length("path")),
        visits.values("path").annotate(n=Count("id", filter=Q(ms=n))).filter(n__gt=n),
        visits.values(day=TruncDate("at")).annotate(mean=Round(Avg("ms") * n)).order_by("-mean"),
        visits.filter(ms=F("site") + n),
        visits.filter(at__lt=Now(), ms=n),
        visits.values("path").annotate(n=Max("at")).filter(n__gt=Now(), path=text),
        visits.annotate(key=Func("path", Value(text), function="REPLACE")).filter(key=text),
        visits.annotate(rank=Window(Rank(), partition_by="site", order_by="pk")).filter(ms=n),
    ]


def kind_of(n: int) -> Case:
    return Case(When(ms__lt=n, then=Value("fast")), default=Concat("path", Value("slow")))


def nesting(n: int, text: str) -> list[Any]:
    """One query of each shape with a query inside, over all shards."""
    visits, visitors = Visit.objects.all(), Visitor.objects.filter(name=text)
    of_row = visitors.filter(pk=OuterRef("visitor"))
    by_name = Subquery(of_row.order_by("-name").values("name")[:1])
    country = Country.objects.filter(pk=OuterRef("country"))
    return [
        visits.filter(Exists(of_row), ms=n),
        visits.filter(~Exists(visitors.filter(site=OuterRef("site"), pk__gt=F("site"))) | Q(ms=n)),
        visits.annotate(name=by_name).filter(name=text).order_by("name"),
        visits.order_by(Subquery(country.values("name")), "-ms")[:n],
        visits.filter(visitor__in=visitors.values("id")).exclude(ms=n),
        visits.exclude(visitor__in=visitors),
        visits.values("path").annotate(n=Count("id", filter=Exists(country.filter(name=text)))),
        visits.filter(country__in=Country.objects.filter(code=text).union(Country.objects.filter(name=text))),
        visits.annotate(n=Subquery(of_site(n).values("visitor").annotate(n=Count("pk")).values("n"))),
        visits.filter(Exists(of_row.filter(Exists(Visit.objects.filter(visitor=OuterRef("pk"), ms=n))))),
        visits.filter(visitor__in=visitors.filter(pk__in=Visit.objects.filter(ms=n).values("visitor"))),
        visits.annotate(x=Exists(visitors.filter(pk=n))).values("path"),
    ]


def of_site(n: int) -> QuerySet[Visit]:
    return Visit.objects.filter(site=OuterRef("site"), ms__gt=n)


def test_other_values_have_the_same_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = plain(3, "a") + nesting(3, "a"), plain(7, "b%") + nesting(7, "b%")
    for one, other in zip(first, second, strict=True):
        assert plan_of(one) is plan_of(other), one.query
    assert full_outcomes(monkeypatch, first) == [plan_of(queryset) for queryset in first]
    assert {plan_of(queryset).mode for queryset in first} == {"scatter"}


def telling(n: int) -> list[Any]:
    """Queries whose values may name their shards."""
    visits = Visit.objects.all()
    inner = Visitor.objects.filter(site=OuterRef("site"), name="a").order_by("name")
    return [
        visits.filter(site__in=[n, n + 1], ms=1),
        visits.filter(Q(site=n) | Q(site=6)),
        visits.filter(~Q(site=n)),
        visits.filter(pk__in=[n, 6]),
        visits.filter(visitor__site=n, visitor__name="a"),
        visits.filter(visitor=n, path="a"),
        visits.filter(visitor__pk=n, ms=2).order_by("country__name"),
        visits.filter(site=n).annotate(name=Subquery(inner.values("name")[:1])),
        visits.filter(Exists(inner), Q(site=n) | Q(site=6)),
        visits.values("site").annotate(n=Count("id")).filter(n__gt=F("site"), site__in=[n]),
        visits.annotate(key=F("site") + 0).filter(key=n),
        visits.filter(ms__in=[F("pk"), n]),
        visits.filter(ms=n),
        visits.filter(ms=n).none(),
        Invoice.objects.filter(site__gt=n),
        Invoice.objects.filter(pk=(n, 6)),
        Entry.objects.filter(region="eu", line=str(n)),
        Country.objects.filter(code=str(n)),
        Country.objects.filter(visit__site=n),
        Tag.objects.filter(baskets=n),
        Basket.tags.through.objects.all(),
    ]


def telling_each_time(n: int) -> list[Any]:
    """Queries of which only the full planner can say it: a set operation, constants inside, ids that repeat."""
    visits, numbered = Visit.objects.all(), Basket.tags.through.objects.filter(pk=n)
    return [
        visits.filter(site=n, visitor__in=Visitor.objects.filter(site=n)[:1]),
        visits.filter(pk=n, site=n + 1).union(visits.filter(site=n)),
        numbered,
        numbered.filter(basket__site=6),
    ]


def test_the_shards_that_values_name_belong_to_the_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    querysets = [queryset for n in (5, 6, 7, 12, 5) for queryset in telling(n) + telling_each_time(n)]
    assert [outcome(queryset) for queryset in querysets] == full_outcomes(monkeypatch, querysets)
    for one, other in zip(telling(5), telling(5), strict=True):
        assert plan_of(one) is plan_of(other), one.query


def alike(here: int, there: int) -> list[Any]:
    """Queries that differ in one thing, on which it depends whether they can be planned; two keys of two shards."""
    visits, visitors = Visit.objects.all(), Visitor.objects.all()
    elsewhere = visitors.filter(name="a")
    of_row = elsewhere.filter(pk=OuterRef("visitor"))
    of_site = visitors.filter(site=OuterRef("site"))
    ties = [{"site": OuterRef(name)} for name in ("site", "editor")]
    ties += [{"site": key} for key in (here, there, Value(here), Value(there))]
    ties += [{"pk": OuterRef("visitor")}, {"pk": OuterRef("ms")}, {"site__gt": OuterRef("site")}, {}]
    inside = [Visit.objects.filter(visitor=OuterRef("pk")), Visit.objects.filter(editor=OuterRef("pk"))]
    members = [elsewhere, elsewhere.order_by(), elsewhere.order_by()[:3]]
    members += [some.order_by() for some in (elsewhere.distinct(), elsewhere.distinct("name"))]
    conditions: list[Any] = [
        *(Exists(elsewhere.filter(**tie)) for tie in ties),
        Exists(visitors.filter(Q(site=OuterRef("site")) | Q(name="a"))),
        Exists(visitors.filter(~Q(site=OuterRef("site")), name="a")),
        *(Exists(of_row.filter(Exists(one))) for one in inside),
        Exists(of_row.annotate(place=Window(Rank(), order_by="pk")).filter(place=1)),
        Exists(of_row.filter(name=RawSQL("'a'", ()))),
        *(Q(visitor__in=some) for some in members),
        Q(visitor__in=elsewhere.values("pk").annotate(n=Count("visits")).values("pk")),
        *(Q(site__in=elsewhere.values(name)) for name in ("site", "pk")),
        *(Q(visitor__in=elsewhere.union(some)) for some in (elsewhere, Country.objects.all())),
        Q(country__in=Country.objects.filter(name="a")),
    ]
    names: list[Any] = [("name",), ("visits__country__name",), ("site__name",), (Lower("name"),), ("-name", "pk")]
    values = [of_site.order_by(*order).values("name") for order in names]
    tied, untied = map(Exists, inside)
    values += [of_site.annotate(x=tied, y=untied).values(name) for name in ("x", "y", "name")]
    values += [of_site.annotate(x=one).values("x") for one in (tied, untied)]
    return [
        *(visits.filter(condition) for condition in conditions),
        *(visits.filter(~Q(condition)) for condition in conditions),
        *(visits.filter(condition, site=key) for condition in conditions for key in (here, there)),
        *(visits.annotate(x=Subquery(value[:1])) for value in values),
        *(visits.annotate(x=Exists(elsewhere)).values(*selected) for selected in (["path"], ["path", "x"])),
        *(visits.annotate(x=Exists(elsewhere)).values("path").order_by(order) for order in ("pk", "x")),
        *(visitors.filter(either) for either in negations()),
    ]


def negations() -> list[Q]:
    """NOT IN is unknown for all rows where one value is NULL, on whichever shard."""
    either = Q(pk__in=Visitor.objects.values("visits__visitor")) | Q(name="a")
    return [either, ~either]


def test_no_shape_hides_another(monkeypatch: pytest.MonkeyPatch) -> None:
    mapping = get_group("track").mapping
    there = next(key for key in range(2, 100) if mapping.resolve(key) != mapping.resolve(1))
    querysets = alike(1, there)
    full = full_outcomes(monkeypatch, querysets)
    assert len(full) // 4 < sum(isinstance(one, str) for one in full) < len(full) * 3 // 4
    plans = get_group("track").plans
    for first, second in permutations(range(len(full)), 2):
        if isinstance(full[first], Plan) and full[first] != full[second]:
            plans.clear()
            assert outcome(querysets[first]) == full[first]
            assert outcome(querysets[second]) == full[second], querysets[second].query


def test_raw_sql_is_looked_at() -> None:
    for sql, is_copied in (("1", True), ("(SELECT 1 FROM shop_country)", True), ("(SELECT 1 FROM shop_visit)", False)):
        queryset = Country.objects.annotate(x=RawSQL(sql, (), output_field=CharField()))
        assert isinstance(outcome(queryset), Plan) is is_copied, sql
        assert "Raw SQL" in str(outcome(Visit.objects.filter(ms__gt=RawSQL(sql, ()))))
        assert isinstance(outcome(Country.objects.extra(select={"x": sql})), Plan) is is_copied, sql


def test_a_function_hides_no_sql_in_its_place() -> None:
    template = "(SELECT MAX(ms) FROM shop_visit)"
    by_site, visits = Visit.objects.values("site"), Visit.objects.all()
    for plain, reading in (
        (by_site.annotate(n=Count("ms")), by_site.annotate(n=Count("ms", template=template))),
        (visits.annotate(n=Lower("path")), visits.annotate(n=Lower("path", template=template))),
        (visits.filter(ms=Length("path")), visits.filter(ms=Length("path", template=template))),
    ):
        assert isinstance(outcome(plain), Plan)
        assert "Raw SQL" in str(outcome(reading))


def plan_of_update(queryset: Any = None, **values: Any) -> Plan:
    query = (Visit.objects.filter(ms=1) if queryset is None else queryset).query.chain(UpdateQuery)
    query.add_update_values(values)
    return plan_query(query, get_group("track"), "update")[0]


def test_a_plain_write_hides_no_other() -> None:
    windowed = Visit.objects.annotate(place=Window(Rank(), partition_by="ms", order_by="pk")).filter(place=1)
    assert plan_of_update(Visit.objects.filter(ms=1), path="b").mode == "scatter"
    with pytest.raises(QueryNotSupported, match="window"):
        plan_of_update(windowed, path="b")
    assert plan_of_update(Country.objects.filter(code="a"), name="b").mode == "all"
    with pytest.raises(QueryNotSupported, match="another value"):
        plan_of_update(Country.objects.filter(code="a"), name=Cast(Random(), CharField()))
    of_parent = Country.objects.filter(code="a").query.chain(UpdateQuery)
    of_parent.add_update_values({"name": "b"})
    of_parent.add_related_update(Country, Country._meta.get_field("name"), Cast(Random(), CharField()))
    with pytest.raises(QueryNotSupported, match="another value"):
        plan_query(of_parent, get_group("track"), "update")


def test_writes_are_planned_by_their_shape_and_still_checked() -> None:
    plan = plan_of_update(path="b")
    assert plan is plan_of_update(path="c", ms=2)
    assert plan is plan_of_update(path=Lower("path"))
    assert plan is plan_of_update(path=Func("path", function="LOWER"))
    assert (plan.operation, plan.mode) == ("update", "scatter")
    inside = Subquery(Visitor.objects.filter(pk=OuterRef("visitor")).values("name")[:1])
    assert plan_of_update(path=inside) == plan
    assert plan_of_update(path=inside) is plan_of_update(path=inside, ms=5)
    with pytest.raises(QueryNotSupported, match="may need rows of other shards"):
        plan_of_update(path=Subquery(Visitor.objects.values("name")[:1]))
    with pytest.raises(ShardKeyUpdate):
        plan_of_update(site=5)


def test_other_shards_make_another_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    before = plan_of(Visit.objects.all())
    names = before.shards[:2]
    monkeypatch.setattr(get_group("track"), "shard_names", names)
    assert plan_of(Visit.objects.all()).shards == names

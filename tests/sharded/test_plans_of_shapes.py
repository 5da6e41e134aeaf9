"""Queries over all shards that differ in their values alone have one plan, which is what the full planner makes."""

from __future__ import annotations

from typing import Any

import pytest
from django.db.models import Avg, Case, Count, Exists, F, Func, Max, OuterRef, Q, Subquery, Sum, Value, When, Window
from django.db.models.expressions import RawSQL
from django.db.models.functions import Concat, Length, Lower, Now, Rank, Round, TruncDate
from django.db.models.sql.subqueries import UpdateQuery

from horizon_shards.backends.sharded import planner
from horizon_shards.backends.sharded.plan import Plan
from horizon_shards.backends.sharded.planner import plan_query
from horizon_shards.exceptions import QueryNotSupported, ShardKeyUpdate
from horizon_shards.topology import get_group
from tests.shop.models import Country, Customer, Entry, Invoice, Visit, Visitor

pytestmark = pytest.mark.django_db(databases=["default", "track", "crm", "log"])


def plan_of(queryset: Any) -> Plan:
    return plan_query(queryset.query, get_group(queryset.db), "select")[0]


def plain(n: int, text: str) -> list[Any]:
    """One query of each plain shape."""
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
    ]


def kind_of(n: int) -> Case:
    return Case(When(ms__lt=n, then=Value("fast")), default=Concat("path", Value("slow")))


def full_plans(monkeypatch: pytest.MonkeyPatch, querysets: list[Any]) -> list[Plan]:
    with monkeypatch.context() as patch:
        patch.setattr(planner, "plan_of_shape", lambda *args: None)
        return [plan_of(queryset) for queryset in querysets]


def test_other_values_have_the_same_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = plain(3, "a"), plain(7, "b%")
    for one, other in zip(first, second, strict=True):
        assert plan_of(one) is plan_of(other), one.query
    assert full_plans(monkeypatch, first) == [plan_of(queryset) for queryset in first]
    assert {plan_of(queryset).mode for queryset in first} == {"scatter"}


def telling() -> list[Any]:
    """Queries that may name their shards, or hold what has to be looked at."""
    visits = Visit.objects.all()
    return [
        visits.filter(site__in=[5, 6], ms=1),
        visits.filter(Q(site=5) | Q(site=6)),
        visits.filter(~Q(site=5)),
        visits.filter(pk__in=[5, 6]),
        visits.filter(visitor__site=5, visitor__name="a"),
        visits.filter(visitor=5, path="a"),
        visits.filter(visitor__pk=5, ms=2).order_by("country__name"),
        visits.filter(ms=F("site")),
        visits.filter(ms__in=[F("pk"), 1]),
        visits.values("path").annotate(n=Max("at")).filter(n__gt=Now()),
        visits.values("site").annotate(n=Count("id")).filter(n__gt=F("site")),
        visits.annotate(key=F("site") + 0).filter(key=5),
        visits.annotate(key=Func("path", function="LOWER")),
        visits.filter(at__lt=Now()),
        visits.annotate(rank=Window(Rank(), partition_by="site", order_by="pk")),
        visits.values("path").annotate(n=Count("id", filter=Exists(Country.objects.filter(pk=OuterRef("country"))))),
        visits.filter(Exists(Visitor.objects.filter(pk=OuterRef("visitor")))),
        visits.order_by(Subquery(Country.objects.filter(pk=OuterRef("country")).values("name"))),
        visits.none(),
        Invoice.objects.filter(site__gt=5),
        Invoice.objects.filter(pk=(5, 6)),
        Entry.objects.filter(region="eu", line="a"),
        Country.objects.filter(code="de"),
    ]


def test_what_may_change_the_plan_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    for queryset, full in zip(telling(), full_plans(monkeypatch, telling()), strict=True):
        plan = plan_of(queryset)
        assert plan == full
        assert plan is not plan_of(queryset), queryset.query
    raw = Visit.objects.filter(ms__gt=RawSQL("1", ()))
    with pytest.raises(QueryNotSupported, match="Raw SQL"):
        plan_of(raw)


def plan_of_update(**values: Any) -> Plan:
    query = Visit.objects.filter(ms=1).query.chain(UpdateQuery)
    query.add_update_values(values)
    return plan_query(query, get_group("track"), "update")[0]


def test_writes_are_planned_by_their_shape_and_still_checked() -> None:
    plan = plan_of_update(path="b")
    assert plan is plan_of_update(path="c", ms=2)
    assert plan is plan_of_update(path=Lower("path"))
    assert (plan.operation, plan.mode) == ("update", "scatter")
    computed = plan_of_update(path=Func("path", function="LOWER"))
    assert computed == plan
    assert computed is not plan
    with pytest.raises(ShardKeyUpdate):
        plan_of_update(site=5)


def test_other_shards_make_another_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    before = plan_of(Visit.objects.all())
    names = before.shards[:2]
    monkeypatch.setattr(get_group("track"), "shard_names", names)
    assert plan_of(Visit.objects.all()).shards == names

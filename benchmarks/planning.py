"""What planning costs: a plan that is remembered by the shape of the query, a new one, and the whole query."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial
from typing import Any

from django.db.models import Count, Exists, F, OuterRef, Q, Subquery, Window
from django.db.models.functions import Length, Lower, Rank, TruncDate

from benchmarks.databases import databases
from benchmarks.report import arguments, run
from benchmarks.timing import Comparison, compare
from horizon_shards.backends.sharded import planner
from horizon_shards.topology import get_group


def measure(options: argparse.Namespace) -> list[Comparison]:
    """Each shape twice: remembered against anew, anew against the whole."""
    with databases(rows=options.rows):
        return [one for name, query in queries() for one in _compare(name, query, options.rounds)]


def _compare(name: str, query: Any, rounds: int) -> Iterator[Comparison]:
    known, anew, whole = partial(_plan, query), partial(_anew, query), partial(_run, query)
    if known().shards != anew().shards:
        raise AssertionError(f"{name}: the plan that is remembered is another one.")
    yield compare(name, known, anew, base_name="planned anew", rounds=rounds, calls=200)
    yield compare(f"{name}, planned anew", anew, whole, base_name="the whole query", rounds=rounds, calls=20)


def _plan(query: Any) -> Any:
    return planner.plan_query(query.query, get_group("track"), "select")[0]


def _anew(query: Any) -> Any:
    by_key, of_shape = planner.plan_by_key, planner.shape_of
    planner.plan_by_key = planner.shape_of = _nothing
    try:
        return _plan(query)
    finally:
        planner.plan_by_key, planner.shape_of = by_key, of_shape


def _nothing(*args: Any) -> None:
    """No plan is remembered."""


def _run(query: Any) -> Any:
    return list(query.all())


def queries() -> Iterator[tuple[str, Any]]:
    """Name and queryset."""
    from benchmarks.models import PageView

    views = PageView.objects.using("track")
    yield "by key", views.filter(site=7)[:10]
    yield "ordered slice", views.order_by("at", "pk")[:10]
    yield "two conditions, ordered slice", views.filter(ms__gt=100, path__gt="/a").order_by("at", "pk")[:10]
    yield "OR beside a condition", views.filter(Q(ms=1) | Q(path="/a"), ms__lt=900).order_by("at", "pk")[:10]
    yield "groups", views.values("path").annotate(n=Count("pk"))
    slow = views.filter(at__year=2026, ms__gt=Length("path"))
    yield "expressions", slow.annotate(kind=Lower("path")).order_by("kind", F("ms").desc())[:10]
    days = views.values(day=TruncDate("at")).annotate(n=Count("pk", filter=Q(ms__gt=1)))
    yield "groups of days, HAVING", days.filter(n__gt=1).order_by("-n")
    yield "three keys", views.filter(site__in=[1, 2, 3])[:10]
    slower = PageView.objects.filter(site=OuterRef("site"), ms__gt=900)
    slowest = Subquery(slower.order_by("-ms").values("ms")[:1])
    yield "EXISTS", views.filter(Exists(slower), ms__gt=1)[:10]
    yield "ordered subquery", views.annotate(slowest=slowest).filter(slowest__gt=1)[:10]
    yield "ordered subquery, by key", views.filter(site=7).annotate(slowest=slowest)[:10]
    yield "window", views.annotate(rank=Window(Rank(), partition_by="site", order_by="ms")).order_by("pk")[:10]
    yield "union", views.filter(ms__gt=900).union(views.filter(ms__lt=10))


if __name__ == "__main__":
    run(arguments(__doc__, rows=100, rounds=25), measure)

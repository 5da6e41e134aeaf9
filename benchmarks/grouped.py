"""GROUP BY over a million rows on four shards, against one database with all of them; near and 5 ms away."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from django.db.models import Avg, Count, F, Max, Sum

from benchmarks.databases import SHARDS, databases
from benchmarks.distance import away
from benchmarks.report import arguments, on_servers, run
from benchmarks.timing import Comparison, compare

LATENCY_SECONDS = 0.005
LIMIT = 1.2
#: With the same distance to each, four that share the work have to be faster than one.
LIMIT_FAR = 1.0
Query = Callable[[str], Any]


def measure(options: argparse.Namespace) -> list[Comparison]:
    """Each query over the shards and on the one database, then the first with all of them 5 ms away."""
    with databases(rows=options.rows, engine=options.engine):
        near = [_compare(name, query, options.rounds, limit) for name, query, limit in queries()]
        with away((*SHARDS, "plain"), seconds=LATENCY_SECONDS):
            name, query, _ = next(queries())
            return [*near, _compare(f"{name}, 5 ms away", query, options.rounds, LIMIT_FAR)]


def _compare(name: str, query: Query, rounds: int, limit: float | None) -> Comparison:
    ours, base = partial(query, "track"), partial(query, "plain")
    if ours() != base():
        raise AssertionError(f"{name}: the shards and the one database give different answers.")
    return compare(name, ours, base, base_name="one database", rounds=rounds, calls=1, limit=limit)


def queries() -> Iterator[tuple[str, Query, float | None]]:
    """Name, the query on the database of an alias, and the largest ratio; no group is on one shard alone."""
    sums = {"n": Count("pk"), "total": Sum("ms"), "mean": Avg("ms"), "last": Max("at")}
    yield "1,000 groups", lambda alias: list(_paths(alias).annotate(**sums).order_by("path")), LIMIT
    yield "the ten largest", lambda alias: list(_paths(alias).annotate(n=Sum("ms")).order_by("-n", "path")[:10]), LIMIT
    yield "HAVING on an expression", _having, LIMIT
    yield "distinct values of groups", _distinct, None


def _having(alias: str) -> Any:
    groups = _paths(alias).annotate(n=Count("pk"), total=Sum("ms"))
    return list(groups.annotate(mean=F("total") / F("n")).filter(mean__gt=F("n") / 10).order_by("path"))


def _distinct(alias: str) -> Any:
    groups = _views(alias).values("site").annotate(n=Count("path", distinct=True)).order_by("-n", "site")
    return list(groups), _views(alias).aggregate(n=Count("path", distinct=True))


def _paths(alias: str) -> Any:
    return _views(alias).values("path")


def _views(alias: str) -> Any:
    from benchmarks.models import PageView

    return PageView.objects.using(alias)


if __name__ == "__main__":
    run(on_servers(arguments(__doc__, rows=1_000_000, rounds=5)), measure)

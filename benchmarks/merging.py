"""What merging costs: slices and aggregates over four shards, against one database with all rows."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from django.db.models import Avg, Count, Max, Sum

from benchmarks.databases import databases
from benchmarks.report import arguments, on_servers, run
from benchmarks.timing import Comparison, compare

Query = Callable[[str], Any]


def measure(options: argparse.Namespace) -> list[Comparison]:
    """Each query over the shards and on the one database."""
    with databases(rows=options.rows, engine=options.engine):
        return [_compare(name, query, options.rounds) for name, query in queries()]


def _compare(name: str, query: Query, rounds: int) -> Comparison:
    ours, base = partial(query, "track"), partial(query, "plain")
    if ours() != base():
        raise AssertionError(f"{name}: the shards and the one database give different answers.")
    return compare(name, ours, base, base_name="one database", rounds=rounds, calls=3)


def queries() -> Iterator[tuple[str, Query]]:
    """Name, and the query on the database of an alias."""
    yield "order_by('at', 'pk')[:100]", lambda alias: list(_ordered(alias)[:100])
    yield "order_by('at', 'pk')[1000:1100]", lambda alias: list(_ordered(alias)[1000:1100])
    yield "order_by('path', 'pk')[:100]", lambda alias: list(_views(alias).order_by("path", "pk")[:100])
    yield "count()", lambda alias: _views(alias).count()
    yield "aggregate() of four", lambda alias: _views(alias).aggregate(Count("pk"), Sum("ms"), Avg("ms"), Max("at"))
    yield "sums by website", lambda alias: list(_views(alias).values("site").annotate(n=Sum("ms")).order_by("site"))
    yield "distinct paths", lambda alias: set(_views(alias).values_list("path", flat=True).distinct())


def _ordered(alias: str) -> Any:
    return _views(alias).order_by("at", "pk")


def _views(alias: str) -> Any:
    from benchmarks.models import PageView

    return PageView.objects.using(alias)


if __name__ == "__main__":
    run(on_servers(arguments(__doc__, rows=100_000, rounds=15)), measure)

"""GROUP BY over a million rows on four shards, against one database with all of them; near and 5 ms away."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from functools import partial
from typing import Any

from django.db import connections
from django.db.models import Avg, Count, F, Max, Sum

from benchmarks.databases import SHARDS, databases
from benchmarks.report import arguments, run
from benchmarks.servers import servers
from benchmarks.timing import Comparison, compare

LATENCY_SECONDS = 0.005
LIMIT = 1.2
#: With the same distance to each, four that share the work have to be faster than one.
LIMIT_FAR = 1.0
Query = Callable[[str], Any]


def measure(options: argparse.Namespace) -> list[Comparison]:
    """Each query over the shards and on the one database, then both with every statement 5 ms later."""
    with servers() if options.engine == "mysql" else nullcontext(), databases(rows=options.rows):
        near = [_compare(name, query, options.rounds, limit) for name, query, limit in queries()]
        with ExitStack() as stack:
            for alias in (*SHARDS, "plain"):
                stack.enter_context(connections[alias].execute_wrapper(_late))
            name, query, _ = next(queries())
            return [*near, _compare(f"{name}, 5 ms away", query, options.rounds, LIMIT_FAR)]


def _late(execute: Any, *args: Any) -> Any:
    """What a server in another building does to every statement."""
    time.sleep(LATENCY_SECONDS)
    return execute(*args)


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
    parser = arguments(__doc__, rows=1_000_000, rounds=5)
    parser.add_argument("--engine", choices=("sqlite", "mysql"), default="sqlite", help="mysql: five MariaDB servers")
    run(parser, measure)

"""What a query that one shard answers costs on the logical alias, against the same with ``.using()``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from time import perf_counter, process_time
from typing import Any

from benchmarks.databases import START, databases, shard_alias
from benchmarks.report import arguments, on_servers, run
from benchmarks.timing import Comparison, compare

SITE = 7
LIMITS = {"sqlite": 1.10, "mysql": 1.05}
CALLS = 20
Operation = Callable[[Any], Any]


def measure(options: argparse.Namespace) -> list[Comparison]:
    """The queries of the limit as a project writes them, then each operation on querysets bound before."""
    with databases(rows=options.rows, engine=options.engine):
        from benchmarks.models import PageView

        alias = shard_alias(SITE)
        limit = LIMITS[options.engine]
        timed = partial(compare, base_name=f".using({alias!r})", **_pace(options))
        pk = PageView.objects.filter(site=SITE).earliest("pk").pk
        here, there = PageView.objects.using("track"), PageView.objects.using(alias)
        return [
            timed(
                "objects.filter(site=7)[:1]",
                lambda: list(PageView.objects.filter(site=SITE)[:1]),
                lambda: list(PageView.objects.using(alias).filter(site=SITE)[:1]),
                limit=limit,
            ),
            timed(
                "objects.get(pk=...)",
                lambda: PageView.objects.get(pk=pk),
                lambda: PageView.objects.using(alias).get(pk=pk),
                limit=limit,
            ),
            *(timed(name, partial(work, here), partial(work, there)) for name, work in operations(alias)),
        ]


def _pace(options: argparse.Namespace) -> dict[str, Any]:
    """How to time: on a server a call takes what its client waits for, too, and each has its turn alone.

    So most calls are over before the machine turns to something else.
    """
    if options.engine == "sqlite":
        return {"clock": process_time, "rounds": options.rounds, "calls": CALLS}
    return {"clock": perf_counter, "rounds": CALLS * options.rounds, "calls": 1}


def operations(alias: str) -> Iterator[tuple[str, Operation]]:
    """Name, and the operation on a queryset, for the shard that holds the website."""
    from benchmarks.models import PageView

    numbers = count()
    pk = PageView.objects.filter(site=SITE).earliest("pk").pk
    instances = {name: PageView.objects.using(name).get(pk=pk) for name in ("track", alias)}

    def create(views: Any) -> None:
        views.create(site=SITE, at=START, path="/new", ms=next(numbers))

    def save(views: Any) -> None:
        instances[views.db].ms = next(numbers)
        instances[views.db].save()

    yield "filter(site=7)[:1]", lambda views: list(views.filter(site=SITE)[:1])
    yield "filter(site=7).order_by('at')[:20]", lambda views: list(views.filter(site=SITE).order_by("at")[:20])
    yield "filter(site=7).count()", lambda views: views.filter(site=SITE).count()
    yield "get(pk=...)", lambda views: views.get(pk=pk)
    yield "create()", create
    yield "save()", save
    yield "filter(pk=...).update()", lambda views: views.filter(pk=pk).update(ms=next(numbers))


if __name__ == "__main__":
    run(on_servers(arguments(__doc__, rows=20_000, rounds=150)), measure)

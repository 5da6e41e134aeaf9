"""Whether several shards are asked at once: every shard is 20 ms away."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from django.db.transaction import atomic

from benchmarks.databases import SHARDS, databases
from benchmarks.distance import away
from benchmarks.report import arguments, on_servers, run
from benchmarks.timing import Comparison, Work, compare

LATENCY_SECONDS = 0.02
#: Requests that a process serves at the same time.
CROWD = 12
#: A pause is the same for all; servers share what processors there are.
LIMITS = {"sqlite": 1.5, "mysql": 1.3}


def measure(options: argparse.Namespace) -> list[Comparison]:
    """The same query on four shards and on one, outside and inside of a transaction."""
    with databases(rows=options.rows, engine=options.engine), away(SHARDS, seconds=LATENCY_SECONDS):
        return [
            compare(
                name,
                ours,
                base,
                base_name="one shard",
                rounds=options.rounds,
                calls=1,
                limit=LIMITS[options.engine] if is_limited else None,
            )
            for name, is_limited, (ours, base) in operations(options.engine)
        ]


def operations(engine: str) -> Iterator[tuple[str, bool, tuple[Work, Work]]]:
    """Name, whether the ratio has a limit, and the operation over all shards and on one of them."""
    yield "ordered slice of 100", True, _on_both(_slice)
    yield "the same in atomic()", True, _on_both(_slice_in_transaction)
    yield "twice in one atomic()", True, _on_both(_two_slices_in_transaction)
    yield "count()", True, _on_both(lambda alias: _views(alias).count())
    # What was written is committed one shard after the other.
    yield "update() in atomic()", False, _on_both(_update_in_transaction)
    if engine != "sqlite":
        # Only servers are as far from these threads.
        with ThreadPoolExecutor(CROWD) as crowd:
            yield f"count() by {CROWD} threads at once", False, _on_both(partial(_counts, crowd))


def _on_both(work: Callable[[str], Any]) -> tuple[Work, Work]:
    return lambda: work("track"), lambda: work(SHARDS[0])


def _slice_in_transaction(alias: str) -> Any:
    with atomic(using=alias):
        return _slice(alias)


def _two_slices_in_transaction(alias: str) -> Any:
    with atomic(using=alias):
        return _slice(alias), _slice(alias)


def _update_in_transaction(alias: str) -> Any:
    with atomic(using=alias):
        return _views(alias).filter(ms=3).update(ms=3)


def _slice(alias: str) -> Any:
    return list(_views(alias).order_by("at", "pk")[:100])


def _counts(crowd: ThreadPoolExecutor, alias: str) -> Any:
    return list(crowd.map(lambda _: _views(alias).count(), range(CROWD)))


def _views(alias: str) -> Any:
    from benchmarks.models import PageView

    return PageView.objects.using(alias)


if __name__ == "__main__":
    run(on_servers(arguments(__doc__, rows=20_000, rounds=15)), measure)

"""Whether several shards are asked at once: every statement and COMMIT on a shard takes 20 ms longer."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from django.db import connections
from django.db.transaction import atomic

from benchmarks.databases import SHARDS, databases
from benchmarks.report import arguments, run
from benchmarks.timing import Comparison, Work, compare

LATENCY_SECONDS = 0.02
LIMIT = 1.5


def measure(options: argparse.Namespace) -> list[Comparison]:
    """The same query on four shards and on one, outside and inside of a transaction."""
    with databases(rows=options.rows), ExitStack() as stack:
        for alias in SHARDS:
            stack.enter_context(connections[alias].execute_wrapper(_late))
            stack.enter_context(_late_commits(connections[alias]))
        return [
            compare(name, ours, base, base_name="one shard", rounds=options.rounds, calls=1, limit=limit)
            for name, limit, (ours, base) in operations()
        ]


def _late(execute: Any, *args: Any) -> Any:
    """What a server far away does to every statement."""
    time.sleep(LATENCY_SECONDS)
    return execute(*args)


@contextmanager
def _late_commits(connection: Any) -> Iterator[None]:
    """The same for COMMIT, which is no statement to the driver."""
    connection._commit = partial(_late, connection._commit)
    try:
        yield
    finally:
        del connection._commit


def operations() -> Iterator[tuple[str, float | None, tuple[Work, Work]]]:
    """Name, largest ratio, and the operation over all shards and on one of them."""
    yield "ordered slice of 100", LIMIT, _on_both(_slice)
    yield "the same in atomic()", LIMIT, _on_both(_slice_in_transaction)
    yield "twice in one atomic()", LIMIT, _on_both(_two_slices_in_transaction)
    yield "count()", LIMIT, _on_both(lambda alias: _views(alias).count())
    # What was written is committed one shard after the other.
    yield "update() in atomic()", None, _on_both(_update_in_transaction)


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


def _views(alias: str) -> Any:
    from benchmarks.models import PageView

    return PageView.objects.using(alias)


if __name__ == "__main__":
    run(arguments(__doc__, rows=20_000, rounds=15), measure)

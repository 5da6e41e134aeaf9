"""Assertions about the shards that a block asks; each works in pytest and in unittest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from horizon_shards.testing.capture import CapturedQueries, PlannedQuery, capture_shards


@contextmanager
def assert_shards(count: int, *, database: str | None = None) -> Iterator[CapturedQueries]:
    """Fail unless the queries of the block, taken together, ask exactly ``count`` different shards.

    ``database`` restricts it to one logical alias. ``0`` states that no shard is asked.
    """
    with capture_shards(database) as captured:
        yield captured
    if len(captured.shards) != count:
        raise AssertionError(f"Expected {_shards(count)}, got {_named(captured.shards)}:\n{captured}")


@contextmanager
def assert_single_shard(shard: str | None = None, *, database: str | None = None) -> Iterator[CapturedQueries]:
    """Fail unless all queries of the block go to one and the same shard; to ``shard`` where it is named."""
    with capture_shards(database) as captured:
        yield captured
    if len(captured.shards) != 1 or shard not in (None, captured.shards[0]):
        wanted = "a single shard" if shard is None else f"the shard {shard!r} alone"
        raise AssertionError(f"Expected {wanted}, got {_named(captured.shards)}:\n{captured}")


@contextmanager
def assert_no_scatter(*, database: str | None = None) -> Iterator[CapturedQueries]:
    """Fail if any one query of the block asks several shards for its answer.

    Different queries may go to different shards, and a reference model may be written to all of them.
    """
    with capture_shards(database) as captured:
        yield captured
    if captured.scatters:
        raise AssertionError(scatter_message(captured))


@contextmanager
def assert_no_repeats(most: int = 2, *, database: str | None = None) -> Iterator[CapturedQueries]:
    """Fail if one line of the project issues more than ``most`` queries of a kind on a model: N+1 queries.

    A related row that a loop fetches for each of its rows is such a query, whichever shard it asks.
    """
    with capture_shards(database) as captured:
        yield captured
    counts = Counter((query.operation, query.model, query.database, query.call_site) for query in captured)
    repeated = [(*kind, count) for kind, count in counts.items() if count > most]
    if repeated:
        raise AssertionError(_repeats_message(repeated))


def _repeats_message(repeated: list[tuple[str, str, str, str, int]]) -> str:
    listed = "\n".join(
        f"  - {count} times {operation} of {model} on {database}\n     at {call_site}"
        for operation, model, database, call_site, count in repeated
    )
    return f"Fetch together what a loop fetches one by one, with prefetch_related() or filter(...__in=...):\n{listed}"


def scatter_message(captured: CapturedQueries) -> str:
    """What failed and the cure, with the queries that scattered."""
    scatters = captured.scatters
    listed = "\n".join(f"  - {_with_reason(query)}" for query in scatters)
    return (
        f"{len(scatters)} of {len(captured)} queries asked several shards. Filter each by the shard key, "
        f"or take it out of the block:\n{listed}"
    )


def _with_reason(query: PlannedQuery) -> str:
    return f"{query}\n     because {query.plan.why}"


def _shards(count: int) -> str:
    return "1 shard" if count == 1 else f"{count} shards"


def _named(shards: tuple[str, ...]) -> str:
    return f"{len(shards)} ({', '.join(shards)})" if shards else "0"

"""One piece of work on each shard of a group: several at once in threads, or in turn in the caller's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

from django.db import connections

from horizon_shards import context
from horizon_shards.conf import ShardConfig
from horizon_shards.topology import Group

T = TypeVar("T")

TICK_SECONDS = 0.2


def on_each_shard(
    group: Group,
    work: Callable[[ShardConfig], T],
    *,
    parallel: int,
    tick: Callable[[], None] = lambda: None,
    shards: Sequence[str] | None = None,
) -> dict[str, T]:
    """The result of ``work`` for each of the shards (all) by name, with everything inside pinned to that shard.

    At most ``parallel`` shards at once, each in a thread whose connections are closed at its end. ``work``
    must not raise; ``tick`` is called in the calling thread while others work.
    """
    chosen = [group.shards[name] for name in (group.shard_names if shards is None else shards)]

    def pinned(shard: ShardConfig) -> T:
        # Taken through the logical database, so that a test that allows that one may use the shard.
        connections[group.alias].shard_connection(shard.name)  # type: ignore[attr-defined]
        with context.using_shard(shard.name, database=group.alias), context.allow_one_copy():
            return work(shard)

    if parallel == 1 or len(chosen) == 1 or must_share_connections(group):
        return {shard.name: pinned(shard) for shard in chosen}
    return _in_threads(chosen, pinned, parallel=parallel, tick=tick)


def must_share_connections(group: Group) -> bool:
    """Whether only this thread's connections see the shards: in memory, or inside an open transaction."""
    logical: Any = connections[group.alias]
    taken = [logical.shard_connection(shard) for shard in group.shard_names]
    return any(connection.in_atomic_block or _is_in_memory(connection) for connection in taken)


def _is_in_memory(connection: Any) -> bool:
    ask = getattr(connection, "is_in_memory_db", None)
    return ask is not None and bool(ask())


def _in_threads(
    shards: list[ShardConfig], work: Callable[[ShardConfig], T], *, parallel: int, tick: Callable[[], None]
) -> dict[str, T]:
    def closing(shard: ShardConfig) -> T:
        try:
            return work(shard)
        finally:
            connections.close_all()

    pool = ThreadPoolExecutor(max_workers=max(1, min(parallel, len(shards))), thread_name_prefix="horizon-shards")
    try:
        futures = {shard.name: pool.submit(closing, shard) for shard in shards}
        _wait(list(futures.values()), tick)
        return {name: future.result() for name, future in futures.items()}
    finally:
        # After Ctrl-C: what has begun is finished, nothing else is begun.
        pool.shutdown(wait=True, cancel_futures=True)


def _wait(futures: list[Future[T]], tick: Callable[[], None]) -> None:
    pending = set(futures)
    while pending:
        _, pending = wait(pending, timeout=TICK_SECONDS, return_when=FIRST_COMPLETED)
        tick()

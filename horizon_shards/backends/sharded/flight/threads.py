"""A job for each of several shards, each in a thread of its own."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from contextvars import copy_context
from typing import Any, TypeVar

from horizon_shards.backends.sharded.cancel import cancel, handle_of
from horizon_shards.backends.sharded.flight.base import Flight, pauses
from horizon_shards.topology import Group

T = TypeVar("T")

_pools: dict[str, ThreadPoolExecutor] = {}
_pools_lock = threading.Lock()


class Threads(Flight[T]):
    """Jobs in threads of a pool: at most ``SCATTER_THREADS`` for the group in this process."""

    def __init__(
        self,
        group: Group,
        connections: dict[str, Any],
        naming: Callable[[str], AbstractContextManager[None]],
        job: Callable[[str, Any], T],
    ) -> None:
        super().__init__(connections, naming)
        self.group = group
        self.job = job

    def start(self) -> None:
        """Begin all jobs."""
        for connection in self.connections.values():
            connection.inc_thread_sharing()
        pool = _pool(self.group)
        for shard in self.connections:
            self.futures[shard] = pool.submit(copy_context().run, self._run, shard)

    def _run(self, shard: str) -> T:
        connection = self.connections[shard]
        with self.naming(shard):
            self.handles[shard] = handle_of(connection)
            return self.job(shard, connection)

    def wait(self, seconds: float | None, return_when: str) -> None:
        """Wait for the threads."""
        wait(self.futures.values(), timeout=seconds, return_when=return_when)

    def stop(self) -> None:
        """Cancel again and again: what has not begun when it is cancelled begins afterwards.

        Closing a connection that another thread is using would end worse than waiting: the drivers do not allow it.
        """
        for future in self.futures.values():
            future.cancel()
        for pause in pauses():
            running = self.running()
            if not running:
                return
            for shard in running:
                cancel(self.connections[shard], self.handles.get(shard))
            wait([self.futures[shard] for shard in running], timeout=pause)

    def end(self) -> None:
        """The connections belong to the caller's thread again."""
        for connection in self.connections.values():
            connection.dec_thread_sharing()


def _pool(group: Group) -> ThreadPoolExecutor:
    with _pools_lock:
        pool = _pools.get(group.alias)
        if pool is None:
            pool = _pools[group.alias] = ThreadPoolExecutor(
                max_workers=group.config.scatter_threads, thread_name_prefix=f"horizon-shards-{group.alias}"
            )
        return pool


def _forget_pools() -> None:
    """A forked child has the pools' objects but not their threads."""
    global _pools_lock
    _pools_lock = threading.Lock()
    _pools.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pools)

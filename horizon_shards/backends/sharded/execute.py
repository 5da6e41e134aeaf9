"""Running one job a shard at the same time, on the caller's own connections."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, ExitStack, suppress
from contextvars import copy_context
from typing import Any, Generic, TypeVar

from django.db import Error
from django.db.transaction import TransactionManagementError

from horizon_shards.backends.sharded.cancel import cancel, handle_of
from horizon_shards.exceptions import HorizonShardsError, ScatterTimeout
from horizon_shards.signals import shard_failed
from horizon_shards.topology import Group

T = TypeVar("T")

#: After the first attempt to cancel; doubled after each.
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 1.0

#: Errors that are about the logical database, not about one shard.
OURS = (HorizonShardsError, TransactionManagementError)

#: Blocks that surround what runs on several shards, each called with the logical alias and the shards; the threads
#: of the shards see their context variables.
around_scatter: list[Callable[[str, Sequence[str]], AbstractContextManager[None]]] = []

_pools: dict[str, ThreadPoolExecutor] = {}
_pools_lock = threading.Lock()


def run_on_shards(group: Group, connections: dict[str, Any], job: Callable[[str, Any], T]) -> list[T]:
    """Run ``job(shard, connection)`` for every shard at once; the results are in the order of ``connections``.

    The first error cancels the rest and is raised with the shard's name in it. Raises ``ScatterTimeout``
    when the group's ``SCATTER_TIMEOUT_SECONDS`` pass.
    """
    run = Run(group, connections, job)
    if len(connections) == 1:
        (shard,) = connections
        return [run.one(shard)]
    with ExitStack() as stack:
        for around in around_scatter:
            stack.enter_context(around(group.alias, tuple(connections)))
        return run.all()


class Run(Generic[T]):
    """One statement in flight on several shards, on the caller's connections."""

    def __init__(self, group: Group, connections: dict[str, Any], job: Callable[[str, Any], T]) -> None:
        self.group = group
        self.connections = connections
        self.job = job
        self.handles: dict[str, Any] = {}
        self.futures: dict[str, Future[T]] = {}
        self.is_stopping = False

    def one(self, shard: str) -> T:
        """Run the job of one shard in this thread."""
        connection = self.connections[shard]
        try:
            return self.job(shard, connection)
        except Error as error:
            # That a query was cancelled is no failure of its shard.
            if not self.is_stopping:
                name_shard(error, self.group, shard, connection.alias)
            raise

    def _in_thread(self, shard: str) -> T:
        connection = self.connections[shard]
        try:
            self.handles[shard] = handle_of(connection)
        except Error as error:
            name_shard(error, self.group, shard, connection.alias)
            raise
        return self.one(shard)

    def all(self) -> list[T]:
        """Run all jobs in threads of the pool and wait for them."""
        seconds = self.group.config.scatter_timeout_seconds
        deadline = None if seconds is None else time.monotonic() + seconds
        for connection in self.connections.values():
            connection.inc_thread_sharing()
        try:
            pool = _pool(self.group)
            for shard in self.connections:
                self.futures[shard] = pool.submit(copy_context().run, self._in_thread, shard)
            self._wait(deadline)
        except BaseException:
            self._close_answers()
            raise
        finally:
            for connection in self.connections.values():
                connection.dec_thread_sharing()
        return self._results()

    def _results(self) -> list[T]:
        return [future.result() for future in self.futures.values()]

    def _wait(self, deadline: float | None) -> None:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        wait(self.futures.values(), timeout=left, return_when=FIRST_EXCEPTION)
        failed = next((future for future in self.futures.values() if future.done() and future.exception()), None)
        late = [shard for shard, future in self.futures.items() if not future.done()]
        if failed is not None or late:
            self._stop()
        if failed is not None:
            failed.result()
        if late:
            raise self._late_error(late)

    def _late_error(self, late: list[str]) -> ScatterTimeout:
        error = ScatterTimeout(
            f"{', '.join(late)} of {self.group.alias!r} had not answered after "
            f"{self.group.config.scatter_timeout_seconds} s: narrow the query, or raise SCATTER_TIMEOUT_SECONDS.",
            shards=late,
        )
        for shard in late:
            shard_failed.send(sender=self.group.alias, shard=shard, error=error)
        return error

    def _close_answers(self) -> None:
        """Close the cursors that other shards gave: SQLite goes on cancelling as long as one is open."""
        for future in self.futures.values():
            if future.done() and not future.cancelled() and future.exception() is None:
                with suppress(Error, AttributeError):
                    future.result().close()  # type: ignore[attr-defined]

    def _stop(self) -> None:
        """Cancel what still runs and wait for it: nothing may use the caller's connections afterwards."""
        self.is_stopping = True
        running = [shard for shard, future in self.futures.items() if not future.cancel() and not future.done()]
        pause = FIRST_PAUSE_SECONDS
        # Again and again: what has not begun when it is cancelled begins afterwards. Closing a connection that
        # another thread is using would end worse than waiting: the drivers do not allow it.
        while running:
            for shard in running:
                cancel(self.connections[shard], self.handles.get(shard))
            wait([self.futures[shard] for shard in running], timeout=pause)
            running = [shard for shard in running if not self.futures[shard].done()]
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


def name_shard(error: BaseException, group: Group, shard: str, alias: str) -> None:
    """Put the shard and its database into the message of a database error, once."""
    if not isinstance(error, Error) or isinstance(error, OURS) or getattr(error, "shard", None) is not None:
        return
    error.shard = shard  # type: ignore[attr-defined]
    name = f"shard {shard!r} (database {alias!r}): "
    # MySQL's errors are (code, message), and callers read the code.
    position = next((i for i, part in enumerate(error.args) if isinstance(part, str)), None)
    if position is not None:
        args = list(error.args)
        args[position] = name + args[position]
        error.args = tuple(args)
    shard_failed.send(sender=group.alias, shard=shard, error=error)


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

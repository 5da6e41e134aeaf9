"""Running one job a shard at the same time, on the caller's own connections."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import Any, Generic, TypeVar

from django.db import Error
from django.db.transaction import TransactionManagementError

from horizon_shards.backends.sharded.flight.base import Flight
from horizon_shards.backends.sharded.flight.sending import Sending
from horizon_shards.backends.sharded.flight.threads import Threads
from horizon_shards.exceptions import HorizonShardsError, ScatterTimeout
from horizon_shards.signals import shard_failed
from horizon_shards.topology import Group

T = TypeVar("T")

#: Errors that are about the logical database, not about one shard.
OURS = (HorizonShardsError, TransactionManagementError)

WRAPPER = "aws_advanced_python_wrapper"

#: Blocks that surround what runs on several shards, each called with the logical alias and the shards; the threads
#: of the shards see their context variables.
around_scatter: list[Callable[[str, Sequence[str]], AbstractContextManager[None]]] = []


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
    """One job in flight on several shards, on the caller's connections."""

    def __init__(self, group: Group, connections: dict[str, Any], job: Callable[[str, Any], T]) -> None:
        self.group = group
        self.connections = connections
        self.job = job
        self.is_stopping = False

    def one(self, shard: str) -> T:
        """Run the job of one shard in this thread."""
        with self.naming(shard):
            return self.job(shard, self.connections[shard])

    @contextmanager
    def naming(self, shard: str) -> Iterator[None]:
        """Put the shard's name into an error."""
        try:
            yield
        except Exception as error:
            # That a query was cancelled is no failure of its shard.
            if not self.is_stopping:
                name_shard(error, self.group, shard, self.connections[shard].alias)
            raise

    def all(self) -> list[T]:
        """Run all jobs at once and wait for them."""
        seconds = self.group.config.scatter_timeout_seconds
        deadline = None if seconds is None else time.monotonic() + seconds
        flight = self._flight()
        try:
            flight.start()
            self._wait(flight, deadline)
            return self._results(flight)
        except BaseException:
            close_answers(flight.futures.values())
            raise
        finally:
            flight.end()

    def _flight(self) -> Flight[T]:
        sending = Sending.of(self.connections, self.naming, self.job)
        return sending or Threads(self.group, self.connections, self.naming, self.job)

    def _results(self, flight: Flight[T]) -> list[T]:
        return [future.result() for future in flight.futures.values()]

    def _wait(self, flight: Flight[T], deadline: float | None) -> None:
        flight.wait(seconds_until(deadline), FIRST_EXCEPTION)
        late = flight.unanswered()
        failed = next((error for shard, error in flight.errors().items() if shard not in late), None)
        if failed is not None or late:
            self._stop(flight)
        if failed is not None:
            raise failed
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

    def _stop(self, flight: Flight[T]) -> None:
        self.is_stopping = True
        flight.stop()


def seconds_until(deadline: float | None) -> float | None:
    """How long to wait, for a time of the monotonic clock; None: without end."""
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def close_answers(futures: Iterable[Future[Any]]) -> None:
    """Close the cursors that other shards gave: SQLite goes on cancelling as long as one is open."""
    for future in futures:
        if future.done() and not future.cancelled() and future.exception() is None:
            with suppress(Error, AttributeError):
                future.result().close()


def is_of_database(error: BaseException) -> bool:
    """Whether a database raised the error. Those of AWS's wrapper about failovers are none of Django's."""
    return isinstance(error, Error) or type(error).__module__.partition(".")[0] == WRAPPER


def name_shard(error: BaseException, group: Group, shard: str, alias: str) -> None:
    """Put the shard and its database into the message of a database error, once."""
    if not is_of_database(error) or isinstance(error, OURS) or getattr(error, "shard", None) is not None:
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

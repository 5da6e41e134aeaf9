"""The query log of the logical connection: what its shards have run, in the order they ran it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any


class TeeLog(deque[dict[str, Any]]):
    """A physical connection's log that copies each entry to the logical connection's, with the shard's name."""

    def __init__(self, entries: deque[dict[str, Any]], logical: Any, shard: str) -> None:
        super().__init__(entries, maxlen=entries.maxlen)
        self.logical = logical
        self.shard = shard
        #: Whether entries stay here.
        self.is_private = False

    def append(self, entry: dict[str, Any]) -> None:
        """Log on both."""
        super().append(entry)
        if not self.is_private:
            self.logical.queries_log.append({**entry, "shard": self.shard})


def tee_queries(logical: Any, shard: str, connection: Any) -> None:
    """Let the logical connection's ``queries`` (DEBUG log, ``assertNumQueries``) show this shard's."""
    log = connection.queries_log
    if not isinstance(log, TeeLog) or log.logical is not logical:
        connection.queries_log = TeeLog(log, logical, shard)


@contextmanager
def logged_by_shard_only(connection: Any) -> Iterator[None]:
    """Keep the BEGIN, SAVEPOINT and COMMIT of each shard out of the logical log, which has its own: one of each."""
    log = connection.queries_log
    if not isinstance(log, TeeLog) or log.is_private:
        yield
        return
    log.is_private = True
    try:
        yield
    finally:
        log.is_private = False


@contextmanager
def logged_as_one(connections: dict[str, Any]) -> Iterator[None]:
    """Log what all copies of a reference row are told once on the logical connection, under the names of all shards.

    Each shard's own log has its statement, as ever.
    """
    first, *others = connections.values()
    log = first.queries_log
    with ExitStack() as stack:
        for connection in others:
            stack.enter_context(logged_by_shard_only(connection))
        if isinstance(log, TeeLog):
            shard, log.shard = log.shard, ", ".join(connections)
            stack.callback(setattr, log, "shard", shard)
        yield

"""Which replica a read may go to: one that answers, is not too far behind, and by its weight."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError, Error, connections

from horizon_shards.backends.sharded.lag import lag_of
from horizon_shards.conf import ReadsConfig, ShardConfig
from horizon_shards.topology import Group

#: Aliases that have failed, and until when (monotonic) this process leaves them alone.
_failed: dict[str, float] = {}


@dataclass
class Health:
    """What a connection to a replica has said of its lag, and when; of the very server that it is connected to."""

    session: Any = None
    checked_at: float = float("-inf")
    lag_seconds: float | None = None


class Replicas:
    """The replicas that one logical connection reads from: for each shard the same as long as it will do."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self.chosen: dict[str, str] = {}
        self.health: dict[str, Health] = {}

    def connection(self, shard: str) -> Any:
        """The calling thread's connection to a replica that may be read from now, or None."""
        for alias in self._in_turn(self.group.shard(shard)):
            connection = connections[alias]
            if self._is_fit(connection):
                self.chosen[shard] = alias
                return connection
        return None

    def _in_turn(self, shard: ShardConfig) -> Iterator[str]:
        chosen = self.chosen.get(shard.name)
        if chosen in shard.replicas and connections[chosen].connection is not None:
            yield chosen
        left = {alias: weight for alias, weight in zip(shard.replicas, shard.replica_weights, strict=True) if weight}
        while left:
            (alias,) = random.choices(list(left), list(left.values()))  # noqa: S311
            del left[alias]
            yield alias

    def _is_fit(self, connection: Any) -> bool:
        reads = self.group.config.reads
        if _failed.get(connection.alias, 0.0) > time.monotonic():
            return False
        try:
            lag = self._lag(connection, reads)
        except DatabaseError:
            self.leave(connection)
            return False
        return lag is not None and lag <= reads.max_lag_seconds

    def _lag(self, connection: Any, reads: ReadsConfig) -> float | None:
        connection.ensure_connection()
        health = self.health.setdefault(connection.alias, Health())
        if health.session is not connection.connection or time.monotonic() - health.checked_at > reads.check_seconds:
            # The time before asking: what it has then, it has at least as long.
            now = time.monotonic()
            health.lag_seconds = lag_of(connection)
            health.session, health.checked_at = connection.connection, now
        return health.lag_seconds

    def leave(self, connection: Any) -> None:
        """After an error: this process leaves the replica alone for ``RETRY_SECONDS``."""
        _failed[connection.alias] = time.monotonic() + self.group.config.reads.retry_seconds
        with suppress(Error):
            connection.close()

    def close(self) -> None:
        """Close this thread's connections to replicas."""
        for alias in self.health:
            if not connections[alias].in_atomic_block:
                connections[alias].close()


def forget_failures() -> None:
    """Try every replica again."""
    _failed.clear()

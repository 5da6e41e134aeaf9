"""Which connections this process has open."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

from django.db.backends.signals import connection_created

from horizon_shards.backends.aurora_mysql.room import waiting_by_alias
from horizon_shards.conf import is_sharded


@dataclass(frozen=True)
class Opened:
    """Connections of this process to one database: those of its threads, and those that wait in a pool."""

    used: int
    idle: int


#: Django's connections of all threads, from when they first connected until their thread has gone.
_known: WeakSet[Any] = WeakSet()
_lock = threading.Lock()


def watch() -> None:
    """Know of every connection from now on; called when the app is ready."""
    connection_created.connect(_note, dispatch_uid="horizon_shards.opened")


def open_connections() -> dict[str, Opened]:
    """What this process has open, by the alias of the physical database; of all its threads."""
    with _lock:
        known = list(_known)
    used = Counter(connection.alias for connection in known if connection.connection is not None)
    idle = Counter(waiting_by_alias()) + Counter(_waiting_at_postgresql(known))
    return {alias: Opened(used[alias], idle[alias]) for alias in sorted(used | idle)}


def _note(connection: Any, **kwargs: Any) -> None:
    if not is_sharded(connection.settings_dict):
        with _lock:
            _known.add(connection)


def _waiting_at_postgresql(known: list[Any]) -> dict[str, int]:
    """The same of psycopg's pools, one for all threads; Django's property would open one that is not there."""
    pools = {each.alias: getattr(each, "_connection_pools", {}).get(each.alias) for each in known}
    return {alias: int(pool.get_stats().get("pool_available", 0)) for alias, pool in pools.items() if pool is not None}

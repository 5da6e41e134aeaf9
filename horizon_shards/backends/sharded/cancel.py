"""Ending a query that runs on a connection of another thread, as each engine allows it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing
from typing import Any

logger = logging.getLogger("horizon_shards")


def handle_of(connection: Any) -> Any:
    """What :func:`cancel` will need to know, taken by the thread that uses the connection.

    MySQL's drivers answer nobody else while a query runs. mysqlclient tells the number of a connection by
    ``thread_id()``, MySQL's Connector/Python (AWS's wrapper stands on it) as ``connection_id``.
    """
    if connection.vendor != "mysql":
        return None
    connection.ensure_connection()
    raw = connection.connection
    return raw.thread_id() if hasattr(raw, "thread_id") else raw.connection_id


def cancel(connection: Any, handle: Any) -> None:
    """Ask the database to end what ``connection`` (a Django connection) is running; logs errors, never raises.

    The query may have ended by itself, or the server may be gone: the caller waits for it either way. A connection
    that is not open yet runs nothing.
    """
    if connection.connection is None:
        return
    try:
        CANCEL.get(connection.vendor, _nothing)(connection, handle)
    except Exception:
        logger.warning("Could not cancel the query on %r: waiting for its end.", connection.alias, exc_info=True)


def _sqlite(connection: Any, handle: Any) -> None:
    connection.connection.interrupt()


def _postgresql(connection: Any, handle: Any) -> None:
    connection.connection.cancel()


def _mysql(connection: Any, handle: Any) -> None:
    """MySQL ends a query by a statement on another connection; without a number the query has not begun."""
    if handle is None:
        return
    with closing(_beside(connection)) as other, closing(other.cursor()) as cursor:
        cursor.execute(f"KILL QUERY {int(handle)}")


def _beside(connection: Any) -> Any:
    """Where a backend looks for a server of a cluster, it knows how to find the one it is connected to."""
    if hasattr(connection, "open_beside"):
        return connection.open_beside()
    return connection.get_new_connection(connection.get_connection_params())


def _nothing(connection: Any, handle: Any) -> None:
    """An engine without a known way: the caller waits."""


CANCEL: dict[str, Callable[[Any, Any], None]] = {"sqlite": _sqlite, "postgresql": _postgresql, "mysql": _mysql}

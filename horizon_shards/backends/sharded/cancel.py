"""Ending a query that runs on a connection of another thread, as each engine allows it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any


def handle_of(connection: Any) -> Any:
    """What :func:`cancel` will need to know, taken by the thread that uses the connection.

    MySQL's driver answers nobody else while a query runs.
    """
    if connection.vendor != "mysql":
        return None
    connection.ensure_connection()
    return connection.connection.thread_id()


def cancel(connection: Any, handle: Any) -> None:
    """Ask the database to end what ``connection`` (a Django connection) is running; never raises.

    The query may have ended by itself, or the server may be gone: the caller waits for it either way.
    """
    with suppress(Exception):
        CANCEL.get(connection.vendor, _nothing)(connection, handle)


def _sqlite(connection: Any, handle: Any) -> None:
    connection.connection.interrupt()


def _postgresql(connection: Any, handle: Any) -> None:
    connection.connection.cancel()


def _mysql(connection: Any, handle: Any) -> None:
    """MySQL ends a query by a statement on another connection."""
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute(f"KILL QUERY {int(handle)}")
    finally:
        other.close()


def _nothing(connection: Any, handle: Any) -> None:
    """An engine without a known way: the caller waits."""


CANCEL: dict[str, Callable[[Any, Any], None]] = {"sqlite": _sqlite, "postgresql": _postgresql, "mysql": _mysql}

"""How many connections a database's server has, and how many it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from django.db import DatabaseError

POSTGRESQL: Final = (
    "SELECT COUNT(*), current_setting('max_connections')::int, "
    "COUNT(*) FILTER (WHERE datname = current_database() AND usename = session_user) "
    "FROM pg_stat_activity WHERE backend_type = 'client backend'"
)
MYSQL_OWN: Final = (
    "SELECT COUNT(*) FROM information_schema.processlist "
    "WHERE db = DATABASE() AND user = SUBSTRING_INDEX(USER(), '@', 1)"
)


@dataclass(frozen=True)
class Connections:
    """Of one server, all its users and databases together: ``open`` now, of ``limit`` at most.

    ``own``: of these those of this database and its user.
    """

    open: int
    limit: int
    own: int

    def __str__(self) -> str:
        return f"{self.open}/{self.limit}"


def connections_of(connection: Any) -> Connections | None:
    """What the server says; None for an engine without servers, or where it may not be asked."""
    ask = {"mysql": _mysql, "postgresql": _postgresql}.get(connection.vendor)
    if ask is None:
        return None
    try:
        with connection.cursor() as cursor:
            return ask(cursor)
    except DatabaseError:
        return None


def _mysql(cursor: Any) -> Connections:
    cursor.execute("SHOW GLOBAL STATUS LIKE 'Threads_connected'")
    count = int(cursor.fetchone()[1])
    cursor.execute("SELECT @@global.max_connections")
    limit = int(cursor.fetchone()[0])
    cursor.execute(MYSQL_OWN)
    return Connections(count, limit, int(cursor.fetchone()[0]))


def _postgresql(cursor: Any) -> Connections:
    cursor.execute(POSTGRESQL)
    return Connections(*map(int, cursor.fetchone()))

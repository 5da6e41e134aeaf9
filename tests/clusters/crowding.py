"""A server that has as many connections as it allows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import MySQLdb

from tests.servers.mariadb import ADMIN, APP, Server
from tests.waiting import wait_until

LIMIT = 12
#: A session that was closed is counted for a moment still: one refusal says little.
REFUSALS = 20
OTHERS = "SELECT COUNT(*) FROM information_schema.processlist WHERE user IN ('admin', 'app') AND id <> CONNECTION_ID()"


@contextmanager
def full(server: Server) -> Iterator[list[Any]]:
    """Connections enough that the server takes no other; whoever wants room closes some, by :func:`make_room`."""
    held: list[Any] = []
    with closing(server.connect(**ADMIN)) as admin:
        wait_until(lambda: asked(admin, OTHERS) == "0", "all other sessions have ended")
        admin.query(f"SET GLOBAL max_connections = {LIMIT}")
        try:
            refusals = 0
            while refusals < REFUSALS:
                refusals = refusals + 1 if is_refused(server, held) else 0
            yield held
        finally:
            make_room(held)
            admin.query("SET GLOBAL max_connections = 60")


def make_room(held: list[Any]) -> None:
    """Close the connections."""
    while held:
        held.pop().close()


def is_refused(server: Server, held: list[Any]) -> bool:
    """Whether one connection more is refused; it is held where it is not."""
    try:
        held.append(server.connect(**APP))
    except MySQLdb.OperationalError as error:
        if "Too many connections" not in str(error):
            raise
        return True
    return False


def asked(connection: Any, query: str) -> str:
    """The one value of a query, as text."""
    connection.query(query)
    (value,) = connection.store_result().fetch_row()[0]
    return value.decode() if isinstance(value, bytes) else str(value)

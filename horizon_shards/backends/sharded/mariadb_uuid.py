"""The order of MariaDB's UUID type, which is not that of the bytes and depends on the server's version."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

Key = Callable[[Any], bytes]

#: Pairs that the known orders put in different ways: by version and variant of the UUID.
PROBES = tuple(
    UUID(f"{first}0000000-0000-{version}000-{variant}000-00000000000{last}")
    for version in (0, 1, 4, 7, 8)
    for variant in ("0", "a")
    for first, last in (("f", 1), ("0", 2))
    if (version, variant) != (8, "0")  # refused
)
#: By what the server says of itself; None: an order that is not known here.
_keys: dict[str, Key | None] = {}


def order_key(connection: Any) -> Key | None:
    """What turns a UUID of this server into something that Python orders the same way; None where that is not known.

    The server is asked to sort a few, once a process.
    """
    server = str(connection.mysql_server_info)
    if server not in _keys:
        _keys[server] = _find(connection)
    return _keys[server]


def _find(connection: Any) -> Key | None:
    sql = " UNION ALL ".join(["SELECT CAST(%s AS UUID) AS u"] * len(PROBES)) + " ORDER BY u"
    with connection.cursor() as cursor:
        cursor.execute(sql, [str(probe) for probe in PROBES])
        found = [UUID(str(row[0])) for row in cursor.fetchall()]
    return next((key for key in (time_last, time_last_to_version_5) if sorted(PROBES, key=key) == found), None)


def time_last(value: Any) -> bytes:
    """The node first and the time last, as the type was made in MariaDB 10.7."""
    data = _bytes(value)
    return data[10:] + data[8:10] + data[6:8] + data[4:6] + data[:4]


def time_last_to_version_5(value: Any) -> bytes:
    """As :func:`time_last` for versions 1 to 5, and by bytes for the others: later releases, for version 7's sake."""
    data = _bytes(value)
    return time_last(value) if 0 < data[6] <= 0x5F and data[8] & 0x80 else data


def _bytes(value: Any) -> bytes:
    return value.bytes if isinstance(value, UUID) else UUID(str(value)).bytes

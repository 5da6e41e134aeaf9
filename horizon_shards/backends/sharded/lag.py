"""How far a replica is behind its primary, as the replica itself says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from django.db import DatabaseError

AURORA: Final = (
    "SELECT replica_lag_in_milliseconds / 1000 FROM information_schema.replica_host_status "
    "WHERE server_id = @@aurora_server_id"
)
ROLE: Final = "SELECT @@global.innodb_read_only, @@global.read_only"
#: All that was received is applied: no lag, if something is received at all.
POSTGRESQL: Final = (
    "SELECT CASE WHEN NOT pg_is_in_recovery() THEN 0 "
    "WHEN NOT EXISTS (SELECT 1 FROM pg_stat_wal_receiver) THEN NULL "
    "WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0 "
    "ELSE EXTRACT(EPOCH FROM now() - pg_last_xact_replay_timestamp()) END"
)
#: MySQL and MariaDB: no such variable, table or column, so no Aurora.
NO_AURORA: Final = {1193, 1109, 1146, 1054}


def lag_of(connection: Any) -> float | None:
    """Seconds behind the primary; 0 for a server that takes writes; None where nobody knows, or replication stands.

    Raises Django's errors where the server does not answer, or the user may not ask (MySQL: REPLICATION CLIENT,
    MariaDB: SLAVE MONITOR).
    """
    return LAGS.get(connection.vendor, _none)(connection)


def _none(connection: Any) -> float:
    """An engine without replication of its own: whoever names a replica answers for it."""
    return 0.0


def _postgresql(connection: Any) -> float | None:
    return _first(connection, POSTGRESQL)


def _mysql(connection: Any) -> float | None:
    if "aurora_lag" not in connection.__dict__:
        connection.aurora_lag = _is_aurora(connection)
    return _first(connection, AURORA) if connection.aurora_lag else _replication(connection)


def _is_aurora(connection: Any) -> bool:
    try:
        _first(connection, AURORA)
    except DatabaseError as error:
        if error.args[0] in NO_AURORA:
            return False
        raise
    return True


def _replication(connection: Any) -> float | None:
    with connection.cursor() as cursor:
        cursor.execute("SHOW REPLICA STATUS")
        row = cursor.fetchone()
        if row is not None:
            names = [column[0] for column in cursor.description]
            (position,) = [i for i, name in enumerate(names) if name.startswith("Seconds_Behind_")]
            return None if row[position] is None else float(row[position])
        cursor.execute(ROLE)
        takes_writes = all(str(answer) in ("0", "OFF") for answer in cursor.fetchone())
    return 0.0 if takes_writes else None


def _first(connection: Any, sql: str) -> float | None:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        row = cursor.fetchone()
    return None if row is None or row[0] is None else float(row[0])


LAGS: Final[dict[str, Callable[[Any], float | None]]] = {"mysql": _mysql, "postgresql": _postgresql}

"""Which servers a cluster has and which of them takes writes, as far as this process has learnt."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

from MySQLdb import MySQLError

from horizon_shards.backends.aurora_mysql.options import Address, ClusterOptions, address

REFRESH_SECONDS: Final = 30.0

ROLE_QUERY: Final = "SELECT @@global.innodb_read_only, @@global.read_only"
#: Instances that have reported in the last five minutes; the one that writes is always among them.
INSTANCES_QUERY: Final = (
    "SELECT server_id, session_id = 'MASTER_SESSION_ID' FROM information_schema.replica_host_status "
    "WHERE TIME_TO_SEC(TIMEDIFF(NOW(), last_update_timestamp)) <= 300 OR session_id = 'MASTER_SESSION_ID'"
)
#: MariaDB 12 answers the role in words.
NO: Final = {"0", "OFF"}


@dataclass(frozen=True, slots=True)
class Known:
    """What was learnt of one cluster, and when."""

    primary: Address | None = None
    instances: tuple[Address, ...] = ()
    learnt_at: float = float("-inf")


#: By the endpoint of the cluster: aliases of the same cluster learn from each other.
_known: dict[Address, Known] = {}


def addresses(endpoint: Address, options: ClusterOptions) -> list[Address]:
    """Where to look for a server, in that order; the endpoint last, because it lags behind a failover."""
    known = _known.get(endpoint, Known())
    first = [known.primary] if known.primary and options.role == "primary" else []
    return list(dict.fromkeys([*first, *options.instances, *known.instances, endpoint]))


def takes_writes(raw: Any) -> bool:
    """Ask a server, by a driver's connection, whether it takes writes."""
    return all(str(answer) in NO for answer in _rows(raw, ROLE_QUERY)[0])


def is_encrypted(raw: Any) -> bool:
    """Ask a server whether this connection uses TLS: libmariadb goes on without where the server has none."""
    return bool(_rows(raw, "SHOW SESSION STATUS LIKE 'Ssl_cipher'")[0][1])


def note_primary(endpoint: Address, found: Address) -> None:
    """Remember where writes were taken; the endpoint only where no instance is known to take them."""
    known = _known.get(endpoint, Known())
    if found != endpoint or known.primary is None:
        _known[endpoint] = Known(found, known.instances, known.learnt_at)


def forget_primary(endpoint: Address, failed: Address) -> None:
    """Do not look there first any more."""
    known = _known.get(endpoint, Known())
    if known.primary == failed:
        _known[endpoint] = Known(None, known.instances, known.learnt_at)


def learn(endpoint: Address, options: ClusterOptions, raw: Any, *, again: bool = False) -> None:
    """Ask a server of the cluster for the others, from time to time or (``again``) now."""
    known = _known.get(endpoint, Known())
    if options.instance_host is None or not (again or time.monotonic() - known.learnt_at > REFRESH_SECONDS):
        return
    try:
        rows = _rows(raw, INSTANCES_QUERY)
    except MySQLError:
        # No Aurora, or not asked in time: what is known stays.
        rows = ()
    found = {address(options.instance_host.format(_text(name)), port=endpoint.port): writes for name, writes in rows}
    primary = next((each for each, writes in found.items() if int(writes)), known.primary)
    _known[endpoint] = Known(primary, tuple(found) or known.instances, time.monotonic())


def forget_all() -> None:
    """Know nothing of any cluster."""
    _known.clear()


def _rows(raw: Any, sql: str) -> tuple[tuple[Any, ...], ...]:
    with closing(raw.cursor()) as cursor:
        cursor.execute(sql)
        rows: tuple[tuple[Any, ...], ...] = cursor.fetchall()
        return rows


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)

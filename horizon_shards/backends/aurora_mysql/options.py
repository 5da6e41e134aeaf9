"""The setting ``CLUSTER`` of a database: what the backend knows of the servers behind ``HOST``."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from horizon_shards.exceptions import ConfigurationError

CLUSTER_KEYS: Final = {
    "ROLE",
    "INSTANCES",
    "INSTANCE_HOST",
    "DEADLINE_SECONDS",
    "IAM",
    "SECRET",
    "REGION",
    "MAX_CONNECTIONS",
    "IDLE_SECONDS",
    "POOL",
}
ROLES: Final = ("primary", "replica")
DEFAULT_PORT: Final = 3306
DEADLINE_SECONDS: Final = 15.0
#: Of a replica: the primary answers instead.
REPLICA_DEADLINE_SECONDS: Final = 2.0
#: Of connections in a pool.
POOL_IDLE_SECONDS: Final = 60.0
#: A cluster endpoint of Aurora; reader and custom endpoints have more words before the account's.
AURORA_ENDPOINT: Final = re.compile(
    r"[^.]+\.cluster-(?P<account>[a-z0-9]+)\.(?P<region>[a-z0-9-]+)\.rds\.(?P<domain>amazonaws\.com(\.cn)?)"
)
RDS_HOST: Final = re.compile(r"\.(?P<region>[a-z0-9-]+)\.rds\.amazonaws\.com(\.cn)?$")


class Address(NamedTuple):
    """Where a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """``CLUSTER``, read and validated."""

    #: ``"primary"``: a connection is never kept to a server that does not take writes. ``"replica"``: any will do.
    role: str = "primary"
    instances: tuple[Address, ...] = ()
    #: Where an instance of Aurora listens, ``{}`` being its id; None where the cluster cannot be asked.
    instance_host: str | None = None
    deadline_seconds: float = DEADLINE_SECONDS
    iam: bool = False
    secret: str | None = None
    region: str | None = None
    #: The most connections of this process; None: as many as its threads open.
    max_connections: int | None = None
    #: A connection that was not used for so long is closed; None: ``CONN_MAX_AGE`` alone decides.
    idle_seconds: float | None = None
    #: Whether a connection waits for another thread when a request has ended.
    pool: bool = False


def read_options(alias: str, settings: Mapping[str, Any]) -> ClusterOptions:
    """Read ``CLUSTER`` of the entry ``alias`` of ``DATABASES``; raises ``ConfigurationError``."""
    where = f"DATABASES[{alias!r}]['CLUSTER']"
    given = settings.get("CLUSTER") or {}
    _require_known(given, where)
    role = given.get("ROLE", "primary")
    if role not in ROLES:
        raise ConfigurationError(f"{where}['ROLE'] must be one of {', '.join(ROLES)}, not {role!r}.")
    deadline = DEADLINE_SECONDS if role == "primary" else REPLICA_DEADLINE_SECONDS
    port = int(settings.get("PORT") or DEFAULT_PORT)
    return ClusterOptions(
        role=role,
        instances=tuple(address(text, port=port) for text in _instances(given, where)),
        instance_host=given.get("INSTANCE_HOST") or instance_host(settings.get("HOST") or ""),
        deadline_seconds=_seconds(given, "DEADLINE_SECONDS", deadline, where),
        iam=bool(given.get("IAM", False)),
        secret=given.get("SECRET"),
        region=given.get("REGION") or _region(settings.get("HOST") or ""),
        max_connections=_count(given, "MAX_CONNECTIONS", where),
        **_idle(given, settings, where),
    )


def address(text: str, *, port: int) -> Address:
    """``"host"`` or ``"host:port"``; ``port`` is what holds otherwise."""
    host, _, own = text.rpartition(":")
    return Address(host, int(own)) if host and own.isdigit() else Address(text, port)


def instance_host(endpoint: str) -> str | None:
    """Where the instances behind a cluster endpoint of Aurora listen, or None for another host."""
    found = AURORA_ENDPOINT.fullmatch(endpoint)
    return found and "{{}}.{account}.{region}.rds.{domain}".format(**found.groupdict())


def is_rds(host: str) -> bool:
    """Whether the host is one of Amazon RDS or Aurora."""
    return RDS_HOST.search(host) is not None


def _region(host: str) -> str | None:
    found = RDS_HOST.search(host)
    return found and found["region"]


def _require_known(given: Any, where: str) -> None:
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"{where} must be a dict, not {given!r}.")
    for key in given:
        if key not in CLUSTER_KEYS:
            near = difflib.get_close_matches(str(key).upper(), sorted(CLUSTER_KEYS), n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(CLUSTER_KEYS))}."
            raise ConfigurationError(f"{where} has the unknown key {key!r}: {hint}")


def _instances(given: Mapping[str, Any], where: str) -> list[str]:
    instances = given.get("INSTANCES", ())
    if not isinstance(instances, list | tuple) or not all(isinstance(each, str) for each in instances):
        raise ConfigurationError(f"{where}['INSTANCES'] must be a list of 'host' or 'host:port', not {instances!r}.")
    return list(instances)


def _idle(given: Mapping[str, Any], settings: Mapping[str, Any], where: str) -> dict[str, Any]:
    """What becomes of a connection that nobody uses."""
    pool = bool(given.get("POOL", False))
    if pool and settings.get("CONN_MAX_AGE", 0) != 0:
        raise ConfigurationError(f"{where}['POOL'] needs CONN_MAX_AGE 0: threads that keep connections share none.")
    if pool and "read_default_file" in settings.get("OPTIONS", {}):
        raise ConfigurationError(f"{where}['POOL'] needs OPTIONS without read_default_file: say there what it says.")
    seconds = POOL_IDLE_SECONDS if pool else None
    if given.get("IDLE_SECONDS") is not None:
        seconds = _seconds(given, "IDLE_SECONDS", 0.0, where)
    return {"pool": pool, "idle_seconds": seconds}


def _count(given: Mapping[str, Any], key: str, where: str) -> int | None:
    value = given.get(key)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise ConfigurationError(f"{where}[{key!r}] must be a whole number of at least 1, or None, not {value!r}.")
    return value


def _seconds(given: Mapping[str, Any], key: str, default: float, where: str) -> float:
    value = given.get(key, default)
    if not isinstance(value, int | float) or isinstance(value, bool) or value <= 0:
        raise ConfigurationError(f"{where}[{key!r}] must be more than 0, not {value!r}.")
    return float(value)

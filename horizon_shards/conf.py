"""The settings, read in one place into frozen dataclasses."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from django.db import connections

from horizon_shards.exceptions import ConfigurationError

ENGINE = "horizon_shards.backends.sharded"
DEFAULT_MAPPING = "horizon_shards.mapping.BucketMapping"

Scatter = Literal["allow", "warn", "forbid"]
Partial = Literal["error", "return"]
Transactions = Literal["single", "best_effort", "two_phase"]

#: Keys of a logical database that are ours; those of Django are allowed beside them.
OWN_KEYS = {
    "SHARDS",
    "MAPPING",
    "DIRECTORY",
    "SCATTER",
    "SCATTER_TIMEOUT_SECONDS",
    "SCATTER_THREADS",
    "MAX_ROWS",
    "FEDERATION",
    "PARTIAL",
    "MAX_KEYS",
    "READS",
    "MIGRATE",
    "TRANSACTIONS",
    "HISTORICAL_MODELS",
}
DJANGO_KEYS = {
    "ENGINE",
    "NAME",
    "USER",
    "PASSWORD",
    "HOST",
    "PORT",
    "OPTIONS",
    "TEST",
    "TIME_ZONE",
    "ATOMIC_REQUESTS",
    "AUTOCOMMIT",
    "CONN_MAX_AGE",
    "CONN_HEALTH_CHECKS",
    "DISABLE_SERVER_SIDE_CURSORS",
}
SHARD_KEYS = {"PRIMARY", "REPLICAS", "WEIGHT", "ACCEPTS_NEW_KEYS"}
MAPPING_KEYS = {"BACKEND", "OPTIONS"}
FEDERATION_KEYS = {"MAX_ROWS"}
MIGRATE_KEYS = {"CANARY", "WAIT_SECONDS", "LOCK_TIMEOUT_SECONDS"}
READS_KEYS = {"FROM", "MAX_LAG_SECONDS", "CHECK_SECONDS", "RETRY_SECONDS"}


@dataclass(frozen=True, slots=True)
class ShardConfig:
    """One shard: its name, its physical databases, and its share of new keys (``weight``, no unit)."""

    name: str
    primary: str
    replicas: tuple[str, ...] = ()
    #: The share of reads of each replica; 0: none.
    replica_weights: tuple[int, ...] = ()
    weight: int = 1
    accepts_new_keys: bool = True

    @property
    def aliases(self) -> tuple[str, ...]:
        """The primary, then the replicas."""
        return (self.primary, *self.replicas)


@dataclass(frozen=True, slots=True)
class ReadsConfig:
    """Whether replicas are read, how far they may be behind, how often they are asked, and left alone after errors."""

    from_replicas: bool = True
    max_lag_seconds: float = 5.0
    check_seconds: float = 2.0
    retry_seconds: float = 10.0

    @property
    def own_writes_seconds(self) -> float:
        """After so long every replica that may be read has what was written before; a second is for their clocks."""
        return self.max_lag_seconds + self.check_seconds + 1.0


@dataclass(frozen=True, slots=True)
class MigrateConfig:
    """Which shard is migrated first and alone, and how long another ``migrate``, or a table, is waited for."""

    canary: str | None = None
    wait_seconds: float = 60.0
    lock_timeout_seconds: float | None = 30.0


@dataclass(frozen=True, slots=True)
class GroupConfig:
    """One logical database as the settings describe it."""

    alias: str
    shards: tuple[ShardConfig, ...]
    mapping_backend: str = DEFAULT_MAPPING
    mapping_options: Mapping[str, Any] = field(default_factory=dict)
    directory: str | None = None
    scatter: Scatter = "warn"
    scatter_timeout_seconds: float | None = 30.0
    scatter_threads: int = 16
    max_rows: int = 300_000
    federation_max_rows: int = 0
    partial: Partial = "error"
    max_keys: int = 10_000
    transactions: Transactions = "best_effort"
    reads: ReadsConfig = ReadsConfig()
    migrate: MigrateConfig = MigrateConfig()
    historical_models: frozenset[str] = frozenset()


def is_sharded(settings_dict: Mapping[str, Any]) -> bool:
    """Whether an entry of ``DATABASES`` is a logical database."""
    return settings_dict.get("ENGINE") == ENGINE


def group_aliases() -> list[str]:
    """The logical aliases of ``DATABASES``, in the order of the settings."""
    return [alias for alias, entry in connections.settings.items() if is_sharded(entry)]


def read_group(alias: str) -> GroupConfig:
    """Read and validate the logical database ``alias``; raise ``ConfigurationError`` naming key and cure."""
    entry = connections.settings[alias]
    where = f"DATABASES[{alias!r}]"
    require_known(entry, OWN_KEYS | DJANGO_KEYS, where)
    mapping = _dict(entry.get("MAPPING", {}), f"{where}['MAPPING']")
    require_known(mapping, MAPPING_KEYS, f"{where}['MAPPING']")
    return GroupConfig(
        alias=alias,
        shards=_read_shards(entry.get("SHARDS"), where),
        mapping_backend=mapping.get("BACKEND", DEFAULT_MAPPING),
        mapping_options=dict(_dict(mapping.get("OPTIONS", {}), f"{where}['MAPPING']['OPTIONS']")),
        directory=_directory(entry.get("DIRECTORY"), where),
        scatter=cast(Scatter, _choice(entry, "SCATTER", ("allow", "warn", "forbid"), "warn", where)),
        scatter_timeout_seconds=_seconds(entry.get("SCATTER_TIMEOUT_SECONDS", 30.0), where),
        scatter_threads=_positive(entry, "SCATTER_THREADS", 16, where),
        max_rows=_positive(entry, "MAX_ROWS", 300_000, where),
        federation_max_rows=_federation(entry.get("FEDERATION", {}), f"{where}['FEDERATION']"),
        max_keys=_positive(entry, "MAX_KEYS", 10_000, where),
        partial=cast(Partial, _choice(entry, "PARTIAL", ("error", "return"), "error", where)),
        transactions=_transactions(entry, where),
        reads=_read_reads(_dict(entry.get("READS", {}), f"{where}['READS']"), f"{where}['READS']"),
        migrate=_read_migrate(entry, where),
        historical_models=frozenset(str(label).lower() for label in entry.get("HISTORICAL_MODELS", ())),
    )


def require_known(given: Iterable[str], known: Iterable[str], where: str) -> None:
    """Raise for the first key that is not known, with the nearest one that is."""
    known = sorted(known)
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(str(key).upper(), known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}."
            raise ConfigurationError(f"{where} has the unknown key {key!r}: {hint}")


def _read_shards(shards: Any, where: str) -> tuple[ShardConfig, ...]:
    if not isinstance(shards, Mapping) or not shards:
        raise ConfigurationError(
            f"{where} needs SHARDS: a dict of at least one shard, like {{'track-1': {{'PRIMARY': 'track_1'}}}}."
        )
    configs = tuple(_read_shard(name, entry, f"{where}['SHARDS']") for name, entry in shards.items())
    used: dict[str, str] = {}
    for shard in configs:
        for alias in shard.aliases:
            if alias in used:
                raise ConfigurationError(f"{where}: database {alias!r} is used by {used[alias]!r} and {shard.name!r}.")
            used[alias] = shard.name
    return configs


def _read_shard(name: str, entry: Any, where: str) -> ShardConfig:
    where = f"{where}[{name!r}]"
    entry = _dict(entry, where)
    require_known(entry, SHARD_KEYS, where)
    if not entry.get("PRIMARY"):
        raise ConfigurationError(f"{where} needs PRIMARY: the alias of the database that stores it.")
    replicas = _replicas(entry.get("REPLICAS", ()), f"{where}['REPLICAS']")
    aliases = (entry["PRIMARY"], *replicas)
    for alias in aliases:
        _require_physical(alias, where)
    return ShardConfig(
        name=name,
        primary=entry["PRIMARY"],
        replicas=tuple(replicas),
        replica_weights=tuple(replicas.values()),
        weight=_positive(entry, "WEIGHT", 1, where),
        accepts_new_keys=bool(entry.get("ACCEPTS_NEW_KEYS", True)),
    )


def _replicas(given: Any, where: str) -> dict[str, int]:
    """A list of aliases, or a dict of their weights."""
    if not isinstance(given, Mapping | list | tuple):
        raise ConfigurationError(f"{where} must be a list of aliases, or a dict of their weights, not {given!r}.")
    weights = given if isinstance(given, Mapping) else dict.fromkeys(given, 1)
    return {alias: _positive(weights, alias, 1, where, least=0) for alias in weights}


def _read_reads(entry: Mapping[str, Any], where: str) -> ReadsConfig:
    require_known(entry, READS_KEYS, where)
    default = ReadsConfig()
    return ReadsConfig(
        from_replicas=_choice(entry, "FROM", ("replicas", "primary"), "replicas", where) == "replicas",
        max_lag_seconds=_number(entry, "MAX_LAG_SECONDS", default.max_lag_seconds, where),
        check_seconds=_number(entry, "CHECK_SECONDS", default.check_seconds, where),
        retry_seconds=_number(entry, "RETRY_SECONDS", default.retry_seconds, where),
    )


def _read_migrate(group: Mapping[str, Any], where: str) -> MigrateConfig:
    entry = _dict(group.get("MIGRATE", {}), f"{where}['MIGRATE']")
    where = f"{where}['MIGRATE']"
    require_known(entry, MIGRATE_KEYS, where)
    default = MigrateConfig()
    canary = entry.get("CANARY")
    if canary is not None:
        _choice(entry, "CANARY", tuple(group["SHARDS"]), "", where)
    timeout = None
    if entry.get("LOCK_TIMEOUT_SECONDS", 0) is not None:
        timeout = _number(entry, "LOCK_TIMEOUT_SECONDS", default.lock_timeout_seconds or 0, where)
    return MigrateConfig(canary, _number(entry, "WAIT_SECONDS", default.wait_seconds, where), timeout)


def _number(entry: Mapping[str, Any], key: str, default: float, where: str) -> float:
    value = entry.get(key, default)
    if not isinstance(value, int | float) or isinstance(value, bool) or value < 0:
        raise ConfigurationError(f"{where}[{key!r}] must be a number of seconds, not {value!r}.")
    return float(value)


def _require_physical(alias: str, where: str) -> None:
    if alias not in connections.settings:
        near = difflib.get_close_matches(str(alias), list(connections.settings), n=1)
        hint = f"did you mean {near[0]!r}?" if near else "add it to DATABASES."
        raise ConfigurationError(f"{where} names the database {alias!r}, which is not in DATABASES: {hint}")
    if is_sharded(connections.settings[alias]):
        raise ConfigurationError(f"{where} names {alias!r}, a logical database: a shard needs a physical one.")


def _directory(alias: Any, where: str) -> str | None:
    if alias is not None:
        _require_physical(alias, f"{where}['DIRECTORY']")
    return cast("str | None", alias)


def _dict(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{where} must be a dict, not {value!r}.")
    return value


def _choice(entry: Mapping[str, Any], key: str, choices: tuple[str, ...], default: str, where: str) -> str:
    value = entry.get(key, default)
    if value not in choices:
        raise ConfigurationError(f"{where}[{key!r}] must be one of {', '.join(choices)}, not {value!r}.")
    return cast(str, value)


def _transactions(entry: Mapping[str, Any], where: str) -> Transactions:
    mode = _choice(entry, "TRANSACTIONS", ("single", "best_effort", "two_phase"), "best_effort", where)
    if mode == "two_phase" and entry.get("DIRECTORY") is None:
        raise ConfigurationError(f"{where}['TRANSACTIONS'] is 'two_phase', which stores decisions: set DIRECTORY, too.")
    return cast(Transactions, mode)


def _federation(entry: Any, where: str) -> int:
    require_known(_dict(entry, where), FEDERATION_KEYS, where)
    return _positive(entry, "MAX_ROWS", 0, where, least=0)


def _positive(entry: Mapping[str, Any], key: str, default: int, where: str, *, least: int = 1) -> int:
    value = entry.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigurationError(f"{where}[{key!r}] must be a whole number of at least {least}, not {value!r}.")
    return value


def _seconds(value: Any, where: str) -> float | None:
    if value is not None and (not isinstance(value, int | float) or value <= 0):
        raise ConfigurationError(f"{where}['SCATTER_TIMEOUT_SECONDS'] must be None or more than 0, not {value!r}.")
    return None if value is None else float(value)

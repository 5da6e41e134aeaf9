"""What each shard is and holds: reachable or not, rows, keys, pending migrations."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connections

from horizon_shards.backends.sharded.lag import lag_of
from horizon_shards.backends.sharded.twophase.branches import BRANCHES
from horizon_shards.backends.sharded.twophase.recovery import prepared_on
from horizon_shards.conf import ShardConfig
from horizon_shards.declarations import declared_models
from horizon_shards.exceptions import HorizonShardsError
from horizon_shards.rollout.budget import Budget, read_budget
from horizon_shards.rollout.economy import Connections, connections_of
from horizon_shards.rollout.shards import on_each_shard
from horizon_shards.rollout.status import PARALLEL, migrations_of
from horizon_shards.topology import Group


@dataclass(frozen=True)
class DatabaseState:
    """One physical database of a shard. ``answer_ms``: how long connecting and one query took.

    ``lag_seconds``: of a replica; None where it does not know, or may not be asked.
    ``connections``: how many its server has, and takes; None where it has no server, or may not be asked.
    ``most_connections``: how many the project may have at the worst; None where ``HORIZON_CONNECTIONS`` says nothing.
    ``prepared``: transactions in two phases that wait for their end there; None where that cannot be asked.
    ``rows``: by model label, None where the table could not be counted; of primaries only.
    """

    shard: str
    role: str
    alias: str
    reachable: bool
    answer_ms: float | None = None
    error: str | None = None
    rows: dict[str, int | None] = field(default_factory=dict)
    pending_migrations: int | None = None
    lag_seconds: float | None = None
    prepared: int | None = None
    connections: Connections | None = None
    most_connections: int | None = None


@dataclass(frozen=True)
class GroupState:
    """One group: its databases, and how many ``unit`` (buckets or keys) each shard holds; None if unknown."""

    database: str
    mapping: str
    databases: tuple[DatabaseState, ...]
    unit: str
    keys: dict[str, int] | None
    keys_error: str | None = None

    @property
    def reachable(self) -> bool:
        """Whether every database of the group answered."""
        return all(state.reachable for state in self.databases)


def read_group_state(group: Group, *, count_rows: bool) -> GroupState:
    """The state of a group as it is now; a database that does not answer is a part of the answer."""

    def work(shard: ShardConfig) -> list[DatabaseState]:
        return [_primary(group, shard, count_rows=count_rows), *(_replica(shard, alias) for alias in shard.replicas)]

    found, budget = on_each_shard(group, work, parallel=PARALLEL), read_budget()
    databases = tuple(_with_most(state, budget) for name in group.shard_names for state in found[name])
    unit, keys, error = _keys(group)
    return GroupState(group.alias, group.config.mapping_backend.rpartition(".")[2], databases, unit, keys, error)


def _with_most(state: DatabaseState, budget: Budget | None) -> DatabaseState:
    """Known of SQLite as well, which has no server to be full."""
    return state if budget is None else replace(state, most_connections=budget.most_of(state.alias))


def _primary(group: Group, shard: ShardConfig, *, count_rows: bool) -> DatabaseState:
    answer_ms, error = _ask(shard.primary)
    if error is not None:
        return DatabaseState(shard.name, "primary", shard.primary, reachable=False, error=error)
    migrations = migrations_of(shard)
    return DatabaseState(
        shard.name,
        "primary",
        shard.primary,
        reachable=True,
        answer_ms=answer_ms,
        error=migrations.error,
        rows=_rows(group, shard) if count_rows else {},
        pending_migrations=None if migrations.error else migrations.pending,
        prepared=_prepared(shard),
        connections=connections_of(connections[shard.primary]),
    )


def _prepared(shard: ShardConfig) -> int | None:
    connection = connections[shard.primary]
    try:
        return len(prepared_on(connection, shard.name)) if connection.vendor in BRANCHES else None
    except DatabaseError:
        return None


def _replica(shard: ShardConfig, alias: str) -> DatabaseState:
    answer_ms, error = _ask(alias)
    lag = _lag(alias) if error is None else None
    taken = connections_of(connections[alias]) if error is None else None
    return DatabaseState(
        shard.name, "replica", alias, error is None, answer_ms, error, lag_seconds=lag, connections=taken
    )


def _lag(alias: str) -> float | None:
    try:
        return lag_of(connections[alias])
    except DatabaseError:
        return None


def _ask(alias: str) -> tuple[float | None, str | None]:
    started_at = time.monotonic()
    try:
        with connections[alias].cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
    except (DatabaseError, ImproperlyConfigured) as error:
        return None, " ".join(str(error).split()) or type(error).__name__
    return round((time.monotonic() - started_at) * 1000, 1), None


def _rows(group: Group, shard: ShardConfig) -> dict[str, int | None]:
    return {model._meta.label: _count(model, shard.primary) for model in declared_models(group.alias)}


def _count(model: Any, alias: str) -> int | None:
    try:
        return int(model._base_manager.using(alias).count())
    except DatabaseError:
        return None


def _keys(group: Group) -> tuple[str, dict[str, int] | None, str | None]:
    unit = "buckets" if getattr(group.mapping, "uses_buckets", False) else "keys"
    try:
        counted = _buckets(group) if unit == "buckets" else _assignments(group)
    except (DatabaseError, HorizonShardsError) as error:
        return unit, None, str(error)
    return unit, None if counted is None else {name: counted.get(name, 0) for name in group.shard_names}, None


def _buckets(group: Group) -> dict[str, int]:
    shards = (group.mapping.shard_of_bucket(bucket) for bucket in range(group.mapping.buckets))
    return Counter(shard for shard in shards if shard is not None)


def _assignments(group: Group) -> dict[str, int] | None:
    return None if group.directory is None else group.directory.counts()

"""Which migrations each shard has, and which it lacks."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.db import DatabaseError, connections
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder

from horizon_shards.conf import ShardConfig
from horizon_shards.rollout.shards import on_each_shard
from horizon_shards.topology import Group

Key = tuple[str, str]

PARALLEL = 8


@dataclass(frozen=True)
class ShardMigrations:
    """The migrations of one shard: applied, recorded under their own name, and how many are still to be run."""

    shard: str
    alias: str
    applied: frozenset[Key] = field(default_factory=frozenset)
    recorded: frozenset[Key] = field(default_factory=frozenset)
    pending: int = 0
    error: str | None = None


def read_migrations(group: Group) -> dict[str, ShardMigrations]:
    """The migrations of every shard by name; a shard that does not answer has an ``error``."""
    return on_each_shard(group, migrations_of, parallel=PARALLEL)


def migrations_of(shard: ShardConfig) -> ShardMigrations:
    """The migrations of one shard, read from its primary."""
    connection = connections[shard.primary]
    try:
        executor = MigrationExecutor(connection)
        recorded = MigrationRecorder(connection).applied_migrations()
        pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as error:
        return ShardMigrations(shard.name, shard.primary, error=" ".join(str(error).split()))
    applied = executor.loader.applied_migrations
    return ShardMigrations(shard.name, shard.primary, frozenset(applied), frozenset(recorded), len(pending))

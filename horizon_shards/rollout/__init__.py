"""Doing one thing on every shard: migrations, and what the shards hold and lack."""

from horizon_shards.rollout.migrating import ShardOutcome, migrate_shards
from horizon_shards.rollout.status import ShardMigrations, read_migrations

__all__ = ["ShardMigrations", "ShardOutcome", "migrate_shards", "read_migrations"]

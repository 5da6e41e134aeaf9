"""Comparing the migrations of the shards of a group: on all, on none, or on some."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from horizon_shards.rollout.status import Key, ShardMigrations

Mark = Literal["X", "-", "~", " "]


@dataclass(frozen=True)
class MigrationState:
    """One migration over all shards that answered. ``missing``: the shards that lack it, where others have it."""

    mark: Mark
    missing: tuple[str, ...] = ()


def state_of(key: Key, shards: Mapping[str, ShardMigrations]) -> MigrationState:
    """``X``: applied on all; ``-``: applied, not recorded everywhere (a squash); ``~``: drift; blank: on none."""
    asked = [shard for shard in shards.values() if shard.error is None]
    missing = tuple(shard.shard for shard in asked if key not in shard.applied)
    if asked and not missing:
        return MigrationState("X" if all(key in shard.recorded for shard in asked) else "-")
    if len(missing) == len(asked):
        return MigrationState(" ")
    return MigrationState("~", missing)

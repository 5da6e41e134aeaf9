"""Fields whose values name their bucket."""

from horizon_shards.fields.sharded_id import ShardedIdField
from horizon_shards.fields.sharded_uuid import ShardedUUIDField

__all__ = ["ShardedIdField", "ShardedUUIDField"]

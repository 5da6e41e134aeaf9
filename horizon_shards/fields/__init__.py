"""Fields whose values name their bucket, and foreign keys of several columns."""

from horizon_shards.fields.composite import (
    CompositeForeignKey,
    CompositeModelForm,
    CompositeOneToOneField,
    FunctionBasedFieldValue,
    RawFieldValue,
)
from horizon_shards.fields.sharded_id import ShardedIdField
from horizon_shards.fields.sharded_uuid import ShardedUUIDField

__all__ = [
    "CompositeForeignKey",
    "CompositeModelForm",
    "CompositeOneToOneField",
    "FunctionBasedFieldValue",
    "RawFieldValue",
    "ShardedIdField",
    "ShardedUUIDField",
]

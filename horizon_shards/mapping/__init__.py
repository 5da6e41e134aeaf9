"""The rules from shard key to shard."""

from horizon_shards.mapping.base import Mapping, MappingShard
from horizon_shards.mapping.bucket import BucketMapping
from horizon_shards.mapping.directory import DirectoryMapping
from horizon_shards.mapping.range import RangeMapping

__all__ = ["BucketMapping", "DirectoryMapping", "Mapping", "MappingShard", "RangeMapping"]

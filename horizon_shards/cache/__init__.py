"""Cache backends: two clusters as one, and the nodes of an ElastiCache cluster."""

from __future__ import annotations

from horizon_shards.cache.double import DoubleCache
from horizon_shards.cache.elasticache import ElastiCache
from horizon_shards.cache.memcached import MemcachedCache

__all__ = ["DoubleCache", "ElastiCache", "MemcachedCache"]

"""What a project's models are made of, and the tables of the directory."""

from horizon_shards.models.base import ReferenceModel, ShardedModel, shard_model
from horizon_shards.models.directory import Assignment, Block, Bucket, Decision
from horizon_shards.models.moving import move_row

__all__ = ["Assignment", "Block", "Bucket", "Decision", "ReferenceModel", "ShardedModel", "move_row", "shard_model"]

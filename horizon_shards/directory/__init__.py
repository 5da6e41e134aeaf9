"""Stored assignments, bucket tables and id blocks: the one place that all processes agree through."""

from horizon_shards.directory.store import Directory, NewAssignment

__all__ = ["Directory", "NewAssignment"]

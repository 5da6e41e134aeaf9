"""From the objects that Firehose delivered to rows of the warehouse, each event once."""

from __future__ import annotations

from horizon_shards.loading.loader import Loader
from horizon_shards.loading.places import place_of
from horizon_shards.loading.report import BadLine, BadObject, Report
from horizon_shards.loading.targets import Targets

__all__ = ["BadLine", "BadObject", "Loader", "Report", "Targets", "place_of"]

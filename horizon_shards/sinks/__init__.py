"""Where collected records go: into the ORM's database, to Firehose, or to several sinks, as the settings say."""

from __future__ import annotations

from horizon_shards.sinks.base import Sink
from horizon_shards.sinks.batched import BatchedDatabaseSink
from horizon_shards.sinks.database import DatabaseSink
from horizon_shards.sinks.firehose import FirehoseSink
from horizon_shards.sinks.forms import SinkModelForm
from horizon_shards.sinks.multi import MultiSink
from horizon_shards.sinks.record import Record, record_of
from horizon_shards.sinks.registry import get_sink, sink_of

__all__ = [
    "BatchedDatabaseSink",
    "DatabaseSink",
    "FirehoseSink",
    "MultiSink",
    "Record",
    "Sink",
    "SinkModelForm",
    "get_sink",
    "record_of",
    "sink_of",
]

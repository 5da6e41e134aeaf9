"""Where collected page views go, read from the environment: the database, or Firehose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from config import environment


def read_sinks(folder: Path, *, sharded: bool) -> dict[str, Any]:
    """``HORIZON_SINKS``: the database, where each event is stored once; with ``FIREHOSE_STREAM`` that stream."""
    stream = environment.text("FIREHOSE_STREAM")
    if not stream:
        return {"track": {"BACKEND": "horizon_shards.sinks.DatabaseSink", "OPTIONS": {"ON_DUPLICATE": "skip"}}}
    if not sharded:
        raise ImproperlyConfigured("FIREHOSE_STREAM is set and SHARDS is 0: a stream belongs to a shard.")
    options = {
        "STREAM": stream,
        "ENDPOINT": environment.text("FIREHOSE_ENDPOINT") or None,
        "SPILL_FOLDER": environment.text("SPILL_FOLDER") or str(folder / "spill"),
        "OVERFLOW": "spill",
    }
    return {"track": {"BACKEND": "horizon_shards.sinks.FirehoseSink", "OPTIONS": options}}

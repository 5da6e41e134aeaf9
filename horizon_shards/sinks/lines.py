"""Records as JSON lines: what a column type looks like on the way, and what is refused."""

from __future__ import annotations

import base64
import json
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from importlib import import_module
from typing import Any
from uuid import UUID

from django.utils.functional import Promise

from horizon_shards.exceptions import RecordRefused
from horizon_shards.sinks.record import EVENT_ID, Record

try:
    orjson: Any = import_module("orjson")
except ImportError:  # The standard library writes the same, ten times slower.
    orjson = None

#: The key of a line that names its model.
MODEL = "_model"
MICROSECOND = timedelta(microseconds=1)


def line_of(record: Record) -> bytes:
    """The record as one line of JSON, newline included; ``RecordRefused`` for what JSON cannot hold.

    Times are ISO 8601, decimals are text (and stay exact), durations microseconds, bytes base64.
    """
    content = {MODEL: record.model, **record.columns}
    try:
        return _dump(content)
    except (TypeError, ValueError) as error:
        raise RecordRefused(f"A record of {record.model} is no JSON: {error}") from error


def record_of_line(line: bytes, *, shard: str = "", database: str = "default") -> Record:
    """The record that :func:`line_of` wrote; its values are as JSON has them."""
    columns = json.loads(line)
    return Record(columns.pop(MODEL), columns, str(columns[EVENT_ID]), shard, database)


def _dump(content: dict[str, Any]) -> bytes:
    if orjson is not None:
        line: bytes = orjson.dumps(content, _plain, orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS)
        return line
    text = json.dumps(content, default=_plain, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode() + b"\n"


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal | UUID | Promise):
        return str(value)
    if isinstance(value, timedelta):
        return value // MICROSECOND
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(value).decode()
    if hasattr(value, "name") and hasattr(value, "storage"):  # a file of a FileField: where it was stored
        return value.name
    raise TypeError(f"{type(value).__name__} has no form in JSON")

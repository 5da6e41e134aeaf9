"""Parquet, where pyarrow is installed."""

from __future__ import annotations

import io
from typing import Any

from django.db import NotSupportedError


def read(content: bytes) -> list[dict[str, Any]]:
    """The rows of a file, with their names."""
    found: list[dict[str, Any]] = _pyarrow().parquet.read_table(io.BytesIO(content)).to_pylist()
    return found


def write(names: list[str], rows: list[list[Any]]) -> bytes:
    """A file with these columns."""
    out, arrow = io.BytesIO(), _pyarrow()
    columns = {name: [row[position] for row in rows] for position, name in enumerate(names)}
    arrow.parquet.write_table(arrow.table(columns), out)
    return out.getvalue()


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise NotSupportedError("The strict local Redshift needs pyarrow for Parquet: install it.") from error
    return pyarrow

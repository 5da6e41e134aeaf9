"""The rows of a file for COPY: JSON, CSV or Parquet, each with its line and its text."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from horizon_shards.testing.redshift.bulk import parquet
from horizon_shards.testing.redshift.bulk.options import Bulk

_STEP = re.compile(r"\.(\w+)|\[(\d+)\]|\[(?:'([^']*)'|\"([^\"]*)\")\]")


class Column(NamedTuple):
    """A column of the table: its name and its type in PostgreSQL."""

    name: str
    type: str


class Wrong(NamedTuple):
    """Why a line is no row: Redshift's code and reason."""

    code: int
    reason: str


class Row(NamedTuple):
    """A line, its text, and its values or what is wrong with it."""

    line: int
    raw: str
    values: list[Any] | Wrong


def rows_of(content: bytes, bulk: Bulk, columns: Sequence[Column], paths: list[str] | None) -> Iterator[Row]:
    """The rows of one file, with a value for each column."""
    if bulk.format == "PARQUET":
        return _parquet(content, columns)
    text = content.decode("utf-8")
    if bulk.format == "JSON":
        return _json(text, columns, paths, ignore_case=bulk.paths == "auto ignorecase")
    return _csv(text, bulk, columns)


def _json(text: str, columns: Sequence[Column], paths: list[str] | None, *, ignore_case: bool) -> Iterator[Row]:
    decoder, position, line = json.JSONDecoder(), 0, 1
    while True:
        while position < len(text) and text[position].isspace():
            line += text[position] == "\n"
            position += 1
        if position >= len(text):
            return
        raw = text[position:].split("\n", 1)[0]
        try:
            document, end = decoder.raw_decode(text, position)
        except ValueError:
            yield Row(line, raw, Wrong(1216, "Invalid JSON object"))
            return
        yield Row(line, raw, _values(document, columns, paths, ignore_case))
        line += text.count("\n", position, end)
        position = end


def _values(document: Any, columns: Sequence[Column], paths: list[str] | None, ignore_case: bool) -> list[Any]:
    if paths is not None:
        found = [_at(document, path) for path in paths]
    else:
        known = {key.lower() if ignore_case else key: value for key, value in document.items()}
        found = [known.get(column.name) for column in columns]
    return [_plain(value, column) for value, column in zip(found, columns, strict=True)]


def _at(document: Any, path: str) -> Any:
    for step in _STEP.finditer(path):
        name, number = step[1] or step[3] or step[4], step[2]
        try:
            document = document[int(number)] if number is not None else document[name]
        except (KeyError, IndexError, TypeError):
            return None
    return document


def _plain(value: Any, column: Column) -> Any:
    if value is None:
        return None
    if column.type.endswith("super") or isinstance(value, dict | list):
        return json.dumps(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _csv(text: str, bulk: Bulk, columns: Sequence[Column]) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=bulk.values.get("DELIMITER", ","))
    skipped, before = int(bulk.values.get("IGNOREHEADER", 0)), 0
    for number, cells in enumerate(reader):
        line, before = before + 1, reader.line_num
        if number < skipped or not cells:
            continue
        raw = ",".join(cells)
        if len(cells) != len(columns):
            reason = "Extra column(s) found" if len(cells) > len(columns) else "Delimiter not found"
            yield Row(line, raw, Wrong(1202 if len(cells) > len(columns) else 1214, reason))
            continue
        # An empty field is an empty text, and of any other type NULL.
        texts = [column.type.startswith("character") for column in columns]
        yield Row(line, raw, [cell if cell or is_text else None for cell, is_text in zip(cells, texts, strict=True)])


def _parquet(content: bytes, columns: Sequence[Column]) -> Iterator[Row]:
    for number, record in enumerate(parquet.read(content), 1):
        # By position, as COPY does.
        values = [_plain(value, column) for value, column in zip(record.values(), columns, strict=True)]
        yield Row(number, str(record), values)

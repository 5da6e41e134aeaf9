"""UNLOAD: the rows of a SELECT as files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db.backends.postgresql.base import Database as Driver

from horizon_shards.testing.redshift.bulk import parquet
from horizon_shards.testing.redshift.bulk.files import Files, packed, split
from horizon_shards.testing.redshift.bulk.options import Bulk

ENDINGS = {"GZIP": ".gz", "BZIP2": ".bz2", "": ""}
NOT_EMPTY = (
    "Specified unload destination on S3 is not empty. Consider using a different bucket / prefix, manually removing "
    "the target files in S3, or using the ALLOWOVERWRITE option."
)


def unload(files: Files, bulk: Bulk, names: Sequence[str], rows: list[Sequence[Any]]) -> int:
    """Write the files; the number of rows."""
    bucket, prefix = split(bulk.url)
    if "ALLOWOVERWRITE" not in bulk.flags and files.names(bucket, prefix):
        raise Driver.InternalError(NOT_EMPTY)
    written = []
    for folder, part_names, part in _parts(bulk, names, rows):
        number = "000" if bulk.values.get("PARALLEL") == "OFF" else "0000_part_00"
        ending = ".parquet" if bulk.format == "PARQUET" else ENDINGS[bulk.compression]
        key = f"{prefix}{folder}{number}{ending}"
        files.write(bucket, key, packed(_content(bulk, part_names, part), bulk.compression))
        written.append(f"s3://{bucket}/{key}")
    if "MANIFEST" in bulk.flags:
        entries = {"entries": [{"url": url} for url in written]}
        files.write(bucket, f"{prefix}manifest", json.dumps(entries).encode())
    return len(rows)


def _parts(bulk: Bulk, names: Sequence[str], rows: list[Sequence[Any]]) -> list[tuple[str, list[str], list[list[Any]]]]:
    """A folder for each combination of the values of the partition columns, which leave the rows."""
    at = [list(names).index(name) for name in bulk.partition]
    kept = [position for position in range(len(names)) if position not in at]
    folders: dict[str, list[list[Any]]] = {} if at else {"": []}
    for row in rows:
        folder = "".join(f"{names[position]}={row[position]}/" for position in at)
        folders.setdefault(folder, []).append([row[position] for position in kept])
    return [(folder, [names[position] for position in kept], part) for folder, part in folders.items()]


def _content(bulk: Bulk, names: list[str], rows: list[list[Any]]) -> bytes:
    if bulk.format == "PARQUET":
        return parquet.write(names, rows)
    if bulk.format == "JSON":
        lines = (json.dumps(dict(zip(names, row, strict=True)), cls=DjangoJSONEncoder) for row in rows)
        return "".join(f"{line}\n" for line in lines).encode()
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    if "HEADER" in bulk.flags:
        writer.writerow(names)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return out.getvalue().encode()


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "t" if value else "f"
    return json.dumps(value) if isinstance(value, dict | list) else value

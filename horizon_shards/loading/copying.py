"""The road to Redshift: an object is written anew as COPY reads it, copied into a staging table, and merged."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import IO, Any

from django.db import connections
from django.db.models import AutoField, BinaryField, Field, JSONField, Model

from horizon_shards.backends.redshift.bulk import CopyFailed, merge_from_s3
from horizon_shards.backends.redshift.keys import new_keys
from horizon_shards.exceptions import ConfigurationError
from horizon_shards.loading.places import MEMORY_BYTES, Place
from horizon_shards.loading.reading import Found, Reading, Refused
from horizon_shards.loading.roads import Stored
from horizon_shards.loading.targets import Target


class ByCopy:
    """``staging`` is a place of S3 for a file of each object and model; it is removed when the object is loaded.

    What Firehose delivered is not copied itself: its lines have several models, repeated events and types that
    COPY reads otherwise, and a bad one would be told by a line of ``stl_load_errors`` at a time.
    """

    def __init__(self, using: str, staging: Place, *, region: str = "", iam_role: str | None = None) -> None:
        if not staging.address.startswith("s3://"):
            raise ConfigurationError(f"COPY reads from S3: {staging.address!r} is no place for files on the way.")
        self.using, self._staging = using, staging
        self._options = {"region": region, "iam_role": iam_role}

    @contextmanager
    def prepared(self, reading: Reading, settle: Callable[[], None], digest: str) -> Iterator[Callable[[], Stored]]:
        """The files are in S3 before the transaction begins."""
        parts: dict[Target, Part] = {}
        try:
            for found in reading.rows():
                if found.target not in parts:
                    parts[found.target] = Part(found.target, f"{digest}-{len(parts)}.json.gz")
                try:
                    parts[found.target].add(found)
                except ValueError as error:
                    reading.refuse(found.piece, str(error))
            settle()
            for part in parts.values():
                part.write(self._staging)
            yield lambda: self._merge(parts)
        finally:
            for part in parts.values():
                part.close(self._staging)

    def tidy(self, known: Callable[[Iterable[str]], set[str]]) -> None:
        """Files of objects that are loaded; those of others may be on their way, or are written over in their turn."""
        names = [self._staging.inside(stored) for stored in self._staging.objects()]
        loaded = known(name.partition("-")[0] for name in names)
        for name in names:
            if name.partition("-")[0] in loaded:
                self._staging.remove(name)

    def _merge(self, parts: dict[Target, Part]) -> Stored:
        merged = [self._merge_one(target, part) for target, part in parts.items() if part.ordinals]
        return Stored(sum(one.rows for one in merged), sum(one.duplicates for one in merged))

    def _merge_one(self, target: Target, part: Part) -> Stored:
        match = [field.name for field in target.match]
        options: Any = {**self._options, "using": self.using, "compression": "gzip", "match": match, "update": ()}
        try:
            copied, known = merge_from_s3(target.model, part.address, **options)
        except CopyFailed as error:
            if not error.errors or not all(0 < one.line <= len(part.ordinals) for one in error.errors):
                raise
            raise Refused(
                {
                    part.ordinals[one.line - 1]: f"{one.column!r} was refused by COPY: {one.reason}"
                    for one in error.errors
                }
            ) from error
        return Stored(copied - known, known)


class Part:
    """The rows of one model on their way, and which pieces of the object they are."""

    def __init__(self, target: Target, name: str) -> None:
        if binary := next((field for field in target.fields if isinstance(field, BinaryField)), None):
            raise ConfigurationError(f"{target.model._meta.label}.{binary.name} holds bytes, which COPY reads as text.")
        self.name, self.address = name, ""
        self.ordinals: list[int] = []
        self._connection = connections[target.using]
        self._fields = target.fields
        self._content: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=MEMORY_BYTES)  # noqa: SIM115
        self._packed = gzip.GzipFile(fileobj=self._content, mode="wb", mtime=0)

    def add(self, found: Found) -> None:
        """Write a line; ``ValueError`` for a value that COPY cannot read."""
        key = found.row._meta.pk
        if isinstance(key, AutoField) and found.row.pk is None:
            found.row.pk = new_keys(self._connection, 1)[0]
        self._packed.write(line_of(found.row, self._fields, self._connection))
        self.ordinals.append(found.piece.ordinal)

    def write(self, staging: Place) -> None:
        """The file is in the place."""
        self._packed.close()
        self._content.seek(0)
        self.address = staging.write(self.name, self._content)

    def close(self, staging: Place) -> None:
        """The file is nowhere any more."""
        self._packed.close()
        self._content.close()
        if self.address:
            staging.remove(self.name)


def line_of(row: Model, fields: list[Field[Any, Any]], connection: Any) -> bytes:
    """A row as COPY reads it: each column in the form that the backend stores it in."""
    values = {field.column: _plain(field, getattr(row, field.attname), connection) for field in fields}
    return f"{json.dumps(values, ensure_ascii=False)}\n".encode()


def _plain(field: Field[Any, Any], value: Any, connection: Any) -> Any:
    if value is None:
        return None
    if hasattr(value, "resolve_expression"):
        raise ValueError(f"has no {field.column!r}, and COPY knows no defaults of the database")
    if isinstance(field, JSONField):
        return json.loads(json.dumps(value, cls=field.encoder))
    stored = field.get_db_prep_save(value, connection)
    if isinstance(stored, dt.datetime):
        return _moment(stored)
    if isinstance(stored, dt.date | dt.time):
        return stored.isoformat()
    if isinstance(stored, str) and "\x00" in stored:
        raise ValueError(f"{field.column!r} has a character of number 0")
    return str(stored) if isinstance(stored, Decimal) else stored


def _moment(value: dt.datetime) -> str:
    """As TIMEFORMAT 'auto' knows it."""
    if value.tzinfo is None:
        return value.isoformat(sep=" ")
    return f"{value.astimezone(dt.timezone.utc).replace(tzinfo=None).isoformat(sep=' ')}+00"

"""COPY: rows of files in S3 into the table of a model; all of them or none."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db import DatabaseError, transaction
from django.db.models import Field, Model

from horizon_shards.backends.redshift.bulk.reading import Reading, read_by
from horizon_shards.backends.redshift.bulk.statements import column_list, fields_of, known, redshift, s3_url
from horizon_shards.exceptions import HorizonShardsError

if TYPE_CHECKING:
    from typing_extensions import Unpack

FORMATS = ("json", "csv", "parquet")
SHOWN = 10


class LoadError(NamedTuple):
    """A row of ``stl_load_errors``: what of a file could not be loaded, and why."""

    file: str
    line: int
    column: str
    code: int
    reason: str
    raw_line: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}, column {self.column or '?'}: {self.reason} ({self.code})"


class CopyFailed(HorizonShardsError, DatabaseError):  # noqa: N818
    """A COPY that loaded nothing; ``errors`` are the first rows of ``stl_load_errors`` about it."""

    def __init__(self, message: str, errors: Sequence[LoadError]) -> None:
        super().__init__("\n".join([message, *map(str, errors)]))
        self.errors = list(errors)


def copy_from_s3(
    model: type[Model],
    url: str,
    *,
    using: str | None = None,
    format: str = "json",
    fields: Iterable[str] | None = None,
    jsonpaths: str = "auto",
    **reading: Unpack[Reading],
) -> int:
    """Load the files that begin with ``url`` into the model's table; the number of rows.

    ``format`` is ``json`` (one object a line, by the names of the columns, or by the file ``jsonpaths``, an address of
    S3), ``csv`` or ``parquet``. ``fields`` are those that the files have, in their order: by default all of the
    model's. :class:`Reading` has the other arguments. Raises :class:`CopyFailed` where nothing was loaded.
    """
    connection = redshift(using, model, "copy_from_s3()")
    table, written = model._meta.db_table, fields_of(model, fields)
    return run_copy(connection, copy_sql(connection, table, written, url, _format(format, jsonpaths), reading))


def copy_sql(
    connection: Any, table: str, fields: Iterable[Field[Any, Any]], url: str, format: str, reading: Reading
) -> str:
    """The COPY of files into these columns of a table; ``format`` as it stands behind FORMAT AS."""
    head = f"COPY {connection.ops.quote_name(table)} ({column_list(connection, fields)}) FROM {s3_url(url)}"
    return " ".join([head, *read_by(connection, format, reading)])


def _format(name: str, jsonpaths: str) -> str:
    kind = known("format", name, FORMATS)
    if kind != "JSON":
        return kind
    return f"JSON '{jsonpaths}'" if jsonpaths in {"auto", "auto ignorecase"} else f"JSON {s3_url(jsonpaths)}"


def run_copy(connection: Any, sql: str) -> int:
    """Run a COPY; the number of rows. Raises :class:`CopyFailed`."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        session = cursor.fetchone()[0]
    try:
        with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
            cursor.execute(sql)
            cursor.execute("SELECT pg_last_copy_count()")
            return int(cursor.fetchone()[0])
    except DatabaseError as error:
        raise CopyFailed(str(error), load_errors(connection, session)) from error


def load_errors(connection: Any, session: int) -> list[LoadError]:
    """What ``stl_load_errors`` says of the last failed COPY of a session; read beside a transaction that has failed."""
    asking = connection.copy() if connection.in_atomic_block else connection
    try:
        with asking.cursor() as cursor:
            cursor.execute(
                "SELECT filename, line_number, colname, err_code, err_reason, raw_line FROM stl_load_errors "
                "WHERE session = %s AND query = (SELECT MAX(query) FROM stl_load_errors WHERE session = %s) "
                f"ORDER BY line_number LIMIT {SHOWN}",
                [session, session],
            )
            return [_error(*row) for row in cursor.fetchall()]
    finally:
        if asking is not connection:
            asking.close()


def _error(file: str, line: int, column: str | None, code: int, reason: str, raw: str) -> LoadError:
    # Fixed-width columns of the system tables are filled up with blanks.
    return LoadError(file.strip(), line, (column or "").strip(), code, reason.strip(), raw.strip())


def jsonpaths(model: type[Model], paths: dict[str, str] | None = None, *, fields: Iterable[str] | None = None) -> str:
    """The text of a JSONPaths file for the columns of a model: its names, or the paths that are given for fields.

    Write it to S3, name the same ``fields`` in :func:`copy_from_s3`, and its address as ``jsonpaths``.
    """
    chosen: list[Field[Any, Any]] = fields_of(model, fields)
    given = paths or {}
    return json.dumps({"jsonpaths": [given.get(field.name, f"$['{field.column}']") for field in chosen]}, indent=1)

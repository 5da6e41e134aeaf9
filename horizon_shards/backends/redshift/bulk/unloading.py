"""UNLOAD: the rows of a queryset into files in S3."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db.models import QuerySet

from horizon_shards.backends.redshift.bulk.statements import authorization, known, options, redshift, s3_url
from horizon_shards.backends.redshift.literals import quoted

FORMATS = ("parquet", "csv", "json")
COMPRESSIONS = ("gzip", "bzip2", "zstd")


def unload_to_s3(
    queryset: QuerySet[Any],
    url: str,
    *,
    format: str = "parquet",
    partition_by: Iterable[str] = (),
    header: bool = False,
    compression: str = "",
    manifest: bool = False,
    overwrite: bool = False,
    parallel: bool = True,
    region: str = "",
    iam_role: str | None = None,
) -> int:
    """Write the rows of a queryset into files whose names begin with ``url``; the number of rows.

    ``format`` is ``parquet``, ``csv`` or ``json``. ``partition_by`` names columns of the result whose values become
    folders. ``header`` is a line of names, of CSV only. Files that are there are an error without ``overwrite``.
    ``parallel=False`` writes one file, in the order of the queryset.
    """
    connection = redshift(queryset.db, queryset.model, "unload_to_s3()")
    written: dict[str, str | bool] = {
        "FORMAT AS": known("format", format, FORMATS),
        "PARTITION BY": f"({', '.join(map(connection.ops.quote_name, partition_by))})" if partition_by else "",
        "HEADER": header,
        known("compression", compression, COMPRESSIONS) if compression else "": bool(compression),
        "MANIFEST": manifest,
        "ALLOWOVERWRITE": overwrite,
        "PARALLEL": "" if parallel else "OFF",
        "REGION AS": f"'{region}'" if region else "",
    }
    try:
        select = _select(connection, queryset)
    except EmptyResultSet:
        return 0
    head = f"UNLOAD ({quoted(select)}) TO {s3_url(url)} {authorization(connection, iam_role)}"
    with connection.cursor() as cursor:
        cursor.execute(" ".join([head, *options(written)]))
        cursor.execute("SELECT pg_last_unload_count()")
        return int(cursor.fetchone()[0])


def _select(connection: Any, queryset: QuerySet[Any]) -> str:
    """The statement with its values; UNLOAD takes no LIMIT on the outside."""
    sql, params = queryset.query.get_compiler(connection=connection).as_sql()
    text: str = connection.ops.compose_sql(sql, params)
    return f"SELECT * FROM ({text}) unloaded" if queryset.query.is_sliced else text

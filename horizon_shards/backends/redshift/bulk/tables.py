"""What keeps a table fast: ALTER TABLE APPEND, ANALYZE and VACUUM."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import NotSupportedError
from django.db.models import Model

from horizon_shards.backends.redshift.bulk.statements import column_list, fields_of, known, redshift

VACUUMS = ("full", "sort only", "delete only", "reindex", "recluster")


def append_from(
    model: type[Model], source: type[Model], *, ignore_extra: bool = False, fill: bool = False, using: str | None = None
) -> None:
    """Move all rows of ``source``'s table to that of ``model``, without copying them; ``source`` is empty afterwards.

    The tables have the same columns, keys and encodings; ``ignore_extra`` leaves columns of the source out, ``fill``
    gives those that it has not their default. It commits by itself: raises ``NotSupportedError`` within ``atomic()``.
    """
    connection = redshift(using, model, "append_from()")
    _refuse_transaction(connection, "ALTER TABLE APPEND")
    quote = connection.ops.quote_name
    words = f"{' IGNOREEXTRA' * ignore_extra}{' FILLTARGET' * fill}"
    _run(connection, f"ALTER TABLE {quote(model._meta.db_table)} APPEND FROM {quote(source._meta.db_table)}{words}")


def analyze(model: type[Model], *, fields: Iterable[str] | None = None, using: str | None = None) -> None:
    """Count anew what the planner knows of a model's table, or of some of its fields."""
    connection = redshift(using, model, "analyze()")
    columns = f" ({column_list(connection, fields_of(model, fields))})" if fields is not None else ""
    _run(connection, f"ANALYZE {connection.ops.quote_name(model._meta.db_table)}{columns}")


def vacuum(
    model: type[Model],
    *,
    kind: str = "full",
    to_percent: int | None = None,
    boost: bool = False,
    using: str | None = None,
) -> None:
    """Sort a model's table and give the space of deleted rows back.

    ``kind`` is one of ``full``, ``sort only``, ``delete only``, ``reindex`` and ``recluster``. Raises
    ``NotSupportedError`` within ``atomic()``.
    """
    connection = redshift(using, model, "vacuum()")
    _refuse_transaction(connection, "VACUUM")
    percent = f" TO {to_percent:d} PERCENT" if to_percent is not None else ""
    table = connection.ops.quote_name(model._meta.db_table)
    _run(connection, f"VACUUM {known('kind', kind, VACUUMS)} {table}{percent}{' BOOST' * boost}")


def _refuse_transaction(connection: Any, what: str) -> None:
    if connection.in_atomic_block:
        raise NotSupportedError(f"{what} commits by itself: it does not run within atomic().")


def _run(connection: Any, sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)

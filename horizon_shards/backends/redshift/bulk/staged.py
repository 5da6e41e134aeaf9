"""COPY into a staging table, and MERGE from there: files whose rows may be in the table already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db import NotSupportedError, transaction
from django.db.models import Field, Model

from horizon_shards.backends.redshift.bulk.copying import copy_sql, run_copy
from horizon_shards.backends.redshift.bulk.merging import STAGE, merge_sql, on, refuse_moved
from horizon_shards.backends.redshift.bulk.reading import Reading
from horizon_shards.backends.redshift.bulk.statements import column_list, fields_of, redshift
from horizon_shards.backends.redshift.storage import storage_of

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Merged(NamedTuple):
    """How many rows the files had, and how many of them were in the table before."""

    copied: int
    matched: int


def merge_from_s3(
    model: type[Model],
    url: str,
    *,
    match: Sequence[str] = ("pk",),
    update: Sequence[str] | None = None,
    using: str | None = None,
    **reading: Unpack[Reading],
) -> Merged:
    """Load files of JSON lines: rows whose ``match`` fields are equal are updated, others inserted.

    ``url`` is what the addresses of the files begin with.

    ``update`` names what is written to rows that are there, by default all but the match; with ``()`` they stay as they
    are. The files name all columns. As :func:`bulk_merge` it adds the distribution key to the match and refuses with
    ``ValueError`` a row that would change it, two rows with the same match, and NULL in it. :class:`Reading` has the
    other arguments. Raises :class:`CopyFailed`. All of it happens in one transaction.
    """
    connection = redshift(using, model, "merge_from_s3()")
    if model._meta.parents:
        raise NotSupportedError(f"{model._meta.label} has its rows in several tables: merge its parents by themselves.")
    matched, written = fields_of(model, match), fields_of(model, None)
    key = next((field for field in written if field.name == storage_of(model).distkey), None)
    changed = [field for field in fields_of(model, update) if field not in (*matched, key)]
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        stage, table = (connection.ops.quote_name(name) for name in (STAGE, model._meta.db_table))
        cursor.execute(f"CREATE TEMPORARY TABLE {stage} (LIKE {table} INCLUDING DEFAULTS)")
        copied = run_copy(connection, copy_sql(connection, STAGE, written, url, "JSON 'auto'", reading))
        _refuse_doubles(cursor, connection, model, matched, key)
        if key is not None and key not in matched:
            refuse_moved(cursor, connection, model, matched, key)
            matched = [*matched, key]
        cursor.execute(f"SELECT COUNT(*) FROM {table} INNER JOIN {stage} ON {on(connection, model, matched)}")
        there = cursor.fetchone()[0]
        cursor.execute(merge_sql(connection, model, matched, changed, written))
        cursor.execute(f"DROP TABLE {stage}")
    return Merged(copied, there)


def _refuse_doubles(
    cursor: Any, connection: Any, model: type[Model], matched: list[Field[Any, Any]], key: Field[Any, Any] | None
) -> None:
    stage, columns = connection.ops.quote_name(STAGE), column_list(connection, matched)
    names = ", ".join(field.name for field in matched)
    wanted = [*matched, *([key] if key is not None and key not in matched else ())]
    empty = " OR ".join(f"{connection.ops.quote_name(field.column)} IS NULL" for field in wanted)
    cursor.execute(f"SELECT COUNT(*) FROM {stage} WHERE {empty}")
    if count := cursor.fetchone()[0]:
        wanted_names = ", ".join(field.name for field in wanted)
        raise ValueError(
            f"{count} rows for {model._meta.label} have no value in one of {wanted_names}: NULL equals nothing, and "
            "they would be inserted anew."
        )
    cursor.execute(f"SELECT {columns} FROM {stage} GROUP BY {columns} HAVING COUNT(*) > 1 LIMIT 1")
    if found := cursor.fetchone():
        raise ValueError(
            f"Two rows for {model._meta.label} have the same {names}, {found!r}: which of them counts, MERGE "
            "cannot know."
        )

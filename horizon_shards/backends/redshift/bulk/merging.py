"""MERGE: rows that are there are updated, others inserted, by way of a staging table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.db import NotSupportedError, transaction
from django.db.models import AutoField, Field, Model
from django.db.models.sql import InsertQuery

from horizon_shards.backends.redshift.bulk.statements import column_list, fields_of, redshift
from horizon_shards.backends.redshift.keys import new_keys
from horizon_shards.backends.redshift.storage import storage_of

STAGE = "horizon_stage"


def bulk_merge(
    model: type[Model],
    objs: Iterable[Model],
    *,
    match: Sequence[str] = ("pk",),
    update: Sequence[str] | None = None,
    using: str | None = None,
    batch_size: int | None = None,
) -> int:
    """Insert objects, or update the rows whose ``match`` fields are equal; the number of objects.

    ``update`` names what is written to rows that are there, by default all but the match. The distribution key is added
    to the match, so that the join stays on the nodes; a row whose distribution key would change is refused with
    ``ValueError``, because it would be there twice. So are two objects with the same match, and NULL in it, which
    equals nothing. Nothing is locked: another writer may insert the same row at the same time.
    """
    connection, rows = redshift(using, model, "bulk_merge()"), list(objs)
    if model._meta.parents:
        raise NotSupportedError(f"{model._meta.label} has its rows in several tables: merge its parents by themselves.")
    if not rows:
        return 0
    matched, written = fields_of(model, match), fields_of(model, None)
    _give_keys(connection, model, rows)
    key = next((field for field in fields_of(model, None) if field.name == storage_of(model).distkey), None)
    _refuse_doubles(rows, matched, key)
    changed = [field for field in fields_of(model, update) if field not in (*matched, key)]
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        _stage(cursor, connection, model, rows, batch_size)
        if key is not None and key not in matched:
            refuse_moved(cursor, connection, model, matched, key)
            matched = [*matched, key]
        cursor.execute(merge_sql(connection, model, matched, changed, written))
        cursor.execute(f"DROP TABLE {connection.ops.quote_name(STAGE)}")
    for obj in rows:
        obj._state.adding, obj._state.db = False, connection.alias
    return len(rows)


def _give_keys(connection: Any, model: type[Model], rows: list[Model]) -> None:
    key = model._meta.pk
    new = [row for row in rows if isinstance(key, AutoField) and getattr(row, key.attname) is None]
    for row, value in zip(new, new_keys(connection, len(new)), strict=True):
        setattr(row, key.attname, value)


def _refuse_doubles(rows: list[Model], matched: list[Field[Any, Any]], key: Field[Any, Any] | None) -> None:
    seen = set()
    for row in rows:
        values = tuple(getattr(row, field.attname) for field in matched)
        if None in values or (key is not None and getattr(row, key.attname) is None):
            names = ", ".join(field.name for field in (*matched, *([key] if key else ())))
            raise ValueError(
                f"{row!r} has no value in one of {names}: NULL equals nothing, and it would be inserted anew."
            )
        if values in seen:
            names = ", ".join(field.name for field in matched)
            raise ValueError(f"Two objects have the same {names}, {values!r}: which of them counts, MERGE cannot know.")
        seen.add(values)


def _stage(cursor: Any, connection: Any, model: type[Model], rows: list[Model], batch_size: int | None) -> None:
    """A temporary table like the model's, with its keys, that has the rows."""
    table, stage = (connection.ops.quote_name(name) for name in (model._meta.db_table, STAGE))
    cursor.execute(f"CREATE TEMPORARY TABLE {stage} (LIKE {table} INCLUDING DEFAULTS)")
    fields = fields_of(model, None)
    for row in rows:
        for field in fields:  # as save() does: what is set when a row is made is left to a row that is there
            setattr(row, field.attname, field.pre_save(row, row._state.adding))
    size = connection.ops.bulk_batch_size(fields, rows)
    size = min(size, batch_size) if batch_size else size
    for start in range(0, len(rows), size):
        query = InsertQuery(model)
        query.insert_values(fields, rows[start : start + size], raw=True)
        for sql, params in query.get_compiler(connection=connection).as_sql():
            cursor.execute(sql.replace(f"INTO {table} ", f"INTO {stage} ", 1), params)


def on(connection: Any, model: type[Model], fields: Sequence[Field[Any, Any]]) -> str:
    """The condition of the join of table and staging table."""
    table, stage = (connection.ops.quote_name(name) for name in (model._meta.db_table, STAGE))
    columns = [connection.ops.quote_name(field.column) for field in fields]
    return " AND ".join(f"{table}.{column} = {stage}.{column}" for column in columns)


def refuse_moved(
    cursor: Any, connection: Any, model: type[Model], matched: list[Field[Any, Any]], key: Field[Any, Any]
) -> None:
    """``ValueError`` where a staged row has another distribution key than the row that it matches."""
    table, stage = (connection.ops.quote_name(name) for name in (model._meta.db_table, STAGE))
    column = connection.ops.quote_name(key.column)
    cursor.execute(
        f"SELECT {column_list_of(connection, table, matched)} FROM {table} INNER JOIN {stage} "
        f"ON {on(connection, model, matched)} WHERE {table}.{column} <> {stage}.{column} "
        f"OR ({table}.{column} IS NULL) <> ({stage}.{column} IS NULL) LIMIT 1"
    )
    if found := cursor.fetchone():
        names = ", ".join(field.name for field in matched)
        raise ValueError(
            f"{model._meta.label} with {names} {found!r} would get another {key.name}, its distribution key, and be "
            "there twice: delete it first."
        )


def column_list_of(connection: Any, table: str, fields: Sequence[Field[Any, Any]]) -> str:
    """The quoted columns of a table, with commas."""
    return ", ".join(f"{table}.{connection.ops.quote_name(field.column)}" for field in fields)


def merge_sql(connection: Any, model: type[Model], matched: Any, changed: Any, written: Any) -> str:
    """The MERGE of the staging table into the model's."""
    table, stage = (connection.ops.quote_name(name) for name in (model._meta.db_table, STAGE))
    # Redshift wants both branches: what has nothing to change is set to what it is.
    columns = [connection.ops.quote_name(field.column) for field in changed or matched]
    return (
        f"MERGE INTO {table} USING {stage} ON {on(connection, model, matched)} "
        f"WHEN MATCHED THEN UPDATE SET {', '.join(f'{column} = {stage}.{column}' for column in columns)} "
        f"WHEN NOT MATCHED THEN INSERT ({column_list(connection, written)}) "
        f"VALUES ({column_list_of(connection, stage, written)})"
    )

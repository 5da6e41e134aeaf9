"""Foreign keys of several columns that a database has."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple


class KeyOfColumns(NamedTuple):
    """A constraint: the columns of the table, and those of the table that they refer to."""

    columns: tuple[str, ...]
    table: str
    targets: tuple[str, ...]


POSTGRESQL = """
    SELECT k.oid, a.attname, f.relname, b.attname
    FROM pg_catalog.pg_constraint k
    JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
    JOIN pg_catalog.pg_class f ON f.oid = k.confrelid
    CROSS JOIN LATERAL unnest(k.conkey, k.confkey) WITH ORDINALITY AS pair (own, other, place)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = pair.own
    JOIN pg_catalog.pg_attribute b ON b.attrelid = k.confrelid AND b.attnum = pair.other
    WHERE k.contype = 'f' AND c.relname = %s AND pg_catalog.pg_table_is_visible(c.oid)
    ORDER BY k.oid, pair.place
"""
MYSQL = """
    SELECT constraint_name, column_name, referenced_table_name, referenced_column_name
    FROM information_schema.key_column_usage
    WHERE table_schema = DATABASE() AND table_name = %s AND referenced_table_name IS NOT NULL
    ORDER BY constraint_name, ordinal_position
"""


def keys_of_columns(connection: Any, table: str) -> list[KeyOfColumns]:
    """The foreign keys of a table that have several columns; none on databases that cannot tell."""
    with connection.cursor() as cursor:
        rows = _rows(cursor, connection, table)
    found: dict[Any, list[tuple[str, str, str]]] = {}
    for name, column, target, target_column in rows:
        found.setdefault(name, []).append((column, target, target_column))
    return [
        KeyOfColumns(tuple(pair[0] for pair in pairs), pairs[0][1], tuple(pair[2] for pair in pairs))
        for pairs in found.values()
        if len(pairs) > 1
    ]


def _rows(cursor: Any, connection: Any, table: str) -> Iterable[tuple[Any, str, str, str]]:
    if connection.vendor == "sqlite":
        cursor.execute(f"PRAGMA foreign_key_list({connection.ops.quote_name(table)})")
        rows = sorted(cursor.fetchall(), key=lambda row: (row[0], row[1]))
        keys = _primary_keys(cursor, connection, {row[2] for row in rows if row[4] is None})
        return [(row[0], row[3], row[2], row[4] or keys[row[2]][row[1]]) for row in rows]
    if connection.vendor not in {"postgresql", "mysql"}:
        return []
    cursor.execute(POSTGRESQL if connection.vendor == "postgresql" else MYSQL, [table])
    return list(cursor.fetchall())


def _primary_keys(cursor: Any, connection: Any, tables: Iterable[str]) -> dict[str, list[str]]:
    """What SQLite's foreign keys refer to that name no columns."""
    return {table: connection.introspection.get_primary_key_columns(cursor, table) for table in tables}

"""The portable SQL that all tables of a directory are written and read by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final, TypeVar

from django.db.backends.base.base import BaseDatabaseWrapper

T = TypeVar("T")

#: Rows or keys in one statement: below the 999 parameters that old SQLite versions allow.
CHUNK_SIZE: Final = 150


def insert(connection: BaseDatabaseWrapper, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Insert rows by one statement; ``table`` and ``columns`` are constants of this package."""
    row = "(" + ", ".join(["%s"] * len(columns)) + ")"
    sql = f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join([row] * len(rows))}"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(sql, [value for values in rows for value in values])


def fetch(connection: BaseDatabaseWrapper, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
    """All rows of a query."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())


def chunks(items: Sequence[T]) -> Iterator[list[T]]:
    """The items in lists of at most ``CHUNK_SIZE``."""
    iterator = iter(items)
    while chunk := list(islice(iterator, CHUNK_SIZE)):
        yield chunk

"""The private SQLite database of one query: in memory, of this thread, gone when the query is answered."""

from __future__ import annotations

import datetime
import re
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

from horizon_shards.placement import placement_of

#: Quoted names, which in Django's SQL for SQLite every table is.
QUOTED = re.compile(r'"((?:[^"]|"")+)"')
SETTINGS: dict[str, Any] = {
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": ":memory:",
    "USER": "",
    "PASSWORD": "",
    "HOST": "",
    "PORT": "",
    "OPTIONS": {},
    "TIME_ZONE": None,
    "ATOMIC_REQUESTS": False,
    "AUTOCOMMIT": True,
    "CONN_MAX_AGE": 0,
    "CONN_HEALTH_CHECKS": False,
    "TEST": {"CHARSET": None, "COLLATION": None, "MIGRATE": True, "MIRROR": None, "NAME": None},
}
ALIAS = "federation"


class PrivateDatabase:
    """Tables of models, with the columns that their shards have, but no keys and no constraints.

    ``lead``: the connection of a SQLite shard, whose class, options and time zone are taken over.
    """

    def __init__(self, lead: Any) -> None:
        self.connection = self.connection_like(lead)
        # Django would try in a transaction on this alias, which only connections of the settings have.
        self.connection.features.supports_json_field = True
        #: ``{table: {column: field}}``
        self.columns: dict[str, dict[str, Any]] = {}
        self.models: dict[str, type[Model]] = {}

    def connection_like(self, lead: Any) -> Any:
        """A connection that compares as ``lead`` does."""
        taken = {name: lead.settings_dict[name] for name in ("OPTIONS", "TIME_ZONE")}
        return type(lead)({**SETTINGS, **taken}, ALIAS)

    def close(self) -> None:
        """Forget everything: Django's own ``close()`` leaves a database in memory open."""
        BaseDatabaseWrapper.close(self.connection)
        self.columns.clear()
        self.models.clear()

    def create_tables_of(self, sql: str, models: Iterable[type[Model]]) -> None:
        """Create the tables of ``models`` that the SQL may name."""
        names = set(QUOTED.findall(sql))
        for model in models:
            if model._meta.db_table in names and not model._meta.proxy:
                self._create(model)

    def _create(self, model: type[Model]) -> None:
        table = model._meta.db_table
        if table in self.columns:
            return
        self.models[table] = model
        fields = {str(field.column): field for field in self.fields_of(model)}
        self.columns[table] = fields
        quote = self.connection.ops.quote_name
        columns = ", ".join(f"{quote(column)} {self._type(field)}" for column, field in fields.items())
        self.run(f"CREATE TABLE {quote(table)} ({columns})")

    def fields_of(self, model: type[Model]) -> list[Any]:
        """The columns of the model's own table.

        Not the id of rows that each shard numbers for itself: a query that reads it has no answer, and finds no column.
        """
        placement = placement_of(model)
        fields = list(model._meta.local_concrete_fields)
        if placement is not None and placement.pk_repeats:
            fields.remove(model._meta.pk)
        return fields

    def _type(self, field: Any) -> str:
        """The type as the schema editor writes it: its affinity and its collation decide how values compare."""
        parameters = field.db_parameters(self.connection)
        collation = parameters.get("collation")
        kind = parameters["type"] or ""
        return f"{kind} COLLATE {self.connection.ops.quote_name(collation)}" if collation else kind

    def reads_of(self, sql: str, params: Any) -> dict[str, list[str]]:
        """The columns by table that a statement reads, as SQLite itself says when it prepares it."""
        found: dict[str, set[str]] = {}

        def note(action: int, table: Any, column: Any, *_: Any) -> int:
            if action == sqlite3.SQLITE_READ and table in self.columns:
                found.setdefault(table, set()).add(column)
            return sqlite3.SQLITE_OK

        self.connection.ensure_connection()
        driver: Any = self.connection.connection
        driver.set_authorizer(note)
        try:
            self.run(f"EXPLAIN {sql}", params)
        finally:
            driver.set_authorizer(_allow)
        return {table: self._known(table, read) for table, read in sorted(found.items())}

    def _known(self, table: str, read: set[str]) -> list[str]:
        """``read`` in the order of the table; its first column where only the number of its rows is read."""
        columns = list(self.columns[table])
        return [column for column in columns if column in read] or columns[:1]

    def insert(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Store rows of these columns."""
        names = ", ".join(map(self.connection.ops.quote_name, columns))
        marks = ", ".join("?" for _ in columns)
        sql = f"INSERT INTO {self.connection.ops.quote_name(table)} ({names}) VALUES ({marks})"  # noqa: S608
        driver: Any = self.connection.connection
        with self.connection.wrap_database_errors:
            driver.executemany(sql, (tuple(map(_adapted, row)) for row in rows))

    def index(self, table: str, columns: Sequence[str]) -> None:
        """Index what joins look up: keys, and what the model has an index for."""
        quote = self.connection.ops.quote_name
        for column in columns:
            field = self.columns[table][column]
            if field.primary_key or field.unique or field.is_relation or field.db_index:
                name = quote(f"{table} {column}")
                self.run(f"CREATE INDEX {name} ON {quote(table)} ({quote(column)})")

    def run(self, sql: str, params: Any = None) -> None:
        """Run a statement whose rows nobody reads."""
        with self.connection.cursor() as cursor:
            cursor.execute(sql, params)


def _adapted(value: Any) -> Any:
    """A value that the driver read, as Django writes it."""
    return str(value) if isinstance(value, datetime.time) else value


def _allow(*_: Any) -> int:
    return sqlite3.SQLITE_OK

"""Django's ``inspectdb``, with composite foreign keys, and of a Redshift database with the storage attributes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.commands import inspectdb
from django.db import connections

from horizon_shards.fields.composite.inspection import keys_of_columns

IMPORT = "from horizon_shards.fields import CompositeForeignKey"


class Command(inspectdb.Command):
    """Composite relations; ``class Redshift`` where a table is stored in another way than Redshift would choose."""

    _connection: Any = None

    def handle_inspection(self, options: dict[str, Any]) -> Any:
        """The lines of the module."""
        asked = connections[options["database"]]
        # Of a logical database, the tables are those of its first shard.
        self._connection = getattr(asked, "lead", asked)
        with _without_keys_of_columns(asked.introspection, self._connection):
            lines = list(super().handle_inspection(options))
        if any(" = CompositeForeignKey(" in line for line in lines):
            lines.insert(lines.index(f"from {self.db_module} import models") + 1, IMPORT)
        return iter(lines)

    def get_meta(
        self, table_name: str, constraints: Any, column_to_field_name: dict[str, str], *rest: Any
    ) -> list[str]:
        """``class Meta``, and ``class Redshift`` behind it."""
        lines = list(super().get_meta(table_name, constraints, column_to_field_name, *rest))
        lines = [*self._relations(table_name, column_to_field_name), *lines]
        if not hasattr(self._connection.introspection, "get_storage"):
            return lines
        with self._connection.cursor() as cursor:
            storage = self._connection.introspection.get_storage(cursor, table_name)
        return [*lines, *_storage_lines(storage, column_to_field_name)]

    def _relations(self, table_name: str, names: dict[str, str]) -> Iterator[str]:
        """A field for each foreign key of several columns."""
        used = [*names.values()]
        for key in keys_of_columns(self._connection, table_name):
            with self._connection.cursor() as cursor:
                single = self._connection.introspection.get_relations(cursor, key.table)
            theirs = [self.normalize_col_name(column, [], column in single)[0] for column in key.targets]
            pairs = {their: names[column] for their, column in zip(theirs, key.columns, strict=True)}
            model = self.normalize_table_name(key.table)
            name = self.normalize_col_name(key.table, used, False)[0]
            used.append(name)
            yield f"    {name} = CompositeForeignKey({model!r}, models.DO_NOTHING, to_fields={pairs!r})"


@contextmanager
def _without_keys_of_columns(introspection: Any, connection: Any) -> Iterator[None]:
    """Django reads each column of such a key as a relation of its own: here it is the column that it is."""
    relations = introspection.get_relations

    def single(cursor: Any, table_name: str) -> dict[str, Any]:
        found = relations(cursor, table_name)
        for key in keys_of_columns(connection, table_name):
            for column, target in zip(key.columns, key.targets, strict=True):
                if tuple(found.get(column, ())[:2]) == (target, key.table):
                    del found[column]
        return dict(found)

    introspection.get_relations = single
    try:
        yield
    finally:
        del introspection.get_relations


def _storage_lines(storage: Any, names: dict[str, str]) -> Iterator[str]:
    """The attributes that are not Redshift's own choice, by the names of the fields."""
    stated = storage.deconstruct()[2]
    stated.pop("name")
    if not stated:
        return
    yield ""
    yield "    class Redshift:"
    if "distkey" in stated:
        stated = {"distkey": names[stated["distkey"]]} | {name: stated[name] for name in stated if name != "distkey"}
        del stated["diststyle"]
    if "sortkey" in stated:
        stated["sortkey"] = tuple(names[column] for column in stated["sortkey"])
        if stated["sortstyle"] == "compound":
            del stated["sortstyle"]
    if "encode" in stated:
        stated["encode"] = {names[column]: code for column, code in stated["encode"].items()}
    for name, value in stated.items():
        yield f"        {name} = {value!r}"

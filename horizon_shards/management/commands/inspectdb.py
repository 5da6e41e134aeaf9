"""Django's ``inspectdb``; of a Redshift database it writes the storage attributes, too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.management.commands import inspectdb
from django.db import connections


class Command(inspectdb.Command):
    """``class Redshift`` where a table is stored in another way than Redshift would choose."""

    _connection: Any = None

    def handle_inspection(self, options: dict[str, Any]) -> Any:
        """The lines of the module."""
        self._connection = connections[options["database"]]
        return super().handle_inspection(options)

    def get_meta(
        self, table_name: str, constraints: Any, column_to_field_name: dict[str, str], *rest: Any
    ) -> list[str]:
        """``class Meta``, and ``class Redshift`` behind it."""
        lines = list(super().get_meta(table_name, constraints, column_to_field_name, *rest))
        if not hasattr(self._connection.introspection, "get_storage"):
            return lines
        with self._connection.cursor() as cursor:
            storage = self._connection.introspection.get_storage(cursor, table_name)
        return [*lines, *_storage_lines(storage, column_to_field_name)]


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

"""Views as migration operations: materialized ones, and late-binding ones, which let their tables change."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

from django.db import router
from django.db.migrations.operations.base import Operation, OperationCategory


class _ViewOperation(ABC, Operation):
    """Makes a view of a SELECT forwards, and drops it backwards."""

    reversible = True
    reduces_to_sql = True
    category = OperationCategory.ADDITION

    def __init__(self, name: str, sql: str, **options: Any) -> None:
        self.name, self.sql, self.options = name, sql, options

    def state_forwards(self, app_label: str, state: Any) -> None:
        """Nothing: declare a model with ``managed = False`` to read the view."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """Create the view."""
        if router.allow_migrate(schema_editor.connection.alias, app_label):
            schema_editor.execute(self._create(schema_editor.connection), None)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """Drop the view."""
        if router.allow_migrate(schema_editor.connection.alias, app_label):
            schema_editor.execute(self._drop(schema_editor.connection), None)

    @abstractmethod
    def _create(self, connection: Any) -> str:
        """The statement that makes it."""

    def _drop(self, connection: Any) -> str:
        return f"DROP VIEW {connection.ops.quote_name(self.name)}"


class CreateMaterializedView(_ViewOperation):
    """``CREATE MATERIALIZED VIEW``; a plain view on databases that are not Redshift.

    ``auto_refresh`` lets Redshift refresh it; else ``REFRESH MATERIALIZED VIEW`` does. ``distkey`` and ``sortkey`` name
    columns of the result, ``diststyle`` is ``all``, ``even``, ``key`` or ``auto``.
    """

    def __init__(
        self,
        name: str,
        sql: str,
        *,
        auto_refresh: bool = False,
        backup: bool = True,
        diststyle: str = "",
        distkey: str = "",
        sortkey: Iterable[str] = (),
    ) -> None:
        stated = {
            "auto_refresh": auto_refresh,
            "backup": backup,
            "diststyle": diststyle,
            "distkey": distkey,
            "sortkey": tuple(sortkey),
        }
        plain = {"auto_refresh": False, "backup": True, "diststyle": "", "distkey": "", "sortkey": ()}
        super().__init__(name, sql, **{key: value for key, value in stated.items() if value != plain[key]})

    def describe(self) -> str:
        """A line of ``migrate``."""
        return f"Create materialized view {self.name}"

    def _create(self, connection: Any) -> str:
        quote, get = connection.ops.quote_name, self.options.get
        if connection.vendor != "redshift":
            return f"CREATE VIEW {quote(self.name)} AS {self.sql}"
        style = get("diststyle") or ("key" if get("distkey") else "")
        words = [
            "BACKUP NO" if not get("backup", True) else "",
            f"DISTSTYLE {style.upper()}" if style else "",
            f"DISTKEY ({quote(get('distkey'))})" if get("distkey") else "",
            f"SORTKEY ({', '.join(map(quote, get('sortkey', ())))})" if get("sortkey") else "",
            "AUTO REFRESH YES" if get("auto_refresh") else "",
        ]
        return " ".join(["CREATE MATERIALIZED VIEW", quote(self.name), *filter(None, words), "AS", self.sql])

    def _drop(self, connection: Any) -> str:
        kind = "MATERIALIZED VIEW" if connection.vendor == "redshift" else "VIEW"
        return f"DROP {kind} {connection.ops.quote_name(self.name)}"


class CreateLateBindingView(_ViewOperation):
    """``CREATE VIEW ... WITH NO SCHEMA BINDING``: its tables can be replaced; a plain view on other databases.

    Redshift wants the schema before the name of each table: ``public.visit``. ``{schema}`` in the SQL is ``"public".``
    on Redshift, and nothing on other databases.
    """

    def describe(self) -> str:
        """A line of ``migrate``."""
        return f"Create late-binding view {self.name}"

    def _create(self, connection: Any) -> str:
        redshift = connection.vendor == "redshift"
        select = self.sql.replace("{schema}", '"public".' if redshift else "")
        return f"CREATE VIEW {connection.ops.quote_name(self.name)} AS {select}" + (
            " WITH NO SCHEMA BINDING" if redshift else ""
        )


def refresh(connection: Any, name: str) -> None:
    """``REFRESH MATERIALIZED VIEW``; nothing on databases where the view is a plain one."""
    if connection.vendor == "redshift":
        with connection.cursor() as cursor:
            cursor.execute(f"REFRESH MATERIALIZED VIEW {connection.ops.quote_name(name)}")

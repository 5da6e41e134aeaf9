"""Tables with their storage attributes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.backends.postgresql.schema import DatabaseSchemaEditor as PostgreSQLSchemaEditor
from django.db.models import Model, UniqueConstraint

from horizon_shards.backends.redshift.columns import AUTO_FIELDS, Columns, refuse_database_on_delete
from horizon_shards.backends.redshift.constraints import Constraints
from horizon_shards.backends.redshift.literals import literal
from horizon_shards.backends.redshift.rebuild import rebuild
from horizon_shards.backends.redshift.storage import DistKey, Storage, columns, storage_of


class Deferred(list[Any]):
    """Statements for the end; what Redshift has no need of is not kept."""

    def append(self, statement: Any) -> None:
        """Keep a statement."""
        if statement is not None:
            super().append(statement)


class DatabaseSchemaEditor(Columns, Constraints, PostgreSQLSchemaEditor):
    """DDL for Redshift."""

    sql_update_with_default = BaseDatabaseSchemaEditor.sql_update_with_default
    sql_create_column_inline_fk = None
    sql_delete_fk = BaseDatabaseSchemaEditor.sql_delete_constraint
    sql_alter_column_type = "ALTER COLUMN %(column)s TYPE %(type)s"
    #: Without CASCADE, which would drop views.
    sql_delete_column = "ALTER TABLE %(table)s DROP COLUMN %(column)s"

    def __enter__(self) -> Any:
        entered = super().__enter__()
        self.deferred_sql = Deferred()
        return entered

    def execute(self, sql: Any, params: Any = ()) -> Any:
        """Run a statement; None is one that Redshift has no need of."""
        return None if sql is None else super().execute(sql, params)

    def quote_value(self, value: Any) -> str:
        """A value as it stands in DDL."""
        return literal(value)

    # ---- tables --------------------------------------------------------------------------------------------------

    def table_sql(self, model: Any) -> Any:
        """CREATE TABLE with the storage attributes behind it."""
        sql, params = super().table_sql(model)
        return " ".join([sql, *self._table_attributes(model)]), params

    def _table_attributes(self, model: type[Model]) -> Iterator[str]:
        storage = storage_of(model)
        if storage.distkey:
            yield f"DISTSTYLE KEY DISTKEY ({self._columns(model, [storage.distkey])})"
        elif storage.diststyle != "auto":
            yield f"DISTSTYLE {storage.diststyle.upper()}"
        if storage.sortkey:
            yield f"{storage.sortstyle.upper()} SORTKEY ({self._columns(model, storage.sortkey)})"
        if storage.encode == "auto":
            yield "ENCODE AUTO"

    def _columns(self, model: type[Model], names: Any) -> str:
        return ", ".join(self.quote_name(column) for column in columns(model, names))

    def _iter_column_sql(
        self, column_db_type: Any, params: Any, model: Any, field: Any, field_db_params: Any, include_default: bool
    ) -> Iterator[str]:
        parts = super()._iter_column_sql(column_db_type, params, model, field, field_db_params, include_default)
        yield next(iter(parts))
        storage = storage_of(model)
        identity = field.get_internal_type() in AUTO_FIELDS and storage.identity != "none"
        if identity:
            yield self.connection.ops.identity_sql(always=storage.identity == "always", seed=self._identity_seed)
        encodings = storage.encode if isinstance(storage.encode, dict) else {}
        encode = f"ENCODE {encodings[field.name].upper()}" if field.name in encodings else ""
        for part in parts:
            if encode and not part.startswith(("DEFAULT", "COLLATE")):
                yield encode
                encode = ""
            if part not in {"PRIMARY KEY", "UNIQUE"} or self._declares(model, part.replace(" ", "_").lower()):
                yield part
        if encode:
            yield encode

    #: Where the numbers of a table begin; those of one that is replaced go on.
    _identity_seed = 1

    def create_model(self, model: Any) -> None:
        """Create the table; a composite primary key stands in it only where it is declared."""
        for field in model._meta.local_fields:
            refuse_database_on_delete(field)
        self._composite_declared = self._declares(model, "primary_key")
        super().create_model(model)

    # ---- storage of tables that exist ------------------------------------------------------------------------------

    def add_constraint(self, model: Any, constraint: Any) -> None:
        """Declare a unique constraint, or store the table in another way."""
        if isinstance(constraint, Storage):
            self._store(model, constraint)
        elif isinstance(constraint, UniqueConstraint):
            super().add_constraint(model, constraint)

    def remove_constraint(self, model: Any, constraint: Any) -> None:
        """Take a declaration back; a table without storage attributes is Redshift's to arrange."""
        if isinstance(constraint, Storage):
            self._store(model, Storage(name=constraint.name), before=constraint)
        elif isinstance(constraint, UniqueConstraint) and self._declares(model, "unique"):
            super().remove_constraint(model, constraint)

    def add_index(self, model: Any, index: Any, concurrently: bool = False) -> None:
        """Nothing, but a DistKey distributes the table."""
        if isinstance(index, DistKey):
            self._store(model, Storage(name=index.name, distkey=index.fields[0], sortkey=storage_of(model).sortkey))

    def remove_index(self, model: Any, index: Any, concurrently: bool = False) -> None:
        """Nothing, but a table without its DistKey is Redshift's to distribute."""
        if isinstance(index, DistKey):
            self._alter_table(model, "ALTER DISTSTYLE AUTO")

    def _alter_table(self, model: type[Model], action: str) -> None:
        self.execute(f"ALTER TABLE {self.quote_name(model._meta.db_table)} {action}")

    def _store(self, model: type[Model], wanted: Storage, *, before: Storage | None = None) -> None:
        """Change distribution, sort key and encodings; what no ALTER can do replaces the table."""
        if wanted.sortstyle == "interleaved" or _needs_new_table(before or Storage(name=""), wanted):
            rebuild(self, model, storage=wanted)
            return
        for action in self._storage_actions(model, wanted):
            self._alter_table(model, action)

    def _storage_actions(self, model: type[Model], wanted: Storage) -> Iterator[str]:
        if wanted.distkey:
            yield f"ALTER DISTSTYLE KEY DISTKEY {self._columns(model, [wanted.distkey])}"
        else:
            yield f"ALTER DISTSTYLE {wanted.diststyle.upper()}"
        if wanted.sortkey:
            yield f"ALTER COMPOUND SORTKEY ({self._columns(model, wanted.sortkey)})"
        else:
            yield "ALTER SORTKEY AUTO"
        if isinstance(wanted.encode, dict) and wanted.encode:
            for name, code in wanted.encode.items():
                yield f"ALTER COLUMN {self._columns(model, [name])} ENCODE {code.upper()}"
        elif wanted.encode == "auto":
            yield "ALTER ENCODE AUTO"


def _needs_new_table(before: Storage, wanted: Storage) -> bool:
    """Interleaved sort keys, identity and declarations are made with the table."""
    return before.sortstyle == "interleaved" or before.identity != wanted.identity or before.declare != wanted.declare

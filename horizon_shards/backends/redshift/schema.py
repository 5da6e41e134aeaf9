"""Tables with their storage attributes; columns change by growth, or by replacing the table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from django.db import NotSupportedError
from django.db.backends.base.schema import BaseDatabaseSchemaEditor, _related_non_m2m_objects
from django.db.backends.postgresql.schema import DatabaseSchemaEditor as PostgreSQLSchemaEditor
from django.db.models import Model, UniqueConstraint

from horizon_shards.backends.redshift.literals import literal
from horizon_shards.backends.redshift.rebuild import rebuild
from horizon_shards.backends.redshift.storage import DistKey, Storage, columns, storage_of

AUTO_FIELDS = {"AutoField", "BigAutoField", "SmallAutoField"}
#: ALTER COLUMN TYPE refuses columns of these encodings.
FIXED_ENCODINGS = {"bytedict", "runlength", "text255", "text32k"}
_VARCHAR = re.compile(r"varchar\((\d+)\)")


class Deferred(list[Any]):
    """Statements for the end; what Redshift has no need of is not kept."""

    def append(self, statement: Any) -> None:
        """Keep a statement."""
        if statement is not None:
            super().append(statement)


class DatabaseSchemaEditor(PostgreSQLSchemaEditor):
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

    # ---- what the planner is told --------------------------------------------------------------------------------

    def _declares(self, model: type[Model], kind: str) -> bool:
        return kind in storage_of(model).declare

    def _pk_constraint_sql(self, columns: Any) -> str:
        """Of composite keys: table_sql() gives the columns alone, so their table is found by them."""
        return super()._pk_constraint_sql(columns) if self._composite_declared else ""

    _composite_declared = False
    #: Where the numbers of a table begin; those of one that is replaced go on.
    _identity_seed = 1

    def create_model(self, model: Any) -> None:
        """Create the table; a composite primary key stands in it only where it is declared."""
        for field in model._meta.local_fields:
            _refuse_database_on_delete(field)
        self._composite_declared = self._declares(model, "primary_key")
        super().create_model(model)

    def _create_fk_sql(self, model: Any, field: Any, suffix: str) -> Any:
        return super()._create_fk_sql(model, field, suffix) if self._declares(model, "foreign_key") else None

    def _unique_sql(self, model: Any, *args: Any, **kwargs: Any) -> Any:
        return super()._unique_sql(model, *args, **kwargs) if self._declares(model, "unique") else None

    def _create_unique_sql(self, model: Any, *args: Any, **kwargs: Any) -> Any:
        return super()._create_unique_sql(model, *args, **kwargs) if self._declares(model, "unique") else None

    def alter_unique_together(self, model: Any, old_unique_together: Any, new_unique_together: Any) -> None:
        """Nothing where uniqueness is not declared."""
        if self._declares(model, "unique"):
            super().alter_unique_together(model, old_unique_together, new_unique_together)

    def _check_sql(self, name: Any, check: Any) -> Any:
        """There are no CHECK constraints."""

    def _create_check_sql(self, model: Any, name: Any, check: Any) -> Any:
        """There are no CHECK constraints."""

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

    # ---- no indexes ----------------------------------------------------------------------------------------------

    def _field_should_be_indexed(self, model: Any, field: Any) -> bool:
        return False

    def _model_indexes_sql(self, model: Any) -> list[Any]:
        return []

    def _create_like_index_sql(self, model: Any, field: Any) -> None:
        return None

    def add_index(self, model: Any, index: Any, concurrently: bool = False) -> None:
        """Nothing, but a DistKey distributes the table."""
        if isinstance(index, DistKey):
            self._store(model, Storage(name=index.name, distkey=index.fields[0], sortkey=storage_of(model).sortkey))

    def remove_index(self, model: Any, index: Any, concurrently: bool = False) -> None:
        """Nothing, but a table without its DistKey is Redshift's to distribute."""
        if isinstance(index, DistKey):
            self._alter_table(model, "ALTER DISTSTYLE AUTO")

    def rename_index(self, model: Any, old_index: Any, new_index: Any) -> None:
        """There is none."""

    def alter_index_together(self, model: Any, old_index_together: Any, new_index_together: Any) -> None:
        """There is none."""

    # ---- storage of tables that exist ------------------------------------------------------------------------------

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

    # ---- columns -------------------------------------------------------------------------------------------------

    def add_field(self, model: Any, field: Any) -> None:
        """ADD COLUMN where Redshift can; a key, an identity or a value that is computed needs a new table."""
        if field.many_to_many and field.remote_field.through._meta.auto_created:
            self.create_model(field.remote_field.through)
            return
        _refuse_database_on_delete(field)
        if field.db_parameters(connection=self.connection)["type"] is None:
            return
        if field.primary_key or field.get_internal_type() in AUTO_FIELDS or self._has_no_plain_default(field):
            rebuild(self, model, add=field)
            return
        definition, params = self.column_sql(model, field, include_default=True)
        definition = str(definition).replace(" UNIQUE", "") if self._declares(model, "unique") else definition
        sql = self.sql_create_column % {
            "table": self.quote_name(model._meta.db_table),
            "column": self.quote_name(field.column),
            "definition": definition,
        }
        # The default stays in the table, because no ALTER can drop it. Django always writes all columns.
        self.execute(sql, params or None)
        self._comment(model, None, field)
        self._declare_of_field(model, field)

    def _comment(self, model: Any, old: Any, new: Any) -> None:
        """Write the comment of a column where it is another than before."""
        if (old.db_comment if old else None) != new.db_comment:
            kind = new.db_parameters(connection=self.connection)["type"]
            self.execute(*self._alter_column_comment_sql(model, new, kind, new.db_comment))

    def _has_no_plain_default(self, field: Any) -> bool:
        if field.null and not field.has_db_default() and not field.has_default():
            return False
        if field.has_db_default():
            return False
        return field.get_internal_type() in {"JSONField", "BinaryField"} or self.effective_default(field) is None

    def _declare_of_field(self, model: Any, field: Any) -> None:
        if field.unique:
            self.deferred_sql.append(self._create_unique_sql(model, [field]))
        if field.remote_field and field.db_constraint:
            self.deferred_sql.append(self._create_fk_sql(model, field, "_fk_%(to_table)s_%(to_column)s"))

    def remove_field(self, model: Any, field: Any) -> None:
        """DROP COLUMN; a column that is a key stops being one before."""
        if field.db_parameters(connection=self.connection)["type"] is not None and not self.collect_sql:
            self._release(model, field.column)
        super().remove_field(model, field)

    def _release(self, model: Any, column: str) -> None:
        """Take a column out of the keys of the table: no column of a key can be dropped."""
        with self.connection.cursor() as cursor:
            now = self.connection.introspection.get_storage(cursor, model._meta.db_table)
        if now.distkey == column:
            self._alter_table(model, "ALTER DISTSTYLE EVEN")
        if column in now.sortkey:
            self._alter_table(model, "ALTER SORTKEY NONE")

    def _alter_field(
        self,
        model: Any,
        old_field: Any,
        new_field: Any,
        old_type: Any,
        new_type: Any,
        old_db_params: Any,
        new_db_params: Any,
        strict: bool = False,
    ) -> None:
        _refuse_database_on_delete(new_field)
        if self._is_only_renamed(model, old_field, new_field, old_type, new_type):
            self._rename(model, old_field, new_field, new_type)
        elif self._can_grow(model, old_field, new_field, old_type, new_type):
            self._rename(model, old_field, new_field, new_type)
            action = self.sql_alter_column_type % {"column": self.quote_name(new_field.column), "type": new_type}
            self._alter_table(model, action)
        else:
            rebuild(self, model, replace=(old_field, new_field))
            return self._follow(old_field, new_field)
        self._follow(old_field, new_field)
        self._comment(model, old_field, new_field)
        self._redeclare(model, old_field, new_field)

    def _rename(self, model: Any, old_field: Any, new_field: Any, new_type: Any) -> None:
        if old_field.column != new_field.column:
            self.execute(self._rename_field_sql(model._meta.db_table, old_field, new_field, new_type))
            for sql in self.deferred_sql:
                if hasattr(sql, "rename_column_references"):
                    sql.rename_column_references(model._meta.db_table, old_field.column, new_field.column)

    def _is_only_renamed(self, model: Any, old: Any, new: Any, old_type: str, new_type: str) -> bool:
        return old_type == new_type and self._rest_of(model, old) == self._rest_of(model, new)

    def _rest_of(self, model: Any, field: Any) -> tuple[Any, ...]:
        """What a column has beside its type and name."""
        default = self.db_default_sql(field) if field.has_db_default() else None
        pk = field.primary_key and self._declares(model, "primary_key")
        return field.null, default and (default[0], tuple(default[1])), pk, field.get_internal_type() in AUTO_FIELDS

    def _can_grow(self, model: Any, old: Any, new: Any, old_type: str, new_type: str) -> bool:
        """ALTER COLUMN TYPE: a longer varchar, outside of a transaction, without default and without declaration."""
        before, after = _VARCHAR.fullmatch(old_type), _VARCHAR.fullmatch(new_type)
        if not before or not after or int(after[1]) < int(before[1]) or self.connection.in_atomic_block:
            return False
        if self._rest_of(model, old) != self._rest_of(model, new) or new.has_db_default() or self.collect_sql:
            return False
        declared = storage_of(model).declare and (new.unique or new.remote_field or new.primary_key)
        return not declared and self._is_free_to_grow(model, old.column)

    def _is_free_to_grow(self, model: Any, column: str) -> bool:
        with self.connection.cursor() as cursor:
            now = self.connection.introspection.get_storage(cursor, model._meta.db_table)
            lines = self.connection.introspection.get_table_description(cursor, model._meta.db_table)
        default = next(line.default for line in lines if line.name == column)
        return default is None and now.encode.get(column) not in FIXED_ENCODINGS

    def _redeclare(self, model: Any, old: Any, new: Any) -> None:
        """Uniqueness and foreign keys of a column that kept its table."""
        if old.unique and not old.primary_key and not new.unique and self._declares(model, "unique"):
            others = {constraint.name for constraint in model._meta.constraints}
            for name in self._constraint_names(model, [new.column], unique=True, primary_key=False, exclude=others):
                self.execute(self._delete_unique_sql(model, name))
        if new.unique and not new.primary_key and not old.unique:
            self.execute(self._create_unique_sql(model, [new]))
        if self._declares(model, "foreign_key") and _target(old) != _target(new):
            self._refer(model, new, _target(new))

    def _refer(self, model: Any, field: Any, wanted: tuple[str, str] | None) -> None:
        """Declare what a column refers to; a table that was only renamed is still the one that it refers to."""
        with self.connection.cursor() as cursor:
            found = self.connection.introspection.get_constraints(cursor, model._meta.db_table)
        now = {name: entry["foreign_key"] for name, entry in found.items() if entry["columns"] == [field.column]}
        for name, target in now.items():
            if target is not None and target != wanted:
                self.execute(self._delete_fk_sql(model, name))
        waits = any("FOREIGN KEY" in str(sql) and _is_of(sql, model, field) for sql in self.deferred_sql)
        if wanted and wanted not in now.values() and not waits:
            self.execute(self._create_fk_sql(model, field, "_fk_%(to_table)s_%(to_column)s"))

    def _follow(self, old_field: Any, new_field: Any) -> None:
        """Columns that refer to a changed column change with it: those of small numbers are of another type."""
        before, after = (field.rel_db_type(connection=self.connection) for field in (old_field, new_field))
        if before == after or not (new_field.primary_key or new_field.unique):
            return
        for old_relation, new_relation in _related_non_m2m_objects(old_field, new_field):
            before = old_relation.field.db_parameters(connection=self.connection)["type"]
            after = new_relation.field.db_parameters(connection=self.connection)["type"]
            if before != after:
                rebuild(self, new_relation.related_model, replace=(old_relation.field, new_relation.field))
                self._follow(old_relation.field, new_relation.field)


def _is_of(sql: Any, model: type[Model], field: Any) -> bool:
    return hasattr(sql, "references_column") and bool(sql.references_column(model._meta.db_table, field.column))


def _target(field: Any) -> tuple[str, str] | None:
    """The table and the column that a foreign key of the database refers to."""
    if not field.remote_field or not field.db_constraint:
        return None
    return field.remote_field.model._meta.db_table, field.target_field.column


def _refuse_database_on_delete(field: Any) -> None:
    """``DB_CASCADE`` and its like (Django 6.1) would leave the rows: nothing is enforced."""
    on_delete = getattr(field.remote_field, "on_delete", None)
    if hasattr(on_delete, "on_delete_sql"):
        raise NotSupportedError(
            f"{field}: Redshift deletes and changes no rows by a foreign key: use CASCADE, SET_NULL or another "
            "on_delete of Django's, not one of the database."
        )


def _needs_new_table(before: Storage, wanted: Storage) -> bool:
    """Interleaved sort keys, identity and declarations are made with the table."""
    return before.sortstyle == "interleaved" or before.identity != wanted.identity or before.declare != wanted.declare

"""Columns: they change by growth, or by replacing the table."""

from __future__ import annotations

import re
from typing import Any

from django.db import NotSupportedError
from django.db.backends.base.schema import _related_non_m2m_objects

from horizon_shards.backends.redshift.rebuild import rebuild
from horizon_shards.backends.redshift.storage import storage_of

AUTO_FIELDS = {"AutoField", "BigAutoField", "SmallAutoField"}
#: ALTER COLUMN TYPE refuses columns of these encodings.
FIXED_ENCODINGS = {"bytedict", "runlength", "text255", "text32k"}
_VARCHAR = re.compile(r"varchar\((\d+)\)")


class Columns:
    """The part of the schema editor that adds, changes and drops columns."""

    def add_field(self, model: Any, field: Any) -> None:
        """ADD COLUMN where Redshift can; a key, an identity or a value that is computed needs a new table."""
        if field.many_to_many and field.remote_field.through._meta.auto_created:
            self.create_model(field.remote_field.through)
            return
        refuse_database_on_delete(field)
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
        refuse_database_on_delete(new_field)
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


def refuse_database_on_delete(field: Any) -> None:
    """``DB_CASCADE`` and its like (Django 6.1) would leave the rows: nothing is enforced."""
    on_delete = getattr(field.remote_field, "on_delete", None)
    if hasattr(on_delete, "on_delete_sql"):
        raise NotSupportedError(
            f"{field}: Redshift deletes and changes no rows by a foreign key: use CASCADE, SET_NULL or another "
            "on_delete of Django's, not one of the database."
        )

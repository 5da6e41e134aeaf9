"""Constraints: what the planner is told of them, where the model says so; and there are no indexes."""

from __future__ import annotations

from typing import Any

from django.db.models import Model

from horizon_shards.backends.redshift.storage import storage_of


class Constraints:
    """The part of the schema editor that declares uniqueness and foreign keys; Redshift enforces none."""

    def _declares(self, model: type[Model], kind: str) -> bool:
        return kind in storage_of(model).declare

    def _pk_constraint_sql(self, columns: Any) -> str:
        """Of composite keys: table_sql() gives the columns alone, so their table is found by them."""
        return super()._pk_constraint_sql(columns) if self._composite_declared else ""

    _composite_declared = False

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

    def _declare_of_field(self, model: Any, field: Any) -> None:
        if field.unique:
            self.deferred_sql.append(self._create_unique_sql(model, [field]))
        if field.remote_field and field.db_constraint:
            self.deferred_sql.append(self._create_fk_sql(model, field, "_fk_%(to_table)s_%(to_column)s"))

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

    # ---- no indexes ----------------------------------------------------------------------------------------------

    def _field_should_be_indexed(self, model: Any, field: Any) -> bool:
        return False

    def _model_indexes_sql(self, model: Any) -> list[Any]:
        return []

    def _create_like_index_sql(self, model: Any, field: Any) -> None:
        return None

    def rename_index(self, model: Any, old_index: Any, new_index: Any) -> None:
        """There is none."""

    def alter_index_together(self, model: Any, old_index_together: Any, new_index_together: Any) -> None:
        """There is none."""


def _is_of(sql: Any, model: type[Model], field: Any) -> bool:
    return hasattr(sql, "references_column") and bool(sql.references_column(model._meta.db_table, field.column))


def _target(field: Any) -> tuple[str, str] | None:
    """The table and the column that a foreign key of the database refers to."""
    if not field.remote_field or not field.db_constraint:
        return None
    return field.remote_field.model._meta.db_table, field.target_field.column

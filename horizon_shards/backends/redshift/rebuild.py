"""Replacing a table: create the new one with its keys, copy the rows, swap; all in one transaction."""

from __future__ import annotations

import copy
from typing import Any

from django.apps.registry import Apps
from django.db import NotSupportedError, transaction
from django.db.backends.utils import strip_quotes, truncate_name
from django.db.models import AutoField, CompositePrimaryKey, Model

from horizon_shards.backends.redshift.storage import Storage, storage_of

Change = tuple[Any, Any]
TEXT_TYPES = ("varchar", "char")


def rebuild(
    editor: Any,
    model: type[Model],
    *,
    replace: Change | None = None,
    add: Any = None,
    storage: Storage | None = None,
) -> None:
    """Replace the table of ``model``: with another field, one more, or other storage attributes.

    Raises ``NotSupportedError`` before anything is touched where views are bound to the table, or where a failure
    could not be undone.
    """
    name = truncate_name(f"{strip_quotes(model._meta.db_table)}__new", editor.connection.ops.max_name_length())
    fields = _fields(editor, model)
    new_model = _new_model(model, name, fields, replace=replace, add=add, storage=storage)
    if editor.collect_sql:
        _swap(editor, model, new_model, _sources(editor, fields, replace, add))
        return
    _refuse(editor, model)
    with transaction.atomic(using=editor.connection.alias):
        _swap(editor, model, new_model, _sources(editor, fields, replace, add))


def _fields(editor: Any, model: type[Model]) -> list[Any]:
    """The fields of the table: Django gives a model whose key was removed an ``id`` that no table has."""
    fields = list(model._meta.local_concrete_fields)
    if editor.collect_sql or not model._meta.pk.auto_created:
        return fields
    with editor.connection.cursor() as cursor:
        found = editor.connection.introspection.get_table_description(cursor, model._meta.db_table)
    columns = {line.name for line in found}
    return [field for field in fields if field is not model._meta.pk or field.column in columns]


def _refuse(editor: Any, model: type[Model]) -> None:
    connection, table = editor.connection, model._meta.db_table
    if not connection.in_atomic_block and not connection.get_autocommit():
        raise NotSupportedError(f"{table} cannot be replaced without a transaction: a failure could not be undone.")
    with connection.cursor() as cursor:
        views = connection.introspection.views_on(cursor, table)
    if views:
        raise NotSupportedError(
            f"{table} cannot be replaced while the views {', '.join(views)} are bound to it: drop them first, or make "
            "them late-binding (WITH NO SCHEMA BINDING)."
        )


def _swap(editor: Any, model: type[Model], new_model: type[Model], sources: dict[str, str]) -> None:
    quote, old, new = editor.quote_name, model._meta.db_table, new_model._meta.db_table
    waiting, editor.deferred_sql = editor.deferred_sql, type(editor.deferred_sql)()
    referring = [] if editor.collect_sql else _referring(editor, old)
    for table, name, _ in referring:
        editor.execute(f"ALTER TABLE {quote(table)} DROP CONSTRAINT {quote(name)}")
    editor._composite_declared = editor._declares(new_model, "primary_key")
    editor._identity_seed = 1 if editor.collect_sql else _next_number(editor, model)
    sql, params = editor.table_sql(new_model)
    editor._identity_seed = 1
    editor.execute(sql, params or None)
    names = ", ".join(quote(column) for column in sources)
    editor.execute(f"INSERT INTO {quote(new)} ({names}) SELECT {', '.join(sources.values())} FROM {quote(old)}")
    editor.execute(f"DROP TABLE {quote(old)}")
    editor.alter_db_table(new_model, new, old)
    for statement in editor.deferred_sql:
        editor.execute(statement)
    editor.deferred_sql = waiting
    _comment(editor, model, new_model)
    for table, name, definition in referring:
        editor.execute(f"ALTER TABLE {quote(table)} ADD CONSTRAINT {quote(name)} {definition}")


def _next_number(editor: Any, model: type[Model]) -> int:
    """The number after the greatest that the table has: numbers of the server never meet those that were copied."""
    number = next((field for field in _fields(editor, model) if isinstance(field, AutoField)), None)
    if number is None:
        return 1
    quote = editor.quote_name
    with editor.connection.cursor() as cursor:
        cursor.execute(f"SELECT MAX({quote(number.column)}) FROM {quote(model._meta.db_table)}")
        return (cursor.fetchone()[0] or 0) + 1


def _comment(editor: Any, model: type[Model], new_model: type[Model]) -> None:
    """The comments of the table and of its columns, which the new table has not."""
    if model._meta.db_table_comment:
        editor.alter_db_table_comment(model, None, model._meta.db_table_comment)
    new_model._meta.db_table = model._meta.db_table
    for field in new_model._meta.local_concrete_fields:
        if field.db_comment:
            editor._comment(new_model, None, field)


def _referring(editor: Any, table: str) -> list[tuple[str, str, str]]:
    """Foreign keys of other tables, declared to the planner: they keep the table from being dropped."""
    introspection, quote = editor.connection.introspection, editor.quote_name
    found = []
    with editor.connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT c.relname FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid "
            "JOIN pg_class t ON t.oid = k.confrelid WHERE k.contype = 'f' AND t.relname = %s AND c.relname <> %s",
            [table, table],
        )
        for (other,) in cursor.fetchall():
            for name, entry in introspection.get_constraints(cursor, other).items():
                if entry["foreign_key"] and entry["foreign_key"][0] == table:
                    own = ", ".join(quote(column) for column in entry["columns"])
                    target = f"{quote(table)} ({quote(entry['foreign_key'][1])})"
                    found.append((other, name, f"FOREIGN KEY ({own}) REFERENCES {target}"))
    return found


def _sources(editor: Any, fields: list[Any], replace: Change | None, add: Any) -> dict[str, str]:
    """Columns of the new table, with the expressions over the old one that fill them."""
    sources: dict[str, str] = {str(field.column): editor.quote_name(field.column) for field in fields}
    if replace:
        old, new = replace
        sources.pop(old.column, None)
        sources[new.column] = _converted(editor, old, new)
    if add is not None and (value := _first_value(editor, add)):
        sources[add.column] = value
    return sources


def _first_value(editor: Any, field: Any) -> str | None:
    if field.has_db_default():
        return None
    value = editor.effective_default(field)
    # A number that the table counts by itself, or NULL.
    return None if value is None else str(editor.quote_value(value))


def _converted(editor: Any, old: Any, new: Any) -> str:
    before, after = (field.db_parameters(connection=editor.connection)["type"] for field in (old, new))
    sql: str = _cast(editor.quote_name(old.column), before, after)
    if old.null and not new.null:
        if new.has_db_default():
            default, params = editor.db_default_sql(new)
            return f"COALESCE({sql}, {editor.connection.ops.compose_sql(default, params)})"
        default = editor.effective_default(new)
        return sql if default is None else f"COALESCE({sql}, {editor.quote_value(default)})"
    return sql


def _cast(column: str, before: str, after: str) -> str:
    """A cast cuts text off silently: text into text is left to fail where it is too long."""
    if before == after or (before.startswith(TEXT_TYPES) and after.startswith(TEXT_TYPES)):
        return column
    if after == "super":
        return f"JSON_PARSE({column})"
    if before == "super":
        return f"JSON_SERIALIZE({column})"
    return f"CAST({column} AS {after})"


def _new_model(
    model: type[Model], name: str, kept: list[Any], *, replace: Change | None, add: Any, storage: Storage | None
) -> type[Model]:
    """A model like ``model``, changed, whose table is called ``name``."""
    fields: dict[str, Any] = {field.name: field for field in kept}
    if isinstance(model._meta.pk, CompositePrimaryKey):
        fields[model._meta.pk.name] = model._meta.pk
    renamed = {}
    if replace:
        old, new = replace
        # In the place of the old one: columns keep their order.
        fields = {(new.name if key == old.name else key): field for key, field in fields.items()}
        fields[new.name], renamed = _placed(new, old), {old.name: new.name}
    changed = add if add is not None else (fields[replace[1].name] if replace else None)
    if changed is not None and changed.primary_key:
        fields = {key: _demoted(field, changed) for key, field in fields.items()}
    if add is not None:
        fields[add.name] = add
    made = _make(model, name, fields, renamed, storage)
    if made._meta.pk.auto_created and made._meta.pk.name not in fields:
        made._meta.local_fields.remove(made._meta.pk)
    return made


def _placed(new: Any, old: Any) -> Any:
    """The new field in the place of the old one: Django orders columns by when their fields were made."""
    clone = copy.copy(new)
    clone.creation_counter = old.creation_counter
    return clone


def _demoted(field: Any, new_key: Any) -> Any:
    """A former primary key is a column until its field is removed."""
    if field is new_key or not field.primary_key:
        return field
    clone = copy.copy(field)
    clone.primary_key = False
    return clone


def _make(
    model: type[Model], name: str, fields: dict[str, Any], renamed: dict[str, str], storage: Storage | None
) -> type[Model]:
    opts = model._meta
    storage = storage or storage_of(model).renamed(renamed)
    kept = [entry for entry in opts.constraints if not isinstance(entry, Storage)]
    meta = {
        "app_label": opts.app_label,
        "apps": Apps(),
        "constraints": [*kept, storage],
        "db_table": name,
        "indexes": opts.indexes,
        "ordering": opts.ordering,
        "unique_together": [[renamed.get(key, key) for key in names] for names in opts.unique_together],
    }
    body = {key: copy.deepcopy(field) for key, field in fields.items()}
    body |= {"Meta": type("Meta", (), meta), "__module__": "__fake__"}
    return type(f"New{opts.object_name}", (Model,), body)

"""Reading a Redshift schema: its catalogue is that of PostgreSQL 8.0, with views of its own for storage."""

from __future__ import annotations

import re
from typing import Any

from django.db.backends.postgresql.introspection import DatabaseIntrospection as PostgreSQLIntrospection
from django.db.backends.postgresql.introspection import FieldInfo, TableInfo
from django.db.models import DO_NOTHING

from horizon_shards.backends.redshift.storage import Storage

#: ``pg_class_info.reldiststyle``, as AWS documents it.
DISTSTYLES = {0: "even", 1: "key", 8: "all", 10: "auto", 11: "auto", 12: "auto"}

#: The bytes of the longest text, which is that of a TextField.
MAX_VARCHAR = 65_535

COLUMNS = """
    SELECT a.attname, a.attnotnull, d.adsrc, t.description
    FROM pg_attribute a
    JOIN pg_class c ON c.oid = a.attrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    LEFT JOIN pg_description t ON t.objoid = c.oid AND t.objsubid = a.attnum
    WHERE c.relname = %s AND n.nspname = current_schema() AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attnum
"""
CONSTRAINTS = """
    SELECT k.conname, k.contype, k.conkey, f.relname, k.confkey, c.oid, f.oid
    FROM pg_constraint k
    JOIN pg_class c ON c.oid = k.conrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_class f ON f.oid = k.confrelid
    WHERE c.relname = %s AND n.nspname = current_schema() AND k.contype IN ('p', 'u', 'f')
    ORDER BY k.conname
"""


class DatabaseIntrospection(PostgreSQLIntrospection):
    """Tables, columns, constraints and storage attributes."""

    data_types_reverse = {
        **PostgreSQLIntrospection.data_types_reverse,
        # SUPER and VARBYTE.
        4000: "JSONField",
        6551: "BinaryField",
    }

    def get_field_type(self, data_type: Any, description: Any) -> Any:
        """A number that the table counts is an automatic field; text of the greatest length is a TextField."""
        kind = super().get_field_type(data_type, description)
        if kind == "CharField" and description.display_size == MAX_VARCHAR:
            return "TextField"
        if description.is_autofield:
            return {"IntegerField": "AutoField", "BigIntegerField": "BigAutoField"}.get(str(kind), kind)
        return kind

    def get_table_list(self, cursor: Any) -> list[Any]:
        """Tables and views of the current schema."""
        cursor.execute(
            "SELECT c.relname, CASE WHEN c.relkind = 'v' THEN 'v' ELSE 't' END, t.description FROM pg_class c "
            "JOIN pg_namespace n ON n.oid = c.relnamespace "
            "LEFT JOIN pg_description t ON t.objoid = c.oid AND t.objsubid = 0 "
            "WHERE c.relkind IN ('r', 'v') AND n.nspname = current_schema() ORDER BY c.relname"
        )
        return [TableInfo(*row) for row in cursor.fetchall() if row[0] not in self.ignored_tables]

    def get_table_description(self, cursor: Any, table_name: Any) -> list[Any]:
        """The columns of a table, with their defaults; identity is one, ``"identity"(...)``."""
        cursor.execute(COLUMNS, [table_name])
        known = {name: rest for name, *rest in cursor.fetchall()}
        cursor.execute(f"SELECT * FROM {self.connection.ops.quote_name(table_name)} LIMIT 1")
        return [_field(line, *known[line.name]) for line in cursor.description]

    def get_sequences(self, cursor: Any, table_name: str, table_fields: Any = ()) -> list[dict[str, Any]]:
        """There are none."""
        return []

    def get_relations(self, cursor: Any, table_name: str) -> dict[str, Any]:
        """Declared foreign keys of one column, in the form of the running Django."""
        from django import VERSION

        found = {}
        for entry in self.get_constraints(cursor, table_name).values():
            if entry["foreign_key"] and len(entry["columns"]) == 1:
                table, column = entry["foreign_key"]
                found[entry["columns"][0]] = (column, table, DO_NOTHING) if VERSION >= (6, 1) else (column, table)
        return found

    def get_constraints(self, cursor: Any, table_name: str) -> dict[str, Any]:
        """The constraints that are declared to the planner."""
        cursor.execute(CONSTRAINTS, [table_name])
        rows = cursor.fetchall()
        columns = {oid: self._numbers(cursor, oid) for row in rows for oid in (row[5], row[6]) if oid}
        return {row[0]: _constraint(row, columns) for row in rows}

    def _numbers(self, cursor: Any, oid: int) -> dict[int, str]:
        cursor.execute("SELECT attnum, attname FROM pg_attribute WHERE attrelid = %s AND attnum > 0", [oid])
        return dict(cursor.fetchall())

    def get_storage(self, cursor: Any, table_name: str) -> Storage:
        """How a table is stored: distribution, sort keys and encodings, by column names."""
        cursor.execute(
            'SELECT "column", encoding, distkey, sortkey FROM pg_table_def WHERE tablename = %s', [table_name]
        )
        rows = cursor.fetchall()
        keys = sorted((abs(position), name) for name, _, _, position in rows if position)
        interleaved = any(position < 0 for *_, position in rows)
        distkey = next((name for name, _, is_key, _ in rows if is_key), None)
        return Storage(
            name=f"{table_name}_redshift",
            diststyle="key" if distkey else self._diststyle(cursor, table_name),
            distkey=distkey,
            sortkey=tuple(name for _, name in keys),
            sortstyle=("interleaved" if interleaved else "compound") if keys else None,
            encode={name: code for name, code, *_ in rows if code not in (None, "", "none", "auto")},
        )

    def _diststyle(self, cursor: Any, table_name: str) -> str:
        cursor.execute("SELECT reldiststyle FROM pg_class_info WHERE relname = %s", [table_name])
        row = cursor.fetchone()
        return DISTSTYLES[row[0]] if row else "auto"

    def views_on(self, cursor: Any, table_name: str) -> list[str]:
        """The views that are bound to a table: they keep it from being replaced."""
        cursor.execute(
            "SELECT DISTINCT v.relname FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid "
            "JOIN pg_class v ON v.oid = r.ev_class JOIN pg_class t ON t.oid = d.refobjid "
            "WHERE t.relname = %s AND v.relname <> t.relname ORDER BY v.relname",
            [table_name],
        )
        return [name for (name,) in cursor.fetchall()]


def _field(line: Any, notnull: bool, default: str | None, comment: str | None) -> Any:
    identity = bool(default and '"identity"' in default)
    precision = None if line.precision in (None, 2**16 - 1) else line.precision
    scale = None if line.scale in (None, 2**16 - 1) else line.scale
    size = line.internal_size if line.display_size is None else line.display_size
    shown = None if identity else default
    # name, type_code, display_size, internal_size, precision, scale, null_ok, default, collation, is_autofield, comment
    return FieldInfo(
        line.name,
        line.type_code,
        size,
        line.internal_size,
        precision,
        scale,
        not notnull,
        shown,
        None,
        identity,
        comment,
    )


def _constraint(row: Any, columns: dict[int, dict[int, str]]) -> dict[str, Any]:
    _, kind, own, target, foreign, oid, target_oid = row
    names = [columns[oid][number] for number in _int_array(own)]
    references = [columns[target_oid][number] for number in _int_array(foreign)] if target else []
    return {
        "columns": names,
        "primary_key": kind == "p",
        "unique": kind in ("p", "u"),
        "foreign_key": (target, references[0]) if kind == "f" else None,
        "check": False,
        "index": False,
        "definition": None,
        "options": None,
    }


def _int_array(value: Any) -> list[int]:
    """An array of the catalogue, which some drivers give as text."""
    if isinstance(value, str):
        return [int(number) for number in re.findall(r"\d+", value)]
    return list(value or ())

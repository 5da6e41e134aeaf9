"""The catalogue of the strict local Redshift: set up in a database of PostgreSQL, and written by DDL."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from horizon_shards.testing.redshift.tables import STYLES, Constraint, Remembered

Run = Callable[[str, Sequence[Any]], Any]

#: Any number that other locks of a database hardly have.
LOCK = 827_364_518
SESSION = """
    SET search_path = public, rs, pg_catalog;
    SET standard_conforming_strings = off;
    SET escape_string_warning = off
"""


def install(cursor: Any) -> None:
    """Make a database of PostgreSQL a local Redshift, where it is not one yet; then the session."""
    shim = Path(__file__).with_name("shim.sql").read_text(encoding="utf-8")
    version = hashlib.sha256(shim.encode()).hexdigest()[:12]
    if (found := _version(cursor)) is None:
        cursor.execute(f"SELECT pg_advisory_xact_lock({LOCK})")
        if (found := _version(cursor)) is None:
            cursor.execute("CREATE EXTENSION IF NOT EXISTS pgcrypto SCHEMA public")
            cursor.execute(shim)
            cursor.execute(f"COMMENT ON SCHEMA rs IS '{version}'")
            found = version
    if found != version:
        raise ImproperlyConfigured(
            "This database was made a strict local Redshift by another version of horizon_shards: drop it and create "
            "it again."
        )
    cursor.execute(SESSION)


def _version(cursor: Any) -> str | None:
    """Which shim a database has: None without any."""
    cursor.execute(
        "SELECT coalesce(obj_description(oid, 'pg_namespace'), '') FROM pg_catalog.pg_namespace WHERE nspname = 'rs'"
    )
    row = cursor.fetchone()
    return None if row is None else str(row[0])


def remember(run: Run, said: Remembered) -> None:
    """Write what a statement said of a table's storage."""
    oid = f"{_literal(_quoted(said.table))}::regclass"
    if said.like is not None:
        _copy(run, oid, f"{_literal(_quoted(said.like))}::regclass")
    elif said.style is not None:
        run(
            f"INSERT INTO rs.stored VALUES ({oid}, %s) "
            "ON CONFLICT (reloid) DO UPDATE SET diststyle = excluded.diststyle",
            [said.style],
        )
        run(f"UPDATE rs.stored_column SET distkey = false WHERE reloid = {oid}", [])
    if said.distkey:
        _column(run, oid, said.distkey, "distkey", True)
        run(f"UPDATE rs.stored SET diststyle = %s WHERE reloid = {oid}", [STYLES["KEY"]])
    if said.sortkey is not None:
        run(f"UPDATE rs.stored_column SET sortkey = 0 WHERE reloid = {oid}", [])
        for number, name in enumerate(said.sortkey, 1):
            _column(run, oid, name, "sortkey", -number if said.interleaved and number % 2 == 0 else number)
        if said.interleaved:
            run(f"UPDATE rs.stored_column SET sortkey = -abs(sortkey) WHERE reloid = {oid}", [])
    for name, encoding in said.encodings.items():
        _column(run, oid, name, "encoding", encoding)
    for constraint in said.constraints:
        _declare(run, oid, constraint)
    if said.dropped_constraint:
        run(f"DELETE FROM rs.declared WHERE conrelid = {oid} AND conname = %s", [said.dropped_constraint])


def _copy(run: Run, oid: str, source: str) -> None:
    """The storage of another table: CREATE TABLE (LIKE ...) takes its keys over."""
    run(f"INSERT INTO rs.stored SELECT {oid}, diststyle FROM rs.stored WHERE reloid = {source}", [])
    columns = "attnum, encoding, distkey, sortkey"
    run(f"INSERT INTO rs.stored_column SELECT {oid}, {columns} FROM rs.stored_column WHERE reloid = {source}", [])


def _column(run: Run, oid: str, name: str, what: str, value: Any) -> None:
    run(
        "INSERT INTO rs.stored_column SELECT attrelid, attnum, NULL, false, 0 FROM pg_catalog.pg_attribute "
        f"WHERE attrelid = {oid} AND attname = %s ON CONFLICT DO NOTHING",
        [name],
    )
    run(
        f"UPDATE rs.stored_column s SET {what} = %s FROM pg_catalog.pg_attribute a "
        f"WHERE s.reloid = {oid} AND a.attrelid = s.reloid AND a.attnum = s.attnum AND a.attname = %s",
        [value, name],
    )


def _declare(run: Run, oid: str, constraint: Constraint) -> None:
    target = f"{_literal(_quoted(constraint.target))}::regclass" if constraint.target else "NULL"
    run(
        f"INSERT INTO rs.declared VALUES (%s, %s, {oid}, {_numbers(oid, constraint.columns)}, {target}, "
        f"{_numbers(target, constraint.target_columns) if constraint.target else 'NULL'})",
        [constraint.name, constraint.kind],
    )


def _numbers(oid: str, names: Sequence[str]) -> str:
    each = (
        f"(SELECT attnum FROM pg_catalog.pg_attribute WHERE attrelid = {oid} AND attname = {_literal(name)})"
        for name in names
    )
    return f"ARRAY[{', '.join(each)}]::smallint[]"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "''").replace("%", "%%") + "'"

"""Runs what PostgreSQL has no statement for."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from django.db.backends.postgresql.base import Database as Driver

from horizon_shards.testing.redshift.bulk.copying import Loader
from horizon_shards.testing.redshift.bulk.options import read
from horizon_shards.testing.redshift.bulk.unloading import unload
from horizon_shards.testing.redshift.check import RedshiftRefuses, Refusal, check_sql
from horizon_shards.testing.redshift.explain import explain
from horizon_shards.testing.redshift.lexer import skeleton, tokens_of
from horizon_shards.testing.redshift.tables import bare
from horizon_shards.testing.redshift.translate import to_postgresql

APPEND = re.compile(r"(?is)^\s*ALTER\s+TABLE\s+(\S+)\s+APPEND\s+FROM\s+(\S+?)(?:\s+(IGNOREEXTRA|FILLTARGET))?\s*$")
LATE = re.compile(r"(?is)^\s*CREATE\s+(?:OR\s+REPLACE\s+)?VIEW\s+(\S+)\s+AS\s+(.*?)\s+WITH\s+NO\s+SCHEMA\s+BINDING\s*$")
MATERIALIZED = re.compile(r"(?is)^\s*(CREATE\s+MATERIALIZED\s+VIEW\s+\S+)\s.*?\bAS\b(.*)$")
VACUUM = re.compile(r"(?is)^\s*VACUUM\b[^\"]*?(\"[^\"]+\"|\w+)?(?:\s+TO\s+\d+\s+PERCENT)?(?:\s+BOOST)?\s*$")
LIMITED = re.compile(r"\bLIMIT \S+( OFFSET \S+)?$")


def engine_of(sql: str) -> Callable[[Any, str], None] | None:
    """What runs a statement on a :class:`StrictCursor`, or None where it is translated."""
    words = [token.upper for token in tokens_of(sql.lstrip()) if token.kind == "word"][:4]
    if words[:1] in (["COPY"], ["UNLOAD"]):
        return copy if words[0] == "COPY" else unload_rows
    if words[:1] == ["EXPLAIN"]:
        return explain
    if words[:1] == ["VACUUM"]:
        return vacuum
    if APPEND.match(sql):
        return append
    if LATE.match(sql):
        return late_binding
    return materialized if words[:3] == ["CREATE", "MATERIALIZED", "VIEW"] else None


def copy(cursor: Any, sql: str) -> None:
    """COPY in a transaction; its failures are written beside it."""
    bulk = read(sql)
    loader = Loader(lambda query, params: _rows(cursor, query, params), cursor.files(), bulk)
    own = cursor.connection.autocommit
    if own:
        cursor.plainly("BEGIN", [])
    try:
        count = loader.load()
        if loader.failures:
            _log(cursor, loader)
        if loader.too_many:
            table = bulk.table.strip('"')
            raise Driver.InternalError(
                f"Load into table '{table}' failed.  Check 'stl_load_errors' system table for details."
            )
        cursor.plainly("SELECT set_config('rs.copied', %s, false)", [str(count)])
    except BaseException:
        _abort(cursor, own=own)
        raise
    if own:
        cursor.plainly("COMMIT", [])


def _rows(cursor: Any, query: str, params: Any) -> list[Any]:
    cursor.plainly(query, params)
    return cursor.fetchall() if cursor.description else []


def _abort(cursor: Any, *, own: bool) -> None:
    """An error spoils the transaction, as on the server."""
    if own:
        cursor.plainly("ROLLBACK", [])
        return
    with suppress(Driver.Error):
        cursor.plainly("SELECT 1 / 0", [])


def _log(cursor: Any, loader: Loader) -> None:
    """The system tables keep what happened in a transaction that was rolled back: another connection writes them."""
    info = cursor.connection.info
    cursor.plainly("SELECT pg_backend_pid(), nextval('rs.query_number')", [])
    session, query = cursor.fetchone()
    beside = Driver.connect(
        host=info.host, port=info.port, dbname=info.dbname, user=info.user, password=info.password or None
    )
    try:
        with beside.cursor() as writer:
            for failure in loader.failures:
                row, wrong = failure.row, failure.wrong
                writer.execute(
                    "INSERT INTO rs.stl_load_errors (starttime, session, query, filename, line_number, colname, "
                    "raw_line, err_code, err_reason) VALUES (now(), %s, %s, %s, %s, %s, %s, %s, %s)",
                    [
                        session,
                        query,
                        failure.file[:256],
                        row.line,
                        failure.column,
                        row.raw[:1024],
                        wrong.code,
                        wrong.reason[:100],
                    ],
                )
        beside.commit()
    finally:
        beside.close()


def unload_rows(cursor: Any, sql: str) -> None:
    """UNLOAD: its SELECT is checked as any other."""
    bulk = read(sql)
    refusals = check_sql(bulk.select)
    if LIMITED.search(skeleton(bulk.select)):
        refusals.append(Refusal("unload-limit", "UNLOAD takes no LIMIT outside of a subquery (r_UNLOAD.html)."))
    if refusals:
        raise RedshiftRefuses(refusals, bulk.select)
    cursor.plainly(to_postgresql(bulk.select), None)
    names = [column.name for column in cursor.description]
    count = unload(cursor.files(), bulk, names, cursor.fetchall())
    cursor.plainly("SELECT set_config('rs.unloaded', %s, false)", [str(count)])


def append(cursor: Any, sql: str) -> None:
    """ALTER TABLE APPEND: the columns that both tables have move."""
    match = APPEND.match(sql)
    assert match is not None
    target, source, option = match.groups()
    to, away = (_columns(cursor, table) for table in (target, source))
    extra, lacking = [name for name in away if name not in to], [name for name in to if name not in away]
    if (extra and option != "IGNOREEXTRA") or (lacking and option != "FILLTARGET"):
        raise Driver.InternalError(f"Columns of {target} and {source} differ: {', '.join(extra + lacking)}")
    names = ", ".join(f'"{name}"' for name in to if name in away)
    cursor.plainly("BEGIN", [])
    try:
        cursor.plainly(f"INSERT INTO {target} ({names}) SELECT {names} FROM {source}", [])
        cursor.plainly(f"DELETE FROM {source}", [])
    except BaseException:
        cursor.plainly("ROLLBACK", [])
        raise
    cursor.plainly("COMMIT", [])


def _columns(cursor: Any, table: str) -> list[str]:
    sql = (
        "SELECT attname FROM pg_catalog.pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped "
        "ORDER BY attnum"
    )
    return [name for (name,) in _rows(cursor, sql, [table])]


def vacuum(cursor: Any, sql: str) -> None:
    """PostgreSQL's own, of the same table."""
    names = [token for token in tokens_of(sql) if token.kind == "name"]
    cursor.plainly(f'VACUUM "{bare(names[0])}"' if names else "VACUUM", None)


def materialized(cursor: Any, sql: str) -> None:
    """PostgreSQL's own, without the storage attributes."""
    match = MATERIALIZED.match(sql)
    assert match is not None
    cursor.plainly(f"{match[1]} AS {to_postgresql(match[2])}", None)


def late_binding(cursor: Any, sql: str) -> None:
    """A view whose SELECT is a text, with the columns that it has now."""
    match = LATE.match(sql)
    assert match is not None
    name, select = match[1], to_postgresql(match[2])
    cursor.plainly(f"CREATE TEMPORARY VIEW rs_described AS {select}", None)
    found = _rows(
        cursor,
        "SELECT attname, pg_catalog.format_type(atttypid, atttypmod) FROM pg_catalog.pg_attribute "
        "WHERE attrelid = 'rs_described'::regclass AND attnum > 0 ORDER BY attnum",
        [],
    )
    cursor.plainly("DROP VIEW rs_described", None)
    columns = ", ".join(f'"{column}" {kind}' for column, kind in found)
    quoted = select.replace("\\", "\\\\").replace("'", "''")
    cursor.plainly(f"CREATE VIEW {name} AS SELECT * FROM rs.late('{quoted}') AS late ({columns})", None)

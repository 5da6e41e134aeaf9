"""EXPLAIN with the labels that Redshift gives joins, made from the recorded distribution keys."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from horizon_shards.testing.redshift.lexer import Token, closing, tokens_of
from horizon_shards.testing.redshift.tables import bare
from horizon_shards.testing.redshift.translate import to_postgresql

EXPLAIN = re.compile(r"(?is)^\s*EXPLAIN(\s+VERBOSE)?\s+(.*)$")
ENDS = {"WHERE", "GROUP", "ORDER", "HAVING", "LIMIT", "UNION", "EXCEPT", "INTERSECT", "ON", ")", ","}
COSTS = "(cost=0.00..1.00 rows=1 width=1)"
STORED = """
    SELECT c.relname, s.diststyle, a.attname FROM rs.stored s JOIN pg_catalog.pg_class c ON c.oid = s.reloid
    LEFT JOIN rs.stored_column k ON k.reloid = s.reloid AND k.distkey
    LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = k.reloid AND a.attnum = k.attnum
"""
ALL_NODES = 8


class Compared(NamedTuple):
    """``"a"."b" = "c"."d"``."""

    left: tuple[str, str]
    right: tuple[str, str]


def explain(cursor: Any, sql: str) -> None:
    """Leave the plan in the cursor, after PostgreSQL has seen that the statement can be run."""
    match = EXPLAIN.match(sql)
    assert match is not None
    cursor.plainly(f"EXPLAIN {to_postgresql(match[2])}", None)
    cursor.plainly(STORED, None)
    stored = {table: (style, key) for table, style, key in cursor.fetchall()}
    lines = [*plan(match[2], stored)]
    rows = ", ".join(f"({number}, '{line}')" for number, line in enumerate(lines))
    cursor.plainly(f'SELECT line AS "QUERY PLAN" FROM (VALUES {rows}) AS lines (number, line) ORDER BY number', None)


def plan(sql: str, stored: dict[str, tuple[int, str | None]]) -> Iterator[str]:
    """A line for each join of a SELECT and of its subqueries, and the condition below it."""
    tokens = [token for token in tokens_of(sql) if token.kind != "space"]
    tables = dict(_tables(tokens))
    found = False
    for kind, table, condition in _joins(tokens):
        found = True
        pairs = [*_pairs(condition)]
        label = _label(table, pairs, tables, stored)
        yield f"XN Hash {kind}Join {label}  {COSTS}"
        for left, right in pairs[:1]:
            yield f'  Hash Cond: ("outer".{left[1]} = "inner".{right[1]})'
    for table in dict.fromkeys(tables.values()):
        yield f"{'  ->  ' if found else ''}XN Seq Scan on {table}  {COSTS}"
    if not tables:
        yield f"XN Result  {COSTS}"


def _tables(tokens: list[Token]) -> Iterator[tuple[str, str]]:
    """Aliases and their tables."""
    for position, token in enumerate(tokens[:-1]):
        name = tokens[position + 1]
        if token.upper not in {"FROM", "JOIN"} or name.kind != "name":
            continue
        after = tokens[position + 2] if position + 2 < len(tokens) else Token("other", ")")
        aliased = after.kind == "name" or (after.kind == "word" and after.upper not in ENDS | {"INNER", "LEFT", "JOIN"})
        yield (bare(after) if aliased else bare(name)), bare(name)


def _joins(tokens: list[Token]) -> Iterator[tuple[str, str, list[Token]]]:
    """The kind of each join, the alias that it adds, and its condition; of IN, its two columns."""
    for position, token in enumerate(tokens):
        if token.upper == "ON" and position + 1 < len(tokens) and tokens[position + 1].text == "(":
            condition = tokens[position + 2 : closing(tokens, position + 1)]
            yield "", bare(tokens[position - 1]), condition
        elif token.upper == "IN" and [t.upper for t in tokens[position + 1 : position + 3]] == ["(", "SELECT"]:
            inner = tokens[position + 3 : closing(tokens, position + 1)]
            column, place = inner[1:4] if inner[0].upper == "DISTINCT" else inner[:3], tokens[position - 3 : position]
            yield "IN ", bare(column[0]), [*place, Token("other", "="), *column]


def _pairs(condition: list[Token]) -> Iterator[Compared]:
    """Equal columns of a condition whose parts are joined by AND alone."""
    if any(token.upper == "OR" for token in condition):
        return
    for position, token in enumerate(condition):
        sides = condition[max(position - 3, 0) : position], condition[position + 1 : position + 4]
        if token.text == "=" and all(map(_is_column, sides)):
            left, right = ((bare(side[0]), bare(side[2])) for side in sides)
            yield Compared(left, right)


def _is_column(side: list[Token]) -> bool:
    """``"a"."b"`` or ``a."b"``."""
    return [token.kind for token in side] in (["name", "other", "name"], ["word", "other", "name"])


def _label(table: str, pairs: list[Compared], tables: dict[str, str], stored: dict[str, tuple[int, str | None]]) -> str:
    def style(alias: str) -> tuple[int | None, str | None]:
        return stored.get(tables.get(alias, ""), (None, None))

    if style(table)[0] == ALL_NODES or any(ALL_NODES in (style(p.left[0])[0], style(p.right[0])[0]) for p in pairs):
        return "DS_DIST_ALL_NONE"
    keyed = [tuple(style(alias)[1] == column for alias, column in pair) for pair in pairs]
    if (True, True) in keyed:
        return "DS_DIST_NONE"
    return "DS_DIST_INNER" if any(True in one for one in keyed) else "DS_BCAST_INNER"

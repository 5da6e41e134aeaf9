"""Values that are known already, as a table inside a statement: the database computes with them as with its own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any, TypeVar
from uuid import UUID

from horizon_shards.backends.sharded.collations import (
    as_column,
    as_text_of_json,
    collation_of,
    collation_sql,
    explicit_collation,
    literal_collation,
    own_collation,
)
from horizon_shards.backends.sharded.kinds import TEXT, internal_type, is_cut_to_seconds, output_field
from horizon_shards.backends.sharded.mysql_collations import OF_JSON, mysql_collation, weighs_as_literal

T = TypeVar("T")
Row = Sequence[Any]

#: Django writes decimals as text, which a numeric column, and no other value, compares as a number. As in a column,
#: a whole one is an integer then, which divides without a fraction.
SQLITE_DECIMAL = "CAST(%s AS NUMERIC)"

#: SQLite joins no more than 500 SELECTs, and slows down beyond a few hundred.
MAX_ROWS_A_STATEMENT = 400
#: Digits of a DECIMAL that leave MySQL (65 in all) room for the fraction of a quotient.
MYSQL_DIGITS = 55


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the table: its name, and the expression whose values it holds.

    ``is_small``: its whole numbers have 32 bits in PostgreSQL, which adds them to others than those of 64.
    """

    name: str
    expression: Any
    is_small: bool = False


def batches(rows: Sequence[T], width: int, connection: Any, *, taken: int = 0) -> Iterator[list[T]]:
    """The rows in as many parts as statements are needed; ``taken``: parameters of the rest of a statement."""
    most = connection.features.max_query_params
    size = MAX_ROWS_A_STATEMENT
    if most is not None:
        size = max(1, min(size, (most - taken) // max(1, width)))
    source = iter(rows)
    while batch := list(islice(source, size)):
        yield batch


def table_of(rows: Sequence[Row], columns: Sequence[Column], connection: Any) -> tuple[str, list[Any]]:
    """A SELECT of these rows, with nothing but the columns."""
    cells = [_cell([row[position] for row in rows], column, connection) for position, column in enumerate(columns)]
    names = [connection.ops.quote_name(column.name) for column in columns]
    first = ", ".join(f"{cell} AS {name}" for cell, name in zip(cells, names, strict=True))
    # A union's texts have the collation of the column that the first row's is.
    later = ", ".join("%s" if "JSON_TABLE" in cell else cell for cell in cells)
    lines = [first, *[later] * (len(rows) - 1)]
    params = [value for row in rows for value in row[: len(columns)]]
    return " UNION ALL ".join(f"SELECT {line}" for line in lines), params


def _cell(values: list[Any], column: Column, connection: Any) -> str:
    """The SQL of one value: with the type, and the collation, that the column of the database had."""
    expression = column.expression
    known = [value for value in values if value is not None]
    if connection.vendor == "sqlite":
        return _sqlite(expression, connection)
    if connection.vendor == "mysql":
        return _mysql(known, expression, connection)
    sql = typed_by_postgresql(known, expression, connection)
    if column.is_small and sql == BIG and all(abs(value) < 2**31 for value in known):
        sql = "(%s)::integer"
    own = own_collation(expression) if known and isinstance(known[0], str) else None
    is_text = own is not None and internal_type(output_field(expression)) in TEXT
    return f"({sql} COLLATE {connection.ops.quote_name(own)})" if is_text else sql


def _sqlite(expression: Any, connection: Any) -> str:
    if internal_type(output_field(expression)) == "DecimalField":
        return SQLITE_DECIMAL
    collation = None if expression.contains_aggregate else collation_of(expression, connection)
    return "%s" if collation is None else f"(%s COLLATE {collation_sql(collation)})"


def _mysql(known: list[Any], expression: Any, connection: Any) -> str:
    if not known:
        # To MySQL a bare NULL is bytes: of these, its BIT_AND makes bytes.
        is_integer = internal_type(output_field(expression)).endswith(("IntegerField", "AutoField"))
        return "CAST(%s AS SIGNED)" if is_integer else "%s"
    value = known[0]
    if isinstance(value, Decimal):
        scale = max(max(0, -int(number.as_tuple().exponent)) for number in known)
        return f"CAST(%s AS DECIMAL({MYSQL_DIGITS}, {min(scale, 30)}))"
    if isinstance(value, str):
        if internal_type(output_field(expression)) == "JSONField":
            return "%s" if connection.mysql_is_mariadb else "CAST(%s AS JSON)"
        return _text_of_mysql(expression, connection)
    if isinstance(value, bytes | memoryview):
        return "CAST(%s AS BINARY)"
    if isinstance(value, int) and min(known) >= 0 and _is_unsigned(expression, connection):
        return "CAST(%s AS UNSIGNED)"
    name = next((name for kind, name in MYSQL_TYPES if isinstance(value, kind)), None)
    if name is None:
        return "%s"
    return f"CAST(%s AS {name.removesuffix('(6)') if is_cut_to_seconds(expression) else name})"


def _text_of_mysql(expression: Any, connection: Any) -> str:
    """A text, also where it is NULL, with the collation of an expression and the weight that it has there."""
    collation = mysql_collation(expression, connection)
    if explicit_collation(expression) is not None:
        return f"(CAST(%s AS CHAR) COLLATE {collation_sql(collation)})"
    if collation == OF_JSON and weighs_as_literal(expression, connection):
        return as_text_of_json("%s")
    # What is cast to a text has the collation of the session, and weighs as a column's.
    is_of_session = collation == literal_collation(connection)
    return "CAST(%s AS CHAR)" if is_of_session else as_column("%s", collation)


def _is_unsigned(expression: Any, connection: Any) -> bool:
    """Whether MySQL's value has no sign: it raises then where a difference would be below 0."""
    if type(expression).__name__ in BIT_AGGREGATES:
        return True
    field = output_field(expression)
    return field is not None and "UNSIGNED" in (field.db_type(connection) or "").upper()


#: A whole number of PostgreSQL, of which Python does not know how many bits it had.
BIG = "(%s)::bigint"
BIT_AGGREGATES = {"BitAnd", "BitOr", "BitXor"}


MYSQL_TYPES = ((datetime, "DATETIME(6)"), (date, "DATE"), (time, "TIME(6)"), (timedelta, "TIME(6)"))


def typed_by_postgresql(known: list[Any], expression: Any, connection: Any) -> str:
    """A placeholder with the type that the known values of an expression have in PostgreSQL."""
    kind = next((name for kind, name in POSTGRESQL_TYPES if known and isinstance(known[0], kind)), None)
    if kind == "bigint" and any(not -(2**63) <= value < 2**63 for value in known):
        kind = "numeric"
    if kind == "timestamp" and known[0].tzinfo is not None:
        kind = "timestamptz"
    field = output_field(expression)
    stored = None if field is None else field.db_type(connection)
    # A text may stand for a UUID or a network address, and a value of any type for JSON.
    if kind is None or (kind == "text" and stored is not None) or internal_type(field) == "JSONField":
        kind = _without_length(stored) or "text"
    # A cast binds closer than a minus: without it, the smallest bigint would be out of range.
    return f"(%s)::{kind}"


POSTGRESQL_TYPES = (
    (bool, "boolean"),
    (int, "bigint"),
    (Decimal, "numeric"),
    (float, "double precision"),
    (datetime, "timestamp"),
    (date, "date"),
    (time, "time"),
    (timedelta, "interval"),
    (UUID, "uuid"),
    (str, "text"),
)


#: An array has its brackets behind the length.
LENGTH = re.compile(r"\(.*\)")


def _without_length(kind: str | None) -> str | None:
    plain = None if kind is None else LENGTH.sub("", kind)
    return None if plain is None else {"serial": "integer", "bigserial": "bigint"}.get(plain, plain)

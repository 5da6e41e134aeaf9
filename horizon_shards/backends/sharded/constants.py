"""Values that are known already, as a table inside a statement: the database computes with them as with its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any, TypeVar
from uuid import UUID

from horizon_shards.backends.sharded.collations import collation_of, collation_sql, database_collation
from horizon_shards.backends.sharded.kinds import internal_type, output_field

T = TypeVar("T")
Row = Sequence[Any]

#: SQLite joins no more than 500 SELECTs, and slows down beyond a few hundred.
MAX_ROWS_A_STATEMENT = 400
#: Digits of a DECIMAL that leave MySQL (65 in all) room for the fraction of a quotient.
MYSQL_DIGITS = 55


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the table: its name, and the expression whose values it holds."""

    name: str
    expression: Any


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
    cells = [
        _cell([row[position] for row in rows], column.expression, connection) for position, column in enumerate(columns)
    ]
    names = [connection.ops.quote_name(column.name) for column in columns]
    first = ", ".join(f"{cell} AS {name}" for cell, name in zip(cells, names, strict=True))
    lines = [first, *[", ".join(cells)] * (len(rows) - 1)]
    params = [value for row in rows for value in row[: len(columns)]]
    return " UNION ALL ".join(f"SELECT {line}" for line in lines), params


def _cell(values: list[Any], expression: Any, connection: Any) -> str:
    """The SQL of one value: with the type, and the collation, that the column of the database had."""
    known = [value for value in values if value is not None]
    if connection.vendor == "sqlite":
        return _sqlite(expression, connection)
    if connection.vendor == "mysql":
        return _mysql(known, expression, connection)
    return typed_by_postgresql(known, expression, connection)


def _sqlite(expression: Any, connection: Any) -> str:
    if internal_type(output_field(expression)) == "DecimalField":
        # Django writes decimals as text, which a numeric column, and no other value, compares as a number.
        return "CAST(%s AS NUMERIC)"
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
        collation = collation_of(expression, connection) or database_collation(connection)
        # A bare NULL has no text of any collation to MySQL.
        return f"(CAST(%s AS CHAR) COLLATE {collation_sql(collation)})"
    if isinstance(value, int) and min(known) >= 0 and _is_unsigned(expression, connection):
        return "CAST(%s AS UNSIGNED)"
    return next((f"CAST(%s AS {name})" for kind, name in MYSQL_TYPES if isinstance(value, kind)), "%s")


def _is_unsigned(expression: Any, connection: Any) -> bool:
    """Whether MySQL's value has no sign: it raises then where a difference would be below 0."""
    if type(expression).__name__ in BIT_AGGREGATES:
        return True
    field = output_field(expression)
    return field is not None and "UNSIGNED" in (field.db_type(connection) or "").upper()


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
    # A text may stand for JSON, a UUID or a network address.
    if kind is None or (kind == "text" and stored is not None):
        kind = _without_length(stored) or "text"
    return f"%s::{kind}"


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


def _without_length(kind: str | None) -> str | None:
    return None if kind is None else {"serial": "integer", "bigserial": "bigint"}.get(kind, kind.split("(")[0])

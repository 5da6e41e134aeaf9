"""The order of the database in Python: what to select beside a value, and how to compare it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.db.models.expressions import Col

from horizon_shards.backends.sharded.collations import (
    CODE_POINTS,
    Hidden,
    collation_of,
    collation_sql,
    default_collation,
    has_levels,
    single_collation,
)
from horizon_shards.backends.sharded.keys import SQLITE_COLLATIONS, FilledUp, as_bytes, number_key, sqlite_value
from horizon_shards.backends.sharded.kinds import NUMBERS, PLAIN, TEXT, internal_type, output_field
from horizon_shards.backends.sharded.mariadb_uuid import order_key
from horizon_shards.backends.sharded.mysql_collations import mysql_collation
from horizon_shards.exceptions import QueryNotSupported


@dataclass(frozen=True, slots=True)
class Comparable:
    """How values of an expression compare: ``sql`` is what to select (``%s`` stands for the expression, None
    for the value itself), ``key`` turns what was selected into something that Python orders the same way.
    ``collate``: there is no such key, the database has to rank the values with this SQL behind them.
    """

    sql: str | None = None
    key: Callable[[Any], Any] | None = None
    collate: str | None = None


def comparable(expression: Any, connection: Any, *, what: str) -> Comparable:
    """How to compare values of ``expression`` on this engine; raises ``QueryNotSupported`` where it is not known.

    ``what`` names the use in the error ("ordering", "DISTINCT", "Max").
    """
    field = output_field(expression)
    kind = internal_type(field)
    if kind in TEXT:
        return _text(expression, connection, what)
    if connection.vendor == "sqlite" and not isinstance(expression, Col):
        # What SQLite computes may be of any type, whatever Django calls it.
        return Comparable(key=sqlite_value)
    if kind in NUMBERS:
        return Comparable(key=number_key)
    if kind in PLAIN:
        return Comparable(key=as_bytes if kind == "BinaryField" else None)
    if kind == "UUIDField":
        if not (connection.vendor == "mysql" and connection.features.has_native_uuid_field):
            return Comparable()
        if (key := order_key(connection)) is not None:
            return Comparable(key=key)
    if connection.vendor == "sqlite":
        return Comparable(key=sqlite_value)
    raise QueryNotSupported(
        f"{what} over shards by {expression!r} ({kind or 'unknown type'}) is not supported on "
        f"{connection.display_name}: nothing here knows the database's order of it. Cast it to text or a number.",
        reason="order",
    )


def orderable(expression: Any, connection: Any, *, what: str) -> Comparable:
    """As :func:`comparable`, for a caller that can have texts ranked by the database."""
    if internal_type(output_field(expression)) in TEXT and (sql := _ranking_of(expression, connection)) is not None:
        return Comparable(collate=sql)
    return comparable(expression, connection, what=what)


def _ranking_of(expression: Any, connection: Any) -> str | None:
    """The SQL behind values that have to be ranked; None where they need not be, or nothing says how."""
    if connection.vendor != "postgresql":
        return None
    single = single_collation(expression, connection)
    if single is None or single.lower() in CODE_POINTS:
        return None
    return "" if single == default_collation(connection) else f" COLLATE {connection.ops.quote_name(single)}"


def nulls_first(order: Any, connection: Any) -> bool:
    """Whether NULLs come first in the result that ``order`` (an ``OrderBy``) asks for."""
    if order.nulls_first:
        return True
    if order.nulls_last:
        return False
    return bool(connection.features.order_by_nulls_first) != bool(order.descending)


def _text(expression: Any, connection: Any, what: str) -> Comparable:
    if connection.vendor == "redshift":
        # Blanks at the end do not count.
        return Comparable(key=lambda text: text.rstrip(" "))
    collation = collation_of(expression, connection)
    if connection.vendor == "mysql":
        collation = mysql_collation(expression, connection)
        if not has_levels(collation):
            return mysql_weights(expression, connection)
    if collation is None or collation.lower() in CODE_POINTS:
        is_mixed = connection.vendor == "sqlite" and not isinstance(expression, Col)
        return Comparable(key=sqlite_value if is_mixed else None)
    if connection.vendor == "sqlite" and collation.upper() in SQLITE_COLLATIONS:
        return Comparable(key=SQLITE_COLLATIONS[collation.upper()])
    raise QueryNotSupported(
        f"{what} over shards by text in the collation {collation!r} is not supported: its order is known to "
        f"{connection.display_name} alone. Write Collate(..., '{_binary(connection)}'), or create the databases "
        "with that collation.",
        reason="collation",
    )


def mysql_weights(expression: Any, connection: Any) -> Comparable:
    """MySQL's own sort key; under a PAD SPACE collation texts compare as if filled up with spaces."""
    hidden = Hidden(connection)
    collation = mysql_collation(expression, connection)
    if "_0900_" in collation or "nopad" in collation:
        return Comparable(sql="WEIGHT_STRING(%s)", key=as_bytes)
    fill = _mysql_space(collation, hidden)
    return Comparable(
        sql="WEIGHT_STRING(TRIM(TRAILING ' ' FROM %s))", key=lambda weight: FilledUp(as_bytes(weight), fill)
    )


@lru_cache(maxsize=64)
def _mysql_space(collation: str, hidden: Hidden) -> bytes:
    """The weight of a space."""
    charset = collation.split("_")[0] if collation.startswith(("utf8", "latin1", "ascii", "ucs2")) else "utf8mb4"
    with hidden.connection.cursor() as cursor:
        cursor.execute(f"SELECT WEIGHT_STRING(_{charset} 0x20 COLLATE {collation_sql(collation)})")
        return as_bytes(cursor.fetchone()[0])


def _binary(connection: Any) -> str:
    return {"sqlite": "BINARY", "mysql": "utf8mb4_bin"}.get(connection.vendor, "C")

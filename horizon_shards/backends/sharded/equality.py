"""What the database calls equal, in Python: for DISTINCT and set operations, where no order is needed."""

from __future__ import annotations

import json
from decimal import Decimal
from functools import lru_cache
from typing import Any

from horizon_shards.backends.sharded.collations import Hidden, collation_of
from horizon_shards.backends.sharded.kinds import TEXT, internal_type, is_changed_by_selecting, output_field
from horizon_shards.backends.sharded.mysql_collations import OF_JSON, mysql_collation
from horizon_shards.backends.sharded.order import Comparable, comparable, mysql_weights
from horizon_shards.exceptions import QueryNotSupported


def equatable(expression: Any, connection: Any, *, what: str) -> Comparable:
    """As :func:`~horizon_shards.backends.sharded.order.comparable`, but for ``=`` alone, which more types have."""
    kind = internal_type(output_field(expression))
    if kind == "UUIDField":
        return Comparable()
    if kind == "JSONField" and connection.vendor == "postgresql":
        return Comparable(key=json_value)
    if kind == "JSONField" and getattr(connection, "mysql_is_mariadb", False):
        if mysql_collation(expression, connection) != OF_JSON:
            return mysql_weights(expression, connection)
        # A text in a binary collation, which compares as if filled up with spaces.
        return Comparable(key=lambda text: text.rstrip(" "))
    if kind in TEXT and connection.vendor == "postgresql":
        collation = collation_of(expression, connection)
        if collation is None or _is_deterministic(collation, connection.alias, Hidden(connection)):
            return Comparable()
    return comparable(expression, connection, what=what)


def groupable(expression: Any, connection: Any, *, what: str) -> Comparable:
    """As :func:`equatable` for text, whose order may be unknown; other types have to have a known order."""
    is_text = internal_type(output_field(expression)) in TEXT
    return (equatable if is_text else comparable)(expression, connection, what=what)


def check_shown_as_stored(expression: Any) -> None:
    """Raise where selecting changes the value: partial values would be changed before they are put together."""
    if is_changed_by_selecting(expression):
        raise QueryNotSupported(
            f"{type(output_field(expression)).__name__} changes its values where they are selected (select_format()): "
            "groups and aggregates of them over several shards are not supported. Filter by the shard key.",
            reason="group-by",
        )


@lru_cache(maxsize=256)
def _is_deterministic(collation: str, alias: str, hidden: Hidden) -> bool:
    """Whether PostgreSQL calls two texts equal only where their bytes are."""
    with hidden.connection.cursor() as cursor:
        cursor.execute("SELECT bool_and(collisdeterministic) FROM pg_collation WHERE collname = %s", [collation])
        # A database's own collation may have no row; it is always deterministic.
        return cursor.fetchone()[0] is not False


def json_value(text: str) -> Any:
    """PostgreSQL's ``jsonb`` as a hashable value that is equal where the database says so."""
    return _frozen(json.loads(text, parse_float=Decimal, parse_int=Decimal))


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return ("object", frozenset((name, _frozen(part)) for name, part in value.items()))
    if isinstance(value, list):
        return ("array", *map(_frozen, value))
    # JSON's null is a value, and not SQL's NULL.
    return ("literal", value) if value is None or isinstance(value, bool) else value

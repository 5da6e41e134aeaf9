"""How the private database stores values of servers: as itself where the two compare alike, else as a token."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import connections, router
from django.db.models import Model
from django.db.models.expressions import Col, Exists, Subquery
from django.db.models.sql import Query
from django.utils.duration import duration_microseconds

from horizon_shards.backends.sharded.equality import equatable
from horizon_shards.backends.sharded.foreign import RelatedKey
from horizon_shards.backends.sharded.kinds import TEXT, internal_type, output_field, source_of
from horizon_shards.backends.sharded.order import Comparable, comparable
from horizon_shards.backends.sharded.selected import WHOLE, selected_column
from horizon_shards.backends.sharded.walk import columns_in
from horizon_shards.declarations import final_field
from horizon_shards.exceptions import QueryNotSupported
from horizon_shards.placement import placement_of

#: From a driver's value, and the connection that read it, to what is stored.
Store = Callable[[Any, Any], Any]
OWN = ("django.db.models.", "horizon_shards.")


def home_of_model(model: type[Model], logical: str) -> str:
    """The alias that rows of a model are read from, for a query on the database ``logical``."""
    placement = placement_of(model)
    if placement is not None and placement.database == logical:
        return logical
    return str(router.db_for_read(model))


def connection_of(expression: Any, logical: Any) -> Any:
    """The connection that compares and converts values of an expression on the columns of one table."""
    column = next(columns_in(expression))
    alias = home_of_model(column.target.model, logical.alias)
    return logical.lead if alias == logical.alias else connections[alias]


def stored_as(expression: Any, logical: Any) -> Store | None:
    """How values are stored; None for a token."""
    kind = kind_of(expression)
    if _is_of_another_zone(expression, kind, logical):
        return None
    if kind in STORES:
        return STORES[kind]
    return _plain if kind in TEXT and _is_plain_text(expression, logical, equatable) else None


def kind_of(expression: Any) -> str:
    """The type of values; "" for a field class of an application's own, which may be stored in any way."""
    field: Any = output_field(expression)
    field = final_field(field)
    methods = [getattr(type(field), name, None) for name in ("db_type", "get_internal_type")]
    if not all(str(getattr(method, "__module__", "")).startswith(OWN) for method in methods):
        return ""
    return internal_type(field)


def kept(expression: Any) -> Any:
    """The expression on one table whose values come as tokens, where this may be one: looks through subqueries."""
    expression = source_of(expression)
    if isinstance(expression, RelatedKey):
        return expression.column
    if isinstance(expression, Query | Subquery):
        return kept(selected_column(getattr(expression, "query", expression)))
    return expression if isinstance(expression, Col) or next(columns_in(expression), None) is not None else None


def inside(expression: Any) -> Any:
    """What a reference, or a subquery that stands for one value, gives: its declared type may be another."""
    expression = source_of(expression)
    if isinstance(expression, Exists) or not isinstance(expression, Query | Subquery):
        return expression
    return inside(selected_column(getattr(expression, "query", expression)))


def is_equatable(expression: Any, logical: Any) -> bool:
    """Whether SQLite calls stored values equal just where the server does."""
    expression = inside(expression)
    kind = kind_of(expression)
    if _is_of_another_zone(expression, kind, logical):
        return False
    return kind in STORES or (kind in TEXT and _is_plain_text(expression, logical, equatable))


def is_comparable(expression: Any, logical: Any) -> bool:
    """Whether SQLite has the server's order of stored values."""
    expression = inside(expression)
    kind = kind_of(expression)
    if _is_of_another_zone(expression, kind, logical):
        return False
    if kind == "UUIDField":
        return _is_as_it_is(expression, logical.lead, comparable)
    return kind in STORES or (kind in TEXT and _is_plain_text(expression, logical, comparable))


def _is_of_another_zone(expression: Any, kind: str, logical: Any) -> bool:
    """Whether a computed time may be local to another zone than the database's own, in which its columns are."""
    if kind != "DateTimeField" or not settings.USE_TZ or isinstance(expression, Col):
        return False
    if getattr(expression, "contains_aggregate", False) or next(columns_in(expression), None) is None:
        return False
    return bool(connection_of(expression, logical).timezone != datetime.timezone.utc)


def _is_plain_text(expression: Any, logical: Any, compare: Any) -> bool:
    columns = list(columns_in(kept(expression))) if kept(expression) is not None else []
    return bool(columns) and all(_is_as_it_is(column, connection_of(column, logical), compare) for column in columns)


def _is_as_it_is(expression: Any, lead: Any, compare: Any) -> bool:
    try:
        return bool(compare(expression, lead, what="Federation") == Comparable())
    except QueryNotSupported:
        return False


def _plain(value: Any, connection: Any) -> Any:
    return value


def _whole(value: Any, connection: Any) -> int:
    if int(value) != value:
        raise QueryNotSupported(
            f"Federation cannot help: a whole number was computed to be {value}, which the server goes on computing "
            "with. Say which type it is (output_field=), or finish in Python.",
            reason="federation-engine",
        )
    return int(value)


def _datetime(value: Any, connection: Any) -> str:
    if not isinstance(value, datetime.datetime):
        return str(value)
    if not settings.USE_TZ:
        return str(value.replace(tzinfo=None))
    aware = value if value.tzinfo is not None else value.replace(tzinfo=connection.timezone)
    return str(aware.astimezone(datetime.timezone.utc).replace(tzinfo=None))


def _duration(value: Any, connection: Any) -> int:
    return duration_microseconds(value) if isinstance(value, datetime.timedelta) else _whole(value, connection)


def _date(value: Any, connection: Any) -> str:
    return str(value.date() if isinstance(value, datetime.datetime) else value)


def _time(value: Any, connection: Any) -> str:
    midnight = datetime.datetime(1, 1, 1)  # noqa: DTZ001 - MySQL gives the time since
    return str((midnight + value).time() if isinstance(value, datetime.timedelta) else value)


def _uuid(value: Any, connection: Any) -> str:
    return value.hex if isinstance(value, uuid.UUID) else uuid.UUID(str(value)).hex


def as_bytes(value: Any, connection: Any) -> bytes:
    """What a driver gives for bytes: MySQL's weights of texts come as text."""
    return value.encode("latin-1") if isinstance(value, str) else bytes(value)


#: Types whose values both compare alike, as they are stored here.
STORES: dict[str, Store] = {
    **dict.fromkeys(WHOLE, _whole),
    "BooleanField": _whole,
    "DateField": _date,
    "DateTimeField": _datetime,
    "TimeField": _time,
    "DurationField": _duration,
    "UUIDField": _uuid,
    "BinaryField": as_bytes,
}

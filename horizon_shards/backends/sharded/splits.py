"""How the values of several shards make one value of an aggregate."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import reduce
from typing import Any

from django.db.models import Aggregate, Avg, Count, FloatField, Max, Min, StdDev, Sum, Variance

from horizon_shards.backends.sharded.hidden_digits import average_of_whole, has_hidden_digits, sum_of_whole
from horizon_shards.backends.sharded.order import comparable
from horizon_shards.backends.sharded.partials import (
    Partial,
    Split,
    Templated,
    average,
    of_kind,
    sources_of,
    total,
)
from horizon_shards.backends.sharded.spread import spread


def _added(aggregate: Any, connection: Any) -> Partial:
    return Partial((aggregate,), lambda rows: sum(value for (value,) in rows))


def _sum(aggregate: Any, connection: Any) -> Partial:
    if has_hidden_digits(aggregate, connection):
        return sum_of_whole(aggregate, connection)
    return Partial((aggregate,), lambda rows: total([value for (value,) in rows], connection))


def _avg(aggregate: Any, connection: Any) -> Partial:
    """The average as the total sum by the total count of values."""
    if has_hidden_digits(aggregate, connection):
        return average_of_whole(aggregate, connection)
    source = sources_of(aggregate)[0]

    def combine(rows: list[Any]) -> Any:
        known = [(value, count) for value, count in rows if count]
        if not known or any(value is None for value, _ in known):
            return None  # nothing is there, or SQLite's infinities of both signs
        found, count = total([value for value, _ in known], connection), sum(n for _, n in known)
        return average(found, count, source, connection)

    return Partial((_summed(aggregate, connection), of_kind(Count, aggregate)), combine)


def _summed(aggregate: Any, connection: Any) -> Any:
    """The sum that an average is made of: SQLite's AVG adds floats, and does not overflow where SUM does."""
    summed = of_kind(Sum, aggregate)
    if connection.vendor == "sqlite":
        summed.function, summed.output_field = "TOTAL", FloatField()
    return summed


def _extreme(best: Callable[..., Any]) -> Split:
    def split(aggregate: Any, connection: Any) -> Partial:
        how = comparable(sources_of(aggregate)[0], connection, what=type(aggregate).__name__)
        key = how.key or (lambda value: value)

        def combine(rows: list[Any]) -> Any:
            rows = [row for row in rows if row[0] is not None]
            return best(rows, key=lambda row: key(row[-1]))[0] if rows else None

        return Partial((aggregate,) if how.sql is None else (aggregate, Templated(how.sql, aggregate)), combine)

    return split


def _folded(function: Callable[[Any, Any], Any], *, empty_on_mysql: int | None = None) -> Split:
    """An aggregate of the shards' own values that are not NULL, taken together two by two."""

    def split(aggregate: Any, connection: Any) -> Partial:
        empty = empty_on_mysql if connection.vendor == "mysql" else None

        def combine(rows: list[Any]) -> Any:
            values = [value for (value,) in rows if value is not None]
            return reduce(function, values) if values else empty

        return Partial((aggregate,), combine)

    return split


SPLIT: dict[type, Split] = {
    Count: _added,
    Sum: _sum,
    Avg: _avg,
    Min: _extreme(min),
    Max: _extreme(max),
    StdDev: spread,
    Variance: spread,
}

#: Aggregates that some versions of Django, or ``django.contrib.postgres``, have.
SPLIT_BY_NAME: dict[str, Split] = {
    "AnyValue": _folded(lambda left, right: left),
    "BitAnd": _folded(operator.and_, empty_on_mysql=2**64 - 1),
    "BitOr": _folded(operator.or_, empty_on_mysql=0),
    "BitXor": _folded(operator.xor, empty_on_mysql=0),
    "BoolAnd": _folded(lambda left, right: left and right),
    "BoolOr": _folded(lambda left, right: left or right),
}


def split_of(aggregate: Any) -> Split | None:
    """How the shards' values of an aggregate are put together; by exact class, since a subclass may mean more."""
    kind = type(aggregate)
    if not isinstance(aggregate, Aggregate) or aggregate.extra:  # another function, or SQL of the caller's
        return None
    if kind.__module__.startswith(("django.db.models.", "django.contrib.postgres.")):
        return SPLIT.get(kind) or SPLIT_BY_NAME.get(kind.__name__)
    return SPLIT.get(kind)

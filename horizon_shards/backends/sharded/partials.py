"""What a shard gives of an aggregate, and how the parts of all shards are combined."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from functools import reduce
from typing import Any

from django.db import DataError, OperationalError
from django.db.models import Aggregate, Avg, Count, FloatField, Max, Min, StdDev, Sum, TextField, Value, Variance

from horizon_shards.backends.sharded.order import comparable
from horizon_shards.exceptions import QueryNotSupported

#: From the parts of all shards (a tuple each) to the value of the database, before Django's converters.
Combine = Callable[[list[Any]], Any]
Split = Callable[[Any, Any], "Partial"]

#: More digits than any engine's numbers have: MySQL's 65, and what PostgreSQL can be asked for in a column.
EXACT = Context(prec=2_000)


@dataclass(frozen=True, slots=True)
class Partial:
    """The expressions that each shard computes for one aggregate, and what makes one value of them.

    ``apart`` are expressions that each shard groups by in addition: their values travel one by one, and stand
    before the parts in what is combined.
    """

    parts: tuple[Any, ...]
    combine: Combine
    apart: tuple[Any, ...] = ()


def partial_of(aggregate: Any, connection: Any, split: Split | None) -> Partial:
    """The partial of an aggregate by its ``split``; raises ``QueryNotSupported`` where it has none."""
    if split is None:
        raise QueryNotSupported(
            f"The aggregate {aggregate!r} over several shards is not supported: nothing here knows how to put the "
            "values of several shards together. Use Django's own Count, Sum, Avg, Min, Max, StdDev, Variance, "
            "StringAgg and the like, or filter by the shard key.",
            reason="aggregate",
        )
    return split(aggregate, connection)


def sources_of(aggregate: Any) -> list[Any]:
    """What an aggregate is computed of, without its filter and order."""
    return list(aggregate.source_expressions)


def condition_of(aggregate: Any) -> Any:
    """The condition of ``filter=``; Django 6 wraps it."""
    return getattr(aggregate.filter, "condition", aggregate.filter)


def _added(aggregate: Any, connection: Any) -> Partial:
    return Partial((aggregate,), lambda rows: sum(value for (value,) in rows))


def _sum(aggregate: Any, connection: Any) -> Partial:
    return Partial((aggregate,), lambda rows: total([value for (value,) in rows], connection))


def total(values: list[Any], connection: Any) -> Any:
    """The sum of what is not NULL; NULL where nothing is. Raises what the database does where it overflows."""
    values = [value for value in values if value is not None]
    if not values:
        return None
    with localcontext(EXACT):
        found = sum(values[1:], values[0])
    if type(found) is int and not -(2**63) <= found < 2**63:
        raise OperationalError("integer overflow") if connection.vendor == "sqlite" else DataError("out of range")
    return found


def quotient(found: Any, count: int, connection: Any) -> Any:
    """The sum by the count, with as many digits as the database's AVG has."""
    if not isinstance(found, Decimal):
        return found / count
    with localcontext(EXACT):
        places = _mysql_places(found) if connection.vendor == "mysql" else _postgresql_places(found, count)
        exact = Fraction(found) / count
        digits = 10**places
        rounded = (abs(exact) * digits + Fraction(1, 2)).__floor__()
        return Decimal(-rounded if exact < 0 else rounded).scaleb(-places)


def _mysql_places(found: Decimal) -> int:
    """``div_precision_increment`` more than the argument has."""
    return max(0, -int(found.as_tuple().exponent)) + 4


def _postgresql_places(found: Decimal, count: int) -> int:
    """As ``select_div_scale`` of PostgreSQL's numeric.c: 16 significant digits at least, in steps of four."""
    weight, first = _base_10000(found)
    other_weight, other_first = _base_10000(Decimal(count))
    quotient_weight = weight - other_weight - (first <= other_first)
    return max(16 - quotient_weight * 4, -int(found.as_tuple().exponent), 0)


def _base_10000(number: Decimal) -> tuple[int, int]:
    """The position and the value of the first digit of a number to the base 10000."""
    if not number:
        return 0, 0
    weight = number.adjusted() // 4
    return weight, int(abs(number).scaleb(-4 * weight))


def _avg(aggregate: Any, connection: Any) -> Partial:
    """The average as the total sum by the total count of values."""

    def combine(rows: list[Any]) -> Any:
        known = [(value, count) for value, count in rows if count]
        if not known or any(value is None for value, _ in known):
            return None  # nothing is there, or SQLite's infinities of both signs
        return quotient(total([value for value, _ in known], connection), sum(n for _, n in known), connection)

    return Partial((_summed(aggregate, connection), _as(Count, aggregate)), combine)


def _summed(aggregate: Any, connection: Any) -> Any:
    """The sum that an average is made of: SQLite's AVG adds floats, and does not overflow where SUM does."""
    summed = _as(Sum, aggregate)
    if connection.vendor == "sqlite" and isinstance(aggregate.output_field, FloatField):
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


def _spread(aggregate: Any, connection: Any) -> Partial:
    """Variance and standard deviation from counts, sums and variances.

    Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances" (1979).
    """
    variance = _as(Variance, aggregate)
    variance.function = "VAR_POP"
    sample = aggregate.function.endswith("_SAMP")

    def combine(rows: list[Any]) -> Any:
        count, square = _squares(rows)
        if count <= sample:
            return None
        result = square / (count - sample)
        return _root(result) if isinstance(aggregate, StdDev) else result

    return Partial((_as(Count, aggregate), _as(Sum, aggregate), variance), combine)


def _squares(rows: list[Any]) -> tuple[int, Any]:
    """The number of values and the sum of their squared distances from the mean."""
    count, mean, square = 0, None, None
    for more, found, variance in rows:
        if not more:
            continue
        # The shard's own AVG may be rounded (MySQL's is); its SUM is not.
        other_mean = _exact(found) / more
        if mean is None or square is None:
            count, mean, square = more, other_mean, variance * more
            continue
        delta = other_mean - mean
        square = square + variance * more + _like(variance, delta * delta * count * more / (count + more))
        mean = mean + delta * more / (count + more)
        count += more
    return count, square


def _exact(value: Any) -> Any:
    """A number that loses nothing in the difference of two large means; infinity and NaN as they are."""
    return Fraction(value) if math.isfinite(value) else float(value)


def _like(variance: Any, value: Any) -> Any:
    if isinstance(variance, Decimal) and isinstance(value, Fraction):
        return Decimal(value.numerator) / Decimal(value.denominator)
    return float(value)


def _root(value: Any) -> Any:
    return value.sqrt() if isinstance(value, Decimal) else math.sqrt(value)


def _folded(function: Callable[[Any, Any], Any], *, empty_on_mysql: int | None = None) -> Split:
    """An aggregate of the shards' own values that are not NULL, taken together two by two."""

    def split(aggregate: Any, connection: Any) -> Partial:
        empty = empty_on_mysql if connection.vendor == "mysql" else None

        def combine(rows: list[Any]) -> Any:
            values = [value for (value,) in rows if value is not None]
            return reduce(function, values) if values else empty

        return Partial((aggregate,), combine)

    return split


class Templated(Value):
    """An expression inside an SQL template, such as MySQL's ``WEIGHT_STRING``."""

    def __init__(self, template: str, inner: Any) -> None:
        super().__init__(None, output_field=TextField())
        self.template, self.inner = template, inner
        self.contains_aggregate = inner.contains_aggregate

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        """The template around the expression."""
        sql, params = compiler.compile(self.inner)
        return self.template.replace("%s", sql, 1), params


def _as(kind: type, aggregate: Any) -> Any:
    """The same aggregate (source, filter, distinct) of another function."""
    other = aggregate.copy()
    other.__class__ = kind
    for stale in ("output_field", "function"):
        other.__dict__.pop(stale, None)
    return other


SPLIT: dict[type, Split] = {
    Count: _added,
    Sum: _sum,
    Avg: _avg,
    Min: _extreme(min),
    Max: _extreme(max),
    StdDev: _spread,
    Variance: _spread,
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
    if not isinstance(aggregate, Aggregate):
        return None
    if kind.__module__.startswith(("django.db.models.", "django.contrib.postgres.")):
        return SPLIT.get(kind) or SPLIT_BY_NAME.get(kind.__name__)
    return SPLIT.get(kind)

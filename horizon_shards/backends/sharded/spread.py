"""Variance and standard deviation over shards, from counts, sums and the shards' own."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

from django.db.models import BigIntegerField, Count, FloatField, Func, StdDev, Sum, Variance

from horizon_shards.backends.sharded.kinds import internal_type, output_field
from horizon_shards.backends.sharded.partials import Partial, of_kind, sources_of

#: What SQLite's whole numbers are taken apart by, so that neither part of a sum is beyond 64 bits.
HALF = 2**32


def spread(aggregate: Any, connection: Any) -> Partial:
    """Variance and standard deviation from counts, sums and variances.

    Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances" (1979).
    """
    kind = internal_type(output_field(sources_of(aggregate)[0]))
    of_sqlite = connection.vendor == "sqlite"
    sums = _halves(aggregate) if of_sqlite and _is_whole(kind) else (of_kind(Sum, aggregate),)
    # Django's VAR_POP on SQLite cannot say whole numbers beyond 64 bits; its STDDEV_POP gives a float.
    squared = of_sqlite and kind != "FloatField"
    distance = _population(StdDev if squared else Variance, aggregate)
    if connection.vendor == "mysql":
        distance.source_expressions = [_in_full(sources_of(aggregate)[0])]
    sample = aggregate.function.endswith("_SAMP")

    def combine(rows: list[Any]) -> Any:
        count, square = _squares([_plain(row, squared) for row in rows if row[0]])
        if count <= sample:
            return None
        result = square / (count - sample)
        return _root(result) if isinstance(aggregate, StdDev) else result

    return Partial((of_kind(Count, aggregate), *sums, distance), combine)


def _is_whole(kind: str) -> bool:
    return kind.endswith(("IntegerField", "AutoField"))


def _population(kind: type, aggregate: Any) -> Any:
    """The variance, or the standard deviation, of all values."""
    found = of_kind(kind, aggregate)
    found.function = "STDDEV_POP" if kind is StdDev else "VAR_POP"
    return found


def _in_full(source: Any) -> Any:
    """As floats: MariaDB shows variances of other numbers with few digits, though it computes with all."""
    return Func(source, template="(%(expressions)s + 0e0)", output_field=FloatField())


def _halves(aggregate: Any) -> tuple[Any, Any]:
    """Two sums, of the multiples of ``HALF`` and of the rest: SQLite's own SUM fails beyond 64 bits."""
    source = sources_of(aggregate)[0]
    multiple = f"CAST(%(expressions)s / {HALF} AS INTEGER)"
    rest = f"(%(expressions)s / {HALF} AS INTEGER) * {HALF})"
    return (
        _sum_of(Func(source, template=multiple, output_field=BigIntegerField()), aggregate),
        _sum_of(Func(source, source, template=rest, arg_joiner=" - CAST(", output_field=BigIntegerField()), aggregate),
    )


def _sum_of(expression: Any, aggregate: Any) -> Any:
    summed = of_kind(Sum, aggregate)
    summed.source_expressions = [expression]
    return summed


def _plain(row: Any, squared: bool) -> tuple[int, Any, Any]:
    """The number of a shard's values, their sum, and their variance."""
    count, *sums, distance = row
    found = sums[0] if len(sums) == 1 else _exact(sums[0]) * HALF + _exact(sums[1])
    return count, found, distance * distance if squared else distance


def _squares(rows: list[Any]) -> tuple[int, Any]:
    """The number of values and the sum of their squared distances from the mean."""
    count, mean, square = 0, None, None
    for more, found, variance in rows:
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

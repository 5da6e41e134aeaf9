"""What a shard gives of an aggregate, and how the parts of all shards are combined."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db.models import Aggregate, Avg, Count, Max, Min, StdDev, Sum, TextField, Value, Variance
from django.db.models.functions import Coalesce

from horizon_shards.backends.sharded.order import comparable
from horizon_shards.exceptions import QueryNotSupported

#: From the parts of all shards (a tuple a shard) to the value of the database, before Django's converters.
Combine = Callable[[list[Any]], Any]


class Converted:
    """A value that is Python's already: the converters of the database leave it alone."""

    def __init__(self, value: Any) -> None:
        self.value = value


class KeepsConverted:
    """Mixed into compilers whose rows may hold such values."""

    def apply_converters(self, rows: Any, converters: Any) -> Iterator[list[Any]]:
        """Django's converters, but for values that are Python's already."""
        for row in rows:
            done = {i: value.value for i, value in enumerate(row) if isinstance(value, Converted)}
            plain = [None if i in done else value for i, value in enumerate(row)]
            (converted,) = super().apply_converters([plain], converters)  # type: ignore[misc]
            yield [done.get(i, value) for i, value in enumerate(converted)]


@dataclass(frozen=True, slots=True)
class Partial:
    """The expressions that each shard computes for one aggregate, and what makes one value of them."""

    parts: tuple[Any, ...]
    combine: Combine


def partial_of(name: str, annotation: Any, connection: Any) -> Partial:
    """The partial of a selected expression; raises ``QueryNotSupported`` where it has none."""
    default: Any = None
    if isinstance(annotation, Coalesce):
        annotation, default = _without_default(annotation)
    # By exact class: a subclass may mean something else.
    split = SPLIT.get(type(annotation)) if isinstance(annotation, Aggregate) else None
    distinct = getattr(annotation, "distinct", False) and not isinstance(annotation, Min | Max)
    if split is None or distinct:
        raise QueryNotSupported(
            f"The aggregate {name!r} ({annotation!r}) over several shards is not supported: Count, Sum, Min, Max, Avg, "
            "StdDev and Variance are, without distinct and not inside another expression. Ask for those and compute "
            "the rest in Python, or filter by the shard key.",
            reason="aggregate",
        )
    partial = split(annotation, connection)
    return partial if default is None else Partial(partial.parts, _or_default(partial.combine, default))


def _without_default(coalesce: Any) -> tuple[Any, Any]:
    """The aggregate and the plain default of ``Sum(..., default=0)`` or ``Coalesce(Sum(...), 0)``."""
    aggregate, *rest = coalesce.get_source_expressions()
    if len(rest) == 1 and isinstance(rest[0], Value) and rest[0].value is not None:
        return aggregate, (coalesce, rest[0].value)
    return coalesce, None


def _or_default(combine: Combine, default: tuple[Any, Any]) -> Combine:
    coalesce, value = default
    field = coalesce.output_field

    def combined(rows: list[Any]) -> Any:
        result = combine(rows)
        return Converted(field.to_python(value)) if result is None else result

    return combined


def _count(aggregate: Any, connection: Any) -> Partial:
    return Partial((aggregate,), lambda rows: sum(value for (value,) in rows))


def _sum(aggregate: Any, connection: Any) -> Partial:
    return Partial((aggregate,), lambda rows: _total([value for (value,) in rows]))


def _total(values: list[Any]) -> Any:
    """The sum of what is not NULL; NULL where nothing is."""
    values = [value for value in values if value is not None]
    return sum(values[1:], values[0]) if values else None


def _avg(aggregate: Any, connection: Any) -> Partial:
    """The average as the total sum by the total count of values."""

    def combine(rows: list[Any]) -> Any:
        total = _total([value for value, _ in rows])
        return None if total is None else total / sum(count for _, count in rows)

    return Partial((_as(Sum, aggregate), _as(Count, aggregate)), combine)


def _extreme(best: Callable[..., Any]) -> Callable[[Any, Any], Partial]:
    def split(aggregate: Any, connection: Any) -> Partial:
        how = comparable(aggregate.get_source_expressions()[0], connection, what=type(aggregate).__name__)
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
    for more, total, variance in rows:
        if not more:
            continue
        # The shard's own AVG may be rounded (MySQL's is); its SUM is not.
        other_mean = type(variance)(total) / more
        if mean is None or square is None:
            count, mean, square = more, other_mean, variance * more
            continue
        delta = other_mean - mean
        square = square + variance * more + delta * delta * count * more / (count + more)
        mean = mean + delta * more / (count + more)
        count += more
    return count, square


def _root(value: Any) -> Any:
    return value.sqrt() if isinstance(value, Decimal) else math.sqrt(value)


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
    """The same aggregate (source, filter) of another function."""
    other = aggregate.copy()
    other.__class__ = kind
    for stale in ("output_field", "function"):
        other.__dict__.pop(stale, None)
    return other


SPLIT: dict[type, Callable[[Any, Any], Partial]] = {
    Count: _count,
    Sum: _sum,
    Avg: _avg,
    Min: _extreme(min),
    Max: _extreme(max),
    StdDev: _spread,
    Variance: _spread,
}

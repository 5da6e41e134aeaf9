"""What a shard gives of an aggregate, and sums and quotients as the database itself makes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from typing import Any

from django.db import OperationalError
from django.db.models import TextField, Value

from horizon_shards.backends.sharded.kinds import internal_type, output_field
from horizon_shards.exceptions import QueryNotSupported

#: From the parts of all shards (a tuple each) to the value of the database, before Django's converters.
Combine = Callable[[list[Any]], Any]
Split = Callable[[Any, Any], "Partial"]

#: More digits than any engine's numbers have: MySQL's 65, and what PostgreSQL can be asked for in a column.
EXACT = Context(prec=2_000)
#: How many digits behind the point MySQL computes at a time.
MYSQL_GROUP = 9


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


def of_kind(kind: type, aggregate: Any) -> Any:
    """The same aggregate (source, filter, distinct) of another function."""
    other = aggregate.copy()
    other.__class__ = kind
    for stale in ("output_field", "function"):
        other.__dict__.pop(stale, None)
    return other


def total(values: list[Any], connection: Any) -> Any:
    """The sum of what is not NULL; NULL where nothing is. Raises what SQLite does where it overflows."""
    values = [value for value in values if value is not None]
    if not values:
        return None
    with localcontext(EXACT):
        found = sum(values[1:], values[0])
    if connection.vendor == "sqlite" and type(found) is int and not -(2**63) <= found < 2**63:
        raise OperationalError("integer overflow")
    return found


def average(found: Any, count: int, source: Any, connection: Any, *, distinct: bool = False) -> Any:
    """The sum of ``source`` by the count, of the type and with as many digits as the database's AVG has."""
    if type(found) is int and connection.vendor != "sqlite":
        if internal_type(output_field(source)) == "DurationField":
            return _whole_microseconds(found, count, connection)
        found = Decimal(found)
    if not isinstance(found, Decimal):
        return found / count
    if connection.vendor == "mysql":
        return _quotient_of_mysql(found, count, is_cut=not distinct or connection.mysql_is_mariadb)
    return rounded(Fraction(found) / count, _postgresql_places(found, count))


def _quotient_of_mysql(found: Decimal, count: int, *, is_cut: bool) -> Decimal:
    """With ``div_precision_increment`` more digits; they are made nine at a time, the rest is cut off."""
    exact = Fraction(found) / count
    places = max(0, -int(found.as_tuple().exponent)) + 4
    unit = 10 ** (-(-places // MYSQL_GROUP) * MYSQL_GROUP)
    return rounded(Fraction(int(exact * unit), unit) if is_cut else exact, places)


def _whole_microseconds(found: int, count: int, connection: Any) -> int:
    """An average that Django casts to a whole number: MySQL takes the even one of two as near, MariaDB the greater."""
    exact = Fraction(found, count)
    return int(rounded(exact, 0)) if connection.mysql_is_mariadb else round(exact)


def rounded(exact: Fraction | Decimal, places: int) -> Decimal:
    """A number with so many digits behind the point, as databases round it."""
    with localcontext(EXACT):
        units = (abs(Fraction(exact)) * 10**places + Fraction(1, 2)).__floor__()
        return Decimal(-units if exact < 0 else units).scaleb(-places)


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


def of_group(template: str, connection: Any) -> str:
    """The template of a value that a group determines: MySQL does not see that it does, MariaDB never asks."""
    asks = connection.vendor == "mysql" and not connection.mysql_is_mariadb
    return f"ANY_VALUE({template})" if asks else template


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

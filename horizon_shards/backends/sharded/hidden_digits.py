"""Sums of what MySQL computes with more digits than it shows: a quotient's go into its sum."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any

from django.db.models import Aggregate, Avg, Case, Count, Func, Sum, When
from django.db.models.expressions import Col, CombinedExpression, ExpressionWrapper
from django.db.models.functions import Cast, Coalesce
from django.db.models.lookups import Lookup
from django.db.models.sql import Query

from horizon_shards.backends.sharded.collations import Hidden
from horizon_shards.backends.sharded.kinds import internal_type, output_field, source_of
from horizon_shards.backends.sharded.partials import (
    Partial,
    Templated,
    of_kind,
    rounded,
    sources_of,
    total,
)
from horizon_shards.backends.sharded.walk import below, nodes_in
from horizon_shards.exceptions import QueryNotSupported

#: All digits that MySQL has behind the point.
ALL = "CAST(%s AS DECIMAL(65, 30))"
#: What gives one of its values as it is.
CHOICES = (Case, Coalesce, ExpressionWrapper, When)


def has_hidden_digits(aggregate: Any, connection: Any) -> bool:
    """Whether an aggregate is of numbers that MySQL does not show whole: of a quotient, or of who knows what."""
    source = sources_of(aggregate)[0]
    if connection.vendor != "mysql" or internal_type(output_field(source)) in ("FloatField", "DurationField"):
        return False
    return type(aggregate) in (Sum, Avg) and _hides_digits(source)


def _hides_digits(node: Any) -> bool:
    if isinstance(node, Cast):  # has the digits of its type
        return False
    if isinstance(node, CombinedExpression) and node.connector == "/":
        return True
    is_unknown = isinstance(node, Query) or (isinstance(node, Func) and not type(node).__module__.startswith("django."))
    return is_unknown or any(map(_hides_digits, below(node)))


def check_shown_alone(node: Any, connection: Any) -> None:
    """Raise where ``node`` computes with a sum that MySQL does not show whole: nothing here knows its other digits."""
    if isinstance(node, Lookup):
        return
    if any(_gives(_is_rounded_average, source, connection) for source in below(node)):
        raise QueryNotSupported(
            "This MySQL computes with more digits of an Avg than of a quotient: computing with an Avg over several "
            "shards, but for comparing it, is not supported. Compute with it in Python, or with Sum and Count.",
            reason="aggregate",
        )
    if not isinstance(node, CHOICES) and any(_gives(has_hidden_digits, source, connection) for source in below(node)):
        raise QueryNotSupported(
            "On MySQL, computing with the Sum or Avg of a quotient over several shards is not supported: Cast() the "
            "quotient to a DecimalField, or compute with the sums in Python.",
            reason="aggregate",
        )


def _gives(is_hidden: Callable[[Any, Any], bool], node: Any, connection: Any) -> bool:
    """Whether the value of ``node`` is one of an aggregate that is hidden."""
    node = source_of(node)
    if isinstance(node, CHOICES):
        return any(_gives(is_hidden, source, connection) for source in below(node))
    return isinstance(node, Aggregate) and is_hidden(node, connection)


def _is_rounded_average(aggregate: Any, connection: Any) -> bool:
    """Whether a quotient that stands for an average would have fewer digits than that is computed with."""
    return _is_of_decimals(aggregate, connection) and _rounds(connection)


def _rounds(connection: Any) -> bool:
    return rounds_quotients(connection.alias, connection.settings_dict["NAME"], Hidden(connection))


@lru_cache(maxsize=256)
def rounds_quotients(alias: str, name: str, hidden: Hidden) -> bool:
    """Whether a MySQL computes with a quotient as it shows it: some of 9.7 do, MariaDB does not."""
    with hidden.connection.cursor() as cursor:
        cursor.execute("SELECT 1 / 3 * 3 < 1")
        return bool(cursor.fetchone()[0])


def _is_double(source: Any) -> bool:
    """Whether MySQL computes a float, and not one of the decimals that Django makes of a ``Cast()`` to a float."""
    nodes = list(nodes_in(source))
    is_of_float = any(isinstance(node, Col) and internal_type(output_field(node)) == "FloatField" for node in nodes)
    is_float = internal_type(output_field(source)) == "FloatField"
    return is_float and is_of_float and not any(isinstance(node, Cast) for node in nodes)


def as_quotient(aggregate: Any, connection: Any) -> Any:
    """An average as MySQL computes with it, or compares it: by more digits than it shows. None where it shows all."""
    if not _is_of_decimals(aggregate, connection):
        return None
    added = of_kind(Sum, aggregate)
    if _rounds(connection):
        added = Func(added, template=ALL.replace("%s", "%(expressions)s"), output_field=aggregate.output_field)
    return CombinedExpression(added, "/", of_kind(Count, aggregate), output_field=aggregate.output_field)


def _is_of_decimals(aggregate: Any, connection: Any) -> bool:
    """Whether this is an average of MySQL's whole numbers or decimals, and of no quotient."""
    if connection.vendor != "mysql" or type(aggregate) is not Avg:
        return False
    source = sources_of(aggregate)[0]
    is_duration = internal_type(output_field(source)) == "DurationField"
    return not (is_duration or _is_double(source) or has_hidden_digits(aggregate, connection))


def check_grouped_alike(aggregates: list[Any], connection: Any) -> None:
    """Raise where the shards would group what one database does not: MySQL rounds each value that it adds then."""
    if any(has_hidden_digits(aggregate, connection) for aggregate in aggregates):
        raise QueryNotSupported(
            "On MySQL the Sum or Avg of a quotient over several shards is not supported beside aggregates of distinct "
            "or ordered values, which would round it otherwise: ask for it in a query of its own, or Cast() the "
            "quotient to a DecimalField.",
            reason="aggregate",
        )


def whole_sum(aggregate: Any) -> Templated:
    """The sum of an aggregate's values with all digits."""
    return Templated(ALL, of_kind(Sum, aggregate))


def sum_of_whole(aggregate: Any, connection: Any) -> Partial:
    """The sum of the shards' sums, with as many digits as each of them shows."""

    def combine(rows: list[Any]) -> Any:
        return _shown([row[0] for row in rows], [row[1] for row in rows], 1, 0, connection)

    return Partial((aggregate, whole_sum(aggregate)), combine)


def average_of_whole(aggregate: Any, connection: Any) -> Partial:
    """The average out of the shards' sums and counts, with as many digits as each of their averages shows."""

    def combine(rows: list[Any]) -> Any:
        rows = [row for row in rows if row[0] is not None]
        count = sum(row[2] for row in rows)
        return _shown([row[0] for row in rows], [row[1] for row in rows], count, 4, connection)

    return Partial((of_kind(Sum, aggregate), whole_sum(aggregate), of_kind(Count, aggregate)), combine)


def _shown(sums: list[Any], whole: list[Any], count: int, more: int, connection: Any) -> Any:
    """The total by the count; ``more``: how many digits that has beyond those of the sums."""
    known = [value for value in sums if value is not None]
    if not known:
        return None
    if not isinstance(known[0], Decimal):  # what Django calls a decimal is a float here
        return total(known, connection) / (count if more else 1)
    places = max(0, -int(known[0].as_tuple().exponent)) + more
    return rounded(Fraction(total(whole, connection)) / count, places)

"""Aggregates whose single values have to travel: of distinct values, and of values in an order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from itertools import chain
from typing import Any

from django.db.models import Avg, Case, Count, Max, Min, StdDev, Sum, TextField, Value, Variance, When
from django.db.models.expressions import OrderBy
from django.db.models.functions import Cast

from horizon_shards.backends.sharded.equality import groupable
from horizon_shards.backends.sharded.kinds import TEXT, family_of, internal_type, output_field
from horizon_shards.backends.sharded.merge import SortColumn, sort_key
from horizon_shards.backends.sharded.order import comparable, nulls_first
from horizon_shards.backends.sharded.partials import (
    Partial,
    Split,
    Templated,
    average,
    condition_of,
    partial_of,
    sources_of,
    total,
)
from horizon_shards.backends.sharded.pushdown import names_its_shard
from horizon_shards.backends.sharded.selected import WHOLE
from horizon_shards.backends.sharded.splits import split_of
from horizon_shards.backends.sharded.tables import Tables
from horizon_shards.exceptions import QueryNotSupported


def partial_over(aggregate: Any, connection: Any, tables: Tables | None) -> Partial:
    """The partial of any aggregate of the query: by values apart where the shards' own results would not do.

    Without ``tables`` also where a value is on one shard only.
    """
    _check_numbers(aggregate)
    if type(aggregate).__name__ in COLLECTED:
        return partial_of(aggregate, connection, _collected)
    distinct = getattr(aggregate, "distinct", False) and not isinstance(aggregate, Min | Max)
    if distinct and not (tables and names_its_shard(sources_of(aggregate)[0], tables)):
        return partial_of(aggregate, connection, DISTINCT.get(type(aggregate)))
    return partial_of(aggregate, connection, split_of(aggregate))


def _check_numbers(aggregate: Any) -> None:
    """Raise for texts, which each database reads as numbers in its own way, and for times that Python cannot add."""
    if not isinstance(aggregate, Sum | Avg | StdDev | Variance):
        return
    family = family_of(sources_of(aggregate)[0])
    if family == "text" or (family == "time" and getattr(aggregate, "distinct", False)):
        raise QueryNotSupported(
            f"{aggregate!r} over several shards adds {family}s: Cast() them to numbers.", reason="aggregate"
        )


def _distinct(result: Any) -> Split:
    def split(aggregate: Any, connection: Any) -> Partial:
        source = sources_of(aggregate)[0]
        how = groupable(source, connection, what="DISTINCT")
        key = how.key or (lambda value: value)
        value = _where(aggregate, source)

        def combine(rows: list[Any]) -> Any:
            found = {key(row[-1]): row[0] for row in rows if row[0] is not None}
            return result(list(found.values()), source, connection)

        return Partial((), combine, (value,) if how.sql is None else (value, Templated(how.sql, value)))

    return split


def _where(aggregate: Any, source: Any) -> Any:
    """The values that pass the aggregate's filter, NULL for the rest."""
    condition = condition_of(aggregate)
    return source if condition is None else Case(When(condition, then=source), output_field=output_field(source))


def _total(values: list[Any], source: Any, connection: Any) -> Any:
    """The sum, of the type that the database's has: a decimal of MySQL's numbers, and of PostgreSQL's ``bigint``."""
    found = total(values, connection)
    kind = internal_type(output_field(source))
    is_big = kind.startswith(("Big", "PositiveBig"))
    is_decimal = kind in WHOLE if connection.vendor == "mysql" else is_big and connection.vendor != "sqlite"
    return Decimal(found) if is_decimal and found is not None else found


def _average(values: list[Any], source: Any, connection: Any) -> Any:
    """The average: SQLite's does not overflow where its sum does."""
    if not values:
        return None
    found = sum(values) if connection.vendor == "sqlite" else total(values, connection)
    return average(found, len(values), source, connection, distinct=True)


DISTINCT: dict[type, Split] = {
    Count: _distinct(lambda values, source, connection: len(values)),
    Sum: _distinct(_total),
    Avg: _distinct(_average),
}


def _collected(aggregate: Any, connection: Any) -> Partial:
    """Texts or elements in a row; without order and DISTINCT the shards' own results one after the other."""
    together = _joined(aggregate) if type(aggregate).__name__ == "StringAgg" else _listed
    terms = _order_terms(aggregate)
    if together is None:
        return partial_of(aggregate, connection, None)
    is_cut = connection.vendor == "mysql"  # which has no lists, only texts
    if terms or aggregate.distinct:
        partial = _one_by_one(aggregate, connection, together, terms)
    else:
        partial = (_until_cut if is_cut else _in_turn)(aggregate, together)
    return _cut(partial) if is_cut else partial


def _engine_may_refuse(connection: Any) -> bool:
    """Whether one database answers such aggregates in some forms only: the shards say then which."""
    names = ("supports_aggregate_order_by_clause", "supports_aggregate_distinct_multiple_argument")
    return not all(getattr(connection.features, name, True) for name in names)


def _in_turn(aggregate: Any, together: Any) -> Partial:
    """The shards' own results, one after the other."""

    def combine(rows: list[Any]) -> Any:
        parts = [part for (part,) in rows if part is not None]
        if together is _listed:
            return list(chain.from_iterable(parts)) or None
        return together(parts) if parts else None

    return Partial((aggregate,), combine)


def _until_cut(aggregate: Any, together: Any) -> Partial:
    """The shards' own texts one after the other, up to one that its shard has cut."""
    source = sources_of(aggregate)[0]
    length, count = Sum(Templated("LENGTH(%s)", source)), Count(source)
    length.filter = count.filter = aggregate.filter
    delimiter = len(together(["", ""]).encode())

    def combine(rows: list[Any]) -> Any:
        parts = []
        for part, bytes_of_all, values in rows:
            if part is not None:
                parts.append(part)
                if len(part.encode()) < bytes_of_all + delimiter * (values - 1):
                    break
        return together(parts) if parts else None

    return Partial((aggregate, length, count), combine)


def _cut(partial: Partial) -> Partial:
    """The text as MySQL leaves it: cut behind the last character within ``group_concat_max_len`` bytes."""
    limit = Templated("%s * 0 + @@group_concat_max_len", Count(Value(1)))

    def combine(rows: list[Any]) -> Any:
        found = partial.combine([row[:-1] for row in rows])
        return found and found.encode()[: int(rows[0][-1])].decode(errors="ignore")

    return replace(partial, parts=(*partial.parts, limit), combine=combine)


def _one_by_one(aggregate: Any, connection: Any, together: Any, terms: list[Any]) -> Partial:
    """By value and order, with how often each occurs."""
    source = sources_of(aggregate)[0]
    if together is not _listed and internal_type(output_field(source)) not in TEXT:
        source = Cast(source, TextField())
    how = comparable(source, connection, what="DISTINCT")
    apart = [source, source if how.sql is None else Templated(how.sql, source)]
    if connection.vendor in ("mysql", "sqlite"):
        # A collation groups texts that differ.
        apart.append(Templated("HEX(%s)", source))
    order = []
    for term in terms:
        by = comparable(term.expression, connection, what="Ordering")
        order.append(SortColumn(len(apart), term.descending, nulls_first(term, connection), by.key))
        apart.append(term.expression if by.sql is None else Templated(by.sql, term.expression))
    count = Count(Value(1))
    count.filter = aggregate.filter

    def combine(rows: list[Any]) -> Any:
        rows = [row for row in rows if row[-1] and (row[0] is not None or together is _listed)]
        if order:
            rows.sort(key=sort_key(order))
        values = list(
            _unique(rows, how.key) if aggregate.distinct else (row[0] for row in rows for _ in range(row[-1]))
        )
        return together(values) if values else None

    asked = (aggregate, count) if _engine_may_refuse(connection) else (count,)
    return Partial(asked, combine, tuple(apart))


def _unique(rows: list[Any], key: Any) -> Iterator[Any]:
    seen = set()
    for row in rows:
        identity = row[1] if key is None or row[1] is None else key(row[1])
        if identity not in seen:
            seen.add(identity)
            yield row[0]


def _listed(values: list[Any]) -> list[Any]:
    return values


def _joined(aggregate: Any) -> Any:
    """What joins texts by the aggregate's delimiter; None where that is no plain text."""
    delimiter = sources_of(aggregate)[-1]
    while not isinstance(delimiter, Value) and len(delimiter.get_source_expressions()) == 1:
        (delimiter,) = delimiter.get_source_expressions()
    return str(delimiter.value).join if isinstance(delimiter, Value) else None


def _order_terms(aggregate: Any) -> list[Any]:
    order_by = getattr(aggregate, "order_by", None)
    terms = [] if order_by is None else order_by.get_source_expressions()
    return [term if isinstance(term, OrderBy) else OrderBy(term) for term in terms]


COLLECTED = {"StringAgg", "ArrayAgg"}

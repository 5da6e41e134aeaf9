"""Windows whose frame takes in the rows that the order leaves equal to the row: its *peers*.

Frames of rows go to the row and cannot tell where its peers end. So the order is completed by the primary key, and a
second window over the peers alone has those on the other side of the row: ``SUM()`` of both is that of all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import NotSupportedError
from django.db.models import Count, Max, Min, Sum
from django.db.models.expressions import ExpressionList, OrderBy, OrderByList, RowRange, Star
from django.db.models.functions import FirstValue, LastValue, NthValue

from horizon_shards.backends.redshift.rendering import SQL

Bound = int | None


def with_peers(node: Any, compiler: Any, start: Bound, end: Bound) -> SQL:
    """A window from ``start`` to ``end``, of which 0 is the row with its peers; ``NotSupportedError`` if unknown."""
    source = node.source_expression
    write = _WRITTEN.get(type(source))
    if write is None or getattr(source, "distinct", False) or not _has_key(compiler.query):
        raise _no_such_frame()
    return write(node, compiler, start, end)


def _no_such_frame() -> NotSupportedError:
    return NotSupportedError(
        "Redshift has no window frame that ends with the rows which the order leaves equal. Say which rows you mean: "
        "frame=RowRange(start=None, end=0), or end the order_by with the primary key."
    )


# ---- what is written -------------------------------------------------------------------------------------------------


def _added(template: str) -> Callable[[Any, Any, Bound, Bound], SQL]:
    """Functions whose value of two sets of rows follows from that of each."""

    def write(node: Any, compiler: Any, start: Bound, end: Bound) -> SQL:
        if start == end == 0:
            return _compiled(_among_peers(node, compiler.query, None, None), compiler)
        near = _compiled(_ordered_by_key(node, compiler.query, start, end), compiler)
        beyond = (1, None) if end == 0 else (None, -1)
        far = _compiled(_among_peers(node, compiler.query, *beyond), compiler)
        return template.format(near[0], far[0]), (*near[1], *far[1]) * (template.count("{0}"))

    return write


def _first_or_last(node: Any, compiler: Any, start: Bound, end: Bound) -> SQL:
    """One of the peers, whichever the key puts there."""
    return _compiled(_among_peers(node, compiler.query, None, None), compiler)


def _nth(node: Any, compiler: Any, start: Bound, end: Bound) -> SQL:
    """That of the partition, where the frame has so many rows."""
    if start is not None:
        raise _no_such_frame()
    counted = node.copy()
    counted.source_expression = Count(Star())
    rows, rows_params = _WRITTEN[Count](counted, compiler, start, end)
    number, number_params = compiler.compile(node.source_expression.get_source_expressions()[1])
    value, value_params = _compiled(_ordered_by_key(node, compiler.query, None, None), compiler)
    return f"CASE WHEN {rows} >= {number} THEN {value} END", (*rows_params, *number_params, *value_params)


_WRITTEN: dict[type, Callable[[Any, Any, Bound, Bound], SQL]] = {
    Count: _added("({0} + {1})"),
    FirstValue: _first_or_last,
    LastValue: _first_or_last,
    Max: _added("GREATEST({0}, {1})"),
    Min: _added("LEAST({0}, {1})"),
    NthValue: _nth,
    # Nothing of a set without rows is added.
    Sum: _added("COALESCE({0} + {1}, {0}, {1})"),
}


# ---- windows ---------------------------------------------------------------------------------------------------------


def _compiled(node: Any, compiler: Any) -> SQL:
    sql, params = compiler.compile(node)
    return sql, tuple(params)


def _ordered_by_key(node: Any, query: Any, start: Bound, end: Bound) -> Any:
    """The window with an order that leaves no rows equal."""
    clone = node.copy()
    clone.order_by = OrderByList(*node.order_by.get_source_expressions(), *_key(query))
    clone.frame = RowRange(start=start, end=end)
    return clone


def _among_peers(node: Any, query: Any, start: Bound, end: Bound) -> Any:
    """The window over the rows that are equal to the row."""
    parted = node.partition_by.get_source_expressions() if node.partition_by is not None else []
    ordered = node.order_by.get_source_expressions()
    equal = [entry.expression if isinstance(entry, OrderBy) else entry for entry in ordered]
    clone = node.copy()
    clone.partition_by = ExpressionList(*parted, *equal)
    clone.order_by = OrderByList(*_key(query))
    clone.frame = RowRange(start=start, end=end)
    return clone


# ---- the key ---------------------------------------------------------------------------------------------------------


def _key(query: Any) -> list[OrderBy]:
    return [OrderBy(field.get_col(query.base_table)) for field in query.get_meta().pk_fields]


def _has_key(query: Any) -> bool:
    """Whether the rows of a query are those of its model, each once."""
    return query.group_by is None and query.model is not None and not repeated(query)


def repeated(query: Any) -> bool:
    """Whether a join may repeat rows of the base table."""
    joins = [join for alias, join in query.alias_map.items() if query.alias_refcount[alias] and join.parent_alias]
    return bool(query.extra_tables) or any(
        not (join.join_field.many_to_one or join.join_field.one_to_one) for join in joins
    )

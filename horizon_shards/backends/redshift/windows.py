"""Windows: Redshift wants the frame of an ordered one in so many words, and knows frames of rows only.

The standard's frame, which Django leaves unsaid, ends with the *peers* of the row: the rows that the order leaves
equal. A frame of rows means the same where no row has a peer, where all rows of the partition are peers, and where
peers change nothing: the greatest of what the order compares.
"""

from __future__ import annotations

from typing import Any

from django.db import NotSupportedError
from django.db.models import Field, Max, Min
from django.db.models.expressions import Col, OrderBy, RowRange, ValueRange
from django.db.models.functions import FirstValue, LastValue, NthValue


def framed(node: Any, query: Any, connection: Any) -> Any:
    """The window with a frame of rows that means what it says; raises ``NotSupportedError`` if there is none."""
    if isinstance(node.frame, ValueRange) and not node.frame.exclusion:
        start, end = node.frame.start.value, node.frame.end.value
        node.frame.window_frame_start_end(connection, start, end)  # raises where these are no bounds
    elif _needs_frame(node):
        start, end = None, 0
    else:
        return node
    clone = node.copy()
    # Without an order all rows are peers, and there is no frame to state.
    clone.frame = _rows(node, query, start, end) if node.order_by is not None else None
    return clone


def _needs_frame(node: Any) -> bool:
    """Whether Redshift asks for the frame of a window that states none."""
    source = node.source_expression
    wants = getattr(source, "contains_aggregate", False) or isinstance(source, (FirstValue, LastValue, NthValue))
    return node.order_by is not None and node.frame is None and wants


def _rows(node: Any, query: Any, start: int | None, end: int | None) -> RowRange:
    """The rows between the bounds; one that is 0 takes in the peers of the row."""
    ordered = _ordered(node)
    parted = node.partition_by.get_source_expressions() if node.partition_by is not None else []
    if all(expression in parted for expression in ordered):
        return RowRange(start=None, end=None)
    if start is end is None or _peers_change_nothing(node, [*ordered, *parted], start):
        return RowRange(start=start, end=end)
    if any(_is_unique(entry, query) for entry in ordered):
        return RowRange(start=start, end=end)
    raise NotSupportedError(
        "Redshift has no window frame that ends with the rows which the order leaves equal. Say which rows you mean: "
        "frame=RowRange(start=None, end=0), or end the order_by with the primary key."
    )


def _ordered(node: Any) -> list[Any]:
    entries = node.order_by.get_source_expressions() if node.order_by is not None else []
    return [entry.expression if isinstance(entry, OrderBy) else entry for entry in entries]


def _peers_change_nothing(node: Any, equal: list[Any], start: int | None) -> bool:
    """Whether a frame tells the same with the peers of its row and without; in all ``equal`` they are as the row is."""
    source = node.source_expression
    if isinstance(source, FirstValue) and start is None:
        return True  # the first row of the frame is the same, whichever way it ends
    if not isinstance(source, (FirstValue, LastValue, Max, Min)) or getattr(source, "filter", None):
        return False
    return source.get_source_expressions()[0] in equal


def _is_unique(expression: Any, query: Any) -> bool:
    """Whether an expression has another value in each row: a key of the base table, which no join repeats."""
    if not isinstance(expression, Col) or expression.alias != query.base_table:
        return False
    target: Field[Any, Any] = expression.target
    return (target.primary_key or (target.unique and not target.null)) and not any(map(_repeats, _joins(query)))


def _joins(query: Any) -> list[Any]:
    return [
        join.join_field for alias, join in query.alias_map.items() if query.alias_refcount[alias] and join.parent_alias
    ]


def _repeats(field: Any) -> bool:
    return not (field.many_to_one or field.one_to_one)

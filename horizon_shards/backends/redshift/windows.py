"""Windows: Redshift wants the frame of an ordered one in so many words, and knows frames of rows only.

The standard's frame, which Django leaves unsaid, ends with the *peers* of the row: the rows that the order leaves
equal. A frame of rows means the same where no row has a peer, or where all rows of the partition are peers.
"""

from __future__ import annotations

from typing import Any

from django.db import NotSupportedError
from django.db.models import Field
from django.db.models.expressions import Col, OrderBy, RowRange
from django.db.models.functions import FirstValue, LastValue, NthValue


def needs_frame(node: Any) -> bool:
    """Whether Redshift asks for the frame of a window that states none."""
    source = node.source_expression
    framed = getattr(source, "contains_aggregate", False) or isinstance(source, (FirstValue, LastValue, NthValue))
    return node.order_by is not None and node.frame is None and framed


def with_frame(node: Any, query: Any) -> Any:
    """The window with the frame that means what it means without one; raises ``NotSupportedError`` if there is none."""
    clone = node.copy()
    clone.frame = RowRange(start=None, end=_end(node, query))
    return clone


def _end(node: Any, query: Any) -> int | None:
    entries = node.order_by.get_source_expressions()
    ordered = [entry.expression if isinstance(entry, OrderBy) else entry for entry in entries]
    parted = node.partition_by.get_source_expressions() if node.partition_by is not None else []
    if all(expression in parted for expression in ordered):
        return None
    # The first row of a frame is the same, whichever way it ends.
    if isinstance(node.source_expression, FirstValue) or any(_is_unique(entry, query) for entry in ordered):
        return 0
    raise NotSupportedError(
        "Redshift has no window frame that ends with the rows which the order leaves equal. Say which rows you mean: "
        "frame=RowRange(start=None, end=0), or end the order_by with the primary key."
    )


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

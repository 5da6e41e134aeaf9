"""Windows: Redshift wants the frame of an ordered one in so many words, and knows frames of rows only.

The standard's frame, which Django leaves unsaid, ends with the *peers* of the row: the rows that the order leaves
equal. A frame of rows means the same where no row has a peer, where all rows of the partition are peers, and where
peers change nothing: the greatest of what the order compares. Elsewhere :mod:`.peers` looks at them by a second window.
"""

from __future__ import annotations

from typing import Any

from django.db.models import Field, Max, Min
from django.db.models.expressions import Col, OrderBy, RowRange, ValueRange
from django.db.models.functions import FirstValue, LastValue, NthValue

from horizon_shards.backends.redshift.peers import repeated, with_peers
from horizon_shards.backends.redshift.rendering import SQL


def window_sql(node: Any, compiler: Any, connection: Any) -> SQL:
    """The window with frames of rows that mean what it says; raises ``NotSupportedError`` if there are none."""
    bounds = _bounds(node, connection)
    if bounds is None:
        return node.as_sql(compiler, connection)  # type: ignore[no-any-return]
    clone = node.copy()
    clone.frame = None  # without an order all rows are peers, and there is no frame to state
    if node.order_by is not None:
        clone.frame = _rows(node, compiler.query, *bounds)
        if clone.frame is None:
            return with_peers(node, compiler, *bounds)
    return clone.as_sql(compiler, connection)  # type: ignore[no-any-return]


def _bounds(node: Any, connection: Any) -> tuple[int | None, int | None] | None:
    """Start and end of a frame that takes in peers; None where Redshift can do with what is there."""
    if isinstance(node.frame, ValueRange) and not node.frame.exclusion:
        start, end = node.frame.start.value, node.frame.end.value
        node.frame.window_frame_start_end(connection, start, end)  # raises where these are no bounds
        return start, end
    return (None, 0) if _needs_frame(node) else None


def _needs_frame(node: Any) -> bool:
    """Whether Redshift asks for the frame of a window that states none."""
    source = node.source_expression
    wants = getattr(source, "contains_aggregate", False) or isinstance(source, (FirstValue, LastValue, NthValue))
    return node.order_by is not None and node.frame is None and wants


def _rows(node: Any, query: Any, start: int | None, end: int | None) -> RowRange | None:
    """The rows between the bounds, of which one that is 0 takes in the peers of the row; None if there are none."""
    ordered = _ordered(node)
    parted = node.partition_by.get_source_expressions() if node.partition_by is not None else []
    if all(expression in parted for expression in ordered):
        return RowRange(start=None, end=None)
    if start is end is None or _peers_change_nothing(node, [*ordered, *parted], start, end):
        return RowRange(start=start, end=end)
    if any(_is_unique(entry, query) for entry in ordered):
        return RowRange(start=start, end=end)
    return None


def _ordered(node: Any) -> list[Any]:
    entries = node.order_by.get_source_expressions() if node.order_by is not None else []
    return [entry.expression if isinstance(entry, OrderBy) else entry for entry in entries]


def _peers_change_nothing(node: Any, equal: list[Any], start: int | None, end: int | None) -> bool:
    """Whether a frame tells the same with the peers of its row and without; in all ``equal`` they are as the row is."""
    source = node.source_expression
    if (isinstance(source, FirstValue) and start is None) or (isinstance(source, LastValue) and end is None):
        return True  # the row at that end of the frame is the same, whichever way the other ends
    if not isinstance(source, (FirstValue, LastValue, Max, Min)) or getattr(source, "filter", None):
        return False
    return source.get_source_expressions()[0] in equal


def _is_unique(expression: Any, query: Any) -> bool:
    """Whether an expression has another value in each row: a key of the base table, which no join repeats."""
    if not isinstance(expression, Col) or expression.alias != query.base_table:
        return False
    target: Field[Any, Any] = expression.target
    return (target.primary_key or (target.unique and not target.null)) and not repeated(query)

"""The shape of a query: all that its plan depends on, but for the shards that its values name.

Queries of one shape, on the same shards, have one plan, which the first of them made. What a shape holds is what
:mod:`~horizon_shards.backends.sharded.planner` reads: tables, raw SQL, and everything of the queries inside.
"""

from __future__ import annotations

from typing import Any

from django.db.models.expressions import Col, Window
from django.db.models.lookups import Lookup
from django.db.models.sql import Query
from django.db.models.sql.where import NothingNode, WhereNode

from horizon_shards.backends.sharded.plan import Operation
from horizon_shards.backends.sharded.shape_keys import KNOWN, SUMMARIES, UnknownShapeError, key_of
from horizon_shards.backends.sharded.tables import Tables
from horizon_shards.backends.sharded.walk import VOLATILE, below, extra_of, parts_of, raw_of
from horizon_shards.placement import Placement

Placements = dict[str, Placement]


class Shape:
    """What the plan of a query depends on (``name``), and whether its condition may also name shards (``tells``)."""

    __slots__ = ("is_read", "name", "nests", "tells")

    def __init__(self, query: Any, tables: Tables, operation: Operation) -> None:
        self.is_read = operation == "select"
        self.tells = self.nests = False
        self.name: list[Any] = [tables.base, query.model, operation, *tables.by_alias.items()]
        self.name.extend(extra_of(query))
        for part in parts_of(query):
            # Only of the condition's columns the values may name shards.
            self._take(part, tables.by_alias, tables.by_alias if part is query.where else {})

    def _take(self, part: Any, outer: Placements, telling: Placements) -> None:
        """Take up a condition or an expression; whole, where there is a query inside."""
        self.nests = False
        self._look(part, telling)
        if self.nests:
            self.name.append(key_of(part, frozenset(outer)))

    def _look(self, node: Any, telling: Placements) -> None:
        kind = type(node)
        if kind is Col:
            self._column(node, telling)
            return
        if (kind not in KNOWN or getattr(node, "extra", None)) and not self._special(node):
            return
        if kind in SUMMARIES:
            telling = {alias: placement for alias, placement in telling.items() if placement.pk_repeats}
        for one in node.children if kind is WhereNode else below(node):
            self._look(one, telling)

    def _column(self, column: Any, telling: Placements) -> None:
        placement = telling.get(column.alias)
        if placement is None or column.target.column not in placement.telling_columns:
            return
        if placement.pk_repeats and column.target.primary_key:
            raise UnknownShapeError  # refused over several shards
        self.tells = True

    def _special(self, node: Any) -> bool:
        """Note what the planner looks at; whether to go on below."""
        if isinstance(node, Lookup):
            return True
        if isinstance(node, Query):
            self.nests = True
            return False
        self.name.extend(raw_of(node))
        if isinstance(node, NothingNode):
            self.tells = True
        elif not self.is_read and (isinstance(node, Window) or type(node).__name__ in VOLATILE):
            raise UnknownShapeError  # what a write may hold of these is looked at each time
        return True


def shape_of(query: Query, tables: Tables, operation: Operation) -> Shape | None:
    """The shape of a query; None where it has to be looked at as a whole, each time."""
    base = tables.base
    # The models of a migration are made anew each time: remembering them would keep them alive.
    if base is not None and base.group.placements.get(base.model) is not base:
        return None
    if getattr(query, "related_updates", None):  # values that are no part of the query itself
        return None
    try:
        return Shape(query, tables, operation)
    except UnknownShapeError:
        return None

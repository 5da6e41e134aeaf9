"""The columns of a join that leaves, and the far rows that were found by key."""

from __future__ import annotations

from typing import Any

from django.db.models.expressions import Col
from django.db.models.sql.where import AND

from horizon_shards import context
from horizon_shards.backends.sharded.bound import BoundIn
from horizon_shards.backends.sharded.foreign import CHUNK
from horizon_shards.backends.sharded.leaving import Edge, refusal
from horizon_shards.backends.sharded.steps import rows_of
from horizon_shards.backends.sharded.units import ManyStep, where


class FarColumn(Col):
    """Stands for an expression on far rows: selects the column of the join, by which they are found."""

    def __init__(self, edge: Edge, expression: Any) -> None:
        super().__init__(edge.home.alias, edge.home.target, edge.home.output_field)
        self.edge = edge
        self.expression = expression


class Attachment:
    """The far columns of one join, and the rows that were found by key."""

    def __init__(self, edge: Edge, many: ManyStep | None, *, drops: bool) -> None:
        self.edge = edge
        self.many = many
        #: Whether rows without a far one are left out.
        self.drops = drops
        self.expressions: list[Any] = []
        #: The names of ``extra()`` columns, with their place among the expressions.
        self.extra: dict[str, int] = {}
        self.found: dict[Any, list[Any]] = {}
        #: Which terms of the order are of this join, and the places of their values among the expressions.
        self.sorted_by: list[int] = []
        self.sort_places: list[int] = []

    def add(self, expression: Any) -> FarColumn:
        """Fetch one more expression."""
        self.expressions.append(expression)
        if self.many is not None:
            self.many.query.select += (expression,)
        return FarColumn(self.edge, expression)

    @property
    def is_placed(self) -> bool:
        """Whether some column of the rows stands for a far one."""
        return len(self.sort_places) < len(self.expressions)

    def sort_by(self, number: int, expression: Any) -> None:
        """Fetch what term ``number`` of the order compares."""
        self.sorted_by.append(number)
        self.sort_places.append(len(self.expressions))
        self.add(expression)

    def load(self, keys: set[Any]) -> None:
        """Fetch the far rows of these keys in one query."""
        if self.many is not None:
            self.found = self.many.counts
            return
        if missing := keys - self.found.keys() - {None}:
            chosen = where(AND, BoundIn(self.edge.far, missing))
            # A row that a shard left out would look as if it did not exist.
            with context.whole_results():
                for key, *columns in rows_of(self.edge.far_query(chosen, self.edge.far, *self.expressions)):
                    self.found[key] = [columns]

    def check_spelling(self, keys: set[Any]) -> None:
        """Raise where a text that was not found may be equal, to the database, to one that was."""
        if any(isinstance(key, str) for key in keys - self.found.keys()):
            raise refusal(self.edge, "is joined by texts, which the database may call equal though they differ in case")

    def rows(self, key: Any) -> list[Any]:
        """The far columns of each far row of a key; of none, NULLs where the row stays."""
        found = self.found.get(key)
        if found is not None:
            return found
        if self.drops:
            return []
        if not all(isinstance(expression, Col) for expression in self.expressions):
            raise refusal(self.edge, "has no row for some, of which an expression on it would have to be computed")
        return [[None] * len(self.expressions)]

    def __str__(self) -> str:
        label, name = self.edge.model._meta.label, self.edge.far.target.name
        return f"join: {len(self.expressions)} column(s) of {label} by {name!r}, {CHUNK} rows at a time"

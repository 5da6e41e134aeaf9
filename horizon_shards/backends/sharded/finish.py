"""Expressions over the values of groups, computed by the database itself: one small statement for many groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.core.exceptions import FullResultSet
from django.db.models import IntegerField, Value

from horizon_shards.backends.sharded.constants import Column, batches, table_of
from horizon_shards.backends.sharded.layout import GIVEN, Layout, column_name, places_in, plain_default

Row = Sequence[Any]
#: What the number of a group among those of a statement is.
NUMBER = Value(0, output_field=IntegerField())
#: Runs one statement on a shard.
Ask = Callable[[str, Sequence[Any]], list[Row]]


class Finish:
    """What is computed of the combined values, and the condition (HAVING) that a group has to satisfy."""

    def __init__(self, layout: Layout, condition: Any, compiler: Any) -> None:
        self.layout = layout
        self.compiler = compiler
        self.connection = compiler.connection
        last = layout.finished if layout.keys else [*layout.finished, *layout.constants]
        self.expressions = [(position, expression, compiler.selected_sql(expression)) for position, expression in last]
        self.condition = condition
        self.test = None if condition is None else self._test(condition)

    def _test(self, condition: Any) -> tuple[str, tuple[Any, ...]] | None:
        """The SQL of the condition; None where every group satisfies it. Raises ``EmptyResultSet`` where none does."""
        try:
            sql, params = self.compiler.compile(condition)
        except FullResultSet:
            return None
        return f"CASE WHEN {sql} THEN 1 ELSE 0 END", tuple(params)

    def steps(self) -> tuple[str, ...]:
        """What is computed, in words."""
        computed = f"{len(self.expressions)} expression(s) computed by one shard of the combined values"
        return (*([computed] if self.expressions else []), *(["HAVING"] if self.test else []))

    def apply(self, groups: list[list[Any]], ask: Ask) -> list[list[Any]]:
        """The groups with all values, those that satisfy the condition."""
        if self.test is not None:
            return self._asked(groups, ask, self.expressions)
        missing = [entry for entry in self.expressions if not _take_over(groups, *entry[:2])]
        return self._asked(groups, ask, missing) if missing else groups

    def _asked(self, groups: list[list[Any]], ask: Ask, missing: list[Any]) -> list[list[Any]]:
        """Send the values that are needed, a few hundred groups at a time."""
        wanted = [expression for _, expression, _ in missing] + ([self.condition] if self.test else [])
        positions = sorted({position for expression in wanted for position in places_in(expression)})
        columns = [Column(column_name(position), self.layout.expressions[position]) for position in positions]
        columns.append(Column("n", NUMBER))
        selected = [sql for _, _, sql in missing] + ([self.test] if self.test else [])
        params = [param for _, more in selected for param in more]
        kept = []
        for batch in batches(groups, len(columns), self.connection, taken=len(params)):
            rows = [[*(group[p] for p in positions), number] for number, group in enumerate(batch)]
            table, values = table_of(rows, columns, self.connection)
            listed = ", ".join([f"{GIVEN}.n", *(sql for sql, _ in selected)])
            statement = f"SELECT {listed} FROM ({table}) {GIVEN}"  # noqa: S608
            for number, *found in ask(statement, [*params, *values]):
                group = batch[number]
                for (position, _, _), value in zip(missing, found, strict=False):
                    group[position] = value
                if self.test is None or found[-1]:
                    kept.append(group)
        return kept


def _take_over(groups: list[list[Any]], position: int, expression: Any) -> bool:
    """Whether no database is needed: of an aggregate with a default, none is NULL."""
    aggregate = plain_default(expression)
    if aggregate is None or any(group[aggregate.position] is None for group in groups):
        return False
    for group in groups:
        group[position] = group[aggregate.position]
    return True

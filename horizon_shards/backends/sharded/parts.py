"""The parts of a union, intersection or difference: how their rows compare, and what each is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from django.db.models import BinaryField
from django.db.models.expressions import Col, Value

from horizon_shards import context
from horizon_shards.backends.sharded.collations import collation_of, database_collation
from horizon_shards.backends.sharded.equality import equatable
from horizon_shards.backends.sharded.keys import sqlite_value
from horizon_shards.backends.sharded.kinds import TEXT, columns_of, internal_type, output_field
from horizon_shards.backends.sharded.merge import SortColumn, sort_key, too_many_rows
from horizon_shards.backends.sharded.mysql_collations import mysql_collation
from horizon_shards.backends.sharded.order import Comparable
from horizon_shards.backends.sharded.partials import Templated
from horizon_shards.backends.sharded.tables import Tables
from horizon_shards.exceptions import QueryNotSupported
from horizon_shards.placement import placement_of

Row = Sequence[Any]
INTEGERS = "IntegerField"


class Part:
    """One part: its query, its columns (one a value of a row), and where the values stand that are only compared."""

    def __init__(self, query: Any, logical: Any) -> None:
        self.query = query
        self.logical = logical
        self.leaves: list[Any] = list(_leaves(query))
        selects = [_select(leaf, logical) for leaf in self.leaves]
        self.aliases: list[str | None] = [alias for _, alias in selects[0]]
        #: The columns of each plain query inside.
        self.columns = [[column for column, _ in select] for select in selects]
        self.added = 0

    @property
    def width(self) -> int:
        """How many values a row has, without those added here."""
        return len(self.columns[0])

    def add(self, index: int, template: str) -> int:
        """Select the value that a column is compared by; returns where it stands."""
        position = self.width + self.added
        self.added += 1
        for leaf, columns in zip(self.leaves, self.columns, strict=True):
            weight = Templated(template, columns[index])
            weight.output_field = BinaryField()
            leaf.add_annotation(weight, f"__compared{position}")
        return position

    def can_sort(self, indexes: Sequence[int]) -> bool:
        """Whether it can be sorted by these columns, and so cut, where it runs."""
        query = self.query
        if query.combinator or query.is_sliced or query.distinct_fields or query.group_by is not None:
            return False
        return all(isinstance(self.columns[0][index], Col) for index in indexes)

    def sort(self, order: Sequence[tuple[Any, int]], high: int | None) -> None:
        """Have the shards sort, and cut where the first ``high`` rows are all that can be wanted."""
        self.query.clear_ordering(force=True)
        terms = []
        for term, index in order:
            terms.append(term.copy())
            terms[-1].set_source_expressions([self.columns[0][index]])
        self.query.add_ordering(*terms)
        if high is not None:
            self.query.set_limits(0, high)

    @property
    def is_one_table(self) -> bool:
        """Whether no join can repeat a row."""
        return sum(1 for count in self.query.alias_refcount.values() if count) <= 1

    def rows(self, order: Sequence[SortColumn], chunked: bool, chunk_size: int) -> Iterator[Row]:
        """Run by a plan of its own when a row is asked for; sorted here by ``order``, empty where the shards sort."""
        rows = self._run(chunked, chunk_size)
        yield from _sorted(rows, order, self.logical.group.config.max_rows) if order else rows

    def _run(self, chunked: bool, chunk_size: int) -> Iterator[Row]:
        with context.whole_results():
            compiler = self.query.get_compiler(connection=self.logical)
        if hasattr(compiler, "keeps_compared"):
            compiler.keeps_compared = True
        # The combined query has been allowed, or warned of.
        with context.allow_scatter(), context.whole_results():
            chunks = compiler.execute_sql(chunked_fetch=chunked, chunk_size=chunk_size)
        for chunk in chunks:
            yield from chunk


def _leaves(query: Any) -> Iterator[Any]:
    """The plain queries inside, in order."""
    if not query.combinator:
        yield query
    for part in query.combined_queries if query.combinator else ():
        yield from _leaves(part)


def _select(leaf: Any, logical: Any) -> list[tuple[Any, str | None]]:
    """The columns that a query selects, composite keys as their parts, with their aliases."""
    lead = logical.lead
    compiler = lead.ops.compiler("SQLCompiler")(leaf, lead, lead.alias)
    compiler.setup_query()
    # select_related() has joined by now.
    Tables(leaf, logical.alias)
    found: list[tuple[Any, str | None]] = []
    for expression, _, alias in compiler.select:
        found.extend((column, alias) for column in columns_of(expression))
    return found


def _sorted(rows: Iterator[Row], order: Sequence[SortColumn], max_rows: int) -> Iterator[Row]:
    kept = list(islice(rows, max_rows + 1))
    if len(kept) > max_rows:
        raise too_many_rows(max_rows, "rows of one part")
    return iter(sorted(kept, key=sort_key(order)))


class Columns:
    """The columns of all parts together."""

    def __init__(self, parts: Sequence[Part], connection: Any, name: str) -> None:
        self.parts = parts
        self.connection = connection
        self.name = name
        if len({len(columns) for part in parts for columns in part.columns}) > 1:
            raise self._refusal("parts that do not select the same number of columns")

    def compared(self, index: int, how: Any) -> tuple[int, Any]:
        """Where a column's value to compare stands, and the key to compare it by; ``how`` is what knows."""
        what = f"{self.name}()"
        expressions = [columns[index] for part in self.parts for columns in part.columns]
        if len({_kind(expression) for expression in expressions} - {None}) > 1:
            return index, self._of_any_type(expressions)
        if len({_collation(expression, self.connection) for expression in expressions}) > 1:
            raise self._refusal("texts in different collations")
        expressions.sort(key=lambda expression: isinstance(expression, Value))
        expression = next((found for found in expressions if _kind(found)), expressions[0])
        if _kind(expression) is None:
            return index, None
        found: Comparable = how(expression, self.connection, what=what)
        if found.sql is None:
            return index, found.key
        if any(leaf.select_related for part in self.parts for leaf in part.leaves):
            # Django selects related columns after whatever is added.
            raise self._refusal("rows with select_related(), compared by text,")
        (position,) = {part.add(index, found.sql) for part in self.parts}
        return position, found.key

    def _of_any_type(self, expressions: Sequence[Any]) -> Any:
        """SQLite compares values of any type; servers would convert them first."""
        collations = {_collation(expression, self.connection) for expression in expressions}
        if self.connection.vendor == "sqlite" and collations <= {None, "BINARY"}:
            return sqlite_value
        raise self._refusal("columns of different types")

    def _refusal(self, what: str) -> QueryNotSupported:
        return QueryNotSupported(
            f"{self.name}() over several shards of {what} is not supported: give all parts the same values(), "
            "each column of one type (Cast()), or combine the results in Python.",
            reason="combinator",
        )

    def check_types(self) -> None:
        """Raise where a server would convert the values of a column to a common type, or Django to the first one."""
        unlike = {"text", INTEGERS, "FloatField"} if self.connection.vendor == "sqlite" else set()
        for index in range(self.parts[0].width):
            kinds = {_kind(columns[index]) for part in self.parts for columns in part.columns} - {None}
            if len(kinds) > 1 and not kinds <= unlike:
                raise self._refusal("columns of different types")

    def identity(self) -> tuple[tuple[int, Any], ...]:
        """What rows are the same by: the primary key where it tells the rest of the row, else all columns."""
        indexes = self.indexes_of_pk() or range(self.parts[0].width)
        return tuple(self.compared(index, equatable) for index in indexes)

    def indexes_of_pk(self) -> list[int]:
        """The positions of the primary key where every part selects the same columns of one table's row."""
        leaves = [leaf for part in self.parts for leaf in part.leaves]
        placement = placement_of(leaves[0].model)
        if placement is None or placement.pk_repeats or any(leaf.group_by is not None for leaf in leaves):
            return []
        selected = {_own_fields(leaf, columns) for leaf, columns in self._by_leaf()}
        if len(selected) > 1:
            return []
        (fields,) = selected
        opts = placement.model._meta
        wanted: Sequence[Any] = getattr(opts, "pk_fields", [opts.pk])
        if None in fields or not set(wanted) <= set(fields):
            return []
        return [fields.index(field) for field in wanted]

    def _by_leaf(self) -> Iterator[tuple[Any, list[Any]]]:
        for part in self.parts:
            yield from zip(part.leaves, part.columns, strict=True)


def _own_fields(leaf: Any, columns: Sequence[Any]) -> tuple[Any, ...]:
    """The selected fields of the query's own model; None for other columns, but for those of select_related()."""
    fields = [_own_field(column, leaf) for column in columns]
    while leaf.select_related and not leaf.annotation_select and fields and fields[-1] is None:
        fields.pop()
    return tuple(fields)


def _own_field(column: Any, leaf: Any) -> Any:
    """The field of the query's own model that a column is; None for anything else."""
    if not isinstance(column, Col) or column.alias != leaf.get_initial_alias():
        return None
    return column.target if column.target.model._meta.concrete_model is leaf.model._meta.concrete_model else None


def _kind(expression: Any) -> str | None:
    """The type that a server gives a column, roughly; None for NULL, which is of any type."""
    if isinstance(expression, Value) and expression.value is None and not isinstance(expression, Templated):
        return None
    kind = internal_type(output_field(expression))
    if kind in TEXT:
        return "text"
    return INTEGERS if kind.endswith(("IntegerField", "AutoField")) else kind


def _collation(expression: Any, connection: Any) -> str | None:
    """The collation of a text; None for others."""
    if _kind(expression) != "text":
        return None
    if connection.vendor == "mysql":  # where a literal takes on any other's
        is_literal = isinstance(expression, Value)
        return database_collation(connection) if is_literal else mysql_collation(expression, connection)
    return collation_of(expression, connection)

"""The values of a group: what the shards are asked for, what is combined here, what the database computes last."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.db.models import Aggregate, Count, Value
from django.db.models.expressions import Col, Expression, ExpressionWrapper, Ref, SQLiteNumericMixin
from django.db.models.functions import Coalesce, Random
from django.db.models.sql import Query

from horizon_shards.backends.sharded.apart import partial_over
from horizon_shards.backends.sharded.collations import explicit_collation
from horizon_shards.backends.sharded.equality import check_shown_as_stored, groupable
from horizon_shards.backends.sharded.hidden_digits import as_quotient, check_grouped_alike, check_shown_alone
from horizon_shards.backends.sharded.kinds import internal_type, output_field, source_of, takes_apart
from horizon_shards.backends.sharded.partials import Partial, Templated, of_group
from horizon_shards.backends.sharded.tables import Tables
from horizon_shards.backends.sharded.walk import below, nodes_in
from horizon_shards.exceptions import QueryNotSupported

Row = Sequence[Any]

#: The alias of the table of values in the last statement.
GIVEN = "given"


class Placed(SQLiteNumericMixin, Expression):
    """A value of the group, in an expression that the database computes of such values."""

    def __init__(self, position: int, source: Any) -> None:
        super().__init__(output_field=output_field(source))
        self.position = position
        self.source = source

    @property
    def empty_result_set_value(self) -> Any:
        """What Django takes for the value of an aggregate whose condition can never hold."""
        return self.source.empty_result_set_value

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        """The column of the table of values; raises ``EmptyResultSet`` where the aggregate itself would."""
        if isinstance(self.source, Aggregate):
            compiler.compile(self.source)
        column = f"{GIVEN}.{column_name(self.position)}"
        explicit = explicit_collation(self.source) if connection.vendor == "postgresql" else None
        return column if explicit is None else f"({column} COLLATE {connection.ops.quote_name(explicit)})", ()


def part_name(place: int) -> str:
    """The name of what each shard selects at a place."""
    return f"__part{place}"


def column_name(position: int) -> str:
    """The column that holds the values of one position."""
    return f"v{position}"


class Layout:
    """Where the values of a group stand, by expression, and how each comes about."""

    def __init__(self, connection: Any, tables: Tables | None, named: Iterable[Any] = ()) -> None:
        self.connection = connection
        self.tables = tables
        #: What the query groups by as a whole, whatever columns it is made of.
        self.named = list(named)
        #: What stands at each position.
        self.expressions: list[Any] = []
        #: What each shard selects, and by which of it groups.
        self.asked: list[Any] = []
        self.grouped: list[Any] = []
        self.aggregates: list[tuple[int, Any]] = []
        #: Places in a shard's row of values that only tell partial groups apart.
        self.apart: list[int] = []
        #: By place in a shard's row: what tells partial groups apart, and which values to take over.
        self.keys: list[tuple[int, Any]] = []
        self.taken: list[tuple[int, int]] = []
        #: Of one value for all groups; where nothing is grouped by, a shard may have no row that says it.
        self.constants: list[tuple[int, Any]] = []
        self.computed: list[tuple[int, tuple[int, ...], Partial]] = []
        self.finished: list[tuple[int, Any]] = []

    def position(self, expression: Any) -> int:
        """Where the value of an expression stands, taken up where it is new."""
        expression = source_of(expression)
        for position, known in enumerate(self.expressions):
            if type(known) is type(expression) and known == expression:
                return position
        check_shown_as_stored(expression)
        position = self._new(expression)
        if isinstance(expression, Aggregate):
            self.aggregates.append((position, expression))
        elif expression.contains_aggregate:
            self.finished.append((position, self._with_default(expression) or self.placed(expression)))
        elif is_constant(expression):
            self.constants.append((position, expression))
            self.taken.append((position, self._ask(expression)))
        else:
            self._key(position, expression)
        return position

    def sort_position(self, expression: Any, template: str | None) -> int:
        """Where the value stands by which groups are compared: the expression's own, or by an SQL template."""
        if template is None:
            return self.position(expression)
        weight = Templated(template, source_of(expression))
        for position, known in enumerate(self.expressions):
            if known == weight:
                return position
        position = self._new(weight)
        if weight.contains_aggregate:
            self.finished.append((position, Templated(template, self.placed(weight.inner))))
        else:
            self.position(expression)
            self.taken.append((position, self._ask(self._of_group(template, weight.inner))))
        return position

    def _of_group(self, template: str, expression: Any) -> Templated:
        return Templated(of_group(template, self.connection), expression)

    def _new(self, expression: Any) -> int:
        self.expressions.append(expression)
        return len(self.expressions) - 1

    def _ask(self, *expressions: Any) -> int:
        self.asked.extend(expressions)
        return len(self.asked) - 1

    def _key(self, position: int, expression: Any) -> None:
        how = groupable(expression, self.connection, what="GROUP BY")
        columns = expression.get_group_by_cols()
        if not columns and any(isinstance(node, Col | Random) for node in nodes_in(expression)):
            raise QueryNotSupported(
                f"Groups over several shards cannot be selected or sorted by {expression!r}, which the database does "
                "not group by: leave it out, shuffle or sort in Python, or filter by the shard key.",
                reason="group-by",
            )
        place = self._ask(expression)
        self.taken.append((position, place))
        if expression in self.named:
            self.grouped.append(Ref(part_name(place), expression))
        elif columns and not _is_alone(expression, columns):
            for column in columns:  # those below a condition
                self.position(column)
            return
        else:
            self.grouped += columns
        self.keys.append((place if how.sql is None else self._ask(self._of_group(how.sql, expression)), how.key))

    def count_of_rows(self) -> int:
        """The place in a shard's row of how many rows it is of."""
        return self._ask(Count("*"))

    def ask_for_aggregates(self) -> None:
        """Ask for the aggregates as they are: none of them is in the SQL, so each is a constant."""
        self.taken += [(position, self._ask(aggregate)) for position, aggregate in self.aggregates]
        self.aggregates = []

    def close(self) -> None:
        """Ask for the parts of all aggregates, once the last one is known."""
        partials = [partial_over(aggregate, self.connection, self.tables) for _, aggregate in self.aggregates]
        if any(partial.apart for partial in partials):
            # Values that are told apart for one aggregate stand in several rows of every other.
            check_grouped_alike([aggregate for _, aggregate in self.aggregates], self.connection)
            partials = [partial_over(aggregate, self.connection, None) for _, aggregate in self.aggregates]
        for (position, _), partial in zip(self.aggregates, partials, strict=True):
            first = len(self.asked)
            self._ask(*partial.apart, *partial.parts)
            self.apart += range(first, first + len(partial.apart))
            self.computed.append((position, tuple(range(first, len(self.asked))), partial))
        self.grouped += [self.asked[place] for place in self.apart]

    def placed(self, node: Any) -> Any:
        """An expression over the values of a group, or a condition on them, as the last statement computes it."""
        node = source_of(node)
        if isinstance(node, Query) or getattr(node, "contains_over_clause", False):
            raise QueryNotSupported(
                "A subquery or a window beside the aggregates of groups over several shards is not supported: fetch "
                "the inner values first and pass them as a list, or filter by the shard key.",
                reason="group-by",
            )
        if not hasattr(node, "get_source_expressions"):
            return node
        if isinstance(node, Aggregate) and (quotient := as_quotient(node, self.connection)) is not None:
            return self.placed(quotient)
        if isinstance(node, Aggregate) or _is_grouped_by(node):
            return Placed(self.position(node), node)
        check_shown_alone(node, self.connection)
        check_not_taken_apart(node, self.connection)
        copy = node.copy()
        copy.set_source_expressions([self.placed(source) for source in node.get_source_expressions()])
        if isinstance(values := getattr(node, "rhs", None), list | tuple):
            # A lookup keeps the expressions of a list to itself.
            copy.rhs = type(values)(map(self.placed, values))
        return copy

    def _with_default(self, expression: Any) -> Any:
        """``Coalesce(Avg(...), 0)``, of the average as it is shown; None for any other expression."""
        if type(expression) is not Coalesce:
            return None
        aggregate, *rest = map(source_of, expression.get_source_expressions())
        if not isinstance(aggregate, Aggregate) or not all(isinstance(value, Value) for value in rest):
            return None
        copy = expression.copy()
        copy.set_source_expressions([Placed(self.position(aggregate), aggregate), *rest])
        return copy

    def identity(self, row: Row) -> tuple[Any, ...]:
        """What is equal for partial groups that are one."""
        return tuple([row[place] if key is None or row[place] is None else key(row[place]) for place, key in self.keys])

    def combined(self, rows: list[Row]) -> list[Any]:
        """The values of one group out of its partial rows; those that the database computes last are missing."""
        values: list[Any] = [None] * len(self.expressions)
        for position, place in self.taken if rows else ():
            values[position] = rows[0][place]
        for position, places, partial in self.computed:
            values[position] = partial.combine([tuple([row[place] for place in places]) for row in rows])
        return values


def check_not_taken_apart(node: Any, connection: Any) -> None:
    """Raise for days and hours of a duration, which PostgreSQL counts apart: "1 day 30:00:00" is not "2 days 06:00:00".

    Python knows but the length of both.
    """
    if connection.vendor == "postgresql" and any(takes_apart(node, source) for source in below(node)):
        raise QueryNotSupported(
            f"{node!r} takes a duration of several shards apart, of which only the length is known here: fetch the "
            "duration, and take its days or write its text in Python, or filter by the shard key.",
            reason="aggregate",
        )


def is_constant(expression: Any) -> bool:
    """Whether an expression has one value for the whole query."""
    return not any(isinstance(node, Query | Col | Random) for node in nodes_in(expression))


def _is_alone(expression: Any, columns: list[Any]) -> bool:
    """Whether the only thing that is grouped by is the expression, or what it wraps."""
    inner = expression
    while isinstance(inner, ExpressionWrapper):
        inner = inner.expression
    return len(columns) == 1 and (columns[0] is expression or type(columns[0]) is type(inner))


def _is_grouped_by(node: Any) -> bool:
    """Whether the database groups by this very expression, not by what it is made of."""
    if node.contains_aggregate or is_constant(node):
        return False
    columns = node.get_group_by_cols()
    return len(columns) == 1 and columns[0] is node


def plain_default(expression: Any) -> Any:
    """The aggregate of ``Sum(..., default=0)`` or ``Coalesce(Sum(...), 0)``: its value, unless that is NULL."""
    if type(expression) is not Coalesce:
        return None
    aggregate, *rest = expression.get_source_expressions()
    if len(rest) != 1 or not isinstance(rest[0], Value):
        return None
    kinds = {internal_type(output_field(part)) for part in (aggregate, rest[0], expression)}
    return aggregate if isinstance(aggregate, Placed) and len(kinds) == 1 else None


def places_in(expression: Any) -> Iterator[int]:
    """The positions of the values that an expression is computed of."""
    if isinstance(expression, Placed):
        yield expression.position
    elif isinstance(expression, Templated):
        yield from places_in(expression.inner)
    else:
        for source in below(expression):
            yield from places_in(source)

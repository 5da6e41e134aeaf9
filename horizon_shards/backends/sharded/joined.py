"""Rows of joins that leave: asked by key, chunk by chunk, and put beside the rows of the shards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from django.db.models.expressions import Col
from django.db.models.sql.subqueries import AggregateQuery
from django.db.models.sql.where import AND

from horizon_shards import context
from horizon_shards.backends.sharded.bound import BoundIn
from horizon_shards.backends.sharded.farorder import (
    FarTerm,
    far_terms,
    may_order_elsewhere,
    sorted_rows,
    with_resolved_order,
)
from horizon_shards.backends.sharded.foreign import CHUNK
from horizon_shards.backends.sharded.leaving import Edge, aliases_in, edges_of, refusal
from horizon_shards.backends.sharded.plan import Operation
from horizon_shards.backends.sharded.rewrite import with_parts
from horizon_shards.backends.sharded.stepped import SteppedCompiler
from horizon_shards.backends.sharded.steps import rows_of
from horizon_shards.backends.sharded.units import ManyStep, Reduction, has_duplicates, where
from horizon_shards.backends.sharded.walk import COLUMN
from horizon_shards.exceptions import QueryNotSupported

#: What the names of columns begin with that are selected for joining alone.
HIDDEN = "_far_key_"


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


class JoinedCompiler(SteppedCompiler):
    """Stands for the compiler of a query with joins that leave."""

    attachments: list[Attachment]
    operation: Operation
    #: The slice of the query, where it is cut here since rows may be left out after the shards have cut theirs.
    cut: tuple[int, int | None] | None = None
    #: How rows are sorted here: the terms on far rows, which come before all others.
    terms: tuple[FarTerm, ...] = ()
    #: How many columns at the end of a row are not the caller's.
    hidden: int = 0

    def ready(self) -> Any:
        """The compiler of the query with the answers."""
        compiler = super().ready()
        for step in self.steps:
            if isinstance(step, ManyStep) and has_duplicates(step):
                self._check_duplicates(step)
        return compiler

    def _check_duplicates(self, step: ManyStep) -> None:
        query = getattr(self.query, "inner_query", self.query)
        is_exists = query.high_mark == 1 and not query.select and not query.default_cols
        attached = any(attachment.many is step for attachment in self.attachments)
        if self.operation != "select" or is_exists or (query.distinct and not attached):
            return
        if not attached or query.is_sliced:
            raise refusal(step.edge, "has several rows for one, so that it repeats rows that are counted or cut")

    def results_iter(
        self,
        results: Any = None,
        tuple_expected: bool = False,
        chunked_fetch: bool = False,
        chunk_size: int = CHUNK,
    ) -> Any:
        """The rows with the far columns in them."""
        if results is None:
            results = self.execute_sql(chunked_fetch=chunked_fetch, chunk_size=chunk_size)
        rows = self._whole(self.inner.results_iter(results)) if self.attachments else self.inner.results_iter(results)
        return map(tuple, rows) if tuple_expected else iter(rows)

    def execute_sql(self, *args: Any, **kwargs: Any) -> Any:
        """Run the steps, then the query."""
        result = super().execute_sql(*args, **kwargs)
        for name in list(getattr(self.inner, "annotation_col_map", None) or ()):
            if name.startswith(HIDDEN):
                del self.inner.annotation_col_map[name]
        return result

    def _whole(self, rows: Any) -> Iterator[Any]:
        width = len(self.inner.select) - self.hidden
        is_whole = self.query.default_cols
        if self.terms:
            found: Any = self._sorted(rows)
        elif self.cut is not None:
            found = self._cut(rows)
        else:
            found = self._with_far(rows)
        # Instances are made of the columns that they need, wherever these stand.
        return found if is_whole or not (self.terms or self.hidden) else (row[:width] for row in found)

    def _sorted(self, rows: Any) -> list[Any]:
        low, high = self.cut or (0, None)
        start = len(self.inner.select)
        order = [index for one in self.attachments for index in one.sorted_by]
        columns = [term.column(start + order.index(n)) for n, term in enumerate(self.terms)]
        return sorted_rows(self._with_far(rows), columns, self.logical.group.config.max_rows)[low:high]

    def _cut(self, rows: Any) -> list[Any]:
        assert self.cut is not None
        low, high = self.cut
        wanted = list(rows)
        found = list(self._with_far(iter(wanted)))
        if len(found) < len(wanted):
            # The shards cut rows in place of which others come.
            self.query.clear_limits()
            found = list(islice(self._with_far(self.ready().results_iter()), high))
        return found[low:]

    def _with_far(self, rows: Any) -> Iterator[Any]:
        rows = iter(rows)
        while chunk := [list(row) for row in islice(rows, CHUNK)]:
            for attachment in self.attachments:
                chunk = list(self._attached(attachment, chunk))
            yield from chunk

    def _attached(self, attachment: Attachment, chunk: list[Any]) -> Iterator[Any]:
        key, places = self._places(attachment)
        if key is None:
            if attachment.many is not None and has_duplicates(attachment.many):
                raise refusal(attachment.edge, "has several rows for one, which has to be selected with its key")
            yield from chunk
            return
        attachment.load({row[key] for row in chunk})
        if self.logical.vendor == "mysql":
            attachment.check_spelling({row[key] for row in chunk})
        for row in chunk:
            for columns in attachment.rows(row[key]):
                whole = list(row)
                for place, position in places:
                    whole[place] = columns[position]
                yield whole + [columns[place] for place in attachment.sort_places]

    def _places(self, attachment: Attachment) -> tuple[int | None, list[tuple[int, int]]]:
        """Where the key stands in a row, and ``(place, position among the far columns)``."""
        places = []
        key = None
        for place, (expression, _, alias) in enumerate(self.inner.select):
            if (
                isinstance(expression, FarColumn)
                and expression.edge is attachment.edge
                and expression.expression is None
            ):
                key = place
            elif isinstance(expression, FarColumn) and expression.edge is attachment.edge:
                places.append((place, _index(attachment.expressions, expression.expression)))
            elif alias in attachment.extra:
                places.append((place, attachment.extra[alias]))
            elif type(expression) is Col and _is_same(expression, attachment.edge.home):
                key = place
        return (places[0][0] if key is None and places else key), places

    def explain_query(self) -> Iterator[str]:
        """The steps, the plan of what is left, and the columns that are fetched then."""
        yield from super().explain_query()
        yield from map(str, self.attachments)


def joined_compiler(
    query: Any, connection: Any, operation: Operation, route: Callable[[Any], Any], given: QueryNotSupported
) -> JoinedCompiler | None:
    """The compiler of a query with joins that leave; None where it has none. ``given``: why no shard can join."""
    try:
        return _joined(query, connection, operation, route)
    except QueryNotSupported:
        # It has the better cure: to ask the other model.
        if given.reason == "outer-join-from-reference":
            raise given from None
        raise


def _joined(query: Any, connection: Any, operation: Operation, route: Callable[[Any], Any]) -> JoinedCompiler | None:
    if query.combinator or isinstance(query, AggregateQuery):
        return _of_aggregate(query, connection, operation, route) if isinstance(query, AggregateQuery) else None
    if operation == "select" and may_order_elsewhere(query):
        query = with_resolved_order(query, connection.lead)
    if not (edges := edges_of(query, connection.group)):
        return None
    return _compiler(query, connection, operation, route, edges)


def ordered_elsewhere(query: Any, connection: Any, route: Callable[[Any], Any]) -> JoinedCompiler | None:
    """The compiler of a query whose order alone joins what leaves; None for any other."""
    if not may_order_elsewhere(query) or context.pinned_shard(connection.alias) is not None:
        return None
    try:
        return _joined(query, connection, "select", route)
    except QueryNotSupported:
        # Compiling will say why.
        return None


def _of_aggregate(query: Any, connection: Any, operation: Operation, route: Any) -> JoinedCompiler | None:
    """An aggregate over rows: the rows' conditions are answered, far columns among them are not."""
    if query.inner_query.combinator or not (edges := edges_of(query.inner_query, connection.group)):
        return None
    inner = _compiler(query.inner_query, connection, operation, route, edges)
    if inner.attachments:
        raise refusal(edges[0], "is aggregated over")
    compiler = JoinedCompiler(with_parts(query, inner_query=inner.query), connection, inner.steps, route)
    compiler.attachments, compiler.operation, compiler.written = [], operation, query
    return compiler


def _compiler(query: Any, connection: Any, operation: Operation, route: Any, edges: list[Edge]) -> JoinedCompiler:
    reduction = Reduction(edges)
    condition = reduction.condition(query.where)
    gone = dict.fromkeys(reduction.edge_of, 0)
    left = with_parts(query, where=condition, alias_refcount={**query.alias_refcount, **gone})
    terms = far_terms(left, reduction.edge_of, connection.lead)
    attachments = _attach(left, reduction, terms)
    steps: list[Any] = list(reduction.steps)
    compiler = JoinedCompiler(left, connection, steps, route)
    compiler.attachments, compiler.operation, compiler.terms = attachments, operation, tuple(terms)
    compiler.written = query
    compiler.hidden = _add_hidden_keys(left, attachments)
    if left.is_sliced and terms:
        compiler.cut = left.low_mark, left.high_mark
        left.clear_limits()
    elif left.is_sliced and any(attachment.drops and attachment.many is None for attachment in attachments):
        compiler.cut = left.low_mark, left.high_mark
        left.low_mark = 0
    return compiler


def _add_hidden_keys(left: Any, attachments: list[Attachment]) -> int:
    """Select the columns of joins that no row would have otherwise; how many these are."""
    hidden = 0
    if getattr(left, "selected", None):
        left.selected = dict(left.selected)
    for attachment in attachments:
        if not attachment.is_placed and not _selects(left, attachment.edge.home):
            left.add_annotation(FarColumn(attachment.edge, None), f"{HIDDEN}{hidden}")
            hidden += 1
    return hidden


def _selects(query: Any, column: Col) -> bool:
    if query.default_cols:
        own = column.alias == next(iter(query.alias_map))
        return own and column.target.primary_key and not query.deferred_loading[0]
    return any(type(one) is Col and _is_same(one, column) for one in query.select)


def _attach(left: Any, reduction: Reduction, terms: list[FarTerm]) -> list[Attachment]:
    """Put the joins' columns where far columns are selected, and say what to fetch."""
    inner = reduction.unconditional()
    many = {id(step.edge): step for step in reduction.steps if isinstance(step, ManyStep)}
    made = {id(edge): Attachment(edge, many.get(id(edge)), drops=not edge.outer) for edge in reduction.edges}

    def far(expression: Any) -> Any:
        found = {reduction.edge_of.get(alias) for alias in aliases_in(expression)}
        if not found - {None}:
            return expression
        edge = next(edge for edge in found if edge is not None)
        if len(found) > 1 or left.distinct or left.group_by is not None or expression.contains_aggregate:
            raise refusal(edge, "is selected by DISTINCT, grouped, aggregated or computed with")
        return made[id(edge)].add(expression)

    left.select = tuple(map(far, left.select))
    masked = left.annotation_select
    left.annotations = {name: far(one) if name in masked else one for name, one in left.annotations.items()}
    left._annotation_select_cache = None
    _attach_extra(left, reduction, made)
    unseen = [one for name, one in left.annotations.items() if name not in masked]
    for term in (*unseen, *left.group_by) if isinstance(left.group_by, tuple) else ():
        if any(alias in reduction.edge_of for alias in aliases_in(term)):
            raise refusal(reduction.edges[0], "is grouped by")
    for number, term in enumerate(terms):
        made[id(term.edge)].sort_by(number, term.expression)
    attached = [one for one in made.values() if one.expressions or (one.many is not None and _gives_rows(left))]
    for edge in inner:
        if all(one.edge is not edge for one in attached):
            left.where.add(reduction.unit(edge, where(AND)), AND)
    return attached


def _attach_extra(left: Any, reduction: Reduction, made: dict[int, Attachment]) -> None:
    """The columns that Django's many-to-many prefetch selects by ``extra()``."""
    for name, (sql, params) in list(left.extra.items()):
        match = COLUMN.match(sql)
        edge = reduction.edge_of.get(match["alias"]) if match else None
        if match is None or edge is None:
            continue
        join = left.alias_map[match["alias"]]
        column = sql.rpartition(".")[2].strip('"`')
        field = next(one for one in join.join_field.related_model._meta.concrete_fields if one.column == column)
        attachment = made[id(edge)]
        attachment.extra[name] = len(attachment.expressions)
        attachment.add(field.get_col(match["alias"]))
        quote = sql[0] if sql[0] in '"`' else ""
        home = f"{quote}{edge.home.alias}{quote}.{quote}{edge.home.target.column}{quote}"
        left.extra = {**left.extra, name: (home, params)}
        left._extra_select_cache = None


def _gives_rows(query: Any) -> bool:
    """Whether the query gives rows of its table, not numbers of them."""
    return bool(query.select or query.default_cols) and query.group_by is None and not query.distinct


def _is_same(left: Col, right: Col) -> bool:
    return left.alias == right.alias and left.target == right.target


def _index(expressions: list[Any], wanted: Any) -> int:
    return next(place for place, one in enumerate(expressions) if one is wanted)

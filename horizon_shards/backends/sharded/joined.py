"""Rows of joins that leave: asked by key, chunk by chunk, and put beside the rows of the shards."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from django.db.models.expressions import Col
from django.db.models.sql.constants import MULTI
from django.db.models.sql.subqueries import AggregateQuery
from django.db.models.sql.where import AND

from horizon_shards import context
from horizon_shards.backends.sharded.attached import Attachment, FarColumn
from horizon_shards.backends.sharded.farorder import (
    FarTerm,
    far_terms,
    may_order_elsewhere,
    sorted_rows,
    with_resolved_order,
)
from horizon_shards.backends.sharded.federation.refusals import limit_of
from horizon_shards.backends.sharded.foreign import CHUNK
from horizon_shards.backends.sharded.leaving import Edge, aliases_in, edges_of, refusal
from horizon_shards.backends.sharded.plan import Operation
from horizon_shards.backends.sharded.rewrite import with_parts
from horizon_shards.backends.sharded.stepped import Route, SteppedCompiler
from horizon_shards.backends.sharded.units import ManyStep, Reduction, has_duplicates, where
from horizon_shards.backends.sharded.walk import COLUMN, contents_of
from horizon_shards.exceptions import QueryNotSupported

#: What the names of columns begin with that are selected for joining alone.
HIDDEN = "_far_key_"
NO_RETURN = " Federation does not take over from iterator(), which has given rows out: run the queryset without it."


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

    #: The rows, where federation can take over and so all of them are put together before any is given out.
    rows: list[Any] | None = None

    def answered(self) -> Any:
        """The compiler of the query with the answers."""
        compiler = super().answered()
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
            results = self.execute_sql(MULTI, chunked_fetch=chunked_fetch, chunk_size=chunk_size)
        if self.is_federated or not self.attachments:
            return self.inner.results_iter(results, tuple_expected=tuple_expected)
        rows = self._given_out(results) if self.rows is None else self.rows
        return map(tuple, rows) if tuple_expected else iter(rows)

    def execute_sql(self, result_type: Any = MULTI, *args: Any, **kwargs: Any) -> Any:
        """Run the steps, then the query."""
        self.rows = None
        result = super().execute_sql(result_type, *args, **kwargs)
        for name in list(getattr(self.inner, "annotation_col_map", None) or ()):
            if name.startswith(HIDDEN):
                del self.inner.annotation_col_map[name]
        may_federate = not self.is_federated and limit_of(self.logical.group) > 0
        if may_federate and self.attachments and result_type == MULTI and not kwargs.get("chunked_fetch"):
            result = self._put_together(result)
        return result

    def _put_together(self, result: Any) -> Any:
        """Find out whether every row has its far one, before anything reads what this compiler selects."""
        try:
            self.rows = list(self._whole(self.inner.results_iter(result)))
        except QueryNotSupported as refusal:
            self.federate(refusal)
            return self.inner.execute_sql(MULTI)
        return result

    def _given_out(self, results: Any) -> Iterator[Any]:
        try:
            yield from self._whole(self.inner.results_iter(results))
        except QueryNotSupported as refusal:
            if limit_of(self.logical.group) > 0:
                refusal.args = (f"{refusal.args[0]}{NO_RETURN}", *refusal.args[1:])
            raise

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
    query: Any, connection: Any, operation: Operation, route: Route, given: QueryNotSupported
) -> JoinedCompiler | None:
    """The compiler of a query with joins that leave; None where it has none. ``given``: why no shard can join."""
    try:
        return _joined(query, connection, operation, route)
    except QueryNotSupported:
        # It has the better cure: to ask the other model.
        if given.reason == "outer-join-from-reference":
            raise given from None
        raise


def _joined(query: Any, connection: Any, operation: Operation, route: Route) -> JoinedCompiler | None:
    if query.combinator or isinstance(query, AggregateQuery):
        return _of_aggregate(query, connection, operation, route) if isinstance(query, AggregateQuery) else None
    if operation == "select" and may_order_elsewhere(query):
        query = with_resolved_order(query, connection.lead)
    if query.model is None or not (edges := edges_of(query, connection.group)):
        return None
    if operation != "select" and query.where.contains_aggregate:
        raise refusal(edges[0], "its rows are chosen by an aggregate")
    return _compiler(query, connection, operation, route, edges)


def ordered_elsewhere(query: Any, connection: Any, route: Route) -> JoinedCompiler | None:
    """The compiler of a query whose order alone joins what leaves; None for any other."""
    if not may_order_elsewhere(query) or context.pinned_shard(connection.alias) is not None:
        return None
    try:
        return _joined(query, connection, "select", route)
    except QueryNotSupported:
        # Compiling will say why.
        return None


def _of_aggregate(query: Any, connection: Any, operation: Operation, route: Route) -> JoinedCompiler | None:
    """An aggregate over rows: the rows' conditions are answered, far columns among them are not."""
    if query.inner_query.combinator or not (edges := edges_of(query.inner_query, connection.group)):
        return None
    inner = _compiler(query.inner_query, connection, operation, route, edges)
    if inner.attachments:
        raise refusal(edges[0], "is aggregated over")
    compiler = JoinedCompiler(with_parts(query, inner_query=inner.query), connection, inner.steps, route)
    compiler.attachments, compiler.operation, compiler.written = [], operation, query
    return compiler


def _compiler(query: Any, connection: Any, operation: Operation, route: Route, edges: list[Edge]) -> JoinedCompiler:
    reduction = Reduction(edges)
    _refuse_windows(query, reduction)
    condition = reduction.condition(query.where)
    gone = dict.fromkeys(reduction.edge_of, 0)
    left = with_parts(query, where=condition, alias_refcount={**query.alias_refcount, **gone})
    if operation != "select":
        # Which row is written first shows in no answer; an order of far rows could not be kept.
        left.clear_ordering(force=True)
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


def _refuse_windows(query: Any, reduction: Reduction) -> None:
    """Refuse a window whose rows, or whose columns, are not those of the shards."""
    windows = contents_of(query).windows
    for edge in reduction.edges if windows else ():
        if not edge.to_one:
            raise refusal(edge, "repeats the rows that a window is computed over")
    for alias in (alias for window in windows for alias in aliases_in(window)):
        if alias in reduction.edge_of:
            raise refusal(reduction.edge_of[alias], "is read by a window")


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
    # Windows are computed over the rows that have a far one.
    windows = bool(contents_of(left).windows)
    for edge in inner:
        if windows or all(one.edge is not edge for one in attached):
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

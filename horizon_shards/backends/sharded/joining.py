"""Parting a query whose joins leave: what the shards answer, what is asked first, and what is put beside the rows."""

from __future__ import annotations

from typing import Any

from django.db.models.expressions import Col
from django.db.models.sql.subqueries import AggregateQuery
from django.db.models.sql.where import AND

from horizon_shards import context
from horizon_shards.backends.sharded.attached import Attachment, FarColumn
from horizon_shards.backends.sharded.farorder import (
    FarTerm,
    far_terms,
    may_order_elsewhere,
    with_resolved_order,
)
from horizon_shards.backends.sharded.joined import HIDDEN, JoinedCompiler, is_same
from horizon_shards.backends.sharded.leaving import Edge, aliases_in, edges_of, refusal
from horizon_shards.backends.sharded.plan import Operation
from horizon_shards.backends.sharded.rewrite import with_parts
from horizon_shards.backends.sharded.stepped import Route
from horizon_shards.backends.sharded.units import ManyStep, Reduction, where
from horizon_shards.backends.sharded.walk import COLUMN, contents_of
from horizon_shards.exceptions import QueryNotSupported


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
    rows = query.inner_query
    if rows.combinator or not edges_of(rows, connection.group):
        return None
    if may_order_elsewhere(rows):
        rows = with_resolved_order(rows, connection.lead)
    edges = edges_of(rows, connection.group)
    inner = _compiler(rows, connection, operation, route, edges)
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
        left.set_annotation_mask(())
    terms = far_terms(left, reduction.edge_of, connection.lead)
    attachments = _attach(left, reduction, terms, gives_rows=operation == "select" and _gives_rows(left))
    steps: list[Any] = list(reduction.steps)
    compiler = JoinedCompiler(left, connection, steps, route)
    compiler.attachments, compiler.operation, compiler.terms = attachments, operation, tuple(terms)
    compiler.written = query
    compiler.asks_keys = operation == "update" and _asks_keys(left, connection.lead)
    compiler.hidden = _add_hidden_keys(left, attachments)
    if left.is_sliced and terms:
        compiler.cut = left.low_mark, left.high_mark
        left.clear_limits()
    elif left.is_sliced and any(attachment.drops and attachment.many is None for attachment in attachments):
        compiler.cut = left.low_mark, left.high_mark
        left.low_mark = 0
    return compiler


def _asks_keys(left: Any, connection: Any) -> bool:
    """Whether an UPDATE of this one table alone cannot have its condition: of several, Django asks for the keys."""
    contents = contents_of(left)
    is_read = contents.nested and not connection.features.update_can_self_select
    return left.count_active_tables() == 1 and bool(contents.windows or is_read)


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
    return any(type(one) is Col and is_same(one, column) for one in query.select)


def _attach(left: Any, reduction: Reduction, terms: list[FarTerm], *, gives_rows: bool) -> list[Attachment]:
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
    attached = [one for one in made.values() if one.expressions or (one.many is not None and gives_rows)]
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

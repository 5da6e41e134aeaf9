"""ORDER BY columns of joins that leave: the rows are read whole and sorted here, as the other database compares."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.models import BinaryField, F
from django.db.models.expressions import Col, Expression

from horizon_shards.backends.sharded.kinds import converted_by, is_changed_by_selecting, source_of
from horizon_shards.backends.sharded.leaving import Edge, aliases_in, refusal
from horizon_shards.backends.sharded.merge import SortColumn, sort_key, too_many_rows
from horizon_shards.backends.sharded.order import comparable, nulls_first
from horizon_shards.backends.sharded.rewrite import with_parts
from horizon_shards.backends.sharded.steps import home_of


class Weight(Expression):
    """What the database of the far rows compares instead of a value."""

    def __init__(self, expression: Any, template: str) -> None:
        super().__init__(output_field=BinaryField())
        self.expression = expression
        self.template = template

    def get_source_expressions(self) -> list[Any]:
        """The value."""
        return [self.expression]

    def set_source_expressions(self, exprs: Any) -> None:
        """Replace the value."""
        (self.expression,) = exprs

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        """The template around the value."""
        sql, params = compiler.compile(self.expression)
        return self.template.replace("%s", sql, 1), params


@dataclass(frozen=True)
class FarTerm:
    """One term of ORDER BY on far rows: what to select of them, and how it compares."""

    edge: Edge
    expression: Any
    descending: bool
    nulls_first: bool
    key: Any

    def column(self, index: int) -> SortColumn:
        """The term, whose value stands at ``index`` of a row."""
        return SortColumn(index, self.descending, self.nulls_first, self.key)


def may_order_elsewhere(query: Any) -> bool:
    """Whether a term of ORDER BY is more than a column of the query's own table or one of its annotations."""
    if query.combinator or query.group_by is not None or query.model is None or not hasattr(query, "order_by"):
        return False
    terms = query.order_by or (query.default_ordering and query.get_meta().ordering) or ()
    return any(not _is_plain(term, query) for term in terms)


def _is_plain(term: Any, query: Any) -> bool:
    if isinstance(term, F):
        term = term.name  # type: ignore[attr-defined]
    if not isinstance(term, str):
        if isinstance(term, Col):
            return bool(term.alias == next(iter(query.alias_map), None))
        sources = term.get_source_expressions() if hasattr(term, "get_source_expressions") else [""]
        return all(source is None or _is_plain(source, query) for source in sources)
    name = term.lstrip("-+")
    if name in ("pk", "?") or name in query.extra:
        return True
    if name in query.annotations:
        return len(query.alias_map) < 2
    field = next((field for field in query.get_meta().fields if name in (field.name, field.attname)), None)
    return field is not None and (not field.is_relation or name == field.attname != field.name)


def with_resolved_order(query: Any, lead: Any) -> Any:
    """The query with its order as expressions, and the joins that these need."""
    probe = query.clone()
    probe.select_related = False
    try:
        _, order_by, _ = lead.ops.compiler("SQLCompiler")(probe, lead, lead.alias).pre_sql_setup()
    except EmptyResultSet:
        # What can never hold is in the order: compiling will find that there are no rows, and nothing is sent.
        return query
    return with_parts(
        query,
        alias_map=probe.alias_map,
        alias_refcount=probe.alias_refcount,
        table_map=probe.table_map,
        order_by=tuple(term for term, _ in order_by),
        standard_ordering=True,
        default_ordering=False,
    )


def far_terms(left: Any, edge_of: dict[str, Edge], lead: Any) -> list[FarTerm]:
    """Take the leading terms on far rows out of the order of ``left``; raises where they do not come first."""
    edges = [{edge_of.get(alias) for alias in aliases_in(term)} for term in left.order_by]
    count = sum(1 for found in edges if found - {None})
    if not count:
        return []
    last = next(edge for found in edges for edge in found if edge is not None)
    if any(len(found) != 1 or None in found for found in edges[:count]):
        raise refusal(last, "is ordered by after columns of its own")
    firsts = [next(iter(found)) for found in edges[:count]]
    if any(edge is None or not edge.to_one for edge in firsts):
        raise refusal(last, "is ordered by its many rows")
    terms = [_far_term(term, edge, lead) for term, edge in zip(left.order_by, firsts, strict=False)]
    if left.distinct:
        raise refusal(last, "is ordered by while rows are made distinct")
    left.order_by = left.order_by[count:]
    return terms


def _far_term(term: Any, edge: Any, lead: Any) -> FarTerm:
    expression = source_of(term.expression)
    alias = home_of(edge.far_query(None, edge.far))
    far = connections[alias]
    if converted_by(expression) is not None or is_changed_by_selecting(expression):
        raise refusal(edge, "is ordered by values that are stored otherwise than Python shows them")
    how = comparable(expression, getattr(far, "lead", far), what="Ordering")
    selected = expression if how.sql is None else Weight(expression, how.sql)
    return FarTerm(edge, selected, term.descending, nulls_first(term, lead), how.key)


def sorted_rows(rows: Iterable[Any], columns: list[SortColumn], max_rows: int) -> list[Any]:
    """The rows in order; those that the columns leave equal stay as they came."""
    found = []
    for row in rows:
        found.append(row)
        if len(found) > max_rows:
            raise too_many_rows(max_rows, "rows to sort")
    found.sort(key=sort_key(columns))
    return found

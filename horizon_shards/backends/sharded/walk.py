"""What a query contains beside plain columns: subqueries, raw SQL, windows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db.models.constants import LOOKUP_SEP
from django.db.models.expressions import Col, F, Func, RawSQL, Window
from django.db.models.lookups import Exact
from django.db.models.sql import Query
from django.db.models.sql.subqueries import AggregateQuery
from django.db.models.sql.where import AND, XOR, ExtraWhere, WhereNode

#: Names of classes whose value every statement makes anew; some are of later Djangos or of ``contrib.postgres``.
VOLATILE = {"Now", "Random", "UUID4", "UUID7", "RandomUUID", "TransactionNow"}


@dataclass(slots=True)
class Nested:
    """A query inside a query: ``user`` is the expression that holds it, ``negated`` whether under a NOT.

    ``holder`` is the expression or condition that holds the user.
    """

    query: Query
    user: Any
    negated: bool
    holder: Any = None


@dataclass(slots=True)
class Contents:
    """What :func:`contents_of` found."""

    nested: list[Nested] = field(default_factory=list)
    #: Pieces of raw SQL.
    raw: list[str] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)
    #: Expressions that have another value in every statement.
    volatile: list[Any] = field(default_factory=list)

    def take(self, node: Any, user: Any, negated: bool, holder: Any = None) -> None:
        """Take up one node and all below it, but not the inside of nested queries."""
        if isinstance(node, Query):
            self.nested.append(Nested(node, user, negated, holder))
        elif isinstance(node, WhereNode):
            for child in node.children:
                self.take(child, node, negated != node.negated)
        else:
            self.raw.extend(raw_of(node))
            if isinstance(node, Window):
                self.windows.append(node)
            if type(node).__name__ in VOLATILE:
                self.volatile.append(node)
            for source in below(node):
                self.take(source, node, negated, user)


#: Words by which the template of a function does more than compute with its arguments.
BEYOND = re.compile(r"\b(SELECT|OVER|COLLATE)\b", re.IGNORECASE)


def raw_of(node: Any) -> list[str]:
    """The raw SQL of an expression or condition; also a function's, if it reads or compares by itself."""
    if isinstance(node, RawSQL):
        return [node.sql]
    if isinstance(node, ExtraWhere):
        return list(node.sqls)
    if not isinstance(node, Func):
        return []
    own = () if type(node).__module__.startswith("django.") else (node.template, node.function)
    return [text for text in (*node.extra.values(), *own) if isinstance(text, str) and BEYOND.search(text)]


def below(node: Any) -> Iterator[Any]:
    """The expressions and conditions that a node is made of; none for a plain value."""
    if isinstance(node, WhereNode):
        yield from node.children
        return
    get = getattr(node, "get_source_expressions", None)
    if get is None:
        return
    yield from (source for source in get() if source is not None)
    # A lookup against a list keeps expressions of the list to itself.
    rhs = getattr(node, "rhs", None)
    if isinstance(rhs, list | tuple):
        yield from (value for value in rhs if hasattr(value, "resolve_expression"))


def conjuncts(node: Any) -> Iterator[Any]:
    """The parts of a condition that a row has to meet all of: lookups, and nodes of another kind than AND."""
    if not isinstance(node, WhereNode):
        yield node
    elif node.connector == AND and not node.negated:
        for child in node.children:
            yield from conjuncts(child)
    elif node.children:
        yield node


def is_equality(leaf: Any) -> bool:
    """Whether a lookup says that its two sides are equal, as they are: one that derives from ``Exact`` may not."""
    return isinstance(leaf, Exact) and leaf.lookup_name == "exact" and not leaf.bilateral_transforms


def contents_of(query: Query) -> Contents:
    """Walk all parts of a query."""
    contents = Contents()
    contents.raw.extend(extra_of(query))
    for part in parts_of(query):
        contents.take(part, query, False)
    return contents


def parts_of(query: Any) -> Iterator[Any]:
    """The condition, and the expressions of used annotations, ordering, grouping, joins and what an UPDATE sets."""
    yield query.where
    yield from _used_annotations(query)
    values = getattr(query, "values", None)
    written = [value for _, _, value in values] if isinstance(values, list) else []
    for expression in (*query.order_by, *query.select, *_group_by(query), *written):
        if hasattr(expression, "get_source_expressions"):
            yield expression
    for relation in query._filtered_relations.values():
        if relation.resolved_condition is not None:
            yield relation.resolved_condition


def _used_annotations(query: Query) -> Iterator[Any]:
    """The annotations that come to stand in the SQL: ``exists()`` and ``values()`` leave those out that nothing names.

    A condition holds what it names itself; ORDER BY and GROUP BY may have the name alone.
    """
    if query.annotations:
        terms = (*query.extra_order_by, *_order_of(query), *_group_by(query))
        named = {name for term in terms for name in _names_in(term, query)} | query.annotation_select.keys()
        yield from (annotation for name, annotation in query.annotations.items() if name in named)


def _order_of(query: Query) -> Any:
    # What validates a constraint has no model.
    return query.order_by or (query.default_ordering and query.model and query.get_meta().ordering) or ()


def _names_in(term: Any, query: Query) -> Iterator[str]:
    """The names in a term, of annotations and of what else; a query inside it may name any by ``OuterRef``."""
    if isinstance(term, F):
        term = term.name  # type: ignore[attr-defined]
    if isinstance(term, str):
        yield term.lstrip("-+").partition(LOOKUP_SEP)[0]
    elif isinstance(term, Query):
        yield from query.annotations
    else:
        for one in below(term):
            yield from _names_in(one, query)


#: A quoted table and column, as Django's many-to-many prefetch selects them by ``extra()``.
COLUMN = re.compile(r"""^[`"]?(?P<alias>\w+)[`"]?\.[`"]?\w+[`"]?$""")


def extra_of(query: Query) -> Iterator[str]:
    """The raw SQL of ``extra()``, but for plain columns of the query's own tables."""
    for table in query.extra_tables:
        yield f"FROM {table}"
    for term in query.extra_order_by:
        yield str(term).removeprefix("-")
    for sql, params in query.extra.values():
        match = COLUMN.match(sql)
        if params or match is None or match["alias"] not in query.alias_map:
            yield sql


def conditions_of(query: Any) -> Iterator[Any]:
    """The conditions on the rows that a query gives, each by itself: where one never holds, there is nothing to ask.

    None of a query that groups, aggregates or combines: that may give rows of none, such as a count of 0. And none
    under XOR: Django takes one that always holds for the truth of them all, on engines that know XOR.
    """
    aggregates = any(annotation.contains_aggregate for annotation in query.annotation_select.values())
    if query.group_by is None and not (query.combinator or aggregates or isinstance(query, AggregateQuery)):
        yield from _leaves(query.where)


def _leaves(node: Any) -> Iterator[Any]:
    if not isinstance(node, WhereNode):
        yield node
    elif node.connector != XOR:
        for child in node.children:
            yield from _leaves(child)


def conditions_anywhere(query: Any) -> Iterator[Any]:
    """The conditions in a query, in what it aggregates and in the parts of a set operation."""
    rows = inner_of(query)
    yield from _leaves(rows.where)
    for part in rows.combined_queries:
        yield from conditions_anywhere(part)


def inner_of(query: Any) -> Any:
    """The query whose rows an aggregate is computed of; any other query itself."""
    return getattr(query, "inner_query", query)


def nodes_in(node: Any) -> Iterator[Any]:
    """A node and all below it, but not the inside of nested queries."""
    yield node
    if not isinstance(node, Query):
        for source in below(node):
            yield from nodes_in(source)


def columns_in(node: Any) -> Iterator[Col]:
    """The plain columns that a condition names, but not those inside nested queries."""
    return (one for one in nodes_in(node) if isinstance(one, Col))


def _group_by(query: Query) -> tuple[Any, ...]:
    return query.group_by if isinstance(query.group_by, tuple) else ()

"""A query with some of its expressions replaced; what does not change is shared with the original."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models.expressions import Value
from django.db.models.sql import Query
from django.db.models.sql.where import WhereNode

from horizon_shards.backends.sharded.walk import contents_of, inner_of

#: The replacements, by the identity of what they replace.
Replacements = Mapping[int, Any]


def replaced(node: Any, new: Replacements) -> Any:
    """``node`` with the replacements made in it and below it."""
    if id(node) in new:
        return new[id(node)]
    if isinstance(node, Query):
        return replaced_query(node, new)
    if isinstance(node, WhereNode):
        children = [replaced(child, new) for child in node.children]
        if _same(children, node.children):
            return node
        return _where(node, children)
    return _replaced_expression(node, new)


def replaced_query(query: Any, new: Replacements) -> Any:
    """As :func:`replaced`, of a whole query."""
    parts = {name: _replaced_part(getattr(query, name), new) for name in PARTS if hasattr(query, name)}
    changed = {name: part for name, part in parts.items() if part is not getattr(query, name)}
    if "order_by" in changed:
        # A value that stands alone, Django casts to its field's type, which no engine may know as one.
        changed["order_by"] = tuple(term.asc() if isinstance(term, Value) else term for term in changed["order_by"])
    return with_parts(query, **changed) if changed else query


def with_parts(query: Any, **parts: Any) -> Any:
    """A clone of the query with these attributes."""
    clone = query.clone()
    if hasattr(query, "related_updates"):
        # Cloning shares what an UPDATE sets.
        clone.values = list(query.values)
        clone.related_ids = query.related_ids
    for name, part in parts.items():
        setattr(clone, name, part)
    return clone


def without_names(query: Any, database: str) -> Any:
    """The query, whose parts name no database where they name this one: Django would compare it with a shard's."""
    named = {id(one): _unnamed(one, database) for one in _inside(query) if _names(one, database)}
    return replaced_query(query, named) if named else query


def _inside(query: Any) -> list[Any]:
    rows = inner_of(query)
    return [*rows.combined_queries, *(nested.query for nested in contents_of(rows).nested)]


def _names(query: Any, database: str) -> bool:
    return getattr(query, "_db", None) == database or any(_names(one, database) for one in _inside(query))


def _unnamed(query: Any, database: str) -> Any:
    clone = without_names(query, database).clone()
    clone._db = None
    return clone


def selecting(query: Any, *expressions: Any) -> Any:
    """The query with these expressions alone in the place of what it selects."""
    inner = query.clone()
    inner.set_annotation_mask(())
    inner.set_extra_mask(())
    inner.select, inner.values_select, inner.default_cols = expressions, (), False
    inner.selected = None
    return inner


#: The attributes of queries that hold expressions.
PARTS = ("where", "annotations", "select", "order_by", "group_by", "values", "inner_query", "combined_queries")


def _replaced_part(part: Any, new: Replacements) -> Any:
    if isinstance(part, dict):
        items = {name: replaced(value, new) for name, value in part.items()}
        return part if _same(items.values(), part.values()) else items
    if isinstance(part, tuple | list):
        found = [_replaced_part(one, new) if isinstance(one, tuple) else replaced(one, new) for one in part]
        return part if _same(found, part) else type(part)(found)
    return replaced(part, new)


def _replaced_expression(node: Any, new: Replacements) -> Any:
    if not hasattr(node, "get_source_expressions"):
        return node
    sources = node.get_source_expressions()
    inside = [replaced(source, new) for source in sources]
    listed = getattr(node, "rhs", None)
    values = _replaced_part(listed, new) if isinstance(listed, list | tuple) else listed
    if _same(inside, sources) and values is listed:
        return node
    copy = node.copy()
    copy.set_source_expressions(inside)
    if values is not listed:
        copy.rhs = values
    return copy


def _where(node: WhereNode, children: list[Any]) -> WhereNode:
    made: WhereNode = node.create(connector=node.connector, negated=node.negated)
    made.children = children
    return made


def _same(left: Any, right: Any) -> bool:
    return all(one is other for one, other in zip(left, right, strict=True))

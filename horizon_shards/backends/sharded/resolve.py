"""From the ``where`` tree of a query to the shards that can hold its rows.

What is not understood widens to all shards and never narrows: a negation, an XOR, an expression on the right
side, a subquery. ``None`` stands for "all shards" throughout.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any

from django.db.models.expressions import Col, ColPairs, Value
from django.db.models.lookups import GreaterThan, GreaterThanOrEqual, In, LessThan, LessThanOrEqual, Range
from django.db.models.sql.where import AND, OR, NothingNode, WhereNode

from horizon_shards import context
from horizon_shards.backends.sharded.walk import conjuncts, is_equality
from horizon_shards.declarations import final_field
from horizon_shards.placement import Placement

Shards = frozenset[str] | None
#: Values that a column must have one of: ``{(alias, column): values}``.
Equalities = dict[tuple[str, str], list[Any]]


def resolve(where: WhereNode, tables: dict[str, Placement]) -> Shards:
    """The shards that can hold rows matching ``where``; ``tables`` are the placements by alias."""
    return _node(where, {alias: placement for alias, placement in tables.items() if placement.sharded})


def _node(node: Any, tables: dict[str, Placement]) -> Shards:
    if isinstance(node, NothingNode):
        return frozenset()
    if isinstance(node, WhereNode):
        if node.negated:
            return None
        if node.connector == AND:
            return _and(list(conjuncts(node)), tables)
        return _or(node.children, tables) if node.connector == OR else None
    return _and([node], tables)


def _or(children: Iterable[Any], tables: dict[str, Placement]) -> Shards:
    found: frozenset[str] = frozenset()
    for child in children:
        shards = _node(child, tables)
        if shards is None:
            return None
        found |= shards
    return found


def _and(children: list[Any], tables: dict[str, Placement]) -> Shards:
    found: Shards = None
    equal: Equalities = {}
    for child in children:
        if isinstance(child, WhereNode | NothingNode):
            found = _intersect(found, _node(child, tables))
        elif _is_tuple_in(child):
            found = _intersect(found, _tuple_in(child, tables))
        else:
            statement = {(column.alias, str(column.target.column)): values for column, values in _equalities(child)}
            found = _intersect(found, _of_statement(statement, tables))
            found = _intersect(found, _narrowed(child, tables))
            equal = statement | equal
    for alias, placement in tables.items():
        if len(placement.key) > 1:
            found = _intersect(found, _of_key(alias, placement, equal))
    return found


def _of_statement(equal: Equalities, tables: dict[str, Placement]) -> Shards:
    found: Shards = None
    for alias in {alias for alias, _ in equal} & tables.keys():
        placement = tables[alias]
        for shards in (_of_key, _of_buckets, _of_known):
            found = _intersect(found, shards(alias, placement, equal))
    return found


def _intersect(left: Shards, right: Shards) -> Shards:
    if left is None or right is None:
        return right if left is None else left
    return left & right


def _equalities(leaf: Any) -> Iterator[tuple[Col, list[Any]]]:
    if is_equality(leaf):
        yield from _exact(leaf.lhs, leaf.rhs)
    elif _is_plain_in(leaf) and isinstance(leaf.lhs, Col):
        values = _plain_values(leaf.rhs)
        if values is not None:
            yield leaf.lhs, values


def _is_plain_in(leaf: Any) -> bool:
    return isinstance(leaf, In) and leaf.lookup_name == "in" and not leaf.bilateral_transforms


def _exact(lhs: Any, rhs: Any) -> Iterator[tuple[Col, list[Any]]]:
    if isinstance(lhs, ColPairs):
        if isinstance(rhs, list | tuple) and len(rhs) == len(lhs):
            for column, value in zip(lhs.get_cols(), rhs, strict=True):
                yield from _exact(column, value)
    elif isinstance(lhs, Col):
        values = _plain_values([rhs])
        if values is not None:
            yield lhs, values


def _plain_values(values: Any) -> list[Any] | None:
    """The values of a right side, or None where one is known to the database only."""
    if not isinstance(values, list | tuple | set | frozenset):
        return None
    plain = []
    for given in values:
        value = given.value if isinstance(given, Value) else given
        if hasattr(value, "resolve_expression") or hasattr(value, "as_sql"):
            return None
        plain.append(value)
    return plain


def _is_tuple_in(leaf: Any) -> bool:
    return isinstance(leaf, In) and isinstance(leaf.lhs, ColPairs)


def _tuple_in(leaf: Any, tables: dict[str, Placement]) -> Shards:
    """``(a, b) IN ((1, 2), ...)``: each tuple is an AND of its own."""
    rows = _plain_values(leaf.rhs)
    if rows is None or any(not isinstance(row, list | tuple) for row in rows):
        return None
    found: frozenset[str] = frozenset()
    for row in rows:
        equal: Equalities = {}
        for column, values in _exact(leaf.lhs, row):
            equal[column.alias, str(column.target.column)] = values
        shards = _of_statement(equal, tables)
        if shards is None:
            return None
        found |= shards
    return found


def _of_key(alias: str, placement: Placement, equal: Equalities) -> Shards:
    """The shards of the keys that the equalities spell out, where they name every part of the key."""
    if not placement.key_is_exact:
        return None
    parts = []
    for column in placement.key_columns:
        values = equal.get((alias, column))
        if values is None:
            return None
        # NULL equals nothing, and a key is never NULL.
        parts.append([value for value in values if value is not None])
    keys = {placement.convert(values) for values in product(*parts)}
    return None if None in keys else placement.shards_of_keys(keys)


def _of_buckets(alias: str, placement: Placement, equal: Equalities) -> Shards:
    """The shards of the buckets inside sharded ids."""
    found: Shards = None
    for column, field in placement.bucket_columns.items():
        values = equal.get((alias, column))
        if values is not None:
            buckets = [field.bucket_of(value) for value in values if value is not None]
            found = _intersect(found, placement.shards_of_buckets(buckets))
    return found


def _of_known(alias: str, placement: Placement, equal: Equalities) -> Shards:
    """The shards of rows whose keys the caller told by primary key (saving and deleting instances)."""
    known = context.known_placements()
    if not known or (values := equal.get((alias, str(placement.model._meta.pk.column)))) is None:
        return None
    label = placement.model._meta.label_lower
    keys = {known.get((label, value)) for value in values}
    return None if None in keys else placement.shards_of_keys(keys)


def _narrowed(leaf: Any, tables: dict[str, Placement]) -> Shards:
    """What an inequality on the key says under a mapping by ranges."""
    bounds = _bounds(leaf)
    if bounds is None or not isinstance(leaf.lhs, Col):
        return None
    placement = tables.get(leaf.lhs.alias)
    if placement is None or placement.key_columns != (leaf.lhs.target.column,) or not placement.key_is_exact:
        return None
    if final_field(placement.key[0]).get_internal_type() in ("CharField", "TextField"):
        # The database compares text by its collation, the mapping by code points.
        return None
    lower, upper = (None if bound is None else placement.convert([bound]) for bound in bounds)
    if (lower is None) != (bounds[0] is None) or (upper is None) != (bounds[1] is None):
        return None
    shards = placement.group.mapping.narrow(lower, upper)
    return None if shards is None else frozenset(shards)


def _bounds(leaf: Any) -> tuple[Any, Any] | None:
    rhs = getattr(leaf, "rhs", None)
    if isinstance(leaf, Range) and isinstance(rhs, list | tuple) and len(rhs) == 2:
        values = _plain_values(rhs)
        return None if values is None else (values[0], values[1])
    values = _plain_values([rhs])
    if values is None or values[0] is None:
        return None
    if isinstance(leaf, GreaterThan | GreaterThanOrEqual):
        return values[0], None
    return (None, values[0]) if isinstance(leaf, LessThan | LessThanOrEqual) else None

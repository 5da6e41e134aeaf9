"""The condition on groups, in Python, with SQL's three truth values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.db.models.expressions import Value
from django.db.models.lookups import (
    Exact,
    GreaterThan,
    GreaterThanOrEqual,
    In,
    IsNull,
    LessThan,
    LessThanOrEqual,
    Lookup,
    Range,
)
from django.db.models.sql.where import AND, OR, NothingNode, WhereNode

from horizon_shards.backends.sharded.order import NUMBERS, PLAIN, internal_type, output_field
from horizon_shards.exceptions import QueryNotSupported

#: True, False or None (unknown) for a group, from its values.
Test = Callable[[Sequence[Any]], "bool | None"]
#: The position of an expression's value among those of a group.
Position = Callable[[Any], int]

COMPARE: dict[type, Callable[[Any, Any], bool]] = {
    Exact: lambda left, right: bool(left == right),
    GreaterThan: lambda left, right: bool(left > right),
    GreaterThanOrEqual: lambda left, right: bool(left >= right),
    LessThan: lambda left, right: bool(left < right),
    LessThanOrEqual: lambda left, right: bool(left <= right),
    In: lambda left, right: left in right,
    Range: lambda left, right: bool(right[0] <= left <= right[1]),
}


def having_test(node: Any, position: Position) -> Test:
    """The test of ``node``; raises ``QueryNotSupported`` for what only the database can decide."""
    if isinstance(node, NothingNode):
        return lambda row: False
    if isinstance(node, WhereNode):
        return _node(node, position)
    return _leaf(node, position)


def _node(node: WhereNode, position: Position) -> Test:
    tests = [having_test(child, position) for child in node.children]
    if node.connector == AND:
        whole = _all(tests)
    elif node.connector == OR:
        whole = _any(tests)
    else:
        raise _refusal(node)
    return _not(whole) if node.negated else whole


def _all(tests: list[Test]) -> Test:
    def test(row: Sequence[Any]) -> bool | None:
        found = [test(row) for test in tests]
        return False if False in found else None if None in found else True

    return test


def _any(tests: list[Test]) -> Test:
    def test(row: Sequence[Any]) -> bool | None:
        found = [test(row) for test in tests]
        return True if True in found else None if None in found else False

    return test


def _not(inner: Test) -> Test:
    def test(row: Sequence[Any]) -> bool | None:
        found = inner(row)
        return None if found is None else not found

    return test


def _leaf(leaf: Any, position: Position) -> Test:
    if not isinstance(leaf, Lookup) or leaf.bilateral_transforms:
        raise _refusal(leaf)
    index = position(leaf.lhs)
    if isinstance(leaf, IsNull) and isinstance(leaf.rhs, bool):
        return lambda row: (row[index] is None) == leaf.rhs
    compare = next((how for kind, how in COMPARE.items() if isinstance(leaf, kind)), None)
    if compare is None or internal_type(output_field(leaf.lhs)) not in PLAIN | NUMBERS:
        raise _refusal(leaf)
    rhs = _plain(leaf)
    return lambda row: None if row[index] is None else compare(row[index], rhs)


def _plain(leaf: Any) -> Any:
    values = leaf.rhs if isinstance(leaf.rhs, list | tuple) else [leaf.rhs]
    plain = [value.value if isinstance(value, Value) else value for value in values]
    if any(hasattr(value, "as_sql") or value is None for value in plain):
        raise _refusal(leaf)
    return plain if isinstance(leaf.rhs, list | tuple) else plain[0]


def _refusal(node: Any) -> QueryNotSupported:
    return QueryNotSupported(
        f"The condition {node} on groups over several shards is not supported: compare one aggregate of numbers or "
        "dates with plain values, or filter the groups in Python.",
        reason="having",
    )

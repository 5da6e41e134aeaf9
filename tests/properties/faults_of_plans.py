"""Mistakes put in on purpose: which shards a query or a write goes to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import replace
from typing import Any

import pytest
from django.db.models.sql.where import AND, WhereNode

from horizon_shards.backends.sharded import compiler, planner, resolve, writes
from horizon_shards.topology import Group

Patch = pytest.MonkeyPatch
Fault = Callable[[Patch], None]


def or_as_and(patch: Patch) -> None:
    """The shards of an OR are those that both sides leave."""
    patch.setattr(resolve, "_or", lambda children, tables: resolve._and(list(children), tables))


def or_sees_its_first_side(patch: Patch) -> None:
    """The shards of an OR are those of its first side."""
    patch.setattr(resolve, "_or", lambda children, tables: resolve._node(children[0], tables))


def first_tuple_of_many(patch: Patch) -> None:
    """The shards of ``(a, b) IN (...)`` are those of its first tuple."""
    original = resolve._tuple_in

    def tuple_in(leaf: Any, tables: Any) -> Any:
        shorter = copy(leaf)
        shorter.rhs = leaf.rhs[:1] if isinstance(leaf.rhs, list) else leaf.rhs
        return original(shorter, tables)

    patch.setattr(resolve, "_tuple_in", tuple_in)


def negation_ignored(patch: Patch) -> None:
    """The shards of NOT x are those of x."""
    original = resolve._node

    def node(part: Any, tables: Any) -> Any:
        if isinstance(part, WhereNode) and part.negated:
            part = WhereNode(part.children, part.connector)
        return original(part, tables)

    patch.setattr(resolve, "_node", node)


def negated_and_flattened(patch: Patch) -> None:
    """The conditions inside a NOT count as if they stood outside."""

    def flatten(node: WhereNode) -> Iterator[Any]:
        for child in node.children:
            if isinstance(child, WhereNode) and child.connector == AND:
                yield from flatten(child)
            else:
                yield child

    patch.setattr(resolve, "conjuncts", flatten)


def bucket_off_by_one(patch: Patch) -> None:
    """An id is looked for in the bucket beside its own."""
    from horizon_shards.fields import ShardedIdField

    original = ShardedIdField.bucket_of

    def bucket_of(self: Any, value: Any) -> int | None:
        bucket = original(self, value)
        return None if bucket is None else (bucket + 1) % 64

    patch.setattr(ShardedIdField, "bucket_of", bucket_of)


def shard_forgotten(patch: Patch) -> None:
    """A query for several shards leaves out the last one."""
    original = Group.ordered
    patch.setattr(Group, "ordered", lambda self, names: original(self, names)[: max(1, len(set(names)) - 1)])
    everything = planner._plan_sharded

    def plan(query: Any, group: Any, operation: Any, shards: Any) -> Any:
        return everything(query, group, operation, frozenset(group.shard_names) if shards is None else shards)

    patch.setattr(planner, "_plan_sharded", plan)


def write_count_of_one_shard(patch: Patch) -> None:
    """An UPDATE or DELETE reports the rows of one shard."""
    patch.setattr(writes, "row_count", _once(writes.row_count))


def write_on_the_first_shard(patch: Patch) -> None:
    """An UPDATE or DELETE for several shards runs on the first alone."""
    original = compiler.plan_query

    def plan_query(query: Any, group: Any, operation: str) -> Any:
        plan, tables = original(query, group, operation)
        if operation in ("update", "delete") and plan.mode == "scatter":
            plan = replace(plan, mode="single", shards=plan.shards[:1])
        return plan, tables

    patch.setattr(compiler, "plan_query", plan_query)


def everybody_asked(patch: Patch) -> None:
    """Every query asks all shards: right answers, but no sharding."""
    patch.setattr(planner, "resolve", lambda where, tables: None)
    patch.setattr(planner, "plan_by_key", lambda query, group, operation: None)


def _once(count: Callable[[Any], int]) -> Callable[[Any], int]:
    return lambda result: min(1, count(result))


PLANS: tuple[Fault, ...] = (
    or_as_and, or_sees_its_first_side, negation_ignored, negated_and_flattened, bucket_off_by_one, shard_forgotten,
    write_count_of_one_shard, write_on_the_first_shard, everybody_asked,
)  # fmt: skip

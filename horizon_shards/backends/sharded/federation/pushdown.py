"""The conditions of a query that concern one table alone, so that only the rows that meet them are gathered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models.expressions import Col
from django.db.models.lookups import Lookup
from django.db.models.sql import Query
from django.db.models.sql.constants import INNER
from django.db.models.sql.subqueries import AggregateQuery
from django.db.models.sql.where import WhereNode

from horizon_shards.backends.sharded.federation.refusals import parts_of
from horizon_shards.backends.sharded.shortcut import adds_no_joins
from horizon_shards.backends.sharded.walk import conjuncts


def conditions_on(table: str, query: Any, sql: str) -> tuple[str, list[Any]]:
    """The alias of ``table`` in the query, and conditions that each of its rows in the answer must meet.

    Only where the table is named once in all of the SQL, and not on the side of an outer join that may be missing:
    there, a row that is left out would turn up as NULLs. None are always right.
    """
    # A column follows the name of its table after a dot; any other mention may be a use.
    if sql.count(f'"{table}"') - sql.count(f'"{table}".') != 1:
        return table, []
    parts = list(parts_of(query))
    uses = [(part, alias) for part in parts for alias in _aliases(part, table)]
    if len(uses) != 1:
        return table, []
    part, alias = uses[0]
    join_type = getattr(part.alias_map.get(alias), "join_type", None)
    if join_type not in (None, INNER) or not _is_in_sql(part, parts):
        return table, []
    return alias, [node for node in conjuncts(part.where) if _concerns_only(node, alias)]


def _is_in_sql(part: Query, parts: list[Query]) -> bool:
    """Whether the one mention of the table in the SQL must be this part's.

    Django leaves an inner query out that can find nothing; the mention is then a join that compiling another part has
    added. The outermost query is never left out.
    """
    return part is parts[0] or all(adds_no_joins(other) for other in parts)


def _aliases(query: Query, table: str) -> Iterator[str]:
    if query.combinator or isinstance(query, AggregateQuery):
        return
    used = [alias for alias in query.alias_map if query.alias_refcount[alias]]
    if not used and query.model is not None and query.get_meta().db_table == table:
        # Compiling adds the model's own table.
        yield table
    yield from (alias for alias in used if query.alias_map[alias].table_name == table)


def _concerns_only(node: Any, alias: str) -> bool:
    """Whether the node compares columns of this alias with plain values, and nothing else."""
    if isinstance(node, WhereNode):
        return all(_concerns_only(child, alias) for child in node.children)
    if not isinstance(node, Lookup) or type(node.lhs) is not Col or node.lhs.alias != alias:
        return False
    values = node.rhs if isinstance(node.rhs, list | tuple | set | frozenset) else [node.rhs]
    return not node.bilateral_transforms and not any(hasattr(value, "as_sql") for value in values)

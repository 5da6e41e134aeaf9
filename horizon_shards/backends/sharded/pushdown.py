"""What each shard can finish by itself: groups, windows and rows that lie on one shard whole."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models.expressions import Col, ColPairs
from django.db.models.sql import Query
from django.db.models.sql.constants import LOUTER

from horizon_shards.backends.sharded.tables import Tables
from horizon_shards.backends.sharded.walk import contents_of
from horizon_shards.exceptions import QueryNotSupported
from horizon_shards.placement import Placement

Columns = set[tuple[str, str]]


def groups_are_whole(query: Query, tables: Tables) -> bool:
    """Whether every group of the query lies on one shard."""
    if query.group_by is None:
        return True
    if query.group_by is True:
        return tables.base is not None and tables.base.sharded and not tables.base.pk_repeats
    return identifies_shard(columns_of(query.group_by), query, tables)


def check_groups(query: Query, tables: Tables) -> None:
    """Raise unless every group of the query lies on one shard."""
    if groups_are_whole(query, tables):
        return
    raise QueryNotSupported(
        f"GROUP BY on {query.get_meta().label} over several shards is supported where the groups contain the shard key "
        f"({_key_names(tables)}) or the primary key. Add it to values(), filter by it, or group in Python.",
        reason="group-by",
    )


def check_windows(query: Query, tables: Tables) -> None:
    """Raise unless every window's partition lies on one shard."""
    for window in contents_of(query).windows:
        partition = window.partition_by
        if partition is None or not identifies_shard(columns_of(partition.get_source_expressions()), query, tables):
            raise QueryNotSupported(
                "A window over several shards needs the shard key in partition_by "
                f"({_key_names(tables)}); else filter by the key.",
                reason="window",
            )


def rows_are_disjoint(query: Query, tables: Tables) -> bool:
    """Whether no row of one shard can equal a row of another, because each row names its shard."""
    if query.distinct_fields:
        return identifies_shard(_distinct_on(query.clone()), query, tables)
    if query.default_cols:
        return tables.base is not None and tables.base.sharded
    return identifies_shard(columns_of(query.select), query, tables)


def _distinct_on(query: Query) -> Columns:
    """The columns of ``distinct("field")``."""
    return columns_of(query.resolve_ref(name, allow_joins=True) for name in query.distinct_fields)


def identifies_shard(columns: Columns, query: Query, tables: Tables) -> bool:
    """Whether rows that agree in ``columns`` are on one shard."""
    for alias, placement in tables.by_alias.items():
        if not placement.sharded or getattr(query.alias_map.get(alias), "join_type", None) == LOUTER:
            continue
        if any(all((alias, name) in columns for name in names) for names in _identities(placement)):
            return True
    return False


def _identities(placement: Placement) -> Iterable[tuple[str, ...]]:
    """Column sets of a table that tell the shard of a row: the key, the primary key, what carries a bucket."""
    opts = placement.model._meta
    yield placement.key_columns
    if not placement.pk_repeats:
        yield tuple(str(field.column) for field in getattr(opts, "pk_fields", [opts.pk]))
    for column in placement.bucket_columns:
        if not any(field.column == column and field.null for field in opts.concrete_fields):
            yield (column,)


def names_its_shard(expression: Any, tables: Tables) -> bool:
    """Whether a value of the expression, NULL aside, occurs on one shard only."""
    columns = columns_of([expression])
    return any(
        placement.sharded and any(all((alias, name) in columns for name in names) for names in _identities(placement))
        for alias, placement in tables.by_alias.items()
    )


def columns_of(expressions: Any) -> Columns:
    """The plain columns among expressions."""
    found: Columns = set()
    for expression in expressions:
        source = getattr(expression, "source", expression)
        if isinstance(source, ColPairs):
            found |= {(column.alias, str(column.target.column)) for column in source.get_cols()}
        elif isinstance(source, Col):
            found.add((source.alias, str(source.target.column)))
    return found


def _key_names(tables: Tables) -> str:
    keys = [field.name for placement in tables.by_alias.values() for field in placement.key]
    return ", ".join(dict.fromkeys(keys)) or "none here"

"""Composite keys and subqueries: Redshift has no rows of values, so that columns are compared one by one."""

from __future__ import annotations

from typing import Any

from django.db import NotSupportedError
from django.db.models.expressions import Col, ColPairs
from django.db.models.fields.tuple_lookups import TupleExact, TupleIn
from django.db.models.sql import Query

from horizon_shards.backends.redshift.rendering import SQL, renders


@renders(TupleExact)
def tuple_exact(node: Any, compiler: Any, connection: Any) -> SQL:
    """Each column with that of the subquery's one row, whose order is completed so that all find the same row."""
    if not isinstance(node.rhs, Query):
        return node.as_sql(compiler, connection)  # type: ignore[no-any-return]
    columns = _columns(node.rhs, connection)
    if columns is None:
        raise NotSupportedError(
            "Redshift compares a composite key with a subquery of plain columns only, without DISTINCT, groups and "
            "unions: use __in, or read the key first and compare with that."
        )
    alike: list[str] = []
    params: list[Any] = []
    for own, other in zip(node.lhs, columns, strict=True):
        (left, left_params), (right, right_params) = map(compiler.compile, (own, _one(node.rhs, other, columns)))
        alike.append(f"{left} = {right}")
        params += [*left_params, *right_params]
    return f"({' AND '.join(alike)})", tuple(params)


@renders(TupleIn)
def tuple_in(node: Any, compiler: Any, connection: Any) -> SQL:
    """The first rows of a subquery are read before they are compared: Django's own SQL compares, and then counts."""
    if not isinstance(node.rhs, Query) or not node.rhs.is_sliced:
        return node.as_sql(compiler, connection)  # type: ignore[no-any-return]
    if node.rhs.get_external_cols():
        raise NotSupportedError(
            "Redshift finds a composite key in the first rows of a subquery only where that asks for no columns of the "
            "outer query (OuterRef): leave out the slice."
        )
    rows, params = compiler.compile(node.rhs)
    alike, names = [], []
    for number, own in enumerate(node.lhs):
        sql, own_params = compiler.compile(own)
        names.append(f'"c{number}"')
        alike.append(f'"firsts"."c{number}" = {sql}')
        params = (*params, *own_params)
    table = f'{rows} AS "firsts" ({", ".join(names)})'
    return f"EXISTS (SELECT 1 FROM {table} WHERE {' AND '.join(alike)})", tuple(params)


def _columns(query: Any, connection: Any) -> list[Col] | None:
    """What a query selects, where that is columns of its rows; else None."""
    if query.combinator or query.distinct or query.group_by is not None or query.extra_order_by:
        return None
    selected = [entry[0] for entry in query.get_compiler(connection=connection).get_select()[0]]
    columns = [column for entry in selected for column in (entry if isinstance(entry, ColPairs) else [entry])]
    return columns if all(isinstance(column, Col) for column in columns) else None


def _one(query: Any, column: Col, columns: list[Col]) -> Any:
    """The query for one of its columns; rows that its order leaves equal follow by ``columns``."""
    order = query.order_by
    if not order and query.default_ordering:
        order = query.get_meta().ordering
    one = query.clone()
    one.clear_select_clause()
    one.select = (column,)
    one.order_by = (*order, *columns)
    return one

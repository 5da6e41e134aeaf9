"""What SQLite answers as a server does, found while Django compiles: everything else is served or refused."""

from __future__ import annotations

from typing import Any

from django.db.models import Aggregate, Count, Max, Min, Sum, Transform
from django.db.models.expressions import (
    Case,
    Col,
    ColPairs,
    Exists,
    Expression,
    ExpressionList,
    ExpressionWrapper,
    OrderBy,
    OrderByList,
    Ref,
    Star,
    Subquery,
    Value,
    When,
    Window,
)
from django.db.models.functions import Coalesce, DenseRank, Rank, RowNumber
from django.db.models.lookups import Exact, In, IsNull, Lookup
from django.db.models.sql import Query
from django.db.models.sql.constants import LOUTER
from django.db.models.sql.datastructures import BaseTable, Join
from django.db.models.sql.where import NothingNode, WhereNode

from horizon_shards.backends.sharded.collations import collation_of
from horizon_shards.backends.sharded.federation.storage import (
    connection_of,
    inside,
    is_comparable,
    is_equatable,
    kind_of,
)
from horizon_shards.backends.sharded.kinds import TEXT
from horizon_shards.backends.sharded.leaving import PLAIN_LOOKUPS
from horizon_shards.backends.sharded.order import comparable, nulls_first
from horizon_shards.backends.sharded.partials import condition_of
from horizon_shards.backends.sharded.selected import WHOLE, of_one_type
from horizon_shards.backends.sharded.walk import Contents, columns_in
from horizon_shards.exceptions import QueryNotSupported

#: What SQLite computes as the servers do, where what it is made of compares alike.
ALIKE: tuple[type, ...] = (
    BaseTable, Case, Coalesce, Col, DenseRank, Exists, ExpressionList, ExpressionWrapper, Join, NothingNode, OrderBy,
    Query, Rank, Ref, RowNumber, Star, Subquery, When, WhereNode, Window,
)  # fmt: skip
#: What is no value: a part of a statement, or has several.
CLAUSES = (ColPairs, ExpressionList, OrderBy, Ref, Star, Subquery, Value, When)
LOOKUPS = {"exact", "gt", "gte", "lt", "lte", "in", "range", "isnull"}
EQUALITIES = {"exact", "in"}
CURE = "Write the query without it (by ids, numbers or dates; or finish in Python), or so that it needs no federation."


def check_identities(expressions: Any, what: str, private: Any) -> None:
    """Raise unless rows are one just where they are to the server; a primary key stands for all of its table."""
    whole = {column.alias for column in expressions if isinstance(column, Col) and column.target.primary_key}
    for expression in expressions:
        aliases = {column.alias for column in columns_in(expression)}
        if not is_equatable(expression, private.logical) and not (aliases and aliases <= whole):
            raise not_alike(expression, what, private)


def not_alike(node: Any, what: str, private: Any) -> QueryNotSupported:
    """The error of what SQLite would not answer as the server."""
    engine = private.logical.lead.display_name
    return QueryNotSupported(
        f"{private.refusal} Federation cannot help: {what} by {node!r} is {engine}'s own, and the private SQLite "
        f"database may answer otherwise. {CURE}",
        reason="federation-engine",
    )


class Part:
    """One node of a query that is being compiled."""

    def __init__(self, node: Any, private: Any) -> None:
        self.node = node
        self.private = private
        self.logical = private.logical

    def alike(self) -> Any:
        """What to compile in place of the node; raises where nothing is alike."""
        node = self.node
        if isinstance(node, Expression) and not isinstance(node, Col) and (place := self.place(node)) is not None:
            # Conditions that nothing or everything meets raise here, as they do on the server.
            lead = self.logical.lead
            lead.ops.compiler("SQLCompiler")(self.private.scopes[-1], lead, lead.alias).compile(node)
            return self.private.serve(node, alias=place[0], table=place[1])
        if isinstance(node, Lookup):
            return self._lookup(node)
        if isinstance(node, Aggregate):
            self._check_aggregate(node)
        elif isinstance(node, OrderBy):
            return self._order(node)
        elif isinstance(node, OrderByList):
            return _with_orders(node)
        elif isinstance(node, Value):
            self._check(type(node) is Value and isinstance(node.value, bool | int | str | None), "a constant")
        elif isinstance(node, Join):
            self._check_join(node)
        elif isinstance(node, Window):
            self._check_window(node)
        elif isinstance(node, Case | Coalesce | ExpressionWrapper | When):
            self._check(all(map(self._is_part_of, values_of(node))), "a value computed of several tables")
        else:
            known = isinstance(node, ALIKE) and type(node).__module__.startswith(("django.db.models", "horizon_shards"))
            self._check(known or type(node).__name__ == "AggregateFilter", "an expression")
        return node

    def place(self, node: Any) -> tuple[str, str] | None:
        """The alias and the table whose rows alone decide the value, or None."""
        if isinstance(node, CLAUSES) or type(node).__name__ == "AggregateFilter":
            return None
        aliases = {column.alias for column in columns_in(node)}
        contents = Contents()
        contents.take(node, None, False)
        inside = contents.nested or contents.raw or contents.windows or contents.volatile
        if len(aliases) != 1 or inside or getattr(node, "contains_aggregate", False) or _is_apart(node):
            return None
        (alias,) = aliases
        scope = next((scope for scope in reversed(self.private.scopes) if alias in scope.alias_map), None)
        if scope is None:
            return None
        join = scope.alias_map[alias]
        # Of a row that an outer join does not find, nothing is served: all of its columns are NULL.
        return (alias, join.table_name) if join.join_type != LOUTER or is_strict(node) else None

    def _is_part_of(self, value: Any) -> bool:
        """Whether a value may be one of those that the node gives."""
        if isinstance(value, Value) and (value.value is None or isinstance(value.value, str)):
            return value.value is None or is_equatable(self.node, self.logical)
        return is_equatable(value, self.logical) and of_one_type(inside(value), self.node)

    def _lookup(self, node: Any) -> Any:
        name = node.lookup_name
        known = name in LOOKUPS and type(node).__module__ in PLAIN_LOOKUPS and not node.bilateral_transforms
        self._check(known, "a comparison")
        if isinstance(node, IsNull):
            return node
        sides = [node.lhs, node.rhs] if hasattr(node.rhs, "resolve_expression") else [node.lhs]
        sides = [inside(side) for side in sides]
        if len(sides) == 2:
            self._check(None not in sides and of_one_type(*sides), "a comparison of different types")
        if name in EQUALITIES and len(sides) == 2 and all(kind_of(side) in TEXT for side in sides):
            return self._texts(node, sides)
        how = is_equatable if name in EQUALITIES else is_comparable
        self._check(all(how(side, self.logical) for side in sides), "a comparison")
        return node

    def _texts(self, node: Any, sides: list[Any]) -> Any:
        """Equality of texts: as it is, or by the server's sort keys."""
        if all(is_equatable(side, self.logical) for side in sides):
            return node
        query = node.rhs if isinstance(node.rhs, Query) else None
        plain = type(node) in (Exact, In) and (query is None or _is_plain_list(query))
        if not plain or isinstance(node.lhs, Query | Subquery) or isinstance(node.rhs, Subquery):
            raise not_alike(node, "a comparison of texts", self.private)
        lead = self.logical.lead
        same = all(connection_of(side, self.logical) is lead for side in sides)
        same = same and collation_of(sides[0], lead) == collation_of(sides[1], lead)
        self._check(same, "a comparison of texts of two databases or collations")
        left, right = self._weight(sides[0], None), self._weight(sides[1], query)
        if query is None:
            return Exact(left, right)
        query = query.clone()
        query.select = (right,)
        return In(left, query)

    def _weight(self, side: Any, query: Any) -> Any:
        """The column of a text's sort keys; ``query``: whose own columns are not looked up in the queries around."""
        scopes = self.private.scopes
        try:
            self.private.scopes = scopes if query is None else [*scopes, query]
            place = self.place(side)
        finally:
            self.private.scopes = scopes
        if place is None:
            raise not_alike(self.node, "a comparison of texts", self.private)
        how = comparable(side, self.logical.lead, what="Federation")
        return self.private.weight(side, how, alias=place[0], table=place[1])

    def _check_aggregate(self, node: Any) -> None:
        condition = condition_of(node)
        source = node.get_source_expressions()[0]
        plain = condition is None or isinstance(condition, WhereNode)
        self._check(plain and not getattr(node, "order_by", None), "an aggregate")
        if isinstance(node, Count):
            self._check(not getattr(node, "distinct", False) or is_equatable(source, self.logical), "DISTINCT")
        elif isinstance(node, Min | Max):
            self._check(is_comparable(source, self.logical), "an aggregate")
        else:
            self._check(type(node) is Sum and kind_of(source) in WHOLE, "an aggregate")

    def _order(self, node: Any) -> Any:
        self._check(is_comparable(node.expression, self.logical) or isinstance(node.expression, Value), "ordering")
        copy = node.copy()
        first = nulls_first(node, self.logical.lead)
        copy.nulls_first, copy.nulls_last = (True, None) if first else (None, True)
        return copy

    def _check_join(self, node: Any) -> None:
        for left, right in node.join_fields:
            columns = [getattr(side, "target", side).get_col("") for side in (left, right)]
            alike = of_one_type(*columns) and all(is_equatable(column, self.logical) for column in columns)
            self._check(alike, "a join")

    def _check_window(self, node: Any) -> None:
        known = isinstance(node.source_expression, RowNumber | Rank | DenseRank | Aggregate)
        self._check(known and node.frame is None, "a window")
        parts = node.partition_by.get_source_expressions() if node.partition_by is not None else []
        check_identities(parts, "a window", self.private)

    def _check(self, alike: bool, what: str) -> None:
        if not alike:
            raise not_alike(self.node, what, self.private)


def _with_orders(node: Any) -> Any:
    """The terms of a window, each of which then says where its NULLs come."""
    copy = node.copy()
    terms = [term if isinstance(term, OrderBy) else OrderBy(term) for term in node.get_source_expressions()]
    copy.set_source_expressions(terms)
    return copy


def values_of(node: Any) -> list[Any]:
    """The values that a conditional expression chooses from."""
    if isinstance(node, Case):
        return [*(case.result for case in node.cases), node.default]
    return [node.result] if isinstance(node, When) else list(node.get_source_expressions())


def _is_plain_list(query: Any) -> bool:
    """Whether a query gives the values of one column, of all rows that it finds."""
    whole = not (query.combinator or query.distinct or query.is_sliced or query.group_by or query.annotation_select)
    return whole and len(query.select) == 1 and type(query.select[0]) is Col


def is_strict(node: Any) -> bool:
    """Whether an expression is NULL, or unknown, where its column is."""
    if type(node).__module__ in PLAIN_LOOKUPS:
        direct = not hasattr(node.rhs, "resolve_expression") and not node.bilateral_transforms
        return direct and not isinstance(node, IsNull) and is_strict(node.lhs)
    if isinstance(node, Transform) and type(node).__module__.startswith("django.db.models.functions."):
        return all(map(is_strict, node.get_source_expressions()))
    return isinstance(node, Col)


def _is_apart(node: Any) -> bool:
    """Whether a part of an expression means something else beside one row of its table."""
    return any(isinstance(part, Ref) or getattr(part, "set_returning", False) for part in node.flatten())

"""Conditions that Django's joins and subqueries need beside the pairs of columns of a composite foreign key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.exceptions import FullResultSet
from django.db.models import BooleanField
from django.db.models.expressions import Col, Expression
from django.db.models.lookups import Exact
from django.db.models.sql.where import AND, WhereNode

from horizon_shards.exceptions import QueryNotSupported


def join_condition(field: Any, remote: str | None, local: str | None) -> WhereNode | None:
    """What must hold beside equal columns: the raw parts of the related row, and no value that means NULL."""
    leaves: list[Any] = []
    if remote is not None:
        leaves += [_equals(remote, target, part.value) for target, part in field.raw_fields()]
    if local is not None:
        leaves += [_differs(local, column, value) for column, value in field.null_values()]
    return WhereNode(leaves, connector=AND) if leaves else None


def _equals(alias: str, target: Any, value: Any) -> Any:
    return target.get_lookup("exact")(target.get_col(alias), value)


def _differs(alias: str, column: Any, value: Any) -> WhereNode:
    node = WhereNode([_equals(alias, column, value)], connector=AND)
    node.negate()
    return node


class Correlation(Expression):
    """The pairs of columns that ``exclude()`` through the reverse relation leaves out.

    Django ties the subquery that it makes to the outer row by the first pair alone (``Query.split_exclude()``);
    this finds that condition and adds the other pairs.
    """

    conditional = True
    output_field = BooleanField()

    def __init__(self, field: Any, alias: str) -> None:
        super().__init__()
        self.relation = field
        self.alias = alias

    def relabeled_clone(self, change_map: dict[str, str]) -> Correlation:  # type: ignore[override]
        """The same for another alias of the table."""
        return Correlation(self.relation, change_map.get(self.alias, self.alias))

    def resolve_expression(self, *args: Any, **kwargs: Any) -> Correlation:
        """Itself: its aliases are known when the subquery is compiled."""
        return self

    def get_group_by_cols(self) -> list[Any]:
        """None: it holds no column of its own."""
        return []

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        """``U1.b = outer.b`` for every pair but the first."""
        # Django adds its own condition last, after what the caller compares with the outer row.
        found = list(self._outer_columns(compiler.query.where))
        outer = found[-1] if found else None
        field = self.relation
        if outer is None or outer.target != field.foreign_related_fields[0]:
            raise _refusal(field)
        pairs = field.related_fields[1:]
        leaves: list[Any] = [
            Exact(local.get_col(self.alias), target.get_col(outer.alias, local)) for local, target in pairs
        ]
        raw = join_condition(field, outer.alias, self.alias)
        if raw is not None:
            leaves.append(raw)
        if not leaves:
            raise FullResultSet
        return compiler.compile(WhereNode(leaves, connector=AND))

    def _outer_columns(self, where: WhereNode) -> Iterator[Col]:
        first = self.relation.local_related_fields[0]
        for leaf in where.children:
            if (other := _equal_to(self.alias, first, leaf)) is not None:
                yield other


class WholeCorrelation(Expression):
    """Stands in a join of a subquery, and refuses where Django ties its unjoined rows by the first pair alone."""

    conditional = True
    output_field = BooleanField()

    def __init__(self, field: Any, alias: str) -> None:
        super().__init__()
        self.relation = field
        self.alias = alias

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        """Nothing that restricts."""
        if any(self._is_outer(leaf, compiler.query) for leaf in compiler.query.where.children):
            raise _refusal(self.relation)
        return "1 = 1", ()

    def _is_outer(self, leaf: Any, query: Any) -> bool:
        other = _equal_to(self.alias, self.relation.foreign_related_fields[0], leaf)
        return other is not None and other.alias not in query.alias_map


def _equal_to(alias: str, field: Any, leaf: Any) -> Col | None:
    """The column that a condition calls equal to this one; a lookup that derives from ``Exact`` may say another."""
    if not isinstance(leaf, Exact) or leaf.lookup_name != "exact" or not isinstance(leaf.rhs, Col):
        return None
    is_mine = isinstance(leaf.lhs, Col) and (leaf.lhs.alias, leaf.lhs.target) == (alias, field)
    return leaf.rhs if is_mine else None


def _refusal(field: Any) -> QueryNotSupported:
    return QueryNotSupported(
        f"exclude() through the composite foreign key {field} cannot compare all its columns here: write "
        f"~Exists({field.model._meta.object_name}.objects.filter(...)) with an OuterRef for each of them.",
        reason="exclude-composite",
    )

"""Joins whose rows are elsewhere: another database, or shards that nothing ties to the row's own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db.backends.base.operations import BaseDatabaseOperations
from django.db.models import ForeignKey, Model, OneToOneRel
from django.db.models.expressions import Col
from django.db.models.lookups import In, IsNull, Lookup
from django.db.models.sql import Query
from django.db.models.sql.constants import LOUTER
from django.db.models.sql.datastructures import BaseTable
from django.db.models.sql.where import AND, XOR, NothingNode, WhereNode

from horizon_shards.backends.sharded.kinds import internal_type, output_field
from horizon_shards.backends.sharded.selected import can_be_listed
from horizon_shards.backends.sharded.steps import home_of
from horizon_shards.backends.sharded.tables import join_is_colocated
from horizon_shards.backends.sharded.walk import below, contents_of
from horizon_shards.exceptions import QueryNotSupported
from horizon_shards.placement import Placement, placement_of
from horizon_shards.topology import Group


@dataclass(eq=False)
class Edge:
    """One join that leaves, with all that is joined behind it; ``home`` and ``far`` are the columns it compares."""

    query: Any
    join: Any
    model: type[Model]
    home: Col
    far: Col
    members: list[str] = field(default_factory=list)

    @property
    def outer(self) -> bool:
        """Whether a row without a far one stays."""
        return bool(self.join.join_type == LOUTER)

    @property
    def to_one(self) -> bool:
        """Whether a row can have one far row at most, with all that is joined behind it."""
        return all(_is_to_one(self.query.alias_map[alias]) for alias in self.members)

    def far_query(self, condition: Any, *selected: Any) -> Any:
        """A query for ``selected`` of the far rows that meet ``condition``, on the same aliases."""
        far: Any = Query(self.model)
        base = BaseTable(self.join.table_name, self.join.table_alias)
        for alias in self.members:
            join = self.query.alias_map[alias] if alias != self.join.table_alias else base
            far.alias_map[alias] = join
            far.alias_refcount[alias] = max(1, self.query.alias_refcount[alias])
            far.table_map.setdefault(join.table_name, []).append(alias)
        far.where = WhereNode([part for part in (condition, self._restriction()) if part is not None], AND)
        far.select, far.default_cols = selected, False
        far.clear_ordering(force=True)
        check_home(far, self)
        return far

    def _restriction(self) -> Any:
        """What the relation itself asks of the far rows, as a generic one does."""
        join = self.join
        restriction = join.join_field.get_extra_restriction(join.table_alias, join.parent_alias)
        if restriction is None:
            return None
        if not isinstance(restriction, WhereNode | Lookup) or set(aliases_in(restriction)) - set(self.members):
            raise refusal(self, "is joined by a condition of its own")
        return restriction


def _is_to_one(join: Any) -> bool:
    """Whether the join finds one row at most: uniqueness holds on a shard only, but for primary keys."""
    field = join.join_field
    if isinstance(field, OneToOneRel):
        return bool(field.field.primary_key)
    return isinstance(field, ForeignKey) and bool(field.target_field.primary_key)


def check_home(far: Any, edge: Edge) -> None:
    """Raise where the far rows are not all in one database that can be asked."""
    placement = placement_of(edge.model)
    if placement is not None:
        if placement.pk_repeats and edge.far.target.primary_key:
            raise refusal(edge, "numbers its rows by each shard for itself")
        return
    models = [join.join_field.related_model for join in far.alias_map.values() if join.parent_alias is not None]
    if any(placement_of(model) is not None for model in models) or contents_of(far).nested:
        raise refusal(edge, f"is joined with rows that are not in {home_of(far)!r}")


def edges_of(query: Any, group: Group) -> list[Edge]:
    """The joins of a query that leave the shards of its rows; raises for one that has more than a pair of columns."""
    model: Any = query.get_meta().concrete_model
    here: dict[str, Placement | None] = {next(iter(query.alias_map), ""): placement_of(model)}
    edges: list[Edge] = []
    for alias, join in query.alias_map.items():
        if not query.alias_refcount[alias] or alias in here:
            continue
        if join.parent_alias is None:
            return []
        behind = next((edge for edge in edges if join.parent_alias in edge.members), None)
        if behind is not None:
            if join.filtered_relation is not None:
                # Its condition may name the row's own columns, or never hold, which leaves out more than far rows.
                raise refusal(behind, "is joined by a condition of its own")
            behind.members.append(alias)
        elif _stays(join, here, group):
            here[alias] = placement_of(join.join_field.related_model)
        else:
            edges.append(_edge(query, alias, join))
    return edges


def _stays(join: Any, here: dict[str, Placement | None], group: Group) -> bool:
    placement, parent = placement_of(join.join_field.related_model), here.get(join.parent_alias)
    if placement is None or placement.database != group.alias or parent is None:
        return False
    if not placement.sharded:
        return True
    if parent.sharded:
        return join_is_colocated(join, parent, placement)
    return join.join_type != LOUTER and not any(other is not None and other.sharded for other in here.values())


def _edge(query: Any, alias: str, join: Any) -> Edge:
    pairs = [tuple(getattr(side, "target", side) for side in pair) for pair in join.join_fields]
    home, far = pairs[0]
    model = join.join_field.related_model
    edge = Edge(query, join, model, home.get_col(join.parent_alias), far.get_col(alias), [alias])
    if len(pairs) != 1 or join.filtered_relation is not None:
        raise refusal(edge, "is joined by more than one column")
    if not can_be_listed(edge.home, edge.far):
        # The database would convert them before it compares them.
        raise refusal(edge, "is joined by columns of different types or collations")
    return edge


def refusal(edge: Edge, why: str) -> QueryNotSupported:
    """The error of a join that leaves in a way that no step can answer."""
    label, name = edge.model._meta.label, edge.join.join_field.name
    return QueryNotSupported(
        f"The query on {edge.query.get_meta().label} joins {label}, whose rows are not on the same shard, and {why}. "
        f"Fetch the keys of {label} first and filter by {name}__in=[...]; for the rows themselves use prefetch_related("
        f"{name!r}).",
        reason="join-not-colocated" if placement_of(edge.model) is not None else "join-leaves-group",
    )


def aliases_in(node: Any) -> Iterator[str]:
    """The table aliases that an expression names, but for those of queries inside it."""
    if isinstance(node, Col):
        yield node.alias
    elif isinstance(node, Query):
        inside = set(node.alias_map)
        parts = [node.where, *node.annotations.values(), *node.select]
        yield from (alias for part in parts for alias in aliases_in(part) if alias not in inside)
    else:
        for part in below(node):
            yield from aliases_in(part)


def truth_of_nulls(node: Any, edge: Edge) -> bool | None:
    """What a condition says of a row whose far columns are all NULL; None for unknown."""
    if isinstance(node, NothingNode):
        return False
    if isinstance(node, WhereNode):
        truth = _joined_truth(node.connector, [truth_of_nulls(child, edge) for child in node.children])
        if truth is None and node.connector == XOR:
            # With one side unknown some engines say that, and some what the other sides say.
            raise refusal(edge, "has a condition that may hold where there is no such row")
        return truth if truth is None or not node.negated else not truth
    if type(node).__module__ in PLAIN_LOOKUPS and isinstance(getattr(node, "lhs", None), Col):
        if isinstance(node, IsNull):
            return bool(node.rhs)
        if isinstance(node, In) and isinstance(node.rhs, list | tuple | set):
            return None if any(value is not None for value in node.rhs) else False
        if not _is_beyond(node):
            return None
    raise refusal(edge, "has a condition that may hold where there is no such row")


def _joined_truth(connector: str, found: list[bool | None]) -> bool | None:
    if connector == XOR:
        return None if None in found else found.count(True) % 2 == 1
    decisive = connector != AND
    return decisive if decisive in found else None if None in found else not decisive


def _is_beyond(leaf: Any) -> bool:
    """Whether a number is beyond what its column can hold: Django then decides without looking at the row."""
    limits = BaseDatabaseOperations.integer_field_ranges.get(internal_type(output_field(leaf.lhs)))
    return limits is not None and isinstance(leaf.rhs, int) and not limits[0] <= leaf.rhs <= limits[1]


#: Modules of lookups that are unknown where their left side is NULL, but for IsNull.
PLAIN_LOOKUPS = {
    "django.db.models.lookups",
    "django.db.models.fields.related_lookups",
    "horizon_shards.backends.sharded.bound",
}

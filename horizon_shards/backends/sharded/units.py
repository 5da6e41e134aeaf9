"""Conditions on joins that leave, as conditions on keys: what the far rows say is asked first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import IntegerField
from django.db.models.expressions import Case, Value, When
from django.db.models.lookups import Exact, IsNull
from django.db.models.sql.where import AND, OR, WhereNode

from horizon_shards.backends.sharded.bound import BoundIn, PendingIn
from horizon_shards.backends.sharded.leaving import Edge, aliases_in, refusal, truth_of_nulls
from horizon_shards.backends.sharded.merge import too_many_rows
from horizon_shards.backends.sharded.steps import Step, rows_of, too_many_keys, values_of
from horizon_shards.backends.sharded.walk import conjuncts


@dataclass(frozen=True)
class KeysStep(Step):
    """The keys of far rows that meet a condition; ``unmatched``: whether a row without a far one meets it, too."""

    edge: Any = None
    condition: Any = None
    unmatched: bool = False

    @property
    def what(self) -> str:
        """What is fetched, in words."""
        return f"the values of {self.edge.far.target.name!r}"

    def pending(self) -> Any:
        """What stands for the answer in a plan."""
        return PendingIn(self.edge.home)

    def answer(self, config: Any) -> Any:
        """Run the query; the condition on the column of the join."""
        home = self.edge.home
        if not self.unmatched:
            return BoundIn(home, _known(values_of(self.query, config.max_keys)))
        others = self.edge.far_query(_is_not_true(self.condition), self.edge.far)
        return where(OR, IsNull(home, True), _none_of(home, _known(values_of(others, config.max_keys))))


@dataclass(frozen=True)
class ManyStep(KeysStep):
    """As :class:`KeysStep`, of a join that can give several rows: ``counts`` remembers how many for each key."""

    counts: Any = None

    def answer(self, config: Any) -> Any:
        """Run the query; the condition on the column of the join."""
        self.counts.clear()
        for number, (key, *columns) in enumerate(rows_of(self.query), 1):
            if number > config.max_rows:
                raise too_many_rows(config.max_rows, f"rows of {self.query.get_meta().label}")
            if key is not None:
                self.counts.setdefault(key, []).append(columns)
            if len(self.counts) > config.max_keys:
                raise too_many_keys(self.query, config.max_keys)
        found = BoundIn(self.edge.home, list(self.counts))
        if not self.unmatched:
            return found
        every = _known(values_of(self.edge.far_query(None, self.edge.far), config.max_keys))
        return where(OR, found, IsNull(self.edge.home, True), _none_of(self.edge.home, every))


def where(connector: str, *children: Any, negated: bool = False) -> WhereNode:
    """A node of a condition."""
    return WhereNode(list(children), connector, negated)


def _known(values: list[Any]) -> list[Any]:
    return [value for value in values if value is not None]


def _none_of(home: Any, keys: list[Any]) -> WhereNode:
    return where(AND, BoundIn(home, keys), negated=True)


def _is_not_true(condition: Any) -> Any:
    """False or unknown."""
    one = Case(When(condition, then=Value(1)), default=Value(0), output_field=IntegerField())
    return Exact(one, 0)


class Reduction:
    """The condition of a query without the columns of joins that leave."""

    def __init__(self, edges: list[Edge]) -> None:
        self.edges = edges
        self.steps: list[KeysStep] = []
        #: The joins without whose far row no row meets the condition.
        self.required: set[Edge] = set()
        self.edge_of = {alias: edge for edge in edges for alias in edge.members}

    def condition(self, root: WhereNode) -> WhereNode:
        """The condition of the query: every edge's own parts together, since they speak of one far row."""
        own: dict[Edge, list[Any]] = {edge: [] for edge in self.edges}
        others: list[Any] = []
        for child in conjuncts(root):
            edge = self._pure(child)
            (others if edge is None else own[edge]).append(child)
        made = [self._of_edge(edge, parts) for edge, parts in own.items() if parts or not edge.to_one]
        left = [self.reduced(child, False) for child in others]
        whole = where(AND, *made, *left)
        self.required = self._required(whole, {id(step.replaces): step for step in self.steps})
        return whole

    def unconditional(self) -> list[Edge]:
        """The inner joins that the condition does not ask for: rows without a far one are to be left out."""
        return [edge for edge in self.edges if not edge.outer and edge not in self.required]

    def _required(self, node: Any, steps: dict[int, KeysStep]) -> set[Edge]:
        """The joins whose far row a node needs: of an OR, those that each of its sides needs."""
        step = steps.get(id(node))
        if step is not None and not step.unmatched:
            return {step.edge}
        if not isinstance(node, WhereNode) or node.negated or not node.children:
            return set()
        sides = [self._required(child, steps) for child in node.children]
        return set.union(*sides) if node.connector == AND else set.intersection(*sides)

    def _of_edge(self, edge: Edge, parts: list[Any]) -> Any:
        if edge.to_one:
            return self.unit(edge, where(AND, *parts))
        condition = where(AND, *parts)
        placeholder = PendingIn(edge.home)
        unmatched = edge.outer and truth_of_nulls(condition, edge) is True
        far = edge.far_query(condition, edge.far)
        self.steps.append(ManyStep(far, placeholder, edge, condition, unmatched, {}))
        return placeholder

    def _edges_in(self, node: Any) -> set[Edge | None]:
        return {self.edge_of.get(alias) for alias in aliases_in(node)}

    def _pure(self, node: Any) -> Edge | None:
        """The edge whose columns alone the node names, or None."""
        found = self._edges_in(node)
        return next(iter(found)) if len(found) == 1 else None

    def reduced(self, node: Any, negated: bool) -> Any:
        """The node, with negations moved inwards, so that false and unknown need not be told apart."""
        found = self._edges_in(node)
        if not found - {None}:
            return where(AND, node, negated=True) if negated else node
        if len(found) == 1:
            edge: Any = next(iter(found))
            return self._one_of(edge, where(AND, node, negated=negated))
        if isinstance(node, WhereNode) and node.connector in (AND, OR):
            turned = negated != node.negated
            connector = node.connector if not turned else OR if node.connector == AND else AND
            return where(connector, *(self.reduced(child, turned) for child in node.children))
        raise refusal(next(edge for edge in found if edge is not None), "compares its columns with others")

    def _one_of(self, edge: Edge, condition: WhereNode) -> Any:
        if not edge.to_one:
            raise refusal(edge, "has several conditions on rows of which there can be many")
        return self.unit(edge, condition)

    def unit(self, edge: Edge, condition: WhereNode) -> Any:
        """What stands for a condition on far rows, whose keys a step asks for."""
        placeholder = PendingIn(edge.home)
        unmatched = edge.outer and truth_of_nulls(condition, edge) is True
        self.steps.append(KeysStep(edge.far_query(condition, edge.far), placeholder, edge, condition, unmatched))
        return placeholder


def has_duplicates(step: ManyStep) -> bool:
    """Whether some key came more than once."""
    return any(len(rows) > 1 for rows in step.counts.values())

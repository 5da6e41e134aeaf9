"""A query that needs the answers of others: they run first, each time, and what is left is planned with them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from django.db.models.sql.constants import GET_ITERATOR_CHUNK_SIZE, MULTI, SINGLE

from horizon_shards import context
from horizon_shards.backends.sharded.bound import written_out
from horizon_shards.backends.sharded.elsewhere import with_pending
from horizon_shards.backends.sharded.federation.refusals import LATE
from horizon_shards.backends.sharded.rewrite import replaced_query
from horizon_shards.backends.sharded.steps import Step, can_never_hold
from horizon_shards.backends.sharded.walk import conditions_anywhere, conditions_of


class Route(Protocol):
    """How a query gets its compiler."""

    def __call__(self, query: Any) -> Any:
        """The compiler that the planner chooses."""

    def instead(self, refusal: Exception, query: Any) -> Any:
        """The compiler that federates; raises ``refusal`` where that is off or no help."""

    def by_keys(self, query: Any) -> Any:
        """The compiler of an UPDATE that asks for the keys of its rows first."""


class SteppedCompiler:
    """Stands for the compiler of a query until its steps have run; then for that of the query with their answers."""

    def __init__(self, query: Any, connection: Any, steps: list[Step], route: Route) -> None:
        self.query = query
        #: The query as the caller wrote it.
        self.written = query
        self.logical = connection
        self.steps = steps
        #: From the query that is left to its compiler.
        self.route = route
        #: Whether an UPDATE of what is left asks for the keys of its rows first.
        self.asks_keys = False
        self.inner: Any = None
        #: Whether federation answers, since the steps could not.
        self.is_federated = False

    def __getattr__(self, name: str) -> Any:
        # Django reads what selecting found from the compiler, after it has run.
        if name.startswith("__") or self.__dict__.get("inner") is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.inner, name)

    @property
    def connection(self) -> Any:
        """The connection of the shard that the SQL is made for; before it is known, of the one that leads."""
        return self.logical.lead if self.inner is None else self.inner.connection

    def ready(self) -> Any:
        """The compiler of the query with the answers, which are asked for now; or the one that federates."""
        try:
            self.is_federated = False
            self.inner = self.answered()
        except LATE as refusal:
            self.federate(refusal)
        return self.inner

    def federate(self, refusal: Exception) -> None:
        """Go on as the compiler that federates the query as it was written."""
        self.inner, self.is_federated = self.route.instead(refusal, self.written), True

    def answered(self) -> Any:
        """The compiler of the query with the answers."""
        config = self.logical.group.config
        # Of a condition with NOT, what one shard left out would be found.
        with context.whole_results():
            answers = {id(step.replaces): step.answer(config) for step in self.steps}
        left_out = self._left_out()
        made = {name: answer if name in left_out else written_out(answer) for name, answer in answers.items()}
        left = replaced_query(self.query, made)
        return self.route.by_keys(left) if self.asks_keys else self.route(left)

    def _left_out(self) -> set[int]:
        """The conditions, by identity, with which Django may leave out what needs them, where they have no values."""
        rows = set(map(id, conditions_of(self.query)))
        others = set(map(id, conditions_anywhere(self.query))) - rows
        asked = {id(step.replaces): step.query for step in self.steps}
        return rows.union(name for name in asked.keys() & others if can_never_hold(asked[name]))

    def execute_sql(self, *args: Any, **kwargs: Any) -> Any:
        """Run the steps, then the query."""
        return self.ready().execute_sql(*args, **kwargs)

    def execute_returning_sql(self, *args: Any, **kwargs: Any) -> Any:
        """As :meth:`execute_sql`, of Django 6's UPDATE ... RETURNING."""
        return self.ready().execute_returning_sql(*args, **kwargs)

    def has_results(self) -> bool:
        """As :meth:`execute_sql`, of ``exists()``."""
        return bool(self.execute_sql(SINGLE))

    def results_iter(
        self,
        results: Any = None,
        tuple_expected: bool = False,
        chunked_fetch: bool = False,
        chunk_size: int = GET_ITERATOR_CHUNK_SIZE,
    ) -> Any:
        """The rows; runs the query unless its results are given."""
        if results is None:
            results = self.execute_sql(MULTI, chunked_fetch=chunked_fetch, chunk_size=chunk_size)
        return self.inner.results_iter(results, tuple_expected=tuple_expected)

    def merged_rows(self, *args: Any, **kwargs: Any) -> Any:
        """The rows of all shards, for the compilers that count them."""
        return self.ready().merged_rows(*args, **kwargs)

    def as_sql(self, *args: Any, **kwargs: Any) -> Any:
        """The SQL as it is written, before any step: for reading, no shard could run it."""
        lead = self.logical.lead
        return lead.ops.compiler(self.written.compiler)(self.written, lead, lead.alias).as_sql(*args, **kwargs)

    def explain_query(self) -> Iterator[str]:
        """The steps, without running them, and the plan of what is left."""
        for step in self.steps:
            yield f"first: {step}"
        yield from self.explain_rest(self.route(with_pending(self.query, self.steps)))

    def explain_rest(self, left: Any) -> Iterator[str]:
        """The plan of what the steps leave."""
        if isinstance(left, SteppedCompiler):
            yield from left.explain_query()
            return
        if self.steps:
            yield "then, with these values:"
        yield from str(left.plan).splitlines()

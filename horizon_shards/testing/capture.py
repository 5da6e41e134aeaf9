"""Records the plans of the queries that a block issues."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, overload

from django.db.models import Model

from horizon_shards.signals import query_planned
from horizon_shards.testing.call_site import call_site


@dataclass(frozen=True, slots=True)
class PlannedQuery:
    """One query as it was planned.

    ``shards`` are names; ``mode`` is ``"single"``, ``"scatter"``, ``"all"`` (a reference model's write) or
    ``"none"``; ``operation`` is ``"select"``, ``"insert"``, ``"update"`` or ``"delete"``; ``model`` is a label;
    ``database`` the logical alias; ``call_site`` the project's line; ``plan`` the whole plan.
    """

    database: str
    model: str
    operation: str
    mode: str
    shards: tuple[str, ...]
    call_site: str
    plan: Any

    def __str__(self) -> str:
        where = ", ".join(self.shards) or "no shard"
        return f"{self.mode} {self.operation} of {self.model} on {self.database}: {where}\n     at {self.call_site}"


class CapturedQueries(Sequence[PlannedQuery]):
    """The queries of a block, in the order they were planned; grows while the block runs."""

    def __init__(self, database: str | None = None) -> None:
        self.database = database
        self._queries: list[PlannedQuery] = []

    @overload
    def __getitem__(self, index: int) -> PlannedQuery: ...

    @overload
    def __getitem__(self, index: slice) -> list[PlannedQuery]: ...

    def __getitem__(self, index: int | slice) -> PlannedQuery | list[PlannedQuery]:
        return self._queries[index]

    def __len__(self) -> int:
        return len(self._queries)

    def __str__(self) -> str:
        if not self._queries:
            return "no query was planned on " + (repr(self.database) if self.database else "any logical database")
        return "\n".join(f"{number:3}. {query}" for number, query in enumerate(self._queries, start=1))

    @property
    def shards(self) -> tuple[str, ...]:
        """The names of all shards that were asked, each once, in the order of their first query."""
        return tuple(dict.fromkeys(shard for query in self._queries for shard in query.shards))

    @property
    def scatters(self) -> list[PlannedQuery]:
        """The queries that asked several shards for one answer."""
        return [query for query in self._queries if query.mode == "scatter"]

    def record(self, sender: type[Model] | None, plan: Any, **kwargs: Any) -> None:
        """Receive the signal ``query_planned``."""
        if self.database not in (None, plan.database):
            return
        label = plan.model or (sender._meta.label if sender else "raw SQL")
        query = PlannedQuery(plan.database, label, plan.operation, plan.mode, plan.shards, call_site(), plan)
        self._queries.append(query)


@contextmanager
def capture_shards(database: str | None = None) -> Iterator[CapturedQueries]:
    """Record where the queries of the block go, of one logical alias or of all.

    Queries of every thread of the process are recorded; unsharded databases are not looked at.
    """
    captured = CapturedQueries(database)
    query_planned.connect(captured.record, weak=False)
    try:
        yield captured
    finally:
        query_planned.disconnect(captured.record)

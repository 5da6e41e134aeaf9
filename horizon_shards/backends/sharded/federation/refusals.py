"""Which refusals federation can answer, and the cure in their message where it is off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.db.models.sql import Query
from django.db.models.sql.subqueries import AggregateQuery

from horizon_shards import context
from horizon_shards.backends.sharded.walk import contents_of
from horizon_shards.exceptions import KeyLimitExceeded, QueryNotSupported
from horizon_shards.topology import Group

#: Refusals that are not about where rows are, so that having all of them in one place would not help.
FINAL = {
    "auto-id",
    "cursor",
    "federation-engine",
    "foreign-model",
    "raw-sql",
    "scatter-forbidden",
    "several-rows",
    "shard-key-update",
    "unique-over-shards",
    "volatile",
}
#: What shows only while a query runs that federation could answer.
LATE = (QueryNotSupported, KeyLimitExceeded)
CURE = (
    " Or turn federation on (DATABASES[{alias!r}]['FEDERATION'] = {{'MAX_ROWS': 100_000}}): the rows of the tables "
    "concerned are then gathered into a private SQLite database, which answers."
)

_is_gathering: ContextVar[bool] = ContextVar("horizon_shards_is_gathering", default=False)


@contextmanager
def gathering() -> Iterator[None]:
    """Federate nothing inside the block, which is a part of federation."""
    token = _is_gathering.set(True)
    try:
        yield
    finally:
        _is_gathering.reset(token)


def check_can_federate(refusal: Exception, query: Any, logical: Any) -> None:
    """Raise the refusal unless federation can answer the query and is on; where it is only off, say so."""
    if reason_of(refusal) in FINAL or _is_gathering.get() or query.select_for_update or has_raw_sql(query):
        raise refusal
    if limit_of(logical.group) == 0:
        _mention(refusal, logical.alias)
        raise refusal


def reason_of(refusal: Exception) -> str:
    """The slug of a refusal, for counting."""
    return str(getattr(refusal, "reason", "key-limit"))


def limit_of(group: Group) -> int:
    """The most rows that a query may gather; 0 where federation is off."""
    granted = context.federation_limit()
    return group.config.federation_max_rows if granted is None else granted


def has_raw_sql(query: Any) -> bool:
    """Whether SQL that nothing here understands is anywhere in the query."""
    return any(not part.combinator and contents_of(part).raw for part in parts_of(query))


def parts_of(query: Any) -> Iterator[Query]:
    """The query, and all queries inside it: of subqueries, of set operations, of aggregates over rows."""
    yield query
    if isinstance(query, AggregateQuery):
        yield from parts_of(query.inner_query)
    for part in query.combined_queries:
        yield from parts_of(part)
    if not query.combinator:
        for nested in contents_of(query).nested:
            yield from parts_of(nested.query)


def _mention(refusal: Exception, alias: str) -> None:
    cure = CURE.format(alias=alias)
    if refusal.args and not str(refusal.args[0]).endswith(cure):
        refusal.args = (f"{refusal.args[0]}{cure}", *refusal.args[1:])

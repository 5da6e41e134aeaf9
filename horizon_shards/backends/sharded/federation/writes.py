"""UPDATE and DELETE by a condition that no shard can decide: the primary keys first, then the shards by key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import transaction
from django.db.models.sql import Query
from django.db.models.sql.constants import CURSOR, MULTI

from horizon_shards.backends.sharded.federation.refusals import check_can_federate, gathering
from horizon_shards.backends.sharded.federation.select import federated
from horizon_shards.backends.sharded.writes import RowCount, row_count
from horizon_shards.placement import placement_of

#: Keys named by one statement: SQLite takes 250,000 values, and a long statement is slow to plan everywhere.
CHUNK = 1_000


def keys_first(refusal: Exception, query: Any, logical: Any, elide_empty: bool) -> KeysFirst:
    """What carries the write out in two steps; raises ``refusal`` where federation is off or no help."""
    check_can_federate(refusal, query, logical)
    placement = placement_of(query.model)
    if placement is None or placement.pk_repeats:
        raise refusal
    keys = federated(refusal, keys_of(query), logical, elide_empty)
    return KeysFirst(query, logical, keys)


class KeysFirst:
    """Stands for Django's compiler: the calls that UPDATE and DELETE make."""

    def __init__(self, query: Any, logical: Any, keys: Any) -> None:
        self.query, self.logical, self.keys = query, logical, keys

    def execute_sql(self, result_type: Any = None) -> Any:
        """The number of rows; all of them are written in one transaction of the logical database."""
        count = sum(self._answers(lambda compiler: row_count(compiler.execute_sql(result_type))))
        return RowCount(count) if result_type == CURSOR and self.query.compiler == "SQLDeleteCompiler" else count

    def execute_returning_sql(self, returning_fields: Any) -> list[Any]:
        """Django 6's UPDATE ... RETURNING."""
        answers = self._answers(lambda compiler: compiler.execute_returning_sql(returning_fields))
        return [row for rows in answers for row in rows]

    def as_sql(self) -> Any:
        """The statement that finds the keys."""
        return self.keys.as_sql()

    def _answers(self, call: Any) -> list[Any]:
        alias = self.logical.alias
        with transaction.atomic(using=alias, savepoint=False):
            chunks = list(self._chunks())
            with gathering():
                return [call(_by_keys(self.query, chunk).get_compiler(using=alias)) for chunk in chunks]

    def _chunks(self) -> Iterator[list[Any]]:
        rows = list(self.keys.results_iter(self.keys.execute_sql(MULTI)))
        keys = list(dict.fromkeys(tuple(row) if len(row) > 1 else row[0] for row in rows))
        for start in range(0, len(keys), CHUNK):
            yield keys[start : start + CHUNK]


def keys_of(query: Any) -> Any:
    """A SELECT of the primary keys that the condition of a write means."""
    keys = query.clone()
    keys.__class__ = Query
    keys.clear_ordering(force=True)
    keys.clear_select_clause()
    fields = getattr(query.model._meta, "pk_fields", [query.model._meta.pk])
    base = keys.get_initial_alias()
    keys.set_select([field.get_col(base) for field in fields])
    return keys


def _by_keys(query: Any, keys: list[Any]) -> Any:
    """The same write, of the rows with these primary keys."""
    write = type(query)(query.model)
    for name in ("values", "related_updates", "related_ids"):
        if name in vars(query):
            setattr(write, name, getattr(query, name))
    write.add_filter("pk__in", keys)
    return write

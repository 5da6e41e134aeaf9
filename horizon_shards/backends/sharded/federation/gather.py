"""Filling the private database: the rows of each table, from wherever they are, up to the limit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Model
from django.db.models.expressions import Col
from django.db.models.sql import Query
from django.db.models.sql.constants import GET_ITERATOR_CHUNK_SIZE, MULTI, SINGLE
from django.db.models.sql.where import AND

from horizon_shards.backends.sharded.federation.policy import without_scatter_warning
from horizon_shards.backends.sharded.federation.private import PrivateDatabase
from horizon_shards.backends.sharded.federation.pushdown import conditions_on
from horizon_shards.backends.sharded.federation.refusals import gathering
from horizon_shards.backends.sharded.federation.storage import home_of_model
from horizon_shards.backends.sharded.kinds import internal_type, is_changed_by_selecting
from horizon_shards.context import whole_results
from horizon_shards.exceptions import RowLimitExceeded

Row = Sequence[Any]


class Stored(Col):
    """A column as it is stored: what selecting makes of it, the query on the private database does."""

    def select_format(self, compiler: Any, sql: str, params: Any) -> Any:
        """The column itself."""
        return sql, params


@dataclass(frozen=True)
class Pull:
    """What is gathered of one table: ``query`` selects ``columns`` on the database ``alias``."""

    table: str
    model: type[Model]
    columns: tuple[str, ...]
    alias: str
    query: Query
    is_filtered: bool

    def __str__(self) -> str:
        rows = "the rows that meet its conditions" if self.is_filtered else "all rows"
        return f"gather {rows} of {self.table} ({', '.join(self.columns)}) from {self.alias}"

    def chunks(self, limit: int) -> Iterator[list[Row]]:
        """At most ``limit`` rows and one more, unconverted."""
        query = self.query.clone()
        query.set_limits(high=limit + 1)
        compiler = query.get_compiler(using=self.alias)
        yield from compiler.execute_sql(MULTI, chunked_fetch=True, chunk_size=GET_ITERATOR_CHUNK_SIZE)

    def count(self) -> int:
        """How many rows there are to gather."""
        query = self.query.clone()
        query.clear_ordering(force=True)
        query.set_select([])
        query.add_annotation(Count("*"), "__count")
        return int(query.get_compiler(using=self.alias).execute_sql(SINGLE)[0])


def pull_of(table: str, model: type[Model], fields: dict[str, Any], query: Any, sql: str, logical: str) -> Pull:
    """The query that gathers the ``fields`` of a table, for ``query`` on the logical database."""
    pull = Query(model)
    base: Any = pull.get_initial_alias()
    alias, conditions = conditions_on(table, query, sql)
    for condition in conditions:
        pull.where.add(condition.relabeled_clone({alias: base}), AND)
    pull.clear_ordering(force=True)
    pull.set_select([_stored(field.get_col(base)) for field in fields.values()])
    pk: Any = model._meta.pk
    if "Integer" in internal_type(pk) or internal_type(pk).endswith("AutoField"):
        # Rows that nothing else orders come as from one database's table.
        pull.add_ordering(pk.attname)
    return Pull(table, model, tuple(fields), home_of_model(model, logical), pull, bool(conditions))


def _stored(column: Any) -> Any:
    return Stored(column.alias, column.target) if is_changed_by_selecting(column) else column


def fill(private: PrivateDatabase, pulls: list[Pull], limit: int) -> dict[str, int]:
    """Gather into the private database; the number of rows by table. Raises ``RowLimitExceeded`` beyond ``limit``."""
    counts: dict[str, int] = {}
    for pull in pulls:
        with gathering(), without_scatter_warning(pull.alias), whole_results():
            _fill_table(private, pull, counts, limit)
        private.index(pull.table, pull.columns)
    return counts


def _fill_table(private: PrivateDatabase, pull: Pull, counts: dict[str, int], limit: int) -> None:
    left = limit - sum(counts.values())
    counts[pull.table] = 0
    for chunk in pull.chunks(left):
        counts[pull.table] += len(chunk)
        if counts[pull.table] > left:
            raise _too_many(pull, counts, limit)
        private.insert(pull.table, pull.columns, chunk)


def _too_many(pull: Pull, counts: dict[str, int], limit: int) -> RowLimitExceeded:
    others = {table: count for table, count in counts.items() if table != pull.table}
    also = "".join(f" after {count:,} of {table}" for table, count in others.items())
    return RowLimitExceeded(
        f"Federation would gather {pull.count():,} rows of {pull.table}{also}, which is more than the {limit:,} of "
        f"FEDERATION['MAX_ROWS']: narrow the query by conditions on {pull.model._meta.label}, write it so that it "
        "needs no federation, or raise the limit."
    )

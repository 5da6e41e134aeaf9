"""One SQL statement on every shard, for operators: ANALYZE, a count by shard, a look at the settings of the servers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connections

from horizon_shards import context
from horizon_shards.backends.sharded.execute import run_on_shards
from horizon_shards.backends.sharded.flight.question import Question
from horizon_shards.backends.sharded.gather import fetch_all
from horizon_shards.exceptions import ConfigurationError, QueryNotSupported
from horizon_shards.topology import Group, get_group, get_topology

CHUNK = 1_000


def on_each_shard(
    sql: str, params: Sequence[Any] | Mapping[str, Any] | None = None, *, using: str | None = None
) -> dict[str, list[tuple[Any, ...]]]:
    """Run ``sql`` as it stands on every shard at once: ``{shard: rows}``, no rows for a statement that returns none.

    ``using`` is the logical alias; it may be left out where there is only one. Nothing is planned, merged or looked
    at: a statement that writes is for the caller to answer for. Outside of a transaction each shard commits by itself;
    inside ``atomic()`` of the logical alias it belongs to that transaction, which a group with ``TRANSACTIONS``
    ``"single"`` refuses by :class:`~horizon_shards.exceptions.CrossShardTransaction` before any shard is asked.
    The first error cancels the rest and names its shard; ``SCATTER_TIMEOUT_SECONDS`` and ``MAX_ROWS`` (a shard) hold.
    """
    group = get_group(using) if using is not None else _only_group()
    logical: Any = connections[group.alias]
    if (shard := context.pinned_shard(group.alias)) is not None:
        raise QueryNotSupported(
            f"on_each_shard() inside using_shard({shard!r}) contradicts it: leave the block, or use a cursor.",
            reason="pinned",
        )

    def read(cursor: Any) -> list[tuple[Any, ...]]:
        if cursor.description is None:
            cursor.close()
            return []
        return list(map(tuple, fetch_all(cursor, CHUNK, group.config.max_rows)))

    logical.ensure_connection()
    taken = logical.enlist(group.shard_names, write=True)
    return dict(zip(taken, run_on_shards(group, taken, Question(logical, sql, params, read)), strict=True))


def _only_group() -> Group:
    groups = list(get_topology().groups.values())
    if len(groups) != 1:
        names = ", ".join(repr(group.alias) for group in groups) or "none"
        raise ConfigurationError(f"on_each_shard() needs using=, the alias of a logical database; there are {names}.")
    return groups[0]

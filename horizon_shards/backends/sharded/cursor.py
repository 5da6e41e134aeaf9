"""The cursor of a logical database that no shard is pinned for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from horizon_shards.backends.sharded.rawsql import reads_copies_only
from horizon_shards.exceptions import QueryNotSupported


class LogicalCursor:
    """Runs a SELECT on reference models alone, on one shard; anything else names no shard and is refused.

    Can be opened and closed always: Django does so for introspection.
    """

    def __init__(self, connection: Any) -> None:
        self.db = connection
        self._cursor: Any = None

    def execute(self, sql: Any, params: Any = None) -> Any:
        """Run on the first shard what any shard would answer alike; raises ``QueryNotSupported`` for the rest."""
        if not isinstance(sql, str) or not reads_copies_only(sql, self.db.alias):
            self._refuse()
        self.close()
        self._cursor = self.db.enter(self.db.group.shard_names[0], write=False).cursor()
        return self._cursor.execute(sql, params)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("fetch") and self._cursor is None:
            self._refuse()
        if name.startswith("_") or self._cursor is None:
            raise AttributeError(name)
        return getattr(self._cursor, name)

    def __iter__(self) -> Iterator[Any]:
        if self._cursor is None:
            self._refuse()
        return iter(self._cursor)

    def _refuse(self, *args: Any, **kwargs: Any) -> Any:
        shards = ", ".join(repr(name) for name in self.db.group.shard_names)
        raise QueryNotSupported(
            f"Raw SQL on the logical database {self.db.alias!r} needs a shard, unless it is a plain SELECT on "
            f"reference models alone: run it inside using_shard(...) with one of {shards}, on all of them by "
            f"on_each_shard(...), or on a physical database (connections[{self.db.group.config.shards[0].primary!r}]).",
            reason="raw-sql",
        )

    executemany = callproc = _refuse

    def close(self) -> None:
        """Close the shard's cursor, where one is open."""
        if self._cursor is not None:
            self._cursor.close()
            self._cursor = None

    def __enter__(self) -> LogicalCursor:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

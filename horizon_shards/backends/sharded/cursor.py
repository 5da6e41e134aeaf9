"""The cursor of a logical database that no shard is pinned for."""

from __future__ import annotations

from typing import Any

from horizon_shards.exceptions import QueryNotSupported


class LogicalCursor:
    """Can be opened and closed (Django does so for introspection), but runs no SQL: no shard is named for it."""

    def __init__(self, connection: Any) -> None:
        self.db = connection

    def _refuse(self, *args: Any, **kwargs: Any) -> Any:
        shards = ", ".join(repr(name) for name in self.db.group.shard_names)
        raise QueryNotSupported(
            f"Raw SQL on the logical database {self.db.alias!r} needs a shard: run it inside using_shard(...) with one "
            f"of {shards}, or on a physical database "
            f"(connections[{self.db.group.config.shards[0].primary!r}]).",
            reason="raw-sql",
        )

    execute = executemany = callproc = fetchone = fetchmany = fetchall = _refuse

    def close(self) -> None:
        """Nothing is open."""

    def __enter__(self) -> LogicalCursor:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

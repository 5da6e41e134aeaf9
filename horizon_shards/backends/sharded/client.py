"""The command-line client of the logical database: there is none, and it says which to use."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError
from django.db.backends.base.client import BaseDatabaseClient


class DatabaseClient(BaseDatabaseClient):
    """Refuses with the commands for the physical databases."""

    def runshell(self, parameters: Any) -> None:
        """Raise ``CommandError`` naming the databases to use instead."""
        group = self.connection.group  # type: ignore[attr-defined]
        aliases = ", ".join(f"--database={shard.primary}" for shard in group.shards.values())
        raise CommandError(
            f"{self.connection.alias!r} is a logical database, stored on several shards. Use dbshell with one of: "
            f"{aliases}."
        )

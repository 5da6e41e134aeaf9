"""What the logical database can do: what its shards can, less what has no meaning over shards."""

from __future__ import annotations

from typing import Any

from django.db.utils import OperationalError


class DatabaseFeatures:
    """Answers of a shard's features, with those of our own as class attributes.

    Not a subclass of Django's: whatever the running version asks is passed on.
    """

    # A savepoint is set on every shard of the transaction.
    uses_savepoints = True
    can_release_savepoints = True
    # Test databases are made by the shards.
    test_db_allows_multiple_connections = True
    # Introspection goes to one shard.
    can_introspect_foreign_keys = True

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        lead = self.connection.lead
        try:
            return getattr(lead.features, name)
        except OperationalError:
            return self._ask_others(name, lead)

    def _ask_others(self, name: str, down: Any) -> Any:
        """Some features ask the server, and one shard may be down."""
        error: OperationalError | None = None
        for shard in self.connection.group.shard_names:
            connection = self.connection.shard_connection(shard)
            if connection is down:
                continue
            try:
                return getattr(connection.features, name)
            except OperationalError as raised:
                error = raised
        raise error or OperationalError(f"No shard of {self.connection.alias!r} can be reached.")

"""What the logical database can do: what its shards can, less what has no meaning over shards."""

from __future__ import annotations

from typing import Any


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
        return self.connection.ask_engine(lambda connection: getattr(connection.features, name))

"""The connection of a logical database: stores nothing itself, plans what it is asked, and asks the shards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from django.db import connections
from django.db.backends.utils import debug_transaction

from horizon_shards import context
from horizon_shards.backends.sharded.client import DatabaseClient
from horizon_shards.backends.sharded.creation import DatabaseCreation
from horizon_shards.backends.sharded.cursor import LogicalCursor
from horizon_shards.backends.sharded.features import DatabaseFeatures
from horizon_shards.backends.sharded.introspection import DatabaseIntrospection
from horizon_shards.backends.sharded.operations import DatabaseOperations
from horizon_shards.backends.sharded.schema import ShardedSchemaEditor
from horizon_shards.backends.sharded.shards import ShardConnections
from horizon_shards.backends.sharded.validation import DatabaseValidation

#: Stands where other backends keep the driver's connection.
CONNECTED = object()


class DatabaseWrapper(ShardConnections):
    """A logical database over the physical databases that its settings name.

    What depends on the engine (types, operators, features) is answered by a shard's connection.
    """

    client_class = DatabaseClient
    creation_class = DatabaseCreation
    features_class = DatabaseFeatures  # type: ignore[assignment]
    introspection_class = DatabaseIntrospection  # type: ignore[assignment]
    ops_class = DatabaseOperations  # type: ignore[assignment]
    validation_class = DatabaseValidation

    # What the engine of the shards says.

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or "settings_dict" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return self.ask_engine(lambda connection: getattr(connection, name))

    @property
    def vendor(self) -> str:  # type: ignore[override]
        return str(self.lead.vendor)

    @property
    def display_name(self) -> str:  # type: ignore[override]
        return f"{self.lead.display_name} over {len(self.group.shards)} shards"

    @property
    def data_types(self) -> Any:  # type: ignore[override]
        return self.ask_engine(lambda connection: connection.data_types)

    @property
    def data_types_suffix(self) -> Any:  # type: ignore[override]
        return self.ask_engine(lambda connection: connection.data_types_suffix)

    @property
    def data_type_check_constraints(self) -> Any:  # type: ignore[override]
        return self.ask_engine(lambda connection: connection.data_type_check_constraints)

    def get_database_version(self) -> tuple[int, ...]:
        """The version of a shard's server."""
        version: tuple[int, ...] = self.ask_engine(lambda connection: connection.get_database_version())
        return version

    # Connecting, closing.

    def connect(self) -> None:
        """Mark the logical connection as open; the shards connect when they are first asked."""
        self.check_settings()
        self.in_atomic_block = False
        self.savepoint_ids = []
        self.atomic_blocks = []
        self.needs_rollback = False
        # Age and health are the shards' connections' own.
        self.close_at = None
        self.closed_in_transaction = False
        self.errors_occurred = False
        self.connection = CONNECTED
        self.set_autocommit(self.settings_dict["AUTOCOMMIT"])
        self.run_on_commit = []

    def _close(self) -> None:
        """Close the shards' connections too, except those inside somebody else's transaction."""
        self.transaction.rollback()
        for connection in self.taken.values():
            if not connection.in_atomic_block:
                connection.close()
        if self._replicas is not None:
            self._replicas.close()

    def is_usable(self) -> bool:
        """Always: each shard's connection is checked by itself."""
        return True

    # Transactions.

    def _set_autocommit(self, autocommit: bool) -> None:
        if autocommit:
            self.transaction.commit()

    def _commit(self) -> None:
        with debug_transaction(self, "COMMIT"):
            self.transaction.commit()

    def _rollback(self) -> None:
        with debug_transaction(self, "ROLLBACK"):
            self.transaction.rollback()

    def _savepoint(self, sid: str) -> None:
        with debug_transaction(self, self.ops.savepoint_create_sql(sid)):
            self.transaction.savepoint(sid)

    def _savepoint_rollback(self, sid: str) -> None:
        with debug_transaction(self, self.ops.savepoint_rollback_sql(sid)):
            self.transaction.savepoint_rollback(sid)

    def _savepoint_commit(self, sid: str) -> None:
        with debug_transaction(self, self.ops.savepoint_commit_sql(sid)):
            self.transaction.savepoint_commit(sid)

    # Cursors, logs, wrappers.

    def cursor(self) -> Any:
        """The cursor of the pinned shard; without a pin, one that refuses raw SQL."""
        shard = context.pinned_shard(self.alias)
        if shard is None:
            self.ensure_connection()
            return LogicalCursor(self)
        return self.enter(shard, write=True).cursor()

    def chunked_cursor(self) -> Any:
        """As :meth:`cursor`."""
        shard = context.pinned_shard(self.alias)
        return self.cursor() if shard is None else self.enter(shard, write=True).chunked_cursor()

    @contextmanager
    def execute_wrapper(self, wrapper: Any) -> Iterator[None]:
        """Apply ``wrapper`` to the queries of every shard."""
        with ExitStack() as stack:
            for shard in self.group.shard_names:
                stack.enter_context(self.shard_connection(shard).execute_wrapper(wrapper))
            for alias in self._replica_aliases():
                stack.enter_context(connections[alias].execute_wrapper(wrapper))
            yield

    def _replica_aliases(self) -> list[str]:
        shards = self.group.config.shards if self.group.has_replicas else ()
        return [alias for shard in shards for alias in shard.replicas]

    def schema_editor(self, *args: Any, **kwargs: Any) -> Any:
        """An editor that changes all shards; with ``collect_sql`` that of one shard."""
        if kwargs.get("collect_sql") or (args and args[0]):
            return self.lead.schema_editor(*args, **kwargs)
        return ShardedSchemaEditor(self, *args, **kwargs)

    # Constraints.

    def disable_constraint_checking(self) -> bool:
        """On every shard; says whether any has to enable it again."""
        connections_of_shards = map(self.shard_connection, self.group.shard_names)
        return any(list(map(_disable_constraint_checking, connections_of_shards)))

    def enable_constraint_checking(self) -> None:
        """On every shard."""
        for shard in self.group.shard_names:
            self.shard_connection(shard).enable_constraint_checking()

    def check_constraints(self, table_names: Any = None) -> None:
        """On every shard."""
        for shard in self.group.shard_names:
            self.enter(shard, write=False).check_constraints(table_names)

    def prepare_database(self) -> None:
        """On every shard."""
        for shard in self.group.shard_names:
            self.shard_connection(shard).prepare_database()


def _disable_constraint_checking(connection: Any) -> bool:
    return bool(connection.disable_constraint_checking())

"""The connection of a logical database: stores nothing itself, plans what it is asked, and asks the shards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from django.db import Error, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import debug_transaction

from horizon_shards import context
from horizon_shards.backends.sharded.client import DatabaseClient
from horizon_shards.backends.sharded.creation import MADE, DatabaseCreation
from horizon_shards.backends.sharded.cursor import LogicalCursor
from horizon_shards.backends.sharded.features import DatabaseFeatures
from horizon_shards.backends.sharded.introspection import DatabaseIntrospection
from horizon_shards.backends.sharded.operations import DatabaseOperations
from horizon_shards.backends.sharded.querylog import tee_queries
from horizon_shards.backends.sharded.replicas import Replicas
from horizon_shards.backends.sharded.schema import ShardedSchemaEditor
from horizon_shards.backends.sharded.testcase import allow_lead, allow_shard
from horizon_shards.backends.sharded.transaction import ShardedTransaction
from horizon_shards.backends.sharded.validation import DatabaseValidation
from horizon_shards.signals import autocommit_in_foreign_atomic
from horizon_shards.topology import Group, get_group

#: Stands where other backends keep the driver's connection.
CONNECTED = object()


class DatabaseWrapper(BaseDatabaseWrapper):
    """A logical database over the physical databases that its settings name.

    What depends on the engine (types, operators, features) is answered by a shard's connection.
    """

    client_class = DatabaseClient
    creation_class = DatabaseCreation
    features_class = DatabaseFeatures  # type: ignore[assignment]
    introspection_class = DatabaseIntrospection  # type: ignore[assignment]
    ops_class = DatabaseOperations  # type: ignore[assignment]
    validation_class = DatabaseValidation

    def __init__(self, settings_dict: dict[str, Any], alias: str = "default") -> None:
        self.taken: dict[str, Any] = {}
        self._force_debug_cursor = False
        self._replicas: Replicas | None = None
        super().__init__(settings_dict, alias)
        self._transaction: ShardedTransaction | None = None

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

    # The shards.

    @property
    def group(self) -> Group:
        """The shard group of this logical database."""
        return get_group(self.alias)

    @property
    def lead(self) -> Any:
        """The connection of a shard that answers for the engine: an open one, so that one shard may be down."""
        taken = (connection for connection in self.taken.values() if connection.connection is not None)
        connection = next(taken, None) or self._first()
        allow_lead(self, connection)
        return connection

    def _first(self) -> Any:
        """The first shard's connection; where answers may go without shards, the first that can be opened."""
        if context.missing_shards() is None or self.group.config.partial != "return":
            return connections[self.group.config.shards[0].primary]
        return self.opened(self.group.shard_names)

    def opened(self, shards: Sequence[str]) -> Any:
        """The connection of the first shard that is there: some engines tell their version before SQL is made."""
        found = [self.compiling_connection(shard) for shard in shards]
        for connection in found:
            with suppress(OperationalError):
                connection.ensure_connection()
                return connection
        return found[0]

    def ask_engine(self, question: Callable[[Any], Any]) -> Any:
        """What the lead answers, or the first shard that can be reached: some answers come from the server."""
        lead = self.lead
        try:
            return question(lead)
        except OperationalError:
            for shard in self.group.shard_names:
                if (connection := self.shard_connection(shard)) is not lead:
                    with suppress(OperationalError):
                        return question(connection)
            raise

    def shard_connection(self, shard: str) -> Any:
        """The calling thread's connection to the primary of a shard."""
        connection: Any = connections[self.group.shard(shard).primary]
        self._take(shard, connection)
        return connection

    def _take(self, shard: str, connection: Any) -> None:
        # Only in these cases can a test have something to lift, and this runs with every query.
        if "cursor" in self.__dict__ or "cursor" in connection.__dict__ or connection.connection is None:
            allow_shard(self, connection)
        if self.taken.get(shard) is not connection:
            self.taken[shard] = connection
            tee_queries(self, shard, connection)
            connection.force_debug_cursor = connection.force_debug_cursor or self._force_debug_cursor

    def compiling_connection(self, shard: str) -> Any:
        """The connection to make SQL for; not yet taken, since no query may come of it."""
        connection: Any = connections[self.group.primaries[shard]]
        if "cursor" in connection.__dict__ or connection.connection is None:
            allow_lead(self, connection)
        return connection

    def enter(self, shard: str, *, write: bool) -> Any:
        """The shard's connection, inside the logical transaction where there is one."""
        connection = self.shard_connection(shard)
        self.join(shard, connection, write=write)
        return connection

    def enter_compiled(self, shard: str, connection: Any) -> None:
        """As :meth:`enter`, for a read on the connection that :meth:`compiling_connection` gave."""
        self._take(shard, connection)
        self.join(shard, connection, write=False)

    @property
    def replicas(self) -> Replicas:
        """The replicas that this connection reads from."""
        if self._replicas is None or self._replicas.group is not self.group:
            self._replicas = Replicas(self.group)
        return self._replicas

    def replica(self, shard: str) -> Any:
        """The connection to a replica that a read of the shard may go to now, or None: it goes to the primary.

        Test databases have none: what settings name as a replica would be the developer's own.
        """
        if not self.group.has_replicas or MADE in self.settings_dict.get("TEST", {}):
            return None
        if self._in_transaction(False, (shard,)) or connections[self.group.primaries[shard]].in_atomic_block:
            return None
        if context.must_read_primary(self.alias, shard, self.group.config.reads.own_writes_seconds):
            return None
        connection = self.replicas.connection(shard)
        if connection is not None:
            tee_queries(self, shard, connection)
            connection.force_debug_cursor = connection.force_debug_cursor or self._force_debug_cursor
        return connection

    def enlist_readers(self, shards: Iterable[str]) -> dict[str, Any]:
        """As :meth:`enlist` for a read, of replicas where that may be."""
        found = {shard: self.replica(shard) for shard in shards} if self.group.has_replicas else {}
        primaries = self.enlist([shard for shard in shards if found.get(shard) is None], write=False)
        return {shard: primaries.get(shard) or found[shard] for shard in shards}

    def leave_replica(self, connection: Any) -> None:
        """After an error of a replica: the primary is asked, for some time."""
        if not is_alive(connection):
            self.replicas.leave(connection)

    @property
    def is_outside_transaction(self) -> bool:
        """Whether the logical connection is open and commits each statement by itself."""
        return self.autocommit and self.connection is not None and not self.needs_rollback

    def join(self, shard: str, connection: Any, *, write: bool) -> None:
        """Take the shard's connection into the logical transaction, where there is one."""
        # The commonest call asks nothing further.
        if not write and self.is_outside_transaction:
            return
        if self._in_transaction(write, (shard,)):
            participant = self.transaction.enlist(shard, connection, write=write, unit=self._unit())
            participant.begin(self.transaction.savepoints)

    def enlist(self, shards: Iterable[str], *, write: bool) -> dict[str, Any]:
        """The shards' connections; each has to be begun by :meth:`begin`, in whatever thread uses it."""
        taken = {shard: self.shard_connection(shard) for shard in shards}
        if self._in_transaction(write, tuple(taken)):
            for shard, connection in taken.items():
                self.transaction.enlist(shard, connection, write=write, unit=self._unit())
        return taken

    def begin(self, shard: str) -> None:
        """Begin the transaction on a shard that :meth:`enlist` has taken."""
        if (participant := self.transaction.participants.get(shard)) is not None:
            participant.begin(self.transaction.savepoints)

    def _in_transaction(self, write: bool, shards: tuple[str, ...]) -> bool:
        autocommit = self.get_autocommit()
        self.validate_no_broken_transaction()
        if write and self.group.has_replicas:
            for shard in shards:
                context.note_write(self.alias, shard)
        if autocommit:
            if write:
                self._tell_of_foreign_atomic(shards)
            return False
        return True

    def _unit(self) -> Any:
        """What "one transaction" means: the outermost atomic block that no test case has opened."""
        if not self.in_atomic_block:
            return self
        return next((block for block in self.atomic_blocks if not getattr(block, "_from_testcase", False)), None)

    def _tell_of_foreign_atomic(self, shards: tuple[str, ...]) -> None:
        for other in connections.all(initialized_only=True):
            if other.in_atomic_block and other is not self and other.alias not in self.group.primaries.values():
                autocommit_in_foreign_atomic.send(sender=self.alias, alias=other.alias, shards=shards)

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

    @property
    def transaction(self) -> ShardedTransaction:
        """The state of the current transaction."""
        if self._transaction is None or self._transaction.group is not self.group:
            self._transaction = ShardedTransaction(self.group)
        return self._transaction

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

    @property
    def force_debug_cursor(self) -> bool:
        """Whether queries are logged; set on the shards' connections as well."""
        return self._force_debug_cursor

    @force_debug_cursor.setter
    def force_debug_cursor(self, value: bool) -> None:
        self._force_debug_cursor = value
        read = () if self._replicas is None else self._replicas.health
        for connection in (*self.taken.values(), *(connections[alias] for alias in read)):
            connection.force_debug_cursor = value

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


def is_alive(connection: Any) -> bool:
    """Whether a physical connection still answers; an error of a query does not tell."""
    try:
        return connection.connection is not None and bool(connection.is_usable())
    except Error:
        return False

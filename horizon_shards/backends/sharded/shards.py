"""The connections of a logical database to its shards, and which of them a query goes by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from django.db import Error, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from horizon_shards import context
from horizon_shards.backends.sharded.creation import MADE
from horizon_shards.backends.sharded.querylog import tee_queries
from horizon_shards.backends.sharded.replicas import Replicas
from horizon_shards.backends.sharded.testcase import allow_lead, allow_shard
from horizon_shards.backends.sharded.transaction import ShardedTransaction
from horizon_shards.signals import autocommit_in_foreign_atomic
from horizon_shards.topology import Group, get_group


class ShardConnections(BaseDatabaseWrapper):
    """The part of the logical connection that Django knows nothing of: shards, replicas, who is in the transaction."""

    def __init__(self, settings_dict: dict[str, Any], alias: str = "default") -> None:
        self.taken: dict[str, Any] = {}
        self._force_debug_cursor = False
        self._replicas: Replicas | None = None
        super().__init__(settings_dict, alias)
        self._transaction: ShardedTransaction | None = None

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
        found = [self.compiling_connection(self.group.primaries[shard]) for shard in shards]
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
            self._log(shard, connection)

    def _log(self, shard: str, connection: Any) -> None:
        tee_queries(self, shard, connection)
        connection.force_debug_cursor = connection.force_debug_cursor or self._force_debug_cursor

    def compiling_connection(self, alias: str) -> Any:
        """The connection of a shard to make SQL for; not yet taken, since no query may come of it."""
        connection: Any = connections[alias]
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
        # The commonest read asks nothing further.
        if not self.is_outside_transaction:
            self.join(shard, connection, write=False)

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
            self._log(shard, connection)
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

    @property
    def transaction(self) -> ShardedTransaction:
        """The state of the current transaction."""
        if self._transaction is None or self._transaction.group is not self.group:
            self._transaction = ShardedTransaction(self.group)
        return self._transaction


def is_alive(connection: Any) -> bool:
    """Whether a physical connection still answers; an error of a query does not tell."""
    try:
        return connection.connection is not None and bool(connection.is_usable())
    except Error:
        return False

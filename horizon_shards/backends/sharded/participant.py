"""One physical connection's part in a transaction of the logical database."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django.db import Error

from horizon_shards.backends.sharded.execute import is_of_database
from horizon_shards.backends.sharded.querylog import logged_by_shard_only
from horizon_shards.backends.sharded.twophase.branches import Branch


class Participant:
    """A shard's connection from the moment the logical transaction touches it.

    Where the connection is in no transaction, one is begun and ended here; where it is already inside
    somebody's ``atomic()``, a savepoint joins that one. Works on the connection object alone, so it may run
    in a thread of the pool. ``branch``: what begins and ends a transaction that can be prepared.
    """

    def __init__(self, shard: str, connection: Any, branch: Branch | None = None) -> None:
        self.shard = shard
        self.connection = connection
        self.branch = branch
        self.begun = False
        self.wrote = False
        self.savepoint: str | None = None
        self.joined = False
        #: The block of somebody else's that was joined.
        self.owner: Any = None

    def begin(self, savepoints: list[str]) -> None:
        """Begin, and set the savepoints that the logical transaction has open; does nothing a second time."""
        if self.begun:
            return
        with logged_by_shard_only(self.connection):
            self._begin(self.connection)
            for sid in savepoints:
                self.connection._savepoint(sid)

    def _begin(self, connection: Any) -> None:
        self.joined = connection.in_atomic_block or not connection.get_autocommit()
        if self.joined:
            self.owner = connection.atomic_blocks[-1] if connection.atomic_blocks else None
            self.savepoint = connection.savepoint()
        else:
            connection.needs_rollback = False
            if self.branch is None:
                connection.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
            else:
                self.branch.begin(connection)
            connection.in_atomic_block = True
        self.begun = True

    @property
    def is_alive(self) -> bool:
        """Whether there is still a transaction to end: the connection may be closed, or its owner gone."""
        connection = self.connection
        if not self.begun or self.is_over or connection.connection is None or connection.closed_in_transaction:
            return False
        return bool(connection.in_atomic_block or (self.joined and not connection.autocommit))

    @property
    def is_over(self) -> bool:
        """Whether the block that was joined has ended, and our savepoints with it."""
        return self.owner is not None and self.owner not in self.connection.atomic_blocks

    def commit(self) -> None:
        """Commit, or release the savepoint of a transaction that somebody else ends."""
        try:
            with logged_by_shard_only(self.connection):
                self._commit()
        finally:
            self.begun = False

    def _commit(self) -> None:
        if self.joined:
            if self.is_alive and self.savepoint is not None:
                self.connection.savepoint_commit(self.savepoint)
            return
        self.connection.in_atomic_block = False
        try:
            self.connection.commit() if self.branch is None else self.branch.commit(self.connection)
        except BaseException:
            self._drop_or_roll_back()
            raise
        finally:
            self._leave()

    def prepare(self) -> None:
        """The first phase of two; raises where it fails, and :meth:`rollback` is then to be called."""
        assert self.branch is not None
        assert not self.joined
        self.connection.in_atomic_block = False
        with logged_by_shard_only(self.connection):
            self.branch.prepare(self.connection)

    def commit_prepared(self) -> None:
        """The second phase; raises where the database did not answer: the work is prepared there still."""
        assert self.branch is not None
        try:
            with logged_by_shard_only(self.connection):
                self.branch.commit_prepared(self.connection)
        except BaseException:
            self.drop()
            raise
        finally:
            self.begun = False
            self._leave()

    def leave_prepared(self) -> None:
        """Leave what is prepared to whoever comes to know the decision."""
        if self.begun:
            self.begun = False
            self.drop()
            self._leave()

    def drop(self) -> None:
        """Close the connection: whoever is to end what it has prepared has to wait until it is gone."""
        with suppress(Error):
            self.connection.close()

    def rollback(self) -> None:
        """Roll back, or back to the savepoint; a connection that cannot is dropped, never an error.

        Does nothing where the transaction was never begun, or is committed.
        """
        if self.begun:
            with logged_by_shard_only(self.connection):
                self._rollback()

    def _rollback(self) -> None:
        if self.joined:
            self._roll_back_to_savepoint()
            return
        self.connection.in_atomic_block = False
        if not self.connection.closed_in_transaction:
            self._drop_or_roll_back()
        self._leave()

    def _roll_back_to_savepoint(self) -> None:
        if not self.is_alive or self.savepoint is None:
            return
        try:
            self.connection.savepoint_rollback(self.savepoint)
            self.connection.savepoint_commit(self.savepoint)
        except Error:
            # Whoever owns the transaction has to roll all of it back.
            self.connection.needs_rollback = True

    def _drop_or_roll_back(self) -> None:
        try:
            self.connection.rollback() if self.branch is None else self.branch.rollback(self.connection)
        except Exception as error:
            if not is_of_database(error):
                raise
            self.drop()

    def _leave(self) -> None:
        """Back to autocommit, as Django leaves an outermost atomic block."""
        connection = self.connection
        if connection.closed_in_transaction:
            connection.connection = None
            connection.closed_in_transaction = False
        elif connection.connection is not None:
            with suppress(Error):
                connection.set_autocommit(True) if self.branch is None else self.branch.leave(connection)

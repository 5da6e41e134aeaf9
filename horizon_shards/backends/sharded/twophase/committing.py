"""Committing on several shards at once: what one crash leaves is ended by ``shards recover``.

Presumed abort: a shard that has prepared keeps the work until it hears of the decision, a row in the directory.
Without such a row the transaction is rolled back, and whoever rolls it back stores that first: the first row stands.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import Final

from django.db import Error

from horizon_shards.backends.sharded.execute import name_shard
from horizon_shards.backends.sharded.participant import Participant
from horizon_shards.directory import Directory
from horizon_shards.directory.decisions import Outcome
from horizon_shards.exceptions import CommitInDoubt, DirectoryUnavailable, QueryNotSupported, RolledBack
from horizon_shards.signals import commit_pending
from horizon_shards.topology import Group

#: So many decisions that no shard asks for any more are removed together.
FORGET_AT: Final = 50


class Finished:
    """Transactions of this process that are ended everywhere, and whose decisions are stored still."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._gids: list[str] = []

    def add(self, gid: str, directory: Directory) -> None:
        """Note one; now and then remove them all. What is missed here, ``shards recover`` removes."""
        with self._lock:
            self._gids.append(gid)
            if len(self._gids) < FORGET_AT:
                return
            gids, self._gids = self._gids, []
        try:
            directory.decisions.forget(gids)
        except DirectoryUnavailable:
            return


_finished: dict[tuple[str, ...], Finished] = {}


def _clear() -> None:
    _finished.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_clear)


class TwoPhaseCommit:
    """Commits what ``writers`` wrote on all their shards, or on none. ``gid``: the name of the transaction."""

    def __init__(self, group: Group, gid: str, writers: Sequence[Participant]) -> None:
        assert group.directory is not None
        self.group = group
        self.gid = gid
        self.directory = group.directory
        self.shards = [writer.shard for writer in writers]
        self.last = next((w for w in writers if w.connection.alias == self.directory.alias), None)
        self.prepared = [writer for writer in writers if writer is not self.last]
        self.writers = writers

    def run(self) -> None:
        """Prepare, decide, end. Raises only where nothing is committed, or where nobody knows (``CommitInDoubt``)."""
        try:
            self._refuse_joined()
            for writer in self.prepared:
                self._prepare(writer)
        except BaseException:
            self._roll_back()
            raise
        self._decide()
        self._end()

    def _refuse_joined(self) -> None:
        joined = [writer for writer in self.writers if writer.joined]
        if joined:
            raise QueryNotSupported(
                f"{joined[0].connection.alias!r} is inside an atomic() block of its own, which ends later: a "
                f"transaction on {self.group.alias!r} cannot commit there in two phases. Open atomic(using="
                f"{self.group.alias!r}) outside of it, or leave the inner block out.",
                reason="two-phase-joined",
            )

    def _prepare(self, writer: Participant) -> None:
        try:
            writer.prepare()
        except Error as error:
            name_shard(error, self.group, writer.shard, writer.connection.alias)
            raise

    def _roll_back(self) -> None:
        for writer in self.writers:
            writer.rollback()

    def _decide(self) -> None:
        try:
            outcome: Outcome = self._decide_to_commit()
        except BaseException as error:
            if self._find_out(error) == "rollback":
                self._roll_back()
                raise RolledBack(
                    f"The transaction on {self.group.alias!r} is rolled back on {', '.join(self.shards)}: the decision "
                    f"to commit could not be stored ({error})."
                ) from error
            if not isinstance(error, Exception):
                self._end()
                raise
            return
        if outcome == "rollback":
            self._roll_back()
            raise RolledBack(
                f"The transaction on {self.group.alias!r} is rolled back on {', '.join(self.shards)}: `shards recover` "
                "found it prepared and not decided for longer than it waits. Run the block again."
            )

    def _decide_to_commit(self) -> Outcome:
        decisions = self.directory.decisions
        if self.last is None:
            return decisions.decide(self.gid, "commit", self.shards)
        # The directory is in this shard's database: one COMMIT stores the decision and is the last shard's.
        decisions.record(self.last.connection, self.gid, "commit", self.shards)
        self.last.commit()
        return "commit"

    def _find_out(self, error: BaseException) -> Outcome:
        """What holds after the decision met an error: the row that was stored after all, or one of ours."""
        if self.last is not None:
            # Its connection holds the lock on the row until it is ended.
            self.last.rollback()
        try:
            return self.directory.decisions.decide(self.gid, "rollback", self.shards)
        except DirectoryUnavailable as unknown:
            for writer in self.writers:
                writer.leave_prepared()
            raise CommitInDoubt(
                f"The transaction on {self.group.alias!r} is prepared on {', '.join(w.shard for w in self.prepared)}, "
                f"and whether to commit it is not known: {unknown} `manage.py shards recover` ends it on all shards "
                "alike. Do not write it again before.",
                gid=self.gid,
                shards=self.shards,
            ) from error

    def _end(self) -> None:
        pending: dict[str, Error] = {}
        for writer in self.prepared:
            try:
                writer.commit_prepared()
            except Error as error:
                name_shard(error, self.group, writer.shard, writer.connection.alias)
                pending[writer.shard] = error
        if pending:
            commit_pending.send(sender=self.group.alias, gid=self.gid, errors=pending)
        else:
            _finished.setdefault(self.directory.identity, Finished()).add(self.gid, self.directory)

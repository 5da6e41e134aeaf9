"""The transaction of a logical database: begun on a shard when that shard is first touched."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, OperationalError

from horizon_shards import context
from horizon_shards.backends.sharded.execute import name_shard, run_on_shards
from horizon_shards.backends.sharded.participant import Participant
from horizon_shards.backends.sharded.querylog import logged_by_shard_only
from horizon_shards.backends.sharded.twophase.branches import BRANCHES, Branch
from horizon_shards.backends.sharded.twophase.committing import TwoPhaseCommit
from horizon_shards.backends.sharded.twophase.names import new_gid
from horizon_shards.exceptions import (
    CommitInDoubt,
    CrossShardTransaction,
    PartialCommit,
    QueryNotSupported,
    ScatterTimeout,
)
from horizon_shards.signals import cross_shard_transaction
from horizon_shards.topology import Group


class ShardedTransaction:
    """The participants and open savepoints of one logical connection."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self.participants: dict[str, Participant] = {}
        self.savepoints: list[str] = []
        # The atomic block that counts as "the transaction" for TRANSACTIONS = "single", and where it has written.
        self.unit: Any = None
        self.unit_writes: set[str] = set()
        #: In mode "two_phase" the name of the transaction, from the first shard on.
        self.gid: str | None = None

    def enlist(self, shard: str, connection: Any, *, write: bool, unit: Any) -> Participant:
        """The shard's part of the transaction; the caller calls its ``begin``.

        ``unit``: the outermost atomic block of the code, which under a ``TestCase`` is not the outermost of all;
        None where each statement stands for itself.
        """
        participant = self.participants.get(shard)
        if participant is None or participant.is_over:
            participant = self.participants[shard] = Participant(shard, connection, self._branch(shard, connection))
        if write:
            self._check_single(shard, unit)
            self._check_two_phase(shard, connection)
            participant.wrote = True
        return participant

    def _check_single(self, shard: str, unit: Any) -> None:
        if unit is None or unit is not self.unit:
            self.unit, self.unit_writes = unit, set()
        others = sorted(self.unit_writes - {shard})
        if others and self.group.config.transactions == "single" and not context.may_cross_shards():
            raise CrossShardTransaction(
                f"The transaction on {self.group.alias!r} has written to {others[0]} and would write to {shard} too, "
                "but TRANSACTIONS is 'single'. Split it, or wrap it in allow_cross_shard() to commit one shard after "
                "the other."
            )
        self.unit_writes.add(shard)

    def _branch(self, shard: str, connection: Any) -> Branch | None:
        if self.group.config.transactions != "two_phase" or (branch := BRANCHES.get(connection.vendor)) is None:
            return None
        if self.gid is None:
            self.gid = new_gid(self.group.mark)
        return branch(self.gid, shard)

    def _check_two_phase(self, shard: str, connection: Any) -> None:
        if self.group.config.transactions != "two_phase" or connection.vendor in BRANCHES:
            return
        others = [other.shard for other in self.participants.values() if other.wrote and other.shard != shard]
        if others:
            raise QueryNotSupported(
                f"The transaction on {self.group.alias!r} has written to {others[0]} and would write to {shard} too, "
                f"but {connection.vendor} cannot commit in two phases: its TRANSACTIONS have to be 'best_effort' or "
                "'single'.",
                reason="two-phase-engine",
            )

    def savepoint(self, sid: str) -> None:
        """Set a savepoint on every shard touched so far; later ones set it when they begin."""
        for participant in self._begun():
            with logged_by_shard_only(participant.connection):
                participant.connection._savepoint(sid)
        self.savepoints.append(sid)

    def savepoint_rollback(self, sid: str) -> None:
        """Back to the savepoint on every shard."""
        self._require(sid)
        for participant in self._begun():
            with logged_by_shard_only(participant.connection):
                participant.connection._savepoint_rollback(sid)
        self._cut(sid, keep=True)

    def savepoint_commit(self, sid: str) -> None:
        """Release the savepoint on every shard."""
        self._require(sid)
        for participant in self._begun():
            with logged_by_shard_only(participant.connection):
                participant.connection._savepoint_commit(sid)
        self._cut(sid, keep=False)

    def _require(self, sid: str) -> None:
        """Shards not touched yet have no savepoint that could be missing: this has to tell."""
        if sid not in self.savepoints:
            raise OperationalError(f"The transaction on {self.group.alias!r} has no savepoint {sid!r}.")

    def _cut(self, sid: str, *, keep: bool) -> None:
        del self.savepoints[self.savepoints.index(sid) + keep :]

    def _begun(self) -> list[Participant]:
        return [participant for participant in self.participants.values() if participant.is_alive]

    def commit(self) -> None:
        """Commit what was written one shard after the other, then end the shards that were only read, all at once.

        Raises the error of the first COMMIT where nothing is committed yet, and ``PartialCommit`` where
        something is. What fails on a shard that was only read is raised where no shard was written to: else the
        transaction is committed, and listeners of ``shard_failed`` are told.
        """
        gid, participants = self.gid, self._take()
        writers = [participant for participant in participants if participant.wrote]
        readers = [participant for participant in participants if not participant.wrote]
        if gid is not None and sum(writer.begun for writer in writers) > 1:
            self._commit_in_two_phases(gid, [writer for writer in writers if writer.begun], readers)
        else:
            self._commit_writers(writers, readers)
        error = self._end_readers([reader for reader in readers if reader.begun])
        self._tell([writer.shard for writer in writers], "committed")
        if error is not None and not writers:
            raise error

    def _commit_in_two_phases(self, gid: str, writers: list[Participant], readers: list[Participant]) -> None:
        shards = [writer.shard for writer in writers]
        try:
            TwoPhaseCommit(self.group, gid, writers).run()
        except BaseException as error:
            for reader in readers:
                reader.rollback()
            self._tell(shards, "in_doubt" if isinstance(error, CommitInDoubt) else "rolled_back")
            raise

    def _commit_writers(self, writers: list[Participant], readers: list[Participant]) -> None:
        committed: list[str] = []
        for position, writer in enumerate(writers):
            try:
                if writer.begun:
                    writer.commit()
            except BaseException as error:
                rest = writers[position + 1 :]
                for other in (*rest, *readers):
                    other.rollback()
                name_shard(error, self.group, writer.shard, writer.connection.alias)
                self._raise(error, committed, writer, [other.shard for other in rest])
            committed.append(writer.shard)

    def _end_readers(self, readers: list[Participant]) -> BaseException | None:
        """The first error of those shards; afterwards none of them is in the transaction any more."""
        if not readers:
            return None
        by_shard = {reader.shard: reader for reader in readers}

        def end(shard: str, connection: Any) -> BaseException | None:
            try:
                by_shard[shard].commit()
            except Exception as error:
                # Not to the others: an error would cancel them.
                name_shard(error, self.group, shard, connection.alias)
                return error
            return None

        try:
            errors = run_on_shards(self.group, {shard: reader.connection for shard, reader in by_shard.items()}, end)
        except ScatterTimeout as error:
            errors = [error]
        finally:
            for reader in readers:
                reader.rollback()
        return next((error for error in errors if error is not None), None)

    def _raise(self, error: BaseException, committed: list[str], failed: Participant, rolled_back: list[str]) -> None:
        if not committed:
            # A server that names a broken constraint has rolled back; any other error can come after it has committed.
            outcome = "rolled_back" if isinstance(error, IntegrityError) else "unknown"
            self._tell([failed.shard, *rolled_back], outcome)
            raise error
        self._tell([*committed, failed.shard, *rolled_back], "partial")
        raise PartialCommit(
            f"The transaction on {self.group.alias!r} is committed on {', '.join(committed)}; COMMIT on {failed.shard} "
            f"raised, so its outcome is unknown ({error}); rolled back on "
            f"{', '.join(rolled_back) or 'no other shard'}. Read the rows on these shards before writing again.",
            committed=committed,
            unknown=[failed.shard],
            rolled_back=rolled_back,
        ) from error

    def rollback(self) -> None:
        """Roll back on every shard."""
        participants = self._take()
        for participant in participants:
            participant.rollback()
        self._tell([participant.shard for participant in participants if participant.wrote], "rolled_back")

    def _take(self) -> list[Participant]:
        """End the transaction here: its participants, those written to first."""
        participants = sorted(self.participants.values(), key=lambda participant: not participant.wrote)
        self.participants, self.savepoints, self.gid = {}, [], None
        self.unit, self.unit_writes = None, set()
        return participants

    def _tell(self, shards: list[str], outcome: str) -> None:
        if len(shards) > 1:
            cross_shard_transaction.send(sender=self.group.alias, shards=tuple(shards), outcome=outcome)

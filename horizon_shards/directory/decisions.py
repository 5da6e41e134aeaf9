"""The log of decisions: what has become of transactions that were prepared on several shards."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, cast

from django.db import IntegrityError
from django.db.backends.base.base import BaseDatabaseWrapper

from horizon_shards.directory.retry import run
from horizon_shards.directory.statements import chunks, fetch, insert

Outcome = Literal["commit", "rollback"]

TABLE: Final = "horizon_shards_decision"
#: The counter whose number is the mark of this directory's transactions: random, and never changed.
MARK: Final = "two_phase_mark"

OUTCOMES = "SELECT gid, outcome FROM horizon_shards_decision WHERE logical_database = %s AND gid IN "
ALL = "SELECT gid, outcome, shards, decided_at FROM horizon_shards_decision WHERE logical_database = %s ORDER BY id"
FORGET = "DELETE FROM horizon_shards_decision WHERE logical_database = %s AND gid IN "
READ_MARK = "SELECT next_number FROM horizon_shards_block WHERE logical_database = %s AND name = %s"


@dataclass(frozen=True, slots=True)
class Decision:
    """A stored decision on the transaction ``gid``; ``decided_at``: seconds since 1970."""

    gid: str
    outcome: Outcome
    shards: tuple[str, ...]
    decided_at: int


class Decisions:
    """The decisions on transactions of the logical database ``database``, stored in ``alias``.

    For each transaction the first decision stands: two who decide otherwise at the same time get the same
    answer. Every method that connects by itself raises ``DirectoryUnavailable``.
    """

    def __init__(self, alias: str, *, database: str) -> None:
        self.alias = alias
        self.database = database

    def mark(self) -> str:
        """What the names of this directory's transactions have, and those of no other: 16 hexadecimal digits."""

        def work(connection: BaseDatabaseWrapper) -> int:
            rows = fetch(connection, READ_MARK, [self.database, MARK])
            if not rows:
                self._make_mark(connection)
                rows = fetch(connection, READ_MARK, [self.database, MARK])
            return int(rows[0][0])

        return f"{run(self.alias, work, write=True):016x}"

    def _make_mark(self, connection: BaseDatabaseWrapper) -> None:
        try:
            row = (self.database, MARK, secrets.randbits(62))
            insert(connection, "horizon_shards_block", ("logical_database", "name", "next_number"), [row])
        except IntegrityError:
            return

    def decide(self, gid: str, outcome: Outcome, shards: Sequence[str]) -> Outcome:
        """Store the decision unless there is one; return the one that stands."""

        def work(connection: BaseDatabaseWrapper) -> Outcome:
            try:
                self.record(connection, gid, outcome, shards)
            except IntegrityError:
                return self._outcomes(connection, [gid])[gid]
            return outcome

        return run(self.alias, work, write=True)

    def record(self, connection: BaseDatabaseWrapper, gid: str, outcome: Outcome, shards: Sequence[str]) -> None:
        """Store the decision by the caller's connection; raises ``IntegrityError`` where there is one."""
        row = (self.database, gid, outcome, json.dumps(list(shards)), int(time.time()))
        insert(connection, TABLE, ("logical_database", "gid", "outcome", "shards", "decided_at"), [row])

    def outcomes(self, gids: Iterable[str]) -> dict[str, Outcome]:
        """The decisions on those of the transactions that have one."""
        wanted = sorted(set(gids))
        return run(self.alias, lambda connection: self._outcomes(connection, wanted), write=False) if wanted else {}

    def _outcomes(self, connection: BaseDatabaseWrapper, gids: Sequence[str]) -> dict[str, Outcome]:
        found: dict[str, Outcome] = {}
        for chunk in chunks(gids):
            places = ", ".join(["%s"] * len(chunk))
            found.update(fetch(connection, f"{OUTCOMES}({places})", [self.database, *chunk]))
        return found

    def all(self) -> list[Decision]:
        """Every stored decision, the oldest first."""
        rows = run(self.alias, lambda connection: fetch(connection, ALL, [self.database]), write=False)
        return [
            Decision(gid, cast(Outcome, outcome), tuple(json.loads(shards)), int(at))
            for gid, outcome, shards, at in rows
        ]

    def forget(self, gids: Iterable[str]) -> None:
        """Remove decisions that no shard asks for any more."""

        def work(connection: BaseDatabaseWrapper) -> None:
            for chunk in chunks(sorted(set(gids))):
                places = ", ".join(["%s"] * len(chunk))
                with connection.cursor() as cursor:
                    cursor.execute(f"{FORGET}({places})", [self.database, *chunk])

        run(self.alias, work, write=True)

"""Records in a table: rows for each segment, held by a lease."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from django.db import Error, InterfaceError, OperationalError, connections
from django.utils import timezone

from horizon_shards.exceptions import SpillFailed
from horizon_shards.sinks.apps import LABEL
from horizon_shards.sinks.own_thread import OwnThread
from horizon_shards.sinks.segment import REJECTED, Segment

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from horizon_shards.sinks.models import Spilled

T = TypeVar("T")
#: Free for anybody, also for one whose clock is behind.
LONG_AGO = timedelta(days=1)


class Table:
    """The rows of one sink in ``Spilled``, on the alias that ``SPILL_TABLE`` names.

    It is asked in a thread and so by a connection of its own: what is spilled stays when the caller's transaction is
    rolled back. Clocks of the processes must agree to a part of ``lease_seconds``.
    """

    def __init__(self, sink: str, alias: str, *, lease_seconds: float) -> None:
        self.sink = sink
        self.alias = alias
        self._lease = timedelta(seconds=lease_seconds)
        self._thread = OwnThread(f"spill-{sink}")

    def create(self, stream: str) -> TableSegment:
        """A new segment; its rows come with its lines."""
        return TableSegment(self, stream, uuid.uuid4().hex)

    def adopt(self) -> TableSegment | None:
        """The oldest segment whose lease has run out."""
        return self.ask(self._take)

    def _take(self, rows: QuerySet[Spilled]) -> TableSegment | None:
        """Of several who try to take the same one, one gets it, and the others try the next."""
        free = rows.filter(held_until__lt=timezone.now())
        while (row := free.order_by("pk").values_list("segment", "stream").first()) is not None:
            segment = TableSegment(self, row[1], row[0])
            if segment.take(free):
                return segment
        return None

    def set_aside(self, line: bytes) -> None:
        """Keep it in a row that nobody takes over."""
        segment = uuid.uuid4().hex
        self.ask(lambda rows: rows.create(sink=self.sink, stream=REJECTED, segment=segment, content=line))

    def lease(self) -> datetime:
        """Until when what is held from now on is held."""
        return timezone.now() + self._lease

    def ask(self, act: Callable[[QuerySet[Spilled]], T]) -> T:
        """What a function of the rows of this sink returns; ``SpillFailed`` where the database fails."""
        try:
            return self._thread.run(lambda: self._twice(act))
        except Error as error:
            raise SpillFailed(
                f"The table of spilled records on {self.alias!r} failed: {error}. Where it is missing, "
                f"manage.py migrate {LABEL} --database={self.alias} makes it."
            ) from error

    def _twice(self, act: Callable[[QuerySet[Spilled]], T]) -> T:
        """Once more on a new connection, where this one was lost while nobody used it."""
        from horizon_shards.sinks.models import Spilled

        rows = Spilled._base_manager.using(self.alias).filter(sink=self.sink)
        connection = connections[self.alias]
        connection.close_if_unusable_or_obsolete()
        try:
            return act(rows)
        except (OperationalError, InterfaceError):
            if connection.connection is None or connection.is_usable():
                raise
            connection.close()
            return act(rows)

    def close(self) -> None:
        """Close the connection, which is the thread's."""
        self._thread.end(self._hang_up)

    def _hang_up(self) -> None:
        connections[self.alias].close()


class TableSegment(Segment):
    """The rows of one ``segment`` and one ``owner``: whoever takes a segment over is another owner."""

    def __init__(self, table: Table, stream: str, name: str) -> None:
        super().__init__(stream)
        self.name = name
        self.owner = uuid.uuid4().hex
        self._table = table
        self._count = 0

    def append(self, line: bytes) -> None:
        """Insert a row; it is committed when this returns."""
        self._table.ask(
            lambda rows: rows.create(
                sink=self._table.sink,
                stream=self.stream,
                segment=self.name,
                owner=self.owner,
                held_until=self._table.lease(),
                content=line,
            )
        )
        self._count += 1
        self.size += len(line)

    def take(self, free: QuerySet[Spilled]) -> bool:
        """Take over those rows that are free; False where somebody was faster."""
        return bool(free.filter(segment=self.name).update(owner=self.owner, held_until=self._table.lease()))

    def lines(self) -> list[bytes]:
        """The lines of all rows."""
        found = self._table.ask(
            lambda rows: [bytes(content) for (content,) in self._mine(rows).order_by("pk").values_list("content")]
        )
        content = b"".join(found)
        self._count, self.size = len(found), len(content)
        return content.splitlines(keepends=True)

    def is_mine(self) -> bool:
        """Renew the lease. A table that does not answer takes nothing away: then the event id tells repetitions."""
        try:
            renewed = self._table.ask(lambda rows: self._mine(rows).update(held_until=self._table.lease()))
        except SpillFailed:
            return True
        return renewed >= self._count

    def end(self, *, is_needed: bool) -> None:
        """Free or delete the rows; ``SpillFailed`` where they cannot be deleted, and so will be sent again."""
        if not is_needed and self._count:
            self._table.ask(lambda rows: self._mine(rows).delete())
        elif self._count:
            with suppress(SpillFailed):  # the lease runs out by itself
                self._table.ask(lambda rows: self._mine(rows).update(held_until=timezone.now() - LONG_AGO))

    def _mine(self, rows: QuerySet[Spilled]) -> QuerySet[Spilled]:
        return rows.filter(segment=self.name, owner=self.owner)

    def forget(self) -> None:
        """Nothing: the rows are the parent's as long as it lives."""

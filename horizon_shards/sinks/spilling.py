"""When records go to a folder or a table, and when they come back."""

from __future__ import annotations

import random
import threading
import time

from horizon_shards.exceptions import SpillFailed
from horizon_shards.sinks.batch import Batch, Limits
from horizon_shards.sinks.options import QueueOptions
from horizon_shards.sinks.segment import Place, Segment
from horizon_shards.sinks.spill import Folder
from horizon_shards.sinks.spill_table import Table


def place_of(name: str, options: QueueOptions) -> Place | None:
    """Where the sink called ``name`` spills to; None where it does not."""
    if options.spill_folder is not None:
        return Folder(options.spill_folder)
    if options.spill_table is not None:
        return Table(name, options.spill_table, lease_seconds=options.lease_seconds)
    return None


class Spilling:
    """The segments of one sink. Its own lock: they are read while records are put."""

    def __init__(self, name: str, options: QueueOptions, limits: Limits) -> None:
        self.place = place_of(name, options)
        self.is_journal = options.spill_when == "always"
        self._limits = limits
        self._resend_seconds = options.resend_seconds
        self._growing: dict[str, Segment] = {}
        self._adopting = threading.Lock()
        #: At once after the start: another process may have left something.
        self._look_at = 0.0

    def create(self, stream: str) -> Segment:
        """A new segment that this process holds; ``SpillFailed`` where there is no place or no room."""
        if self.place is None:
            raise SpillFailed("There is no SPILL_FOLDER and no SPILL_TABLE.")
        return self.place.create(stream)

    def write(self, stream: str, line: bytes) -> None:
        """Write a line that memory has no room for."""
        segment = self._growing.get(stream)
        if segment is not None and segment.size + len(line) > self._limits.batch_bytes:
            self._growing.pop(stream).release()
            segment = None
        if segment is None:
            segment = self._growing[stream] = self.create(stream)
        segment.append(line)

    def keep(self, batch: Batch) -> bool:
        """Leave a batch to the disk or the table; False where it has to stay in memory."""
        if self.place is None:
            return False
        try:
            segment = batch.segment or self._copy(batch)
        except SpillFailed:
            return False
        segment.release()
        batch.segment = None
        self._look_at = time.monotonic() + self._resend_seconds
        return True

    def _copy(self, batch: Batch) -> Segment:
        segment = self.create(batch.stream)
        try:
            segment.append(b"".join(batch.lines()))
        except SpillFailed:
            segment.remove()
            raise
        return segment

    def set_aside(self, line: bytes) -> None:
        """Keep a line that will never be taken for somebody to look at."""
        if self.place is not None:
            self.place.set_aside(line)

    def arrived(self, batch: Batch) -> SpillFailed | None:
        """The batch has arrived and need not be kept any more; an error where it is kept all the same."""
        segment, batch.segment = batch.segment, None
        try:
            if segment is not None:
                segment.remove()
        except SpillFailed as error:
            return error
        return None

    def is_time(self) -> bool:
        """Whether to look for segments now."""
        return self.place is not None and time.monotonic() >= self._look_at

    def shorten(self, seconds: float | None) -> float | None:
        """How long to wait at most, so that segments are looked for in time."""
        if self.place is None:
            return seconds
        left = max(0.0, self._look_at - time.monotonic())
        return left if seconds is None else min(left, seconds)

    def adopt(self) -> list[Batch]:
        """The batches of one segment that nobody holds; the next look is soon where there was one, else later."""
        with self._adopting:
            self._look_at = time.monotonic() + self._resend_seconds * random.uniform(0.8, 1.2)  # noqa: S311
            while self.place is not None and (segment := self.place.adopt()) is not None:
                if batches := self._batches(segment):
                    self._look_at = 0.0
                    return batches
        return []

    def _batches(self, segment: Segment) -> list[Batch]:
        """The lines of a segment, in as many batches as calls that they take."""
        batches: list[Batch] = []
        for line in segment.lines():
            if not batches or not batches[-1].has_room(line, self._limits):
                batches.append(Batch(segment.stream))
            batches[-1].add(line, self._limits)
        if not batches:
            segment.remove()
        segment.users = len(batches)
        for batch in batches:
            batch.segment = segment
        return batches

    def release_growing(self) -> None:
        """Let what was written be adopted."""
        for stream in list(self._growing):
            self._growing.pop(stream).release()

    def close(self) -> None:
        """Leave all of it to others."""
        self.release_growing()
        if self.place is not None:
            self.place.close()

    def forget(self) -> None:
        """In a forked child: they are the parent's."""
        for segment in self._growing.values():
            segment.forget()
        self._growing.clear()

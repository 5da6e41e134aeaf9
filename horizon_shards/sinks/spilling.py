"""When records go to disk, and when they come back."""

from __future__ import annotations

import random
import threading
import time

from horizon_shards.exceptions import SpillFailed
from horizon_shards.sinks.batch import Batch, Limits
from horizon_shards.sinks.options import QueueOptions
from horizon_shards.sinks.spill import Segment, segments

#: The folder beside the segments, of lines that no database takes.
REJECTED = "rejected"


class Spilling:
    """The segments of one sink. Its own lock: files are read while records are put."""

    def __init__(self, options: QueueOptions, limits: Limits) -> None:
        self.folder = options.spill_folder
        self.is_journal = options.spill_when == "always"
        self._limits = limits
        self._resend_seconds = options.resend_seconds
        self._growing: dict[str, Segment] = {}
        self._adopting = threading.Lock()
        #: At once after the start: another process may have left something.
        self._look_at = 0.0

    def create(self, stream: str) -> Segment:
        """A new segment that this process holds; ``SpillFailed`` where there is no folder or no room."""
        if self.folder is None:
            raise SpillFailed("There is no SPILL_FOLDER.")
        return Segment.create(self.folder, stream)

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
        """Leave a batch to the disk; False where it has to stay in memory."""
        if self.folder is None:
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
        if self.folder is None:
            return
        segment = Segment.create(self.folder / REJECTED, REJECTED)
        segment.append(line)
        segment.release()

    def arrived(self, batch: Batch) -> None:
        """The batch has arrived: the disk need not keep it any more."""
        if batch.segment is not None:
            batch.segment.remove()
            batch.segment = None

    def is_time(self) -> bool:
        """Whether to look for segments now."""
        return self.folder is not None and time.monotonic() >= self._look_at

    def shorten(self, seconds: float | None) -> float | None:
        """How long to wait at most, so that segments are looked for in time."""
        if self.folder is None:
            return seconds
        left = max(0.0, self._look_at - time.monotonic())
        return left if seconds is None else min(left, seconds)

    def adopt(self) -> list[Batch]:
        """The batches of one segment that nobody holds; the next look is soon where there was one, else later."""
        with self._adopting:
            self._look_at = time.monotonic() + self._resend_seconds * random.uniform(0.8, 1.2)  # noqa: S311
            for path in segments(self.folder) if self.folder is not None else ():
                if (segment := Segment.adopt(path)) is not None and (batches := self._batches(segment)):
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
        """Leave all files to others."""
        self.release_growing()

    def forget(self) -> None:
        """In a forked child: the files are the parent's."""
        for segment in self._growing.values():
            segment.forget()
        self._growing.clear()

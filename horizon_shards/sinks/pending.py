"""What a sink holds: open batches that still grow, and closed ones, each from a time on due."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Iterator

from horizon_shards.sinks.batch import Batch


class Pending:
    """Batches in memory; whoever calls a method holds ``changed``, which is told of every change."""

    def __init__(self, linger_seconds: float) -> None:
        self.changed = threading.Condition(threading.Lock())
        self.linger_seconds = linger_seconds
        self.open: dict[str, Batch] = {}
        self.in_flight: set[Batch] = set()
        #: Bytes of everything that is held: open, closed and in flight.
        self.held = 0
        self._closed: list[tuple[float, int, Batch]] = []
        self._order = itertools.count()

    def close(self, batch: Batch, *, due: float = 0.0) -> None:
        """Let the batch be taken from the time ``due`` (of the monotonic clock) on."""
        if self.open.get(batch.stream) is batch:
            del self.open[batch.stream]
        self.in_flight.discard(batch)
        heapq.heappush(self._closed, (due, next(self._order), batch))
        self.changed.notify_all()

    def close_old(self) -> None:
        """Close the batches that have lingered long enough."""
        limit = time.monotonic() - self.linger_seconds
        for batch in [batch for batch in self.open.values() if batch.born <= limit]:
            self.close(batch)

    def close_all(self) -> None:
        """Close every batch."""
        for batch in list(self.open.values()):
            self.close(batch)

    def take(self) -> Batch | None:
        """A batch that is due, now in flight; None where there is none."""
        if not self._closed or self._closed[0][0] > time.monotonic():
            return None
        batch = heapq.heappop(self._closed)[2]
        self.in_flight.add(batch)
        return batch

    def drop(self, batch: Batch) -> None:
        """The batch is nobody's care any more."""
        self.in_flight.discard(batch)
        self.held -= batch.size
        self.changed.notify_all()

    def seconds_to_next(self) -> float | None:
        """How long nothing becomes due by itself; None where nothing is held."""
        times = [batch.born + self.linger_seconds for batch in self.open.values()]
        if self._closed:
            times.append(self._closed[0][0])
        return max(0.0, min(times) - time.monotonic()) if times else None

    def closed(self) -> list[Batch]:
        """The batches that wait, closed, the next one first."""
        return [batch for _, _, batch in sorted(self._closed)]

    def remove_closed(self) -> list[Batch]:
        """The batches that wait, now the caller's."""
        found = self.closed()
        self._closed.clear()
        self.in_flight.update(found)
        return found

    def all(self) -> Iterator[Batch]:
        """Every batch that is held."""
        yield from (*self.open.values(), *self.closed(), *self.in_flight)

    def is_empty(self) -> bool:
        """Whether nothing is held."""
        return not (self.open or self._closed or self.in_flight)

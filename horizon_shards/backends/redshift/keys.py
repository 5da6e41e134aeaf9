"""Primary keys that the client makes: leased from a directory, or from the clock, a random part and a counter."""

from __future__ import annotations

import os
import secrets
import threading
import time
from typing import Any

from horizon_shards.directory import Directory
from horizon_shards.ids import make_id, source_of

#: 2026-01-01; 41 bits of milliseconds last until 2095.
EPOCH_MS = 1_767_225_600_000
WORKER_BITS, COUNTER_BITS = 12, 10


class Clock:
    """Rising numbers of 63 bits: milliseconds, a random worker number, a counter.

    Two processes that draw the same of 4,096 worker numbers and write in the same millisecond can make the same
    number. Name a directory (``OPTIONS["directory"]``) for numbers that are unique by construction.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pid = -1
        self._worker = self._last = 0

    def numbers(self, count: int) -> list[int]:
        """``count`` numbers, rising; a clock that steps back repeats none."""
        with self._lock:
            if self._pid != os.getpid():
                self._pid, self._worker = os.getpid(), secrets.randbits(WORKER_BITS)
            return [self._next() for _ in range(count)]

    def _next(self) -> int:
        now = (time.time_ns() // 1_000_000 - EPOCH_MS) << COUNTER_BITS
        self._last = max(now, self._last + 1)
        moment, counter = self._last >> COUNTER_BITS, self._last & (1 << COUNTER_BITS) - 1
        return (moment << WORKER_BITS | self._worker) << COUNTER_BITS | counter


_clock = Clock()


def new_keys(connection: Any, count: int) -> list[int]:
    """``count`` new primary keys for a connection, as its ``OPTIONS["directory"]`` says."""
    alias = connection.settings_dict["OPTIONS"].get("directory")
    if alias is None:
        return _clock.numbers(count)
    return [make_id(number, 0) for number in source_of(Directory(alias, database=connection.alias)).numbers(count)]

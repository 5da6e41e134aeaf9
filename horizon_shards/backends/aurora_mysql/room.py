"""How many connections this process has to each database: a bound, and those that wait to be used again."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from typing import Any, Final
from weakref import WeakSet

from horizon_shards.exceptions import ConnectionLimit

#: A connection whose thread has ended is closed by the garbage collector, which tells nobody.
TICK_SECONDS: Final = 0.2


class Room:
    """The driver's connections of this process to one alias: in use, being opened, and waiting in the pool."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self._changed = threading.Condition()
        self._opening = 0
        self._used: WeakSet[Any] = WeakSet()
        #: Each with when it came; the latest, which is taken first, last: those that are not needed grow old.
        self._waiting: list[tuple[float, Any]] = []

    def counts(self) -> tuple[int, int]:
        """How many are in use (or being opened), and how many wait in the pool."""
        with self._changed:
            return len(self._used) + self._opening, len(self._waiting)

    def enter(self, limit: int | None, *, give_up_at: float, seconds: float) -> Any:
        """A connection that waited, or None: one may be opened, which :meth:`opened` or :meth:`failed` has to follow.

        Waits until ``give_up_at`` (monotonic; ``seconds`` after the begin) and raises ``ConnectionLimit``.
        """
        with self._changed:
            while not self._waiting and limit is not None and len(self._used) + self._opening >= limit:
                left = give_up_at - time.monotonic()
                if left <= 0:
                    raise ConnectionLimit(self.alias, limit, seconds)
                self._changed.wait(min(left, TICK_SECONDS))
            if not self._waiting:
                self._opening += 1
                return None
            _, raw = self._waiting.pop()
            self._used.add(raw)
            return raw

    def opened(self, raw: Any) -> None:
        """What was to be opened is."""
        with self._changed:
            self._opening -= 1
            self._used.add(raw)

    def failed(self) -> None:
        """What was to be opened is not."""
        with self._changed:
            self._opening -= 1
            self._changed.notify()

    def left(self, raw: Any) -> None:
        """A connection was closed; once or again."""
        with self._changed:
            self._used.discard(raw)
            self._changed.notify()

    def put_back(self, raw: Any, *, idle_seconds: float) -> None:
        """Let a connection wait for its next use, for so long."""
        with self._changed:
            self._used.discard(raw)
            self._waiting.append((time.monotonic(), raw))
            self._changed.notify()
        _call_sweep_in(idle_seconds, self, idle_seconds)

    def sweep(self, idle_seconds: float) -> float | None:
        """Close what has waited for so long; in how many seconds the next one will have, or None: none waits."""
        now = time.monotonic()
        with self._changed:
            old = [raw for since, raw in self._waiting if now - since >= idle_seconds]
            self._waiting = [each for each in self._waiting if each[1] not in old]
            due = self._waiting[0][0] + idle_seconds - now if self._waiting else None
        for raw in old:
            _close(raw)
        return due


_rooms: dict[str, Room] = {}
_lock = threading.Lock()
#: The rooms with a timer that will sweep them.
_swept: set[Room] = set()


def room_of(alias: str) -> Room:
    """The room of an alias, one for the process."""
    with _lock:
        return _rooms.setdefault(alias, Room(alias))


def waiting_by_alias() -> dict[str, int]:
    """How many connections wait in the pool of each alias that has one."""
    with _lock:
        rooms = list(_rooms.values())
    return {room.alias: waiting for room in rooms if (waiting := room.counts()[1])}


def _call_sweep_in(seconds: float, room: Room, idle_seconds: float) -> None:
    """One timer a room, as long as something waits there: a process without requests gives its connections up too."""
    with _lock:
        if room in _swept:
            return
        _swept.add(room)
    timer = threading.Timer(seconds, _sweep, [room, idle_seconds])
    timer.name, timer.daemon = f"horizon-shards-pool-{room.alias}", True
    timer.start()


def _sweep(room: Room, idle_seconds: float) -> None:
    with _lock:
        _swept.discard(room)
    due = room.sweep(idle_seconds)
    if due is not None:
        _call_sweep_in(max(due, 0.0), room, idle_seconds)


def _close(raw: Any) -> None:
    # The drivers' errors have no common class here: whatever it says, it is closed.
    with suppress(Exception):
        raw.close()


def _forget_parents() -> None:
    """A forked child has the pools' objects, whose connections are the parent's: it must not end their sessions."""
    global _lock
    _lock = threading.Lock()
    for room in _rooms.values():
        for _, raw in room._waiting:
            _detach(raw)
    _rooms.clear()
    _swept.clear()


def _detach(raw: Any) -> None:
    """Let what the driver says when the object is removed go nowhere, instead of to the parent's server."""
    with suppress(Exception):
        nowhere = os.open(os.devnull, os.O_RDWR)
        os.dup2(nowhere, raw.fileno())
        os.close(nowhere)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parents)

"""Deadlines of threads that cannot look at the clock, because a driver is reading."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic


class Watch:
    """Calls functions whose time has come, in threads of their own; the watching is done by one for the process.

    Nearly all are taken back long before: adding one wakes the watching thread only where it is due before the others.
    """

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begin anew, as a forked child has to: it has the object but not its thread."""
        self._due: dict[Callable[[], None], float] = {}
        self._changed = threading.Condition()
        self._wakes_at = math.inf
        self._thread: threading.Thread | None = None

    @contextmanager
    def calling(self, function: Callable[[], None], at: float | None) -> Iterator[None]:
        """Call ``function`` at that time of the monotonic clock, in seconds, if the block has not ended by then."""
        if at is None:
            yield
            return
        self._add(function, at)
        try:
            yield
        finally:
            with self._changed:
                self._due.pop(function, None)

    def _add(self, function: Callable[[], None], at: float) -> None:
        with self._changed:
            self._due[function] = at
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="horizon-shards-watch", daemon=True)
                self._thread.start()
            elif at < self._wakes_at:
                self._changed.notify()

    def _run(self) -> None:
        with self._changed:
            while True:
                self._call_due(monotonic())
                self._wakes_at = min(self._due.values(), default=math.inf)
                self._changed.wait(None if self._wakes_at == math.inf else max(0.0, self._wakes_at - monotonic()))

    def _call_due(self, now: float) -> None:
        for function in [function for function, at in self._due.items() if at <= now]:
            del self._due[function]
            # What one of them does may take long.
            threading.Thread(target=function, name="horizon-shards-late", daemon=True).start()


watch = Watch()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=watch.restart)

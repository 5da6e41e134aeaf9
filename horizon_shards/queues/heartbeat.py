"""While a task runs: its message stays hidden, its claim held, and a call that nothing ends is told of."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType

from django.db import connections

#: The longest wait of the thread; a wait without end has no number.
MAX_WAIT_SECONDS = 3_600


class Heartbeat:
    """Calls ``beat`` every ``pause_seconds`` from a thread, until it answers False or the block ends.

    ``overtime`` is called once when ``limit_seconds`` have passed. An error of ``beat`` goes to ``failed``, and it is
    called again all the same.
    """

    def __init__(
        self,
        beat: Callable[[], bool],
        *,
        pause_seconds: float,
        limit_seconds: float,
        overtime: Callable[[], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self._beat = beat
        self._pause = pause_seconds
        self._limit_at = time.monotonic() + limit_seconds
        self._overtime = overtime
        self._failed = failed
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="task-heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        beat_at = time.monotonic() + self._pause
        while not self._ended.wait(min(max(min(beat_at, self._limit_at) - time.monotonic(), 0), MAX_WAIT_SECONDS)):
            now = time.monotonic()
            if now >= self._limit_at:
                self._limit_at = float("inf")
                self._overtime()
            if now >= beat_at:
                beat_at = now + self._pause if self._is_alive() else float("inf")

    def _is_alive(self) -> bool:
        try:
            return self._beat()
        except Exception as error:
            self._failed(error)
            return True
        finally:
            connections.close_all()

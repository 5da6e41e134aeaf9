"""Ending a call that takes too long."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from horizon_shards.exceptions import ConfigurationError, TaskTimeout


@contextmanager
def time_limit(seconds: float, *, what: str) -> Iterator[None]:
    """Raise ``TaskTimeout`` in the block when it has taken so long, by SIGALRM.

    A call into C that does not return to Python is not ended by it. Raises ``ConfigurationError`` where there are no
    such signals: outside of the main thread, and on Windows.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        raise ConfigurationError("Tasks with time-outs run in the main thread of a process, on a POSIX system.")

    def expire(number: int, frame: object) -> None:
        raise TaskTimeout(f"{what} took longer than {seconds:g} seconds.")

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

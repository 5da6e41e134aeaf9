"""When the process forks or ends: every sink that holds records is told."""

from __future__ import annotations

import atexit
import multiprocessing.util
import os
import signal
import threading
import weakref
from typing import Any, Protocol


class Living(Protocol):
    """What is told."""

    def before_fork(self) -> None: ...
    def after_fork_in_parent(self) -> None: ...
    def after_fork_in_child(self) -> None: ...
    def close(self) -> None: ...


_living: weakref.WeakSet[Any] = weakref.WeakSet()
_forking: list[Living] = []
_lock = threading.Lock()
_is_watching = False


def register(sink: Living) -> None:
    """Tell the sink of forks and of the end from now on."""
    with _lock:
        _living.add(sink)
    watch()


def forget(sink: object) -> None:
    """The sink is closed."""
    with _lock:
        _living.discard(sink)


def watch() -> None:
    """Watch for forks, the exit and SIGTERM; where SIGTERM has a handler already, that one is left to end the process.

    Without a handler SIGTERM ends a process of Python's at once. Signals can be set in the main thread alone: a
    sink that is first used in another one is watched where the app ``horizon_shards`` was loaded in the main one.
    """
    global _is_watching
    with _lock:
        is_new, _is_watching = not _is_watching, True
    if is_new:
        os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
        # Children of multiprocessing end by os._exit, after its own finalizers.
        multiprocessing.util.register_after_fork(_living, lambda living: _finalize_multiprocessing())
        atexit.register(close_all)
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminate)


def close_all() -> None:
    """Close every sink; the first error is raised when all have had their turn."""
    errors: list[Exception] = []
    for sink in list(_living):
        try:
            sink.close()
        except Exception as error:
            errors.append(error)
    if errors:
        raise errors[0]


def _terminate(number: int, frame: object) -> None:
    raise SystemExit(128 + number)


def _finalize_multiprocessing() -> None:
    multiprocessing.util.Finalize(None, close_all, exitpriority=0)


def _before() -> None:
    _lock.acquire()
    _forking[:] = list(_living)
    for sink in _forking:
        sink.before_fork()


def _in_parent() -> None:
    for sink in _forking:
        sink.after_fork_in_parent()
    _forking.clear()
    _lock.release()


def _in_child() -> None:
    for sink in _forking:
        sink.after_fork_in_child()
    _forking.clear()
    _lock.release()

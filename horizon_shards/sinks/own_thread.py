"""A thread for what must see neither the caller's transaction nor its event loop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


class OwnThread:
    """Runs functions one after another in one thread, which begins with the first."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._work: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def run(self, act: Callable[[], T]) -> T:
        """What the function returns or raises. Where the interpreter ends and starts no thread, it runs in this one."""
        with self._lock:
            if self._thread is None and not self._start():
                return act()
            future: Future[T] = Future()
            self._work.put((future, act))
        return future.result()

    def end(self, last: Callable[[], None]) -> None:
        """Run a last function in the thread and end it; nothing where it has not begun."""
        with self._lock:
            thread, self._thread = self._thread, None
            if thread is None:
                return
            self._work.put((Future(), last))
            self._work.put(None)
        thread.join()

    def _start(self) -> bool:
        thread = threading.Thread(target=self._work_off, name=self._name, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return False
        self._thread = thread
        return True

    def _work_off(self) -> None:
        while (item := self._work.get()) is not None:
            future, act = item
            try:
                future.set_result(act())
            except BaseException as error:
                future.set_exception(error)

"""A statement sent to several shards before any answer is read, from the caller's own thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ALL_COMPLETED, FIRST_EXCEPTION, Future
from contextlib import AbstractContextManager, suppress
from selectors import EVENT_READ, DefaultSelector
from time import monotonic, sleep
from typing import Any, TypeVar

from django.db import Error, OperationalError

from horizon_shards.backends.sharded.cancel import cancel, handle_of
from horizon_shards.backends.sharded.flight.base import Flight, pauses
from horizon_shards.backends.sharded.flight.drivers import Sender, is_ready, sender_for
from horizon_shards.backends.sharded.flight.question import Question
from horizon_shards.backends.sharded.flight.watch import watch

T = TypeVar("T")

#: How long a server may take to end what was cancelled; then its connection is closed.
LAST_SECONDS = 5.0


class Sending(Flight[T]):
    """A question to every shard; where a driver cannot send ahead, :class:`Threads` ask."""

    def __init__(
        self,
        connections: dict[str, Any],
        naming: Callable[[str], AbstractContextManager[None]],
        question: Question[T],
        cursors: dict[str, Any],
        senders: dict[str, Sender],
    ) -> None:
        super().__init__(connections, naming)
        self.question = question
        self.cursors = cursors
        self.senders = senders
        self.selector = DefaultSelector()
        self._lock = threading.Lock()
        self._reading: str | None = None
        self._has_failed = False

    @classmethod
    def of(
        cls, connections: dict[str, Any], naming: Callable[[str], AbstractContextManager[None]], job: Any
    ) -> Sending[Any] | None:
        """The flight, or None where something else than one statement would be run, or a driver cannot."""
        if not isinstance(job, Question):
            return None
        for shard, connection in connections.items():
            if not (is_ready(connection, chunked=job.chunked) and job.is_begun(shard)):
                return None
        cursors = {shard: job.open(connection) for shard, connection in connections.items()}
        senders = {shard: sender for shard, cursor in cursors.items() if (sender := sender_for(cursor)) is not None}
        if len(senders) < len(cursors):
            for cursor in cursors.values():
                cursor.close()
            return None
        return cls(connections, naming, job, cursors, senders)

    def start(self) -> None:
        """Send to all; who cannot be sent to has its error."""
        for shard, sender in self.senders.items():
            self.futures[shard] = Future()
            self.handles[shard] = handle_of(self.connections[shard])
            sender.send(self.question.sql, self.question.params)
            if sender.is_waiting:
                self.selector.register(sender, EVENT_READ, shard)
        for shard, sender in self.senders.items():
            if not sender.is_waiting:
                self._read(shard)

    def wait(self, seconds: float | None, return_when: str) -> None:
        """Read what comes, as it comes; a shard that is being read when the time is over is cancelled."""
        until = None if seconds is None else monotonic() + seconds
        with watch.calling(self._cut_short, until):
            while self.selector.get_map() and not (return_when == FIRST_EXCEPTION and self._has_failed):
                ready = self.selector.select(None if until is None else max(0.0, until - monotonic()))
                if not ready:
                    return
                for key, _ in ready:
                    self.selector.unregister(key.fileobj)
                    self._read(key.data)

    def _read(self, shard: str) -> None:
        self._set_reading(shard)
        try:
            with self.naming(shard), self.senders[shard].instead():
                self.futures[shard].set_result(self.question.answer(self.cursors[shard]))
        except Exception as error:
            self._has_failed = True
            self.futures[shard].set_exception(error)
        finally:
            self._set_reading(None)

    def _set_reading(self, shard: str | None) -> None:
        with self._lock:
            self._reading = shard

    def _cut_short(self) -> None:
        """Runs in another thread."""
        for pause in pauses():
            if not self._cancel_reading():
                return
            sleep(pause)

    def _cancel_reading(self) -> bool:
        # What is read next on this connection must not be cancelled.
        with self._lock:
            if self._reading is None:
                return False
            self.late.add(self._reading)
            cancel(self.connections[self._reading], self.handles[self._reading])
            return True

    def stop(self) -> None:
        """Cancel and read what comes of it; close the connection to a server that does not even answer that."""
        give_up_at = monotonic() + LAST_SECONDS
        for pause in pauses():
            running = self.running()
            if not running or monotonic() >= give_up_at:
                break
            for shard in running:
                cancel(self.connections[shard], self.handles[shard])
            self.wait(pause, ALL_COMPLETED)
        for shard in running:
            self.futures[shard].set_exception(OperationalError(f"shard {shard!r} did not answer: connection closed."))

    def end(self) -> None:
        """No answer may be left for the next statement of a connection to find."""
        for shard, sender in self.senders.items():
            if sender.is_unread:
                with suppress(Error):
                    self.connections[shard].close()
        self.selector.close()

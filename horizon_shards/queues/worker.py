"""The loop that receives messages and tries them, one at a time, until it is told to end."""

from __future__ import annotations

import time
from collections.abc import Callable

from horizon_shards.queues.attempt import Attempt
from horizon_shards.queues.backend import SQSBackend
from horizon_shards.queues.claims import Claims
from horizon_shards.queues.queue import Received
from horizon_shards.signals import queue_try_failed

#: How often what is done for long is forgotten.
FORGET_SECONDS = 3_600
#: The longest pause where SQS does not answer.
MAX_PAUSE_SECONDS = 30


class Worker:
    """Works on one queue. ``max_tasks``: ends after so many; ``until_empty``: ends when no message comes in time."""

    def __init__(
        self,
        backend: SQSBackend,
        queue_name: str,
        *,
        max_tasks: int | None = None,
        until_empty: bool = False,
        overtime: Callable[[], None] = lambda: None,
    ) -> None:
        self.backend = backend
        self.queue = backend.queue(queue_name)
        self.max_tasks = max_tasks
        self.until_empty = until_empty
        self.tried = 0
        self._overtime = overtime
        self._is_ending = False
        self._failures = 0
        self._forget_at = time.monotonic()

    def end(self) -> None:
        """End after the message at hand; may be called by a signal handler."""
        self._is_ending = True

    def run(self) -> int:
        """Work until the end; the number of messages that were tried."""
        while not self._is_ending and self.tried != self.max_tasks:
            self._forget_old()
            received = self._receive()
            if received is not None:
                self._work(received)
            elif self.until_empty and not self._failures:
                break
        return self.tried

    def _work(self, received: Received) -> None:
        try:
            outcome = Attempt(self.backend, self.queue, received, overtime=self._overtime).run()
            self.tried += 1
            if outcome.is_done:
                self.queue.delete(received.receipt)
            else:
                self.queue.hide(received.receipt, seconds=outcome.hide_seconds)
        except Exception as error:
            # The message comes back; its claim says whether there is anything left to do.
            self._tell(error, received)

    def _receive(self) -> Received | None:
        try:
            received = self.queue.receive(wait_seconds=self.backend.settings.wait_seconds)
        except Exception as error:
            self._failures += 1
            self._tell(error)
            self._pause(min(2.0**self._failures, MAX_PAUSE_SECONDS))
            return None
        self._failures = 0
        return received

    def _pause(self, seconds: float) -> None:
        """In short steps: a signal handler may end the worker meanwhile."""
        until = time.monotonic() + seconds
        while not self._is_ending and time.monotonic() < until:
            time.sleep(0.2)

    def _forget_old(self) -> None:
        if time.monotonic() >= self._forget_at:
            self._forget_at = time.monotonic() + FORGET_SECONDS
            Claims(self.backend.settings).forget_old()

    def _tell(self, error: Exception, received: Received | None = None) -> None:
        queue_try_failed.send(
            type(self.backend),
            queue=self.queue.name,
            message_id=received.message_id if received else "",
            tries=received.tries if received else 0,
            error=error,
        )

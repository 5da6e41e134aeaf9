"""``manage.py work_queue``: run the tasks of one queue of SQS."""

from __future__ import annotations

import os
import signal
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from horizon_shards.exceptions import ConfigurationError, QueueError
from horizon_shards.queues.api import task_backends
from horizon_shards.queues.backend import SQSBackend
from horizon_shards.queues.worker import Worker
from horizon_shards.signals import queue_try_failed

#: The exit status where a task could not be ended: EX_SOFTWARE of sysexits.h.
OVERTIME_STATUS = 70
ENDING = (signal.SIGTERM, signal.SIGINT)


class Command(BaseCommand):
    """One process, one queue, one task at a time."""

    help = """Run the tasks of one queue, one at a time; start as many processes as are to run at once. SIGTERM ends it
after the task at hand, a second one at once."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which queue, and when to end."""
        parser.add_argument("--backend", default="default", help="The entry of TASKS; default: default.")
        parser.add_argument("--queue", default="default", help="One of its QUEUES; default: default.")
        parser.add_argument("--max-tasks", type=int, metavar="N", help="End after N messages.")
        parser.add_argument("--until-empty", action="store_true", help="End when no message comes in WAIT_SECONDS.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Work; raises ``CommandError`` for settings or a queue that will not do."""
        try:
            worker = self._worker(options)
            tries = worker.queue.tries()
        except (ConfigurationError, QueueError) as error:
            raise CommandError(str(error)) from error
        if tries is None:
            raise CommandError(
                f"The queue {worker.queue.full_name!r} has no dead-letter queue: a task that fails would come back for "
                "days. Give it a redrive policy (docs/queues.md shows one)."
            )
        self.stdout.write(f"Working on {worker.queue.full_name}; a message is tried {tries} times.")
        self.stdout.flush()
        with self._telling(tries), _ending(worker):
            count = worker.run()
        self.stdout.write(f"Tried {count} messages.")

    def _worker(self, options: dict[str, Any]) -> Worker:
        backend = task_backends[options["backend"]]
        if not isinstance(backend, SQSBackend):
            raise ConfigurationError(
                f"TASKS[{options['backend']!r}] is {type(backend).__name__}: only SQSBackend has queues to work on."
            )
        if options["max_tasks"] is not None and options["max_tasks"] < 1:
            raise CommandError("--max-tasks must be at least 1.")
        return Worker(
            backend,
            options["queue"],
            max_tasks=options["max_tasks"],
            until_empty=options["until_empty"],
            overtime=self._overtime,
        )

    @contextmanager
    def _telling(self, of: int) -> Iterator[None]:
        """A line on standard error for each try that fails."""

        def tell(*, queue: str, message_id: str, tries: int, error: BaseException, **kwargs: Any) -> None:
            what = f"message {message_id}, try {tries} of {of}" if message_id else "receiving"
            self.stderr.write(f"{queue}: {what}: {type(error).__name__}: {error}")
            self.stderr.flush()

        queue_try_failed.connect(tell)
        yield
        queue_try_failed.disconnect(tell)

    def _overtime(self) -> None:
        """A task does not heed its time-out; its message must not be run beside it."""
        self.stderr.write("A task runs on beyond its time-out and KILL_SECONDS: this process ends.")
        self.stderr.flush()
        os._exit(OVERTIME_STATUS)


@contextmanager
def _ending(worker: Worker) -> Iterator[None]:
    """SIGTERM and SIGINT end the worker after its task; a second one does what it did before."""
    before = {number: signal.getsignal(number) for number in ENDING}

    def end(number: int, frame: object) -> None:
        worker.end()
        restore()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in ENDING:
        signal.signal(number, end)
    try:
        yield
    finally:
        restore()

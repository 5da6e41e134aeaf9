"""One try of one message, the same in a worker and in Lambda: what it does, and what is to become of the message."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from traceback import format_exception
from typing import Any

from django.db import Error, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone
from django.utils.crypto import get_random_string
from django.utils.module_loading import import_string

from horizon_shards.exceptions import MessageRefused, QueueError
from horizon_shards.queues.api import InvalidTask, Task, TaskContext, TaskError, TaskResult, TaskResultStatus, signals
from horizon_shards.queues.backend import SQSBackend, new_result, seconds_until
from horizon_shards.queues.claims import Claims
from horizon_shards.queues.heartbeat import Heartbeat
from horizon_shards.queues.limits import time_limit
from horizon_shards.queues.message import Message, decode
from horizon_shards.queues.options import options_of
from horizon_shards.queues.queue import Queue, Received
from horizon_shards.signals import queue_try_failed


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether the message is done with; if not, for how many seconds it is to be hidden, and why."""

    is_done: bool
    hide_seconds: float = 0
    error: BaseException | None = None


DONE = Outcome(is_done=True)


class Attempt:
    """One try. ``overtime`` is called where a task runs ``KILL_SECONDS`` beyond its time-out and nothing ends it.

    ``seconds_left``: how long the process itself has; the time-out of the task is cut to it.
    """

    def __init__(
        self,
        backend: SQSBackend,
        queue: Queue,
        received: Received,
        *,
        overtime: Callable[[], None] = lambda: None,
        seconds_left: float | None = None,
    ) -> None:
        self.backend = backend
        self.queue = queue
        self.received = received
        self.settings = backend.settings
        self.claims = Claims(backend.settings)
        self.owner = get_random_string(32)
        self._overtime = overtime
        self._seconds_left = seconds_left

    def run(self) -> Outcome:
        """Try; an error of the task or of anything else is in the outcome, and told by ``queue_try_failed``."""
        close_obsolete()
        try:
            return self._run()
        except (Exception, SystemExit) as error:
            self._tell(error)
            return Outcome(is_done=False, hide_seconds=self._backoff_seconds(), error=error)
        finally:
            close_obsolete()

    def _run(self) -> Outcome:
        message = decode(self.received.body)
        task = self._task_of(message)
        if message.run_after is not None and (early := seconds_until(message.run_after)) > 0:
            self.queue.send(self.received.body, delay_seconds=early)
            return DONE
        claim = self.claims.take(message, owner=self.owner)
        if claim.state == "held":
            held = QueueError(f"Another worker runs {message.task}({message.key}).")
            self._tell(held)
            return Outcome(is_done=False, hide_seconds=claim.seconds, error=held)
        if claim.state == "taken":
            self._run_claimed(task, message)
        self.backend.payloads.forget(message)
        return DONE

    def _run_claimed(self, task: Task[..., Any], message: Message) -> None:
        seconds = options_of(task.func).timeout_seconds or self.settings.timeout_seconds
        seconds = seconds if self._seconds_left is None else min(seconds, self._seconds_left)
        try:
            message = self.backend.payloads.restore(message)
            with Heartbeat(
                lambda: self._beat(message.digest),
                pause_seconds=self.settings.visibility_seconds / 3,
                limit_seconds=seconds + self.settings.kill_seconds,
                overtime=self._overtime,
                failed=self._tell,
            ):
                self._perform(task, message, seconds=seconds)
        except BaseException:
            # It may have been ended in the middle of a query.
            close_all()
            with suppress(Error):  # a lease ends by itself
                self.claims.release(message.digest, owner=self.owner)
            raise

    def _perform(self, task: Task[..., Any], message: Message, *, seconds: float) -> None:
        result = self._started(task, message)
        try:
            value = self._call(result, message, seconds=seconds)
        except (Exception, SystemExit) as error:
            name = f"{type(error).__module__}.{type(error).__qualname__}"
            text = "".join(format_exception(error))
            result.errors.append(TaskError(exception_class_path=name, traceback=text))
            self._finished(result, TaskResultStatus.FAILED)
            raise
        object.__setattr__(result, "_return_value", value)
        self._finished(result, TaskResultStatus.SUCCESSFUL)

    def _call(self, result: TaskResult[..., Any], message: Message, *, seconds: float) -> Any:
        """Call the function and mark the call as done; both in one transaction where the task says so."""
        task = result.task
        context: list[Any] = [TaskContext(task_result=result)] if task.takes_context else []
        with time_limit(seconds, what=message.task):
            if not options_of(task.func).atomic:
                value = task.call(*context, *result.args, **result.kwargs)
            else:
                with transaction.atomic(using=self.claims.alias):
                    value = task.call(*context, *result.args, **result.kwargs)
                    self._mark_done(message)
                return value
        self._mark_done(message)
        return value

    def _mark_done(self, message: Message) -> None:
        if not self.claims.finish(message.digest, owner=self.owner):
            raise QueueError(
                f"{message.task}({message.key}) was taken over by another worker while this one ran it: for longer "
                f"than VISIBILITY_SECONDS ({self.settings.visibility_seconds:g}) its claim was not renewed."
            )

    def _task_of(self, message: Message) -> Task[..., Any]:
        try:
            found = import_string(message.task)
        except ImportError as error:
            raise MessageRefused(f"The task {message.task} cannot be imported: {error}.") from error
        if not isinstance(found, Task):
            raise MessageRefused(f"{message.task} is no task: a message names a function below @task.")
        try:
            return found.using(queue_name=self.queue.name, backend=self.backend.alias)
        except InvalidTask as error:
            raise MessageRefused(f"{message.task}: {error}") from error

    def _started(self, task: Task[..., Any], message: Message) -> TaskResult[..., Any]:
        now = timezone.now()
        result = new_result(
            task,
            message.args,
            message.kwargs,
            backend=self.backend.alias,
            id=message.id,
            status=TaskResultStatus.RUNNING,
            enqueued_at=message.enqueued_at,
            started_at=now,
            last_attempted_at=now,
            worker_ids=[self.owner] * self.received.tries,
        )
        signals.task_started.send(type(self.backend), task_result=result)
        return result

    def _finished(self, result: TaskResult[..., Any], status: TaskResultStatus) -> None:
        object.__setattr__(result, "finished_at", timezone.now())
        object.__setattr__(result, "status", status)
        signals.task_finished.send(type(self.backend), task_result=result)

    def _beat(self, digest: str) -> bool:
        """The claim first: it must end before the message is shown."""
        if not self.claims.renew(digest, owner=self.owner):
            return False
        self.queue.hide(self.received.receipt, seconds=self.settings.visibility_seconds)
        return True

    def _backoff_seconds(self) -> float:
        """Twice as long after each try, up to the most; half of it by chance, so that not all come back at once."""
        factor = 2.0 ** min(self.received.tries - 1, 32)
        most = min(self.settings.retry_seconds * factor, self.settings.max_retry_seconds)
        return most * random.uniform(0.5, 1)  # noqa: S311 - no secret

    def _tell(self, error: BaseException) -> None:
        queue_try_failed.send(
            type(self.backend),
            queue=self.queue.name,
            message_id=self.received.message_id,
            tries=self.received.tries,
            error=error,
        )


def close_obsolete() -> None:
    """As ``close_old_connections()``, but for those of a ``TestCase``, whose transaction is the test's."""
    for connection in _own_connections():
        connection.close_if_unusable_or_obsolete()


def close_all() -> None:
    """As ``connections.close_all()``, with the same exception."""
    for connection in _own_connections():
        connection.close()


def _own_connections() -> list[BaseDatabaseWrapper]:
    return [connection for connection in connections.all(initialized_only=True) if not connection.in_atomic_block]

"""The backend of Django's tasks that sends them to SQS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error
from django.utils import timezone
from django.utils.crypto import get_random_string

from horizon_shards.exceptions import ConfigurationError, MessageRefused
from horizon_shards.queues.api import BaseTaskBackend, Task, TaskResult, TaskResultStatus, signals
from horizon_shards.queues.message import Message
from horizon_shards.queues.options import options_of
from horizon_shards.queues.payloads import Payloads
from horizon_shards.queues.queue import Queue
from horizon_shards.queues.settings import QueueSettings, read_queue_settings

HINT = "docs/queues.md lists the options."


class SQSBackend(BaseTaskBackend):
    """``enqueue()`` sends a message; ``manage.py work_queue`` or a Lambda runs the task. Results are not kept."""

    supports_defer = True
    supports_async_task = True

    def enqueue(  # type: ignore[override]
        self, task: Task[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> TaskResult[..., Any]:
        """Send a call of the task to its queue.

        Raises ``InvalidTask`` as Django does, ``QueueError`` where the queue is not there, ``MessageRefused`` where the
        message is too large, and what boto3 raises where AWS does not answer: then it may have been sent.
        """
        self.validate_task(task)
        result = new_result(task, args, kwargs, backend=self.alias)
        message = self._message(result)
        delay = 0.0 if message.run_after is None else seconds_until(message.run_after)
        queue = self.queue(task.queue_name)
        queue.url  # noqa: B018 - before anything is stored
        stored = self.payloads.store(message)
        try:
            queue.send(stored.encode(), delay_seconds=delay)
        except Exception as error:
            # Without an answer of AWS the message may be on its way, and needs its arguments.
            if hasattr(error, "response"):
                self.payloads.forget(stored)
            raise
        object.__setattr__(result, "enqueued_at", message.enqueued_at)
        signals.task_enqueued.send(type(self), task_result=result)
        return result

    def _message(self, result: TaskResult[..., Any]) -> Message:
        task, key = result.task, options_of(result.task.func).key
        text = result.id if key is None else key(*result.args, **result.kwargs)
        if not isinstance(text, str):
            raise MessageRefused(f"The key of {task.module_path} must be text, not {text!r}.")
        run_after = None if task.run_after is None else aware(task.run_after)
        return Message(
            result.id, task.module_path, text, timezone.now(), result.args, result.kwargs, run_after=run_after
        )

    @cached_property
    def settings(self) -> QueueSettings:
        """Raises ``ConfigurationError`` that names the option."""
        fifo = sorted(name for name in self.queues if name.endswith(".fifo"))
        if fifo:
            raise ConfigurationError(
                f"TASKS[{self.alias!r}]['QUEUES'] names {fifo[0]!r}: only standard queues will do."
            )
        return read_queue_settings(self.alias, self.options)

    @cached_property
    def payloads(self) -> Payloads:
        """The objects in S3."""
        return Payloads(self.settings)

    def queue(self, name: str) -> Queue:
        """One of the queues of the settings; raises ``ConfigurationError`` for any other name."""
        if self.queues and name not in self.queues:
            known = ", ".join(sorted(self.queues))
            raise ConfigurationError(f"TASKS[{self.alias!r}]['QUEUES'] has no queue {name!r}; there are: {known}.")
        if name not in self._queues:
            self._queues[name] = Queue(name, self.settings)
        return self._queues[name]

    @cached_property
    def _queues(self) -> dict[str, Queue]:
        return {}

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        """What the settings alone can tell to be wrong; AWS is not asked."""
        problems = []
        try:
            self.settings  # noqa: B018 - read for its errors
        except ConfigurationError as error:
            problems.append(str(error))
        if not apps.is_installed("horizon_shards.queues"):
            problems.append(f"TASKS[{self.alias!r}] is SQSBackend, and INSTALLED_APPS has no 'horizon_shards.queues'.")
        return [Error(text, hint=HINT, id="horizon_shards.E115") for text in problems]


def new_result(
    task: Task[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], *, backend: str, **known: Any
) -> TaskResult[..., Any]:
    """A result that nobody has run yet; ``known``: its id, and when it was enqueued."""
    fields: dict[str, Any] = {
        "id": get_random_string(32),
        "status": TaskResultStatus.READY,
        "enqueued_at": None,
        "started_at": None,
        "last_attempted_at": None,
        "finished_at": None,
        "errors": [],
        "worker_ids": [],
        **known,
    }
    return TaskResult(task=task, args=list(args), kwargs=dict(kwargs), backend=backend, **fields)


def aware(moment: datetime) -> datetime:
    """A time with its zone; without one (``USE_TZ = False``) it is local."""
    return timezone.make_aware(moment) if timezone.is_naive(moment) else moment


def seconds_until(moment: datetime) -> float:
    """Seconds from now, negative for the past."""
    return (moment - datetime.now(tz=moment.tzinfo)).total_seconds()

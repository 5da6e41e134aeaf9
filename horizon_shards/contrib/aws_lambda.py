"""The tasks of a queue in AWS Lambda, with the messages of a batch that failed named; the extra ``lambda``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import django
from django.apps import apps

from horizon_shards.exceptions import ConfigurationError, QueueError

try:
    from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
except ImportError as error:
    raise ConfigurationError(
        "The handler for Lambda needs Powertools: pip install 'horizon-shards[lambda]'."
    ) from error

logger = logging.getLogger("horizon_shards.queues")

#: What is left of the time of an invocation for telling what became of the messages.
SPARE_SECONDS = 2.0


def make_handler(backend: str = "default") -> Callable[[Mapping[str, Any], Any], Mapping[str, Any]]:
    """A handler for the events of a queue, for a function with ``ReportBatchItemFailures``.

    ``backend``: an entry of ``TASKS`` that is an ``SQSBackend``, else ``ConfigurationError``. Each message is tried as
    a worker would; those that failed are in ``batchItemFailures`` and are hidden until their next try.
    """
    if not apps.ready:
        django.setup()
    runner = _Runner(backend)

    def handler(event: Mapping[str, Any], context: Any) -> Mapping[str, Any]:
        # Without an exception where all of a batch failed: each of them has its own pause.
        processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)

        def record_handler(record: SQSRecord) -> None:
            try:
                runner.run(record, seconds_left=_seconds_left(context))
            except Exception as error:
                logger.warning("%s", error)  # Powertools says nothing
                raise

        answer: Mapping[str, Any] = process_partial_response(
            event=dict(event), record_handler=record_handler, processor=processor, context=context
        )
        return answer

    return handler


class _Runner:
    """Tries records with one backend."""

    def __init__(self, alias: str) -> None:
        from horizon_shards.queues.api import task_backends
        from horizon_shards.queues.backend import SQSBackend

        backend = task_backends[alias]
        if not isinstance(backend, SQSBackend):
            raise ConfigurationError(
                f"TASKS[{alias!r}] is {type(backend).__name__}: a Lambda takes those of SQSBackend."
            )
        self.backend = backend

    def run(self, record: SQSRecord, *, seconds_left: float | None) -> None:
        """Try it; an error says that it failed, and Lambda then leaves the message in the queue."""
        from horizon_shards.queues.attempt import Attempt
        from horizon_shards.queues.queue import Received

        if seconds_left is not None and seconds_left <= 0:
            raise QueueError(f"There was no time left for message {record.message_id}.")
        queue = self.backend.queue(self._queue_name(record))
        tries = int(record.attributes.approximate_receive_count or 1)
        received = Received(record.body, record.receipt_handle, record.message_id, tries)
        outcome = Attempt(self.backend, queue, received, seconds_left=seconds_left).run()
        if not outcome.is_done:
            queue.hide(received.receipt, seconds=outcome.hide_seconds)
            what = f"Message {record.message_id}, try {tries}"
            raise QueueError(f"{what}: {type(outcome.error).__name__}: {outcome.error}") from outcome.error

    def _queue_name(self, record: SQSRecord) -> str:
        full_name, prefix = record.event_source_arn.rpartition(":")[2], self.backend.settings.queue_prefix
        if not full_name.startswith(prefix):
            raise ConfigurationError(
                f"The queue {full_name!r} does not begin with {prefix!r} (OPTIONS['QUEUE_PREFIX'])."
            )
        return str(full_name.removeprefix(prefix))


def _seconds_left(context: Any) -> float | None:
    """How long a task may take in this invocation; None where there is no context (in a test)."""
    return None if context is None else context.get_remaining_time_in_millis() / 1_000 - SPARE_SECONDS

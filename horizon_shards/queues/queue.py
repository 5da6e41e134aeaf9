"""One queue of SQS: sending, receiving, hiding and deleting messages."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from horizon_shards.exceptions import QueueError
from horizon_shards.queues.clients import client_of
from horizon_shards.queues.settings import MAX_DELAY_SECONDS, MAX_HIDDEN_SECONDS, QueueSettings


@dataclass(frozen=True, slots=True)
class Received:
    """A message as SQS hands it out; ``tries`` counts how often it was received, this time included."""

    body: str
    receipt: str
    message_id: str
    tries: int


class Queue:
    """The queue that Django knows as ``name``; SQS knows it with ``QUEUE_PREFIX`` in front."""

    def __init__(self, name: str, settings: QueueSettings) -> None:
        self.name = name
        self.settings = settings

    @property
    def full_name(self) -> str:
        """Its name in SQS."""
        return self.settings.queue_prefix + self.name

    @cached_property
    def url(self) -> str:
        """Raises ``QueueError`` where there is no such queue."""
        sqs = self._sqs
        try:
            return str(sqs.get_queue_url(QueueName=self.full_name)["QueueUrl"])
        except sqs.exceptions.QueueDoesNotExist as error:
            raise QueueError(
                f"There is no queue {self.full_name!r} in {sqs.meta.region_name}: create it, with a dead-letter queue."
            ) from error

    def tries(self) -> int | None:
        """How often a message is received before it goes to the dead-letter queue; None: there is none."""
        answer = self._sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["RedrivePolicy"])
        policy = json.loads(answer.get("Attributes", {}).get("RedrivePolicy", "{}"))
        return int(policy["maxReceiveCount"]) if "maxReceiveCount" in policy else None

    def send(self, body: str, *, delay_seconds: float = 0) -> None:
        """Send; a delay beyond what SQS takes is cut: who receives the message early sends it on."""
        delay = min(max(math.ceil(delay_seconds), 0), MAX_DELAY_SECONDS)
        self._sqs.send_message(QueueUrl=self.url, MessageBody=body, DelaySeconds=delay)

    def receive(self, *, wait_seconds: int) -> Received | None:
        """The next message, hidden from others for ``VISIBILITY_SECONDS``; None where none comes in time."""
        answer = self._sqs.receive_message(
            QueueUrl=self.url,
            MaxNumberOfMessages=1,
            WaitTimeSeconds=wait_seconds,
            VisibilityTimeout=math.ceil(self.settings.visibility_seconds),
            AttributeNames=["ApproximateReceiveCount"],
        )
        for found in answer.get("Messages", ()):
            tries = int(found["Attributes"]["ApproximateReceiveCount"])
            return Received(found["Body"], found["ReceiptHandle"], found["MessageId"], tries)
        return None

    def hide(self, receipt: str, *, seconds: float) -> None:
        """Hide a received message for so long from now on; 0 shows it."""
        hidden = min(math.ceil(seconds), MAX_HIDDEN_SECONDS)
        self._sqs.change_message_visibility(QueueUrl=self.url, ReceiptHandle=receipt, VisibilityTimeout=hidden)

    def delete(self, receipt: str) -> None:
        """The message is done with."""
        self._sqs.delete_message(QueueUrl=self.url, ReceiptHandle=receipt)

    @property
    def _sqs(self) -> Any:
        return client_of("sqs", self.settings)

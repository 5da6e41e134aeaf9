"""Arguments that are too large for a message: in S3 while the task waits, under a key that the message names."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from horizon_shards.exceptions import MessageRefused
from horizon_shards.queues.clients import client_of
from horizon_shards.queues.message import Message
from horizon_shards.queues.settings import MAX_BODY_BYTES, QueueSettings


class Payloads:
    """The objects of one backend: in its bucket, below its prefix. A message cannot name any other object."""

    def __init__(self, settings: QueueSettings) -> None:
        self.settings = settings

    def store(self, message: Message) -> Message:
        """The message as it is sent: its arguments go to S3 where it would be larger than ``OFFLOAD_BYTES``.

        Raises ``MessageRefused`` for a message that no queue takes, where there is no ``BUCKET``.
        """
        size = len(message.encode())
        if size <= self.settings.offload_bytes:
            return message
        if self.settings.bucket is None:
            if size > MAX_BODY_BYTES:
                raise MessageRefused(
                    f"{message.task} was called with {size:,} bytes of arguments, and SQS takes {MAX_BODY_BYTES:,}: "
                    "set OPTIONS['BUCKET'] to a bucket of S3, or pass an id in place of the data."
                )
            return message
        body = json.dumps([message.args, message.kwargs], separators=(",", ":")).encode()
        stored = replace(message, args=[], kwargs={}, payload=f"{self.settings.payload_prefix}{message.id}.json")
        self._s3.put_object(Bucket=self.settings.bucket, Key=stored.payload, Body=body, ContentType="application/json")
        return stored

    def restore(self, message: Message) -> Message:
        """The message with its arguments; raises ``MessageRefused`` for a key that is not of this backend."""
        if message.payload is None:
            return message
        key = self._own_key(message.payload)
        args, kwargs = json.loads(self._s3.get_object(Bucket=self.settings.bucket, Key=key)["Body"].read())
        return replace(message, args=args, kwargs=kwargs, payload=None)

    def forget(self, message: Message) -> None:
        """Delete the object, if there is one; doing it again is no error."""
        if message.payload is not None:
            self._s3.delete_object(Bucket=self.settings.bucket, Key=self._own_key(message.payload))

    def _own_key(self, key: str) -> str:
        if self.settings.bucket is None:
            raise MessageRefused("The arguments of a message are in S3, and OPTIONS['BUCKET'] is not set here.")
        if not key.startswith(self.settings.payload_prefix):
            raise MessageRefused(
                f"A message names the object {key!r}, which is not below {self.settings.payload_prefix!r} "
                "(OPTIONS['PAYLOAD_PREFIX']): it was not sent with these settings."
            )
        return key

    @property
    def _s3(self) -> Any:
        return client_of("s3", self.settings)

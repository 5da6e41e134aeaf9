"""The message of a task: one JSON object, whose form is frozen by its version."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from horizon_shards.exceptions import MessageRefused

VERSION = 1


@dataclass(frozen=True, slots=True)
class Message:
    """A call of a task. ``key`` is the same for calls of which one is to have an effect.

    ``payload``: where the arguments are in S3; ``args`` and ``kwargs`` are then empty here.
    """

    id: str
    task: str
    key: str
    enqueued_at: datetime
    args: list[Any] = field(default_factory=list)
    kwargs: dict[str, Any] = field(default_factory=dict)
    run_after: datetime | None = None
    payload: str | None = None

    @property
    def digest(self) -> str:
        """The idempotency key of the task and this call, as 64 hexadecimal digits. Stored: never to be changed."""
        return hashlib.sha256(f"{self.task}\0{self.key}".encode()).hexdigest()

    def encode(self) -> str:
        """JSON in ASCII: SQS refuses some characters, and counts bytes."""
        return json.dumps(
            {
                "v": VERSION,
                "id": self.id,
                "task": self.task,
                "key": self.key,
                "enqueued_at": self.enqueued_at.isoformat(),
                "run_after": None if self.run_after is None else self.run_after.isoformat(),
                **({"args": self.args, "kwargs": self.kwargs} if self.payload is None else {"payload": self.payload}),
            },
            separators=(",", ":"),
        )


def decode(body: str) -> Message:
    """The message of a body; raises ``MessageRefused`` that says what is wrong with it."""
    try:
        given = json.loads(body)
    except ValueError as error:
        raise MessageRefused(f"The message is no JSON: {error}.") from error
    if not isinstance(given, Mapping) or given.get("v") != VERSION:
        raise MessageRefused(f"The message is not of version {VERSION}: was it sent by SQSBackend, of this release?")
    try:
        return _read(given)
    except (KeyError, TypeError, ValueError) as error:
        raise MessageRefused(f"The message has a field that is missing or wrong: {error!r}.") from error


def _read(given: Mapping[str, Any]) -> Message:
    has_payload = given.get("payload") is not None
    return Message(
        id=str(given["id"]),
        task=str(given["task"]),
        key=str(given["key"]),
        enqueued_at=datetime.fromisoformat(given["enqueued_at"]),
        run_after=None if given["run_after"] is None else datetime.fromisoformat(given["run_after"]),
        args=[] if has_payload else list(given["args"]),
        kwargs={} if has_payload else dict(given["kwargs"]),
        payload=str(given["payload"]) if has_payload else None,
    )

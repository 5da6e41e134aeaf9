"""``TASKS`` from the environment: queues of SQS, or none, and Django then runs tasks at once."""

from __future__ import annotations

from typing import Any

from config import environment


def read_tasks() -> dict[str, Any]:
    """The queues ``default`` and ``SCREENSHOT_QUEUE`` behind ``QUEUE_PREFIX``; empty where that is not set."""
    prefix = environment.text("QUEUE_PREFIX")
    if not prefix:
        return {}
    options = {"QUEUE_PREFIX": prefix, "ENDPOINT": environment.text("QUEUE_ENDPOINT") or None}
    queues = list(dict.fromkeys(["default", environment.text("SCREENSHOT_QUEUE", "default")]))
    return {"default": {"BACKEND": "horizon_shards.queues.SQSBackend", "QUEUES": queues, "OPTIONS": options}}

"""boto3's clients: one a process and service, which threads share."""

from __future__ import annotations

import os
import threading
from typing import Any

from horizon_shards.exceptions import ConfigurationError
from horizon_shards.queues.settings import QueueSettings

_made: dict[tuple[Any, ...], Any] = {}
_lock = threading.Lock()


def client_of(service: str, settings: QueueSettings) -> Any:
    """The client of ``"sqs"`` or ``"s3"``; raises ``ConfigurationError`` where boto3 is not installed.

    Connections of a parent process are not used: they are the parent's.
    """
    key = (os.getpid(), service, settings.region, settings.endpoint, repr(sorted(settings.client.items())))
    with _lock:
        if key not in _made:
            _made[key] = _make(service, settings)
        return _made[key]


def _make(service: str, settings: QueueSettings) -> Any:
    try:
        import boto3
        from botocore.config import Config
    except ImportError as error:
        raise ConfigurationError("The SQS backend needs boto3: pip install 'horizon-shards[aws]'.") from error
    config = Config(retries={"mode": "standard", "total_max_attempts": 4}, connect_timeout=5, tcp_keepalive=True)
    given = {"region_name": settings.region, "endpoint_url": settings.endpoint, "config": config, **settings.client}
    return boto3.session.Session().client(service, **given)


def _forget_after_fork() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)

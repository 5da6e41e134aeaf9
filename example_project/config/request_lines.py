"""A line in the log for each request, and its id and its shards in every other line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog
from django.http import HttpRequest, HttpResponse
from django_structlog.middlewares import RequestMiddleware

from horizon_shards.signals import query_planned, shard_failed

logger = structlog.get_logger(__name__)


class RequestLinesMiddleware(RequestMiddleware):
    """django-structlog's, which tells no query of a URL: it may hold what is nobody's business."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        super().__init__(get_response)
        query_planned.connect(note_shards, dispatch_uid="config.request_lines")
        shard_failed.connect(tell_of_failure, dispatch_uid="config.request_lines")

    @staticmethod
    def format_request(request: HttpRequest) -> str:
        """The method and the path."""
        return f"{request.method} {request.path}"


def note_shards(sender: Any, plan: Any, **kwargs: Any) -> None:
    """From here on the lines of this request name the shards of the plan, too, and count one query more."""
    bound = structlog.contextvars.get_contextvars()
    if "request_id" in bound and plan.shards:
        shards = sorted({*bound.get("shards", ()), *plan.shards})
        structlog.contextvars.bind_contextvars(shards=shards, queries=bound.get("queries", 0) + 1)


def tell_of_failure(sender: Any, shard: str, error: BaseException, **kwargs: Any) -> None:
    """Which of the shards it was; the message of a database may hold values."""
    logger.warning("shard_failed", database=sender, shard=shard, error=type(error).__name__)

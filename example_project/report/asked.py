"""Which shards a request asked: shown at the foot of each page, and sent as a header."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest, HttpResponse

from horizon_shards.signals import query_planned


@dataclass
class Asked:
    """The queries of one request to the logical database: how many were of which mode, and whom they asked."""

    modes: Counter[str] = field(default_factory=Counter)
    by_shard: Counter[str] = field(default_factory=Counter)

    @property
    def shards(self) -> list[str]:
        """The names of the shards that were asked."""
        return sorted(self.by_shard)

    @property
    def single(self) -> int:
        """How many queries one shard answered alone."""
        return self.modes["single"]

    @property
    def scatter(self) -> int:
        """How many queries several shards answered together."""
        return self.modes.total() - self.modes["single"] - self.modes["none"]


_current: ContextVar[Asked | None] = ContextVar("report_asked", default=None)


def listen() -> None:
    """Take notice of every plan from now on."""
    query_planned.connect(_note, dispatch_uid="report.asked")


def _note(sender: Any, plan: Any, **kwargs: Any) -> None:
    if (asked := _current.get()) is not None:
        asked.modes[plan.mode] += 1
        asked.by_shard.update(plan.shards)


class AskedShardsMiddleware:
    """Gives each request an ``asked`` that fills up while it is answered."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        asked = Asked()
        request.asked = asked  # type: ignore[attr-defined]
        token = _current.set(asked)
        try:
            response = self.get_response(request)
        finally:
            _current.reset(token)
        if asked.shards:
            response["X-Shards-Asked"] = ", ".join(asked.shards)
        return response

"""A request sees what earlier requests of the same client wrote, although reads go to replicas."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from horizon_shards import context
from horizon_shards.topology import get_topology

COOKIE: Final = "horizon_shards_wrote"
SALT: Final = "horizon_shards.middleware"

Answer = Callable[[HttpRequest], Any]


@sync_and_async_middleware
def read_your_writes(get_response: Answer) -> Answer:
    """Middleware: who wrote reads from primaries until the replicas have it, also in the requests that follow.

    It sets a signed cookie that lasts for seconds, and only after a write. Within a request it begins anew: what
    other requests of the thread wrote does not count.
    """
    if iscoroutinefunction(get_response):

        async def answer_async(request: HttpRequest) -> HttpResponseBase:
            with context.own_writes(_read(request)):
                response = await _awaited(get_response(request))
                _set_cookie(response)
            return response

        return answer_async

    def answer(request: HttpRequest) -> HttpResponseBase:
        with context.own_writes(_read(request)):
            response: HttpResponseBase = get_response(request)
            _set_cookie(response)
        return response

    return answer


async def _awaited(response: Awaitable[HttpResponseBase]) -> HttpResponseBase:
    return await response


def _read(request: HttpRequest) -> dict[str, float]:
    """Until when (monotonic) the client's own writes count, by logical alias; never longer than a write just now."""
    try:
        stored = json.loads(signing.Signer(salt=SALT).unsign(request.COOKIES[COOKIE]))
    except (KeyError, signing.BadSignature, ValueError):
        return {}
    left = {
        alias: min(until - time.time(), seconds)
        for alias, seconds in _windows().items()
        if (until := stored.get(alias))
    }
    return {alias: time.monotonic() + seconds for alias, seconds in left.items() if seconds > 0}


def _set_cookie(response: Any) -> None:
    """Tell the client's next request, where this one wrote or an earlier one did."""
    windows = _windows()
    left = {
        alias: min(until - time.monotonic(), windows[alias])
        for alias, until in context.writes_seen().items()
        if alias in windows
    }
    left = {alias: seconds for alias, seconds in left.items() if seconds > 0}
    if not left:
        return
    text = json.dumps({alias: time.time() + seconds for alias, seconds in left.items()})
    response.set_cookie(
        COOKIE,
        signing.Signer(salt=SALT).sign(text),
        max_age=math.ceil(max(left.values())),
        secure=bool(settings.SESSION_COOKIE_SECURE),
        httponly=True,
        samesite="Lax",
    )


def _windows() -> Mapping[str, float]:
    groups = get_topology().groups.values()
    return {group.alias: group.config.reads.own_writes_seconds for group in groups if group.has_replicas}

"""Page views as browsers report them: whom they belong to, and who wants not to be counted."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone

from track.agents import describe
from track.models import PageView, Website
from track.storing import store_once
from track.visitors import visitor_hash


@dataclass(frozen=True, slots=True)
class Hit:
    """What a browser reports: a path, the host that linked to it, and an id that a repeated report keeps."""

    path: str
    referrer: str = ""
    event_id: uuid.UUID | None = None


def refuses(request: HttpRequest) -> bool:
    """Whether the visitor asked not to be tracked (``DNT``, ``Sec-GPC``)."""
    return request.headers.get("DNT") == "1" or request.headers.get("Sec-GPC") == "1"


def store(request: HttpRequest, *, site: Website, hit: Hit) -> bool:
    """Store a view on the website's shard; False where the same event is already there."""
    now, user_agent = timezone.now(), request.headers.get("User-Agent", "")[:1_000]
    agent = describe(user_agent)
    view = PageView(
        site=site,
        event_id=hit.event_id or uuid.uuid4(),
        time=now,
        visitor=visitor_hash(site.pk, day=now.date(), address=client_address(request), user_agent=user_agent),
        path=hit.path,
        referrer=hit.referrer,
        browser=agent.browser,
        system=agent.system,
        device=agent.device,
    )
    return bool(store_once([view], site_id=site.pk))


def client_address(request: HttpRequest) -> str:
    """The address that the outermost of ``settings.PROXIES`` own proxies saw; the rest of the header is hearsay."""
    hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",") if hop.strip()]
    if settings.PROXIES and len(hops) >= settings.PROXIES:
        return hops[-settings.PROXIES]
    return str(request.META.get("REMOTE_ADDR", ""))

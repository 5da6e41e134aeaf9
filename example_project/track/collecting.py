"""Page views as browsers report them: whom they belong to, and who wants not to be counted."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone

from horizon_shards.sinks import sink_of
from track.addresses import kept_address
from track.agents import describe
from track.models import PageView, Website
from track.profiles import remember
from track.visitors import visitor_hash


@dataclass(frozen=True, slots=True)
class Hit:
    """What a browser reports: a path, the host that linked to it, and an id that a repeated report keeps."""

    path: str
    referrer: str = ""
    event_id: uuid.UUID | None = None


def refuses(request: HttpRequest, *, has_consented: bool = False) -> bool:
    """Whether the visitor asked not to be tracked (``DNT``, ``Sec-GPC``), or was not asked where that is needed."""
    if request.headers.get("DNT") == "1" or request.headers.get("Sec-GPC") == "1":
        return True
    return settings.CONSENT_REQUIRED and not has_consented


def store(request: HttpRequest, *, site: Website, hit: Hit) -> None:
    """Put a view into the sink of the settings: the website's shard, or the stream of that shard. Then into a profile.

    Raises ``DatabaseError`` or ``SinkError`` where the sink does not take it; the same event again is no error.
    """
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
    sink_of(PageView).put(view)
    remember(view)


def client_address(request: HttpRequest) -> str:
    """The address that the outermost of ``settings.PROXIES`` own proxies saw, as it is kept; the rest is hearsay."""
    hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",") if hop.strip()]
    if settings.PROXIES and len(hops) >= settings.PROXIES:
        return kept_address(hops[-settings.PROXIES])
    return kept_address(str(request.META.get("REMOTE_ADDR", "")))

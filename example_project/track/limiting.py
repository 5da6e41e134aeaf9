"""How many reports one address may send in a minute."""

from __future__ import annotations

import time
from datetime import datetime, timezone

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest

from track.collecting import client_address
from track.visitors import visitor_hash

WINDOW_SECONDS = 60


def is_too_many(request: HttpRequest) -> bool:
    """Count a report; whether it is one too many. No address is kept: the key is a salted hash of the minute,
    and by default all of a network count together (``ANONYMIZE_ADDRESSES``).

    The cache counts, so that a local-memory cache counts for its process alone.
    """
    if not settings.REPORTS_A_MINUTE:
        return False
    now = time.time()
    hashed = visitor_hash(
        int(now // WINDOW_SECONDS),
        day=datetime.now(timezone.utc).date(),
        address=client_address(request),
        user_agent="",
    )
    key = f"reports:{hashed}"
    cache.add(key, 0, timeout=2 * WINDOW_SECONDS)
    try:
        return cache.incr(key) > settings.REPORTS_A_MINUTE
    except ValueError:  # a cache that holds nothing refuses nobody
        return False

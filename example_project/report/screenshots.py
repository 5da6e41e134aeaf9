"""The screenshots of a website, as its dashboard shows them."""

from __future__ import annotations

import logging

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from screenshot.errors import StoreError
from screenshot.shots import Shot
from screenshot.stores import store
from track.models import Website

logger = logging.getLogger(__name__)
DAY_SECONDS = 86_400


def newest(website: Website) -> Shot | None:
    """The newest screenshot; None where there is none, or where the store does not answer, which is logged."""
    try:
        found = store().newest(website.pk, limit=1)
    except StoreError:
        logger.exception("The screenshots of %s could not be listed.", website)
        return None
    return found[0] if found else None


@require_safe
def image(request: HttpRequest, key: str, name: str) -> HttpResponse:
    """The image of this name: through the project, as the bucket is not public."""
    website = get_object_or_404(Website, key=key)
    try:
        found = store().image(website.pk, name)
    except StoreError:
        logger.exception("A screenshot of %s could not be read.", website)
        return HttpResponse(status=503)
    if found is None:
        raise Http404(f"{website} has no screenshot of this name.")
    headers = {"Cache-Control": f"private, max-age={DAY_SECONDS}", "X-Content-Type-Options": "nosniff"}
    return HttpResponse(found, content_type="image/png", headers=headers)

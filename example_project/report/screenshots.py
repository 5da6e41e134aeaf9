"""The screenshots of a website, as its dashboard shows them."""

from __future__ import annotations

import json
import logging
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_POST, require_safe

from screenshot.errors import ConfigError, ScreenshotError, StoreError
from screenshot.ordering import failure, order
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


@require_POST
def ask(request: HttpRequest, key: str) -> HttpResponse:
    """Make a job of a JSON object, the page as ``url`` beside its configuration, for who may change the website."""
    if not request.user.has_perm("track.change_website"):
        raise PermissionDenied("Screenshots are made by those who may change the website.")
    website = get_object_or_404(Website, key=key)
    try:
        url, config = _asked(request.body)
        result = order(website, url, config)
    except ScreenshotError as error:
        return JsonResponse({"error": str(error)}, status=400)
    if why := failure(result):
        return JsonResponse({"error": why}, status=502)
    return JsonResponse({"task": result.id, "done": result.is_finished}, status=202)


def _asked(body: bytes) -> tuple[str | None, dict[str, Any]]:
    try:
        found = json.loads(body)
    except ValueError as error:
        raise ConfigError("The body is no JSON.") from error
    if not isinstance(found, dict) or not isinstance(found.get("url", ""), str):
        raise ConfigError('The body is no JSON object with the text "url" and a configuration.')
    return found.pop("url", None), found


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

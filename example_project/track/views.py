"""The tracker's endpoints: a pixel, a JSON beacon, and the script that sends it."""

from __future__ import annotations

import base64
import json
import logging
from pathlib import Path
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.cache import patch_response_headers
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_safe

from horizon_shards.exceptions import SinkError
from track.collecting import refuses, store
from track.forms import HitForm
from track.limiting import is_too_many
from track.models import Website

logger = logging.getLogger(__name__)

#: A larger report than this many bytes is none of ours.
REPORT_BYTES = 8 * 1024
GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
SCRIPT = (Path(__file__).parent / "track.js").read_text(encoding="utf-8")


@login_not_required
@require_safe
@never_cache
def pixel(request: HttpRequest) -> HttpResponse:
    """A transparent image that counts who loads it: ``/t/p.gif?site=KEY&path=/here``.

    It is an image whatever happens, so that no page shows a broken one; the status tells those who look.
    The path comes from the page that embeds it (``Referer``) where the query names none.
    """
    fields = {name: request.GET.get(name, "") for name in ("site", "path", "referrer", "id", "consent")}
    fields["path"] = fields["path"] or request.headers.get("Referer", "")
    status, problem = _record(request, fields)
    response = HttpResponse(GIF, content_type="image/gif", status=200 if status == 204 else status)
    if problem:
        response["X-Problem"] = problem
    return response


@login_not_required
@csrf_exempt
@require_http_methods(["POST", "OPTIONS"])
def event(request: HttpRequest) -> HttpResponse:
    """The JSON beacon: ``{"site": KEY, "path": "/here", "referrer": URL, "id": UUID}``, the last two at will.

    Answers 204, or the status of an error with ``{"error": ...}``. Any origin may post and read the answer
    (``Access-Control-Allow-Origin: *``), because a website's pages are of another origin than its tracker: keys are
    public, no cookie is read or set, nothing of a visitor is in an answer, and no address of a report is followed or
    redirected to. ``"consent": true`` says that the visitor has consented, where that is required.
    """
    if request.method == "OPTIONS":
        return _cross_origin(HttpResponse(status=204))
    status, problem = _record_json(request)
    response = JsonResponse({"error": problem}, status=status) if problem else HttpResponse(status=status)
    return _cross_origin(response)


@login_not_required
@require_safe
def script(request: HttpRequest) -> HttpResponse:
    """The snippet that pages include: ``<script defer src=".../t/track.js" data-site="KEY"></script>``."""
    response = HttpResponse(SCRIPT, content_type="text/javascript; charset=utf-8")
    patch_response_headers(response, cache_timeout=3_600)
    return response


def _record_json(request: HttpRequest) -> tuple[int, str]:
    # No more than that is ever read, whatever length is announced.
    if len(body := request.read(REPORT_BYTES + 1)) > REPORT_BYTES:
        return 413, f"The report is larger than {REPORT_BYTES} bytes."
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return 400, "The report is not JSON."
    if not isinstance(fields, dict):
        return 400, "The report is not a JSON object."
    return _record(request, fields)


def _record(request: HttpRequest, fields: dict[str, Any]) -> tuple[int, str]:
    """Store what is valid; a status of HTTP and, for an error, what is wrong."""
    form = HitForm(fields)
    if not form.is_valid():
        return 400, form.problem()
    if (site := Website.objects.filter(key=form.cleaned_data["site"]).first()) is None:
        return 404, "site: There is no website with this key."
    if refuses(request, has_consented=form.cleaned_data["consent"]):
        return 204, ""
    if is_too_many(request):
        return 429, "There are too many reports from this address: come back in a minute."
    try:
        store(request, site=site, hit=form.hit())
    except (DatabaseError, SinkError):
        logger.exception("A view of %s was lost: its shard did not take it.", site.domain)
        return 503, "The view could not be stored now."
    return 204, ""


def _cross_origin(response: HttpResponse) -> HttpResponse:
    response["Access-Control-Allow-Origin"] = "*"
    response["Access-Control-Allow-Methods"] = "POST, OPTIONS"
    response["Access-Control-Allow-Headers"] = "Content-Type"
    response["Access-Control-Max-Age"] = "86400"
    return response

"""The pages: all websites, and one website."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from report import dashboard, period, placement, visitors
from report.overview import Overview, read_overview
from report.trends import read_trends
from track.models import Website

logger = logging.getLogger(__name__)
View = Callable[..., HttpResponse]


def tells_of_failures(view: View) -> View:
    """Answer with a page that says which shard failed, instead of a bare error."""

    @functools.wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except DatabaseError as error:
            logger.exception("%s could not be shown.", request.path)
            return render(request, "report/unavailable.html", {"error": error}, status=503)

    return answer


@require_safe
@tells_of_failures
def overview(request: HttpRequest) -> HttpResponse:
    """All websites: scatter-gather over the shards."""
    days = period.chosen_days(request.GET.get("days"))
    found = read_overview(days=days)
    context = {"overview": found, "days": days, "choices": period.CHOICES}
    if found is None:
        return render(request, "report/empty.html", context)
    return render(request, "report/overview.html", context | {"chart": _stacked(found)})


@require_safe
@tells_of_failures
def site(request: HttpRequest, key: str) -> HttpResponse:
    """One website: one shard is asked."""
    website = get_object_or_404(Website, key=key)
    days = period.chosen_days(request.GET.get("days"))
    shown = dashboard.known_period(website, days=days)
    context: dict[str, Any] = {
        "site": website,
        "shard": placement.shards_of([website.pk]).get(website.pk, ""),
        "shards": placement.shard_names(),
        "days": days,
        "choices": period.CHOICES,
        "period": shown,
        "visitors": visitors.latest(website),
    }
    if shown is not None:
        context |= {
            "totals": dashboard.totals(website, period=shown),
            "chart": dashboard.timeline(website, period=shown),
            "rankings": dashboard.rankings(website, period=shown),
            "rhythm": dashboard.rhythm(website, period=shown),
        }
    return render(request, "report/site.html", context)


@require_safe
@tells_of_failures
def trends(request: HttpRequest) -> HttpResponse:
    """Across all websites: the warehouse is asked, and no shard."""
    days = period.chosen_days(request.GET.get("days"))
    found = read_trends(days=days)
    if found is None:
        return render(request, "report/empty.html", {"loads": True})
    return render(request, "report/trends.html", {"trends": found, "days": days, "choices": period.CHOICES})


def _stacked(found: Overview) -> dict[str, Any]:
    labels = [found.period.label(step) for step in found.period.steps()]
    return {"labels": labels, "shards": found.views_by_shard()}

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

from report import dashboard, period, placement, screenshots, visitors
from report.facts import CHOICES, WAREHOUSE, Facts, chosen_facts
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
    """All websites: scatter-gather over the shards, or the warehouse alone."""
    days, facts = _chosen(request)
    found = read_overview(days=days, facts=facts)
    context = {"overview": found, **_choices(days, facts)}
    if found is None:
        return render(request, "report/empty.html", context | {"loads": facts is WAREHOUSE})
    return render(request, "report/overview.html", context | {"chart": _stacked(found)})


@require_safe
@tells_of_failures
def site(request: HttpRequest, key: str) -> HttpResponse:
    """One website: one shard is asked, or the warehouse alone."""
    website = get_object_or_404(Website, key=key)
    days, facts = _chosen(request)
    shown = dashboard.known_period(website, days=days, facts=facts)
    context: dict[str, Any] = {
        "site": website,
        "shard": placement.shards_of([website.pk]).get(website.pk, "") if facts is not WAREHOUSE else "",
        "period": shown,
        "visitors": visitors.latest(website, facts=facts),
        "screenshot": screenshots.newest(website),
        **_choices(days, facts),
    }
    if shown is not None:
        context |= {
            "totals": dashboard.totals(website, period=shown, facts=facts),
            "chart": dashboard.timeline(website, period=shown, facts=facts),
            "rankings": dashboard.rankings(website, period=shown, facts=facts),
            "rhythm": dashboard.rhythm(website, period=shown, facts=facts),
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


def _chosen(request: HttpRequest) -> tuple[int, Facts]:
    return period.chosen_days(request.GET.get("days")), chosen_facts(request.GET.get("from"))


def _choices(days: int, facts: Facts) -> dict[str, Any]:
    return {"days": days, "choices": period.CHOICES, "facts": facts.name, "sources": list(CHOICES)}


def _stacked(found: Overview) -> dict[str, Any]:
    labels = [found.period.label(step) for step in found.period.steps()]
    return {"labels": labels, "shards": found.views_by_shard()}

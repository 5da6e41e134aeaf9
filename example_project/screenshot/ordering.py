"""Making a job and enqueueing it, for the command and for the web."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings

from config.screenshots import Screenshots
from screenshot.boundary import Boundary
from screenshot.errors import OutOfBounds, ScreenshotError
from screenshot.jobs import Job
from track.models import Website

if TYPE_CHECKING:
    from horizon_shards.queues import TaskResult


def boundary_of(website: Website) -> Boundary:
    """What belongs to a website, with the settings of the project."""
    found: Screenshots = settings.SCREENSHOTS
    return Boundary.of(website.domain, allows_private=found.private_addresses)


def order(website: Website, url: str | None, config: object) -> TaskResult[..., Any]:
    """Enqueue a job for a page of a website, by default its front page by https; the result of ``enqueue()``.

    Raises ``ScreenshotError`` for a URL or a configuration that is not right: here, not at the end of a queue.
    """
    try:
        page = boundary_of(website).page(url or f"https://{website.domain}/")
    except OutOfBounds as error:
        raise ScreenshotError(str(error)) from error
    message = Job.now(website.pk, page, config).message(keys=settings.SCREENSHOTS.keys)
    # Django 5.2 has no tasks: without their backport the dashboards still work.
    from screenshot.tasks import take_screenshots

    return take_screenshots.using(queue_name=settings.SCREENSHOTS.queue).enqueue(message)


def failure(result: TaskResult[..., Any]) -> str:
    """Why a task that was done at once has failed, in a line; empty for one that has not, or that waits."""
    if not result.errors:
        return ""
    kind, _, why = result.errors[0].traceback.strip().splitlines()[-1].partition(": ")
    return why or kind

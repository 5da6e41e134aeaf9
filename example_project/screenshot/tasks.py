"""The work of the screenshot workers: at once on a laptop, by workers of a queue in production."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from horizon_shards.queues import task, task_options
from screenshot.crawling import take
from screenshot.jobs import Job
from screenshot.ordering import boundary_of
from screenshot.stores import store
from track.models import Website


@task
@task_options(timeout_seconds=1_200)
def take_screenshots(message: dict[str, Any]) -> dict[str, Any]:
    """Take the screenshots of a job; what was stored, and why which pages were not.

    A try that is repeated replaces its screenshots: their names are made of the job's time. A website that is gone has
    no pages.
    """
    website = Website.objects.filter(pk=message["site"]).first()
    if website is None:
        return {"names": [], "errors": {}}
    found = settings.SCREENSHOTS
    job = Job.of_message(message, keys=found.keys)
    report = take(job, boundary=boundary_of(website), store=store(), found=found)
    return {"names": [shot.name for shot in report.shots], "errors": report.errors}

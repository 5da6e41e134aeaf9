"""The work of the aggregate workers: at once on a laptop, by workers of a queue in production."""

from __future__ import annotations

from datetime import date

from aggregate.counting import count_site
from horizon_shards.queues import task, task_options
from track.models import Website


@task
@task_options(timeout_seconds=600)
def count_website(site_id: int, since: str | None = None) -> None:
    """Count a website anew, from the day ``since`` (YYYY-MM-DD) on; one that is gone has nothing to count.

    It has no key: counting twice gives the same counts, and there may be new views each time.
    """
    website = Website.objects.filter(pk=site_id).first()
    if website is not None:
        count_site(website, since=date.fromisoformat(since) if since else None)

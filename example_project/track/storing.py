"""Storing page views, each event once."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import IntegrityError, transaction

from track.models import PageView

#: How often somebody else may be quicker before the error is raised.
TRIES = 5


def store_once(views: Sequence[PageView], *, site_id: int) -> int:
    """Store those views of one website whose events are new; how many these were. One shard is asked and written to.

    Raises ``IntegrityError`` where that fails again and again. It is not ``ignore_conflicts`` that keeps
    doubles out: MySQL and MariaDB would then leave out rows that they refuse for any other reason, silently.
    """
    for tries_left in reversed(range(TRIES)):
        fresh = _new_ones(views, site_id=site_id)
        try:
            with transaction.atomic(using="track"):
                PageView.objects.bulk_create(fresh, batch_size=1_000)
        except IntegrityError:
            # Another import of the same log may have stored some of them a moment ago.
            if not tries_left:
                raise
        else:
            break
    return len(fresh)


def _new_ones(views: Sequence[PageView], *, site_id: int) -> list[PageView]:
    ids = [view.event_id for view in views]
    known = set(PageView.objects.filter(site=site_id, event_id__in=ids).values_list("event_id", flat=True))
    return [view for view in views if view.event_id not in known]

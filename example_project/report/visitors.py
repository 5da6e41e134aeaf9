"""Who was on a website lately: the profiles, wherever they are."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from report.facts import SHARDS, WAREHOUSE, Facts
from track.models import Website
from track.profiles import Profile, ProfileError, profiles

logger = logging.getLogger(__name__)

#: How many are shown.
LIMIT = 12


def latest(site: Website, *, facts: Facts = SHARDS) -> Sequence[Profile] | None:
    """The visitors that were seen last; None where they cannot be read, which breaks no page.

    A page that reads the warehouse asks no shard: it has none, unless profiles are elsewhere.
    """
    if facts is WAREHOUSE and profiles().asks_shards:
        return []
    try:
        return profiles().latest(site.pk, limit=LIMIT)
    except ProfileError:
        logger.exception("The visitors of %s could not be read.", site)
        return None

"""Who was on a website lately: the profiles, wherever they are."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from track.models import Website
from track.profiles import Profile, ProfileError, profiles

logger = logging.getLogger(__name__)

#: How many are shown.
LIMIT = 12


def latest(site: Website) -> Sequence[Profile] | None:
    """The visitors that were seen last; None where they cannot be read, which breaks no page."""
    try:
        return profiles().latest(site.pk, limit=LIMIT)
    except ProfileError:
        logger.exception("The visitors of %s could not be read.", site)
        return None

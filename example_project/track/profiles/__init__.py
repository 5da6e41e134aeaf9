"""Profiles of visitors: first and last seen, views, browser; in the database or in DynamoDB, as the settings say."""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from track.models import Device, PageView
from track.profiles.base import Profile, ProfileError, Profiles

__all__ = ["Profile", "ProfileError", "Profiles", "profiles", "remember"]
logger = logging.getLogger(__name__)


@cache
def profiles() -> Profiles:
    """The profiles that ``settings.VISITOR_PROFILES`` names."""
    entry = settings.VISITOR_PROFILES
    found: Profiles = import_string(entry["BACKEND"])(days=entry["DAYS"], options=entry["OPTIONS"])
    return found


def remember(view: PageView) -> None:
    """Count a view that was stored in the profile of its visitor, once; a bot has none.

    That it fails is told in the log alone: the view itself is not lost.
    """
    if view.device == Device.BOT or not profiles().days:
        return
    try:
        profiles().see(view)
    except ProfileError:
        logger.exception("The profile of a visitor of %s was not updated.", view.site)


def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting == "VISITOR_PROFILES":
        profiles.cache_clear()


setting_changed.connect(_forget, dispatch_uid="track.profiles")

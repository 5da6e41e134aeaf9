"""Checks of the entries of ``CACHES`` that are of this package."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings
from django.core.cache import caches
from django.core.checks import CheckMessage

from horizon_shards.cache import DoubleCache
from horizon_shards.checks.catalogue import problem
from horizon_shards.exceptions import ConfigurationError

OWN = "horizon_shards.cache."


def check_caches(**kwargs: object) -> list[CheckMessage]:
    """Everything that the settings alone can tell to be wrong with the caches; none of them is asked anything."""
    own = [alias for alias, entry in settings.CACHES.items() if str(entry.get("BACKEND", "")).startswith(OWN)]
    return [message for alias in own for message in _entry(alias)]


def _entry(alias: str) -> Iterator[CheckMessage]:
    try:
        cache = caches[alias]
    except ConfigurationError as error:
        yield problem("E114", f"CACHES[{alias!r}]: {error}", hint="docs/cache.md lists the options.")
        return
    for name in cache.aliases if isinstance(cache, DoubleCache) else ():
        if name == alias or name not in settings.CACHES:
            yield problem(
                "E114",
                f"CACHES[{alias!r}]['LOCATION'] names {name!r}, which is not another entry of CACHES.",
                hint=f"Known are {', '.join(settings.CACHES)}.",
            )

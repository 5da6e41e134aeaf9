"""Websites as command lines name them."""

from __future__ import annotations

from django.core.management.base import CommandError

from track.models import Website


def website_named(name: str) -> Website:
    """The website with this key, else with this domain; raises ``CommandError`` that lists some."""
    for field in ("key", "domain"):
        if found := Website.objects.filter(**{field: name}).first():
            return found
    known = ", ".join(Website.objects.values_list("domain", flat=True)[:10]) or "none yet"
    raise CommandError(f"No website has the key or domain {name!r}; there are: {known}. Add it in the admin.")

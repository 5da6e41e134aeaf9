"""Visitors of a dozen sites."""

from __future__ import annotations

from tests.shop.models import Visitor

SITES = range(1, 13)


def make_visitors() -> None:
    """One visitor for each of a dozen sites: some on every shard."""
    Visitor.objects.bulk_create([Visitor(site_id=site, name=f"of {site}") for site in SITES])

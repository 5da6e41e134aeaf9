"""Rows for the tests of the backend."""

from __future__ import annotations

from horizon_shards.context import using_shard
from tests.shop.models import Country, Site, Visit, Visitor


def make_sites(count: int = 12) -> list[Site]:
    """Sites enough that their keys are on every shard, whatever the placement of the run is (nearly always)."""
    return [Site.objects.create(name=f"site {n}") for n in range(count)]


def make_visits(sites: list[Site], *, each: int = 5) -> list[Visit]:
    """A visitor a site, and visits ``/0`` to ``/n`` of it."""
    country = Country.objects.create(code="de", name="Germany")
    visits = []
    for site in sites:
        visitor = Visitor.objects.create(site=site, name=f"visitor {site.pk}")
        visits += [
            Visit(site=site, visitor=visitor, country=country, path=f"/{n}", ms=n, price=n, ratio=n / 4)
            for n in range(each)
        ]
    return list(Visit.objects.bulk_create(visits))


def rows_of_shard(model: type, shard: str) -> set[object]:
    """The primary keys of the rows that one shard of ``track`` holds, whatever their keys say."""
    with using_shard(shard, database="track"):
        return set(model._base_manager.using("track").values_list("pk", flat=True))

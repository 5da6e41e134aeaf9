"""Rows for the tests of the backend."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

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


VALUES = [3, 7, 7, None, 1, 4, 3, 8, 0, -5, 11, 2]


def make_spread(sites: list[Site]) -> list[Visit]:
    """A visit of each site, on all shards, with ``VALUES`` in several columns."""
    visitors = [Visitor.objects.create(site=site, name=f"v{number % 5}") for number, site in enumerate(sites)]
    return list(
        Visit.objects.bulk_create(
            Visit(
                site=visitor.site,
                visitor=visitor,
                path=f"/{number % 3}",
                ms=value,
                price=None if value is None else Decimal(value) / 4,
                ratio=None if value is None else value / 2,
                bot=number % 2 == 0,
                took=None if value is None else timedelta(seconds=value),
                at=datetime(2024, 1, 1 + number, tzinfo=timezone.utc),
            )
            for number, (visitor, value) in enumerate(zip(visitors, VALUES, strict=True))
        )
    )


def known(*, bot: bool | None = None) -> list[int]:
    """The values that are not NULL."""
    numbers = enumerate(VALUES)
    return [value for n, value in numbers if value is not None and (bot is None or bot == (n % 2 == 0))]


#: What a row of its own has, by column or part of one.
COLUMNS: dict[str, Any] = {
    "ms": 7,
    "price": Decimal("3.50"),
    "ratio": 0.25,
    "bot": True,
    "at": datetime(2026, 1, 2, 3, 4, 5, 600, tzinfo=timezone.utc),
    "at__date": date(2026, 1, 2),
    "took": timedelta(seconds=3.5),
    "path": "/a",
}
JSON = {"extra": {"a": [1, 2]}, "extra__a": [1, 2]}

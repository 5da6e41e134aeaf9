"""Fixtures of the backend's tests."""

from __future__ import annotations

from typing import Any

import pytest

from horizon_shards.topology import get_group
from tests.sharded.rows import COLUMNS, JSON, make_sites, make_spread, make_visits
from tests.shop.models import Site, Visit


@pytest.fixture
def sites(db: None) -> list[Site]:
    """Twelve sites."""
    return make_sites()


@pytest.fixture
def visits(sites: list[Site]) -> list[Visit]:
    """Five visits of one visitor for each of the twelve sites."""
    return make_visits(sites)


@pytest.fixture
def spread(sites: list[Site]) -> list[Visit]:
    """A visit of each of the twelve sites, with the values of ``rows.VALUES`` in several columns."""
    return make_spread(sites)


@pytest.fixture
def one(spread: list[Visit]) -> Any:
    """A row whose values are asked for, and rows of another shard."""
    first = spread[0]
    columns = {name: value for name, value in (COLUMNS | JSON).items() if "__" not in name}
    Visit.objects.filter(pk=first.pk).update(**columns)
    resolve = get_group("track").mapping.resolve
    other = next(visit for visit in spread if resolve(visit.site_id) != resolve(first.site_id))
    return Visit.objects.filter(pk=first.pk, site=first.site_id), Visit.objects.filter(pk=other.pk, site=other.site_id)

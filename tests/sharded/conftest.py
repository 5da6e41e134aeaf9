"""Fixtures of the backend's tests."""

from __future__ import annotations

import pytest

from tests.sharded.rows import make_sites, make_spread, make_visits
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

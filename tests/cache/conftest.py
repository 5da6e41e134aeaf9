"""Two memcached clusters of a node each, and a double cache over them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import caches

from horizon_shards.cache import DoubleCache
from tests.servers.memcached import PROGRAM, Memcached


class WithoutMemcached(pytest.Module):
    """A module of these tests where memcached is missing."""

    def collect(self) -> Any:
        pytest.skip("needs the program memcached", allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: Any) -> pytest.Module | None:
    return WithoutMemcached.from_parent(parent, path=module_path) if PROGRAM is None else None


def cache_settings(a: str, b: str, *, cooldown: float = 0.3, settle: float = 0.5) -> dict[str, Any]:
    memcached = "horizon_shards.cache.MemcachedCache"
    patience = {"timeout": 2.0, "connect_timeout": 2.0}  # of a machine that does other things too
    return {
        "a": {"BACKEND": memcached, "LOCATION": a, "OPTIONS": patience},
        "b": {"BACKEND": memcached, "LOCATION": b, "OPTIONS": patience},
        "default": {
            "BACKEND": "horizon_shards.cache.DoubleCache",
            "LOCATION": "a,b",
            "OPTIONS": {"COOLDOWN_SECONDS": cooldown, "SETTLE_SECONDS": settle},
        },
    }


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[list[Memcached]]:
    """Two processes."""
    made = [Memcached(tmp_path), Memcached(tmp_path)]
    try:
        for node in made:
            node.start()
        yield made
    finally:
        for node in made:
            node.kill()


@pytest.fixture
def cache(nodes: list[Memcached], settings: Any) -> Iterator[DoubleCache]:
    """The double cache."""
    settings.CACHES = cache_settings(nodes[0].address, nodes[1].address)
    cache = caches["default"]
    assert isinstance(cache, DoubleCache)
    yield cache
    for alias in cache.aliases:
        caches[alias].close()

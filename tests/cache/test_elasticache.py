"""ElastiCache: nodes from a configuration endpoint, and no caller waits for it twice."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import caches

from horizon_shards.cache.discovery import parse, read_endpoint
from horizon_shards.exceptions import ConfigurationError
from tests.servers.memcached import Configuration, Memcached
from tests.waiting import wait_until


@pytest.fixture
def endpoint(nodes: list[Memcached]) -> Iterator[Configuration]:
    """The configuration endpoint of a cluster of two."""
    endpoint = Configuration([node.address for node in nodes])
    yield endpoint
    endpoint.close()


def use(settings: Any, location: str, **options: Any) -> Any:
    """A cache of that endpoint."""
    options = {
        "DISCOVERY_INTERVAL_SECONDS": 0.05,
        "DISCOVERY_TIMEOUT_SECONDS": 5,
        "timeout": 5,
        "connect_timeout": 5,
        **options,
    }
    settings.CACHES = {
        "default": {"BACKEND": "horizon_shards.cache.ElastiCache", "LOCATION": location, "OPTIONS": options}
    }
    return caches["default"]


def test_keys_are_spread_over_the_nodes_that_the_endpoint_names(
    settings: Any, endpoint: Configuration, nodes: list[Memcached]
) -> None:
    cache = use(settings, f"localhost:{endpoint.port}")
    cache.set_many({str(n): n for n in range(100)})
    assert cache.get_many(map(str, range(100))) == {str(n): n for n in range(100)}
    assert {client.server[1] for client in cache._cache.clients.values()} == {node.port for node in nodes}
    cache.close()


@pytest.mark.parametrize("mode", ["empty", "error", "drop", "hang"])
def test_an_endpoint_that_fails_changes_nothing_and_holds_up_nobody(
    settings: Any, endpoint: Configuration, mode: str
) -> None:
    cache = use(settings, f"127.0.0.1:{endpoint.port}")
    cache.set_many({str(n): n for n in range(100)})
    endpoint.mode = mode
    asked = endpoint.asked
    wait_until(lambda: endpoint.asked > asked + (0 if mode == "hang" else 1))
    began = time.monotonic()
    assert cache.get_many(map(str, range(100))) == {str(n): n for n in range(100)}
    assert all(cache.get(str(n)) == n for n in range(100))
    assert time.monotonic() - began < 15
    cache.close()


def test_a_node_that_joins_is_used(settings: Any, endpoint: Configuration, nodes: list[Memcached]) -> None:
    endpoint.nodes = [nodes[0].address]
    cache = use(settings, f"127.0.0.1:{endpoint.port}")
    cache.set("k", 1)
    assert len(cache._cache.clients) == 1
    endpoint.nodes = [node.address for node in nodes]
    wait_until(lambda: len(cache._cache.clients) == 2)
    cache.set_many({str(n): n for n in range(50)})
    assert len(cache.get_many(map(str, range(50)))) == 50
    cache.close()


def test_an_endpoint_that_never_answered_is_an_error_that_names_it(settings: Any, endpoint: Configuration) -> None:
    endpoint.mode = "error"
    cache = use(settings, f"127.0.0.1:{endpoint.port}")
    with pytest.raises(OSError, match="has not named any node yet"):
        cache.get("k")
    endpoint.mode = "ok"
    wait_until(lambda: cache._discovery.nodes)
    assert cache.get("k", "default") == "default"
    cache.close()


def test_a_node_that_is_away_keeps_its_keys(settings: Any, endpoint: Configuration, nodes: list[Memcached]) -> None:
    """Given to the other node meanwhile, they would have their old values when the first is back."""
    cache = use(settings, f"127.0.0.1:{endpoint.port}", timeout=0.5)
    cache.set_many({str(n): "old" for n in range(20)})
    its_own = [str(n) for n in range(20) if cache._cache._get_client(cache.make_key(str(n))).server[1] == nodes[0].port]
    nodes[0].freeze()
    failed = []
    for number in range(20):
        try:
            cache.set(str(number), "new")
        except OSError:
            failed.append(str(number))
    nodes[0].thaw()
    assert failed == its_own
    assert all(cache.get(str(n)) == "new" for n in range(20) if str(n) not in failed)
    cache.close()


@pytest.mark.parametrize(
    ("location", "found"),
    [
        ("cache:11300", ("cache", 11300)),
        ("cache", ("cache", 11211)),
        ("a.cfg.amazonaws.com:1", ("a.cfg.amazonaws.com", 1)),
    ],
)
def test_names_need_no_dot(location: str, found: tuple[str, int]) -> None:
    assert read_endpoint(location) == found


def test_a_location_that_cannot_be_read_is_named() -> None:
    with pytest.raises(ConfigurationError, match="'host:port'"):
        read_endpoint("host:port:")


def test_names_are_used_where_there_is_no_address_or_none_is_wanted() -> None:
    answer = "CONFIG cluster 0 9\r\n2\nb.x||1 a.x|10.0.0.1|2\n\r\nEND\r\n"
    assert parse(answer, by_address=True) == (("10.0.0.1", 2), ("b.x", 1))
    assert parse(answer, by_address=False) == (("a.x", 2), ("b.x", 1))
    with pytest.raises(OSError, match="broken"):
        parse("CONFIG cluster 0 9\r\n2\na|b\n\r\nEND\r\n", by_address=True)

"""DoubleCache: the whole API over two clusters, and no failure of one of them is the caller's."""

from __future__ import annotations

import asyncio
import threading
from pickle import PicklingError
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.cache import caches
from django.core.cache.backends.base import InvalidCacheKey

from horizon_shards.cache import DoubleCache
from horizon_shards.checks.caches import check_caches
from horizon_shards.exceptions import ConfigurationError
from horizon_shards.signals import cache_failed, cache_healed
from tests.cache.conftest import cache_settings
from tests.listening import heard
from tests.servers.memcached import Memcached
from tests.waiting import wait_until


def heal(cache: DoubleCache) -> None:
    """Read until both sides are trusted again."""
    wait_until(lambda: all(side.is_asked and cache.pair.is_clean(side) for side in cache.pair.sides))


def test_a_value_is_on_both_and_none_is_one(cache: DoubleCache) -> None:
    cache.set("k", 1)
    cache.set("none", None)
    assert [caches[alias].get("k") for alias in "ab"] == [1, 1]
    assert cache.get("none", "default") is None
    assert cache.get("missing", "default") == "default"


def test_a_value_that_one_side_has_is_found(cache: DoubleCache) -> None:
    caches["b"].set("k", 1)
    assert cache.get("k") == 1
    assert cache.get_many(["k", "l"]) == {"k": 1}
    assert cache.has_key("k")
    assert "k" in cache


def test_many_touch_delete_and_versions(cache: DoubleCache) -> None:
    assert cache.set_many({"a": 1, "b": 2}) == []
    assert cache.get_many(["a", "b", "c"]) == {"a": 1, "b": 2}
    assert (cache.touch("a", 100), cache.touch("c", 100)) == (True, False)
    assert (cache.delete("a"), cache.delete("a")) == (True, False)
    cache.delete_many(["b"])
    cache.set("v", 1, version=2)
    assert (cache.get("v"), cache.get("v", version=2)) == (None, 1)
    assert cache.incr_version("v", version=2) == 3
    assert cache.get("v", version=3) == 1
    cache.clear()
    assert [caches[alias].get("v", version=3) for alias in "ab"] == [None, None]


def test_counters(cache: DoubleCache) -> None:
    cache.set("n", 5)
    assert (cache.incr("n"), cache.incr("n", 4), cache.decr("n", 3)) == (6, 10, 7)
    assert [caches[alias].get("n") for alias in "ab"] == [7, 7]
    caches["a"].delete("n")
    assert cache.incr("n") == 8
    with pytest.raises(ValueError, match="not found"):
        cache.incr("missing")


def test_add_and_get_or_set(cache: DoubleCache) -> None:
    assert (cache.add("k", 1), cache.add("k", 2), cache.get("k")) == (True, False, 1)
    caches["b"].set("held", 1)
    assert cache.add("held", 2) is False
    assert cache.get_or_set("g", lambda: 3) == 3
    assert cache.get_or_set("g", 4) == 3


def test_one_of_many_threads_adds(cache: DoubleCache) -> None:
    won: list[bool] = []

    def add() -> None:
        won.append(caches["default"].add("lock", 1))
        caches.close_all()

    threads = [threading.Thread(target=add) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won)[-2:] == [False, True]


def test_the_api_for_async_code(cache: DoubleCache) -> None:
    async def use() -> None:
        await cache.aset("k", 1)
        assert await cache.aincr("k") == 2
        assert await cache.aget_many(["k"]) == {"k": 2}
        assert await cache.aadd("k", 1) is False
        assert await cache.aget_or_set("l", 5) == 5
        await cache.adelete_many(["k"])
        assert await cache.ahas_key("k") is False
        await cache.aclear()
        await sync_to_async(caches.close_all)()

    asyncio.run(use())


def test_errors_of_the_caller_are_raised_and_fail_no_side(cache: DoubleCache) -> None:
    with pytest.raises(InvalidCacheKey):
        cache.set("with space", 1)
    with pytest.raises((AttributeError, PicklingError), match=r"local object|pickle"):
        cache.set("k", lambda: 1)
    cache.set("k", 1)
    assert all(side.is_asked and not side.was_dirty for side in cache.pair.sides)


def test_a_value_that_is_too_large_leaves_no_old_one(cache: DoubleCache) -> None:
    cache.set_many({"k": 1, "l": 1})
    cache.set("k", "x" * 2_000_000)
    assert cache.get("k") is None
    assert cache.set_many({"l": "x" * 2_000_000, "m": 2}) == ["l"]
    assert cache.get_many(["l", "m"]) == {"m": 2}
    assert all(side.is_asked for side in cache.pair.sides)


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("fault", ["kill", "freeze"])
def test_a_side_that_fails_is_invisible_but_for_a_signal(
    cache: DoubleCache, nodes: list[Memcached], which: int, fault: str
) -> None:
    told: list[str] = []

    def listen(alias: str, **kwargs: object) -> None:
        told.append(alias)

    cache_failed.connect(listen)
    cache.set_many({str(n): n for n in range(50)})
    getattr(nodes[which], fault)()
    assert [cache.get(str(n)) for n in range(50)] == list(range(50))
    cache.set("new", 1)
    assert (cache.get("new"), cache.incr("new"), cache.delete("0"), cache.get("0")) == (1, 2, True, None)
    assert set(told) == {"ab"[which]}


@pytest.mark.parametrize("which", [0, 1])
def test_a_frozen_side_costs_one_time_out_and_is_not_asked_again(
    nodes: list[Memcached], settings: Any, which: int
) -> None:
    """Each call that waits for it in vain is told: there is one, however many calls come in the cooldown."""
    settings.CACHES = cache_settings(nodes[0].address, nodes[1].address, cooldown=3_600)
    cache = caches["default"]
    cache.set("k", 0)
    with heard(cache_failed, "alias") as told:
        nodes[which].freeze()
        for number in range(30):
            cache.set("k", number)
            assert cache.get("k") == number
    assert told == ["ab"[which]]
    for alias in ("a", "b"):
        caches[alias].close()


def test_a_cluster_that_comes_back_is_emptied_before_it_is_read(cache: DoubleCache, nodes: list[Memcached]) -> None:
    healed: list[str] = []

    def listen(alias: str, **kwargs: object) -> None:
        healed.append(alias)

    cache_healed.connect(listen)
    cache.set("k", "old")
    nodes[0].freeze()
    cache.set("k", "waits on the socket")
    cache.set("k", "new")
    nodes[0].thaw()
    wait_until(lambda: cache.get("k") == "new" and healed == ["a"])
    assert caches["a"].get("k") is None
    assert cache.get("k") == "new"
    cache.set("k", "newer")
    assert caches["a"].get("k") == "newer"


def test_a_cluster_that_has_just_come_back_is_not_trusted_yet(nodes: list[Memcached], settings: Any) -> None:
    """What waited on its sockets may still come through."""
    settings.CACHES = cache_settings(nodes[0].address, nodes[1].address, settle=3600)
    cache: Any = caches["default"]
    nodes[0].freeze()
    cache.set("k", "new")
    nodes[0].thaw()
    side = cache.pair.sides[0]
    wait_until(lambda: side.is_asked and not cache.pair.is_clean(side) and side.answers_since is not None)
    caches["a"].set("k", "late")
    assert not any(cache.pair.is_clean(side) for _ in range(5))
    assert cache.get("k") == "new"
    caches.close_all()


def test_writes_that_nobody_could_be_told_of_are_remembered(cache: DoubleCache, nodes: list[Memcached]) -> None:
    cache.set("k", "old")
    for node in nodes:
        node.freeze()
    cache.set("k", "lost")
    assert cache.get("k", "default") == "default"
    for node in nodes:
        node.thaw()
    heal(cache)
    assert cache.get("k") != "old"


def test_with_both_down_there_is_the_default_and_no_error(cache: DoubleCache, nodes: list[Memcached]) -> None:
    for node in nodes:
        node.kill()
    cache.set("k", 1)
    assert cache.get("k", "default") == "default"
    assert cache.set_many({"k": 1}) == ["k"]
    assert (cache.add("k", 1), cache.delete("k"), cache.get_many(["k"])) == (False, False, {})
    assert cache.get_or_set("k", 7) == 7
    with pytest.raises(ValueError, match="not found"):
        cache.incr("k")
    cache.clear()


def test_what_is_known_of_missed_writes_outlives_clear(cache: DoubleCache, nodes: list[Memcached]) -> None:
    cache.set("k", "old")
    nodes[0].freeze()
    cache.set("k", "new")
    cache.clear()
    cache.pair.sides[0].was_dirty = False  # another process
    nodes[0].thaw()
    wait_until(lambda: cache.pair.sides[0].is_asked)
    assert cache.get("k") is None


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"LOCATION": "a"}, "must name two aliases"),
        ({"LOCATION": "a,a"}, "must name two aliases"),
        ({"LOCATION": "a,b", "OPTIONS": {"COOLDOWN": 1}}, "did you mean 'COOLDOWN_SECONDS'"),
        ({"LOCATION": "a,b", "KEY_PREFIX": "x"}, "has no KEY_PREFIX"),
    ],
)
def test_an_entry_that_cannot_work_is_named(entry: dict[str, Any], message: str) -> None:
    params = dict(entry)
    with pytest.raises(ConfigurationError, match=message):
        DoubleCache(params.pop("LOCATION"), params)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"LOCATION": "a"}, "CACHES['default']: LOCATION of a DoubleCache must name two aliases"),
        ({"LOCATION": "a,c"}, "names 'c', which is not another entry"),
        ({"LOCATION": "a,default"}, "names 'default', which is not another entry"),
        ({"LOCATION": "a,b"}, ""),
    ],
)
def test_a_check_tells_what_cannot_work(settings: Any, entry: dict[str, Any], message: str) -> None:
    plain = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    settings.CACHES = {"a": plain, "b": plain, "default": {"BACKEND": "horizon_shards.cache.DoubleCache", **entry}}
    found = check_caches()
    assert [message in found[0].msg if found else message == ""] == [True]
    assert [problem.id for problem in found] == ["horizon_shards.E114"] * len(found)

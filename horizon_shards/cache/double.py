"""Two caches as one: written to both, read from one, and no failure of either is the caller's."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.core.signals import setting_changed

from horizon_shards.cache.pair import Pair
from horizon_shards.cache.side import Missed, Side, is_too_large
from horizon_shards.conf import require_known
from horizon_shards.exceptions import ConfigurationError

KEYS = {"COOLDOWN_SECONDS", "SETTLE_SECONDS"}
NOTHING = object()

_pairs: dict[tuple[Any, ...], Pair] = {}
_lock = threading.Lock()


class DoubleCache(BaseCache):
    """``LOCATION``: two aliases of ``CACHES``. The first is read, the second where that has nothing.

    A side that does not answer is left alone for ``COOLDOWN_SECONDS``; one that missed a write is not read by any
    process until it has been emptied. Keys, versions and timeouts are those of the two caches.
    """

    def __init__(self, location: Any, params: Mapping[str, Any]) -> None:
        super().__init__(dict(params))
        names = location.split(",") if isinstance(location, str) else list(location or ())
        aliases = tuple(str(name).strip() for name in names)
        if len(aliases) != 2 or aliases[0] == aliases[1]:
            raise ConfigurationError(f"LOCATION of a DoubleCache must name two aliases of CACHES, not {location!r}.")
        for name in ("KEY_PREFIX", "KEY_FUNCTION", "VERSION", "TIMEOUT"):
            if params.get(name) is not None:
                raise ConfigurationError(f"A DoubleCache has no {name}: set it on {aliases[0]!r} and {aliases[1]!r}.")
        options = dict(params.get("OPTIONS") or {})
        require_known(options, KEYS, "OPTIONS of a DoubleCache")
        self.aliases = aliases
        self.pair = _pair_of(aliases, options)

    # -- reading

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        """The value, from the first side that has it; None that was stored is a value."""
        for side in self.pair.sides:
            with suppress(Missed):
                found = self.pair.ask(side, "get", key, NOTHING, version=version)
                if found is not NOTHING:
                    return found
        return default

    def get_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        """The values that either side has."""
        wanted, found = list(keys), {}
        for side in self.pair.sides:
            missing = [key for key in wanted if key not in found]
            if missing:
                with suppress(Missed):
                    found.update(self.pair.ask(side, "get_many", missing, version=version))
        return found

    def has_key(self, key: Any, version: int | None = None) -> bool:
        """Whether either side has the key."""
        return self.get(key, NOTHING, version=version) is not NOTHING

    # -- writing

    def set(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        """Store on both; what is too large for a side is forgotten there, as Django's memcached does."""
        for side in self.pair.sides:
            with suppress(Missed):
                self._store(side, key, value, timeout=timeout, version=version)

    def _store(self, side: Side, key: Any, value: Any, *, timeout: Any, version: int | None) -> bool:
        """Whether the side has taken the value."""
        try:
            self.pair.tell(side, "set", key, value, timeout=timeout, version=version)
        except Exception as error:
            if not is_too_large(error):
                raise
            self.pair.tell(side, "delete", key, version=version)
            return False
        return True

    def set_many(
        self, data: Mapping[Any, Any], timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> list[Any]:
        """Store all on both; the keys that neither has taken."""
        failed = [self._store_many(side, data, timeout=timeout, version=version) for side in self.pair.sides]
        return [key for key in data if key in failed[0] & failed[1]]

    def _store_many(self, side: Side, data: Mapping[Any, Any], *, timeout: Any, version: int | None) -> frozenset[Any]:
        """The keys that the side has not taken."""
        try:
            return frozenset(self.pair.tell(side, "set_many", data, timeout=timeout, version=version))
        except Missed:
            return frozenset(data)
        except Exception as error:
            if not is_too_large(error):
                raise
        alone = {key: self._store_alone(side, key, data[key], timeout=timeout, version=version) for key in data}
        return frozenset(key for key, is_stored in alone.items() if not is_stored)

    def _store_alone(self, side: Side, key: Any, value: Any, *, timeout: Any, version: int | None) -> bool:
        with suppress(Missed):
            return self._store(side, key, value, timeout=timeout, version=version)
        return False

    def add(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Store where neither has the key: the first side that answers decides."""
        if self.has_key(key, version=version):
            return False
        decided: bool | None = None
        for side in self.pair.sides:
            with suppress(Missed):
                if decided is None:
                    decided = bool(self.pair.tell(side, "add", key, value, timeout=timeout, version=version))
                elif decided:
                    self.pair.tell(side, "set", key, value, timeout=timeout, version=version)
        return bool(decided)

    def touch(self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """A new timeout on both; whether either has the key."""
        return any(self._both("touch", key, timeout=timeout, version=version))

    def delete(self, key: Any, version: int | None = None) -> bool:
        """Forget on both; whether either had it."""
        return any(self._both("delete", key, version=version))

    def delete_many(self, keys: Iterable[Any], version: int | None = None) -> None:
        """Forget all on both."""
        self._both("delete_many", list(keys), version=version)

    def incr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """Count on both; the value of the first side that has the key. ``ValueError`` where none has it."""
        values: list[int] = []
        for side in self.pair.sides:
            with suppress(Missed), suppress(ValueError):  # this side does not have the key
                values.append(self.pair.tell(side, "incr", key, delta, version=version))
        if not values:
            raise ValueError(f"Key {key!r} not found")
        return values[0]

    def clear(self) -> None:
        """Empty both; what is known of writes that were missed stays known."""
        dirty = [side for side in self.pair.sides if not self.pair.is_clean(side)]
        self._both("clear")
        for side in dirty:
            self.pair.mark(side)

    def _both(self, name: str, *args: Any, **kwargs: Any) -> list[Any]:
        """What the sides answer that answer."""
        answers = []
        for side in self.pair.sides:
            with suppress(Missed):
                answers.append(self.pair.tell(side, name, *args, **kwargs))
        return answers


def _pair_of(aliases: tuple[Any, ...], options: Mapping[str, Any]) -> Pair:
    """The pair of these aliases, which all threads share."""
    with _lock:
        if aliases not in _pairs:
            _pairs[aliases] = Pair(
                (aliases[0], aliases[1]),
                cooldown_seconds=float(options.get("COOLDOWN_SECONDS", 5.0)),
                settle_seconds=float(options.get("SETTLE_SECONDS", 1.0)),
            )
        return _pairs[aliases]


def _forget_pairs(*, setting: str, **kwargs: Any) -> None:
    if setting == "CACHES":
        with _lock:
            _pairs.clear()


setting_changed.connect(_forget_pairs, dispatch_uid="horizon_shards.cache")

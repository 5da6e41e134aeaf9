"""Django's memcached by pymemcache, with the options that a cluster needs which may fail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.cache.backends.memcached import PyMemcacheCache

from horizon_shards.exceptions import ConfigurationError

#: Short waits, errors that are told, and a key that stays with its node: pymemcache would give the keys of a node
#: that does not answer to another one, and find their old values when it is back.
OPTIONS: Mapping[str, Any] = {
    "connect_timeout": 0.3,
    "timeout": 0.3,
    "use_pooling": True,
    "ignore_exc": False,
    "retry_attempts": 10**9,
    "retry_timeout": -1,
}


class MemcachedCache(PyMemcacheCache):
    """``PyMemcacheCache`` with other defaults; ``OPTIONS`` are those of pymemcache's ``HashClient``."""

    def __init__(self, server: Any, params: Mapping[str, Any]) -> None:
        try:
            super().__init__(server, {**params, "OPTIONS": {**OPTIONS, **(params.get("OPTIONS") or {})}})
        except ImportError as error:
            raise ConfigurationError(
                f"{type(self).__name__} needs pymemcache: pip install 'horizon-shards[memcached]'."
            ) from error

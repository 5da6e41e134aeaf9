"""Memcached whose nodes a configuration endpoint of ElastiCache names."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from horizon_shards.cache.discovery import Discovery, Endpoint, read_endpoint
from horizon_shards.cache.memcached import MemcachedCache

#: Our option -> what it is to an :class:`Endpoint`.
OWN = {
    "DISCOVERY_INTERVAL_SECONDS": "interval_seconds",
    "DISCOVERY_TIMEOUT_SECONDS": "timeout_seconds",
    "USE_ADDRESS": "by_address",
}

_discoveries: dict[Endpoint, Discovery] = {}
_lock = threading.Lock()


class ElastiCache(MemcachedCache):
    """``LOCATION``: the configuration endpoint, ``"name:11211"``.

    ``OPTIONS``: ``DISCOVERY_INTERVAL_SECONDS`` (30), ``DISCOVERY_TIMEOUT_SECONDS`` (1), ``USE_ADDRESS`` (nodes by
    address and not by name; True), and those of :class:`MemcachedCache`.
    """

    def __init__(self, server: str, params: Mapping[str, Any]) -> None:
        options = dict(params.get("OPTIONS") or {})
        own = {OWN[name]: options.pop(name) for name in OWN if name in options}
        super().__init__(server, {**params, "OPTIONS": options})
        host, port = read_endpoint(server)
        self._discovery = _discovery_of(Endpoint(host, port, tls=options.get("tls_context"), **own))
        self._nodes: tuple[tuple[str, int], ...] = ()
        self._client: Any = None

    @property
    def _cache(self) -> Any:
        """A client of the nodes that are known now; Django makes a backend for each thread."""
        nodes = self._discovery.known_nodes()
        if self._client is None or nodes != self._nodes:
            if self._client is not None:
                self._client.disconnect_all()
            self._client, self._nodes = self._class(nodes, **self._options), nodes
        return self._client

    def close(self, **kwargs: Any) -> None:
        """Close what is open; no node is asked for."""
        if self._client is not None:
            self._client.disconnect_all()


def _discovery_of(endpoint: Endpoint) -> Discovery:
    with _lock:
        return _discoveries.setdefault(endpoint, Discovery(endpoint))

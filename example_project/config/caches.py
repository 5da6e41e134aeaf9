"""``CACHES`` from the environment: a cluster of memcached, two that are written twice, or each process's memory."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured

from config import environment

BACKENDS = {"memcached": "horizon_shards.cache.MemcachedCache", "elasticache": "horizon_shards.cache.ElastiCache"}


def read_caches() -> dict[str, Any]:
    """The clusters of ``CACHE_URLS``, and ``default`` over them; empty where that is not set."""
    clusters = {name: _cluster(name, url) for name, url in environment.pairs("CACHE_URLS").items()}
    if len(clusters) > 2 or "default" in clusters:
        raise ImproperlyConfigured("CACHE_URLS names one cluster or two, and none of them 'default'.")
    double = {"BACKEND": "horizon_shards.cache.DoubleCache", "LOCATION": ",".join(clusters)}
    match list(clusters.values()):
        case []:
            return {}
        case [only]:
            return {"default": only}
    return {"default": double, **clusters}


def _cluster(name: str, url: str) -> dict[str, Any]:
    scheme, _, place = url.partition("://")
    if scheme not in BACKENDS or not place:
        raise ImproperlyConfigured(
            f"CACHE_URLS has {url!r} for {name!r}: write memcached://HOST:PORT+HOST:PORT or elasticache://ENDPOINT:PORT."
        )
    nodes = place.split("+")
    return {"BACKEND": BACKENDS[scheme], "LOCATION": nodes if scheme == "memcached" else place}

"""Caches on real memcached processes."""

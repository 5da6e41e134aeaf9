"""Servers for tests: MariaDB clusters that this package starts and ends, and the one that ``SHARDS_ENGINE`` names."""

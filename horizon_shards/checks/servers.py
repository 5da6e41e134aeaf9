"""Checks of how the databases of a group are connected to: an end to waiting, and what AWS's wrapper must be told."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Final

from django.core.checks import CheckMessage
from django.db import connections

from horizon_shards.checks.catalogue import problem
from horizon_shards.checks.mapping import readable_groups
from horizon_shards.conf import GroupConfig

#: Engines whose drivers wait for a server until the system gives up, minutes later, and the options that end it.
ENDLESS: Final = {
    "django.db.backends.mysql": ("connect_timeout", "read_default_file"),
    "django.db.backends.postgresql": ("connect_timeout", "service", "pool"),
    "django.contrib.gis.db.backends.mysql": ("connect_timeout", "read_default_file"),
    "django.contrib.gis.db.backends.postgis": ("connect_timeout", "service", "pool"),
}
#: What a host is where no network is between.
LOCAL: Final = ("", "localhost", "127.0.0.1", "::1")
#: How the engines of AWS's wrapper begin, and the cluster_id of who tells none.
WRAPPER: Final = "aws_advanced_python_wrapper."
WITHOUT_ID: Final = "1"


def check_timeouts(config: GroupConfig) -> Iterator[CheckMessage]:
    """Whether a server that is cut off ends in an error, on each database of the group."""
    waiting = [alias for alias in _aliases(config) if _waits_without_end(connections.settings[alias])]
    if waiting:
        yield problem(
            "W123",
            f"{', '.join(map(repr, waiting))} of {config.alias!r} would wait for a server that does not answer until "
            "the system gives up, which takes minutes.",
            hint="Set OPTIONS = {'connect_timeout': 5} (seconds), on MySQL 'read_timeout' and 'write_timeout' as well; "
            "horizon_shards.backends.aurora_mysql has them.",
        )


def _waits_without_end(entry: Mapping[str, Any]) -> bool:
    ends = ENDLESS.get(entry["ENGINE"])
    host = str(entry.get("HOST") or "")
    if ends is None or host in LOCAL or host.startswith("/"):
        return False
    if "postg" in entry["ENGINE"] and "PGCONNECT_TIMEOUT" in os.environ:
        return False
    return not any(entry.get("OPTIONS", {}).get(name) for name in ends)


def check_cluster_ids() -> Iterator[CheckMessage]:
    """Whether AWS's wrapper can tell the clusters of all groups: by ``cluster_id`` alone."""
    for name, aliases in _by_cluster_id().items():
        if len({_server(connections.settings[alias]) for alias in aliases}) > 1:
            yield problem(
                "W124",
                f"{', '.join(map(repr, aliases))} are on different clusters, and have the same cluster_id ({name!r}): "
                "after a failover of one, AWS's wrapper may connect to a server of another.",
                hint="Set OPTIONS['cluster_id'] to a name of its own for each cluster, the same for its replicas.",
            )


def _by_cluster_id() -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for shard in (shard for group in readable_groups() for shard in group.config.shards):
        entry = connections.settings[shard.primary]
        if entry["ENGINE"].startswith(WRAPPER):
            found[str(entry.get("OPTIONS", {}).get("cluster_id", WITHOUT_ID))].append(shard.primary)
    return found


def _server(entry: Mapping[str, Any]) -> tuple[str, str]:
    return str(entry.get("HOST") or ""), str(entry.get("PORT") or "")


def _aliases(config: GroupConfig) -> list[str]:
    found = [alias for shard in config.shards for alias in shard.aliases]
    directory = config.directory
    return [*found, directory] if directory is not None and directory not in found else found

"""Other ``DATABASES`` for a block; ``override_settings`` does not reach the connections."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from django.db import connections

from horizon_shards.topology import get_group, reset_topology

MISSING = object()


@contextmanager
def databases(**changes: dict[str, Any] | None) -> Iterator[None]:
    """Replace entries of ``DATABASES`` in the block; None takes one out."""
    before = connections.settings
    after = copy.deepcopy(before) | {alias: entry for alias, entry in changes.items() if entry is not None}
    for alias in (alias for alias, entry in changes.items() if entry is None):
        after.pop(alias)
    kept = {alias: getattr(connections._connections, alias, MISSING) for alias in changes}
    _put(dict.fromkeys(changes, MISSING), connections.configure_settings(after))
    try:
        yield
    finally:
        _put(kept, before)


def _put(wrappers: dict[str, Any], settings: dict[str, Any]) -> None:
    for alias, wrapper in wrappers.items():
        if wrapper is not MISSING:
            setattr(connections._connections, alias, wrapper)
        elif hasattr(connections._connections, alias):
            delattr(connections._connections, alias)
    connections.settings = settings
    reset_topology()


@contextmanager
def limited(alias: str, **changes: Any) -> Iterator[None]:
    """Other values of the configuration of a logical database (``max_rows=20``) for a block."""
    group = get_group(alias)
    before = group.config
    group.config = replace(before, **changes)
    try:
        yield
    finally:
        group.config = before

"""Placements that no test can rely on, and a directory without assignments."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.module_loading import import_string

from horizon_shards.conf import group_aliases, read_group
from horizon_shards.directory.retry import run
from horizon_shards.directory.store import ASSIGNMENT_TABLE, BUCKET_TABLE
from horizon_shards.topology import get_group, get_topology, reset_topology


def scrambled_aliases() -> list[str]:
    """The logical aliases whose mapping has the option ``SEED``, which the settings leave open."""
    return [alias for alias in group_aliases() if _has_open_seed(alias)]


@contextmanager
def scrambled_placement(seed: int) -> Iterator[None]:
    """Place keys by ``seed`` inside the block, as ``MAPPING['OPTIONS']['SEED']`` does, in every logical database.

    A setting ``SEED`` wins. Enter the block before the test databases are made and leave it after the last
    test: what is stored stays where the seed of its moment put it.
    """
    changed = {alias: connections.settings[alias] for alias in scrambled_aliases()}
    kept = {alias: entry.get("MAPPING") for alias, entry in changed.items()}
    for entry in changed.values():
        entry["MAPPING"] = _with_seed(entry.get("MAPPING", {}), seed)
    reset_topology()
    try:
        yield
    finally:
        for alias, entry in changed.items():
            _put_back(entry, kept[alias])
        reset_topology()


def forget_placement(database: str | None = None) -> None:
    """Delete the assignments and the bucket table of a logical alias, or of all, from their directories.

    For tests of first placement. Rows that are still on the shards are lost to queries by key, so flush them
    first. Number blocks stay: an id is never given out twice.
    """
    for alias in get_topology().groups if database is None else [database]:
        group = get_group(alias)
        if group.config.directory is not None:
            run(group.config.directory, partial(_delete_rows, alias), write=True)
        group.mapping.clear_cache()


def _delete_rows(alias: str, connection: BaseDatabaseWrapper) -> None:
    with connection.cursor() as cursor:
        for table in (ASSIGNMENT_TABLE, BUCKET_TABLE):
            cursor.execute(f"DELETE FROM {table} WHERE logical_database = %s", [alias])  # noqa: S608


def _has_open_seed(alias: str) -> bool:
    config = read_group(alias)
    try:
        backend = import_string(config.mapping_backend)
    except ImportError as error:
        raise ImproperlyConfigured(f"DATABASES[{alias!r}]['MAPPING']['BACKEND']: {error}") from error
    return "SEED" in getattr(backend, "known_options", ()) and "SEED" not in config.mapping_options


def _with_seed(mapping: dict[str, Any], seed: int) -> dict[str, Any]:
    return {**mapping, "OPTIONS": {**mapping.get("OPTIONS", {}), "SEED": seed}}


def _put_back(entry: dict[str, Any], mapping: dict[str, Any] | None) -> None:
    if mapping is None:
        del entry["MAPPING"]
    else:
        entry["MAPPING"] = mapping

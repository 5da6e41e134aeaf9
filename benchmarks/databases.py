"""Makes the databases of a benchmark, fills them, and removes them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime, timedelta, timezone
from typing import Any

import django
from django.db import connections

from benchmarks.servers import servers

SHARDS = tuple(f"track_{n}" for n in (1, 2, 3, 4))
START = datetime(2026, 1, 1, tzinfo=timezone.utc)
Row = tuple[int, int, datetime, str, int]


@contextmanager
def databases(*, rows: int, sites: int = 200, engine: str = "sqlite") -> Iterator[None]:
    """The same ``rows`` page views of ``sites`` websites on four shards and in the database ``plain``.

    ``engine``: ``"sqlite"``, or ``"mysql"`` for five servers of MariaDB.
    """
    with servers((*SHARDS, "plain")) if engine == "mysql" else nullcontext(), _filled(rows, sites):
        yield


@contextmanager
def _filled(rows: int, sites: int) -> Iterator[None]:
    os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
    from benchmarks.settings import FOLDER, FOLDER_VARIABLE

    os.environ[FOLDER_VARIABLE] = str(FOLDER)
    try:
        django.setup()
        _make_tables()
        _fill(rows, sites)
        yield
    finally:
        connections.close_all()
        shutil.rmtree(FOLDER, ignore_errors=True)


def shard_alias(site: int) -> str:
    """The physical alias of the shard that holds a website's rows."""
    from horizon_shards.topology import get_group

    group = get_group("track")
    return group.primaries[group.mapping.place(site)]


def _make_tables() -> None:
    from benchmarks.models import PageView
    from horizon_shards.models import Assignment, Block, Bucket

    for alias, models in {"default": (Assignment, Block, Bucket), "track": (PageView,), "plain": (PageView,)}.items():
        with connections[alias].schema_editor() as editor:
            for model in models:
                editor.create_model(model)


def _fill(rows: int, sites: int) -> None:
    """Past the ORM: a million rows take seconds, not minutes. The order by time jumps between the shards."""
    from horizon_shards.ids import make_id
    from horizon_shards.topology import get_group

    mapping = get_group("track").mapping
    buckets = [mapping.bucket(site) for site in range(sites)]
    by_alias: dict[str, list[Row]] = {alias: [] for alias in SHARDS}
    aliases = [shard_alias(site) for site in range(sites)]
    for number in range(rows):
        site = number * 7 % sites
        at = START + timedelta(seconds=number)
        row = (make_id(number + 1, buckets[site]), site, at, f"/page/{number % 1000}", number % 500)
        by_alias[aliases[site]].append(row)
    for alias, part in by_alias.items():
        _insert(alias, part)
        _insert("plain", part)
    _lease_numbers(rows)


def _insert(alias: str, rows: list[Row]) -> None:
    from benchmarks.models import PageView

    connection = connections[alias]
    table = PageView._meta.db_table
    as_text = connection.ops.adapt_datetimefield_value
    values: list[tuple[Any, ...]] = [(pk, site, as_text(at), path, ms) for pk, site, at, path, ms in rows]
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.executemany(f"INSERT INTO {table} (id, site, at, path, ms) VALUES (%s, %s, %s, %s, %s)", values)
        cursor.execute("COMMIT")
        cursor.execute("ANALYZE" if connection.vendor == "sqlite" else f"ANALYZE TABLE {table}")


def _lease_numbers(rows: int) -> None:
    """Take the numbers that the rows were given out of circulation."""
    from horizon_shards.ids import COUNTER
    from horizon_shards.topology import get_group

    directory = get_group("track").directory
    assert directory is not None
    directory.lease(COUNTER, rows + 1)

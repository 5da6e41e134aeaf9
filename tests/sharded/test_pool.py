"""Shards on PostgreSQL whose threads share connections by Django's own pool."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from django.core.signals import request_finished, request_started
from django.db import OperationalError, connections, transaction

from horizon_shards import on_each_shard, using_shard
from horizon_shards.rollout.opened import open_connections
from tests.changed_databases import databases
from tests.settings import ENGINE, server

pytestmark = pytest.mark.skipif(ENGINE != "postgresql", reason="Django has a pool for PostgreSQL alone")

SHARDS = {"one": "pool_1", "two": "pool_2"}
SIZE = 2


def entry(name: str, **pool: Any) -> dict[str, Any]:
    """A database of its own, by a pool."""
    sizes = {"min_size": 0, "max_size": SIZE, "timeout": 60, **pool}
    return {**server(name), "NAME": f"test_horizon_{name}", "CONN_MAX_AGE": 0, "OPTIONS": {"pool": sizes}, "TEST": {}}


@pytest.fixture(scope="module")
def made(django_db_blocker: Any) -> Iterator[None]:
    """The two databases."""
    pytest.importorskip("psycopg_pool")
    drop = [f"DROP DATABASE IF EXISTS test_horizon_{alias} WITH (FORCE)" for alias in SHARDS.values()]
    create = [f"CREATE DATABASE test_horizon_{alias}" for alias in SHARDS.values()]
    with django_db_blocker.unblock(), connections["track_1"]._nodb_cursor() as cursor:
        for statement in (*drop, *create):
            cursor.execute(statement)
        yield
        for statement in drop:
            cursor.execute(statement)


@pytest.fixture
def pooled(request: pytest.FixtureRequest, made: None, django_db_blocker: Any) -> Iterator[None]:
    """``pooled``, a logical database over both."""
    shards = {name: {"PRIMARY": alias} for name, alias in SHARDS.items()}
    logical = {"ENGINE": "horizon_shards.backends.sharded", "SHARDS": shards, "TEST": {}}
    entries = {alias: entry(alias, **getattr(request, "param", {})) for alias in SHARDS.values()}
    with django_db_blocker.unblock(), databases(pooled=logical, **entries):
        yield
        for alias in ("pooled", *SHARDS.values()):
            connections[alias].close()
        for alias in SHARDS.values():
            connections[alias].close_pool()


def serve(seen: dict[str, set[int]]) -> None:
    """A request that asks the first shard alone, then both: so no two wait for what the other has."""
    request_started.send(sender=None, environ={})
    with using_shard("one", database="pooled"), connections["pooled"].cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        seen["one"].add(cursor.fetchone()[0])
    with transaction.atomic("pooled"):
        for shard, ((pid,),) in on_each_shard("SELECT pg_backend_pid()", using="pooled").items():
            seen[shard].add(pid)
    request_finished.send(sender=None)


def test_more_threads_than_connections_share_them(pooled: None) -> None:
    seen: dict[str, set[int]] = {"one": set(), "two": set()}
    errors: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(3):
                serve(seen)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    serve(seen)
    assert errors == []
    assert {shard: 1 <= len(pids) <= SIZE for shard, pids in seen.items()} == {"one": True, "two": True}
    assert {alias: told.used for alias, told in open_connections().items() if alias in SHARDS.values()} == {
        "pool_1": 0,
        "pool_2": 0,
    }
    assert open_connections()["pool_1"].idle == len(seen["one"])


@pytest.mark.parametrize("pooled", [{"max_size": 1, "timeout": 0.5}], indirect=True)
def test_a_thread_that_waits_in_vain_is_told_which_shard(pooled: None) -> None:
    connections["pool_1"].ensure_connection()
    errors: list[BaseException] = []

    def ask() -> None:
        try:
            on_each_shard("SELECT 1", using="pooled")
        except OperationalError as error:
            errors.append(error)
        finally:
            with suppress(Exception):
                connections["pooled"].close()

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join(60)
    assert "shard 'one' (database 'pool_1'): couldn't get a connection after" in str(errors[0])

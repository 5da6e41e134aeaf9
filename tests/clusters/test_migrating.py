"""Migrations of a shard in MariaDB: one at a time, and none that waits for a table without end."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import OperationalError, connections

from horizon_shards.rollout.locking import migrating_alone
from tests.servers.clusters import Cluster
from tests.waiting import wait_until


def alone(*, wait_seconds: float = 0, lock_timeout_seconds: float | None = None) -> Any:
    return migrating_alone("shard", wait_seconds=wait_seconds, lock_timeout_seconds=lock_timeout_seconds)


def sessions_with_lock(cluster: Cluster) -> list[int]:
    """The lock's own session: the one that has asked for it."""
    rows = cluster.primary.sql("SELECT id, info FROM information_schema.processlist WHERE user = 'app' ORDER BY id")
    return [row["id"] for row in rows]


def test_a_second_one_waits_and_then_says_so(shard: Any) -> None:
    shard()
    with alone(), pytest.raises(OperationalError, match="Another migrate has been running on 'shard'"), alone():
        pass
    with alone():
        pass


def test_a_second_one_goes_on_when_the_first_has_ended(shard: Any) -> None:
    shard()
    order: list[str] = []
    began = threading.Event()

    def second() -> None:
        began.set()
        with alone(wait_seconds=60):
            order.append("second")
        connections.close_all()

    thread = threading.Thread(target=second)
    with alone():
        thread.start()
        began.wait(60)
        order.append("first")
    thread.join(60)
    assert order == ["first", "second"]


def test_a_schema_editor_keeps_the_session(shard: Any) -> None:
    """What the session holds (a lock, a variable) would be lost with it."""
    connection = shard(OPTIONS={"read_timeout": 1})
    with alone(lock_timeout_seconds=7):
        with connection.cursor() as cursor:
            cursor.execute("SELECT GET_LOCK('mine', 0), CONNECTION_ID(), @@lock_wait_timeout")
            assert cursor.fetchone()[2] == 7
        with connection.schema_editor() as editor:
            editor.execute("DO SLEEP(2)")
        with connection.cursor() as cursor:
            cursor.execute("SELECT IS_USED_LOCK('mine') = CONNECTION_ID(), @@lock_wait_timeout")
            assert cursor.fetchone() == (1, 7)
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@lock_wait_timeout")
        assert cursor.fetchone()[0] > 1_000


def test_a_table_in_use_is_not_waited_for_without_end(cluster: Cluster, shard: Any) -> None:
    connection = shard()
    cluster.primary.sql("CREATE TABLE app.busy (number INT)")
    reader = cluster.primary.connect(user="app", password="app", database="app")
    reader.query("BEGIN")
    reader.query("SELECT * FROM busy")
    reader.store_result()
    try:
        with (
            alone(lock_timeout_seconds=1),
            pytest.raises(OperationalError, match="Lock wait timeout"),
            connection.schema_editor() as editor,
        ):
            editor.execute("ALTER TABLE busy ADD COLUMN other INT")
    finally:
        reader.close()


def test_a_lock_that_was_lost_is_told(cluster: Cluster, shard: Any) -> None:
    connection = shard()
    connection.ensure_connection()
    before = set(sessions_with_lock(cluster))
    with pytest.raises(OperationalError, match="lock of 'shard' was lost"), alone():
        (lock,) = set(sessions_with_lock(cluster)) - before
        cluster.primary.sql(f"KILL {lock}")
        wait_until(lambda: lock not in sessions_with_lock(cluster), "the session is gone")

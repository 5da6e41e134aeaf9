"""Reads from a replica of MariaDB: one that lags, stands still, dies and comes back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections

from horizon_shards.backends.sharded import replicas
from horizon_shards.backends.sharded.lag import lag_of
from horizon_shards.context import own_writes
from horizon_shards.directory.connection import close_all
from tests.changed_databases import databases
from tests.fresh_directory import make_tables
from tests.servers.clusters import Cluster, follows
from tests.shop.models import Tag
from tests.waiting import wait_until


def entry(port: int, **changes: Any) -> dict[str, Any]:
    return {
        "ENGINE": "horizon_shards.backends.aurora_mysql",
        "NAME": "app",
        "USER": "app",
        "PASSWORD": "app",
        "HOST": "127.0.0.1",
        "PORT": port,
        "CONN_MAX_AGE": None,
        **changes,
    }


def track(**reads: Any) -> dict[str, Any]:
    return {
        "ENGINE": "horizon_shards.backends.sharded",
        "SHARDS": {"track-1": {"PRIMARY": "one", "REPLICAS": ["one_ro"]}},
        "DIRECTORY": "numbers",
        "READS": {"CHECK_SECONDS": 0, "RETRY_SECONDS": 0, **reads},
        "TEST": {},
    }


@pytest.fixture
def logical(cluster: Cluster, tmp_path: Path) -> Iterator[Any]:
    """``track`` on one shard, a cluster with a replica, and a row."""
    replica = entry(cluster.replicas[0].port, CLUSTER={"ROLE": "replica", "DEADLINE_SECONDS": 3})
    numbers = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "numbers"), "TEST": {}}
    with (
        databases(track=track(), one=entry(cluster.primary.port), one_ro=replica, numbers=numbers),
        own_writes({}),
    ):
        make_tables("numbers")
        replicas.forget_failures()
        with connections["one"].schema_editor() as editor:
            editor.create_model(Tag)
        Tag.objects.create(site_id=1, name="first")
        settle(cluster)
        yield connections["track"]
        close_all()
        for alias in ("one", "one_ro", "numbers"):
            connections[alias].close()
        connections["track"].close()


def settle(cluster: Cluster) -> None:
    """Wait until the replica has all, and says so: its lag is that of its last event until it has nothing to do."""
    cluster.settle()
    wait_until(lambda: lag_of(connections["one_ro"]) == 0, "the replica says that it has all")


def read(logical: Any) -> tuple[str, list[str]]:
    """Which database answers somebody who wrote nothing, and what."""
    asked: list[str] = []

    def wrapper(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if "shop_tag" in sql:
            asked.append(context["connection"].alias)
        return execute(sql, params, many, context)

    with own_writes({}), logical.execute_wrapper(wrapper):
        names = sorted(Tag.objects.filter(site=1).values_list("name", flat=True))
    return asked[-1], names


def test_reads_go_to_the_replica_and_writes_to_the_primary(cluster: Cluster, logical: Any) -> None:
    assert read(logical) == ("one_ro", ["first"])
    Tag.objects.create(site_id=1, name="second")
    assert Tag.objects.filter(site=1).count() == 2
    settle(cluster)
    assert read(logical) == ("one_ro", ["first", "second"])


def delay(cluster: Cluster, seconds: int) -> None:
    """Let the replica apply what it receives so much later."""
    replica = cluster.replicas[0]
    cluster.wait_for_each_write_to_be_received(False)
    replica.sql("STOP SLAVE", f"CHANGE MASTER TO MASTER_DELAY={seconds}", "START SLAVE")
    wait_until(lambda: follows(replica), "the replica receives")
    cluster.wait_for_each_write_to_be_received(True)


def test_a_replica_that_lags_30_seconds_is_not_read(cluster: Cluster, logical: Any) -> None:
    try:
        delay(cluster, 30)
        Tag.objects.create(site_id=1, name="second")
        wait_until(lambda: (lag_of(connections["one_ro"]) or 0) > 5, "the replica says that it lags")
        assert read(logical) == ("one", ["first", "second"])
        # It is read by who does not mind.
        with databases(track=track(MAX_LAG_SECONDS=60)):
            assert read(connections["track"]) == ("one_ro", ["first"])
    finally:
        delay(cluster, 0)
    settle(cluster)
    assert read(logical) == ("one_ro", ["first", "second"])


def test_a_replica_that_stands_still_is_not_read(cluster: Cluster, logical: Any) -> None:
    """It does not know how far it is behind."""
    replica = cluster.replicas[0]
    assert read(logical)[0] == "one_ro"
    # The other thread goes on: with it the acknowledgements that writes wait for would stop.
    replica.sql("STOP SLAVE SQL_THREAD")
    assert read(logical)[0] == "one"
    replica.sql("START SLAVE SQL_THREAD")
    wait_until(lambda: read(logical)[0] == "one_ro", "the replica is read again")


def test_a_server_that_was_a_replica_and_follows_nobody_is_not_read(cluster: Cluster, logical: Any) -> None:
    cluster.replicas[0].sql("STOP SLAVE", "RESET SLAVE ALL")
    assert read(logical) == ("one", ["first"])


def test_replicas_go_and_come_without_a_restart(cluster: Cluster, logical: Any) -> None:
    replica = cluster.replicas[0]
    assert read(logical)[0] == "one_ro"
    with cluster.unacknowledged():
        replica.kill()
        assert read(logical) == ("one", ["first"])
        replica.start()
        replica.wait()
    wait_until(lambda: read(logical)[0] == "one_ro", "the replica is read again")


def test_a_replica_that_becomes_the_primary_is_read_still(cluster: Cluster, logical: Any) -> None:
    cluster.primary.kill()
    cluster.promote()
    assert read(logical) == ("one_ro", ["first"])


def test_who_may_not_ask_for_the_lag_reads_from_the_primary(cluster: Cluster, logical: Any) -> None:
    cluster.primary.sql(
        "CREATE OR REPLACE USER nosy@'127.0.0.1' IDENTIFIED BY 'nosy'", "GRANT ALL ON `app%`.* TO nosy@'127.0.0.1'"
    )
    cluster.settle()
    port = cluster.replicas[0].port
    login = {"USER": "nosy", "PASSWORD": "nosy", "CLUSTER": {"ROLE": "replica"}}
    connections["one_ro"].close()
    with databases(one_ro=entry(port, **login)):
        assert read(connections["track"]) == ("one", ["first"])
        connections["one_ro"].close()


def test_the_status_shows_the_lag(logical: Any, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("shards", "--database", "track", "--no-rows")
    (row,) = [line for line in capsys.readouterr().out.splitlines() if "one_ro" in line]
    assert "lag 0 s" in row

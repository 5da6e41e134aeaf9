"""What becomes of an application when a server has no room, restarts under a query, or its endpoint is late."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import OperationalError, connections

from horizon_shards import on_each_shard
from horizon_shards.backends.aurora_mysql.base import TIMEOUTS
from horizon_shards.exceptions import ScatterTimeout
from tests.changed_databases import databases, limited
from tests.clusters.crowding import full, make_room
from tests.servers.clusters import Cluster
from tests.servers.endpoint import Endpoint
from tests.servers.mariadb import Server
from tests.waiting import wait_until

ENDPOINT_LAG_SECONDS = 6
READ_TIMEOUT_SECONDS = TIMEOUTS["read_timeout"]


def answer(connection: Any) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@server_id")
        return int(cursor.fetchone()[0])


def test_a_full_connection_table_is_an_error_that_names_the_alias_after_the_deadline(
    cluster: Cluster, shard: Any
) -> None:
    connection = shard(CLUSTER={"DEADLINE_SECONDS": 2})
    with full(cluster.primary), pytest.raises(OperationalError, match=r"'shard'(.|\n)*Too many connections"):
        answer(connection)
    assert answer(connection) == cluster.primary.number


def test_room_in_the_connection_table_is_waited_for(cluster: Cluster, shard: Any, endpoint: Endpoint) -> None:
    connection = shard(CLUSTER={"DEADLINE_SECONDS": 60})
    with full(cluster.primary) as held:
        before, found = endpoint.taken, []

        def ask() -> None:
            found.append(answer(connections["shard"]))
            connections.close_all()

        thread = threading.Thread(target=ask)
        thread.start()
        wait_until(lambda: endpoint.taken > before, "it was refused once")
        make_room(held)
        thread.join(60)
    assert found == [cluster.primary.number]
    assert answer(connection) == cluster.primary.number


def test_an_endpoint_that_is_six_seconds_late_is_waited_for(cluster: Cluster, endpoint: Endpoint, shard: Any) -> None:
    """Where nothing but the endpoint is known, which leads to a server that is dead for so long."""
    connection = shard(CLUSTER={"DEADLINE_SECONDS": 60})
    old = answer(connection)
    cluster.primary.kill()
    new = cluster.promote()
    timer = threading.Timer(ENDPOINT_LAG_SECONDS, lambda: setattr(endpoint, "target", new.port))
    timer.start()
    with pytest.raises(OperationalError):
        answer(connection)
    assert answer(connection) == new.number != old
    timer.join()


def test_a_server_that_restarts_in_the_middle_of_a_scatter_ends_it_by_an_error_of_the_shard(
    cluster: Cluster, endpoint: Endpoint, shard: Any
) -> None:
    """Afterwards both shards are asked on new connections."""
    server = cluster.primary
    with two_shards(server, shard):

        def restart() -> None:
            wait_until(lambda: len(sleeping(server)) == 2, "both shards are asked")
            server.kill()
            server.start()
            server.wait()
            server.sql("SET GLOBAL read_only = 0")

        thread = threading.Thread(target=restart)
        thread.start()
        with pytest.raises(OperationalError, match=r"shard 's-[12]'"):
            on_each_shard("SELECT SLEEP(600)", using="both")
        thread.join(60)
        assert on_each_shard("SELECT @@server_id", using="both") == both(server.number)


def test_a_frozen_server_is_left_soon_after_the_deadline(cluster: Cluster, endpoint: Endpoint, shard: Any) -> None:
    """Long before the time-outs of reading: it neither answers nor cancels, so its connections are closed."""
    server = cluster.primary
    with two_shards(server, shard), limited("both", scatter_timeout_seconds=1):
        assert on_each_shard("SELECT @@server_id", using="both") == both(server.number)
        server.freeze()
        try:
            began = time.monotonic()
            with pytest.raises(ScatterTimeout, match="s-1, s-2"):
                on_each_shard("SELECT @@server_id", using="both")
            assert time.monotonic() - began < READ_TIMEOUT_SECONDS / 2
        finally:
            server.thaw()
        with limited("both", scatter_timeout_seconds=60):
            assert on_each_shard("SELECT @@server_id", using="both") == both(server.number)


@contextmanager
def two_shards(server: Server, shard: Any) -> Iterator[None]:
    """The logical database ``both``, whose shards are two databases of the server."""
    server.sql("CREATE OR REPLACE DATABASE app_second")
    shard(CLUSTER={"DEADLINE_SECONDS": 60})
    second = {**connections.settings["shard"], "NAME": "app_second"}
    logical = {
        "ENGINE": "horizon_shards.backends.sharded",
        "SHARDS": {"s-1": {"PRIMARY": "shard"}, "s-2": {"PRIMARY": "second"}},
        "TEST": {},
    }
    with databases(both=logical, second=second):
        yield
        connections["both"].close()
        connections["second"].close()


def both(number: int) -> dict[str, list[tuple[int]]]:
    """What each of the two shards answers."""
    return {"s-1": [(number,)], "s-2": [(number,)]}


def sleeping(server: Server) -> list[Any]:
    return server.sql("SELECT id FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP(600)%'")

"""The clusters themselves: what was acknowledged survives, and the roles are as they are said to be."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import TYPE_CHECKING

import MySQLdb
import pytest

from tests.servers.mariadb import APP, DATABASE

if TYPE_CHECKING:
    from tests.servers.clusters import Cluster
    from tests.servers.endpoint import Endpoint

TABLE = "CREATE TABLE app.rows_written (id INTEGER PRIMARY KEY)"


def ids(server: object) -> set[int]:
    return {row["id"] for row in server.sql("SELECT id FROM app.rows_written")}  # type: ignore[attr-defined]


def test_the_replica_follows_and_is_read_only(cluster: Cluster) -> None:
    (replica,) = cluster.replicas
    cluster.primary.sql(TABLE, "INSERT INTO app.rows_written VALUES (1)")
    cluster.settle()
    assert ids(replica) == {1}
    with (
        closing(replica.connect(**APP, database=DATABASE)) as connection,
        pytest.raises(MySQLdb.OperationalError, match="read-only"),
    ):
        connection.query("INSERT INTO rows_written VALUES (2)")


def test_no_acknowledged_write_is_lost_when_the_primary_dies(cluster: Cluster) -> None:
    old, (replica,) = cluster.primary, cluster.replicas
    old.sql(TABLE)
    acknowledged: set[int] = set()
    enough = threading.Event()

    def write() -> None:
        with closing(old.connect(**APP, database=DATABASE)) as connection:
            for number in range(1_000_000):
                connection.query(f"INSERT INTO rows_written VALUES ({number})")
                acknowledged.add(number)
                if number == 100:
                    enough.set()

    def write_until_the_end() -> None:
        with pytest.raises(MySQLdb.OperationalError):
            write()

    writer = threading.Thread(target=write_until_the_end)
    writer.start()
    assert enough.wait(60)
    old.kill()
    writer.join(60)
    assert cluster.promote() is replica
    assert acknowledged <= ids(replica)
    replica.sql("INSERT INTO app.rows_written VALUES (-1)")
    cluster.rejoin(old)
    cluster.settle()
    assert ids(old) == ids(replica)
    assert (old.is_read_only(), replica.is_read_only()) == (True, False)


def test_an_endpoint_leads_new_connections_elsewhere(cluster: Cluster, endpoint: Endpoint) -> None:
    primary, (replica,) = cluster.primary, cluster.replicas

    def asked(connection: object) -> int:
        connection.query("SELECT @@server_id")  # type: ignore[attr-defined]
        return int(connection.store_result().fetch_row()[0][0])  # type: ignore[attr-defined]

    options = {"host": "127.0.0.1", "port": endpoint.port, "autocommit": True, **APP}
    with closing(MySQLdb.connect(**options)) as first:
        endpoint.target = replica.port
        with closing(MySQLdb.connect(**options)) as second:
            assert (asked(first), asked(second)) == (primary.number, replica.number)

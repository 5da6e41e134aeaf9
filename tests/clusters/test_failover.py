"""What an application sees when its server dies, is demoted, or stops answering in the middle of a transaction."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from django.db import OperationalError, connections, transaction

from horizon_shards.exceptions import CommitUnknown
from tests.clusters.test_connecting import instances, server_of
from tests.waiting import PATIENCE_SECONDS, wait_until

if TYPE_CHECKING:
    from tests.servers.clusters import Cluster
    from tests.servers.endpoint import Endpoint

#: A connection that finds no server within it would fail the test anyway.
PATIENT = {"DEADLINE_SECONDS": PATIENCE_SECONDS}


@pytest.fixture
def cluster(cluster: Cluster) -> Cluster:
    cluster.primary.sql("CREATE TABLE app.entry (number INTEGER PRIMARY KEY)")
    cluster.settle()
    return cluster


def insert(number: int) -> None:
    with connections["shard"].cursor() as cursor:
        cursor.execute("INSERT INTO entry VALUES (%s)", [number])


def stored(cluster: Cluster) -> set[int]:
    return {row["number"] for row in cluster.primary.sql("SELECT number FROM app.entry")}


# The server dies, or loses its role.


def test_after_one_error_the_new_primary_is_written_to(cluster: Cluster, endpoint: Endpoint, shard: Any) -> None:
    connection = shard(CLUSTER={"INSTANCES": instances(cluster), **PATIENT})
    insert(1)
    cluster.primary.kill()
    new = cluster.promote()
    with pytest.raises(OperationalError):
        insert(2)
    assert connection.connection is None
    insert(3)
    assert server_of(connection) == new.number
    assert stored(cluster) == {1, 3}


def test_a_demoted_server_that_answers_is_left(cluster: Cluster, endpoint: Endpoint, shard: Any) -> None:
    """The endpoint leads to it all the time."""
    connection = shard(CLUSTER={"INSTANCES": instances(cluster), **PATIENT})
    insert(1)
    old = cluster.primary
    cluster.demote()
    new = cluster.promote()
    cluster.follow(old)
    with pytest.raises(OperationalError, match="read-only"):
        insert(2)
    insert(3)
    assert server_of(connection) == new.number
    assert stored(cluster) == {1, 3}


def test_the_health_check_finds_a_demoted_server(cluster: Cluster, shard: Any) -> None:
    """Django asks at the begin of each request: no write is lost to it."""
    connection = shard(CLUSTER={"INSTANCES": instances(cluster), **PATIENT}, CONN_HEALTH_CHECKS=True)
    insert(1)
    cluster.demote()
    cluster.promote()
    connection.close_if_unusable_or_obsolete()
    insert(2)
    assert stored(cluster) == {1, 2}


def test_a_demotion_inside_a_transaction_undoes_it(cluster: Cluster, shard: Any) -> None:
    shard(CLUSTER={"INSTANCES": instances(cluster), **PATIENT})
    with pytest.raises(OperationalError, match="read-only"), transaction.atomic("shard"):
        insert(1)
        cluster.demote()
        cluster.promote()
    with transaction.atomic("shard"):
        insert(2)
    assert stored(cluster) == {2}


def test_an_error_in_the_block_is_not_hidden_behind_the_failover(cluster: Cluster, shard: Any) -> None:
    connection = shard(CLUSTER={"DEADLINE_SECONDS": 5})
    with pytest.raises(ZeroDivisionError), transaction.atomic("shard"):
        insert(1)
        cluster.primary.kill()
        raise ZeroDivisionError
    assert connection.connection is None
    cluster.promote()
    assert stored(cluster) == set()


def test_a_lost_connection_ends_the_whole_block(cluster: Cluster, shard: Any) -> None:
    connection = shard(CLUSTER={"INSTANCES": instances(cluster), **PATIENT})
    with pytest.raises(transaction.TransactionManagementError), transaction.atomic("shard"):
        insert(1)
        cluster.primary.kill()
        cluster.promote()
        with pytest.raises(OperationalError), transaction.atomic("shard"):
            insert(2)
        insert(3)
    assert connection.connection is None
    insert(4)
    assert stored(cluster) == {4}


def test_a_block_begins_on_a_new_connection_where_the_old_one_is_lost(cluster: Cluster, shard: Any) -> None:
    connection = shard()
    insert(1)
    cluster.primary.sql(f"KILL {connection.connection.known_id}")
    with transaction.atomic("shard"):
        insert(2)
    assert stored(cluster) == {1, 2}


# COMMIT.


@pytest.mark.parametrize("arrives", [False, True])
def test_a_commit_that_is_not_answered_is_unknown(
    cluster: Cluster, endpoint: Endpoint, shard: Any, arrives: bool
) -> None:
    connection, done = shard(), []
    with pytest.raises(CommitUnknown, match="may be committed or not") as raised, transaction.atomic("shard"):
        insert(1)
        connection_id = connection.connection.known_id
        transaction.on_commit(lambda: done.append(1), using="shard")
        endpoint.cut_at(b"COMMIT", answered=arrives)
        # A new connection would be an error as well, and hide the one that counts.
        endpoint.target = 1
    error = raised.value
    assert (error.alias, error.server) == ("shard", f"127.0.0.1:{endpoint.port}")
    assert (error.connection_id, error.args[0]) == (connection_id, 2013)
    assert (connection.connection, done) == (None, [])
    if arrives:
        wait_until(lambda: stored(cluster) == {1}, "the row is stored")
    else:
        assert stored(cluster) == set()
    endpoint.target = cluster.primary.port
    insert(2)
    assert not done


def test_a_commit_that_was_answered_is_no_error(cluster: Cluster, endpoint: Endpoint, shard: Any) -> None:
    """Django goes back to autocommit afterwards, and takes the loss of the connection there for a failed block."""
    connection, done = shard(), []
    with transaction.atomic("shard"):
        insert(1)
        transaction.on_commit(lambda: done.append(connection.connection), using="shard")
        endpoint.cut_at(b"autocommit", answered=False)
    assert done == [None]
    insert(2)
    assert stored(cluster) == {1, 2}


def test_outside_of_a_block_a_write_that_is_not_answered_is_unknown(
    cluster: Cluster, endpoint: Endpoint, shard: Any
) -> None:
    shard()
    insert(1)
    endpoint.cut_at(b"INSERT", answered=True)
    with pytest.raises(CommitUnknown, match="The statement was sent"):
        insert(2)
    wait_until(lambda: stored(cluster) == {1, 2}, "the row is stored")


def test_a_read_that_is_not_answered_is_an_error_of_the_connection(
    cluster: Cluster, endpoint: Endpoint, shard: Any
) -> None:
    connection = shard()
    server_of(connection)
    endpoint.cut_at(b"server_id", answered=True)
    with pytest.raises(OperationalError) as raised:
        server_of(connection)
    assert not isinstance(raised.value, CommitUnknown)
    assert server_of(connection) == cluster.primary.number


def test_a_transaction_of_hand_is_unknown_too(cluster: Cluster, endpoint: Endpoint, shard: Any) -> None:
    """``set_autocommit(True)`` commits what is open."""
    connection = shard()
    connection.set_autocommit(False)
    insert(1)
    endpoint.cut_at(b"autocommit", answered=False)
    with pytest.raises(CommitUnknown):
        connection.set_autocommit(True)
    assert stored(cluster) == set()


# Time-outs.


def test_a_frozen_server_ends_the_query_and_not_the_application(cluster: Cluster, shard: Any) -> None:
    connection = shard(CLUSTER={"INSTANCES": instances(cluster), **PATIENT}, OPTIONS={"read_timeout": 2})
    assert server_of(connection) == cluster.primary.number
    frozen = cluster.primary
    frozen.freeze()
    try:
        with pytest.raises(CommitUnknown):
            insert(1)
        new = cluster.promote()
        assert server_of(connection) == new.number
    finally:
        frozen.kill()
    assert stored(cluster) == set()


def test_changing_a_table_takes_as_long_as_it_takes(cluster: Cluster, shard: Any) -> None:
    connection = shard(OPTIONS={"read_timeout": 1})
    with connection.schema_editor() as editor:
        editor.execute("DO SLEEP(2)")
    connection.close()
    with pytest.raises(OperationalError), connection.cursor() as cursor:
        cursor.execute("SELECT SLEEP(2)")


# Under load.


def test_no_acknowledged_write_is_lost_and_every_thread_goes_on(
    cluster: Cluster, endpoint: Endpoint, shard: Any
) -> None:
    """Two primaries die one after the other; the endpoint lags for good."""
    shard(CLUSTER={"INSTANCES": instances(cluster), **PATIENT})
    journal, stop = Journal(), threading.Event()
    threads = [threading.Thread(target=journal.write, args=(first, stop)) for first in (0, 1_000_000, 2_000_000)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(2):
            journal.wait_for_writes_of_all(len(threads))
            old = cluster.primary
            old.kill()
            cluster.promote()
            journal.wait_for_writes_of_all(len(threads))
            cluster.rejoin(old)
    finally:
        stop.set()
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
    assert journal.acknowledged <= stored(cluster) <= journal.acknowledged | journal.unknown
    assert len(journal.unknown) <= 2 * len(threads)


class Journal:
    """What several threads have written, in transactions: acknowledged, or not known."""

    def __init__(self) -> None:
        self.acknowledged: set[int] = set()
        self.unknown: set[int] = set()
        self.writers: set[int] = set()

    def write(self, number: int, stop: threading.Event) -> None:
        writer = number
        while not stop.is_set():
            number += 1
            try:
                with transaction.atomic("shard"):
                    insert(number)
            except CommitUnknown:
                self.unknown.add(number)
            except OperationalError:
                pass
            else:
                self.acknowledged.add(number)
                self.writers.add(writer)
        connections.close_all()

    def wait_for_writes_of_all(self, count: int) -> None:
        self.writers.clear()
        wait_until(lambda: len(self.writers) >= count, f"{count} writers have written")

"""A connection is made to a server that has the role, within the deadline, or the error says what is wrong."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.db import NotSupportedError, OperationalError

from horizon_shards.backends.aurora_mysql.options import Address
from horizon_shards.backends.aurora_mysql.topology import addresses
from tests.clusters.crowding import full, make_room
from tests.servers.endpoint import Endpoint
from tests.waiting import PATIENCE_SECONDS

if TYPE_CHECKING:
    from tests.servers.clusters import Cluster
    from tests.servers.mariadb import Server


def instances(cluster: Cluster) -> list[str]:
    return [f"127.0.0.1:{server.port}" for server in cluster.servers]


def server_of(connection: Any) -> int:
    """The number of the server that answers."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@server_id")
        return int(cursor.fetchone()[0])


def test_an_endpoint_that_leads_to_a_replica_is_not_believed(cluster: Cluster, endpoint: Endpoint, shard: Any) -> None:
    endpoint.target = cluster.replicas[0].port
    connection = shard(CLUSTER={"INSTANCES": instances(cluster)})
    assert server_of(connection) == cluster.primary.number


def test_a_replica_alone_is_refused(cluster: Cluster, endpoint: Endpoint, shard: Any) -> None:
    endpoint.target = cluster.replicas[0].port
    connection = shard(CLUSTER={"DEADLINE_SECONDS": 2})
    with pytest.raises(
        OperationalError, match=r"database 'shard': no primary found in [\d.]+ s .*takes no writes"
    ) as raised:
        server_of(connection)
    assert raised.value.args[0] == 1290
    assert connection.connection is None


def test_only_the_first_one_waits_for_a_cluster_that_is_down(cluster: Cluster, endpoint: Endpoint, shard: Any) -> None:
    """A request each would wait otherwise, until all workers do."""
    cluster.primary.sql("SET GLOBAL read_only = 1")
    connection = shard(CLUSTER={"DEADLINE_SECONDS": 3})
    attempts = []
    for _ in range(3):
        before = endpoint.taken
        with pytest.raises(OperationalError, match="no primary found"):
            connection.ensure_connection()
        attempts.append(endpoint.taken - before)
    assert attempts[0] > 1
    assert attempts[1:] == [1, 1]
    cluster.primary.sql("SET GLOBAL read_only = 0")
    assert server_of(connection) == cluster.primary.number
    connection.close()
    cluster.primary.sql("SET GLOBAL read_only = 1")
    timer = threading.Timer(0.3, cluster.primary.sql, ["SET GLOBAL read_only = 0"])
    timer.start()
    connection = shard(CLUSTER={"DEADLINE_SECONDS": PATIENCE_SECONDS})
    assert server_of(connection) == cluster.primary.number
    timer.join()


def test_the_role_replica_takes_any_server(cluster: Cluster, endpoint: Endpoint, shard: Any) -> None:
    endpoint.target = cluster.replicas[0].port
    connection = shard(CLUSTER={"ROLE": "replica"})
    assert server_of(connection) == cluster.replicas[0].number
    assert connection.is_usable()


def test_where_writes_were_taken_is_asked_first_afterwards(cluster: Cluster, endpoint: Endpoint, shard: Any) -> None:
    other_first = [f"127.0.0.1:{server.port}" for server in (*cluster.replicas, cluster.primary)]
    connection = shard(CLUSTER={"INSTANCES": other_first})
    server_of(connection)
    connection.close()
    questions = connections_made(cluster.replicas[0])
    assert server_of(connection) == cluster.primary.number
    # The question makes a connection itself.
    assert connections_made(cluster.replicas[0]) == questions + 1


def test_a_server_that_is_gone_is_not_asked_first_again(cluster: Cluster, endpoint: Endpoint, shard: Any) -> None:
    connection = shard(CLUSTER={"INSTANCES": [f"127.0.0.1:{cluster.primary.port}"]})
    server_of(connection)
    cluster.primary.kill()
    endpoint.target = cluster.promote().port
    connection.close()
    assert server_of(connection) == cluster.primary.number
    here = Address("127.0.0.1", endpoint.port)
    assert addresses(here, connection.cluster)[0] == here


def connections_made(server: Server) -> int:
    return int(server.sql("SHOW GLOBAL STATUS LIKE 'Connections'")[0]["Value"])


def test_a_primary_that_comes_late_is_waited_for(cluster: Cluster, shard: Any) -> None:
    cluster.primary.sql("SET GLOBAL read_only = 1")
    timer = threading.Timer(1, cluster.primary.sql, ["SET GLOBAL read_only = 0"])
    timer.start()
    try:
        assert server_of(shard(CLUSTER={"DEADLINE_SECONDS": PATIENCE_SECONDS})) == cluster.primary.number
    finally:
        timer.join()


def test_a_full_connection_table_is_waited_for(cluster: Cluster, shard: Any) -> None:
    connection = shard(CLUSTER={"DEADLINE_SECONDS": PATIENCE_SECONDS})
    with full(cluster.primary) as taken:
        timer = threading.Timer(1, make_room, [taken])
        timer.start()
        try:
            assert server_of(connection) == cluster.primary.number
        finally:
            timer.join()


def test_a_full_connection_table_is_said_to_be_full(cluster: Cluster, shard: Any) -> None:
    connection = shard(CLUSTER={"DEADLINE_SECONDS": 2})
    with full(cluster.primary), pytest.raises(OperationalError, match=r"'shard'.*Too many connections") as raised:
        server_of(connection)
    assert raised.value.args[0] == 1040


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"PASSWORD": "wrong"}, r"database 'shard' at 127\.0\.0\.1:\d+: Access denied .* check USER and PASSWORD"),
        ({"NAME": "app_missing"}, r"database 'shard' at .*Unknown database.* create the database, or correct NAME"),
        ({"HOST": "nowhere.invalid"}, r"database 'shard': no primary .*nowhere\.invalid.*Check HOST, PORT"),
        ({"PORT": 1}, r"database 'shard': no primary .*127\.0\.0\.1:1: .*Check HOST, PORT"),
        ({"OPTIONS": {"ssl_mode": "REQUIRED"}}, r"database 'shard' at .*TLS that OPTIONS\['ssl_mode'\] asks for"),
    ],
)
def test_the_error_names_the_alias_and_the_cure(shard: Any, changes: dict[str, Any], message: str) -> None:
    connection = shard(CLUSTER={"DEADLINE_SECONDS": 2}, **changes)
    with pytest.raises(OperationalError, match=message):
        connection.ensure_connection()
    assert connection.connection is None


def test_a_frozen_server_is_given_up(cluster: Cluster, shard: Any) -> None:
    connection = shard(CLUSTER={"DEADLINE_SECONDS": 1})
    cluster.primary.freeze()
    try:
        with pytest.raises(OperationalError, match="no primary found in "):
            connection.ensure_connection()
    finally:
        cluster.primary.thaw()


def test_tls_is_used_where_the_server_has_it(cluster: Cluster, shard: Any, tmp_path: Path) -> None:
    server = cluster.replicas[0]
    make_certificate(server.folder)
    with cluster.unacknowledged():
        server.kill()
        server.start(f"--ssl-cert={server.folder}/cert.pem", f"--ssl-key={server.folder}/key.pem")
        server.wait()
    trusting = {"ssl_mode": "VERIFY_CA", "ssl": {"ca": str(server.folder / "cert.pem")}}
    for options in ({"ssl_mode": "REQUIRED"}, trusting):
        connection = shard(PORT=server.port, CLUSTER={"ROLE": "replica"}, OPTIONS=options)
        with connection.cursor() as cursor:
            cursor.execute("SHOW SESSION STATUS LIKE 'Ssl_cipher'")
            assert cursor.fetchone()[1] != ""


def make_certificate(folder: Path) -> None:
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject, *files],
        check=True,
        capture_output=True,
    )


def test_the_versions_of_aurora_are_taken(cluster: Cluster, shard: Any) -> None:
    old = cluster.replicas[0]
    for version, is_old in (("8.0.44", False), ("5.7.44", True)):
        with cluster.unacknowledged():
            old.kill()
            old.start(f"--version={version}")
            old.wait()
        connection = shard(alias=f"shard_{is_old}", PORT=old.port, CLUSTER={"ROLE": "replica"})
        if is_old:
            with pytest.raises(
                NotSupportedError, match=r"database 'shard_True': MySQL .* is required \(found 5\.7\.44"
            ):
                connection.ensure_connection()
            assert connection.connection is None
        else:
            connection.ensure_connection()
            assert (connection.display_name, connection.mysql_version) == ("MySQL", (8, 0, 44))


def test_another_connection_goes_to_the_same_server(cluster: Cluster, endpoint: Endpoint, shard: Any) -> None:
    connection = shard()
    server_of(connection)
    assert connection.connection.address.port == endpoint.port
    connection = shard(CLUSTER={"INSTANCES": instances(cluster)})
    server_of(connection)
    cluster.demote()
    cluster.promote()
    with closing(connection.open_beside()) as beside:
        beside.query("SELECT @@server_id")
        assert int(beside.store_result().fetch_row()[0][0]) == cluster.replicas[0].number


class TestAuroraView:
    """``information_schema.replica_host_status``, that only Aurora has: an endpoint renames it to a table."""

    @pytest.fixture
    def endpoint(self, cluster: Cluster) -> Iterator[Endpoint]:
        cluster.primary.sql(
            "CREATE TABLE app.hosts (server_id VARCHAR(100), session_id VARCHAR(100), last_update_timestamp DATETIME)",
            *(
                f"INSERT INTO app.hosts VALUES ('127.0.0.1:{server.port}', "
                f"'{'MASTER_SESSION_ID' if server is cluster.primary else server.name}', NOW())"
                for server in cluster.servers
            ),
            "INSERT INTO app.hosts VALUES ('127.0.0.1:1', 'gone', NOW() - INTERVAL 1 HOUR)",
        )
        cluster.settle()
        endpoint = Endpoint(cluster.primary.port, rewritten={b"information_schema.replica_host_status": b"app.hosts"})
        yield endpoint
        endpoint.close()

    def test_a_replica_names_the_primary(self, cluster: Cluster, endpoint: Endpoint, shard: Any) -> None:
        endpoint.target = cluster.replicas[0].port
        connection = shard(CLUSTER={"INSTANCE_HOST": "{}"})
        assert server_of(connection) == cluster.primary.number
        assert connection.connection.address.port == cluster.primary.port

    def test_the_instances_are_known_when_the_endpoint_lags(
        self, cluster: Cluster, endpoint: Endpoint, shard: Any
    ) -> None:
        connection = shard(CLUSTER={"INSTANCE_HOST": "{}", "DEADLINE_SECONDS": PATIENCE_SECONDS})
        assert server_of(connection) == cluster.primary.number
        cluster.primary.kill()
        new = cluster.promote()
        with pytest.raises(OperationalError):
            server_of(connection)
        assert server_of(connection) == new.number

    def test_a_server_that_is_no_aurora_is_asked_in_vain(
        self, cluster: Cluster, endpoint: Endpoint, shard: Any
    ) -> None:
        endpoint.rewritten = {}
        assert server_of(shard(CLUSTER={"INSTANCE_HOST": "{}"})) == cluster.primary.number

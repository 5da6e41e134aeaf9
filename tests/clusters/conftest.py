"""The clusters that ``python -m tests.servers`` has started, and Django's way to them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.changed_databases import databases

if TYPE_CHECKING:
    from pytest_django.plugin import DjangoDbBlocker

    from tests.clusters.two_phase import MariaDBs, MySQLs, PostgreSQLs
    from tests.servers.clusters import Cluster
    from tests.servers.endpoint import Endpoint

FOLDER = os.environ.get("SHARDS_CLUSTERS")


class WithoutClusters(pytest.Module):
    """A module of these tests where no clusters are named: not even imported, as it needs the driver."""

    def collect(self) -> Any:
        pytest.skip("needs clusters of its own, as it ends servers: make test-servers", allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: Any) -> pytest.Module | None:
    return WithoutClusters.from_parent(parent, path=module_path) if FOLDER is None else None


@pytest.fixture(autouse=True)
def _reachable(django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """The databases are no test databases of Django's."""
    with django_db_blocker.unblock():
        yield


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A primary and a replica that is level with it, and no tables; whatever a test did is mended."""
    from tests.servers.clusters import Clusters

    assert FOLDER is not None
    clusters = Clusters(Path(FOLDER))
    cluster = clusters.all["c1"]
    cluster.primary.sql("DROP DATABASE IF EXISTS app", "CREATE DATABASE app")
    cluster.settle()
    yield cluster
    try:
        if cluster.primary.process.pid() is None:
            cluster.promote()
        for replica in cluster.replicas:
            replica.thaw()
            cluster.rejoin(replica)
    finally:
        # The next test has to know the primary even where a replica does not come back.
        clusters.save()


@pytest.fixture
def endpoint(cluster: Cluster) -> Iterator[Endpoint]:
    """What leads to the primary of the cluster until a test points it elsewhere."""
    from tests.servers.endpoint import Endpoint

    endpoint = Endpoint(cluster.primary.port)
    yield endpoint
    endpoint.close()


@pytest.fixture
def shard(cluster: Cluster, endpoint: Endpoint) -> Iterator[Any]:
    """Adds the database ``shard`` in the cluster: ``shard(CLUSTER={...})`` gives Django's connection to it."""
    from horizon_shards.backends.aurora_mysql import connecting, topology

    with ExitStack() as stack:
        connecting.forget_missing()
        topology.forget_all()
        yield partial(connect, stack, endpoint)


def connect(stack: ExitStack, endpoint: Endpoint, alias: str = "shard", **changes: Any) -> Any:
    """Django's connection to the alias, which holds until the test ends."""
    from django.db import connections
    from django.db.backends.base.base import RAN_DB_VERSION_CHECK  # type: ignore[attr-defined]

    from tests.servers.mariadb import APP, DATABASE

    entry = {
        "ENGINE": "horizon_shards.backends.aurora_mysql",
        "NAME": DATABASE,
        "USER": APP["user"],
        "PASSWORD": APP["password"],
        "HOST": "127.0.0.1",
        "PORT": endpoint.port,
        "CONN_MAX_AGE": None,
        **changes,
    }
    stack.enter_context(databases(**{alias: entry}))
    RAN_DB_VERSION_CHECK.discard(alias)
    connection = connections[alias]
    stack.callback(connection.close)
    return connection


# Transactions in two phases: servers that start when the first of these tests asks, and end with the last.


@pytest.fixture(scope="session")
def postgresqls() -> Iterator[PostgreSQLs]:
    """Two servers."""
    from tests.clusters.two_phase import PostgreSQLs, two_postgresqls

    with two_postgresqls() as servers:
        yield PostgreSQLs(servers)


@pytest.fixture(scope="session")
def mariadbs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDBs]:
    """A server without a replica: those of MariaDB do not bear kill -9 while they apply prepared transactions."""
    from tests.clusters.two_phase import MariaDBs
    from tests.servers.clusters import started

    with started(tmp_path_factory.mktemp("mariadb") / "clusters", 1, replicas=0) as clusters:
        yield MariaDBs(list(clusters.all.values()))


@pytest.fixture(scope="session")
def mysqls() -> Iterator[MySQLs]:
    """A server, where its programs were fetched."""
    from tests.clusters.two_phase import MySQLs
    from tests.servers import mysql
    from tests.servers.processes import open_folder

    if not mysql.programs().exists():
        pytest.skip("needs `python -m tests.servers mysql fetch`")
    with open_folder() as folder, mysql.server(folder / "mysql", durable=True) as server:
        yield MySQLs(server)


@pytest.fixture(params=["mariadbs", "mysqls", "postgresqls"])
def servers(request: pytest.FixtureRequest) -> Any:
    """Servers of each kind."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def relay(mariadbs: MariaDBs) -> Iterator[Endpoint]:
    """What the connection of ``pay_2`` goes through."""
    from tests.servers.endpoint import Endpoint

    endpoint = Endpoint(mariadbs.clusters[0].primary.port)
    yield endpoint
    endpoint.close()


@pytest.fixture
def told() -> Iterator[list[str]]:
    """How transactions over shards ended."""
    from horizon_shards.signals import cross_shard_transaction
    from tests.listening import heard

    with heard(cross_shard_transaction, "outcome") as told:
        yield told

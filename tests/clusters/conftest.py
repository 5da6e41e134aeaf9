"""The clusters that ``python -m tests.servers`` has started, and Django's way to them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_django.plugin import DjangoDbBlocker

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
    cluster.primary.sql("DROP DATABASE app", "CREATE DATABASE app")
    cluster.settle()
    yield cluster
    for replica in cluster.replicas:
        replica.thaw()
        cluster.rejoin(replica)
    clusters.save()


@pytest.fixture
def endpoint(cluster: Cluster) -> Iterator[Endpoint]:
    """What leads to the primary of the cluster until a test points it elsewhere."""
    from tests.servers.endpoint import Endpoint

    endpoint = Endpoint(cluster.primary.port)
    yield endpoint
    endpoint.close()

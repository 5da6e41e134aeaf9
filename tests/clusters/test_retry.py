"""A block that runs again after a failover has done its work once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import connections

from horizon_shards.backends.aurora_mysql.retry import retry_on_failover
from horizon_shards.exceptions import CommitUnknown
from tests.clusters.test_connecting import instances
from tests.clusters.test_failover import PATIENT, cluster, insert, stored  # noqa: F401
from tests.waiting import wait_until

if TYPE_CHECKING:
    from tests.servers.clusters import Cluster
    from tests.servers.endpoint import Endpoint


def test_a_block_whose_server_dies_runs_again(cluster: Cluster, shard: Any) -> None:  # noqa: F811
    shard(CLUSTER={"INSTANCES": instances(cluster), **PATIENT})
    runs = []

    @retry_on_failover("shard")
    def work(number: int) -> int:
        runs.append(number)
        insert(number)
        if len(runs) == 1:
            cluster.primary.kill()
            cluster.promote()
        insert(number + 1)
        return number

    assert work(1) == 1
    assert stored(cluster) == {1, 2}
    assert runs == [1, 1]


def test_statements_of_the_orm_run_again_too(cluster: Cluster, shard: Any) -> None:  # noqa: F811
    """Django closes the cursor of a statement that failed: that must not raise what the driver says of it."""
    shard(CLUSTER={"INSTANCES": instances(cluster), **PATIENT})
    with connections["shard"].schema_editor() as editor:
        editor.create_model(ContentType)
    rows = ContentType.objects.using("shard")
    rows.create(app_label="a", model="a")
    cluster.settle()
    runs: list[int] = []

    @retry_on_failover("shard")
    def work() -> None:
        runs.append(len(runs))
        if len(runs) == 1:
            cluster.demote()
            cluster.promote()
        rows.filter(model="a").update(model="b")

    work()
    assert runs == [0, 1]
    assert rows.values_list("model").get() == ("b",)


@pytest.mark.parametrize("arrives", [False, True])
def test_what_the_caller_finds_decides_after_commit(
    cluster: Cluster,  # noqa: F811
    endpoint: Endpoint,
    shard: Any,
    arrives: bool,
) -> None:
    shard()
    runs = []

    def is_stored() -> bool:
        if arrives:
            wait_until(lambda: stored(cluster), "the row is stored")
        return stored(cluster) == {7}

    @retry_on_failover("shard", was_committed=is_stored)
    def work() -> str:
        runs.append(1)
        insert(7)
        if len(runs) == 1:
            endpoint.cut_at(b"COMMIT", answered=arrives)
        return "done"

    assert work() == "done"
    assert len(runs) == (1 if arrives else 2)
    assert stored(cluster) == {7}


def test_without_a_word_of_the_caller_it_stays_unknown(cluster: Cluster, endpoint: Endpoint, shard: Any) -> None:  # noqa: F811
    shard()
    runs = []

    @retry_on_failover("shard")
    def work() -> None:
        runs.append(1)
        insert(1)
        endpoint.cut_at(b"COMMIT", answered=True)

    with pytest.raises(CommitUnknown):
        work()
    assert len(runs) == 1

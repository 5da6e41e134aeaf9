"""A primary dies while transactions are prepared there, and its replica takes its place: on all shards or on none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections, transaction

from horizon_shards.checks.two_phase import check_prepared_transactions
from horizon_shards.directory.decisions import Decisions
from horizon_shards.exceptions import CommitInDoubt
from horizon_shards.signals import commit_pending
from horizon_shards.topology import get_group
from tests.clusters.kills import measure
from tests.clusters.two_phase import (
    LOGICAL,
    SHARDS,
    FailingOver,
    decisions,
    gid,
    pay,
    recover_until_none_is_left,
    stored,
    write,
)
from tests.listening import heard
from tests.servers.clusters import Cluster, started


@pytest.fixture(scope="module")
def all_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FailingOver]:
    """``pay_1`` and the directory on a server that stays, ``pay_2`` and ``pay_3`` on a cluster with a replica."""
    folder = tmp_path_factory.mktemp("failover")
    with (
        started(folder / "alone", 1, replicas=0) as alone,
        started(folder / "replicated", 1, replicas=1) as replicated,
    ):
        yield FailingOver([alone.all["c1"], replicated.all["c1"]])


@pytest.fixture
def servers(all_servers: FailingOver) -> Iterator[FailingOver]:
    """The same servers, whole again after each test."""
    yield all_servers
    all_servers.mend()


@pytest.fixture
def cluster(servers: FailingOver) -> Cluster:
    """The one with a replica."""
    return servers.clusters[1]


def leave_prepared(number: int) -> str:
    """A transaction that is prepared on all shards and not decided; its name."""
    right = connections.settings["pay_directory"]["CLUSTER"]
    with pytest.raises(CommitInDoubt), transaction.atomic(using=LOGICAL):
        write(number, SHARDS)
        name = gid()
        change_directory({"INSTANCES": ["127.0.0.1:1"], "DEADLINE_SECONDS": 0.1}, port=1)
    change_directory(right, port=right["INSTANCES"][0].rpartition(":")[2])
    return name


def change_directory(cluster: dict[str, Any], *, port: Any) -> None:
    connections.settings["pay_directory"] |= {"CLUSTER": cluster, "PORT": port}


@pytest.mark.parametrize("decided", [False, True])
def test_what_is_prepared_is_prepared_on_the_new_primary(servers: FailingOver, cluster: Cluster, decided: bool) -> None:
    with pay(servers):
        write(1, SHARDS)
        name = leave_prepared(2)
        if decided:
            get_group(LOGICAL).directory.decisions.decide(name, "commit", SHARDS)  # type: ignore[union-attr]
        servers.fail_over(cluster)
        assert servers.prepared() == 3
        assert recover_until_none_is_left(servers) == ((1, 0) if decided else (0, 1))
        assert stored(servers) == [{1, 2} if decided else {1}] * 3
        write(3, SHARDS)
        assert recover_until_none_is_left(servers) == (0, 0)
        assert stored(servers) == [{1, 2, 3} if decided else {1, 3}] * 3


def test_a_failover_between_the_phases_is_no_error(
    servers: FailingOver, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide = Decisions.decide

    def fail_over_and_decide(self: Decisions, *args: Any) -> Any:
        monkeypatch.undo()
        servers.fail_over(cluster)
        return decide(self, *args)

    with pay(servers), heard(commit_pending, "errors") as pending:
        write(1, SHARDS)
        monkeypatch.setattr(Decisions, "decide", fail_over_and_decide)
        write(2, SHARDS)
        assert [set(errors) for errors in pending] == [{"pay-2", "pay-3"}]
        assert (stored(servers), servers.prepared()) == ([{1, 2}, {1}, {1}], 2)
        assert recover_until_none_is_left(servers) == (1, 0)
        assert stored(servers) == [{1, 2}] * 3


def test_without_semi_synchronous_replication_it_may_be_lost_which_a_check_tells(
    servers: FailingOver, cluster: Cluster
) -> None:
    """As any COMMIT that no replica has received: nothing on the new primary tells that it was ever there."""
    with pay(servers):
        write(1, SHARDS)
        assert check_prepared_transactions(databases=[LOGICAL]) == []
        cluster.wait_for_each_write_to_be_received(False)
        (message,) = check_prepared_transactions(databases=[LOGICAL])
        assert message.id == "horizon_shards.W125"
        assert "'pay_2', 'pay_3' answer before" in message.msg
        cluster.settle()
        cluster.replicas[0].sql("STOP SLAVE IO_THREAD")
        name = leave_prepared(2)
        get_group(LOGICAL).directory.decisions.decide(name, "commit", SHARDS)  # type: ignore[union-attr]
        servers.fail_over(cluster)
        recover_until_none_is_left(servers)
        assert stored(servers) == [{1, 2}, {1}, {1}]
        assert decisions() == []


def test_kills_of_clients_while_primaries_fail_over(servers: FailingOver) -> None:
    counts = measure(servers, kills=4, server_every=2)
    assert (counts.lost, counts.torn, counts.left) == (0, 0, 0)
    assert counts.acknowledged > 0
    assert counts.kills_of_servers == 2

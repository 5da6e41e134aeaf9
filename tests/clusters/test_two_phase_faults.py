"""What fails while a transaction in two phases ends: a shard, the directory, or an answer that does not come."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import Error, OperationalError, connections, transaction

from horizon_shards.exceptions import CommitInDoubt, CommitUnknown, RolledBack
from horizon_shards.signals import commit_pending
from horizon_shards.topology import get_group
from tests.clusters.two_phase import (
    LOGICAL,
    SHARDS,
    gid,
    insert,
    pay,
    recover_until_none_is_left,
    stored,
    write,
)
from tests.servers.endpoint import Endpoint
from tests.waiting import wait_until


def test_a_shard_that_cannot_prepare_undoes_it_on_all_and_is_named(servers: Any, told: list[str]) -> None:
    with pay(servers):
        with pytest.raises(OperationalError, match="'pay-3'"), transaction.atomic(using=LOGICAL):
            write(1, SHARDS)
            connections["pay_3"].connection.close()
        assert stored(servers) == [set(), set(), set()]
        assert (told, servers.prepared()) == (["rolled_back"], 0)
        write(2, SHARDS)
        assert stored(servers) == [{2}, {2}, {2}]


def test_a_directory_that_does_not_answer_leaves_it_in_doubt_until_recovery(servers: Any, told: list[str]) -> None:
    done: list[int] = []
    with pay(servers):
        write(1, SHARDS)
        right = connections.settings["pay_directory"]["PORT"]
        with pytest.raises(CommitInDoubt, match="shards recover") as raised, transaction.atomic(using=LOGICAL):
            transaction.on_commit(lambda: done.append(1), using=LOGICAL)
            write(2, SHARDS)
            connections.settings["pay_directory"]["PORT"] = 1
        connections.settings["pay_directory"]["PORT"] = right
        assert raised.value.shards == SHARDS
        assert (told, done, servers.prepared()) == (["committed", "in_doubt"], [], 3)
        assert recover_until_none_is_left(servers) == (0, 1)
        assert stored(servers) == [{1}, {1}, {1}]
        assert recover_until_none_is_left(servers) == (0, 0)


def test_who_was_rolled_back_by_a_recovery_learns_of_it(servers: Any, told: list[str]) -> None:
    with pay(servers):
        with pytest.raises(RolledBack, match="Run the block again"), transaction.atomic(using=LOGICAL):
            write(1, SHARDS)
            get_group(LOGICAL).directory.decisions.decide(gid(), "rollback", SHARDS)  # type: ignore[union-attr]
        assert stored(servers) == [set(), set(), set()]
        assert (told, servers.prepared()) == (["rolled_back"], 0)


@pytest.mark.parametrize("arrives", [False, True])
def test_a_prepare_that_is_not_answered_undoes_it_on_all(mariadbs: Any, relay: Endpoint, arrives: bool) -> None:
    with pay(mariadbs, {"pay_2": {"PORT": relay.port}}):
        with pytest.raises(OperationalError, match="'pay-2'") as raised, transaction.atomic(using=LOGICAL):
            write(1, SHARDS)
            relay.cut_at(b"XA PREPARE", answered=arrives)
        assert not isinstance(raised.value, CommitUnknown)
        recover_until_none_is_left(mariadbs)
        assert stored(mariadbs) == [set(), set(), set()]


@pytest.mark.parametrize("arrives", [False, True])
def test_a_shard_that_dies_after_the_decision_is_committed_by_the_recovery(
    mariadbs: Any, relay: Endpoint, told: list[str], arrives: bool
) -> None:
    done: list[int] = []
    pending: list[set[str]] = []

    def listen(errors: dict[str, Error], **kwargs: Any) -> None:
        pending.append(set(errors))

    commit_pending.connect(listen)
    with pay(mariadbs, {"pay_2": {"PORT": relay.port}}):
        with transaction.atomic(using=LOGICAL):
            write(1, SHARDS)
            transaction.on_commit(lambda: done.append(1), using=LOGICAL)
            relay.cut_at(b"XA COMMIT", answered=arrives)
        assert (told, done, pending) == (["committed"], [1], [{"pay-2"}])
        committed, rolled_back = recover_until_none_is_left(mariadbs)
        assert (committed <= 1, rolled_back) == (True, 0)
        wait_until(lambda: stored(mariadbs) == [{1}, {1}, {1}], "it is stored on all shards")
        write(2, SHARDS)
    commit_pending.disconnect(listen)


def test_one_phase_that_is_not_answered_is_unknown(mariadbs: Any, relay: Endpoint) -> None:
    with pay(mariadbs, {"pay_2": {"PORT": relay.port}}):
        with pytest.raises(CommitUnknown, match="XA COMMIT was sent"), transaction.atomic(using=LOGICAL):
            insert(1, "pay-2")
            relay.cut_at(b"ONE PHASE", answered=False)
        insert(2, "pay-2")
        assert mariadbs.numbers("pay_2") == {2}


@pytest.mark.parametrize("arrives", [False, True])
def test_the_last_shard_that_does_not_answer_is_asked_what_it_decided(
    mariadbs: Any, relay: Endpoint, arrives: bool
) -> None:
    """Its COMMIT stores the decision: so it is there, or it is not."""
    with pay(mariadbs, {"pay_2": {"PORT": relay.port}}, DIRECTORY="pay_2"):
        write(1, SHARDS)
        relay.cut_at(b"ONE PHASE", answered=arrives)
        if arrives:
            write(2, SHARDS)
        else:
            with pytest.raises(RolledBack):
                write(2, SHARDS)
        recover_until_none_is_left(mariadbs)
        assert stored(mariadbs) == [{1, 2} if arrives else {1}] * 3


def test_a_block_begins_on_a_new_connection_where_the_old_one_is_lost(mariadbs: Any, relay: Endpoint) -> None:
    with pay(mariadbs, {"pay_2": {"PORT": relay.port}}):
        write(1, SHARDS)
        relay.cut_at(b"XA START", answered=False)
        write(2, SHARDS)
        assert stored(mariadbs) == [{1, 2}] * 3

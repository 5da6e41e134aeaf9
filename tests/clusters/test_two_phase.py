"""Transactions in two phases on MariaDB, MySQL and PostgreSQL: on all shards or on none."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import Any

import pytest
from django.core.checks import Error as CheckError
from django.db import Error, IntegrityError, NotSupportedError, OperationalError, connections, transaction

from horizon_shards import on_each_shard, using_shard
from horizon_shards.backends.sharded.twophase.recovery import recover
from horizon_shards.checks.two_phase import check_prepared_transactions
from horizon_shards.topology import get_group
from tests.clusters.two_phase import (
    LOGICAL,
    SHARDS,
    PostgreSQLs,
    close_all,
    decisions,
    insert,
    pay,
    stored,
    write,
)
from tests.servers.postgresql import server as postgresql
from tests.servers.processes import open_folder


def test_all_shards_are_committed_and_the_functions_on_commit_run(servers: Any, told: list[str]) -> None:
    done: list[int] = []
    with pay(servers):
        with transaction.atomic(using=LOGICAL):
            transaction.on_commit(lambda: done.append(1), using=LOGICAL)
            write(1, SHARDS)
        assert stored(servers) == [{1}, {1}, {1}]
        assert (told, done, servers.prepared(), decisions()) == (["committed"], [1], 0, ["commit"])
        write(2, SHARDS)
        assert stored(servers) == [{1, 2}, {1, 2}, {1, 2}]


def test_blocks_savepoints_and_rollbacks_are_those_of_django(servers: Any, told: list[str]) -> None:
    with pay(servers):
        with transaction.atomic(using=LOGICAL):
            insert(1, "pay-1")
            with pytest.raises(KeyError), transaction.atomic(using=LOGICAL):
                insert(2, "pay-1")
                insert(2, "pay-2")
                raise KeyError
            with pytest.raises(IntegrityError), transaction.atomic(using=LOGICAL):
                insert(1, "pay-1")
            insert(3, "pay-3")
        with pytest.raises(KeyError), transaction.atomic(using=LOGICAL):
            write(4, SHARDS)
            raise KeyError
        assert stored(servers) == [{1}, set(), {3}]
        assert (told, servers.prepared()) == (["committed", "rolled_back"], 0)


def test_one_shard_takes_one_phase_and_so_do_those_that_are_read(servers: Any) -> None:
    with pay(servers):
        with transaction.atomic(using=LOGICAL):
            insert(1, "pay-1")
            connections[LOGICAL].enter("pay-2", write=False).ensure_connection()  # type: ignore[attr-defined]
        insert(2, "pay-2")
        assert stored(servers) == [{1}, {2}, set()]
        assert decisions() == []


def test_the_shard_that_has_the_directory_comes_last_and_stores_the_decision(servers: Any) -> None:
    with pay(servers, DIRECTORY="pay_2"):
        write(1, SHARDS)
        assert stored(servers) == [{1}, {1}, {1}]
        assert decisions() == ["commit"]
        with pytest.raises(KeyError), transaction.atomic(using=LOGICAL):
            write(2, SHARDS)
            raise KeyError
        assert stored(servers) == [{1}, {1}, {1}]


def test_decisions_are_removed_when_no_shard_asks_for_them(servers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("horizon_shards.backends.sharded.twophase.committing.FORGET_AT", 3)
    with pay(servers):
        for number in range(5):
            write(number, SHARDS)
        assert len(decisions()) < 4
        recover(get_group(LOGICAL), wait_seconds=0)
        assert decisions() == []


def test_a_block_of_a_shards_own_alias_around_it_is_refused(servers: Any) -> None:
    with pay(servers):
        with (
            transaction.atomic(using="pay_2"),
            pytest.raises(NotSupportedError, match="'pay_2' is inside an atomic"),
            transaction.atomic(using=LOGICAL),
        ):
            write(1, SHARDS)
        assert stored(servers) == [set(), set(), set()]


def test_a_block_of_a_shards_own_alias_inside_it_belongs_to_it(servers: Any) -> None:
    with pay(servers):
        with pytest.raises(KeyError), transaction.atomic(using=LOGICAL):
            write(1, SHARDS)
            with transaction.atomic(using="pay_2"), connections["pay_2"].cursor() as cursor:
                cursor.execute("INSERT INTO written VALUES (2)")
            raise KeyError
        assert stored(servers) == [set(), set(), set()]


@pytest.mark.parametrize("mode", ["best_effort", "two_phase"])
def test_a_deadlock_names_the_shard(servers: Any, mode: str) -> None:
    with pay(servers, TRANSACTIONS=mode):
        insert(1, "pay-2")
        insert(2, "pay-2")
        errors = in_two_threads(lambda number: change_both(number, "pay-2"))
        assert len(errors) == 1
        assert "shard 'pay-2' (database 'pay_2')" in str(errors[0])
        assert servers.prepared() == 0


def in_two_threads(work: Any) -> list[Error]:
    errors: list[Error] = []

    def run(number: int) -> None:
        try:
            work(number)
        except Error as error:
            errors.append(error)
        finally:
            close_all()

    threads = [threading.Thread(target=run, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


met = threading.Barrier(2)


def change_both(first: int, shard: str) -> None:
    """Row 1 on one shard, and then row 2 on each; or the other way round."""
    change = "UPDATE written SET number = number + 100 WHERE number = %s"
    with transaction.atomic(using=LOGICAL):
        with using_shard(shard, database=LOGICAL), connections[LOGICAL].cursor() as cursor:
            cursor.execute(change, [first])
        met.wait(60)
        on_each_shard(change, [3 - first], using=LOGICAL)


def test_a_server_that_prepares_nothing_is_told_by_a_check_and_undoes_the_block() -> None:
    with ExitStack() as stack:
        folder = stack.enter_context(open_folder())
        servers = PostgreSQLs([stack.enter_context(postgresql(folder / "p0", prepared=0))])
        stack.enter_context(pay(servers))
        (message,) = check_prepared_transactions(databases=[LOGICAL])
        assert isinstance(message, CheckError)
        assert message.id == "horizon_shards.E121"
        assert check_prepared_transactions(databases=["pay_1"]) == []
        with pytest.raises(OperationalError, match=r"'pay-1'.*disabled"):
            write(1, SHARDS)
        insert(2, "pay-2")
        assert stored(servers) == [set(), {2}, set()]

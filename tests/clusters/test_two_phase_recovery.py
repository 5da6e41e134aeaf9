"""``shards recover`` ends what a client has left prepared, whatever died and when."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import Error, connections, transaction

from horizon_shards.backends.sharded.twophase.recovery import recover
from horizon_shards.exceptions import CommitInDoubt, RolledBack
from horizon_shards.topology import get_group
from tests.clusters.kills import HEADING, measure, section
from tests.clusters.two_phase import (
    LOGICAL,
    SHARDS,
    close_all,
    pay,
    recover_until_none_is_left,
    stored,
    write,
)
from tests.waiting import wait_until


def test_the_recovery_is_safe_while_others_write_and_recover(servers: Any) -> None:
    """Two recoveries that wait for nothing, so that they meet transactions just before the decision."""
    stop = threading.Event()
    failures: list[str] = []

    def recover_again_and_again(number: int) -> None:
        while not stop.is_set():
            with suppress(Error):
                recover(get_group(LOGICAL), wait_seconds=0)
        close_all()

    with pay(servers):
        threads = [threading.Thread(target=recover_again_and_again, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        acknowledged = set()
        for number in range(100):
            try:
                write(number, SHARDS)
            except RolledBack:
                pass
            except Error as error:
                failures.append(str(error))
            else:
                acknowledged.add(number)
        stop.set()
        for thread in threads:
            thread.join()
        recover_until_none_is_left(servers)
        found = stored(servers)
    assert found[0] == found[1] == found[2] == acknowledged
    assert not failures


def test_transactions_of_other_directories_are_left_alone(servers: Any) -> None:
    with pay(servers):
        foreign = "hs1.00000000deadbeef." + "0" * 24
        connection: Any = connections["pay_1"]
        from horizon_shards.backends.sharded.twophase.branches import BRANCHES

        branch = BRANCHES[connection.vendor](foreign, "pay-1")
        branch.begin(connection)
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO written VALUES (1)")
        branch.prepare(connection)
        branch.leave(connection)
        connection.close()
        assert recover(get_group(LOGICAL), wait_seconds=0).rolled_back == 0
        assert servers.prepared() == 1
        wait_until(lambda: branch.end_prepared(connection, commit=False), "it is rolled back")


def test_the_commands(servers: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pay(servers):
        write(1, SHARDS)
        right = connections.settings["pay_directory"]["PORT"]
        with pytest.raises(CommitInDoubt), transaction.atomic(using=LOGICAL):
            write(2, SHARDS)
            connections.settings["pay_directory"]["PORT"] = 1
        with pytest.raises(CommandError, match="did not answer"):
            call_command("shards", "--database", LOGICAL, "recover", "--wait=0")
        connections.settings["pay_directory"]["PORT"] = right
        call_command("shards", "--database", LOGICAL, "--no-rows")
        lines = capsys.readouterr().out.splitlines()
        prepared, taken = lines[1].index("prepared"), lines[1].index("connections")
        assert [line[prepared:].split()[0] for line in lines[2:5]] == ["1", "1", "1"]
        for line in lines[2:5]:
            used, limit = map(int, line[taken:].split()[0].split("/"))
            assert 0 < used < limit == servers.max_connections
        wait_until(lambda: commands_end_all(), "the sessions are gone")
        assert "1 rolled back" in capsys.readouterr().out
        assert stored(servers) == [{1}, {1}, {1}]


def commands_end_all() -> bool:
    try:
        call_command("shards", "--database", LOGICAL, "recover", "--wait=0")
    except CommandError:
        return False
    return True


def test_kills_of_clients_and_servers(servers: Any) -> None:
    counts = measure(servers, kills=6, server_every=3)
    assert (counts.lost, counts.torn, counts.left) == (0, 0, 0)
    assert counts.acknowledged > 0
    assert counts.kills_of_servers == 2
    assert section([counts]).startswith(HEADING)

"""Transactions in two phases on MariaDB and PostgreSQL: on all shards or on none, whatever dies and when."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest
from django.core.checks import Error as CheckError
from django.core.management import CommandError, call_command
from django.db import Error, IntegrityError, NotSupportedError, OperationalError, connections, transaction

from horizon_shards.backends.sharded.twophase.recovery import recover
from horizon_shards.checks.two_phase import check_prepared_transactions
from horizon_shards.directory import connection as directory_connection
from horizon_shards.exceptions import CommitInDoubt, CommitUnknown, RolledBack
from horizon_shards.signals import commit_pending, cross_shard_transaction
from horizon_shards.topology import get_group
from tests.clusters.kills import HEADING, measure, section
from tests.clusters.two_phase import LOGICAL, SHARDS, MariaDBs, MySQLs, PostgreSQLs, insert, pay, write
from tests.listening import heard
from tests.servers import mysql
from tests.servers.clusters import Clusters
from tests.servers.endpoint import Endpoint
from tests.servers.postgresql import PostgreSQL
from tests.servers.processes import open_folder
from tests.waiting import wait_until

ALL = SHARDS


@pytest.fixture(scope="module")
def postgresqls() -> Iterator[PostgreSQLs]:
    """Two servers."""
    with ExitStack() as stack:
        folder = stack.enter_context(open_folder())
        servers = [PostgreSQL(folder / name) for name in ("p1", "p2")]
        for server in servers:
            stack.callback(server.process.end)
            server.start()
        yield PostgreSQLs(servers)


@pytest.fixture(scope="module")
def mariadbs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDBs]:
    """A server without a replica: those of MariaDB do not bear kill -9 while they apply prepared transactions."""
    clusters = Clusters(tmp_path_factory.mktemp("mariadb") / "clusters")
    try:
        clusters.up(1, replicas=0)
        yield MariaDBs(list(clusters.all.values()))
    finally:
        clusters.down()


@pytest.fixture(scope="module")
def mysqls() -> Iterator[MySQLs]:
    """A server, where its programs were fetched."""
    if not mysql.programs().exists():
        pytest.skip("needs `python -m tests.servers mysql fetch`")
    with open_folder() as folder, mysql.server(folder / "mysql", durable=True) as server:
        yield MySQLs(server)


@pytest.fixture(params=["mariadbs", "mysqls", "postgresqls"])
def servers(request: pytest.FixtureRequest) -> Any:
    """Servers of each kind."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def mariadb(mariadbs: MariaDBs) -> MariaDBs:
    return mariadbs


@pytest.fixture
def relay(mariadbs: MariaDBs) -> Iterator[Endpoint]:
    """What the connection of ``pay_2`` goes through."""
    endpoint = Endpoint(mariadbs.clusters[0].primary.port)
    yield endpoint
    endpoint.close()


@pytest.fixture
def told() -> Iterator[list[str]]:
    """How transactions over shards ended."""
    with heard(cross_shard_transaction, "outcome") as told:
        yield told


def stored(servers: Any) -> list[set[int]]:
    return [servers.numbers(alias) for alias in ("pay_1", "pay_2", "pay_3")]


def decisions() -> list[str]:
    directory = get_group(LOGICAL).directory
    assert directory is not None
    return [decision.outcome for decision in directory.decisions.all()]


def gid() -> str:
    """The name of the transaction that is open."""
    found = connections[LOGICAL].transaction.gid  # type: ignore[attr-defined]
    assert found
    return str(found)


def recover_until_none_is_left(servers: Any) -> tuple[int, int]:
    """Committed and rolled back: a server may need a moment to notice that a client is gone."""
    counted = [0, 0]

    def none_is_left() -> bool:
        result = recover(get_group(LOGICAL), wait_seconds=0)
        counted[0] += result.committed
        counted[1] += result.rolled_back
        return not result.errors and not servers.prepared()

    wait_until(none_is_left, "nothing is prepared")
    return counted[0], counted[1]


# Without faults.


def test_all_shards_are_committed_and_the_functions_on_commit_run(servers: Any, told: list[str]) -> None:
    done: list[int] = []
    with pay(servers):
        with transaction.atomic(using=LOGICAL):
            transaction.on_commit(lambda: done.append(1), using=LOGICAL)
            write(1, ALL)
        assert stored(servers) == [{1}, {1}, {1}]
        assert (told, done, servers.prepared(), decisions()) == (["committed"], [1], 0, ["commit"])
        write(2, ALL)
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
            write(4, ALL)
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
        write(1, ALL)
        assert stored(servers) == [{1}, {1}, {1}]
        assert decisions() == ["commit"]
        with pytest.raises(KeyError), transaction.atomic(using=LOGICAL):
            write(2, ALL)
            raise KeyError
        assert stored(servers) == [{1}, {1}, {1}]


def test_decisions_are_removed_when_no_shard_asks_for_them(servers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("horizon_shards.backends.sharded.twophase.committing.FORGET_AT", 3)
    with pay(servers):
        for number in range(5):
            write(number, ALL)
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
            write(1, ALL)
        assert stored(servers) == [set(), set(), set()]


def test_a_block_of_a_shards_own_alias_inside_it_belongs_to_it(servers: Any) -> None:
    with pay(servers):
        with pytest.raises(KeyError), transaction.atomic(using=LOGICAL):
            write(1, ALL)
            with transaction.atomic(using="pay_2"), connections["pay_2"].cursor() as cursor:
                cursor.execute("INSERT INTO written VALUES (2)")
            raise KeyError
        assert stored(servers) == [set(), set(), set()]


# Faults.


def test_a_shard_that_cannot_prepare_undoes_it_on_all_and_is_named(servers: Any, told: list[str]) -> None:
    with pay(servers):
        with pytest.raises(OperationalError, match="'pay-3'"), transaction.atomic(using=LOGICAL):
            write(1, ALL)
            connections["pay_3"].connection.close()
        assert stored(servers) == [set(), set(), set()]
        assert (told, servers.prepared()) == (["rolled_back"], 0)
        write(2, ALL)
        assert stored(servers) == [{2}, {2}, {2}]


def test_a_directory_that_does_not_answer_leaves_it_in_doubt_until_recovery(servers: Any, told: list[str]) -> None:
    done: list[int] = []
    with pay(servers):
        write(1, ALL)
        right = connections.settings["pay_directory"]["PORT"]
        with pytest.raises(CommitInDoubt, match="shards recover") as raised, transaction.atomic(using=LOGICAL):
            transaction.on_commit(lambda: done.append(1), using=LOGICAL)
            write(2, ALL)
            connections.settings["pay_directory"]["PORT"] = 1
        connections.settings["pay_directory"]["PORT"] = right
        assert raised.value.shards == ALL
        assert (told, done, servers.prepared()) == (["committed", "in_doubt"], [], 3)
        assert recover_until_none_is_left(servers) == (0, 1)
        assert stored(servers) == [{1}, {1}, {1}]
        assert recover_until_none_is_left(servers) == (0, 0)


def test_who_was_rolled_back_by_a_recovery_learns_of_it(servers: Any, told: list[str]) -> None:
    with pay(servers):
        with pytest.raises(RolledBack, match="Run the block again"), transaction.atomic(using=LOGICAL):
            write(1, ALL)
            get_group(LOGICAL).directory.decisions.decide(gid(), "rollback", ALL)  # type: ignore[union-attr]
        assert stored(servers) == [set(), set(), set()]
        assert (told, servers.prepared()) == (["rolled_back"], 0)


@pytest.mark.parametrize("arrives", [False, True])
def test_a_prepare_that_is_not_answered_undoes_it_on_all(mariadb: Any, relay: Endpoint, arrives: bool) -> None:
    with pay(mariadb, {"pay_2": {"PORT": relay.port}}):
        with pytest.raises(OperationalError, match="'pay-2'") as raised, transaction.atomic(using=LOGICAL):
            write(1, ALL)
            relay.cut_at(b"XA PREPARE", answered=arrives)
        assert not isinstance(raised.value, CommitUnknown)
        recover_until_none_is_left(mariadb)
        assert stored(mariadb) == [set(), set(), set()]


@pytest.mark.parametrize("arrives", [False, True])
def test_a_shard_that_dies_after_the_decision_is_committed_by_the_recovery(
    mariadb: Any, relay: Endpoint, told: list[str], arrives: bool
) -> None:
    done: list[int] = []
    pending: list[set[str]] = []

    def listen(errors: dict[str, Error], **kwargs: Any) -> None:
        pending.append(set(errors))

    commit_pending.connect(listen)
    with pay(mariadb, {"pay_2": {"PORT": relay.port}}):
        with transaction.atomic(using=LOGICAL):
            write(1, ALL)
            transaction.on_commit(lambda: done.append(1), using=LOGICAL)
            relay.cut_at(b"XA COMMIT", answered=arrives)
        assert (told, done, pending) == (["committed"], [1], [{"pay-2"}])
        committed, rolled_back = recover_until_none_is_left(mariadb)
        assert (committed <= 1, rolled_back) == (True, 0)
        wait_until(lambda: stored(mariadb) == [{1}, {1}, {1}], "it is stored on all shards")
        write(2, ALL)
    commit_pending.disconnect(listen)


def test_one_phase_that_is_not_answered_is_unknown(mariadb: Any, relay: Endpoint) -> None:
    with pay(mariadb, {"pay_2": {"PORT": relay.port}}):
        with pytest.raises(CommitUnknown, match="XA COMMIT was sent"), transaction.atomic(using=LOGICAL):
            insert(1, "pay-2")
            relay.cut_at(b"ONE PHASE", answered=False)
        insert(2, "pay-2")
        assert mariadb.numbers("pay_2") == {2}


@pytest.mark.parametrize("arrives", [False, True])
def test_the_last_shard_that_does_not_answer_is_asked_what_it_decided(
    mariadb: Any, relay: Endpoint, arrives: bool
) -> None:
    """Its COMMIT stores the decision: so it is there, or it is not."""
    with pay(mariadb, {"pay_2": {"PORT": relay.port}}, DIRECTORY="pay_2"):
        write(1, ALL)
        relay.cut_at(b"ONE PHASE", answered=arrives)
        if arrives:
            write(2, ALL)
        else:
            with pytest.raises(RolledBack):
                write(2, ALL)
        recover_until_none_is_left(mariadb)
        assert stored(mariadb) == [{1, 2} if arrives else {1}] * 3


def test_a_block_begins_on_a_new_connection_where_the_old_one_is_lost(mariadb: Any, relay: Endpoint) -> None:
    with pay(mariadb, {"pay_2": {"PORT": relay.port}}):
        write(1, ALL)
        relay.cut_at(b"XA START", answered=False)
        write(2, ALL)
        assert stored(mariadb) == [{1, 2}] * 3


# Locks.


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
            close_of_thread()

    threads = [threading.Thread(target=run, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def close_of_thread() -> None:
    """The directory's connections are a thread's own, too."""
    connections.close_all()
    directory_connection.close_all()


met = threading.Barrier(2)


def change_both(first: int, shard: str) -> None:
    """Row 1 on one shard, and then row 2 on each; or the other way round."""
    from horizon_shards import on_each_shard, using_shard

    change = "UPDATE written SET number = number + 100 WHERE number = %s"
    with transaction.atomic(using=LOGICAL):
        with using_shard(shard, database=LOGICAL), connections[LOGICAL].cursor() as cursor:
            cursor.execute(change, [first])
        met.wait(60)
        on_each_shard(change, [3 - first], using=LOGICAL)


# The recovery.


def test_the_recovery_is_safe_while_others_write_and_recover(servers: Any) -> None:
    """Two recoveries that wait for nothing, so that they meet transactions just before the decision."""
    stop = threading.Event()
    failures: list[str] = []

    def recover_again_and_again(number: int) -> None:
        while not stop.is_set():
            with suppress(Error):
                recover(get_group(LOGICAL), wait_seconds=0)
        close_of_thread()

    with pay(servers):
        threads = [threading.Thread(target=recover_again_and_again, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        acknowledged = set()
        for number in range(100):
            try:
                write(number, ALL)
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
        write(1, ALL)
        right = connections.settings["pay_directory"]["PORT"]
        with pytest.raises(CommitInDoubt), transaction.atomic(using=LOGICAL):
            write(2, ALL)
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


# Checks.


def test_a_server_that_prepares_nothing_is_told_by_a_check_and_undoes_the_block() -> None:
    with ExitStack() as stack:
        server = PostgreSQL(stack.enter_context(open_folder()) / "p0", prepared=0)
        stack.callback(server.process.end)
        server.start()
        servers = PostgreSQLs([server])
        stack.enter_context(pay(servers))
        (message,) = check_prepared_transactions(databases=[LOGICAL])
        assert isinstance(message, CheckError)
        assert message.id == "horizon_shards.E121"
        assert check_prepared_transactions(databases=["pay_1"]) == []
        with pytest.raises(OperationalError, match=r"'pay-1'.*disabled"):
            write(1, ALL)
        insert(2, "pay-2")
        assert stored(servers) == [set(), {2}, set()]


# Crashes.


def test_kills_of_clients_and_servers(servers: Any) -> None:
    counts = measure(servers, kills=6, server_every=3)
    assert (counts.lost, counts.torn, counts.left) == (0, 0, 0)
    assert counts.acknowledged > 0
    assert counts.kills_of_servers == 2
    assert section([counts]).startswith(HEADING)

"""Transactions of the logical database: begun where it is touched, savepoints, commits that fail half way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from threading import Barrier
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, NotSupportedError, OperationalError, connections, transaction
from django.db.transaction import TransactionManagementError

from horizon_shards import allow_cross_shard, allow_scatter
from horizon_shards.exceptions import CrossShardTransaction, PartialCommit
from horizon_shards.signals import autocommit_in_foreign_atomic, cross_shard_transaction, shard_failed
from horizon_shards.topology import get_group
from tests import settings
from tests.changed_databases import limited
from tests.listening import heard
from tests.settings import ENGINE
from tests.sharded.rows import make_sites
from tests.shop.models import Customer, Site, Tag, Visit, Visitor

pytestmark = pytest.mark.django_db(databases=["default", "track", "crm", "track_1"], transaction=True)

one_after_the_other = pytest.mark.skipif(
    settings.DATABASES["track"]["TRANSACTIONS"] == "two_phase",
    reason="SHARDS_TRANSACTIONS=two_phase commits otherwise: tests/clusters/test_two_phase.py",
)


@pytest.fixture
def told() -> Iterator[list[Any]]:
    """The shards and outcomes that ``cross_shard_transaction`` tells."""
    with heard(cross_shard_transaction, "shards", "outcome") as told:
        yield told


@pytest.fixture
def all_sites(db: None) -> list[Site]:
    """One site a shard at least."""
    return make_sites(24)


def sites_of_two_shards(sites: list[Site]) -> tuple[Site, Site]:
    mapping = get_group("track").mapping
    for site in sites:
        mapping.place(site.pk)
    first = sites[0]
    return first, next(site for site in sites if mapping.resolve(site.pk) != mapping.resolve(first.pk))


def test_everything_is_rolled_back_on_all_shards(all_sites: list[Site], told: list[Any]) -> None:
    with pytest.raises(KeyError), transaction.atomic(using="track"):
        for site in all_sites:
            Tag.objects.create(site=site, name="x")
        assert Tag.objects.count() == 24
        raise KeyError
    assert Tag.objects.count() == 0
    assert told[-1][1] == "rolled_back"
    assert connections["track"].get_autocommit()
    assert not connections["track_1"].in_atomic_block


def test_everything_is_committed_on_all_shards(all_sites: list[Site], told: list[Any]) -> None:
    with transaction.atomic(using="track"):
        for site in all_sites:
            Tag.objects.create(site=site, name="x")
    assert Tag.objects.count() == 24
    assert [outcome for _, outcome in told] == ["committed"]
    assert not connections["track_1"].in_atomic_block


def test_a_savepoint_covers_shards_that_are_touched_later(all_sites: list[Site]) -> None:
    first, second = sites_of_two_shards(all_sites)
    with transaction.atomic(using="track"):
        Tag.objects.create(site=first, name="kept")
        with pytest.raises(KeyError), transaction.atomic(using="track"):
            Tag.objects.create(site=first, name="lost")
            Tag.objects.create(site=second, name="lost")
            with transaction.atomic(using="track"):
                Tag.objects.create(site=second, name="lost")
            raise KeyError
        Tag.objects.create(site=second, name="kept")
    assert sorted(Tag.objects.values_list("name", flat=True)) == ["kept", "kept"]


def test_explicit_savepoints(all_sites: list[Site]) -> None:
    first, second = sites_of_two_shards(all_sites)
    with transaction.atomic(using="track"):
        Tag.objects.create(site=first, name="a")
        sid = connections["track"].savepoint()
        Tag.objects.create(site=second, name="b")
        transaction.savepoint_rollback(sid, using="track")
        assert Tag.objects.count() == 1
        sid = connections["track"].savepoint()
        Tag.objects.create(site=second, name="c")
        transaction.savepoint_commit(sid, using="track")
    assert sorted(Tag.objects.values_list("name", flat=True)) == ["a", "c"]


def test_on_commit_runs_after_the_last_shard(all_sites: list[Site]) -> None:
    seen: list[int] = []
    with transaction.atomic(using="track"):
        for site in all_sites:
            Tag.objects.create(site=site, name="x")
        transaction.on_commit(lambda: seen.append(Tag.objects.count()), using="track")
        assert seen == []
    assert seen == [24]
    with pytest.raises(KeyError), transaction.atomic(using="track"):
        transaction.on_commit(lambda: seen.append(-1), using="track")
        raise KeyError
    assert seen == [24]


def test_durable_and_broken_blocks(all_sites: list[Site]) -> None:
    with transaction.atomic(using="track"), pytest.raises(RuntimeError, match="durable"):
        transaction.atomic(using="track", durable=True).__enter__()
    with pytest.raises(TransactionManagementError), transaction.atomic(using="track"):
        with pytest.raises(KeyError), transaction.atomic(using="track", savepoint=False):
            raise KeyError
        Tag.objects.count()
    transaction.atomic(using="track")
    assert Tag.objects.count() == 0


def test_manual_transactions(all_sites: list[Site]) -> None:
    first, second = sites_of_two_shards(all_sites)
    transaction.set_autocommit(False, using="track")
    try:
        Tag.objects.create(site=first, name="x")
        transaction.rollback(using="track")
        Tag.objects.create(site=second, name="y")
        transaction.commit(using="track")
    finally:
        transaction.set_autocommit(True, using="track")
    assert [tag.name for tag in Tag.objects.all()] == ["y"]


@one_after_the_other
def test_a_shard_that_is_already_in_a_transaction_is_joined(all_sites: list[Site]) -> None:
    with pytest.raises(KeyError), transaction.atomic(using="track_1"):
        with transaction.atomic(using="track"):
            for site in all_sites:
                Tag.objects.create(site=site, name="x")
        held = Tag.objects.using("track_1").count()
        assert Tag.objects.count() == 24
        raise KeyError
    assert Tag.objects.count() == 24 - held
    with transaction.atomic(using="track_1"):
        with pytest.raises(KeyError), transaction.atomic(using="track"):
            for site in all_sites:
                Tag.objects.create(site=site, name="y")
            raise KeyError
        assert not connections["track_1"].needs_rollback
    assert Tag.objects.filter(name="y").count() == 0


def test_single_refuses_the_second_shard(db: None) -> None:
    mapping = get_group("crm").mapping
    tenants = [f"tenant {n}" for n in range(40)]
    first = tenants[0]
    second = next(tenant for tenant in tenants if mapping.place(tenant) != mapping.place(first))
    with pytest.raises(CrossShardTransaction, match="allow_cross_shard"), transaction.atomic(using="crm"):
        Customer.objects.create(tenant=first, name="x")
        Customer.objects.create(tenant=second, name="x")
    both = [Customer(tenant=first, name="x"), Customer(tenant=second, name="x")]
    with pytest.raises(CrossShardTransaction):
        Customer.objects.bulk_create(both)
    with allow_cross_shard(), allow_scatter():
        assert Customer.objects.count() == 0
        Customer.objects.bulk_create(both)
        assert Customer.objects.count() == 2


@contextmanager
def failing_commit(connection: Any) -> Iterator[None]:
    """In the block, the COMMIT of a shard's connection raises."""

    def fail() -> None:
        raise OperationalError("disk I/O error")

    with replaced_commit(connection, fail):
        yield


@contextmanager
def replaced_commit(connection: Any, commit: Callable[[], None]) -> Iterator[None]:
    """In the block, a shard's connection does this for a COMMIT."""
    connection._commit = commit
    try:
        yield
    finally:
        del connection._commit


def connection_of(site: Site) -> Any:
    """The connection to the shard of a website."""
    return connections["track"].shard_connection(shard_of(site))


def shard_of(site: Site) -> str:
    return str(get_group("track").mapping.resolve(site.pk))


@one_after_the_other
def test_a_commit_that_fails_half_way_names_the_shards(all_sites: list[Site], told: list[Any]) -> None:
    first, second = sites_of_two_shards(all_sites)
    names = shard_of(first), shard_of(second)
    with (
        failing_commit(connection_of(second)),
        pytest.raises(PartialCommit, match="outcome is unknown") as caught,
        transaction.atomic(using="track"),
    ):
        Tag.objects.create(site=first, name="x")
        Tag.objects.create(site=second, name="x")
    assert caught.value.committed == (names[0],)
    assert caught.value.unknown == (names[1],)
    assert told == [(names, "partial")]
    assert Tag.objects.count() == 1
    assert not connections["track"].in_atomic_block


@one_after_the_other
def test_a_first_commit_that_fails_rolls_the_others_back(all_sites: list[Site], told: list[Any]) -> None:
    first, second = sites_of_two_shards(all_sites)
    with (
        failing_commit(connection_of(first)),
        pytest.raises(OperationalError, match="disk I/O"),
        transaction.atomic(using="track"),
    ):
        Tag.objects.create(site=first, name="x")
        Tag.objects.create(site=second, name="x")
    assert Tag.objects.count() == 0
    assert told == [((shard_of(first), shard_of(second)), "unknown")]


@one_after_the_other
def test_a_first_commit_that_is_not_answered_may_have_committed(all_sites: list[Site], told: list[Any]) -> None:
    first, second = sites_of_two_shards(all_sites)
    connection = connection_of(first)

    def commit_unheard() -> None:
        type(connection)._commit(connection)
        raise OperationalError("gone away")

    with (
        replaced_commit(connection, commit_unheard),
        pytest.raises(OperationalError, match="gone away"),
        transaction.atomic(using="track"),
    ):
        Tag.objects.create(site=first, name="x")
        Tag.objects.create(site=second, name="x")
    assert [tag.site for tag in Tag.objects.all()] == [first]
    assert [outcome for _, outcome in told] == ["unknown"]


@one_after_the_other
@pytest.mark.skipif(ENGINE == "mysql", reason="MySQL checks foreign keys at once")
def test_a_first_commit_that_breaks_a_constraint_is_rolled_back(all_sites: list[Site], told: list[Any]) -> None:
    first, second = sites_of_two_shards(all_sites)
    with pytest.raises(IntegrityError), transaction.atomic(using="track"):
        visitor = Visitor.objects.create(site=first, name="x")
        Visit.objects.create(site=first, visitor=visitor, path="/")
        Visitor.objects.filter(pk=visitor.pk)._raw_delete("track")
        Tag.objects.create(site=second, name="x")
    assert Visit.objects.count() == Tag.objects.count() == 0
    assert [outcome for _, outcome in told] == ["rolled_back"]


# Shards that were only read.


def in_transaction() -> list[str]:
    """The shards whose connections are in a transaction."""
    by_shard = {shard: connections["track"].shard_connection(shard) for shard in get_group("track").shard_names}
    return [shard for shard, connection in by_shard.items() if connection.in_atomic_block or not connection.autocommit]


def test_shards_that_were_only_read_are_ended_at_once(all_sites: list[Site]) -> None:
    everyone = Barrier(4)
    with ExitStack() as stack:
        for shard in get_group("track").shard_names:
            connection = connections["track"].shard_connection(shard)
            # Who comes alone waits in vain, and raises.
            meet = partial(meet_and_commit, everyone, type(connection)._commit, connection)
            stack.enter_context(replaced_commit(connection, meet))
        with transaction.atomic(using="track"):
            assert Tag.objects.count() == 0
    assert in_transaction() == []


def meet_and_commit(everyone: Barrier, commit: Callable[[Any], None], connection: Any) -> None:
    everyone.wait(timeout=30)
    commit(connection)


@one_after_the_other
def test_a_shard_that_was_only_read_and_fails_to_end_is_named(all_sites: list[Site]) -> None:
    failing = connections["track"].shard_connection("track-2")
    with (
        failing_commit(failing),
        pytest.raises(OperationalError, match=r"shard 'track-2'.*disk I/O"),
        transaction.atomic(using="track"),
    ):
        Tag.objects.count()
    assert in_transaction() == []
    assert Tag.objects.count() == 0


@one_after_the_other
def test_what_was_written_is_committed_whatever_becomes_of_the_shards_that_were_only_read(
    all_sites: list[Site], told: list[Any]
) -> None:
    """An error would tell the caller, and ``on_commit``, that nothing was stored."""
    first, second = sites_of_two_shards(all_sites)
    seen: list[int] = []
    with (
        heard(shard_failed, "shard") as failed,
        failing_commit(connection_of(second)),
        transaction.atomic(using="track"),
    ):
        assert Tag.objects.count() == 0
        Tag.objects.create(site=first, name="x")
        transaction.on_commit(lambda: seen.append(1), using="track")
    assert failed == [shard_of(second)]
    assert seen == [1]
    assert told == []
    assert in_transaction() == []
    assert Tag.objects.count() == 1


def test_a_scattered_write_that_fails_on_one_shard_changes_nothing(all_sites: list[Site]) -> None:
    for site in all_sites:
        Tag.objects.create(site=site, name="x")
    alias = get_group("track").primaries["track-3"]
    with connections[alias].cursor() as cursor:
        table = connections[alias].ops.quote_name(Tag._meta.db_table)
        cursor.execute(f"ALTER TABLE {table} RENAME TO hidden_tags")
    try:
        with pytest.raises(DatabaseError, match="shard 'track-3'"):
            Tag.objects.update(name="y")
    finally:
        with connections[alias].cursor() as cursor:
            cursor.execute(f"ALTER TABLE hidden_tags RENAME TO {table}")
    assert set(Tag.objects.values_list("name", flat=True)) == {"x"}


def test_a_write_that_commits_by_itself_inside_anothers_block_is_told(all_sites: list[Site]) -> None:
    with heard(autocommit_in_foreign_atomic, "alias") as aliases:
        with transaction.atomic(using="default"):
            Tag.objects.create(site=all_sites[0], name="x")
        with transaction.atomic(using="default"), transaction.atomic(using="track"):
            Tag.objects.create(site=all_sites[0], name="x")
    assert aliases == ["default"]


def test_select_for_update_needs_a_transaction(all_sites: list[Site]) -> None:
    Tag.objects.create(site=all_sites[0], name="x")
    with transaction.atomic(using="track"):
        assert Tag.objects.select_for_update().get().name == "x"
        assert Tag.objects.select_for_update().filter(site=all_sites[0]).get().name == "x"


def test_closing_ends_the_shards_connections(all_sites: list[Site]) -> None:
    Tag.objects.count()
    connections["track"].close()
    assert connections["track_1"].connection is None
    assert Tag.objects.count() == 0
    with pytest.raises(TransactionManagementError), transaction.atomic(using="track"):
        Tag.objects.create(site=all_sites[0], name="x")
        connections["track"].close()
        Tag.objects.count()
    assert Tag.objects.count() == 0
    connections.close_all()
    assert Tag.objects.count() == 0


def test_the_end_of_a_request_leaves_the_shards_their_own_age(all_sites: list[Site]) -> None:
    Tag.objects.filter(site=all_sites[0]).count()
    shard = get_group("track").mapping.resolve(all_sites[0].pk)
    connection = connections["track"].shard_connection(shard)
    assert connection.connection is not None
    connections["track"].close_if_unusable_or_obsolete()
    assert connection.connection is not None


@pytest.mark.sqlite_only
def test_two_phases_on_an_engine_that_cannot_prepare_are_refused(all_sites: list[Site]) -> None:
    """One shard is no matter."""
    first, second = sites_of_two_shards(all_sites)
    with limited("track", transactions="two_phase"):
        with pytest.raises(NotSupportedError, match="sqlite cannot commit in two phases"), transaction.atomic("track"):
            Tag.objects.create(site=first, name="x")
            Tag.objects.create(site=second, name="x")
        Tag.objects.create(site=second, name="y")
    assert [tag.name for tag in Tag.objects.all()] == ["y"]

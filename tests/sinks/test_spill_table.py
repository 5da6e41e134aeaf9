"""Records that wait in a table: over the end of processes, between them, and where the table fails."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone

from horizon_shards.exceptions import ConfigurationError, SpillFailed
from horizon_shards.signals import sink_failed
from horizon_shards.sinks import BatchedDatabaseSink, FirehoseSink
from horizon_shards.sinks.models import Spilled
from horizon_shards.sinks.own_thread import OwnThread
from tests.listening import heard
from tests.servers.firehose import InThread
from tests.sinks.conftest import MakeSink, abandon, record
from tests.sinks.models import Note
from tests.sinks.processes import NEVER, end, numbers, read_until_put, start, wait_for
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
TABLE = {"SPILL_TABLE": "default"}
JOURNAL = {**TABLE, "SPILL_WHEN": "always"}
SITES = 200


def is_empty() -> bool:
    return not Spilled.objects.exists()


def test_what_could_not_be_sent_is_sent_by_the_next_process(server: InThread) -> None:
    server.stop()
    _, errors = end(start(server, last=50, ending="exit", LINGER_SECONDS=NEVER, FLUSH_SECONDS=0.3, **TABLE))
    assert errors == ""
    assert Spilled.objects.get().sink == "producer"
    server.start()
    process = start(server, first=50, last=51, ending="wait", **TABLE)
    wait_for(server, lines=51)
    assert end(process)[1] == ""
    assert numbers(server) == list(range(51))
    assert is_empty()


def test_sigkill_loses_nothing_that_is_in_the_table(server: InThread) -> None:
    """The next process waits for the lease of the one that was killed."""
    server.stop()
    process = start(server, last=50, ending="wait", LINGER_SECONDS=NEVER, LEASE_SECONDS=1, **JOURNAL)
    read_until_put(process)
    process.kill()
    end(process)
    assert Spilled.objects.count() == 50
    server.start()
    process = start(server, last=0, ending="wait", RESEND_SECONDS=0.1, **TABLE)
    wait_until(is_empty)
    end(process)
    assert numbers(server) == list(range(50))


def test_rows_are_nobody_elses_while_their_process_lives(server: InThread, make_sink: MakeSink) -> None:
    process = start(server, last=50, ending="wait", LINGER_SECONDS=NEVER, **JOURNAL)
    read_until_put(process)
    assert Spilled.objects.count() == 50
    assert make_sink(name="producer", **JOURNAL)._spilling.adopt() == []
    process.terminate()
    end(process)
    assert numbers(server) == list(range(50))
    assert is_empty()


def test_two_processes_resend_at_once_and_double_nothing(server: InThread) -> None:
    Spilled.objects.bulk_create(segment_of(number) for number in range(SITES))
    server.firehose.faults.latency_seconds = 0.01
    both = [start(server, last=0, ending="wait", WORKERS=2, **TABLE) for _ in range(2)]
    wait_until(is_empty)
    for process in both:
        assert end(process) == ("put\n", "")
    assert numbers(server) == list(range(SITES))


def segment_of(number: int) -> Spilled:
    """What somebody has left of one record."""
    content = b'{"_model":"shop.site","id":%d,"event_id":"e%d"}\n' % (number, number)
    past = timezone.now() - timedelta(days=1)
    return Spilled(sink="producer", stream="s-a", segment=f"{number:032}", held_until=past, content=content)


def test_of_threads_that_take_a_segment_at_once_one_gets_it(make_sink: MakeSink) -> None:
    """The question and the taking are two statements: another one may come between them."""
    Spilled.objects.bulk_create(segment_of(number) for number in range(SITES))
    sinks = [make_sink(name="producer", **TABLE) for _ in range(4)]
    found: list[list[str]] = [[] for _ in sinks]

    def take_all(sink: FirehoseSink, mine: list[str]) -> None:
        while batches := patiently(sink._spilling.adopt):
            mine += [line.decode() for batch in batches for line in batch.lines()]

    threads = [threading.Thread(target=take_all, args=pair) for pair in zip(sinks, found, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = [line for mine in found for line in mine]
    assert len(taken) == len(set(taken)) == SITES


def patiently(act: Callable[[], Any]) -> Any:
    """Servers end one of two statements that wait for each other, and SQLite one that waits too long."""
    for _ in range(20):
        try:
            return act()
        except SpillFailed:
            continue
    return act()


def test_who_has_lost_its_lease_leaves_the_records_to_who_has_it(server: InThread, make_sink: MakeSink) -> None:
    first = make_sink(LINGER_SECONDS=NEVER, WORKERS=1, RESEND_SECONDS=NEVER, **JOURNAL)
    assert first._spilling.adopt() == []  # its first look, which its thread may else take after the lease is lost
    first.put_many(record(number) for number in range(5))
    Spilled.objects.update(held_until=timezone.now() - timedelta(seconds=1))
    second = make_sink(**TABLE)
    (batch,) = second._spilling.adopt()
    first.flush(60)
    assert (server.firehose.lines, first._pending.held) == (0, 0)
    second._deliver(batch, second._pending)
    assert numbers(server) == list(range(5))
    assert is_empty()


def test_what_does_not_fit_goes_to_the_table_and_arrives_later(server: InThread, make_sink: MakeSink) -> None:
    server.stop()
    sink = make_sink(OVERFLOW="spill", MAX_QUEUED_BYTES=1_000, RESEND_SECONDS=0.05, **TABLE)
    sink.put_many(record(number, text="x" * 100) for number in range(200))
    assert not is_empty()
    server.start()
    wait_for(server, lines=200)
    sink.flush(60)
    wait_until(is_empty)
    assert numbers(server) == list(range(200))


def test_a_batch_that_failed_often_leaves_memory_for_the_table(server: InThread, make_sink: MakeSink) -> None:
    server.stop()
    sink = make_sink(SPILL_AFTER_ATTEMPTS=1, RESEND_SECONDS=NEVER, **TABLE)
    sink.put(record(1))
    wait_until(lambda: sink._pending.held == 0)
    assert bytes(Spilled.objects.get().content).count(b"\n") == 1


def test_a_transaction_that_is_rolled_back_takes_no_record_with_it(server: InThread, make_sink: MakeSink) -> None:
    sink = make_sink(LINGER_SECONDS=NEVER, **JOURNAL)
    with transaction.atomic():
        sink.put(record(1))
        transaction.set_rollback(True)
    assert Spilled.objects.count() == 1
    sink.flush(60)
    assert numbers(server) == [1]


def test_an_event_loop_may_put(server: InThread, make_sink: MakeSink) -> None:
    sink = make_sink(LINGER_SECONDS=NEVER, **JOURNAL)

    async def put() -> None:
        sink.put(record(1))

    asyncio.run(put())
    assert Spilled.objects.count() == 1
    sink.flush(60)
    assert is_empty()


def test_a_fork_doubles_nothing_and_loses_nothing(server: InThread) -> None:
    output, errors = end(start(server, last=10, ending="fork", LINGER_SECONDS=NEVER, **JOURNAL))
    assert (output, errors) == ("put\n", "")
    assert numbers(server) == list(range(11))
    assert is_empty()


def test_a_connection_that_was_lost_is_made_anew(make_sink: MakeSink) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has no connection to lose: SHARDS_DEFAULT=server")
    sink = make_sink(LINGER_SECONDS=NEVER, **JOURNAL)
    sink.put(record(1))
    place: Any = sink._spilling.place
    place._thread.run(lambda: connections["default"].connection.close())
    sink.put(record(2))
    assert Spilled.objects.count() == 2


@pytest.fixture
def without_table(server: InThread) -> Any:
    """Takes the table away, and brings it back."""

    def take_away() -> None:
        with connection.schema_editor() as editor:
            editor.delete_model(Spilled)

    yield take_away
    with connection.schema_editor() as editor:
        editor.create_model(Spilled)


def test_a_table_that_fails_is_an_error_of_put(make_sink: MakeSink, without_table: Any) -> None:
    sink = make_sink(LINGER_SECONDS=NEVER, **JOURNAL)
    without_table()
    with pytest.raises(SpillFailed, match=r"manage\.py migrate horizon_shards_sinks --database=default"):
        sink.put(record(1))
    assert sink._pending.held == 0


def test_without_its_table_a_sink_sends_what_it_holds_and_tells_what_it_cannot_delete(
    server: InThread, make_sink: MakeSink, without_table: Any
) -> None:
    sink = make_sink(LINGER_SECONDS=NEVER, **JOURNAL)
    sink.put(record(1))
    without_table()
    with heard(sink_failed, "stream", "error") as told:
        sink.flush(60)
        wait_until(lambda: any(stream == "s-a" for stream, _ in told))
    assert numbers(server) == [1]
    assert {type(error) for stream, error in told if stream == "s-a"} == {SpillFailed}


def test_a_table_that_fails_leaves_records_in_memory(server: InThread, make_sink: MakeSink, without_table: Any) -> None:
    server.stop()
    sink = make_sink(SPILL_AFTER_ATTEMPTS=1, **TABLE)
    without_table()
    sink.put(record(1))
    wait_until(lambda: sink.last_error is not None)
    assert sink._pending.held > 0
    server.start()
    sink.flush(60)
    assert numbers(server) == [1]


def test_a_full_disk_below_the_table_is_an_error(server: InThread) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("the disk of a server is not the test's")
    with connection.cursor() as cursor:
        cursor.execute("VACUUM")  # what other tests have left free would take many rows
    most = Path(connection.settings_dict["NAME"]).stat().st_size + 40_000
    output, _ = end(start(server, last=1_000, ending=f"disk-full:{most}", LINGER_SECONDS=NEVER, **JOURNAL))
    assert output.startswith("SpillFailed: ")
    taken = int(output.split()[1])
    assert 0 < taken < 1_000
    assert numbers(server) == list(range(taken))


def test_what_no_database_takes_is_set_aside_and_not_sent_again() -> None:
    sink = BatchedDatabaseSink("rejecting", {"LINGER_SECONDS": 0.01, "RESEND_SECONDS": 0.01, **TABLE})
    try:
        sink.put_many([Note(text="once"), Note(text="once")])
        wait_until(lambda: Spilled.objects.filter(sink="rejecting", stream="rejected").exists())
        assert sink._spilling.adopt() == []
        assert Note.objects.count() == 1
    finally:
        abandon(sink)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"SPILL_TABLE": "defualt"}, "no database that can hold a plain table"),
        ({"SPILL_TABLE": "track"}, "no database that can hold a plain table"),
        ({"SPILL_TABLE": "default", "SPILL_FOLDER": "/tmp"}, "spill to one of them"),
        ({"OVERFLOW": "spill"}, "or SPILL_TABLE"),
        ({"LEASE_SECONDS": 0}, "must be a number above 0"),
    ],
)
def test_options_that_cannot_work_are_named(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        FirehoseSink("s", {"STREAM": "s", **options})


def test_a_table_needs_its_app(settings: Any) -> None:
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app != "horizon_shards.sinks"]
    with pytest.raises(ConfigurationError, match=r"needs 'horizon_shards\.sinks' in INSTALLED_APPS"):
        FirehoseSink("s", {"STREAM": "s", **TABLE})


def test_a_thread_of_its_own_hands_back_what_was_raised_and_can_begin_again() -> None:
    thread = OwnThread("test")

    def fail() -> None:
        raise LookupError("told")

    with pytest.raises(LookupError, match="told"):
        thread.run(fail)
    assert thread.run(threading.get_ident) != threading.get_ident()
    ended: list[int] = []
    thread.end(lambda: ended.append(threading.get_ident()))
    thread.end(lambda: ended.append(0))
    assert len(ended) == 1
    assert thread.run(threading.get_ident) not in (threading.get_ident(), 0)
    thread.end(lambda: None)
